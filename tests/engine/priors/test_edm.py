"""Preconditioning and the closed-form control."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.priors.edm import EdmDenoiser, GaussianDenoiser, HandOver, lognormal_sigmas, scalings

SIGMA_DATA = 0.363


@pytest.mark.parametrize("sigma", [0.002, 0.1, 0.363, 1.0, 80.0])
def test_input_and_target_have_unit_variance(sigma: float) -> None:
    g = torch.Generator().manual_seed(0)
    clean = SIGMA_DATA * torch.randn(200_000, generator=g, dtype=torch.float64)
    x = clean + sigma * torch.randn(200_000, generator=g, dtype=torch.float64)
    c_skip, c_out, c_in = scalings(torch.tensor(sigma, dtype=torch.float64), SIGMA_DATA)
    assert float((c_in * x).var()) == pytest.approx(1, rel=0.02)
    assert float(((clean - c_skip * x) / c_out).var()) == pytest.approx(1, rel=0.02)


class Oracle(nn.Module):
    """F that makes D return a given cloud."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean = clean

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        c_skip, c_out, _ = scalings(sigma.view(-1, 1, 1), SIGMA_DATA)
        return (self.clean - c_skip * x) / c_out


def test_loss_is_the_error_over_c_out_squared() -> None:
    g = torch.Generator().manual_seed(1)
    clean, noise = torch.randn(2, 20, 3, generator=g), torch.randn(2, 20, 3, generator=g)
    sigma = torch.tensor([0.1, 0.7])
    exact = EdmDenoiser(Oracle(clean), SIGMA_DATA)
    assert float(exact.loss(clean, sigma, noise).max()) < 1e-8
    off = EdmDenoiser(Oracle(clean + 0.01), SIGMA_DATA)
    _, c_out, _ = scalings(sigma, SIGMA_DATA)
    torch.testing.assert_close(off.loss(clean, sigma, noise), 0.01**2 / c_out**2, rtol=1e-3, atol=0)


def test_gaussian_control_is_the_best_denoiser_of_a_gaussian() -> None:
    g = torch.Generator().manual_seed(2)
    clean = SIGMA_DATA * torch.randn(1, 100_000, 3, generator=g)
    x = clean + 0.2 * torch.randn(clean.shape, generator=g)
    sigma = torch.tensor([0.2])
    error = (GaussianDenoiser(SIGMA_DATA)(x, sigma) - clean).square().mean()
    expected = SIGMA_DATA**2 * 0.2**2 / (SIGMA_DATA**2 + 0.2**2)
    assert float(error) == pytest.approx(expected, rel=0.01)
    for other in (0.9 * SIGMA_DATA, 1.1 * SIGMA_DATA):
        assert (GaussianDenoiser(other)(x, sigma) - clean).square().mean() > error


def test_training_noise_is_log_normal_within_the_schedule() -> None:
    sigmas = lognormal_sigmas(50_000, -1.6, 1.1, torch.Generator().manual_seed(0))
    assert float(sigmas.log().mean()) == pytest.approx(-1.6, abs=0.02)
    assert float(sigmas.log().std()) == pytest.approx(1.1, abs=0.02)
    wide = lognormal_sigmas(50_000, 0.0, 10.0, torch.Generator().manual_seed(0))
    assert 0.002 <= float(wide.min()) < float(wide.max()) <= 80.0


def test_hand_over_is_gaussian_above_network_below_and_continuous_between() -> None:
    clean = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(3))
    network = EdmDenoiser(Oracle(clean), SIGMA_DATA)
    both, gaussian = HandOver(network, 0.4, 0.1), GaussianDenoiser(SIGMA_DATA)
    x = clean + 0.2
    for sigma, expected in ((0.5, gaussian), (0.4, gaussian), (0.1, network), (0.01, network)):
        s = torch.tensor([sigma])
        torch.testing.assert_close(both(x, s), expected(x, s), atol=1e-6, rtol=1e-5)
    middle = torch.tensor([0.2])  # halfway in ln sigma
    torch.testing.assert_close(both(x, middle), (gaussian(x, middle) + network(x, middle)) / 2)
    with pytest.raises(ValueError, match="end level"):
        HandOver(network, 0.1, 0.4)
