"""More points for samples of a coarser run: each point is split, and only the small moves are drawn anew.

A sample of N points says where matter is to about the distance between its points. Splitting each point in
k, with noise of that distance, forgets just this much; the diffusion is then run from that noise level down,
with evidence made at k N points. What is coarser than a point's cell is kept.

Priors are trained on clouds of about N points, and to a network at these noise levels a cloud of k N points
is another, denser object. So it is shown k clouds of N points, one child of each point in turn, chosen
anew at each step: :class:`InParts`. That also costs k rather than k² times as much where each point looks
at all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from engine.protocols import Denoiser, Points
from engine.sampling.posterior import OnStep
from engine.sampling.schedules import SampleNoise, level


class InParts:
    """A denoiser that sees a cloud of k N points as k clouds of N points.

    Parameters
    ----------
    denoiser : of clouds of N points.
    parts : k.
    noise : one random stream per sample.
    """

    def __init__(self, denoiser: Denoiser, parts: int, noise: SampleNoise) -> None:
        self.denoiser, self.parts, self.noise = denoiser, parts, noise

    def __call__(self, x: Points, sigma: Float[Tensor, " n"]) -> Points:
        """Clean estimates; children of a point are consecutive.

        Raises
        ------
        ValueError
            If the points can't be divided.
        """
        n, points, _ = x.shape
        if points % self.parts:
            raise ValueError(f"{points} points don't divide into {self.parts} parts")
        turn = self.noise.uniform(0, 1, points // self.parts, self.parts).argsort(dim=2)
        first = self.parts * torch.arange(points // self.parts, device=x.device)[:, None]
        index = (first + turn.to(x.device)).transpose(1, 2)[..., None].expand(-1, -1, -1, 3)
        seen = x.gather(1, index.reshape(n, points, 3)).view(n * self.parts, -1, 3)
        answers = self.denoiser(seen, sigma.repeat_interleave(self.parts)).view(n, points, 3)
        return torch.empty_like(x).scatter_(1, index.reshape(n, points, 3), answers)


def upsample(
    denoiser: Denoiser,
    coarse: Points,
    parts: int,
    levels: Sequence[float],
    noise: SampleNoise,
    on_step: OnStep,
) -> Float[Tensor, "n finer 3"]:
    """Samples with ``parts`` times as many points; ``len(levels) - 1`` calls of the denoiser.

    Parameters
    ----------
    denoiser : guided prior of clouds with that many points, normalised coordinates.
    coarse : (n, points, 3) samples.
    levels : falling noise levels, the first about the distance between neighbouring points, the last one 0.
    noise : one random stream per sample.
    on_step : called after every step with its number, noise level and current clean estimate.

    Returns
    -------
    Tensor
        (n, parts * points, 3); children of a point are consecutive.
    """
    z = coarse.repeat_interleave(parts, dim=1)
    for i, t in enumerate(levels[:-1]):
        x = z + t * noise.normal(z.shape[1], 3)
        z = denoiser(x, level(t, x))
        on_step(i, t, z)
    return z
