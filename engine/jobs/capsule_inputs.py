"""What goes into a run, for its capsule: every file with its hash, where it lies in the zip, what stays out.

A STAR file or a dataset that names stacks of images takes these with it: they lie beside it in the capsule,
where :func:`engine.io.image_references.find_beside` looks first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from engine.errors import InputError, VerglasError
from engine.io.image_references import find_beside
from engine.io.prior_library import locate, shipped_folder
from engine.jobs.manifest import sha256
from engine.specs.codec import input_files
from engine.specs.components import is_prior_name
from engine.specs.job import DpsSpec, JobSpec

FOLDER = "inputs"
LIMIT_BYTES = 50 << 20
"""Inputs that are smaller together are embedded unless it is asked otherwise."""

_NAMES_IMAGES = frozenset({".star", ".lst", ".cs", ".sel", ".doc"})
_SCANNED_BYTES = 256 << 20
_IMAGE_NAME = re.compile(rb"[^\s\x00@\"']+\.(?:mrcs?|st|map|hdf5?|spi|dat|stk)\b")
_OF_RUN = ("poses.csv", "poses.star", "prepared.mrcs", "hand.json")  # not its spec: it names folders


@dataclass
class InputEntry:
    """One input file.

    Attributes
    ----------
    name : in the capsule, beginning with ``inputs/``.
    source : where it lies on this machine; None where it is gone or was changed since the run.
    sha256 : of the content that the run read.
    size : bytes.
    used_as : keys of the spec, or the file that names it.
    embedded : whether the capsule holds it.
    """

    name: str
    source: Path | None
    sha256: str
    size: int
    used_as: list[str]
    embedded: bool = False

    def record(self) -> dict[str, Any]:
        """For ``manifest.json``: nothing of this machine."""
        return {
            "name": self.name, "sha256": self.sha256, "bytes": self.size, "used_as": self.used_as,
            "embedded": self.embedded,
        }  # fmt: skip


@dataclass
class Inputs:
    """All inputs of a run.

    Attributes
    ----------
    places : path as the spec has it -> path in the capsule (a file, or a folder of them).
    prior : facts about the weights of a DPS run's prior, or None.
    notes : what the reader of the capsule should know.
    """

    entries: list[InputEntry] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    prior: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    def embed(self, wanted: bool | None) -> None:
        """Choose whether the capsule holds the files; None decides by their size."""
        there = [e for e in self.entries if e.source is not None]
        whole = sum(e.size for e in there)
        chosen = whole <= LIMIT_BYTES if wanted is None else wanted
        for entry in there:
            entry.embedded = chosen
        if there and not chosen:
            why = f": together {whole / 1e6:.0f} MB" if wanted is None else ""
            self.notes.append(f"Input files are named by their hash, not embedded{why}.")


def file_name(path: str) -> str:
    """The last part of a path of any system."""
    return PureWindowsPath(path).name


def gather_inputs(spec: JobSpec, manifest: dict[str, Any]) -> Inputs:
    """Find and hash what a run has read.

    Parameters
    ----------
    spec : with absolute paths.
    manifest : of the run; the hashes in it are those of what was read.
    """
    found = Inputs()
    known = manifest.get("inputs")
    known = known if isinstance(known, dict) else {}
    taken: dict[str, Path] = {}
    for key, value in input_files(spec).items():
        entry = known.get(key)
        _add(found, taken, key, value, entry if isinstance(entry, dict) else {})
    _add_prior(found, taken, spec, manifest)
    return found


def _add(found: Inputs, taken: dict[str, Path], key: str, value: str, known: dict[str, Any]) -> None:
    if value in found.places:
        for entry in found.entries:
            if entry.name == found.places[value]:
                entry.used_as.append(key)
        return
    path = Path(value)
    if path.is_dir():
        folder = path / "results" if (path / "results" / "poses.csv").is_file() else path
        names = [n for n in _OF_RUN if (folder / n).is_file()] if folder != path else []
        files = [folder / n for n in names] or sorted(p for p in path.iterdir() if p.is_file())
        place = _free(taken, f"{FOLDER}/{file_name(value) or 'folder'}/", *files)
        found.places[value] = place.rstrip("/")
        for file in files:
            found.entries.append(
                InputEntry(f"{place}{file.name}", file, sha256(file), file.stat().st_size, [key])
            )
        return
    companions = _named_images(path)
    digest = known.get("sha256")
    source: Path | None = path
    try:
        now = sha256(path)
    except InputError:
        now, source = "", None
        found.notes.append(f"{path.name} is no longer where the run read it: it is named by its hash.")
    if source is not None and isinstance(digest, str) and now != digest:
        source = None
        found.notes.append(f"{path.name} was changed since the run: the capsule names the one that was read.")
    place = _free(taken, f"{FOLDER}/", path, *companions)
    found.places[value] = place + path.name
    size = known.get("bytes")
    if source is not None:
        size = path.stat().st_size
    beside = [e for e in found.entries if e.name == place + path.name]
    for entry in beside:
        entry.used_as.append(key)
    if not beside:
        found.entries.append(
            InputEntry(
                place + path.name, source, str(digest or now), size if isinstance(size, int) else 0, [key]
            )
        )
    for other in companions:
        name = place + other.name
        named = [e for e in found.entries if e.name == name]
        for entry in named:
            entry.used_as.append(f"named by {path.name}")
        if not named:
            found.entries.append(
                InputEntry(name, other, sha256(other), other.stat().st_size, [f"named by {path.name}"])
            )


def _free(taken: dict[str, Path], folder: str, *files: Path) -> str:
    """A folder of the capsule in which none of the files' names stands for another file."""
    place, number = folder, 1
    while any(taken.get(f"{place}{f.name}".casefold(), f) != f for f in files):
        number += 1
        place = f"{folder.rstrip('/')}/{number}/"
    taken.update({f"{place}{f.name}".casefold(): f for f in files})
    return place


def _named_images(path: Path) -> list[Path]:
    """Stacks of images that a file names, those that are found."""
    if path.suffix.lower() not in _NAMES_IMAGES or not path.is_file():
        return []
    with open(path, "rb") as handle:
        names = {m.decode("utf-8", "replace") for m in _IMAGE_NAME.findall(handle.read(_SCANNED_BYTES))}
    files: dict[str, Path] = {}
    for name in sorted(names):
        try:
            file = find_beside(name, path)
        except VerglasError:
            continue
        files.setdefault(file.name, file)
    return list(files.values())


def _add_prior(found: Inputs, taken: dict[str, Path], spec: JobSpec, manifest: dict[str, Any]) -> None:
    known = manifest.get("prior")
    known = known if isinstance(known, dict) else {}
    if not isinstance(spec, DpsSpec) or spec.prior.kind != "network" or not known:
        return
    weights = spec.prior.weights
    digest = str(known.get("sha256", ""))
    try:
        path: Path | None = locate(weights)
    except VerglasError:
        path = None
    shipped = path is not None and path.parent.absolute() == shipped_folder().absolute()
    name = file_name(str(known.get("path", "prior.safetensors")))
    found.prior = {"name": name, "sha256": digest, "shipped": shipped}
    if not shipped and is_prior_name(weights):  # of the user's library
        same = path is not None and path.is_file() and sha256(path) == digest
        place = _free(taken, f"{FOLDER}/", Path(name) if path is None else path) + name
        found.places[weights] = place
        size = path.stat().st_size if path is not None and same else 0
        found.entries.append(InputEntry(place, path if same else None, digest, size, ["prior, weights"]))
