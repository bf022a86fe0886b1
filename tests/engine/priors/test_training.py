"""Training learns, resumes exactly, and its files are checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.errors import PriorError, RunError
from engine.priors.checkpoint import PriorCard, build, load_prior, save_prior
from engine.priors.edm import GaussianDenoiser
from engine.priors.training import Trainer, denoising_errors, random_rotations
from engine.priors.training_state import hold_out

CARD = PriorCard("kernel", {"width": 16, "layers": 2, "heads": 2, "latents": 4}, 0.36, 64)


def clouds(count: int = 40, points: int = 64) -> Tensor:
    """Rings: a shape that a Gaussian knows nothing about."""
    g = torch.Generator().manual_seed(0)
    angle = 6.2832 * torch.rand(count, points, generator=g)
    return 0.5 * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=-1)


def trainer(seed: int = 1) -> Trainer:
    torch.manual_seed(0)
    return Trainer(
        build(CARD),
        learning_rate=2e-3,
        warmup=5,
        ema_decay=0.95,
        noise=(-1.6, 1.0),
        min_points=64,
        seed=seed,
    )


def test_learns_a_shape_that_a_gaussian_does_not_know() -> None:
    t = trainer()
    for i in range(150):
        t.step(clouds(), 8, i / 150)
    learned = denoising_errors(t.average, clouds(8), [0.1, 0.3])
    spread = float(clouds().std())
    control = {}
    g = torch.Generator().manual_seed(1)
    noise = torch.randn(8, 64, 3, generator=g)
    for sigma in (0.1, 0.3):
        estimate = GaussianDenoiser(spread)(clouds(8) + sigma * noise, torch.full((8,), sigma))
        control[sigma] = float((estimate - clouds(8)).square().mean().sqrt()) / sigma
    assert learned[0.1] < 0.85 * control[0.1]
    assert learned[0.3] < 0.95 * control[0.3]


def test_resumed_training_takes_the_same_steps(tmp_path: Path) -> None:
    whole, first, second = trainer(), trainer(), trainer(seed=99)
    expected = [whole.step(clouds(), 4, i / 10) for i in range(10)]
    for i in range(4):
        first.step(clouds(), 4, i / 10)
    first.save(tmp_path / "t.safetensors")
    second.load(tmp_path / "t.safetensors")
    assert second.steps == 4
    assert second.seen == 16
    assert [second.step(clouds(), 4, i / 10) for i in range(4, 10)] == expected[4:]
    for a, b in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_damaged_checkpoints_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      junk")
    with pytest.raises(RunError, match=r"t\.safetensors"):
        trainer().load(tmp_path / "t.safetensors")


def test_rotations_are_proper_and_uniform() -> None:
    r = random_rotations(20_000, torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(r @ r.transpose(1, 2), torch.eye(3).double().expand_as(r), atol=1e-5, rtol=0)
    assert float(torch.linalg.det(r).min()) > 0
    # of uniform rotations every entry has mean 0 and variance 1/3
    assert float(r.mean(0).abs().max()) < 0.02
    assert float((r.var(0) - 1 / 3).abs().max()) < 0.02


def test_hold_out_splits_without_overlap() -> None:
    kept, held = hold_out(100, 20, 3)
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(100))
    assert len(held) == 20


def test_a_prior_survives_its_file(tmp_path: Path) -> None:
    prior = build(CARD)
    for p in prior.parameters():
        torch.nn.init.normal_(p, std=0.1)
    save_prior(tmp_path / "p.safetensors", prior.state_dict(), CARD)
    save_prior(tmp_path / "half.safetensors", prior.state_dict(), CARD, half=True)
    again, card = load_prior(tmp_path / "p.safetensors")
    half, _ = load_prior(tmp_path / "half.safetensors")
    x, sigma = (
        torch.randn(2, 64, 3, generator=torch.Generator().manual_seed(1)) * 0.4,
        torch.tensor([0.1, 1.0]),
    )
    assert card == CARD
    with torch.no_grad():
        torch.testing.assert_close(again(x, sigma), prior(x, sigma), rtol=0, atol=0)
        torch.testing.assert_close(half(x, sigma), prior(x, sigma), rtol=0, atol=5e-3)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "p.safetensors").stat().st_size


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "p.safetensors"
    state = build(CARD).state_dict()
    if kind == "truncated":
        save_prior(path, state, CARD)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "not safetensors":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "other architecture":
        save_prior(path, state, PriorCard("unheard-of", {}, 0.36, 64))
    elif kind == "other options":
        save_prior(path, state, PriorCard("kernel", {"width": 32, "layers": 2}, 0.36, 64))
    elif kind == "nan":
        save_prior(path, {k: v * float("nan") for k, v in state.items()}, CARD)
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "truncated", "not safetensors", "empty", "other architecture", "other options", "nan"]
)
def test_bad_weights_are_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(PriorError) as caught:
        load_prior(broken(tmp_path, kind))
    assert caught.value.problem
    assert caught.value.advice
