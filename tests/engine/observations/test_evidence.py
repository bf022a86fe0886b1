"""From files to evidence to a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import InputError, SpecError
from engine.forward.gaussians import splat_image, splat_volume
from engine.io.mrc import write_images, write_volume
from engine.io.points import write_points
from engine.io.star import write_poses
from engine.numerics.rotations import random_rotations
from engine.observations.evidence import Evidence, estimate_frame, to_observations
from engine.observations.gather import gather
from engine.specs.components import CoarseMap, CoarsePoints, ProjectionImages, ProjectionPoints, Subunit
from engine.specs.job import FrameSpec
from engine.types import Frame, ImageStack, PointCloud, Poses, Volume

CENTRE = np.array([12.0, -7.0, 30.0])


def blob(n: int = 400) -> np.ndarray:
    """A box with a knob, so that no mirror image fits; sharp borders, as molecules have."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, size=(n, 3)) * (70.0, 35.0, 20.0)
    points[: n // 5] = rng.uniform(-1, 1, size=(n // 5, 3)) * 12.0 + (50.0, 40.0, 35.0)
    return points - points.mean(0) + CENTRE


def images(folder: Path, shifts: np.ndarray, pixel_A: float = 4.0) -> ProjectionImages:
    points, rotations = blob(), random_rotations(3, np.random.default_rng(1))
    stack = np.stack(
        [
            splat_image((points @ r.T)[:, :2] + s, pixel_size_A=pixel_A, box=80, resolution_A=12.0)
            for r, s in zip(rotations, shifts, strict=True)
        ]
    )
    write_images(folder / "v.mrcs", ImageStack(stack, pixel_A))
    poses = Poses(rotations, shifts, ("v.mrcs",) * 3, np.arange(3, dtype=np.int32), pixel_A)
    write_poses(folder / "v.star", poses, box=80)
    return ProjectionImages(images=str(folder / "v.mrcs"), poses=str(folder / "v.star"), points=300)


def test_images_give_the_centre_back_whatever_their_shifts(tmp_path: Path) -> None:
    spec = images(tmp_path, np.array([[0.0, 0.0], [20.0, -12.0], [-8.0, 16.0]]))
    notes: list[str] = []
    evidence = gather([spec], 1024, notes.append)
    frame = estimate_frame(evidence, FrameSpec(), notes.append)
    assert [e.name for e in evidence] == ["view 1", "view 2", "view 3"]
    # blurred and cut off alike on all sides: a fraction of a pixel
    assert np.abs(np.array(frame.centre_A) - CENTRE).max() < 1.5
    assert 0.85 < frame.scale_A / np.abs(blob() - CENTRE).max() < 1.25


def test_evidence_agrees_with_the_object_it_came_from(tmp_path: Path) -> None:
    spec = images(tmp_path, np.zeros((3, 2)))
    evidence = gather([spec], 400, lambda note: None)
    frame = Frame((12.0, -7.0, 30.0), 100.0)

    truth = torch.tensor(frame.from_A(blob()), dtype=torch.float32)[None]
    mirrored = truth * torch.tensor([1.0, 1.0, -1.0])
    for observation in to_observations(evidence, frame, 400):
        right = float(observation.energy(truth, observation.match(truth)))
        assert right < 0.05**2
        assert float(observation.energy(mirrored, observation.match(mirrored))) > 4 * right


def test_selected_rows_and_rows_that_are_not_there(tmp_path: Path) -> None:
    spec = images(tmp_path, np.zeros((3, 2)))
    chosen = gather([spec.model_copy(update={"select": (3, 1)})], 400, lambda note: None)
    assert [e.name for e in chosen] == ["view 3", "view 1"]
    with pytest.raises(SpecError, match="row 4"):
        gather([spec.model_copy(update={"select": (4,)})], 400, lambda note: None)


def test_pixel_sizes_that_disagree_are_told(tmp_path: Path) -> None:
    spec = images(tmp_path, np.zeros((3, 2)))
    rotations = random_rotations(3, np.random.default_rng(1))
    poses = Poses(rotations, np.zeros((3, 2)), ("v.mrcs",) * 3, np.arange(3, dtype=np.int32), 5.0)
    write_poses(tmp_path / "v.star", poses, box=80)
    notes: list[str] = []
    gather([spec], 400, notes.append)
    assert any("5" in n and "4" in n and "Å per pixel" in n for n in notes)


def test_map_points_and_subunit_share_from_the_maps_volume(tmp_path: Path) -> None:
    points = blob()
    density = splat_volume(
        points, voxel_size_A=5.0, shape=(40, 40, 60), origin_A=(-140.0, -100.0, -70.0), resolution_A=20.0
    )
    write_volume(tmp_path / "map.mrc", Volume(density, (5.0,) * 3, (-140.0, -100.0, -70.0)))
    write_points(tmp_path / "c.csv", PointCloud(points[:40]))
    lines = [
        f"ATOM  {i + 1:5d}  CA  ALA A{i + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        for i, (x, y, z) in enumerate(points[:60])
    ]
    (tmp_path / "part.pdb").write_text("\n".join(lines) + "\nEND\n")
    notes: list[str] = []
    specs = [
        Subunit(file=str(tmp_path / "part.pdb")),
        CoarseMap(file=str(tmp_path / "map.mrc"), points=30),
        CoarsePoints(file=str(tmp_path / "c.csv")),
    ]
    evidence = gather(specs, 1024, notes.append)
    assert [e.partial for e in evidence] == [True, False, False]
    assert [len(e.points_A) for e in evidence][1:] == [30, 40]
    assert 1 <= len(evidence[0].points_A) <= 60
    assert np.abs(evidence[1].centroid_A() - CENTRE).max() < 2.0
    assert any("kDa" in n for n in notes)
    with pytest.raises(SpecError, match="mass_fraction"):
        gather([specs[0]], 1024, notes.append)


def test_wrong_dimensions_are_refused(tmp_path: Path) -> None:
    write_points(tmp_path / "p2.csv", PointCloud(blob()[:, :2]))
    write_points(tmp_path / "p3.csv", PointCloud(blob()))
    with pytest.raises(InputError, match="2D points"):
        gather([ProjectionPoints(file=str(tmp_path / "p3.csv"), rotation=(1.0, 0.0, 0.0, 0.0))], 64, print)
    with pytest.raises(InputError, match="x, y and z"):
        gather([CoarsePoints(file=str(tmp_path / "p2.csv"))], 64, print)
    with pytest.raises(SpecError, match="zero"):
        gather([ProjectionPoints(file=str(tmp_path / "p2.csv"), rotation=(0.0, 0.0, 0.0, 0.0))], 64, print)


def test_one_view_leaves_the_depth_at_zero_and_given_frames_are_kept() -> None:
    view = Evidence("v", np.eye(3)[:2], np.zeros(2), blob()[:, :2])
    frame = estimate_frame([view], FrameSpec(), lambda note: None)
    assert frame.centre_A == pytest.approx((12.0, -7.0, 0.0))
    given = estimate_frame([view], FrameSpec(centre_A=(1.0, 2.0, 3.0), scale_A=50.0), lambda note: None)
    assert given == Frame((1.0, 2.0, 3.0), 50.0)
    with pytest.raises(SpecError, match="scale_A"):
        estimate_frame([], FrameSpec(), lambda note: None)


def test_evidence_of_different_size_is_warned_about() -> None:
    small = Evidence("a", np.eye(3), np.zeros(3), 0.2 * (blob() - CENTRE))
    large = Evidence("b", np.eye(3), np.zeros(3), blob() - CENTRE)
    notes: list[str] = []
    estimate_frame([small, large], FrameSpec(), notes.append)
    assert any("disagree" in n for n in notes)
