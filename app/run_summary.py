"""What a list of runs shows of each: read from the ends of small files, away from the GUI thread."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.next_steps import RESUME, steps_for
from engine.errors import VerglasError
from engine.events import TERMINAL, Event, Failed, Progress, Started, from_line
from engine.io.volumes import OF_VOLUMES
from engine.jobs import run_lock
from engine.jobs.fork import parent_of
from engine.jobs.run_dir import RunDir
from engine.specs import codec

STATES = ("running", "waiting", "paused", "completed", "failed", "cancelled", "interrupted", "damaged")
LIVE = ("running", "paused", "waiting")
"""States of runs that a process holds: it computes, was asked to pause, or waits for its turn."""
UNFINISHED = ("failed", "cancelled", "interrupted")
KINDS = {
    "dps": "Points",
    "sds": "Volumes",
    "train_denoiser": "2D denoiser",
    "train_prior": "Prior",
    "known_poses": "Known poses",
}
_LARGEST_SPEC = 4_000_000
_HEAD, _TAIL = 1 << 13, 1 << 16
WAITS = "Waiting for "
"""How the stage of a run begins that waits for its turn on a device."""
_ENDS = tuple(f'{{"type": "{kind.type}"'.encode() for kind in TERMINAL)


@dataclass(frozen=True)
class Part:
    """A result of a run that can be opened by itself.

    Attributes
    ----------
    key : of the map as :class:`app.maps_view.MapsView` names it; empty for what isn't a map.
    """

    title: str
    path: Path
    key: str = ""


@dataclass(frozen=True)
class RunSummary:
    """One run in a list.

    Attributes
    ----------
    stamp : sizes and times of its files; the same stamp means that nothing has changed.
    created : seconds since the epoch.
    seconds : how long it took; None while it is not known.
    problem : why it failed or can't be read, in words.
    inputs : files that it names.
    steps : what usually comes next: key, title and tip of each hint.
    haystack : what searching looks through, in lower case.
    parent : folder of the run that it branched off from, by its name; empty for none.
    branch : where it did and with what changed, in words.
    picture : the file that its thumbnail is made from, or None.
    """

    folder: Path
    stamp: tuple[Any, ...] = ()
    kind: str = ""
    title: str = ""
    state: str = "damaged"
    created: float = 0.0
    seconds: float | None = None
    device: str = ""
    seed: int | None = None
    problem: str = ""
    inputs: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    picture: Path | None = None
    parent: str = ""
    branch: str = ""
    steps: tuple[tuple[str, str, str], ...] = ()
    haystack: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """What it is called unless the user says otherwise."""
        return self.title or self.folder.name


def list_runs(folder: Path, known: dict[Path, RunSummary]) -> list[RunSummary]:
    """Runs of a folder, newest first. Those of ``known`` that haven't changed are not read again."""
    try:
        entries = [Path(e.path) for e in os.scandir(folder) if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return []
    found = [_summary(path, known.get(path)) for path in entries if (path / "spec.json").is_file()]
    return sorted(found, key=lambda run: (-run.created, run.folder.name))


def summary_of(folder: Path) -> RunSummary:
    """One run."""
    return _summary(folder, None)


def _summary(folder: Path, known: RunSummary | None) -> RunSummary:
    stamp = _stamp(folder)
    # a lock says nothing when its process dies, so a live run is always looked at again
    if known is not None and known.stamp == stamp and known.state not in LIVE:
        return known
    try:
        return _read(folder, stamp)
    except (OSError, ValueError, RecursionError) as exc:
        return RunSummary(
            folder, stamp, created=_time_of(folder / "spec.json"), problem=f"This run can't be read ({exc}).",
            haystack=folder.name.lower(),
        )  # fmt: skip


def _read(folder: Path, stamp: tuple[Any, ...]) -> RunSummary:
    spec_file = folder / "spec.json"
    if spec_file.stat().st_size > _LARGEST_SPEC:
        raise ValueError("spec.json is too large")
    text = spec_file.read_text(encoding="utf-8")
    spec = json.loads(text)
    if not isinstance(spec, dict):
        raise ValueError("spec.json holds no settings")
    kind = str(spec.get("kind", ""))
    started, ended, last = _ends(folder / "events.jsonl")
    holder = run_lock.read_holder(folder / "lock")
    state = "interrupted" if ended is None else ended.type
    if ended is None and holder is not None and holder.alive:
        state = _live(folder, last)
    seed = spec.get("seed")
    seconds = getattr(ended, "seconds", None)
    if seconds is None and started is not None and ended is not None:
        seconds = ended.time - started.time
    parts = tuple(_parts(folder / "results", kind))
    steps = _steps(folder, text) if state == "completed" else ()
    if state in UNFINISHED:
        steps = ((RESUME.key, RESUME.title, RESUME.tip),)
    parent = parent_of(RunDir(folder))
    flat = " ".join(f"{key} {value}" for key, value in flatten(spec) if value not in ("", None))
    return RunSummary(
        folder=folder,
        stamp=stamp,
        kind=kind,
        title=str(spec.get("title") or ""),
        state=state,
        created=started.time if started is not None else _time_of(spec_file),
        seconds=seconds,
        device=started.device if isinstance(started, Started) else str(spec.get("device", "")),
        seed=seed if isinstance(seed, int) else None,
        problem=ended.message if isinstance(ended, Failed) else "",
        inputs=tuple(_files(spec)),
        parts=parts,
        picture=_picture(folder, kind),
        parent=Path(parent.run).name if parent is not None else "",
        branch=parent.words if parent is not None else "",
        steps=steps,
        haystack=f"{folder.name} {KINDS.get(kind, kind)} {state} {flat}".lower(),
    )


def flatten(values: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value of nested tables with its key, e.g. ``distillation.steps``."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from flatten(value, f"{where}.{key}" if where else str(key))
    elif isinstance(values, list) and any(isinstance(item, dict | list) for item in values):
        for number, value in enumerate(values, 1):
            yield from flatten(value, f"{where} {number}")
    else:
        yield where, values


def _files(spec: dict[str, Any]) -> Iterator[str]:
    """Absolute paths that a spec names, without building it: names of priors are no paths."""
    for key, value in flatten(spec):
        if isinstance(value, str) and key.rpartition(".")[2] != "title" and os.path.isabs(value):
            yield value


def _live(folder: Path, last: Event | None) -> str:
    """What a run does that a process holds, by the last thing that it has said."""
    if (folder / "pause").exists():
        return "paused"
    waits = isinstance(last, Progress) and last.stage.startswith(WAITS)
    return "waiting" if waits else "running"


def _ends(path: Path) -> tuple[Event | None, Event | None, Event | None]:
    """The first event, the terminal one, and the last one, without reading what lies between."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(_HEAD)
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - _TAIL))
            tail = handle.read()
    except FileNotFoundError:
        return None, None, None
    first = None
    for line in head.split(b"\n", 4)[:4]:
        if line.startswith(b'{"type": "started"'):
            first = _event(line)
            break
    whole = tail[: tail.rfind(b"\n") + 1]
    lines = whole.splitlines()
    end = next((_event(line) for line in reversed(lines) if line.startswith(_ENDS)), None)
    return first, end, _event(lines[-1]) if lines else None


def _event(line: bytes) -> Event | None:
    try:
        return from_line(line.decode())
    except ValueError:
        return None


def _steps(folder: Path, text: str) -> tuple[tuple[str, str, str], ...]:
    try:
        spec = codec.from_json(text)
    except VerglasError:
        return ()
    return tuple((step.key, step.title, step.tip) for step in steps_for(spec, folder))


def _parts(results: Path, kind: str) -> Iterator[Part]:
    """Results in the order in which one wants to see them."""
    known = kind == "known_poses"
    main = ("Volume", "map:Volume") if known else ("Consensus map", "map:Consensus")
    named = (
        ("ensemble.npz", "Ensemble of points", ""),
        ("fine.npz", "Finer clouds", ""),
        ("map.mrc", "Density map", ""),
        ("consensus.mrc", *main),
        ("least_squares.mrc", "Least squares", "map:Least squares"),
        ("prior_fraction.mrc", "Share supplied by the prior", ""),
        ("half_1.mrc", "Half map 1", "map:Half map 1"),
        ("half_2.mrc", "Half map 2", "map:Half map 2"),
        ("motion.mrc", "Density change", ""),
        ("prepared.mrcs", "Images as used" if known else "Class averages as used", ""),
        ("projections.mrcs", "Projections at their poses", ""),
        ("poses.star", "Poses", ""),
        ("denoiser.safetensors", "Denoiser", ""),
        ("prior.safetensors", "Prior", ""),
    )
    for name, title, key in named:
        if (results / name).is_file():
            yield Part(title, results / name, key)
    for path in sorted((results / "volumes").glob("volume_[0-9]*.mrc")):
        number = path.stem.partition("_")[2]
        if number.isdecimal():
            yield Part(f"Volume {int(number)}", path, f"volume:{int(number)}")


def _picture(folder: Path, kind: str) -> Path | None:
    results = folder / "results"
    for name in ("ensemble.npz", "consensus.mrc"):
        if (results / name).is_file():
            return results / name
    maps = dict.fromkeys(OF_VOLUMES, ("map_*.npy",))
    patterns = {"train_denoiser": ("images_*.npy",), **maps}.get(kind, ("*.npy",))
    for pattern in patterns:
        newest = max((folder / "snapshots").glob(pattern), key=_time_of, default=None)
        if newest is not None:
            return newest
    prepared = results / "prepared.mrcs"
    return prepared if prepared.is_file() else None


def _stamp(folder: Path) -> tuple[Any, ...]:
    names = ("spec.json", "events.jsonl", "lock", "results", "results/volumes", "snapshots")
    return tuple(_look(folder / name) for name in names)


def _look(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
