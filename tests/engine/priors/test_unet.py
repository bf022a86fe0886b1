"""The image networks are the paper's, take any box, and are preconditioned as EDM says."""

from __future__ import annotations

import pytest
import torch

from engine.priors.edm import scalings
from engine.priors.unet import PRESETS, ImageNetwork, build_denoiser


@pytest.mark.parametrize(("name", "expected"), [("paper", 3_939_393), ("ribosome", 5_344_737)])
def test_the_papers_networks_have_the_papers_size(name: str, expected: int) -> None:
    with torch.device("meta"):
        network = ImageNetwork(PRESETS[name])
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(
    ("name", "box"), [("small", 16), ("small", 17), ("small", 30), ("paper", 18), ("ribosome", 17)]
)
def test_any_box_goes_in_and_comes_out(name: str, box: int) -> None:
    torch.manual_seed(0)
    d = build_denoiser(name, box, box / 2 - 2).eval()
    x = torch.randn(3, box, box)
    with torch.no_grad():
        out = d(x, torch.tensor([0.1, 1.0, 10.0]))
        assert out.shape == x.shape
        assert torch.isfinite(out).all()
        # one at a time: images of a batch don't see each other
        alone = d(x[1:2], torch.tensor([1.0]))
    torch.testing.assert_close(alone, out[1:2], rtol=0, atol=1e-5)


def test_noise_outside_the_mask_is_not_seen() -> None:
    torch.manual_seed(0)
    d = build_denoiser("small", 20, 5.0).eval()
    x = torch.randn(1, 20, 20)
    other = x.clone()
    other[:, :2] += 5
    other[:, :, -2:] -= 3
    sigma = torch.tensor([0.5])
    with torch.no_grad():
        torch.testing.assert_close(d(other, sigma), d(x, sigma), rtol=0, atol=0)
        assert float(d(x, sigma)[0, 0].abs().max()) == 0


def test_loss_is_the_error_within_the_mask_over_c_out_squared() -> None:
    torch.manual_seed(0)
    d = build_denoiser("small", 20, 7.0).eval()
    clean = d.support * torch.randn(2, 20, 20)
    noise, sigma = torch.randn(2, 20, 20), torch.tensor([0.2, 1.5])
    with torch.no_grad():
        error = d(clean + sigma.view(-1, 1, 1) * noise, sigma) - clean
        _, c_out, _ = scalings(sigma, 1.0)
        expected = error.square().sum(dim=(1, 2)) / d.support.sum() / c_out**2
        torch.testing.assert_close(d.loss(clean, sigma, noise), expected, rtol=1e-4, atol=1e-6)


def test_without_noise_nothing_changes() -> None:
    torch.manual_seed(0)
    d = build_denoiser("small", 16, 6.0).eval()
    x = d.support * torch.randn(2, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(d(x, torch.full((2,), 1e-4)), x, rtol=0, atol=1e-3)
