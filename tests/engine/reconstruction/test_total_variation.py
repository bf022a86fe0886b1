"""Total variation: its gradient's adjoint, and what it makes of few views."""

from __future__ import annotations

import pytest
import torch

from engine.metrics.volumes import fsc_area
from engine.numerics.fourier import fsc
from engine.reconstruction.least_squares import wiener_map
from engine.reconstruction.total_variation import (
    gradient,
    gradient_adjoint,
    total_variation,
    total_variation_map,
)
from tests.engine.reconstruction.known_pose_cases import SIZE, problem_of


def block() -> torch.Tensor:
    volume = torch.zeros(SIZE, SIZE, SIZE)
    volume[8:15, 9:17, 7:13] = 1.0
    return volume


def test_the_adjoint_is_exact():
    volume, field = torch.randn(5, 6, 7).double(), torch.randn(3, 5, 6, 7).double()
    assert float((gradient(volume) * field).sum()) == pytest.approx(
        float((volume * gradient_adjoint(field)).sum()), rel=1e-12
    )


def test_the_variation_of_a_step_is_its_area():
    volume = torch.zeros(6, 6, 6)
    volume[3:] = 2.0
    assert total_variation(volume) == pytest.approx(2.0 * 36)


def test_flat_pieces_come_out_flatter_and_better_than_by_least_squares():
    volume = block()
    problem = problem_of(volume, 5, noise=1.0)
    found = total_variation_map(problem, strength=0.003, steps=120)
    assert total_variation(found) < total_variation(wiener_map(problem))
    areas = [fsc_area(fsc(v.numpy(), volume.numpy())[1]) for v in (found, wiener_map(problem))]
    assert areas[0] > areas[1] + 0.1


def test_the_objective_falls_and_more_strength_leaves_less_variation():
    problem = problem_of(block(), 4)

    def objective(volume: torch.Tensor, strength: float) -> float:
        misfit = float(problem.missing(volume).square().sum()) / (2 * problem.size * 4)
        return misfit + strength * problem.variance**0.5 * total_variation(volume)

    found = [objective(total_variation_map(problem, strength=0.3, steps=k), 0.3) for k in (5, 30, 150)]
    assert found[0] > found[1] > found[2]
    weak, strong = (total_variation(total_variation_map(problem, strength=s, steps=80)) for s in (0.03, 3.0))
    assert strong < weak
