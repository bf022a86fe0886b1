"""Maps on other grids: the same function of Å about the same centre, whatever the voxels were."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conventions import volume_origin_A
from engine.numerics.regrid import background, density_centre, frame_origin, on_grid, same_origin
from engine.types import Volume


def _function(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    lump = np.exp(-((x - 14) ** 2 + (y + 9) ** 2 + (z - 6) ** 2) / 72)
    return np.exp(-(x**2 + y**2 + z**2) / 128) + 0.6 * lump


def _gaussians(shape: tuple[int, int, int], spacing: tuple[float, float, float], shift: float = 0) -> Volume:
    """Two unequal Gaussians in Å about voxel n // 2 and a shift, with a background of 3."""
    axes = [(np.arange(n) - n // 2) * s - shift for n, s in zip(shape, spacing[::-1], strict=True)]
    density = _function(*np.meshgrid(*axes, indexing="ij")) + 3.0
    return Volume(density.astype(np.float32), spacing, volume_origin_A(shape, np.array(spacing)))


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((40, 40, 40), (3.0, 3.0, 3.0)),
        ((61, 61, 61), (2.1, 2.1, 2.1)),
        ((48, 60, 52), (2.0, 2.3, 3.1)),
        ((30, 30, 30), (4.3, 4.3, 4.3)),
    ],
)
@pytest.mark.parametrize("shift", [0.0, 7.3])
def test_the_grid_does_not_matter(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], shift: float
) -> None:
    volume = _gaussians(shape, spacing, shift)
    found = on_grid(volume, 36, 3.3)
    assert np.abs(density_centre(found) - 18).max() * 3.3 <= max(spacing) / 2 + 0.1
    whole = np.rint(density_centre(volume.density - 3.0))
    middle = (whole - [n // 2 for n in shape]) * spacing[::-1] - shift
    axes = [(np.arange(36) - 18) * 3.3 + c for c in middle]
    np.testing.assert_allclose(found, _function(*np.meshgrid(*axes, indexing="ij")), atol=0.02)


def test_a_map_with_these_voxels_is_only_moved() -> None:
    volume = _gaussians((40,) * 3, (3.0,) * 3, 3.0)
    found = on_grid(volume, 30, 3.0)
    first = np.rint(density_centre(volume.density - 3.0)).astype(int) - 15
    inside = tuple(slice(f, f + 30) for f in first)
    np.testing.assert_allclose(found, volume.density[inside] - 3.0, atol=1e-5)


def test_what_the_voxels_cannot_hold_is_filtered_out() -> None:
    z, y, x = np.indices((40,) * 3)
    wave = np.cos(2 * np.pi * x * 16 / 40)  # 2.5 voxels a period; 5 voxels of twice the size can't hold it
    envelope = np.exp(-((x - 20.0) ** 2 + (y - 20.0) ** 2 + (z - 20.0) ** 2) / 80)
    found = on_grid(Volume((envelope * (1 + wave)).astype(np.float32), (1.0,) * 3), 20, 2.0)
    expected = on_grid(Volume(envelope.astype(np.float32), (1.0,) * 3), 20, 2.0)
    assert np.abs(found - expected).max() < 0.05


def test_background_and_bad_sizes() -> None:
    volume = _gaussians((40,) * 3, (3.0,) * 3)
    assert background(volume.density) == pytest.approx(3.0, abs=1e-3)
    with pytest.raises(ValueError, match="positive"):
        on_grid(Volume(volume.density, (0.0,) * 3), 20, 3.0)


def _placed(origin_A: tuple[float, float, float]) -> Volume:
    """The two Gaussians, sampled from a first voxel anywhere (xyz)."""
    spacing, shape = (2.6, 2.2, 3.0), (50, 62, 56)
    axes = [o + np.arange(n) * s for o, n, s in zip(origin_A[::-1], shape, spacing[::-1], strict=True)]
    density = _function(*np.meshgrid(*axes, indexing="ij"))
    return Volume(density.astype(np.float32), spacing, origin_A)


@pytest.mark.parametrize("origin_A", [(-72.8, -68.2, -75.0), (-60.1, -77.7, -66.4), (-81.3, -59.5, -88.2)])
@pytest.mark.parametrize("middle_A", [(0.0, 0.0, 0.0), (7.7, -5.2, 11.3)])
def test_maps_of_one_frame_stay_in_it_wherever_their_first_voxel_is(
    origin_A: tuple[float, float, float], middle_A: tuple[float, float, float]
) -> None:
    found = same_origin(_placed(origin_A), 24, 3.3, middle_A)
    axes = [m + (np.arange(24) - 12) * 3.3 for m in middle_A[::-1]]
    np.testing.assert_allclose(found, _function(*np.meshgrid(*axes, indexing="ij")), atol=0.01)


def test_where_a_frame_has_its_origin() -> None:
    empty = np.zeros((40, 50, 60), np.float32)

    def of(origin_A: tuple[float, float, float]) -> list[float]:
        return frame_origin(Volume(empty, (2.0, 2.5, 3.0), origin_A)).tolist()

    middle = [20.0, 25.0, 30.0]
    assert of((0.0, 0.0, 0.0)) == middle  # as RELION and cryoSPARC leave it
    assert of((-60.0, -62.5, -60.0)) == middle
    assert of((-50.0, -60.0, -66.0)) == [22.0, 24.0, 25.0]
    assert of((30.0, 40.0, 50.0)) == middle  # cut out of a larger map: not the frame of poses
    assert of((-500.0, -60.0, -66.0)) == middle
