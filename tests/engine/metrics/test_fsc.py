"""FSC of ensembles: perfect agreement, falling agreement, map and structure alike."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import InputError
from engine.forward.gaussians import splat_volume
from engine.metrics.fsc import ensemble_fsc
from engine.types import Volume


@pytest.fixture(scope="module")
def atoms() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 3)) * 25
    return centres[rng.integers(0, 8, 800)] + rng.normal(size=(800, 3)) * 8 + [30, -10, 5]


def as_map(points: np.ndarray, voxel: float, resolution: float = 8.0) -> Volume:
    origin = tuple(float(x) for x in points.min(0) - 20)
    n = int(np.ceil((np.ptp(points, axis=0).max() + 40) / voxel))
    density = splat_volume(
        points, voxel_size_A=voxel, shape=(n, n, n), origin_A=origin, resolution_A=resolution
    )
    return Volume(density, (voxel, voxel, voxel), origin)


def test_the_truth_agrees_with_itself_to_nyquist(atoms: np.ndarray) -> None:
    curve = ensemble_fsc(atoms[None], atoms)
    assert curve.resolution_0p5_A is None
    assert curve.correlation.min() > 0.999
    assert curve.frequency_per_A[-1] == pytest.approx(1 / curve.nyquist_A)


def test_noise_lowers_the_resolution_and_samples_average(atoms: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    found = []
    for noise in (1, 3, 6):
        curve = ensemble_fsc(atoms[None] + noise * rng.normal(size=(1, 800, 3)), atoms)
        assert curve.resolution_0p5_A is not None
        found.append(curve.resolution_0p5_A)
    assert found == sorted(found)
    many = ensemble_fsc(atoms[None] + 6 * rng.normal(size=(12, 800, 3)), atoms)
    assert many.resolution_0p5_A is not None
    assert many.resolution_0p5_A < found[-1]


def test_resolution_of_the_splats_cancels(atoms: np.ndarray) -> None:
    model = atoms[None] + 4 * np.random.default_rng(2).normal(size=(3, 800, 3))
    found = [ensemble_fsc(model, atoms, resolution_A=r).resolution_0p5_A for r in (8, 14)]
    assert found[0] == pytest.approx(found[1], rel=0.05)


@pytest.mark.parametrize("voxel", [1.5, 3.0])
def test_a_map_of_the_structure_says_the_same(atoms: np.ndarray, voxel: float) -> None:
    model = atoms[None] + 5 * np.random.default_rng(3).normal(size=(2, 800, 3))
    by_structure = ensemble_fsc(model, atoms).resolution_0p5_A
    by_map = ensemble_fsc(model, as_map(atoms, voxel)).resolution_0p5_A
    assert by_map == pytest.approx(by_structure, rel=0.1)


def test_fine_maps_are_binned_in_place(atoms: np.ndarray) -> None:
    curve = ensemble_fsc(atoms[None], as_map(atoms, 0.9), resolution_A=12.0)
    assert curve.nyquist_A == pytest.approx(2 * 3 * 0.9)
    assert curve.correlation[curve.frequency_per_A < 1 / 8].min() > 0.99


def test_a_shift_is_not_forgiven(atoms: np.ndarray) -> None:
    shifted = ensemble_fsc(atoms[None] + [10.0, 0, 0], as_map(atoms, 2.0)).resolution_0p5_A
    assert shifted is not None
    assert shifted > 20


def test_masses_count(atoms: np.ndarray) -> None:
    weights = np.where(np.arange(800) < 400, 1.0, 0.0)
    half = ensemble_fsc(atoms[None, :400], atoms, weights=weights, resolution_A=8.0)
    assert half.correlation.min() > 0.999


def test_unusable_maps(atoms: np.ndarray) -> None:
    good = as_map(atoms, 4.0)
    with pytest.raises(InputError, match="not known"):
        ensemble_fsc(atoms[None], Volume(good.density, (0.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="not cubes"):
        ensemble_fsc(atoms[None], Volume(good.density, (1.0, 1.0, 1.5)))
