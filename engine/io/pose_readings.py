"""What poses and images may mean: the readings that differ between programs, and how to undo them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine import conventions

Floats = NDArray[np.floating]
Images = NDArray[np.float32]

ANGLES = {
    "": "as read",
    "inverse": "inverse rotations",
    "zxz": "angles are ZXZ (az, alt, phi), not ZYZ",
    "psi": "psi with the other sign",
    "rot": "rot with the other sign",
    "swapped": "rot and psi exchanged",
}
FLIPS = {
    "": "as read",
    "y": "images upside down",
    "x": "images left to right",
    "t": "images with rows and columns exchanged",
}
SHIFTS = {
    "": "as read",
    "-": "shifts with the other sign",
    "0": "shifts ignored",
    "px": "shifts are pixels, not Å",
    "-px": "shifts are pixels, not Å, with the other sign",
    "A": "shifts are Å, not pixels",
    "-A": "shifts are Å, not pixels, with the other sign",
    "+1": "images begin one pixel later (RELION's odd boxes)",
}
MIRROR = np.diag([1.0, 1.0, -1.0])
_FLIP_AXES = {
    "": np.eye(2),
    "y": np.diag([1.0, -1.0]),
    "x": np.diag([-1.0, 1.0]),
    "t": np.array([[0.0, 1.0], [1.0, 0.0]]),
}


@dataclass(frozen=True)
class Convention:
    """What must be done to images and poses as they were read before they fit the reference.

    Attributes
    ----------
    angles, flip, shifts : keys of :data:`ANGLES`, :data:`FLIPS`, :data:`SHIFTS`.
    mirrored : the reference's hand must be changed, or the sign of the tilt: images can't tell these
        two apart.
    inverted : the contrast is the other one.
    scale : true pixel size of the images over the one that was given.
    """

    angles: str = ""
    mirrored: bool = False
    flip: str = ""
    inverted: bool = False
    shifts: str = ""
    scale: float = 1.0

    @property
    def changes(self) -> int:
        """In how many respects it departs from what was given."""
        return sum(
            (
                bool(self.angles),
                self.mirrored,
                bool(self.flip),
                self.inverted,
                bool(self.shifts),
                self.scale != 1,
            )
        )

    def words(self, pixel_A: float = 0.0) -> str:
        """What it says, for people; ``pixel_A`` is the pixel size that was given."""
        parts = []
        if self.angles:
            parts.append(ANGLES[self.angles])
        if self.mirrored:
            parts.append("the other hand (or tilt with the other sign)")
        if self.flip:
            parts.append(FLIPS[self.flip])
        if self.shifts:
            parts.append(SHIFTS[self.shifts])
        if self.inverted:
            parts.append("the other contrast")
        if self.scale != 1:
            size = f" ({self.scale * pixel_A:.4g} Å)" if pixel_A else ""
            parts.append(f"pixel size times {self.scale:.3g}{size}")
        text = "; ".join(parts)
        return f"{text[:1].upper()}{text[1:]}" if text else "As read"


AS_READ = Convention()


@dataclass(frozen=True)
class Posed:
    """Images with poses as they were read.

    Attributes
    ----------
    images : (n, y, x), density positive as far as is known.
    rotations, shifts_A : of :class:`engine.types.Poses`, a row per image.
    pixel_A : as given.
    """

    images: Images
    rotations: Floats
    shifts_A: Floats
    pixel_A: float

    def some(self, rows: Sequence[int] | NDArray[np.intp]) -> Posed:
        """Only these, counted from 0."""
        chosen = np.asarray(rows, np.intp)
        return Posed(self.images[chosen], self.rotations[chosen], self.shifts_A[chosen], self.pixel_A)


def corrected(convention: Convention, posed: Posed) -> tuple[Floats, Floats]:
    """Rotations and shifts, Å, that mean what they should; the hand is put right by the tilt."""
    rotations = turned(posed.rotations, convention.angles)
    if convention.mirrored:
        rotations = MIRROR @ rotations @ MIRROR
    return rotations, moved(posed.shifts_A, convention, posed)


def turned(rotations: Floats, angles: str) -> Floats:
    """Rotations by another reading of their angles, a key of :data:`ANGLES`."""
    rotations = np.asarray(rotations, np.float64)
    if not angles:
        return rotations
    if angles == "inverse":
        return rotations.transpose(0, 2, 1)
    rot, tilt, psi = np.moveaxis(conventions.rotation_to_relion(rotations), -1, 0)
    if angles == "zxz":
        return conventions.eman_to_rotation(rot, tilt, psi)
    if angles == "psi":
        return conventions.relion_to_rotation(rot, tilt, -psi)
    if angles == "rot":
        return conventions.relion_to_rotation(-rot, tilt, psi)
    return conventions.relion_to_rotation(psi, tilt, rot)


def moved(shifts_A: Floats, convention: Convention, posed: Posed) -> Floats:
    """Shifts by another reading, a key of :data:`SHIFTS`."""
    what = convention.shifts
    if what == "0":
        return np.zeros_like(shifts_A)
    if what == "+1":
        return shifts_A + posed.pixel_A
    sign = -1.0 if what.startswith("-") else 1.0
    unit = {"px": posed.pixel_A, "A": 1 / posed.pixel_A}.get(what.lstrip("-"), 1.0)
    result: Floats = sign * unit * np.asarray(shifts_A, np.float64)
    return result


def flipped(images: Images, flip: str) -> Images:
    """Images with their rows or columns in another order, a key of :data:`FLIPS`."""
    if flip == "y":
        return images[:, ::-1]
    if flip == "x":
        return images[:, :, ::-1]
    return images.transpose(0, 2, 1) if flip == "t" else images


def shift_kinds(posed: Posed) -> tuple[str, ...]:
    """Readings of the shifts that differ for these images."""
    kinds = [""]
    if np.abs(posed.shifts_A).max(initial=0.0) > 0.05 * posed.pixel_A:
        kinds += ["-", "0"]
        if abs(posed.pixel_A - 1) > 0.03:
            kinds += ["px", "-px", "A", "-A"]
    if posed.images.shape[-1] % 2:
        kinds.append("+1")
    return tuple(kinds)


def same_images_key(convention: Convention, posed: Posed) -> bytes:
    """The same for conventions that predict the same images, contrast and pixel size apart."""
    rotations, shifts = corrected(convention, posed)
    axes, flip = rotations[:, :2], _FLIP_AXES[convention.flip]
    shifts = shifts @ flip.T
    parts = (np.round(flip @ axes, 4) + 0.0, np.round(shifts, 3) + 0.0)
    return b"".join(np.ascontiguousarray(p).tobytes() for p in parts) + (
        b"+1" if convention.shifts == "+1" else b""
    )
