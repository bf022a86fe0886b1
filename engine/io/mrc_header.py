"""What an MRC header says, what it should have said, and what was assumed instead.

Headers in the wild lack the MAP stamp, swap bytes without saying so, leave the pixel size at zero
and carry leftovers of other programs. This module reads the 1024 bytes tolerantly, writes every
assumption down as a sentence, and refuses only what can't be interpreted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import dtype_from_mode

from engine import conventions
from engine.errors import InputError
from engine.io.limits import MAX_EDGE, MAX_VOXELS, PIXEL_SIZE_RANGE_A
from engine.io.streams import refuse_foreign

HEADER_BYTES = 1024
_STAMPS = {0x44: "<", 0x11: ">"}
_KNOWN_MODES = (0, 1, 2, 3, 4, 6, 12, 101)
_MAX_EXTENDED = 64 << 20
_IMOD_STAMP = 1146047817
_COPY_AGAIN = "Copy or download it again, or export it anew from the program that made it."

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class MrcHeader:
    """The interpreted header of one file.

    Attributes
    ----------
    shape : sections, rows, columns as stored.
    dtype : of one stored value, byte order included.
    extended_bytes : between the header and the data.
    axes : which of x, y, z (0, 1, 2) columns, rows and sections run along.
    spacing_A : xyz, Å; 0 where the header doesn't say or says something impossible.
    spacing_problem : one sentence where the header's spacing is impossible, else empty.
    nstart : xyz, voxels.
    origin_field_A : xyz, Å, the ORIGIN words; zeros where they can't be trusted.
    skewed : whether the cell is not orthogonal.
    ispg : space group number: 0 stack, 1 volume, if the writer was careful.
    sections_per_volume : the header's mz.
    notes : what was assumed, one sentence each.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    extended_bytes: int
    axes: tuple[int, int, int]
    spacing_A: Triple
    spacing_problem: str
    nstart: Triple
    origin_field_A: Triple
    skewed: bool
    ispg: int
    sections_per_volume: int
    notes: tuple[str, ...]

    @property
    def data_bytes(self) -> int:
        """Size of the data block that the header declares."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def _unpack(block: bytes, order: str) -> np.void:
    return np.frombuffer(block, HEADER_DTYPE.newbyteorder(order), 1)[0]  # type: ignore[no-any-return]


def _plausible(h: np.void) -> bool:
    """Whether the sizes, the mode, the axes and the angles could be those of an MRC file."""
    sizes = (int(h["nx"]), int(h["ny"]), int(h["nz"]))
    axes = sorted((int(h["mapc"]), int(h["mapr"]), int(h["maps"])))
    angles = np.array([h["cellb"][k] for k in ("alpha", "beta", "gamma")], np.float64)
    return (
        all(0 < n <= MAX_EDGE for n in sizes)
        and int(h["mode"]) in _KNOWN_MODES
        and (axes == [1, 2, 3] or axes == [0, 0, 0])
        and bool(np.all((angles >= 0) & (angles <= 180)))
        and 0 <= int(h["nsymbt"]) <= _MAX_EXTENDED
    )


def _believable_without_stamp(h: np.void) -> bool:
    return _plausible(h) and int(h["nx"]) * int(h["ny"]) * int(h["nz"]) <= MAX_VOXELS


def looks_like_mrc(block: bytes) -> bool:
    """Whether the first 1024 bytes are an MRC header, by the MAP stamp or by their values."""
    # Text can hold the letters MAP in the right place, but never a zero byte.
    if len(block) < HEADER_BYTES or b"\x00" not in block:
        return False
    return block[208:211] == b"MAP" or any(_believable_without_stamp(_unpack(block, order)) for order in "<>")


def parse_header(block: bytes, path: Path) -> MrcHeader:
    """Interpret the first 1024 bytes of a file.

    Raises
    ------
    InputError
        If they are not an MRC header, or one with impossible sizes, too many voxels, or values
        that are not real numbers.
    """
    if not looks_like_mrc(block):
        refuse_foreign(block, path)
        if block[:10].strip() and len(block) < HEADER_BYTES:
            raise InputError(
                f"The file is only {len(block)} bytes long; an MRC header alone takes 1024.",
                _COPY_AGAIN,
                path,
            )
        raise InputError("This is not an MRC, MAP or CCP4 file.", "Check that it is the right file.", path)
    notes: list[str] = []
    h, order = _choose_byte_order(block, notes)
    shape = _shape(h, path)
    dtype = _dtype(h, order, notes, path)
    axes = _axes(h, notes)
    counts = tuple(int(shape[2 - axes.index(a)]) for a in range(3))
    spacing, problem = _spacing(h, counts, notes)
    extended = int(h["nsymbt"])
    if not 0 <= extended <= _MAX_EXTENDED:
        notes.append(f"The header claims an extended header of {extended} bytes; taken as none.")
        extended = 0
    nstart, origin = _origins(h, axes, max(counts), bool(block[208:211] == b"MAP"), notes)
    angles = np.array([h["cellb"][k] for k in ("alpha", "beta", "gamma")], np.float64)
    valid = bool(np.all(np.isfinite(angles) & (angles > 0) & (angles < 180)))
    return MrcHeader(
        shape=shape,
        dtype=dtype,
        extended_bytes=extended,
        axes=axes,
        spacing_A=spacing,
        spacing_problem=problem,
        nstart=nstart,
        origin_field_A=origin,
        skewed=valid and bool(np.any(np.abs(angles - 90) > 0.5)),
        ispg=int(h["ispg"]),
        sections_per_volume=int(h["mz"]),
        notes=tuple(notes),
    )


def _choose_byte_order(block: bytes, notes: list[str]) -> tuple[np.void, str]:
    """The stamp decides unless the values only make sense the other way round."""
    stamped = _STAMPS.get(block[212])
    first = stamped or "<"
    other = ">" if first == "<" else "<"
    order = first
    if not _plausible(_unpack(block, first)) and _plausible(_unpack(block, other)):
        order = other
        notes.append(
            "The machine stamp is wrong; the byte order was taken from the values."
            if stamped
            else "The machine stamp is missing; the byte order was taken from the values."
        )
    if block[208:211] != b"MAP":
        notes.append("The MAP stamp is missing (an old or careless writer); read as MRC anyway.")
    if order == ">":
        notes.append("The file is big-endian.")
    return _unpack(block, order), order


def _shape(h: np.void, path: Path) -> tuple[int, int, int]:
    sizes = (int(h["nz"]), int(h["ny"]), int(h["nx"]))
    words = " × ".join(str(n) for n in reversed(sizes))
    if min(sizes) < 1:
        raise InputError(f"The header claims an impossible size ({words}).", _COPY_AGAIN, path)
    if max(sizes) > MAX_EDGE or sizes[0] * sizes[1] * sizes[2] > MAX_VOXELS:
        raise InputError(
            f"The header claims {words} voxels; Verglas reads up to 1024³ in all.",
            "If the size is right, bin or crop the data; if not, the header is damaged.",
            path,
        )
    return sizes


def _dtype(h: np.void, order: str, notes: list[str], path: Path) -> np.dtype[np.generic]:
    mode = int(h["mode"])
    if mode in (3, 4):
        raise InputError(
            "The file holds a Fourier transform (complex numbers), not density.",
            "Transform it back into real space in the program that made it.",
            path,
        )
    if mode == 101:
        raise InputError(
            "The file holds 4-bit movie data.",
            "Convert it, for example with `newstack -mode 1` of IMOD.",
            path,
        )
    try:
        dtype = dtype_from_mode(mode)
    except ValueError as exc:
        raise InputError(
            f"The header names an unknown kind of numbers (mode {mode}).", _COPY_AGAIN, path
        ) from exc
    if mode == 0:
        stamp = int(np.frombuffer(bytes(h["extra2"])[40:44], f"{order}i4")[0])
        flags = bytes(h["extra2"])[44]
        if (stamp == _IMOD_STAMP and not flags & 1) or (
            float(h["dmin"]) >= 0 and 127 < float(h["dmax"]) <= 255
        ):
            notes.append("8-bit data, taken as unsigned (0 to 255).")
            return np.dtype(np.uint8)
        notes.append("8-bit data, taken as signed (-128 to 127).")
    real: np.dtype[np.generic] = np.dtype(dtype).newbyteorder(order)
    return real


def _axes(h: np.void, notes: list[str]) -> tuple[int, int, int]:
    stored = (int(h["mapc"]), int(h["mapr"]), int(h["maps"]))
    if sorted(stored) != [1, 2, 3]:
        notes.append(
            f"The axis order in the header ({stored[0]}, {stored[1]}, {stored[2]}) is invalid; "
            "x, y, z was assumed."
        )
        return (0, 1, 2)
    if stored != (1, 2, 3):
        notes.append(
            "The axes were reordered to x, y, z: the file stores "
            + ", ".join("xyz"[a - 1] for a in stored)
            + "."
        )
    return (stored[0] - 1, stored[1] - 1, stored[2] - 1)


def _spacing(h: np.void, counts: tuple[int, ...], notes: list[str]) -> tuple[Triple, str]:
    cell = np.array([h["cella"][k] for k in "xyz"], np.float64)
    grid = np.array([int(h[k]) for k in ("mx", "my", "mz")])
    if not np.isfinite(cell).all() or (cell < 0).any():
        return (0.0, 0.0, 0.0), "The header's cell is not a size."
    if not cell.any():
        return (0.0, 0.0, 0.0), ""
    sampled = np.where(grid > 0, grid, counts)
    if (grid < 1).any():
        notes.append("The header's grid size is missing; the number of voxels was used.")
    spacing = cell / sampled
    by_counts = cell / np.array(counts)
    if (sampled != counts).any() and cell.all():
        if np.ptp(spacing) > 0.01 * spacing.max() and np.ptp(by_counts) < 0.005 * by_counts.max():
            spacing = by_counts
            notes.append(
                "The header's grid size makes no sense; the spacing is the cell over the number of voxels."
            )
        elif grid[2] > 1:
            notes.append(
                f"The header's grid ({grid[0]} × {grid[1]} × {grid[2]}) differs from the number of voxels "
                f"({counts[0]} × {counts[1]} × {counts[2]}); the spacing is the cell over the grid."
            )
    # Stacks often leave the z cell unset; only x and y say how large a pixel is.
    if spacing[2] == 0 and spacing[0] > 0:
        spacing[2] = spacing[0]
    low, high = PIXEL_SIZE_RANGE_A
    if (spacing[:2] < low).any() or (spacing[:2] > high).any():
        return (0.0, 0.0, 0.0), (
            f"The header gives a pixel size of {spacing[0]:.4g} Å, which can't be right "
            f"(expected {low} to {high:g})."
        )
    return (float(spacing[0]), float(spacing[1]), float(spacing[2])), ""


def _origins(
    h: np.void, axes: tuple[int, int, int], largest: int, stamped: bool, notes: list[str]
) -> tuple[Triple, Triple]:
    stored = [int(h[k]) for k in ("nxstart", "nystart", "nzstart")]
    start = [0.0, 0.0, 0.0]
    for value, axis in zip(stored, axes, strict=True):
        start[axis] = float(value)
    # ChimeraX's rule: a start more than ten boxes away was never initialised.
    if max(abs(s) for s in start) > 10 * largest:
        notes.append("The start indices (nxstart...) in the header are absurd and were ignored.")
        start = [0.0, 0.0, 0.0]
    origin = np.array([h["origin"][k] for k in "xyz"], np.float64)
    if not stamped:
        # The words were used for something else before MRC2000.
        origin[:] = 0
    elif not np.isfinite(origin).all() or np.abs(origin).max() > 1e6:
        notes.append("The ORIGIN in the header is absurd and was ignored.")
        origin[:] = 0
    return (start[0], start[1], start[2]), (float(origin[0]), float(origin[1]), float(origin[2]))


def kind_of(header: MrcHeader, path: Path) -> tuple[str, str]:
    """Whether the file is a ``volume`` or ``images``, and why.

    ISPG alone is never believed: ChimeraX and cryoSPARC write 0 for maps, RELION writes 1 for
    stacks.
    """
    name = path.name.lower().removesuffix(".gz")
    sections, rows, columns = header.shape
    if name.endswith((".mrcs", ".st", ".stk")):
        return "images", "the name ends in .mrcs"
    if sections == 1:
        return "images", "it has one section"
    if header.ispg == conventions.ISPG_VOLUME_STACK:
        return "volume", "the header says so (ISPG 401)"
    if sections == rows == columns:
        return "volume", "it is a cube"
    if header.sections_per_volume == 1:
        return "images", "the header counts one section per object"
    if header.ispg == conventions.ISPG_IMAGE_STACK and rows == columns:
        return "images", "the header says so (ISPG 0) and it is not a cube"
    return "volume", "it has several sections and nothing says that they are separate images"
