"""Computing a capsule again: unpacked with care, the same seeds, every number compared. No torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.io.json_files import read_json
from engine.io.prior_library import SHIPPED, shipped_folder
from engine.jobs.capsule_archive import CapsuleArchive
from engine.jobs.capsule_inputs import FOLDER
from engine.jobs.capsule_results import Comparison, compare, results_record
from engine.jobs.manifest import sha256
from engine.jobs.run_dir import RunDir
from engine.specs import codec
from engine.specs.job import JobSpec

_RUN = "run"
_MOST_SEARCHED = 200_000
_TRAININGS = {"train_prior": ("hours", 10_000.0), "train_denoiser": ("minutes", 100_000.0)}
_TOLD = ("verglas", "python", "device", "processor", "threads")
_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "numba")


@dataclass(frozen=True)
class Rerun:
    """A capsule that is ready to be computed again.

    Attributes
    ----------
    spec : with its files in ``folder``.
    run_folder : where the run goes.
    manifest, results : of the capsule.
    notes : what is done otherwise than in the run, and why.
    """

    spec: JobSpec
    run_folder: Path
    manifest: dict[str, Any]
    results: dict[str, Any]
    notes: tuple[str, ...]

    def finished(self) -> bool:
        """Whether the run in the folder has completed already."""
        return (self.run_folder / "spec.json").is_file() and _completed(RunDir.open(self.run_folder))


def _completed(run: RunDir) -> bool:
    outcome = run.outcome()
    return outcome is not None and outcome.type == "completed"


def prepare(
    capsule: str | Path, out: Path, *, inputs: Path | None = None, device: str | None = None
) -> Rerun:
    """Check a capsule and put what its run needs into a folder.

    Parameters
    ----------
    out : folder for the inputs and the run; may hold an earlier attempt at the same.
    inputs : folder in which files that the capsule only names are looked for, by their hash.
    device : where to compute, instead of where the run did.

    Raises
    ------
    InputError
        If the capsule was changed, is hostile, or inputs are missing: they are named.
    SpecError
        If its description can't be carried out.
    """
    archive = CapsuleArchive(capsule)
    manifest, results = _object(archive, "manifest.json"), _object(archive, "results.json")
    if manifest.get("capsule_version") != 1:
        raise InputError("This capsule is of another version of Verglas.", "Use a newer Verglas.", capsule)
    out = out.absolute()
    if out.is_dir() and any(out.iterdir()) and not (out / "spec.toml").is_file():
        raise InputError("The folder is not empty and holds no rerun.", "Choose a new folder.", out)
    text = archive.read("spec.toml")
    if (out / "spec.toml").is_file() and (out / "spec.toml").read_bytes() != text:
        raise InputError("The folder holds the rerun of another capsule.", "Choose a new folder.", out)
    archive.unpack("spec.toml", out / "spec.toml")
    spec = codec.load_spec(out / "spec.toml")
    within = (out / FOLDER).resolve()
    for key, value in codec.input_files(spec).items():
        if not Path(value).resolve().is_relative_to(within) and not _ours(Path(value), within):
            raise InputError(f"Its description names a file outside of the capsule (`{key}`).", "", capsule)
    _require_prior(manifest, Path(capsule))
    _place_inputs(archive, manifest, out, inputs)
    spec, notes = _same_amount(spec, results, manifest)
    if device is not None:
        spec = codec.validate(spec.model_dump(mode="json") | {"device": device})
    return Rerun(spec, out / _RUN, manifest, results, notes)


def _ours(path: Path, within: Path) -> bool:
    """Whether a name lies in the folder of inputs as written: links there were made by us."""
    return ".." not in path.parts and path.absolute().is_relative_to(within)


def _object(archive: CapsuleArchive, name: str) -> dict[str, Any]:
    try:
        found = json.loads(archive.read(name))
    except (ValueError, RecursionError) as exc:
        raise InputError(f"Its {name} is damaged.", "Get the capsule again.", archive.path) from exc
    if not isinstance(found, dict):
        raise InputError(f"Its {name} is damaged.", "Get the capsule again.", archive.path)
    return found


def _require_prior(manifest: Mapping[str, Any], capsule: Path) -> None:
    prior = manifest.get("prior")
    if not isinstance(prior, dict) or not prior.get("shipped"):
        return
    name = str(prior.get("name", SHIPPED)).replace("\\", "/").rsplit("/", 1)[-1]
    path = shipped_folder() / name
    if not path.is_file() or sha256(path) != prior.get("sha256"):
        raise InputError(
            f"It was computed with a prior {name} that this Verglas doesn't have.",
            f"Use Verglas {manifest.get('verglas')}.",
            capsule,
        )


def _place_inputs(
    archive: CapsuleArchive, manifest: Mapping[str, Any], out: Path, given: Path | None
) -> None:
    entries = manifest.get("inputs")
    entries = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    missing: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name = str(entry.get("name", ""))
        if not name.startswith(f"{FOLDER}/") or ".." in name or "\\" in name or ":" in name:
            raise InputError(f"It names an input outside of its folder: {name[:80]!r}.", "", archive.path)
        if name in archive.names:
            archive.unpack(name, out / name)
        elif not (out / name).is_file() or sha256(out / name) != entry.get("sha256"):
            missing[name] = entry
    if given is not None and missing:
        _find(missing, given, out)
    if missing:
        words = "; ".join(
            f"{n.rsplit('/', 1)[-1]} ({e.get('bytes', 0):,} bytes, sha256 {str(e.get('sha256'))[:12]}…)"
            for n, e in sorted(missing.items())
        )
        where = f"They are not in {given}." if given else "Give their folder: --inputs DIR."
        raise InputError(
            f"The capsule doesn't hold these inputs: {words}.",
            f"{where} They are found by content, whatever their names.",
            archive.path,
        )


def _find(missing: dict[str, dict[str, Any]], folder: Path, out: Path) -> None:
    """Link the missing files from a folder, found by size and hash; those found are taken out."""
    if not folder.is_dir():
        raise InputError("There is no such folder.", "Give the folder of the inputs.", folder)
    sizes = {e.get("bytes") for e in missing.values()}
    for number, path in enumerate(sorted(folder.rglob("*"))):
        if not missing or number > _MOST_SEARCHED:
            return
        if not path.is_file() or (path.stat().st_size not in sizes and 0 not in sizes):
            continue
        digest = sha256(path)
        for name in [n for n, e in missing.items() if e.get("sha256") == digest]:
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.symlink(path.absolute(), target)
            except OSError:  # Windows without the right to
                shutil.copyfile(path, target)
            del missing[name]


def _same_amount(
    spec: JobSpec, results: Mapping[str, Any], manifest: Mapping[str, Any]
) -> tuple[JobSpec, tuple[str, ...]]:
    """A training that a clock ended makes as many steps as it made then."""
    if spec.kind not in _TRAININGS:
        return spec, ()
    key, longest = _TRAININGS[spec.kind]
    steps = manifest.get("steps")
    if not isinstance(steps, int) or steps < 1:
        return spec, (f"The run's number of steps isn't known: the rerun also stops by its {key}.",)
    changed = codec.validate(spec.model_dump(mode="json") | {key: longest, "max_steps": steps})
    by_clock = getattr(spec, "max_steps", 0) > steps
    note = f"The training makes the {steps:,} steps that it made then"
    if by_clock:
        note += "; a clock ended it, and its learning rate followed that clock, so weights will differ"
    return changed, (note + ".",)


def circumstances(manifest: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is other than in the capsule's run, in words: versions, device, processor, threads."""
    found = [
        f"{key}: {manifest.get(key)} then, {now.get(key)} now"
        for key in _TOLD
        if manifest.get(key) is not None and manifest.get(key) != now.get(key)
    ]
    old, new = manifest.get("packages"), now.get("packages")
    if isinstance(old, dict) and isinstance(new, dict):
        found += [
            f"{key}: {old.get(key)} then, {new.get(key)} now"
            for key in _PACKAGES
            if key in old and old.get(key) != new.get(key)
        ]
    return found


def judge(ready: Rerun) -> tuple[Comparison, list[str]]:
    """Compare the finished run with the capsule; also what is other than it was then.

    Raises
    ------
    VerglasError
        If its results are damaged.
    """
    now = read_json(ready.run_folder / "manifest.json")
    others = circumstances(ready.manifest, now)
    elsewhere = any(not line.startswith(("threads", "python")) for line in others)
    record = results_record(ready.run_folder / "results")
    return compare(ready.results, record, elsewhere=elsewhere), others
