"""What a run was made with: versions, device, seeds, and a hash of every file that went in."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.errors import InputError, RunError
from engine.io.atomic import write_text
from engine.jobs.run_dir import RunDir
from engine.specs.codec import input_files
from engine.specs.job import JobSpec

MANIFEST_VERSION = 1
_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "gemmi",
    "mrcfile",
    "starfile",
    "pydantic",
    "safetensors",
)


def version() -> str:
    """Verglas's own version."""
    return installed("verglas") or "0+unknown"


def installed(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def sha256(path: str | Path) -> str:
    """Hex digest of a file, read in pieces.

    Raises
    ------
    InputError
        If the file is missing or can't be read.
    """
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError as exc:
        raise InputError("There is no such file.", "Check its name in the run description.", path) from exc
    except IsADirectoryError as exc:
        raise InputError("This is a folder, but a file is needed.", "", path) from exc
    except OSError as exc:
        raise InputError(
            f"The file can't be read ({exc.strerror or exc}).", "Check its rights.", path
        ) from exc


def processor() -> str:
    """The processor's model in words; empty where the system doesn't say."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as handle:
            found = next((line.partition(":")[2].strip() for line in handle if "model name" in line), "")
    except OSError:
        found = ""
    return found or platform.processor()


def threads() -> int | None:
    """Threads that torch computes with in this process, without loading it; None where it isn't loaded."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def write_manifest(run: RunDir, spec: JobSpec, *, device: str, prior: Path | None) -> None:
    """Write ``manifest.json``.

    Parameters
    ----------
    device : in words.
    prior : the weights that the run uses, also where the spec says `shipped`; None for none.

    Raises
    ------
    InputError
        If a file that the spec names is missing.
    """
    inputs = {key: _input(Path(value)) for key, value in input_files(spec).items()}
    content: dict[str, Any] = {
        "manifest_version": MANIFEST_VERSION,
        "verglas": version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "threads": threads(),
        "packages": {name: installed(name) for name in _PACKAGES},
        "device": device,
        "seed": spec.seed,
        "inputs": inputs,
        "prior": None if prior is None else {"path": str(prior), "sha256": sha256(prior)},
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    write_text(run.path / "manifest.json", json.dumps(content, indent=2) + "\n")


def changed_inputs(run: RunDir) -> tuple[str, ...]:
    """Names of input files that are not what the manifest says: changed, or no longer there."""
    try:
        known = (run.manifest() or {}).get("inputs", {})
    except RunError:
        return ()
    if not isinstance(known, dict):
        return ()
    return tuple(Path(entry["path"]).name for entry in known.values() if _path_of(entry) and _differs(entry))


def require_same_inputs(run: RunDir, spec: JobSpec) -> None:
    """Refuse to go on with a run whose input files are others than when it began.

    Raises
    ------
    InputError
        Naming the file, if the run has already kept something that was computed from the old one.
    """
    kept = any(any((run.path / name).iterdir()) for name in ("checkpoints", "results"))
    named = {Path(path).absolute() for path in input_files(spec).values()}
    content = (run.manifest() or {}).get("inputs", {}) if kept else {}
    for entry in content.values() if isinstance(content, dict) else ():
        path = _path_of(entry)
        if path is not None and path.absolute() in named and path.exists() and _differs(entry):
            raise InputError(
                "This file is not what it was when the run began.",
                "Put the old one back to go on, or run the new one in another folder.",
                path,
            )


def _path_of(entry: Any) -> Path | None:
    path = entry.get("path") if isinstance(entry, dict) else None
    return Path(path) if isinstance(path, str) else None


def _differs(entry: dict[str, Any]) -> bool:
    try:
        return {k: v for k, v in _input(Path(entry["path"])).items() if k in entry} != entry
    except (InputError, OSError):
        return True


def _input(path: Path) -> dict[str, Any]:
    """A file, or a folder of images with the files in it."""
    if not path.is_dir():
        return {"path": str(path), "sha256": sha256(path), "bytes": path.stat().st_size}
    files = sorted(p for p in path.iterdir() if p.is_file())
    return {"path": str(path), "files": {p.name: sha256(p) for p in files}}
