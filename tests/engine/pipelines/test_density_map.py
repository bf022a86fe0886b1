"""The map of a run: where it lies, what poses it was made with, and when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import SpecError
from engine.events import Event, Notice, Result
from engine.forward.gaussians import splat_image
from engine.io.mrc import read_volume, write_images
from engine.io.star import write_poses
from engine.numerics.rotations import random_rotations
from engine.observations.gather import gather
from engine.observations.pose_correction import ViewCorrection
from engine.observations.projection import PosedImages
from engine.pipelines.context import RunContext
from engine.pipelines.density_map import (
    AUTOMATIC_VOXELS,
    Grid,
    choose_grid,
    density_map,
    images_as_used,
    write_density_map,
)
from engine.specs.components import CoarsePoints, ObservationSpec, ProjectionImages
from engine.specs.job import DpsSpec
from engine.types import ImageStack, Poses, Volume

VIEWS, PIXEL_A, BOX = 3, 6.0, 48


def truth_A() -> np.ndarray:
    """Four arms, away from the origin."""
    rng = np.random.default_rng(2)
    arms = [c + rng.normal(scale=9.0, size=(60, 3)) for c in rng.uniform(-45, 45, (4, 3))]
    return np.concatenate(arms) + (12.0, -7.0, 4.0)


def samples_A(spread: float = 6.0, count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(3)
    return truth_A() + rng.normal(scale=spread, size=(count, *truth_A().shape))


def posed(views: int = VIEWS, pixel: float = PIXEL_A, box: int = BOX, shift: float = 0.0) -> PosedImages:
    rotations = random_rotations(views, np.random.default_rng(1))
    stack = np.stack(
        [
            splat_image((truth_A() @ r.T)[:, :2] + shift, pixel_size_A=pixel, box=box, resolution_A=3 * pixel)
            for r in rotations
        ]
    )
    rows = tuple(range(views))
    return PosedImages(stack, rows, rows, rotations, np.full((views, 2), shift), pixel)


def likeness(volume: Volume, points: np.ndarray) -> float:
    """Correlation with the density of the points, where the map says that it lies."""
    size, voxel = len(volume.density), volume.voxel_size_A[0]
    x, y, z = (o + voxel * (size // 2) for o in volume.origin_A)
    return float(
        np.corrcoef(volume.density.ravel(), Grid(size, voxel, (x, y, z)).density(points).ravel())[0, 1]
    )


def test_the_map_lies_on_the_points_and_is_better_than_their_mean() -> None:
    refined, mean = density_map(samples_A(), [posed()])
    assert likeness(refined, truth_A()) > likeness(mean, truth_A()) + 0.02
    here = likeness(refined, truth_A())
    for move in np.eye(3) * refined.voxel_size_A[0]:
        assert here > likeness(refined, truth_A() + move)
        assert here > likeness(refined, truth_A() - move)
    # in points per Å³
    total = float(refined.density.sum()) * refined.voxel_size_A[0] ** 3
    assert total == pytest.approx(len(truth_A()), rel=0.15)


def test_shifts_boxes_and_pixels_of_the_images_do_not_matter() -> None:
    plain, _ = density_map(samples_A(), [posed()], voxel_A=6.0)
    moved, _ = density_map(samples_A(), [posed(shift=7.3, box=60)], voxel_A=6.0)
    finer, _ = density_map(samples_A(), [posed(pixel=4.0, box=80)], voxel_A=6.0)
    for other in (moved, finer):
        assert other.density.shape == plain.density.shape
        assert np.corrcoef(plain.density.ravel(), other.density.ravel())[0, 1] > 0.98


def test_the_grid_holds_the_object_in_any_view() -> None:
    grid = choose_grid(samples_A(), PIXEL_A)
    radius = np.linalg.norm(truth_A() - grid.centre_A, axis=1).max()
    assert grid.voxel_A * grid.size / 2 > radius
    assert grid.size % 2 == 0
    assert choose_grid(samples_A(), 0.5).size == AUTOMATIC_VOXELS
    assert choose_grid(samples_A(), PIXEL_A, 10.0).voxel_A == 10.0
    with pytest.raises(SpecError, match="voxels a side"):
        choose_grid(samples_A(), PIXEL_A, 0.1)


@pytest.fixture
def files(tmp_path: Path) -> ProjectionImages:
    images = posed()
    write_images(tmp_path / "v.mrcs", ImageStack(images.images, PIXEL_A))
    order = np.arange(VIEWS, dtype=np.int32)
    poses = Poses(images.rotations, images.shifts_A, ("v.mrcs",) * VIEWS, order, PIXEL_A)
    write_poses(tmp_path / "v.star", poses, box=BOX)
    return ProjectionImages(images=str(tmp_path / "v.mrcs"), poses=str(tmp_path / "v.star"), points=100)


def make(folder: Path, spec: DpsSpec, samples: np.ndarray) -> list[Event]:
    (folder / "results").mkdir(parents=True)
    events: list[Event] = []
    context = RunContext(folder, events.append, lambda: False, torch.device("cpu"), "CPU")
    evidence = gather(spec.observations, 100, lambda note: None)
    write_density_map(spec, context, samples, evidence, [])
    return events


def described(*observations: ObservationSpec, **changes: object) -> DpsSpec:
    return DpsSpec(observations=observations, points=240, **changes)  # type: ignore[arg-type]


def test_a_run_writes_its_map_and_how_it_compares_with_the_truth(
    files: ProjectionImages, tmp_path: Path
) -> None:
    np.savez(tmp_path / "truth.npz", coords=truth_A().astype(np.float32), z=np.full(240, 6, np.int16))
    events = make(tmp_path / "run", described(files, truth=str(tmp_path / "truth.npz")), samples_A())
    assert [e.role for e in events if isinstance(e, Result)] == ["map"]
    facts = json.loads((tmp_path / "run/results/map.json").read_text())
    assert (facts["images"], facts["samples"]) == (VIEWS, 3)
    refined = read_volume(tmp_path / "run/results/map.mrc")
    assert likeness(refined, truth_A()) > likeness(
        read_volume(tmp_path / "run/results/mean_map.mrc"), truth_A()
    )
    curves = facts["fsc"]
    gained = np.subtract(curves["map"]["correlation"], curves["mean"]["correlation"])[2:12]
    assert gained.mean() > 0.02


def test_without_images_or_with_one_sample_there_is_no_map(files: ProjectionImages, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("x,y,z\n" + "".join(f"{x},{y},{z}\n" for x, y, z in truth_A()[::8]))
    coarse = CoarsePoints(file=str(tmp_path / "c.csv"))
    assert make(tmp_path / "a", described(coarse), samples_A()) == []
    assert make(tmp_path / "b", described(files, density_map=False), samples_A()) == []
    events = make(tmp_path / "c", described(files), samples_A(count=1))
    assert [type(e) for e in events] == [Notice]
    assert not (tmp_path / "c/results/map.mrc").exists()


def test_corrected_poses_and_pixel_sizes_are_used(files: ProjectionImages, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("x,y,z\n" + "".join(f"{x},{y},{z}\n" for x, y, z in truth_A()[::8]))
    spec = described(CoarsePoints(file=str(tmp_path / "c.csv")), files)
    evidence = gather(spec.observations, 100, lambda note: None)
    plain = images_as_used(spec, evidence, [])
    assert [v.rows for v in plain] == [(0,), (1,), (2,)]
    np.testing.assert_allclose(plain[1].rotations[0], posed().rotations[1], atol=1e-5)
    assert plain[0].pixel_size_A == pytest.approx(PIXEL_A)
    numbers = dict.fromkeys(
        ("turned_deg", "moved_A", "turn_error_deg", "move_error_A", "scale_error_percent",
         "disagreement_A", "disagreement_before_A"), 0.0
    )  # fmt: skip
    corrections = [
        ViewCorrection(
            "v", np.eye(3), np.zeros(2), scaled_percent=p, outlier=False, at_bound=False, **numbers
        )
        for p in (0.0, 2.0, -1.0)
    ]
    used = images_as_used(spec, evidence, corrections)
    assert [v.pixel_size_A for v in used] == pytest.approx([PIXEL_A, PIXEL_A / 1.02, PIXEL_A / 0.99])
