"""Finer clouds: evidence in more points, and details that the coarse samples don't have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from engine.events import Event, Result
from engine.forward.gaussians import splat_image
from engine.io.ensemble import read_ensemble
from engine.io.mrc import write_images
from engine.io.star import write_poses
from engine.metrics.rmsd import rmsd_points
from engine.numerics.mixtures import kmeans_points
from engine.numerics.rotations import random_rotations
from engine.observations.evidence import Evidence, estimate_frame, to_observations
from engine.observations.gather import gather
from engine.observations.pose_correction import ViewCorrection
from engine.pipelines.context import RunContext
from engine.pipelines.finer import fine_evidence, finer_sample, moved_alike, write_finer
from engine.priors.edm import GaussianDenoiser
from engine.specs.components import CoarsePoints, ProjectionImages
from engine.specs.job import DpsSpec, FrameSpec
from engine.types import ImageStack, Poses

POINTS, PARTS, VIEWS, PIXEL_A, BOX = 64, 4, 4, 5.0, 48


def fine_truth_A() -> np.ndarray:
    """A bent tube of 256 points, away from the origin."""
    rng = np.random.default_rng(0)
    along = np.sort(rng.uniform(0, 1, 2000))
    middle = np.stack([70 * np.cos(3 * along), 70 * np.sin(3 * along), 60 * along - 30], axis=1)
    atoms = middle + rng.normal(scale=8.0, size=(2000, 3)) + (5.0, -8.0, 3.0)
    return np.asarray(kmeans_points(atoms, POINTS * PARTS).points_A)


def rotations() -> np.ndarray:
    return np.asarray(random_rotations(VIEWS, np.random.default_rng(1)))


def test_details_come_from_finer_evidence() -> None:
    truth = fine_truth_A()
    evidence = [Evidence(f"v{i}", r[:2], np.zeros(2), truth @ r[:2].T) for i, r in enumerate(rotations())]
    frame = estimate_frame(evidence, FrameSpec(), lambda note: None)
    observations = to_observations(evidence, frame, POINTS * PARTS)
    coarse_A = np.asarray(kmeans_points(truth, POINTS).points_A)
    coarse = torch.as_tensor(frame.from_A(coarse_A), dtype=torch.float32)[None]
    fine = finer_sample(GaussianDenoiser(0.4), observations, coarse, PARTS, 0, 0.01)
    found = rmsd_points(frame.to_A(fine[0].double().numpy()), truth)
    split = np.repeat(coarse_A, PARTS, axis=0)
    spacing = np.median(np.sort(np.linalg.norm(coarse_A[:, None] - coarse_A, axis=-1), axis=1)[:, 1])
    noise = np.random.default_rng(2).normal(size=split.shape)
    controls = [rmsd_points(split + s * spacing * noise, truth) for s in (0.0, 0.25, 0.5)]
    assert found < 0.8 * min(controls)


@pytest.fixture
def files(tmp_path: Path) -> tuple[ProjectionImages, CoarsePoints]:
    truth = fine_truth_A()
    stack = np.stack(
        [
            splat_image((truth @ r.T)[:, :2], pixel_size_A=PIXEL_A, box=BOX, resolution_A=15.0)
            for r in rotations()
        ]
    )
    write_images(tmp_path / "v.mrcs", ImageStack(stack, PIXEL_A))
    order = np.arange(VIEWS, dtype=np.int32)
    poses = Poses(rotations(), np.zeros((VIEWS, 2)), ("v.mrcs",) * VIEWS, order, PIXEL_A)
    write_poses(tmp_path / "v.star", poses, box=BOX)
    few = kmeans_points(truth, 12).points_A
    (tmp_path / "c.csv").write_text("x,y,z\n" + "".join(f"{x},{y},{z}\n" for x, y, z in few))
    images = ProjectionImages(images=str(tmp_path / "v.mrcs"), poses=str(tmp_path / "v.star"), points=POINTS)
    return images, CoarsePoints(file=str(tmp_path / "c.csv"))


def described(files: tuple[ProjectionImages, CoarsePoints], **changes: object) -> DpsSpec:
    given = {"points": POINTS, "fine_points": POINTS * PARTS, "samples": 2, **changes}
    return DpsSpec(observations=files, **given)  # type: ignore[arg-type]


def test_images_are_read_in_more_points_and_corrections_stay(
    files: tuple[ProjectionImages, CoarsePoints],
) -> None:
    spec = described(files)
    used = gather(spec.observations, POINTS, lambda note: None)
    zeros = dict.fromkeys(
        ("turned_deg", "moved_A", "turn_error_deg", "move_error_A", "scale_error_percent",
         "disagreement_A", "disagreement_before_A"), 0.0
    )  # fmt: skip
    corrections = [
        ViewCorrection("v", np.eye(3), np.zeros(2), scaled_percent=p, outlier=False, at_bound=False, **zeros)
        for p in (0.0, 3.0, 0.0, 0.0)
    ]
    plain, scaled = fine_evidence(spec, used, []), fine_evidence(spec, used, corrections)
    assert [len(e.points_A) for e in plain] == [POINTS * PARTS] * VIEWS + [12]
    for old, new in zip(used, plain, strict=True):
        np.testing.assert_array_equal(old.projector, new.projector)
        np.testing.assert_allclose(old.centroid_A(), new.centroid_A(), atol=0.5)
    np.testing.assert_allclose(plain[1].points_A, 1.03 * scaled[1].points_A)
    np.testing.assert_array_equal(plain[4].points_A, scaled[4].points_A)


def test_a_part_that_was_placed_stays_placed() -> None:
    rng = np.random.default_rng(4)
    part, more = rng.normal(size=(20, 3)), rng.normal(size=(80, 3))
    turn, shift = rotations()[0], np.array([3.0, -1.0, 20.0])
    found = moved_alike(part, part @ turn.T + shift, more)
    np.testing.assert_allclose(found, more @ turn.T + shift, atol=1e-10)
    np.testing.assert_allclose(moved_alike(part, part, more), more, atol=1e-10)


def write(spec: DpsSpec, folder: Path, samples_A: np.ndarray) -> list[Event]:
    (folder / "results").mkdir(parents=True)
    events: list[Event] = []
    context = RunContext(folder, events.append, lambda: False, torch.device("cpu"), "CPU")
    evidence = gather(spec.observations, POINTS, lambda note: None)
    frame = estimate_frame(evidence, FrameSpec(), lambda note: None)
    write_finer(spec, context, frame, samples_A, evidence, [], GaussianDenoiser(0.4))
    return events


def test_a_run_writes_finer_clouds_each_by_itself(
    files: tuple[ProjectionImages, CoarsePoints], tmp_path: Path
) -> None:
    truth = fine_truth_A()
    np.savez(tmp_path / "truth.npz", coords=truth.astype(np.float32), z=np.full(len(truth), 6, np.int16))
    coarse = np.asarray(kmeans_points(truth, POINTS).points_A)
    samples = coarse + np.random.default_rng(3).normal(scale=3.0, size=(2, POINTS, 3))
    spec = described(files, truth=str(tmp_path / "truth.npz"))
    events = write(spec, tmp_path / "both", samples)
    assert [e.role for e in events if isinstance(e, Result)] == ["finer ensemble"]
    both = read_ensemble(tmp_path / "both/results/fine.npz")
    assert both.points_A.shape == (2, POINTS * PARTS, 3)
    assert both.energies.shape == (2, VIEWS + 1)
    found = json.loads((tmp_path / "both/results/fine.json").read_text())["unaligned"]
    assert np.mean(found["fine"]["atoms_to_points_A"]) < 0.9 * np.mean(found["coarse"]["atoms_to_points_A"])
    write(spec, tmp_path / "one", samples[:1])
    one = read_ensemble(tmp_path / "one/results/fine.npz")
    assert one.seeds[0] == both.seeds[0]
    # the same points, in the order of another medoid perhaps
    ordered = [sorted(map(tuple, e.points_A[0].tolist())) for e in (one, both)]
    np.testing.assert_allclose(ordered[0], ordered[1], atol=1e-4)


def test_nothing_is_written_unless_asked_for(
    files: tuple[ProjectionImages, CoarsePoints], tmp_path: Path
) -> None:
    assert write(described(files, fine_points=0), tmp_path / "a", np.zeros((1, POINTS, 3))) == []
    for wrong in (POINTS, POINTS * 9, POINTS * 2 + 1):
        with pytest.raises(ValidationError, match="fine_points"):
            described(files, fine_points=wrong)
