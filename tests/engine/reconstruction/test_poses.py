"""Poses searched for again: a wrong one comes back, within its bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation

from engine.distillation.pose_search import PoseSearch
from engine.reconstruction.poses import angle_deg, nearby_pose, without
from engine.reconstruction.problem import PosedProblem
from tests.engine.reconstruction.known_pose_cases import blobs, problem_of


def turned(problem: PosedProblem, degrees: float, shift_px: float) -> PosedProblem:
    """The same images, the first at a wrong pose."""
    turn = Rotation.from_rotvec([math.radians(degrees) / math.sqrt(3)] * 3).as_matrix()
    rotations, shifts = problem.rotations.clone(), problem.shifts_px.clone()
    rotations[0] = torch.from_numpy(turn).float() @ rotations[0]
    shifts[0] = shift_px
    return replace(problem, rotations=rotations, shifts_px=shifts)


@pytest.mark.parametrize(("degrees", "shift"), [(6.0, 0.0), (4.0, 1.0)])
def test_a_wrong_pose_comes_back(degrees: float, shift: float):
    volume = blobs(3)
    problem = problem_of(volume, 3)
    wrong = turned(problem, degrees, shift)
    found, place = nearby_pose(
        PoseSearch(problem.images), wrong, 0, volume, (wrong.rotations[0], wrong.shifts_px[0]),
        range_deg=10.0, range_px=3.0, k_max=8,
    )  # fmt: skip
    assert angle_deg(wrong.rotations[0], problem.rotations[0]) == pytest.approx(degrees, abs=0.01)
    assert angle_deg(found, problem.rotations[0]) < 1.0
    assert float(place.abs().max()) < 0.35


def test_no_pose_goes_beyond_its_bounds():
    volume = blobs(3)
    problem = problem_of(volume, 3)
    wrong = turned(problem, 9.0, 2.0)
    found, place = nearby_pose(
        PoseSearch(problem.images), wrong, 0, volume, (wrong.rotations[0], wrong.shifts_px[0]),
        range_deg=3.0, range_px=0.0, k_max=8,
    )  # fmt: skip
    assert angle_deg(found, wrong.rotations[0]) <= 3.0 + 1e-3
    assert torch.equal(place, wrong.shifts_px[0])


def test_without_leaves_images_out():
    problem = problem_of(blobs(), 4)
    rest = without(problem, [1])
    assert torch.equal(rest.images, problem.images[[0, 2, 3]])
    assert torch.equal(rest.rotations, problem.rotations[[0, 2, 3]])
    assert rest.views.count == 3
