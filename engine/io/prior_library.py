"""The priors at hand: those that come with Verglas, and the user's own in their data folder. No torch.

A prior is a safetensors file; its name is the file's without the suffix. What is known of it is read
from the file's header. Nothing here trusts a file: a damaged one is listed with the reason.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import platformdirs

from engine.errors import InputError, PriorError, VerglasError
from engine.io.atomic import atomic_path
from engine.io.streams import check_file
from engine.io.weights_header import IMAGE_DENOISER_FORMAT, read_header
from engine.specs.components import is_prior_name

PRIOR_FORMAT: Final = "verglas-prior-1"
SHIPPED: Final = "complexes-equivariant.safetensors"  # the one that specs call `shipped`
FOLDER_VARIABLE: Final = "VERGLAS_PRIORS"
SUFFIX: Final = ".safetensors"
MAX_BYTES: Final = 8 << 30  # more than any prior; what is larger is not read to be hashed
_WINDOWS_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_RESERVED = frozenset({"shipped", "gaussian", "none"})
_NAME_ADVICE = "Take letters, digits, spaces and . _ + -, beginning with a letter or a digit, at most 60."
_HEADING = re.compile(r"^# .*$", re.MULTILINE)


@dataclass(frozen=True)
class PriorEntry:
    """A prior of the library.

    Attributes
    ----------
    name : as run descriptions name it; ``weights`` says how the default one is named.
    shipped : whether it comes with Verglas.
    card : what the file says about itself, as in :class:`engine.priors.checkpoint.PriorCard`; values
        are as they were found and may be of any kind.
    parameters : number of values in the file.
    size : bytes.
    sha256 : of the file, hex; empty if it could not be read.
    problem : why it can't be used, in words; empty if it can.
    """

    name: str
    path: Path
    shipped: bool = False
    card: dict[str, Any] = field(default_factory=dict)
    parameters: int = 0
    size: int = 0
    sha256: str = ""
    problem: str = ""

    @property
    def weights(self) -> str:
        """What to write as a prior's ``weights`` in a run description."""
        return "shipped" if self.shipped and self.path.name == SHIPPED else self.name

    @property
    def trained(self) -> dict[str, Any]:
        """Facts about the training; empty if the card has none."""
        found = self.card.get("trained")
        return found if isinstance(found, dict) else {}


def shipped_folder() -> Path:
    """Where the priors are that come with Verglas."""
    return Path(str(resources.files("resources") / "priors"))


def user_folder() -> Path:
    """Where the user's own priors are kept; it need not exist yet."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    return Path(platformdirs.user_data_dir("verglas", appauthor=False)) / "priors"


def list_priors() -> list[PriorEntry]:
    """All priors: the shipped ones first, the default at the top, then the user's by name.

    Files that can't be used are listed with the reason.
    """
    shipped = sorted(_files(shipped_folder()), key=lambda path: (path.name != SHIPPED, path.name))
    own = sorted(_files(user_folder()), key=lambda path: path.name.casefold())
    return [_described(path, shipped=True) for path in shipped] + [
        _described(path, shipped=False) for path in own
    ]


def describe(path: str | Path) -> PriorEntry:
    """What a weights file outside the library says about itself; its name is the file's.

    Raises
    ------
    PriorError
        If it is missing, damaged or no prior.
    """
    path = Path(path)
    shipped = path.absolute().parent == shipped_folder().absolute()
    entry = _described(path, shipped=shipped)
    if entry.problem:
        raise PriorError(entry.problem, "Take a file that `verglas train prior` has written.", path)
    return entry


def find(name: str) -> PriorEntry:
    """The prior of this name; ``shipped`` is the default one.

    Raises
    ------
    PriorError
        If there is none.
    """
    if name == "shipped":
        return _described(shipped_folder() / SHIPPED, shipped=True)
    for folder, shipped in ((shipped_folder(), True), (user_folder(), False)):
        for path in _files(folder):
            if path.stem == name:
                return _described(path, shipped=shipped)
    raise PriorError(
        f"There is no prior named `{name}`.",
        "`verglas priors` lists those that there are; a file is given with its suffix .safetensors.",
    )


def locate(weights: str) -> Path:
    """The file behind a prior's ``weights`` in a run description: ``shipped``, a name, or a path.

    Raises
    ------
    PriorError
        If it is a name that the library doesn't have.
    """
    if weights == "shipped":
        return shipped_folder() / SHIPPED
    return find(weights).path if is_prior_name(weights) else Path(weights)


def name_problem(name: str) -> str:
    """Why a prior can't be kept under this name, in words; empty if it can."""
    if not is_prior_name(name) or _WINDOWS_NAMES.fullmatch(name):
        return f"`{name}` can't be a prior's name. {_NAME_ADVICE}" if name else f"Give a name. {_NAME_ADVICE}"
    if name.casefold() in _RESERVED:
        return f"`{name}` has a meaning of its own in run descriptions. Take another name."
    # also in other capitals: file systems differ in whether these are two files
    for folder, whose in ((shipped_folder(), "A prior that comes with Verglas"), (user_folder(), "A prior")):
        if any(path.stem.casefold() == name.casefold() for path in _files(folder)):
            return f"{whose} is named `{name}` already. Take another name."
    return ""


def keep(path: str | Path, name: str) -> PriorEntry:
    """Copy a weights file into the user's library, whole or not at all.

    Parameters
    ----------
    path : safetensors file that ``verglas train prior`` has written.
    name : of the prior in the library; see :func:`engine.specs.components.is_prior_name`.

    Raises
    ------
    InputError
        If the name can't be used or is taken.
    PriorError
        If the file is missing, damaged or no prior.
    VerglasError
        If the library can't be written.
    """
    problem = name_problem(name)
    if problem:
        raise InputError(problem)
    path = Path(path)
    describe(path)
    target = user_folder() / f"{name}{SUFFIX}"
    with atomic_path(target) as temporary:
        shutil.copyfile(path, temporary)
    return _described(target, shipped=False)


def remove(name: str) -> Path:
    """Delete one of the user's priors; the file that is gone.

    Raises
    ------
    PriorError
        If there is none of this name, it comes with Verglas, or can't be deleted.
    """
    own = next((path for path in _files(user_folder()) if path.stem == name), None)
    if own is None:
        if name == "shipped" or any(path.stem == name for path in _files(shipped_folder())):
            raise PriorError(f"`{name}` comes with Verglas and can't be removed.")
        raise PriorError(f"There is no prior named `{name}`.", "`verglas priors` lists those that there are.")
    try:
        own.unlink()
    except OSError as exc:
        raise PriorError(f"The prior can't be removed ({exc.strerror or exc}).", "", own) from exc
    return own


def card_text(entry: PriorEntry) -> str:
    """The written model card of a shipped prior, Markdown without its heading; empty if there is none."""
    if not entry.shipped:
        return ""
    try:
        text = (shipped_folder() / "README.md").read_text(encoding="utf-8")
    except OSError:
        return ""
    headings = [*_HEADING.finditer(text)]
    ends = [*(match.start() for match in headings[1:]), len(text)]
    parts = [(m.group(), text[m.end() : end].strip()) for m, end in zip(headings, ends, strict=True)]
    return next((body for heading, body in parts if entry.path.name in heading), "")


def _files(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if p.suffix.lower() == SUFFIX and not p.name.startswith(".")]
    except OSError:  # not made yet, or closed to this user: then there are none to be had
        return []


def _described(path: Path, *, shipped: bool) -> PriorEntry:
    try:
        path = check_file(path)
        size = path.stat().st_size
        header = read_header(path)
        problem = ""
        if header.form == IMAGE_DENOISER_FORMAT:
            problem = "This is a denoiser of images, not a prior of point clouds."
        elif header.form != PRIOR_FORMAT:
            problem = "These are weights, but not of a Verglas prior."
        elif size > MAX_BYTES:
            problem = "The file is far too large for a prior."
        if problem:
            return PriorEntry(path.stem, path, shipped, size=size, problem=problem)
        digest = _sha256(path, size, path.stat().st_mtime_ns)
        return PriorEntry(path.stem, path, shipped, header.card, header.parameters, size, digest)
    except VerglasError as exc:
        return PriorEntry(path.stem, path, shipped, problem=exc.problem)
    except OSError as exc:
        return PriorEntry(
            path.stem, path, shipped, problem=f"The file can't be read ({exc.strerror or exc})."
        )


@lru_cache(maxsize=64)
def _sha256(path: Path, _size: int, _changed: int) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
