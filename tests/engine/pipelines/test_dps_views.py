"""What a run tells about each projection."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from engine.events import Event, Notice, Result
from engine.forward.gaussians import splat_image
from engine.io.mrc import write_images
from engine.io.star import read_poses, write_poses
from engine.numerics.rotations import angle_between, random_rotations
from engine.pipelines import dps
from engine.pipelines.context import RunContext
from engine.pipelines.dps_views import strange
from engine.specs.components import GaussianPrior, ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.samplers import Proximal
from engine.types import ImageStack, Poses
from tests.engine.observations.test_pose_correction import cloud, relative_deg, turns

VIEWS = 5


def test_strange_is_relative_to_the_others() -> None:
    assert strange(np.array([1.0, 1.1, 0.9, 1.0, 9.0])).tolist() == [False] * 4 + [True]
    assert not strange(np.array([1.0, 1.1, 0.9, 1.0, 1.3])).any()
    assert not strange(np.array([1.0, 9.0])).any()
    assert not strange(np.zeros(4)).any()


@pytest.fixture
def stack(tmp_path: Path) -> tuple[ProjectionImages, np.ndarray]:
    """Images whose stated poses are wrong by 6°, and the true rotations."""
    rng = np.random.default_rng(1)
    truth = random_rotations(VIEWS, rng)
    points = 100.0 * cloud()
    images = np.stack(
        [splat_image((points @ r.T)[:, :2], pixel_size_A=5.0, box=80, resolution_A=12.0) for r in truth]
    )
    write_images(tmp_path / "v.mrcs", ImageStack(images, 5.0))
    order = np.arange(VIEWS, dtype=np.int32)
    poses = Poses(turns(VIEWS, 6.0, rng) @ truth, np.zeros((VIEWS, 2)), ("v.mrcs",) * VIEWS, order, 5.0)
    write_poses(tmp_path / "v.star", poses, box=80)
    spec = ProjectionImages(images=str(tmp_path / "v.mrcs"), poses=str(tmp_path / "v.star"), points=256)
    return spec, truth


def context(folder: Path, emit: Callable[[Event], None]) -> RunContext:
    (folder / "results").mkdir(parents=True)
    (folder / "snapshots").mkdir()
    return RunContext(folder, emit, lambda: False, torch.device("cpu"), "CPU")


def test_a_run_corrects_poses_and_writes_them(
    tmp_path: Path, stack: tuple[ProjectionImages, np.ndarray]
) -> None:
    images, truth = stack
    events: list[Event] = []
    spec = DpsSpec(
        observations=(images,), prior=GaussianPrior(), sampler=Proximal(steps=8), samples=2, points=256
    )
    dps.run(spec, context(tmp_path / "run", events.append))
    results = tmp_path / "run" / "results"
    stated, found = read_poses(images.poses), read_poses(results / "corrected_poses.star")
    assert relative_deg(found.rotations, truth).mean() < 0.4 * relative_deg(stated.rotations, truth).mean()
    assert found.image_indices.tolist() == stated.image_indices.tolist()
    with open(results / "views.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [r["view"] for r in rows] == [f"view {k + 1}" for k in range(VIEWS)]
    turned = np.degrees(angle_between(stated.rotations, found.rotations))
    np.testing.assert_allclose([float(r["turned_deg"]) for r in rows], turned, atol=1e-3)
    quaternions = np.array([[float(r[c]) for c in "xyzw"] for r in rows])
    np.testing.assert_allclose(Rotation.from_quat(quaternions).as_matrix(), found.rotations, atol=1e-4)
    assert {r["flag"] for r in rows} == {""}
    assert {"views", "corrected poses"} <= {e.role for e in events if isinstance(e, Result)}
    assert any("pose corrected by" in e.message for e in events if isinstance(e, Notice))
