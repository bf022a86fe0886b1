"""Pixel and voxel sizes: what is believable, and the error that asks for a missing one."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError
from engine.io.limits import PIXEL_SIZE_RANGE_A


class PixelSizeError(InputError):
    """The file can't be used until somebody gives its pixel size."""


def check_given(size_A: float | None, path: Path) -> None:
    """Raise InputError for a given pixel size, Å, that can't be right; None is fine."""
    low, high = PIXEL_SIZE_RANGE_A
    if size_A is not None and not low <= size_A <= high:
        raise InputError(
            f"A pixel size of {size_A:g} Å can't be right.",
            f"Give a value between {low:g} and {high:g} Å.",
            path,
        )
