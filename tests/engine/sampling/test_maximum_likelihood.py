"""The control without a prior."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.sampling.matching import match_all, total_energy
from engine.sampling.maximum_likelihood import maximum_likelihood
from engine.sampling.schedules import SampleNoise
from tests.engine.sampling.test_guidance import lumps, views


def test_maximum_likelihood_lowers_the_energy_and_is_the_same_in_any_batch() -> None:
    truth = lumps(80)
    observations = views(truth, 2)
    seen: list[float] = []

    def run(seeds: list[int]) -> Tensor:
        return maximum_likelihood(
            observations,
            SampleNoise(seeds),
            points=80,
            steps=60,
            learning_rate=0.01,
            on_step=lambda i, x, e: seen.append(float(e[-1].mean())),
        )

    both = run([1, 2])
    assert seen[59] < 0.1 * seen[0]
    torch.testing.assert_close(both[1:], run([2]), rtol=0, atol=0)


def test_of_several_starts_the_best_is_kept() -> None:
    truth = lumps(40)
    observations = views(truth, 3)

    def energies(restarts: int, annealing: float = 0.0, steps: int = 40) -> Tensor:
        x = maximum_likelihood(
            observations,
            SampleNoise(range(6)),
            points=40,
            steps=steps,
            learning_rate=0.02,
            restarts=restarts,
            annealing=annealing,
            on_step=lambda i, x, e: None,
        )
        each = [o.energy(x, m) for o, m in zip(observations, match_all(observations, x), strict=True)]
        return total_energy(each, observations)

    once, thrice = energies(1), energies(3)
    assert (thrice <= once).all()
    assert thrice.mean() < once.mean()
    # Noise that is lowered helps over local minima.
    assert energies(1, annealing=0.3, steps=150).mean() < 0.8 * energies(1, steps=150).mean()


def test_steps_are_counted_through_all_starts() -> None:
    seen: list[int] = []
    maximum_likelihood(
        views(lumps(20), 2),
        SampleNoise([1]),
        points=20,
        steps=5,
        learning_rate=0.01,
        restarts=2,
        on_step=lambda i, x, e: seen.append(i),
    )
    assert seen == list(range(10))
