"""Is what is installed what was locked? Versions, hashes of files, and whether the lock fits pyproject.toml.

``make audit`` compares every installed distribution with packaging/requirements.lock, and every installed
file with the hash that its distribution's RECORD gives. It needs no network, so it knows nothing of
advisories: ``pip-audit -r packaging/requirements.lock --no-deps --disable-pip`` asks PyPI for those.
"""

# ruff: noqa: T201 - a script
from __future__ import annotations

import base64
import hashlib
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "packaging" / "requirements.lock"
OWN = {"verglas"}
TOOLS = {"pip", "setuptools"}
"""What makes the virtual environment; no part of Verglas."""
EXTRAS = ("dev",)
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+?)(?:\s*;\s*(.+?))?\s*\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass
class Locked:
    """One entry of the lock: a package, for the platforms of its marker."""

    name: str
    version: str
    marker: str
    hashes: set[str]

    @property
    def here(self) -> bool:
        """Whether it is for this platform."""
        return not self.marker or Marker(self.marker).evaluate()


def read_lock(path: Path = LOCK) -> list[Locked]:
    """The entries of the lock. Raises ValueError for a line that is none."""
    entries: list[Locked] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if found := _ENTRY.match(text):
            entries.append(Locked(canonicalize_name(found[1]), found[2], found[3] or "", set()))
        elif entries and (hashes := _HASH.findall(text)):
            entries[-1].hashes.update(hashes)
        else:
            raise ValueError(f"{path.name}, line {number}: {text[:80]!r} is neither a package nor a hash")
    return entries


def wanted(pyproject: Path = ROOT / "pyproject.toml") -> list[Requirement]:
    """What pyproject.toml asks for, development included."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = [text for name in EXTRAS for text in project["optional-dependencies"][name]]
    return [Requirement(text) for text in [*project["dependencies"], *extras]]


def stale(entries: list[Locked], requirements: Iterable[Requirement]) -> list[str]:
    """Why the lock isn't one of these requirements."""
    versions = {entry.name: entry.version for entry in entries}
    problems = [f"{entry.name}: the lock has no hash" for entry in entries if not entry.hashes]
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name not in versions:
            problems.append(f"{name}: asked for by pyproject.toml, not in the lock")
        elif not requirement.specifier.contains(versions[name], prereleases=True):
            problems.append(
                f"{name}: locked at {versions[name]}, but pyproject.toml asks for {requirement.specifier}"
            )
    return problems


def differing(entries: list[Locked], installed: dict[str, str]) -> tuple[list[str], list[str]]:
    """Problems and remarks: what is installed (name: version) and not locked so, or the reverse."""
    problems, remarks = [], []
    here = {entry.name: entry.version for entry in entries if entry.here}
    for name, version in sorted(installed.items()):
        if name in OWN | TOOLS:
            continue
        if name not in here:
            problems.append(f"{name} {version}: installed, but not in the lock")
        elif Version(version).public != here[name]:
            problems.append(f"{name} {version}: the lock has {here[name]}")
        elif Version(version).local:
            remarks.append(f"{name} {version}: a build of its own, whose hash the lock doesn't know")
    missing = sorted(set(here) - set(installed))
    if missing:
        remarks.append(f"locked for this platform, not installed: {', '.join(missing)}")
    return problems, remarks


def changed_files(distribution: Distribution) -> tuple[int, list[str]]:
    """How many installed files were compared with their distribution's RECORD, and those that differ."""
    compared, changed = 0, []
    for file in distribution.files or ():
        if file.hash is None or file.hash.mode != "sha256" or file.suffix == ".pyc":
            continue  # compiled anew by each Python
        compared += 1
        try:
            with open(str(file.locate()), "rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").digest()
        except OSError:
            changed.append(f"{file}: gone")
            continue
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != file.hash.value:
            changed.append(f"{file}: not what was installed")
    return compared, changed


def main() -> int:
    """Compare and tell; 1 if anything is not as it should be."""
    entries = read_lock()
    found = {canonicalize_name(d.metadata["Name"]): d for d in distributions()}
    problems, remarks = differing(entries, {name: d.version for name, d in found.items()})
    problems += stale(entries, wanted())
    compared = 0
    for name, distribution in sorted(found.items()):
        if name not in OWN:
            count, changed = changed_files(distribution)
            compared += count
            problems += [f"{name}: {text}" for text in changed]
    for text in remarks:
        print(f"Note: {text}.")
    for text in problems:
        print(f"Problem: {text}.")
    outcome = f"{len(problems)} problems" if problems else "all as locked"
    print(
        f"{len(found)} distributions, {compared:,} files compared; {len(entries)} packages locked: {outcome}."
    )
    print("Advisories are not looked up here: pip-audit does so, where PyPI can be reached.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
