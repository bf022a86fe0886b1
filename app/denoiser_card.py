"""What the weights of a 2D denoiser say about themselves, and whether they fit some images: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PIXEL_TOLERANCE = 0.02  # relative, as the engine's
MASK_TOLERANCE_PX = 1.5


@dataclass(frozen=True)
class DenoiserCard:
    """A trained 2D denoiser, as far as a plan needs to know it.

    Attributes
    ----------
    box : images that it was trained on, pixels.
    pixel_size_A : of those images, Å.
    mask_radius_px : of their circular mask.
    """

    path: Path
    architecture: str
    box: int
    pixel_size_A: float
    mask_radius_px: float

    @property
    def mask_diameter_A(self) -> float:
        """Diameter of the mask that it knows, Å."""
        return 2 * self.mask_radius_px * self.pixel_size_A

    def misfit(self, box: int, pixel_size_A: float, mask_radius_px: float) -> str:
        """Why it doesn't fit such images, in words; empty if it does."""
        if self.box != box:
            return (
                f"The denoiser is for images of {self.box} px, but these are prepared at {box} px. "
                f"Set the working box to {self.box}, or train another."
            )
        if abs(pixel_size_A / self.pixel_size_A - 1) > PIXEL_TOLERANCE:
            return (
                f"The denoiser is for pixels of {self.pixel_size_A:.3g} Å, but these images are prepared at "
                f"{pixel_size_A:.3g} Å. Set the mask diameter to {self.mask_diameter_A:.4g} Å, or train "
                "another."
            )
        if abs(mask_radius_px - self.mask_radius_px) > MASK_TOLERANCE_PX:
            return (
                f"The denoiser is for a mask of {self.mask_diameter_A:.4g} Å, but these images have one of "
                f"{2 * mask_radius_px * pixel_size_A:.4g} Å. Set the mask diameter, or train another."
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
    from engine.io.streams import check_file
    from engine.io.weights_header import IMAGE_DENOISER_FORMAT, read_header

    path = check_file(path)
    header = read_header(path)
    if header.form != IMAGE_DENOISER_FORMAT:
        return None
    card = header.card
    try:
        box, size, radius = int(card["box"]), float(card["pixel_size_A"]), float(card["mask_radius_px"])
        if not (box > 0 and size > 0 and radius > 0):
            raise ValueError("sizes must be positive")
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise InputError(
            "The weights don't say for which images they are.", "Train them again.", path
        ) from exc
    return DenoiserCard(path, str(card.get("architecture", "")), box, size, radius)
