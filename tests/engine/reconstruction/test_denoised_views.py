"""Denoised views: what a denoiser that knows the answer makes of few and noisy images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.metrics.volumes import fsc_area
from engine.numerics.fourier import fsc
from engine.numerics.symmetry import point_group
from engine.reconstruction.denoised_views import denoised_views_map, expected_images, misfit, symmetrised
from engine.reconstruction.least_squares import data_map
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.view_denoiser import ViewDenoiser
from engine.specs.known_poses import DenoisedViews
from tests.engine.reconstruction.known_pose_cases import SIZE, problem_of, scale

SETTINGS = DenoisedViews(steps=8, views=10, fit_steps=10)


def ball() -> torch.Tensor:
    axis = torch.arange(SIZE) - SIZE // 2
    return torch.exp(-(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).float() / 18)


def knowing(problem: PosedProblem) -> ViewDenoiser:
    """Knows that everything is the ball, whose views are all alike."""
    view = problem.projector.project(ball(), problem.rotations[:1])[0]
    return ViewDenoiser(lambda x, sigma: scale().to_denoiser(view[None]).expand_as(x), scale())


def test_one_noisy_image_and_knowledge_give_the_map():
    problem = problem_of(ball(), 1, noise=1.0)
    found = denoised_views_map(problem, knowing(problem), SETTINGS, seed=0)
    alone = data_map(problem, steps=40)
    assert float((found - ball()).norm()) < 0.25 * float((alone - ball()).norm())
    assert fsc_area(fsc(found.numpy(), ball().numpy())[1][:5]) > 0.99


def test_clean_images_hold_against_a_denoiser_that_is_wrong():
    problem = problem_of(ball(), 12)
    nothing = ViewDenoiser(lambda x, sigma: torch.zeros_like(x), scale())
    found = denoised_views_map(problem, nothing, SETTINGS, seed=0)
    left = problem.missing(found)
    assert float(left.norm() / problem.images.norm()) < 0.15


def test_images_and_answers_are_weighted_by_their_errors():
    problem = problem_of(ball(), 2, noise=0.5)
    zero = ViewDenoiser(lambda x, sigma: scale().to_denoiser(torch.zeros_like(x)), scale())
    error = 0.5
    found = expected_images(problem, zero, error)
    share = (1 / problem.variance) / (1 / problem.variance + 1 / error**2)
    assert torch.allclose(found, share * problem.images, atol=1e-5)
    assert share == pytest.approx(0.5, abs=0.01)


def test_an_image_and_the_maps_view_are_one_measurement():
    """The denoiser is asked at the level of their mean, and gets their mean."""
    asked = []

    def denoiser(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked.append((x.clone(), float(sigma[0])))
        return x

    problem = problem_of(ball(), 1, noise=1.0)
    shown = torch.ones(1, SIZE, SIZE)
    expected_images(problem, ViewDenoiser(denoiser, scale()), 0.3, shown, 2.0, torch.zeros_like(shown))
    precision = 1 / problem.variance + 0.25
    mean = (problem.images / problem.variance + 0.25 * shown) / precision
    assert asked[0][1] == pytest.approx(precision**-0.5, rel=1e-5)
    assert torch.allclose(asked[0][0], scale().to_denoiser(mean), atol=1e-5)


def test_the_map_has_the_symmetry_that_is_asked_for():
    group = torch.from_numpy(point_group("C2")).float()
    volume = torch.zeros(SIZE, SIZE, SIZE)
    volume[11:14, 8:11, 6:10] = 1.0
    problem = problem_of(volume + volume, 3, group=group)
    found = denoised_views_map(problem, knowing(problem), replace_steps(SETTINGS, 3), seed=0)
    again = symmetrised(found, problem)
    assert float((again - found).norm() / found.norm()) < 0.12
    alone = replace(problem, group=None)
    assert float((symmetrised(volume, problem) - volume).norm()) > 0.3 * float(volume.norm())
    assert alone.order == 1


def test_a_denoiser_of_other_particles_is_known_by_its_misfit():
    for noise in (0.0, 0.5):
        problem = problem_of(ball(), 3, noise=noise)
        right = misfit(problem, knowing(problem))
        other = ViewDenoiser(lambda x, sigma: scale().to_denoiser(x * 0 + ball()[12] * 2), scale())
        assert right.shape == (3,)
        assert float(right.max()) < 0.2
        assert float(misfit(problem, other).min()) > 0.35


def replace_steps(settings: DenoisedViews, steps: int) -> DenoisedViews:
    return settings.model_copy(update={"steps": steps, "fit_steps": 0})


def test_the_seed_decides_everything():
    problem = problem_of(ball(), 2, noise=0.3)
    settings = replace_steps(SETTINGS, 3)
    maps = [denoised_views_map(problem, knowing(problem), settings, seed=s) for s in (1, 1, 2)]
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])
