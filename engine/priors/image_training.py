"""Training of a denoiser of images: what is drawn in a step, and how its error is measured."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from engine.priors.edm import lognormal_sigmas
from engine.priors.training_state import TrainingState
from engine.priors.unet import ImageDenoiser
from engine.protocols import Denoiser

Images = Float[Tensor, "images y x"]

INTERPOLATION = "bicubic"
"""The paper's is bilinear, which smooths what is turned: noise of 0.09 of the images' spread, against
0.03, and more than a network leaves at low noise levels."""


class ImageTrainer(TrainingState):
    """Training of a denoiser of circularly masked images.

    Each image of a batch is turned by any angle, mirrored half of the time (the view from behind) and
    shifted a little. What is turned is the density above the background; the mask stays where it is.

    Parameters
    ----------
    model : already on its device.
    images : (images, y, x) prepared training images, on the same device.
    mask : (y, x) soft mask that the images were multiplied with.
    background : value of empty surroundings within the mask.
    learning_rate : AdamW's peak rate.
    noise : mean and standard deviation of ln sigma.
    shift_px : largest shift along x and along y.
    """

    model: ImageDenoiser

    def __init__(
        self,
        model: ImageDenoiser,
        images: Images,
        *,
        mask: Float[Tensor, "y x"],
        background: float,
        learning_rate: float,
        warmup: int,
        ema_decay: float,
        noise: tuple[float, float],
        shift_px: float,
        seed: int,
    ) -> None:
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        super().__init__(model, [optimiser], warmup=warmup, ema_decay=ema_decay, seed=seed)
        self.noise, self.shift_px = noise, shift_px
        self._ground = background * mask
        self._density = images - self._ground

    def draw(self, batch: int) -> tuple[Images, Float[Tensor, " images"], Images]:
        """A batch of changed images with noise levels and noise, on the model's device.

        All random numbers come from the CPU, so they are the same on every device.
        """
        g = self.generator
        rows = torch.randint(len(self._density), (batch,), generator=g)
        angle = 2 * math.pi * torch.rand(batch, generator=g)
        mirrored = torch.rand(batch, generator=g) < 0.5
        shift = self.shift_px * (2 * torch.rand(batch, 2, generator=g) - 1)
        sigma = lognormal_sigmas(batch, *self.noise, g)
        noise = torch.randn(batch, *self._density.shape[1:], generator=g)
        device = self.device
        density = self._density[rows.to(device)]
        clean = moved(density, angle.to(device), mirrored.to(device), shift.to(device))
        clean = self.model.support * (clean + self._ground)
        return clean, sigma.to(device), noise.to(device)

    def step(self, batch: int, progress: float) -> float:
        """One optimiser step; returns the loss.

        Parameters
        ----------
        progress : share of the training that is over, in [0, 1].
        """
        return self.descend(*self.draw(batch), progress)


def moved(
    images: Images,
    angle_rad: Float[Tensor, " images"],
    mirrored: Tensor,
    shift_px: Float[Tensor, "images 2"],
    mode: str | None = None,
) -> Images:
    """Images mirrored (``x -> -x``), then turned from x towards y about pixel n//2, then shifted.

    Parameters
    ----------
    mirrored : (images,) bool.
    shift_px : (images, 2) xy.
    mode : interpolation, ``bilinear`` or ``bicubic``.
    """
    n, height, width = images.shape
    y = torch.arange(height, device=images.device) - height // 2
    x = torch.arange(width, device=images.device) - width // 2
    grid_y, grid_x = torch.meshgrid(y.float(), x.float(), indexing="ij")
    # where each output pixel comes from
    dx = grid_x - shift_px[:, 0].view(-1, 1, 1)
    dy = grid_y - shift_px[:, 1].view(-1, 1, 1)
    cos, sin = angle_rad.cos().view(-1, 1, 1), angle_rad.sin().view(-1, 1, 1)
    sign = torch.where(mirrored, -1.0, 1.0).view(-1, 1, 1)
    from_x = sign * (cos * dx + sin * dy) + width // 2
    from_y = cos * dy - sin * dx + height // 2
    grid = torch.stack([2 * from_x / (width - 1) - 1, 2 * from_y / (height - 1) - 1], dim=3)
    out: Tensor = functional.grid_sample(
        images[:, None], grid, mode=mode or INTERPOLATION, padding_mode="zeros", align_corners=True
    )
    return out[:, 0]


def quarter_turns(images: Images, at_least: int) -> Float[Tensor, "more y x"]:
    """Images and as many of their quarter turns and mirror images as make up a number.

    These need no interpolation, so they measure a denoiser without smoothing what it should find.
    At most eight times as many images come back.
    """
    found: list[Tensor] = []
    for turned in range(8):
        changed = images.flip(2).roll(1 - images.shape[2] % 2, 2) if turned % 2 else images
        for _ in range(turned // 2):
            # (y, x) -> (x, -y): a quarter turn about pixel n//2
            changed = changed.transpose(1, 2).flip(2).roll(1 - images.shape[2] % 2, 2)
        found.append(changed)
        if len(found) * len(images) >= at_least:
            break
    return torch.cat(found)


@torch.no_grad()
def denoising_errors(
    denoiser: Denoiser,
    images: Images,
    sigmas: Iterable[float],
    *,
    support: Float[Tensor, "y x"],
    batch: int = 16,
    seed: int = 1,
) -> dict[float, float]:
    """Root mean squared error per pixel within the mask for each noise level, in units of the noise.

    An image of unit variance that is known not at all has ``1 / sqrt(1 + sigma²)`` (the Wiener filter of
    white noise); 1 is what the noisy image itself has.

    Parameters
    ----------
    images : (images, y, x) clean; the noise depends on ``seed`` alone.
    support : (y, x), 1 where pixels count.
    """
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    errors = {}
    for level in sigmas:
        total = 0.0
        for start in range(0, len(images), batch):
            clean = images[start : start + batch]
            noisy = clean + level * noise[start : start + batch].to(images)
            estimate = denoiser(noisy, torch.full((len(clean),), level, device=images.device))
            total += float((support * (estimate - clean)).square().sum())
        errors[float(level)] = (total / (len(images) * float(support.sum()))) ** 0.5 / level
    return errors
