"""A Gaussian object with a linear measurement: everything is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

PRIOR_SD = 0.36
NOISE_SD = 0.1
H = torch.tensor([[0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])  # two orthonormal rows: a projection
Y = torch.tensor([0.3, -0.2])  # every point projects here


def posterior() -> tuple[Tensor, Tensor]:
    """Mean (3,) and covariance (3, 3) of ``x`` given ``H x = Y + noise``, prior ``N(0, PRIOR_SD²)``."""
    precision = torch.eye(3) / PRIOR_SD**2 + H.T @ H / NOISE_SD**2
    covariance = torch.linalg.inv(precision)
    return covariance @ H.T @ Y / NOISE_SD**2, covariance


class ExactDenoiser:
    """The posterior mean of x given its noisy version, under the posterior above."""

    def __init__(self) -> None:
        self.mean, self.covariance = posterior()

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        gain = self.covariance @ torch.linalg.inv(self.covariance + float(sigma[0]) ** 2 * torch.eye(3))
        return self.mean + (x - self.mean) @ gain.T


class KnownMatch:
    """An observation whose correspondence is no question: every point projects to Y."""

    name, weight = "known", 1.0

    def match(self, x0: Tensor) -> Tensor:
        return torch.zeros(x0.shape[:2], dtype=torch.int64)

    def rematch(
        self, x0: Tensor, covariance: Tensor, free: Tensor, before: Tensor | None, sigma: float
    ) -> Tensor:
        return self.match(x0)

    def misfit(self, x0: Tensor, match: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        return (x0 @ H.T - Y).square().sum(-1) / sigma**2, torch.full_like(match, 2)

    def energy(self, x0: Tensor, match: Tensor) -> Tensor:
        return (x0 @ H.T - Y).square().sum(-1).mean(1)

    def normal_equations(self, x0: Tensor, match: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        n, p, _ = x0.shape
        a = (H.T @ H / sigma**2).expand(n, p, 3, 3)
        return a, (H.T @ Y / sigma**2).expand(n, p, 3)


def whitened(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of points (n, 3) in units where the posterior is standard normal."""
    mean, covariance = posterior()
    w = torch.linalg.inv(torch.linalg.cholesky(covariance))
    return w @ (x.mean(0) - mean), w @ torch.cov(x.T) @ w.T
