"""Runs from images at known poses: every method, in the frame of the poses, with what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import SpecError
from engine.events import Cancelled, Completed, Failed, MapSnapshot, Notice, Progress
from engine.forward.volume_projection import project
from engine.io.mrc import read_volume, write_images, write_volume
from engine.io.pseudo_atoms import read_gaussians
from engine.io.star import write_poses
from engine.io.volumes import SdsResults, write_map
from engine.jobs.run_dir import RunDir
from engine.jobs.runner import run
from engine.metrics.volumes import fsc_area
from engine.numerics.fourier import fsc
from engine.numerics.rotations import random_rotations
from engine.specs.codec import validate
from engine.types import ImageStack, Poses, Volume

SIDE, PIXEL, VIEWS, MANY = 32, 3.0, 6, 30
CENTRE = (2.0, -3.0, 1.0)
METHODS: dict[str, dict[str, Any]] = {
    "wiener": {},
    "data": {"steps": 20},
    "total_variation": {"steps": 20},
    "sds": {"steps": 4, "views": 4},
    "ipsm": {"steps": 3, "views": 4},
    "denoised_views": {"steps": 4, "views": 4, "fit_steps": 10},
}


def density() -> torch.Tensor:
    """Three Gaussians about a point that is not the origin of the poses."""
    axis = torch.arange(SIDE) - SIDE // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    found = torch.zeros(SIDE, SIDE, SIDE)
    for dx, dy, dz, width in ((4, 0, 0, 2.0), (-4, 1, 1, 1.6), (0, -4, -2, 2.4), (1, 4, 3, 1.5)):
        squared = (x - CENTRE[0] - dx) ** 2 + (y - CENTRE[1] - dy) ** 2 + (z - CENTRE[2] - dz) ** 2
        found += torch.exp(-squared / (2 * width**2))
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with poses, other images of the same particle as a library, and the truth."""
    folder = tmp_path_factory.mktemp("posed")
    rng = np.random.default_rng(0)
    for name, count in (("stack", VIEWS), ("library", 24), ("many", MANY)):
        rotations = random_rotations(count, rng)
        images = project(density(), torch.from_numpy(rotations).float()).numpy()
        write_images(folder / f"{name}.mrcs", ImageStack(images, PIXEL))
        stacks = (f"{name}.mrcs",) * count
        poses = Poses(rotations, np.zeros((count, 2)), stacks, np.arange(count, dtype=np.int32), PIXEL)
        if name != "library":
            write_poses(folder / ("poses.star" if name == "stack" else "many.star"), poses, box=SIDE)
    write_map(folder / "truth.mrc", density().numpy(), PIXEL)
    return folder


def spec_of(files: Path, kind: str = "data", **changes: Any) -> Any:
    return validate(
        {
            "schema_version": 1, "kind": "known_poses", "images": {"poses": str(files / "poses.star")},
            "library": {"file": str(files / "library.mrcs"), "contrast": "white"},
            "method": {"kind": kind, **METHODS[kind]}, "truth": str(files / "truth.mrc"),
        } | changes
    )  # fmt: skip


def finished(spec: Any, folder: Path) -> tuple[Path, dict[str, Any], list[Any]]:
    events: list[Any] = []
    ended = run(spec, RunDir.create(folder, spec), events.append, lambda: False)
    assert isinstance(ended, Completed), ended
    return folder / "results", json.loads((folder / "results" / "metrics.json").read_text()), events


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_map_in_the_frame_of_the_poses(files: Path, tmp_path: Path, method: str):
    results, metrics, events = finished(spec_of(files, method), tmp_path / "run")
    found = read_volume(results / "consensus.mrc")
    assert found.density.shape == (SIDE,) * 3
    assert found.voxel_size_A[0] == pytest.approx(PIXEL, rel=1e-3)
    curve = fsc(found.density, density().numpy())[1]
    # were it left about the particle's centre, even these shells would not agree
    assert curve[1:6].min() > 0.8
    assert fsc_area(curve) > 0.35
    assert metrics["kind"] == "known_poses"
    assert metrics["method"] == method
    assert len(metrics["correlation"]) == VIEWS
    assert np.mean(metrics["correlation"]) > 0.9
    assert metrics["fsc_truth"]["aligned"] is False
    assert 0 < metrics["prior_supplied"] < 1
    fraction = read_volume(results / "prior_fraction.mrc").density
    assert fraction.min() >= 0
    assert fraction.max() <= 1
    coverage = json.loads((results / "fourier_coverage.json").read_text())
    shells = SIDE // 2 + 1
    for key in (
        "frequency_per_A",
        "measured",
        "supplied_power",
        "fsc_truth_measured",
        "fsc_truth_unmeasured",
    ):
        assert len(coverage[key]) == shells
    assert coverage["measured"][0] > 0.99 > 0.6 > coverage["measured"][-2]
    table = SdsResults(tmp_path / "run").poses()
    assert np.allclose(table.correlation, metrics["correlation"], atol=1e-3)
    assert any(isinstance(event, MapSnapshot) for event in events)
    assert any(isinstance(event, Progress) for event in events)


def test_measured_coefficients_agree_better_with_the_truth(files: Path, tmp_path: Path):
    results, _, _ = finished(spec_of(files, "data"), tmp_path / "run")
    coverage = json.loads((results / "fourier_coverage.json").read_text())
    measured, unmeasured = (
        np.mean(coverage[f"fsc_truth_{part}"][4:10]) for part in ("measured", "unmeasured")
    )
    assert measured > unmeasured


@pytest.mark.parametrize("anisotropic", [False, True])
def test_gaussians_instead_of_voxels(files: Path, tmp_path: Path, anisotropic: bool):
    spec = spec_of(
        files, "data", method={"kind": "data", "steps": 40},
        representation={"kind": "gaussians", "count": 60, "most": 120, "anisotropic": anisotropic},
    )  # fmt: skip
    results, metrics, _ = finished(spec, tmp_path / "run")
    assert metrics["representation"] == "gaussians"
    cloud = read_gaussians(results / "gaussians.npz")
    centre = np.average(cloud.positions_A, axis=0, weights=cloud.weights)
    axis = np.arange(SIDE) - SIDE // 2
    mass = density().numpy()
    true = [float((mass.sum(others) * axis).sum() / mass.sum()) for others in ((0, 1), (0, 2), (1, 2))]
    assert np.allclose(centre, np.array(true) * PIXEL, atol=0.7 * PIXEL)
    found = read_volume(results / "consensus.mrc").density
    assert fsc(found, density().numpy())[1][1:5].min() > 0.9


def test_a_start_map_is_used(files: Path, tmp_path: Path):
    """One step from the truth is nearer to it than one step from nothing."""
    method = {"kind": "data", "steps": 1}
    areas = []
    for name, start in (("a", None), ("b", str(files / "truth.mrc"))):
        results, _, _ = finished(spec_of(files, method=method, start=start), tmp_path / name)
        found = read_volume(results / "consensus.mrc").density
        areas.append(fsc_area(fsc(found, density().numpy())[1]))
    assert areas[1] > areas[0] + 0.1


def test_a_map_lies_where_its_header_says(files: Path, tmp_path: Path):
    """Start and truth as a points run writes them: a cube about the particle, its place in the header."""
    first = np.array([6, 1, 5])  # xyz, the particle's box within that of the images
    x, y, z = first
    origin = (first - SIDE // 2) * PIXEL
    part = density().numpy()[z : z + 24, y : y + 24, x : x + 24]
    path = tmp_path / "map.mrc"
    write_volume(path, Volume(part, (PIXEL,) * 3, tuple(float(v) for v in origin)))
    method = {"kind": "data", "steps": 1}
    found, notices = [], []
    for name, given in (("whole", files / "truth.mrc"), ("part", path)):
        spec = spec_of(files, method=method, start=str(given), truth=str(given))
        results, metrics, events = finished(spec, tmp_path / name)
        found.append(read_volume(results / "consensus.mrc").density)
        notices.append(
            [e.message for e in events if isinstance(e, Notice) and "puts the origin" in e.message]
        )
        assert min(metrics["fsc_truth"]["correlation"][1:6]) > 0.95
    assert np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1] > 0.995
    assert not notices[0]
    assert "10.0, 15.0, 11.0 (x, y, z; the middle is 12, 12, 12)" in notices[1][0]


def test_refinement_brings_a_wrong_pose_back(files: Path, tmp_path: Path):
    from scipy.spatial.transform import Rotation

    from engine.io.star import read_poses

    poses = read_poses(files / "many.star")
    wrong = poses.rotations.copy()
    wrong[2] = Rotation.from_rotvec([0.1, 0.0, 0.0]).as_matrix() @ wrong[2]
    path = tmp_path / "wrong.star"
    write_poses(path, Poses(wrong, poses.shifts_A, poses.image_files, poses.image_indices, PIXEL), box=SIDE)
    images = {"poses": str(path), "images": str(files / "many.mrcs")}
    spec = spec_of(files, images=images, refinement={"rounds": 1})
    results, metrics, _ = finished(spec, tmp_path / "run")
    assert len(metrics["pose_change_deg"]) == MANY
    refined = SdsResults(results).poses().poses.rotations

    def error(rotation: np.ndarray) -> float:
        return float(
            np.degrees(np.arccos(np.clip((np.trace(rotation @ poses.rotations[2].T) - 1) / 2, -1, 1)))
        )

    assert error(wrong[2]) == pytest.approx(5.7, abs=0.1)
    assert error(refined[2]) < 2.5
    assert np.median(metrics["pose_change_deg"]) < 2.0


def test_poses_of_a_handful_are_not_searched_for(files: Path, tmp_path: Path):
    spec = spec_of(files, refinement={"rounds": 1})
    ended = run(spec, RunDir.create(tmp_path / "run", spec))
    assert isinstance(ended, Failed)
    assert "Poses of 6 images can't be refined" in ended.message


def test_without_a_library_the_denoiser_says_how_little_it_knows(files: Path, tmp_path: Path):
    _, _, events = finished(spec_of(files, "denoised_views", library=None), tmp_path / "run")
    warnings = [e.message for e in events if isinstance(e, Notice) and e.level == "warning"]
    assert any("knows only the 6 images" in text for text in warnings)


def test_a_library_of_other_particles_is_told(files: Path, tmp_path: Path):
    axis = np.arange(SIDE) - SIDE // 2
    ring = np.exp(-((np.hypot(axis[:, None], axis) - 8.0) ** 2) / 2).astype(np.float32)
    write_images(tmp_path / "rings.mrcs", ImageStack(np.stack([ring * k for k in (1, 2, 3)]), PIXEL))
    library = {"file": str(tmp_path / "rings.mrcs"), "contrast": "white"}
    _, metrics, events = finished(spec_of(files, "denoised_views", library=library), tmp_path / "run")
    assert metrics["library_misfit"] > 0.35
    warnings = [e.message for e in events if isinstance(e, Notice) and e.level == "warning"]
    assert any("differ from all that the denoiser knows" in text for text in warnings)
    _, metrics, _ = finished(spec_of(files, "denoised_views"), tmp_path / "right")
    assert metrics["library_misfit"] < 0.35


def test_the_gaussian_control_runs(files: Path, tmp_path: Path):
    _, metrics, _ = finished(
        spec_of(files, "denoised_views", denoiser={"kind": "gaussian"}), tmp_path / "run"
    )
    assert np.mean(metrics["correlation"]) > 0.8


def test_what_goes_not_together_is_refused():
    with pytest.raises(SpecError, match="computes on voxels"):
        validate(
            {"schema_version": 1, "kind": "known_poses", "images": {"poses": "a.star"},
             "representation": {"kind": "gaussians"}}
        )  # fmt: skip
    with pytest.raises(SpecError, match="geometry's weight"):
        validate(
            {"schema_version": 1, "kind": "known_poses", "images": {"poses": "a.star"},
             "method": {"kind": "ipsm", "geometry": 0.5}}
        )  # fmt: skip


def test_a_map_that_does_not_fit_is_no_start(files: Path, tmp_path: Path):
    write_map(tmp_path / "black.mrc", -density().numpy(), PIXEL)
    spec = spec_of(files, start=str(tmp_path / "black.mrc"))
    ended = run(spec, RunDir.create(tmp_path / "run", spec))
    assert isinstance(ended, Failed)
    assert "doesn't fit the images" in ended.message


def test_weighted_correlations_are_those_of_the_parts():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 16, 16, 16))
    assert np.allclose(fsc(a, b, weight=np.ones((16, 16, 9)))[1], fsc(a, b)[1])
    assert np.allclose(fsc(a, a, weight=rng.random((16, 16, 9)))[1], 1)
    assert not fsc(a, b, weight=np.zeros((16, 16, 9)))[1].any()


def test_a_run_that_is_stopped_keeps_its_least_squares_map(files: Path, tmp_path: Path):
    spec = spec_of(files, "denoised_views")
    seen: list[Any] = []

    def stop() -> bool:
        return any(isinstance(event, Progress) and event.stage.startswith("volume") for event in seen)

    ended = run(spec, RunDir.create(tmp_path / "run", spec), seen.append, stop)
    assert isinstance(ended, Cancelled)
    assert (tmp_path / "run/results/least_squares.mrc").is_file()
    assert not (tmp_path / "run/results/consensus.mrc").exists()
    again, metrics, _ = finished(spec, tmp_path / "run")
    assert (again / "consensus.mrc").is_file()
    assert metrics["method"] == "denoised_views"
