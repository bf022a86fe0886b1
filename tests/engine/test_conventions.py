"""Laws of the conversions between other programs' conventions and ours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine import conventions as c

ANGLE = st.floats(-360, 360, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(ANGLE, ANGLE, ANGLE)
def test_any_relion_angles_give_a_rotation_that_round_trips(rot: float, tilt: float, psi: float) -> None:
    matrix = c.relion_to_rotation(rot, tilt, psi)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    back = c.rotation_to_relion(matrix)
    np.testing.assert_allclose(c.relion_to_rotation(*back), matrix, atol=1e-6)
    assert 0 <= back[1] <= 180
    assert (-180 < back[[0, 2]]).all()
    assert (back[[0, 2]] <= 180).all()


def test_angles_come_back_unchanged_away_from_the_poles() -> None:
    rng = np.random.default_rng(1)
    angles = np.stack([rng.uniform(-179, 179, 50), rng.uniform(1, 179, 50), rng.uniform(-179, 179, 50)], -1)
    np.testing.assert_allclose(c.rotation_to_relion(c.relion_to_rotation(*angles.T)), angles, atol=1e-9)


@pytest.mark.parametrize("tilt", [0.0, 180.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gimbal_lock_puts_everything_into_psi(tilt: float, dtype: type) -> None:
    matrix = c.relion_to_rotation(37.0, tilt, 21.0).astype(dtype)
    back = c.rotation_to_relion(matrix)
    np.testing.assert_allclose(c.relion_to_rotation(*back), matrix, atol=1e-6)
    if dtype is np.float64:
        np.testing.assert_allclose(back, [0.0, tilt, 58.0 if tilt == 0 else -16.0], atol=1e-5)


def test_nearly_locked_single_precision_matrices_survive() -> None:
    rng = np.random.default_rng(2)
    rot, psi = rng.uniform(-180, 180, (2, 200))
    matrices = c.relion_to_rotation(rot, 10.0 ** rng.uniform(-7, -3, 200), psi).astype(np.float32)
    back = c.relion_to_rotation(*c.rotation_to_relion(matrices).T)
    np.testing.assert_allclose(back, matrices, atol=1e-6)


def test_zero_angles_are_the_identity() -> None:
    np.testing.assert_array_equal(c.relion_to_rotation(0, 0, 0), np.eye(3))
    np.testing.assert_array_equal(c.rotation_to_relion(np.eye(3)), np.zeros(3))


def test_relion_matrix_is_the_transposed_intrinsic_zyz_rotation() -> None:
    """Against an independent implementation: scipy's Euler angles."""
    angles = [[12.0, 34.0, 56.0], [-100.0, 120.0, 170.0]]
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).inv().as_matrix()
    np.testing.assert_allclose(c.relion_to_rotation(*np.transpose(angles)), expected, atol=1e-12)


def test_viewing_direction_is_given_by_rot_and_tilt_alone() -> None:
    rot, tilt = np.deg2rad([30.0, 50.0])
    direction = [np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)]
    for psi in (0.0, 77.0):
        np.testing.assert_allclose(c.relion_to_rotation(30.0, 50.0, psi)[2], direction, atol=1e-12)


def test_psi_turns_the_image_clockwise() -> None:
    """Positive psi takes the object's x axis towards -y of the view."""
    np.testing.assert_allclose(c.relion_to_rotation(0, 0, 90) @ [1, 0, 0], [0, -1, 0], atol=1e-12)


def test_batches_broadcast() -> None:
    matrices = c.relion_to_rotation(np.zeros((4, 1)), 10.0, np.arange(3.0))
    assert matrices.shape == (4, 3, 3, 3)
    np.testing.assert_allclose(matrices[2, 1], c.relion_to_rotation(0, 10, 1))
    assert c.rotation_to_relion(matrices).shape == (4, 3, 3)


def test_cryosparc_poses_round_trip_and_agree_with_relion() -> None:
    pose = np.random.default_rng(3).normal(size=(20, 3))
    matrices = c.cryosparc_to_rotation(pose)
    back = c.cryosparc_to_rotation(c.rotation_to_cryosparc(matrices))
    np.testing.assert_allclose(back, matrices, atol=1e-12)
    # A turn by +psi about z is psi in RELION and the rotation vector (0, 0, psi) in cryoSPARC.
    np.testing.assert_allclose(
        c.rotation_to_relion(c.cryosparc_to_rotation([0.0, 0.0, np.deg2rad(25.0)])), [0, 0, 25], atol=1e-9
    )
    assert c.cryosparc_to_rotation(np.zeros((0, 3))).shape == (0, 3, 3)


def test_eman_angles_round_trip_and_follow_the_zxz_matrix() -> None:
    az, alt, phi = 40.0, 70.0, 250.0
    matrix = c.eman_to_rotation(az, alt, phi)
    expected = Rotation.from_euler("ZXZ", [az, alt, phi], degrees=True).inv().as_matrix()
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    np.testing.assert_allclose(c.rotation_to_eman(matrix), [az, alt, phi], atol=1e-9)


def test_relion_origin_is_the_opposite_of_where_the_object_is() -> None:
    np.testing.assert_allclose(c.relion_origin_to_shift_A([[2.0, -3.0]], 1.5), [[-3.0, 4.5]])
    shifts = np.random.default_rng(4).normal(size=(5, 2))
    back = c.relion_origin_to_shift_A(c.shift_A_to_relion_origin(shifts, 2.0), 2.0)
    np.testing.assert_allclose(back, shifts)


@pytest.mark.parametrize(("n", "centre"), [(4, 2), (5, 2), (65, 32), (64, 32), (1, 0)])
def test_the_centre_is_where_fftshift_puts_zero(n: int, centre: int) -> None:
    assert c.image_centre(n) == centre == int(np.argmin(np.abs(np.fft.fftshift(np.fft.fftfreq(n)))))
    assert c.centred_coordinates(n, 2.0)[centre] == 0.0


@pytest.mark.parametrize(("n", "excess"), [(64, 0), (65, 1), (4, 0), (5, 1)])
def test_relion_puts_the_origin_of_odd_images_one_pixel_later(n: int, excess: int) -> None:
    origin_first = np.zeros(n)
    origin_first[0] = 1.0
    assert c.relion_image_centre(n) == int(np.fft.ifftshift(origin_first).argmax())
    assert c.relion_image_centre(n) - c.image_centre(n) == excess


def test_volume_origin_centres_the_box() -> None:
    assert c.volume_origin_A((4, 5, 6), (1.0, 2.0, 3.0)) == (-3.0, -4.0, -6.0)


@pytest.mark.parametrize(
    ("nstart", "origin", "expected", "source"),
    [
        ((0, 0, 0), (0, 0, 0), (0, 0, 0), "zero"),
        ((-50, -50, -50), (0, 0, 0), (-100, -100, -100), "nstart"),
        ((-50, -50, -50), (7, 0, 0), (7, 0, 0), "origin"),
        ((1, 2, 3), (np.nan, 0, 0), (2, 4, 6), "nstart"),
    ],
)
def test_mrc_origin_precedence(nstart: tuple, origin: tuple, expected: tuple, source: str) -> None:
    assert c.mrc_origin_A(nstart, origin, 2.0) == (expected, source)
