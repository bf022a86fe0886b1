"""Simulated evidence agrees with the structure it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import SpecError
from engine.io.structure import read_structure
from engine.observations.evidence import estimate_frame, to_observations
from engine.observations.gather import gather
from engine.pipelines.simulate import simulate
from engine.specs.codec import load_spec
from engine.specs.job import DpsSpec, FrameSpec


@pytest.fixture
def structure(tmp_path: Path) -> Path:
    """Two chains far from the origin."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(600):
        chain = "A" if i < 400 else "B"
        shift = (100.0, 50.0, -30.0) if chain == "A" else (150.0, 80.0, -10.0)
        x, y, z = rng.uniform(-1, 1, 3) * (40.0, 20.0, 15.0) + shift
        residue = i % 400 + 1
        where = f"{chain}{residue:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
        lines.append(f"ATOM  {i + 1:5d}  CA  ALA {where}  1.00  0.00           C")
    path = tmp_path / "two.pdb"
    path.write_text("\n".join(lines) + "\nEND\n")
    return path


def test_everything_lies_in_one_frame(structure: Path, tmp_path: Path) -> None:
    written = simulate(
        structure,
        tmp_path / "sim",
        views=3,
        box=64,
        coarse_points=20,
        coarse_map_A=30.0,
        subunit_chains=("B",),
    )
    assert all(p.is_file() for p in written)
    assert [p.name for p in written] == [
        "truth.cif", "projections.mrcs", "projections.star", "coarse.csv", "coarse.mrc", "subunit.cif",
        "job.toml",
    ]  # fmt: skip
    spec = load_spec(written[-1])
    assert isinstance(spec, DpsSpec)
    truth = read_structure(tmp_path / "sim" / "truth.cif")
    assert len(truth.coords_A) == 600
    assert np.abs(truth.coords_A.mean(0)).max() < 0.01
    part = read_structure(tmp_path / "sim" / "subunit.cif")
    assert part.chain_names == ("B",)
    evidence = gather(spec.observations, 600, lambda note: None)
    frame = estimate_frame(evidence, FrameSpec(), lambda note: None)
    assert np.abs(frame.centre_A).max() < 2.0
    import torch

    x = torch.tensor(frame.from_A(truth.coords_A), dtype=torch.float32)[None]
    moved = x + 10.0 / frame.scale_A
    for observation in to_observations(evidence, frame, 600):
        right = float(observation.energy(x, observation.match(x)))
        assert right < float(observation.energy(moved, observation.match(moved)))


def test_same_seed_same_files_and_noise_is_as_asked(structure: Path, tmp_path: Path) -> None:
    from engine.io.mrc import read_images

    for name, noise, seed in (("a", 0.5, 1), ("b", 0.5, 1), ("c", 0.0, 1)):
        simulate(structure, tmp_path / name, views=2, box=48, noise=noise, seed=seed)
    a, b, c = (read_images(tmp_path / n / "projections.mrcs").images for n in "abc")
    np.testing.assert_array_equal(a, b)
    assert (a - c).std() == pytest.approx(0.5 * c.std(), rel=0.05)


def test_given_poses_are_used(structure: Path, tmp_path: Path) -> None:
    simulate(structure, tmp_path / "first", views=3, box=48, seed=4)
    simulate(
        structure, tmp_path / "second", views=2, box=48, seed=9, poses=tmp_path / "first" / "projections.star"
    )
    from engine.io.star import read_poses

    first, second = (read_poses(tmp_path / n / "projections.star").rotations for n in ("first", "second"))
    np.testing.assert_allclose(first[:2], second, atol=1e-5)


def test_what_does_not_fit_is_refused_with_the_size_that_would(structure: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="at least"):
        simulate(structure, tmp_path / "small", views=1, box=16, pixel_size_A=2.0)
    with pytest.raises(SpecError, match="Nothing"):
        simulate(structure, tmp_path / "none", views=0)
    with pytest.raises(SpecError, match="whole"):
        simulate(structure, tmp_path / "whole", views=1, subunit_chains=("A", "B"))
