"""Branches of a run: a new run that begins from what another has kept, with some settings changed.

Each kept state depends on some settings and not on others. A fork copies what stays valid with the changes
into a folder of its own, where the run takes it up as if it had been stopped there; all else is computed
anew. ``parent.json`` says where a run came from. Nothing of the parent is touched, and it may be running.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.errors import InputError, RunError, SpecError
from engine.io.json_files import read_json, write_json
from engine.jobs.fork_points import BEGINNING, ForkPoint, bears, files_of, points_of
from engine.jobs.run_dir import RunDir
from engine.specs import codec
from engine.specs.job import JobSpec

PARENT: Final = "parent.json"
_MISSING: Final = object()


@dataclass(frozen=True)
class Parent:
    """Where a run began.

    Attributes
    ----------
    run : folder of the run that it branched off from, as it was called then.
    at : name of the state.
    changed : by setting, its old and new value.
    """

    run: str
    at: str
    changed: dict[str, tuple[Any, Any]]

    @property
    def words(self) -> str:
        """One sentence."""
        changed = "; ".join(f"{k}: {_word(old)} → {_word(new)}" for k, (old, new) in self.changed.items())
        return f"Branched off from {self.run} at {self.at}" + (f", with {changed}." if changed else ".")


def kept_points(run: RunDir) -> tuple[ForkPoint, ...]:
    """What a run can be branched off from, latest first; the beginning is always last.

    Raises
    ------
    VerglasError
        If its spec can't be read.
    """
    return points_of(run, run.spec())


def parent_of(run: RunDir) -> Parent | None:
    """Where a run came from; None for one that began by itself, or where that can't be read."""
    try:
        found = read_json(run.path / PARENT)
        changed = {str(k): (v[0], v[1]) for k, v in found["changed"].items()}
        return Parent(str(found["run"]), str(found["at"]), changed)
    except (InputError, LookupError, TypeError, AttributeError):
        return None


def fork(source: RunDir, to: str | Path, changes: Mapping[str, Any], at: str | None = None) -> RunDir:
    """Make a branch of a run; it isn't begun.

    Parameters
    ----------
    to : its folder, new or empty.
    changes : values by setting, as ``sampler.steps`` or ``observations.0.weight``.
    at : name of one of :func:`kept_points`; None takes the latest that bears the changes.

    Raises
    ------
    SpecError
        For a setting that isn't there, a bad value, or changes that the point doesn't bear.
    RunError
        If the folder can't be used, or there is no such point.
    """
    to = Path(to).absolute()
    old = source.spec()
    new = with_changes(old, changes)
    changed = dict(_differences(old.model_dump(mode="json"), new.model_dump(mode="json")))
    if "kind" in changed:
        raise SpecError("A branch is a run of the same kind.", "Start a new run instead.")
    point = _chosen(kept_points(source), tuple(changed), at)
    if to.is_file() or (to.is_dir() and any(to.iterdir())):
        raise RunError("The folder is not empty.", "Choose a new or empty folder for the branch.", to)
    try:
        _make(source, to, new, point, changed)
    except OSError as exc:
        raise RunError(
            f"The branch can't be made ({exc.strerror or exc}).",
            "Choose a folder that you may write to, on a disk with free space.",
            to,
        ) from exc
    return RunDir.open(to)


def with_changes(spec: JobSpec, changes: Mapping[str, Any]) -> JobSpec:
    """A spec with other values of some settings.

    Raises
    ------
    SpecError
        Naming the setting.
    """
    values = spec.model_dump(mode="json")
    for name, value in changes.items():
        _put(values, name, value)
    return codec.resolve_paths(codec.validate(values), Path.cwd())


def _put(values: Any, name: str, value: Any) -> None:
    *way, last = name.split(".")
    place = values
    for step in way:
        place = _below(place, step, name)
    if isinstance(place, list):
        _below(place, last, name)
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value  # what it doesn't know, the spec says itself
    else:
        raise SpecError(f"There is no setting `{name}`.", "`spec.json` in the run's folder holds them all.")


def _below(place: Any, step: str, name: str) -> Any:
    if isinstance(place, dict) and step in place:
        return place[step]
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    counted = f" It has {len(place)}, counted from 0." if isinstance(place, list) else ""
    raise SpecError(
        f"There is no setting `{name}`.{counted}", "`spec.json` in the run's folder holds them all."
    )


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Settings whose values differ, with both."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            below = f"{name}.{key}" if name else key
            yield from _differences(old.get(key, _MISSING), new.get(key, _MISSING), below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _differences(a, b, f"{name}.{i}")
    elif old is _MISSING or new is _MISSING or old != new:
        yield name, (None if old is _MISSING else old, None if new is _MISSING else new)


def _chosen(points: tuple[ForkPoint, ...], changed: tuple[str, ...], at: str | None) -> ForkPoint:
    able = [point for point in points if not any(not bears(point, name) for name in changed)]
    if not able:
        stuck = [name for name in changed if not any(bears(point, name) for point in points)]
        raise SpecError(
            f"A branch can't change `{(stuck or changed)[0]}`: nothing that is kept would stay valid.",
            "Start a new run instead.",
        )
    if at is None:
        return able[0]
    wanted = [point for point in points if point.name == at]
    names = ", ".join(point.name for point in able)
    if not wanted:
        raise RunError(f"The run has kept nothing called `{at}`.", f"It can be branched off at: {names}.")
    if wanted[0] not in able:
        field = next(name for name in changed if not bears(wanted[0], name))
        raise SpecError(
            f"What is kept at `{at}` depends on `{field}`, which is changed.",
            f"Leave it as it is, or branch off at: {names}.",
        )
    return wanted[0]


def _make(
    source: RunDir, to: Path, spec: JobSpec, point: ForkPoint, changed: dict[str, tuple[Any, Any]]
) -> None:
    """Fill a folder beside the wanted one, then give it its name: a branch is whole, or not there."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=to.parent) as made:
        branch = RunDir.create(Path(made) / to.name, spec)
        for path, name in files_of(source, spec, point, tuple(changed)):
            target = branch.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        inputs = _inputs(source, changed)
        if point.name != BEGINNING and inputs:
            # the run refuses to go on from what was computed from files that are others now
            write_json(branch.path / "manifest.json", {"inputs": inputs})
        about = {
            "run": str(source.path),
            "at": point.name,
            "changed": {k: list(v) for k, v in changed.items()},
        }
        write_json(branch.path / PARENT, about)
        if to.is_dir():
            to.rmdir()
        os.rename(branch.path, to)


def _inputs(source: RunDir, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Hashes of the parent's input files, as its manifest has them, without those that are changed."""
    try:
        known = (source.manifest() or {}).get("inputs", {})
    except RunError:
        return {}
    if not isinstance(known, dict):
        return {}
    return {k: v for k, v in known.items() if k not in changed}


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
