"""Simulated class averages: files that agree with each other, and a truth that they were made from."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.cli import main
from engine.errors import SpecError
from engine.forward.volume_projection import project
from engine.io.mrc import read_images, read_volume
from engine.io.star import read_poses
from engine.numerics.rotations import quaternion_to_matrix
from engine.phantoms.box import box_volume
from engine.pipelines.simulate_phantom import simulate_averages, simulate_phantom
from engine.specs.codec import load_spec
from engine.specs.known_poses import KnownPosesSpec
from engine.specs.sds import SdsSpec


def _rows(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_images_are_projections_of_the_truth_at_the_poses(tmp_path: Path):
    written = simulate_phantom("box", tmp_path, images=3, size=32, seed=4, volumes=True)
    assert all(p.is_file() for p in written)
    stack = read_images(tmp_path / "images.mrcs")
    assert stack.pixel_size_A == pytest.approx(3.0)
    poses = read_poses(tmp_path / "images.star")
    rows = _rows(tmp_path / "parameters.csv")
    assert [r["image"] for r in rows] == [1, 2, 3]
    for i, row in enumerate(rows):
        truth = read_volume(tmp_path / "truth" / f"volume_{i + 1:04d}.mrc")
        made = box_volume(row["theta_plus_deg"], row["theta_minus_deg"], 32)
        np.testing.assert_allclose(truth.density, made, atol=1e-4)
        rotation = quaternion_to_matrix(np.array([row[c] for c in "wxyz"]))
        np.testing.assert_allclose(rotation, poses.rotations[i], atol=1e-5)
        seen = project(torch.from_numpy(truth.density), torch.tensor(poses.rotations[i : i + 1]).float())
        np.testing.assert_allclose(stack.images[i], seen[0].numpy(), atol=1e-2)
    assert truth.origin_A == pytest.approx((-48.0,) * 3)


def test_the_run_description_knows_the_images_only(tmp_path: Path):
    written = simulate_phantom("capsid", tmp_path, images=2, size=24, volumes=True)
    spec = load_spec(written[-1])
    assert isinstance(spec, SdsSpec)
    assert Path(spec.averages.file) == tmp_path / "images.mrcs"
    assert spec.volumes == "each"
    assert "truth/" not in written[-1].read_text()
    assert "images.star" not in written[-1].read_text()


def test_same_seed_same_files_and_noise_is_as_asked(tmp_path: Path):
    for name, noise, seed in (("a", 0.5, 1), ("b", 0.5, 1), ("clean", 0.0, 1), ("other", 0.0, 2)):
        simulate_phantom("box", tmp_path / name, images=4, size=32, noise=noise, seed=seed)
    a, b, clean, other = (
        read_images(tmp_path / n / "images.mrcs", contrast="white").images
        for n in ("a", "b", "clean", "other")
    )
    np.testing.assert_array_equal(a, b)
    assert (a - clean).std() == pytest.approx(0.5 * clean.std(), rel=0.05)
    assert not np.array_equal(clean, other)
    angles = [r["theta_plus_deg"] for r in _rows(tmp_path / "clean" / "parameters.csv")]
    assert len(set(angles)) == 4


@pytest.fixture
def structure(tmp_path: Path) -> Path:
    """An asymmetric molecule far from the origin."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(300):
        x, y, z = rng.uniform(-1, 1, 3) * (40.0, 25.0, 15.0) + (100.0, 50.0, -30.0)
        x += 10 if y > 55 else 0
        lines.append(
            f"ATOM  {i + 1:5d}  CA  ALA A{i + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        )
    path = tmp_path / "one.pdb"
    path.write_text("\n".join(lines) + "\nEND\n")
    return path


def test_averages_of_a_structure(structure: Path, tmp_path: Path):
    """Projected atom by atom, they are the projections of the map to within interpolation."""
    out = tmp_path / "sim"
    written = simulate_averages(structure, out, images=5, resolution_A=20.0, seed=3)
    spec = load_spec(written[-1])
    assert isinstance(spec, SdsSpec)
    assert spec.truth is not None
    few = load_spec(out / "known_poses.toml")
    assert isinstance(few, KnownPosesSpec)
    assert few.images.select == (1, 2, 3, 4, 5)
    assert few.truth == spec.truth
    truth = read_volume(spec.truth)
    stack, poses = read_images(spec.averages.file), read_poses(out / "images.star")
    seen = project(torch.from_numpy(truth.density), torch.tensor(poses.rotations).float()).numpy()
    for image, projection in zip(stack.images, seen, strict=True):
        assert np.corrcoef(image.ravel(), projection.ravel())[0, 1] > 0.995
    assert stack.images.sum() == pytest.approx(5.0, rel=0.01)


def test_impossible_sets_are_refused(structure: Path, tmp_path: Path):
    with pytest.raises(SpecError, match="images"):
        simulate_phantom("box", tmp_path, images=0)
    with pytest.raises(SpecError, match="at least"):
        simulate_averages(structure, tmp_path, images=2, box=16, pixel_size_A=2.0)


def test_command_line(structure: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "c"
    assert main(["simulate", "capsid", "--out", str(out), "--images", "2", "--size", "24", "--volumes"]) == 0
    assert (out / "truth" / "volume_0002.mrc").is_file()
    assert main(["simulate", str(structure), "--out", str(tmp_path / "s"), "--averages", "2"]) == 0
    assert (tmp_path / "s" / "truth" / "volume_0001.mrc").is_file()
    assert str(tmp_path / "s" / "job.toml") in capsys.readouterr().out
    assert main(["simulate", "box", "--out", str(out), "--views", "4"]) == 2
    assert "--views can't be used with the phantom `box`" in capsys.readouterr().err
    assert main(["simulate", str(structure), "--out", str(out), "--volumes"]) == 2
    assert "for phantoms" in capsys.readouterr().err
