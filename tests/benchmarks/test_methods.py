"""What the methods of the accuracy benchmark may spend."""

from __future__ import annotations

import pytest
import torch

from engine.pipelines.draw import draw
from engine.priors.edm import GaussianDenoiser
from engine.specs.samplers import Algorithm1
from tests.benchmarks.methods import EVALUATIONS, METHODS, at_equal_evaluations, method_for
from tests.benchmarks.tasks import Task
from tests.engine.sampling.test_guidance import lumps, views


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.network])
def test_equal_evaluations_are_counted_not_believed(name: str) -> None:
    calls = 0

    class Counting(GaussianDenoiser):
        def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return super().forward(x, sigma)

    truth = lumps(20)
    draw(
        Counting(0.36),
        views(truth, 2),
        at_equal_evaluations(name).sampler,
        [1],
        points=20,
        device=torch.device("cpu"),
        watch=lambda step: None,
    )
    assert abs(calls - EVALUATIONS) <= 1


def test_a_control_is_the_same_sampler_without_the_network() -> None:
    for name, method in METHODS.items():
        if name.endswith("_g"):
            assert METHODS[name[:-2]].sampler == method.sampler
            assert not method.network
    assert METHODS["gauss"].sampler == METHODS["dps"].sampler


def test_the_guidance_scale_goes_with_the_points_and_the_evidence() -> None:
    def alpha(task: str, points: int) -> float:
        sampler = method_for("a1", Task.parse(task), points, "evaluations").sampler
        assert isinstance(sampler, Algorithm1)
        return sampler.alpha

    assert alpha("3x1024", 1024) == 4e4
    assert alpha("3x512", 512) == 2e4
    assert alpha("4x1024", 1024) > alpha("4x800", 1024)
    assert alpha("1x300+cg40", 1024) == 4e3
