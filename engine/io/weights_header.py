"""What a safetensors file says about itself, without its weights and without torch."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.io.streams import head

IMAGE_DENOISER_FORMAT = "verglas-image-denoiser-1"
MAX_HEADER = 16 << 20
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, struct.error)


@dataclass(frozen=True)
class WeightsHeader:
    """A weights file's header.

    Attributes
    ----------
    form : the format that it names, or empty.
    parameters : number of values.
    card : its description of itself, as written; may be empty.
    """

    form: str
    parameters: int
    card: dict[str, Any]


def looks_like_safetensors(start: bytes) -> bool:
    """Whether a file that begins like this holds weights."""
    return len(start) > 9 and start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] < MAX_HEADER


def read_header(path: Path) -> WeightsHeader:
    """Read the header and check that the file holds what it announces.

    Raises
    ------
    InputError
        If the header is damaged or the file ends early.
    """
    try:
        length = struct.unpack("<Q", head(path, 8))[0]
        header: dict[str, Any] = json.loads(head(path, 8 + min(length, MAX_HEADER))[8:].decode("utf-8"))
        metadata = header.pop("__metadata__", {})
        parameters = sum(int(np.prod(t["shape"], dtype=np.float64)) for t in header.values())
        end = max((t["data_offsets"][1] for t in header.values()), default=0)
        card = json.loads(metadata.get("card", "{}"))
        form = str(metadata.get("format", ""))
        if not isinstance(card, dict):
            raise ValueError("the card is no table")
    except _DAMAGE as exc:
        raise InputError("The weights file is damaged.", "Copy or download it again.", path) from exc
    if not isinstance(end, int) or path.stat().st_size < 8 + length + end:
        raise InputError("The weights file ends early.", "Copy or download it again.", path)
    return WeightsHeader(form, parameters, card)


def image_denoiser_lines(header: WeightsHeader) -> tuple[str, ...]:
    """Facts about a 2D denoiser, one sentence each; whatever the card lacks is left out."""
    card = header.card
    lines = [f"{header.parameters:,} parameters, architecture {card.get('architecture', 'unknown')}"]
    try:
        box, pixel, radius = int(card["box"]), float(card["pixel_size_A"]), float(card["mask_radius_px"])
        lines.append(f"For images of {box} × {box} pixels of {pixel:.4g} Å, mask {2 * radius * pixel:.4g} Å")
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    trained = card.get("trained")
    if isinstance(trained, dict) and {"training_images", "file", "steps"} <= set(trained):
        lines.append(
            f"Trained on {trained['training_images']} images of {trained['file']}, {trained['steps']} steps"
        )
    return tuple(lines)
