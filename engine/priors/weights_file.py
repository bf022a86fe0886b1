"""Weights as files: safetensors with a card in the header. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.errors import PriorError
from engine.io.atomic import atomic_path


def write_weights(
    path: str | Path, weights: Mapping[str, Tensor], form: str, card: Mapping[str, Any], *, half: bool
) -> None:
    """Write weights and card atomically; ``half`` stores float16 to halve the file."""
    dtype = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in weights.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, str(temporary), metadata={"format": form, "card": json.dumps(dict(card))})


def read_weights(
    path: Path, form: str, *, what: str, advice: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights in float32 and their card, not yet checked against each other.

    Parameters
    ----------
    form : the format that the header must name.
    what : what the weights should be, e.g. ``a Verglas prior``.
    advice : what to do about a missing file or one of another kind.

    Raises
    ------
    PriorError
        If the file is missing, damaged or of another kind.
    """
    if not path.is_file():
        raise PriorError("The weights are missing.", f"Check the path. {advice}", path)
    try:
        with safe_open(str(path), framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {k: handle.get_tensor(k).float() for k in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as exc:
        raise PriorError(
            f"This is not a readable safetensors file ({exc}).", "Copy it again from its source.", path
        ) from exc
    if header.get("format") != form or "card" not in header:
        raise PriorError(f"The file holds weights, but not of {what}.", advice, path)
    try:
        card = json.loads(header["card"])
    except (ValueError, RecursionError) as exc:
        raise damaged_card(path) from exc
    if not isinstance(card, dict):
        raise damaged_card(path)
    return tensors, card


def damaged_card(path: Path) -> PriorError:
    """The error for a card that makes no sense."""
    return PriorError("The file's description of itself is damaged.", "Copy it again.", path)


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Put weights into a model, and make it ready for use: evaluation mode, no gradients.

    Raises
    ------
    PriorError
        If they don't fit or aren't finite.
    """
    try:
        model.load_state_dict(tensors)
    except RuntimeError as exc:
        raise PriorError(
            "The weights do not fit the architecture that the file names.", "Copy it again.", path
        ) from exc
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise PriorError("The weights hold NaN or infinite values.", "Copy it again.", path)
    model.eval().requires_grad_(False)


def sha256(path: str | Path) -> str:
    """Hex digest of a file, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
