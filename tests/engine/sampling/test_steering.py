"""Samples that compete: how they are redrawn, and what is told about it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.sampling.likelihood import Likelihood
from engine.sampling.steering import Steering, everyone, spread, systematic
from tests.engine.sampling.test_guidance import lumps, views


def test_systematic_drawing_gives_each_its_expected_number_within_one() -> None:
    g = torch.Generator().manual_seed(1)
    weights = torch.rand(9, generator=g).softmax(0)
    offsets = torch.linspace(0.005, 0.995, 100)
    counts = torch.stack([torch.bincount(systematic(weights, float(o)), minlength=9) for o in offsets])
    assert (counts.sum(1) == 9).all()
    assert ((counts - 9 * weights).abs() < 1).all()
    torch.testing.assert_close(counts.double().mean(0), 9 * weights.double(), atol=0.02, rtol=0)


def test_the_spread_does_not_depend_on_the_order_of_points() -> None:
    g = torch.Generator().manual_seed(3)
    truth = torch.randn(60, 3, generator=g)
    x = truth + 0.01 * torch.randn(5, 60, 3, generator=g)
    shuffled = torch.stack([one[torch.randperm(60, generator=g)] for one in x])
    assert spread(shuffled) == pytest.approx(spread(x), rel=1e-5)
    # each of n samples lies sqrt((n - 1) / n) of its error from their mean, in each of three directions
    assert spread(x) == pytest.approx(0.01 * (3 * 4 / 5) ** 0.5, rel=0.1)


class Known(Likelihood):
    """Energies as they are given, and a record of who went on."""

    def __init__(self, energies: list[list[float]]) -> None:
        super().__init__([], sigma=1.0)
        self.given, self.went_on = [torch.tensor(e)[:, None] for e in energies], []

    def next(self) -> None:
        self.energies = self.given.pop(0)

    def reorder(self, chosen: Tensor) -> None:
        self.went_on.append(chosen.tolist())


def steer(energies: list[list[float]], strength: float, x: Tensor) -> tuple[Known, Steering]:
    likelihood = Known(energies)
    steering = Steering(likelihood, sigma=1.0, strength=strength, share=0.5, seed=0)
    for i in range(len(energies)):
        likelihood.next()
        x = x[steering(i, x)]
    return likelihood, steering


def test_only_a_fall_in_energy_weighs_and_the_weights_begin_again() -> None:
    x = torch.arange(4.0)[:, None, None].expand(4, 2, 3)
    # all fall alike: nobody has a right to displace another, however much their energies differ
    alike, steering = steer([[9.0, 5.0, 3.0, 1.0], [8.0, 4.0, 2.0, 0.0]], 5.0, x)
    assert not alike.went_on
    assert not steering.log
    # the third falls furthest; once redrawn, equal falls change nothing more
    fallen, steering = steer([[9.0] * 4, [9.0, 9.0, 0.0, 9.0], [0.0] * 4], 5.0, x)
    assert fallen.went_on == [[2, 2, 2, 2]]
    (log,) = steering.log
    assert log.survivors == 1
    assert log.effective == pytest.approx(1.0)
    assert log.spread_before == pytest.approx(spread(x))
    assert log.spread_after == 0.0


def test_weak_steering_keeps_everyone() -> None:
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    likelihood, steering = steer([[1.0] * 4, [0.9, 1.0, 1.0, 1.1]], 0.1, x)
    assert not steering.log
    assert not likelihood.went_on
    assert torch.equal(everyone(0, x), torch.arange(4))


def test_weights_follow_the_energies_of_a_real_likelihood() -> None:
    """One of four clouds lies at the truth: it displaces the others within two steps."""
    truth = lumps(40)
    likelihood = Likelihood(views(truth, 3), sigma=0.05)
    steering = Steering(likelihood, sigma=0.05, strength=1.0, share=0.5, seed=1)
    far = torch.randn(4, 40, 3, generator=torch.Generator().manual_seed(2))
    near = far.clone()
    near[1] = truth
    for i, x in enumerate((far, near)):
        likelihood.mean(x, 1e-6)
        chosen = steering(i, x)
    assert chosen.tolist() == [1, 1, 1, 1]
    assert torch.equal(likelihood.matches[0][0], likelihood.matches[0][3])
    assert steering.log[0].survivors == 1
