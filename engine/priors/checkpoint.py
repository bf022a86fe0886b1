"""Priors as files: safetensors with the architecture in the header. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.errors import PriorError
from engine.io.atomic import atomic_path
from engine.priors.edm import EdmDenoiser
from engine.priors.kernel_network import KernelNetwork
from engine.priors.point_transformer import PointTransformer

ARCHITECTURES: dict[str, type[nn.Module]] = {"kernel": KernelNetwork, "point_e": PointTransformer}
SHIPPED = "complexes-kernel.safetensors"
_FORMAT = "verglas-prior-1"


@dataclass(frozen=True)
class PriorCard:
    """What a weights file is: enough to rebuild the network and to judge it.

    Attributes
    ----------
    architecture : key of :data:`ARCHITECTURES`.
    options : keyword arguments of the architecture.
    sigma_data : standard deviation per coordinate of the training clouds.
    points : points per cloud in training.
    trained : facts about training (data, clouds seen, seconds, validation errors).
    """

    architecture: str
    options: dict[str, Any]
    sigma_data: float
    points: int
    trained: dict[str, Any] = field(default_factory=dict)


def build(card: PriorCard) -> EdmDenoiser:
    """An untrained prior of the card's architecture.

    Raises
    ------
    PriorError
        For an architecture this version doesn't know or options it doesn't take.
    """
    try:
        network = ARCHITECTURES[card.architecture](sigma_data=card.sigma_data, **card.options)
    except (KeyError, TypeError) as exc:
        raise PriorError(
            f"The prior's architecture `{card.architecture}` with options {card.options} is unknown.",
            "It was probably written by a newer Verglas: update, or choose another prior.",
        ) from exc
    return EdmDenoiser(network, card.sigma_data)


def save_prior(path: str | Path, weights: dict[str, Tensor], card: PriorCard, *, half: bool = False) -> None:
    """Write weights and card atomically; ``half`` stores float16 to halve the file."""
    dtype = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in weights.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, str(temporary), metadata={"format": _FORMAT, "card": json.dumps(asdict(card))})


def shipped_prior() -> Path:
    """Path of the prior that comes with Verglas."""
    return Path(str(resources.files("resources") / "priors" / SHIPPED))


def resolve(weights: str) -> Path:
    """``shipped`` or a path, as specs name it."""
    return shipped_prior() if weights == "shipped" else Path(weights)


def load_prior(path: str | Path, device: torch.device | str = "cpu") -> tuple[EdmDenoiser, PriorCard]:
    """Read a prior.

    Returns
    -------
    denoiser : in evaluation mode on ``device``, its parameters without gradients.
    card : what the file says about itself.

    Raises
    ------
    PriorError
        If the file is missing, damaged, not a prior, or does not fit its own card.
    """
    path = Path(path)
    if not path.is_file():
        raise PriorError("The prior's weights are missing.", "Check the path, or use `shipped`.", path)
    try:
        with safe_open(str(path), framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {k: handle.get_tensor(k).float() for k in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as exc:
        raise PriorError(
            f"This is not a readable safetensors file ({exc}).", "Copy it again from its source.", path
        ) from exc
    if header.get("format") != _FORMAT or "card" not in header:
        raise PriorError(
            "The file holds weights, but not of a Verglas prior.",
            "Choose a file written by `verglas train prior`.",
            path,
        )
    try:
        card = PriorCard(**json.loads(header["card"]))
    except (TypeError, ValueError) as exc:
        raise PriorError("The file's description of itself is damaged.", "Copy it again.", path) from exc
    denoiser = build(card)
    try:
        denoiser.load_state_dict(tensors)
    except RuntimeError as exc:
        raise PriorError(
            "The weights do not fit the architecture that the file names.", "Copy it again.", path
        ) from exc
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise PriorError("The weights hold NaN or infinite values.", "Copy it again.", path)
    denoiser.eval().requires_grad_(False)
    return denoiser.to(device), card


def sha256(path: str | Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
