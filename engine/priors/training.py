"""Training of a prior of point clouds, one step at a time.

The pipeline decides when to stop, what to write and what to say; this module decides what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engine.priors.edm import EdmDenoiser, lognormal_sigmas
from engine.priors.training_state import TrainingState

Clouds = Float[Tensor, "clouds points 3"]

HIGH_NOISE = (0.3, 1.2)  # mean and spread of ln sigma of a share of each batch: samples start at 80
SECOND_PHASE = (-1.2, 1.2)  # mean and spread of ln sigma in the paper's second phase
THINNING = torch.tensor([0.7, 0.2, 0.1])  # of batches with all points, a half and a quarter of them
SCALE_JITTER = 0.05  # of ln scale: the frame of a real run is an estimate
MUON_RATIO = 7.0  # of the matrices' learning rate to the rest's


def random_rotations(n: int, generator: torch.Generator) -> Float[Tensor, "n 3 3"]:
    """Uniform proper rotations from normalised Gaussian quaternions."""
    q = torch.randn(n, 4, generator=generator)
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(n, 3, 3)


class Trainer(TrainingState):
    """Training of a prior of point clouds.

    Parameters
    ----------
    model : the denoiser, already on its device.
    learning_rate : AdamW's peak rate; block matrices are stepped by Muon at a fixed multiple.
    warmup : steps of linear warm-up.
    ema_decay : of the weight average, itself warmed up.
    noise : mean and standard deviation of ln sigma.
    high_noise : share of each batch whose noise levels are high.
    second_phase : share of the training, at its end, with the paper's second distribution of noise levels
        (Möbius & Habeck 2024, appendix: about a tenth).
    min_points : clouds are thinned to a half and a quarter of their points, but not below this.
    mirrored : also draw mirror images, O(3) instead of SO(3).
    seed : of batches, rotations and noise; drawn on the CPU, so the same on every device.
    state : further arguments of :class:`~engine.priors.training_state.TrainingState`.
    """

    def __init__(
        self,
        model: EdmDenoiser,
        *,
        learning_rate: float,
        warmup: int,
        ema_decay: float,
        noise: tuple[float, float],
        min_points: int,
        seed: int,
        high_noise: float = 0.1,
        second_phase: float = 0.0,
        mirrored: bool = False,
        **state: Any,
    ) -> None:
        # Muon (Jordan et al. 2024) orthogonalises the steps of hidden matrices; embeddings, heads and
        # vectors stay with AdamW.
        named = list(model.named_parameters())
        hidden = [p for k, p in named if p.ndim == 2 and ".blocks." in k]
        rest = [p for k, p in named if not (p.ndim == 2 and ".blocks." in k)]
        optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
        ]
        if hidden:
            muon = torch.optim.Muon(
                hidden, lr=MUON_RATIO * learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
            )
            optimisers.append(muon)
        super().__init__(model, optimisers, warmup=warmup, ema_decay=ema_decay, seed=seed, **state)
        self.noise, self.min_points = noise, min_points
        self.high_noise, self.second_phase, self.mirrored = high_noise, second_phase, mirrored

    def draw(self, clouds: Clouds, batch: int, progress: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """A batch of thinned, rotated clouds with noise levels and noise, on the CPU.

        Returns
        -------
        clean : (batch, p, 3).
        sigma : (batch,).
        noise : (batch, p, 3) standard normal.
        """
        g = self.generator
        rows = torch.randint(len(clouds), (batch,), generator=g)
        available = clouds.shape[1]
        thinned = int(torch.multinomial(THINNING, 1, generator=g))
        size = available >> thinned
        if size < self.min_points:
            size = available
        clean = clouds[rows].float()
        if size < available:
            clean = clean[:, torch.randperm(available, generator=g)[:size]]
        scale = (torch.randn(batch, 1, 1, generator=g) * SCALE_JITTER).exp()
        clean = scale * clean @ random_rotations(batch, g).transpose(1, 2)
        if self.mirrored:
            clean *= 2 * torch.randint(2, (batch, 1, 1), generator=g) - 1
        late = self.second_phase > 0 and progress >= 1 - self.second_phase
        sigma = lognormal_sigmas(batch, *(SECOND_PHASE if late else self.noise), g)
        high = torch.rand(batch, generator=g) < self.high_noise
        sigma = torch.where(high, lognormal_sigmas(batch, *HIGH_NOISE, g), sigma)
        return clean, sigma, torch.randn(clean.shape, generator=g)

    def step(self, clouds: Clouds, batch: int, progress: float) -> float:
        """One optimiser step; returns the loss.

        Parameters
        ----------
        clouds : the training set, CPU.
        progress : share of the training that is over, in [0, 1]; the rate falls linearly to zero.
        """
        clean, sigma, noise = (t.to(self.device) for t in self.draw(clouds, batch, progress))
        return self.descend(clean, sigma, noise, progress)


@torch.no_grad()
def denoising_errors(
    denoiser: EdmDenoiser,
    clouds: Clouds,
    sigmas: Iterable[float],
    *,
    batch: int = 8,
    seed: int = 1,
) -> dict[float, float]:
    """Root mean squared denoising error per noise level, in units of the noise.

    The isotropic Wiener filter, which knows only the size, has ``s / sqrt(s² + sigma²)`` for data of
    standard deviation s: a prior has learned shapes by as much as it lies below that.

    Parameters
    ----------
    clouds : validation clouds, all of them used, unrotated; the noise depends on ``seed`` alone.
    """
    denoiser.eval()
    device = next(denoiser.parameters()).device
    noise = torch.randn(clouds.shape, generator=torch.Generator().manual_seed(seed))
    errors = {}
    for level in sigmas:
        total = 0.0
        for start in range(0, len(clouds), batch):
            clean = clouds[start : start + batch].float().to(device)
            noisy = clean + level * noise[start : start + batch].to(device)
            estimate = denoiser(noisy, torch.full((len(clean),), level, device=device))
            total += float((estimate - clean).square().mean(dim=(1, 2)).sum())
        errors[float(level)] = (total / len(clouds)) ** 0.5 / level
    return errors
