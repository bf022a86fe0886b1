"""What a file of weights says about itself, read from its header alone: no torch."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_HEADER = 16 << 20


@dataclass(frozen=True)
class DenoiserCard:
    """A trained 2D denoiser, as far as a plan needs to know it.

    Attributes
    ----------
    box : images that it was trained on, pixels.
    pixel_size_A : of those images, Å; 0 where the card doesn't say.
    """

    path: Path
    architecture: str
    box: int
    pixel_size_A: float

    def misfit(self, box: int, pixel_size_A: float) -> str:
        """Why it doesn't fit images of this box (px) and pixel size (Å), in words; empty if it does."""
        if not self.box or not box:
            return ""
        if self.box != box:
            return (
                f"The denoiser was trained on boxes of {self.box} px, but the images are prepared at {box} "
                f"px. Set the working box to {self.box}, or train another."
            )
        if self.pixel_size_A and pixel_size_A and abs(pixel_size_A / self.pixel_size_A - 1) > 0.02:
            return (
                f"The denoiser was trained on pixels of {self.pixel_size_A:.3g} Å, but the images are "
                f"prepared at {pixel_size_A:.3g} Å. Give it the images that it knows, or train another."
            )
        return ""


def read_card(path: Path) -> DenoiserCard | None:
    """The card of a 2D denoiser; None for other weights, e.g. a prior of point clouds.

    Raises
    ------
    InputError
        If the file can't be read or isn't safetensors.
    """
    from engine.errors import InputError
    from engine.io.streams import check_file, head

    path = check_file(path)
    start = head(path, 8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= LONGEST_HEADER:
        raise InputError("This is not a safetensors file.", "Choose weights that Verglas wrote.", path)
    try:
        header: dict[str, Any] = json.loads(head(path, 8 + length)[8:].decode("utf-8"))
        card = json.loads(header.get("__metadata__", {}).get("card", "{}"))
        box = card.get("box")
        if not isinstance(box, int):
            return None
        return DenoiserCard(
            path, str(card.get("architecture", "")), box, float(card.get("pixel_size_A") or 0.0)
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise InputError("The weights file is damaged.", "Copy or download it again.", path) from exc
