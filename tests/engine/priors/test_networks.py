"""What all architectures must obey, and what each is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.numerics.rotations import random_rotations
from engine.priors.equivariant_network import EquivariantNetwork
from engine.priors.kernel_network import KernelNetwork, covariance_wiener, neighbour_kernels
from engine.priors.point_transformer import PointTransformer


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "equivariant": EquivariantNetwork(width=16, vectors=6, layers=2, message=4, pools=3),
        "kernel": KernelNetwork(width=16, layers=2, heads=2, latents=4),
        "point_e": PointTransformer(width=16, layers=2, heads=2),
    }
    for network in made.values():
        for parameter in network.parameters():  # also the heads that start at zero
            nn.init.normal_(parameter, std=0.1)
        network.requires_grad_(False)
    return made


@pytest.mark.parametrize("name", ["equivariant", "kernel", "point_e"])
def test_order_of_points_and_company_do_not_matter(name: str) -> None:
    network, g = networks()[name], torch.Generator().manual_seed(1)
    x, sigma = torch.randn(3, 40, 3, generator=g) * 0.4, torch.tensor([0.05, 0.3, 2.0])
    out = network(x, sigma)
    order = torch.randperm(40, generator=g)
    torch.testing.assert_close(network(x[:, order], sigma), out[:, order], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(network(x[1:2], sigma[1:2]), out[1:2], atol=2e-5, rtol=1e-4)
    assert float(out.abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["equivariant", "kernel", "point_e"])
@pytest.mark.parametrize("sigma", [0.002, 80.0])
@pytest.mark.parametrize("points", [17, 64])
def test_any_size_and_every_noise_level_stay_finite(name: str, sigma: float, points: int) -> None:
    network = networks()[name]
    x = 0.4 * torch.randn(1, points, 3, generator=torch.Generator().manual_seed(2)) * (1 + sigma)
    out = network(x, torch.tensor([sigma]))
    assert out.shape == x.shape
    assert bool(torch.isfinite(out).all())


def test_kernels_are_gaussians_of_the_stated_widths() -> None:
    x = 0.4 * torch.randn(1, 30, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    kernels, widths = neighbour_kernels(x, torch.tensor([0.2], dtype=torch.float64))
    distance2 = torch.cdist(x, x).square()
    for k, kernel in enumerate(kernels):
        torch.testing.assert_close(
            kernel, torch.exp(-distance2 / (2 * widths[0, k] ** 2)), atol=1e-9, rtol=1e-6
        )


def test_covariance_wiener_is_the_best_linear_estimate_of_a_flat_gaussian() -> None:
    g = torch.Generator().manual_seed(4)
    scale = torch.tensor([0.5, 0.3, 0.1], dtype=torch.float64)
    clean = scale * torch.randn(1, 50_000, 3, generator=g, dtype=torch.float64)
    x = clean + 0.2 * torch.randn(clean.shape, generator=g, dtype=torch.float64)
    estimate = x + covariance_wiener(x, torch.tensor([0.2], dtype=torch.float64))
    best = (scale**2 * 0.04 / (scale**2 + 0.04)).mean()
    assert float((estimate - clean).square().mean()) == pytest.approx(float(best), rel=0.03)


def test_the_paper_scale_transformer_has_the_papers_size() -> None:
    with torch.device("meta"):
        network = PointTransformer()
    assert sum(p.numel() for p in network.parameters()) == 77_762_563


@pytest.mark.parametrize("sigma", [0.03, 0.3, 5.0])
def test_equivariant_network_turns_with_its_input(sigma: float) -> None:
    network, g = networks()["equivariant"].double(), torch.Generator().manual_seed(6)
    x = (0.4 + sigma) * torch.randn(2, 50, 3, generator=g, dtype=torch.float64)
    level = torch.full((2,), sigma, dtype=torch.float64)
    out = network(x, level)
    for rotation in random_rotations(3, np.random.default_rng(7)):
        turn = torch.from_numpy(rotation)
        torch.testing.assert_close(network(x @ turn.T, level), out @ turn.T, atol=1e-9, rtol=1e-7)


def test_equivariant_network_can_tell_a_cloud_from_its_mirror_image() -> None:
    network, g = networks()["equivariant"].double(), torch.Generator().manual_seed(8)
    x = 0.4 * torch.randn(1, 50, 3, generator=g, dtype=torch.float64)
    level = torch.tensor([0.2], dtype=torch.float64)
    out = network(x, level)
    assert float((network(-x, level) + out).abs().max()) > 1e-3 * float(out.abs().max())


def test_a_step_in_reduced_precision_computes_the_kernels_in_full() -> None:
    for name in ("equivariant", "kernel"):
        network, g = networks()[name], torch.Generator().manual_seed(9)
        # far from the origin a reduced distance would be all round-off
        x = 0.4 * torch.randn(2, 64, 3, generator=g) + torch.tensor([2.0, 0.0, 0.0])
        level = torch.full((2,), 0.1)
        exact = network(x, level)
        with torch.autocast("cpu", torch.bfloat16):
            reduced = network(x, level).float()
        assert float((reduced - exact).norm() / exact.norm()) < 0.05
