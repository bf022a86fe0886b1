"""Laws of the projector: conventions, exact adjoint, symmetry, independence of chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from engine.conventions import image_centre, relion_to_rotation, volume_origin_A
from engine.forward import volume_projection
from engine.forward.gaussians import splat_image, splat_volume
from engine.forward.volume_projection import backproject, project

GOLDEN = Path(__file__).parents[2] / "golden" / "projections.npz"
SIZES = [(12, 12, 12), (13, 13, 13), (10, 13, 16)]


def _random_rotations(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(Rotation.random(n, random_state=3).as_matrix(), dtype=dtype)


def _blobs(box: int) -> tuple[Tensor, dict[str, np.ndarray]]:
    """The golden phantom as a map, sampled from its formula."""
    with np.load(GOLDEN) as archive:
        golden = {name: archive[name] for name in archive.files}
    z, y, x = np.mgrid[:box, :box, :box] - box // 2
    volume = np.zeros((box,) * 3)
    for (cx, cy, cz), width, mass in zip(golden["centres"], golden["widths"], golden["masses"], strict=True):
        squared = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
        volume += mass * np.exp(-0.5 * squared / width**2) / (2 * np.pi * width**2) ** 1.5
    return torch.tensor(volume), golden


@pytest.mark.parametrize("box", [32, 33])
def test_golden_projections_at_relion_angles(box: int) -> None:
    """Closed forms from code that shares nothing with the engine; odd and even boxes, no shift."""
    volume, golden = _blobs(box)
    rotations = torch.tensor(relion_to_rotation(*golden["angles"].T))
    images = project(volume, rotations).numpy()
    expected = golden[f"images_{box}"]
    pixels = np.arange(box) - box // 2
    for image, truth in zip(images, expected, strict=True):
        assert np.corrcoef(image.ravel(), truth.ravel())[0, 1] > 0.9995
        # Trilinear interpolation widens a blob of 2 voxels a little, hence not exactly equal.
        np.testing.assert_allclose(image, truth, atol=0.06 * truth.max())
        centroid = [image.sum(axis) @ pixels / image.sum() for axis in (0, 1)]
        true_centroid = [truth.sum(axis) @ pixels / truth.sum() for axis in (0, 1)]
        np.testing.assert_allclose(centroid, true_centroid, atol=0.01)


def test_golden_case_notices_a_wrong_convention() -> None:
    """The phantom is asymmetric enough: transposed, mirrored or shifted answers fail."""
    volume, golden = _blobs(33)
    rotations = torch.tensor(relion_to_rotation(*golden["angles"][-1:].T))
    truth = golden["images_33"][-1].ravel()
    right = project(volume, rotations)
    wrong = [
        project(volume, rotations.transpose(1, 2)),
        right.flip(1),
        right.flip(2),
        right.transpose(1, 2),
        right.roll((1, 1), (1, 2)),
    ]
    assert all(np.corrcoef(image.numpy().ravel(), truth)[0, 1] < 0.98 for image in wrong)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_backprojection_is_the_exact_adjoint(
    size: tuple[int, int, int], shifted: bool, dtype: torch.dtype, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(7)
    rotations = _random_rotations(5, dtype)
    volume = torch.rand(size, generator=generator, dtype=dtype)
    images = torch.rand(5, *size[1:], generator=generator, dtype=dtype)
    shifts = torch.randn(5, 2, generator=generator, dtype=dtype) * 2 if shifted else None
    one = (project(volume, rotations, shifts_px=shifts).double() * images.double()).sum()
    other = (volume.double() * backproject(images, rotations, size, shifts_px=shifts).double()).sum()
    assert one.item() == pytest.approx(other.item(), rel=tolerance)
    assert abs(one.item()) > 1.0


def test_gradient_of_projection_is_backprojection() -> None:
    rotations = _random_rotations(3)
    volume = torch.zeros(11, 11, 11, dtype=torch.float64, requires_grad=True)
    images = torch.randn(3, 11, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((project(volume, rotations) * images).sum(), volume)
    torch.testing.assert_close(gradient, backproject(images, rotations, 11))


@pytest.mark.parametrize("size", SIZES)
def test_identity_sums_along_z(size: tuple[int, int, int]) -> None:
    volume = torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    image = project(volume, torch.eye(3, dtype=torch.float64)[None])
    torch.testing.assert_close(image[0], volume.sum(0))


@pytest.mark.parametrize("box", [12, 13])
def test_a_point_appears_where_the_pose_says(box: int) -> None:
    """x_view = R x + s, with quarter turns so that nothing is interpolated."""
    centre = image_centre(box)
    volume = torch.zeros(box, box, box, dtype=torch.float64)
    volume[centre + 3, centre + 2, centre + 1] = 1.0  # x, y, z = 1, 2, 3
    for rot, tilt, psi in [(0, 0, 0), (90, 0, 0), (0, 90, 0), (0, 90, 90), (90, 90, 180), (180, 180, 0)]:
        rotation = relion_to_rotation(rot, tilt, psi)
        x, y, _ = np.rint(rotation @ [1, 2, 3]).astype(int) + [1, -2, 0]
        image = project(volume, torch.tensor(rotation)[None], shifts_px=torch.tensor([[1.0, -2.0]]))[0]
        assert np.unravel_index(int(image.argmax()), image.shape) == (centre + y, centre + x)
        assert image.max().item() == pytest.approx(1.0, abs=1e-9)


def test_fractional_shifts_move_the_centroid() -> None:
    volume, _ = _blobs(33)
    rotations = _random_rotations(2)
    shifts = torch.tensor([[0.3, -1.6], [2.25, 0.5]], dtype=torch.float64)
    still, moved = project(volume, rotations), project(volume, rotations, shifts_px=shifts)
    pixels = torch.arange(33, dtype=torch.float64)

    def centroid(images: Tensor) -> Tensor:
        return (
            torch.stack([images.sum(1) @ pixels, images.sum(2) @ pixels], dim=1) / images.sum((1, 2))[:, None]
        )

    torch.testing.assert_close(centroid(moved) - centroid(still), shifts, atol=2e-3, rtol=0)


def test_mass_is_kept_for_an_object_inside_the_box() -> None:
    volume, golden = _blobs(40)
    sums = project(volume, _random_rotations(6)).sum((1, 2))
    torch.testing.assert_close(sums, torch.full_like(sums, golden["masses"].sum()), rtol=2e-3, atol=0)


def test_projected_map_of_points_is_the_image_of_the_projected_points() -> None:
    points = np.random.default_rng(5).uniform(-16, 16, (200, 3))
    rotation = relion_to_rotation(50.0, 70.0, 20.0)
    for box in (40, 41):
        origin = volume_origin_A((box,) * 3, 2.0)
        volume = splat_volume(points, voxel_size_A=2.0, shape=(box,) * 3, origin_A=origin, resolution_A=18.0)
        seen = project(torch.from_numpy(volume), torch.tensor(rotation)[None])[0].numpy()
        drawn = splat_image((points @ rotation.T)[:, :2], pixel_size_A=2.0, box=box, resolution_A=18.0)
        assert np.corrcoef(seen.ravel(), drawn.ravel())[0, 1] > 0.9995


def test_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rotations = _random_rotations(5)
    volume, images = torch.randn(9, 9, 9, dtype=torch.float64), torch.randn(5, 9, 9, dtype=torch.float64)
    together = project(volume, rotations), backproject(images, rotations, 9)
    monkeypatch.setattr(volume_projection, "CHUNK_BYTES", 2 * 5 * 8 * 9**3)
    apart = project(volume, rotations), backproject(images, rotations, 9)
    torch.testing.assert_close(together, apart)


def test_no_views() -> None:
    none = torch.zeros(0, 3, 3)
    assert project(torch.ones(4, 5, 6), none).shape == (0, 5, 6)
    assert not backproject(torch.zeros(0, 5, 6), none, (4, 5, 6)).any()


def test_shapes_that_do_not_fit_are_refused() -> None:
    turn = torch.eye(3)[None]
    with pytest.raises(ValueError, match="at least 2"):
        project(torch.ones(1, 4, 4), turn)
    with pytest.raises(ValueError, match="don't fit"):
        backproject(torch.ones(1, 4, 5), turn, 4)
