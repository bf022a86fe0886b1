"""Denoisers of images as files: safetensors with a card that says for which images they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import PriorError
from engine.io.weights_header import IMAGE_DENOISER_FORMAT
from engine.priors.unet import PRESETS, ImageDenoiser, build_denoiser
from engine.priors.weights_file import damaged_card, fill, read_weights, write_weights

PIXEL_TOLERANCE = 0.02  # relative; a pixel size is rarely known better
MASK_TOLERANCE_PX = 1.5
LARGEST_BOX = 512


@dataclass(frozen=True)
class ImageDenoiserCard:
    """What a denoiser's file says about itself.

    Attributes
    ----------
    architecture : key of :data:`engine.priors.unet.PRESETS`.
    box : side of the images, px.
    pixel_size_A : of the images.
    mask_radius_px : of their circular mask.
    sigma_data : standard deviation of clean pixels within it.
    trained : facts about training (file, images, steps, minutes, errors).
    """

    architecture: str
    box: int
    pixel_size_A: float
    mask_radius_px: float
    sigma_data: float = 1.0
    trained: dict[str, Any] = field(default_factory=dict)

    def require(
        self, box: int, pixel_size_A: float, mask_radius_px: float | None = None, *, path: str | Path
    ) -> None:
        """Check that the denoiser is for such images.

        Raises
        ------
        PriorError
            If it was trained for another box, pixel size or mask.
        """
        again = "train one on these images with `verglas train denoiser`"
        if box != self.box:
            raise PriorError(
                f"This denoiser is for images of {self.box} pixels, but the working box has {box}.",
                f"Set `box` to {self.box}, or {again}.",
                path,
            )
        if abs(math.log(pixel_size_A / self.pixel_size_A)) > PIXEL_TOLERANCE:
            raise PriorError(
                f"This denoiser is for {self.pixel_size_A:.4g} Å per pixel, but the images have "
                f"{pixel_size_A:.4g} Å.",
                f"Correct the pixel size, or {again}.",
                path,
            )
        if mask_radius_px is not None and abs(mask_radius_px - self.mask_radius_px) > MASK_TOLERANCE_PX:
            mine, given = 2 * self.mask_radius_px * self.pixel_size_A, 2 * mask_radius_px * pixel_size_A
            raise PriorError(
                f"This denoiser is for a mask of {mine:.4g} Å, but the images have one of {given:.4g} Å.",
                f"Give `mask_diameter_A` as in its training, or {again}.",
                path,
            )


def save_image_denoiser(
    path: str | Path, weights: Mapping[str, Tensor], card: ImageDenoiserCard, *, half: bool = True
) -> None:
    """Write weights and card atomically; ``half`` stores float16 to halve the file."""
    write_weights(path, weights, IMAGE_DENOISER_FORMAT, asdict(card), half=half)


def load_image_denoiser(
    path: str | Path, device: torch.device | str = "cpu"
) -> tuple[ImageDenoiser, ImageDenoiserCard]:
    """Read a denoiser of images.

    Returns
    -------
    denoiser : in evaluation mode on ``device``, its parameters without gradients.
    card : what the file says about itself; ``card.require`` checks that it fits a run's images.

    Raises
    ------
    PriorError
        If the file is missing, damaged, of another kind or newer, or does not fit its own card.
    """
    path = Path(path)
    tensors, described = read_weights(
        path,
        IMAGE_DENOISER_FORMAT,
        what="a 2D denoiser",
        advice="Give a file that `verglas train denoiser` wrote.",
    )
    try:
        card = ImageDenoiserCard(**described)
    except TypeError as exc:
        raise damaged_card(path) from exc
    if not _sensible(card):
        raise damaged_card(path)
    if card.architecture not in PRESETS:
        raise PriorError(
            f"The denoiser's architecture `{card.architecture}` is unknown.",
            "It was probably written by a newer Verglas: update, or train one again.",
            path,
        )
    denoiser = build_denoiser(card.architecture, card.box, card.mask_radius_px, card.sigma_data)
    fill(denoiser, tensors, path)
    return denoiser.to(device), card


def _sensible(card: ImageDenoiserCard) -> bool:
    """Whether the card's values can be used: a file's header is nobody's promise."""
    numbers = (card.pixel_size_A, card.mask_radius_px, card.sigma_data)
    return (
        isinstance(card.architecture, str)
        and isinstance(card.box, int)
        and 8 <= card.box <= LARGEST_BOX
        and all(isinstance(n, int | float) and math.isfinite(n) and n > 0 for n in numbers)
        and card.mask_radius_px <= card.box
        and isinstance(card.trained, dict)
    )
