"""The tasks of the accuracy benchmarks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from engine.sampling.matching import match_all
from tests.benchmarks.tasks import Task, known_part


@pytest.fixture
def shell() -> np.ndarray:
    """1024 points on a sphere, evenly."""
    i = np.arange(1024) + 0.5
    polar, around = np.arccos(1 - 2 * i / 1024), np.pi * (1 + 5**0.5) * i
    return np.stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)], 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3x1024", (3, 1024, 0, 0)),
        ("1x300+cg30", (1, 300, 30, 0)),
        ("2x200+su256", (2, 200, 0, 256)),
        ("1x200+cg30+su128", (1, 200, 30, 128)),
    ],
)
def test_a_task_is_written_as_views_coarse_points_and_known_part(text, expected):
    task = Task.parse(text)
    assert (task.views, task.view_points, task.coarse, task.subunit) == expected
    assert task.name == text


@pytest.mark.parametrize(
    "text", ["", "3", "x200", "2x200+su", "2x200+su256+cg30", "2x200+256", "-1x3", "3x200~", "3x200~1"]
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(SystemExit, match=r"1x200\+cg30\+su128"):
        Task.parse(text)


@pytest.mark.parametrize("count", [128, 256])
def test_a_known_part_is_one_piece_in_its_true_place(shell, count):
    part = shell[known_part(shell, count, seed=3)]
    assert len(np.unique(part, axis=0)) == count
    near = cKDTree(part).sparse_distance_matrix(cKDTree(part), 3 * (4 * np.pi / 1024) ** 0.5)
    assert connected_components(near)[0] == 1
    part_of_sphere = part @ (part.mean(0) / np.linalg.norm(part.mean(0)))
    assert part_of_sphere.min() > 1 - 2.6 * count / 1024  # a cap; its height is 2 count/1024 when round


def test_every_observation_of_a_task_is_at_peace_with_the_truth(shell):
    observations = Task.parse("2x1024+su256").observations(shell, seed=1)
    x = torch.from_numpy(shell).float()[None]
    energies = [float(o.energy(x, m)) for o, m in zip(observations, match_all(observations, x), strict=True)]
    assert [o.name for o in observations] == ["view 1", "view 2", "subunit"]
    assert max(energies) < 1e-9
    assert (match_all(observations, x)[2] >= 0).sum() == 256


def test_errors_are_independent_between_views_and_as_large_as_stated(shell):
    exact, erring = (Task.parse(text).observations(shell, seed=1) for text in ("2x1024", "2x1024~0.02"))
    errors = [(e.targets - o.targets).numpy() for o, e in zip(exact, erring, strict=True)]
    assert np.std(errors) == pytest.approx(0.02, rel=0.05)
    assert abs(np.corrcoef(errors[0].ravel(), errors[1].ravel())[0, 1]) < 0.1


def test_a_part_larger_than_the_whole_is_refused(shell):
    with pytest.raises(SystemExit, match="2000"):
        Task.parse("1x1024+su2000").observations(shell, seed=0)
