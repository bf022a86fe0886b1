"""Priors as files: safetensors with the architecture in the header. Nothing is ever unpickled."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import PriorError
from engine.io import prior_library
from engine.priors.edm import EdmDenoiser
from engine.priors.equivariant_network import EquivariantNetwork
from engine.priors.kernel_network import KernelNetwork
from engine.priors.point_transformer import PointTransformer
from engine.priors.weights_file import damaged_card, fill, read_weights, sha256, write_weights

__all__ = ["PriorCard", "build", "load_prior", "resolve", "save_prior", "sha256", "shipped_prior"]

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "equivariant": EquivariantNetwork,
    "kernel": KernelNetwork,
    "point_e": PointTransformer,
}
_FORMAT = prior_library.PRIOR_FORMAT


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
    write_weights(path, weights, _FORMAT, asdict(card), half=half)


def shipped_prior() -> Path:
    """Path of the prior that comes with Verglas."""
    return prior_library.shipped_folder() / prior_library.SHIPPED


def resolve(weights: str) -> Path:
    """``shipped``, the name of a prior in the user's library, or a path, as specs name it.

    Raises
    ------
    PriorError
        If the library has no prior of that name.
    """
    return prior_library.locate(weights)


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
    tensors, described = read_weights(
        path, _FORMAT, what="a Verglas prior", advice="Use `shipped`, or a file of `verglas train prior`."
    )
    try:
        card = PriorCard(**described)
    except TypeError as exc:
        raise damaged_card(path) from exc
    denoiser = build(card)
    fill(denoiser, tensors, path)
    return denoiser.to(device), card
