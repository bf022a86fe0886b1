"""Baselines: what many views must give back, and what few views leave open."""

from __future__ import annotations

import pytest
import torch

from engine.forward.map_posterior import shell_sums
from engine.metrics.volumes import fsc_area
from engine.numerics.fourier import fsc
from engine.reconstruction.least_squares import data_map, volume_power, wiener_map
from tests.engine.reconstruction.known_pose_cases import blobs, problem_of


def area(a: torch.Tensor, b: torch.Tensor) -> float:
    return fsc_area(fsc(a.numpy(), b.numpy())[1])


@pytest.mark.parametrize("method", [wiener_map, lambda p: data_map(p, steps=60)])
def test_many_views_give_the_map_back(method):
    volume = blobs()
    found = method(problem_of(volume, 40))
    inside = problem_of(volume, 1).mask > 0.9
    error = (found - volume)[inside].norm() / volume[inside].norm()
    assert float(error) < 0.12
    low = fsc(found.numpy(), volume.numpy())[1][:7]
    assert low.min() > 0.98


def test_more_views_are_better_and_support_helps_few():
    volume = blobs(3)
    areas = {k: area(data_map(problem_of(volume, k), steps=60), volume) for k in (2, 5, 12)}
    assert areas[2] < areas[5] < areas[12]
    few = problem_of(volume, 4)
    assert area(data_map(few, steps=60), volume) > area(wiener_map(few), volume)


def test_the_misfit_falls_with_steps_and_density_stays_where_it_may_be():
    problem = problem_of(blobs(), 4)
    misfits = [float(problem.missing(data_map(problem, steps=k)).square().mean()) for k in (3, 12, 48)]
    assert misfits[0] > misfits[1] > misfits[2]
    found = data_map(problem, steps=20)
    assert float(found.min()) >= 0
    assert float(found[problem.mask == 0].abs().max()) == 0


def test_the_images_rings_tell_the_shells_power():
    volume = blobs(1)
    problem = problem_of(volume, 60)
    power, count = shell_sums(volume, volume, 3)
    true = (power / count)[1:6]
    assert torch.allclose(volume_power(problem)[1:6], true, rtol=0.25)


def test_noise_is_regularised_away():
    problem = problem_of(blobs(), 4, noise=3.0)
    assert float(wiener_map(problem).norm()) < float(blobs().norm())
