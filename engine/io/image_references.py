"""Files that name images in other files: where those lie, and what the naming file knows about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError

_LEVELS_UP = 4
_SHOWN = 3


@dataclass(frozen=True)
class ImageReferences:
    """Images by file name and index, as a STAR file, a cryoSPARC dataset or an EMAN list gives them.

    Attributes
    ----------
    names : (n,) per image the file as it is written.
    indices : (n,) 0-based index in that file, int32.
    pixel_size_A : Å; 0 where the file doesn't say.
    counts : (n,) particles per image, or None.
    resolutions_A : (n,) Å, NaN where it is not known, or None.
    notes : what was assumed, one sentence each.
    """

    names: tuple[str, ...]
    indices: NDArray[np.int32]
    pixel_size_A: float = 0.0
    counts: NDArray[np.float64] | None = None
    resolutions_A: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> str:
        """The named files for people: at most three of them."""
        stacks = list(dict.fromkeys(self.names))
        more = f" and {len(stacks) - _SHOWN} more" if len(stacks) > _SHOWN else ""
        return ", ".join(stacks[:_SHOWN]) + more


def find_beside(name: str, path: Path) -> Path:
    """The file that another file names.

    Programs write names relative to the project's folder, and files move. A file of that name beside
    ``path`` is taken first, then the relative name under ``path``'s folder and the folders above it, up to
    four, which is how deep RELION and cryoSPARC keep their jobs in a project. Absolute names and ``..`` are
    never followed: only their last part counts. Nor is a relative name looked for from the root of the file
    system or the folder of all users' folders, which are nobody's project, nor one with hidden folders in it.
    Links that the user has put into the project are followed, as RELION's imports make them.

    Parameters
    ----------
    name : as written.
    path : the file that names it.

    Raises
    ------
    InputError
        If no such file is there.
    """
    # cryoSPARC marks names relative to the project by a leading >.
    given = PurePosixPath(name.strip().lstrip(">").replace("\\", "/"))
    parts = [] if given.is_absolute() or ".." in given.parts else [p for p in given.parts if ":" not in p]
    last = given.name
    if not last or last == ".." or "\x00" in name:
        raise InputError(f"It names no file of images: {name[:80]!r}.", "Export it anew.", path)
    folder = path.resolve().parent
    places = [folder / last]
    if parts and not any(part.startswith(".") for part in parts):
        places += [above.joinpath(*parts) for above in _projects(folder)]
    for place in places:
        try:
            if place.is_file():
                return place
        except OSError:
            continue
    outside = " Names that lead out of its project are not followed." if not parts else ""
    raise InputError(
        f"The file of images that it names is not there: {name[:120]}.{outside}",
        f"Put {last[:80]} beside {path.name}, or open the stack itself.",
        path,
    )


def _projects(folder: Path) -> list[Path]:
    """The folder and those above it that may be a project's."""
    homes = Path.home().parent
    near = [folder, *folder.parents][: _LEVELS_UP + 1]
    return [place for place in near if place != homes and place != place.parent]
