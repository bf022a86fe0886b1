import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from engine.forward.volume_projection import project
from engine.io import hand, volumes
from engine.io.ensemble import write_ensemble
from engine.io.export_volumes import export_volumes
from engine.io.landscape_file import read_landscape
from engine.io.mrc import read_volume
from engine.io.star import read_poses as read_star
from engine.types import Ensemble, Frame, Volume
from tests.app.sds_run import body, write_sds


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_sds(tmp_path_factory.mktemp("hand") / "run", images=6, box=24)


@pytest.mark.parametrize("box", [20, 21])
def test_a_flipped_map_shows_the_same_images_at_the_flipped_poses(box):
    density = body(box)
    # The plane without a partner must be empty, as in every masked map.
    density[0] = 0
    rotations = Rotation.random(5, rng=2).as_matrix()
    shifts = torch.tensor(np.random.default_rng(0).normal(size=(5, 2)))

    def seen(values, turned):
        return project(
            torch.tensor(values, dtype=torch.float64), torch.tensor(np.asarray(turned)), shifts_px=shifts
        ).numpy()

    before = seen(density, rotations)
    after = seen(hand.mirrored_density(density), hand.mirrored_rotations(rotations))
    # An even grid ends half a voxel apart at its two ends.
    np.testing.assert_allclose(after, before, atol=2e-5 * np.abs(before).max())
    # and not at the poses as they were
    assert np.abs(seen(hand.mirrored_density(density), rotations) - before).max() > 0.05 * before.max()
    assert np.allclose(np.linalg.det(hand.mirrored_rotations(rotations)), 1.0)


def test_twice_is_nothing():
    rng = np.random.default_rng(1)
    for shape in ((6, 5, 4), (7, 5, 4), (3, 8, 5, 4)):
        values = rng.normal(size=shape).astype(np.float32)
        np.testing.assert_array_equal(hand.mirrored_density(hand.mirrored_density(values)), values)
    volume = Volume(rng.normal(size=(6, 4, 4)).astype(np.float32), (2.0, 2.0, 3.0), (1.0, -2.0, 5.0))
    again = hand.mirrored_volume(hand.mirrored_volume(volume))
    np.testing.assert_array_equal(again.density, volume.density)
    assert again.origin_A == volume.origin_A
    rotations = Rotation.random(3, rng=1).as_matrix()
    np.testing.assert_array_equal(hand.mirrored_rotations(hand.mirrored_rotations(rotations)), rotations)


def test_a_mirrored_map_lies_where_mirrored_points_lie():
    density = np.zeros((8, 6, 6), np.float32)
    density[5, 2, 3] = 1
    volume = Volume(density, (2.0, 2.0, 3.0), (1.0, -2.0, 5.0))

    def place(v):
        k = np.argwhere(v.density == 1)[0][::-1]
        return np.asarray(v.origin_A) + k * np.asarray(v.voxel_size_A)

    np.testing.assert_allclose(place(hand.mirrored_volume(volume)), hand.mirrored_points(place(volume)))


def test_a_mirrored_ensemble_has_a_mirrored_frame(tmp_path):
    points = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    ensemble = Ensemble(
        points, "posterior", Frame((1.0, 2.0, 3.0), 10.0), np.zeros((2, 1), np.float32), ("a",), np.arange(2)
    )
    other = hand.mirrored_ensemble(ensemble)
    assert other.frame == Frame((1.0, 2.0, -3.0), 10.0)
    np.testing.assert_allclose(
        other.frame.from_A(other.points_A), ensemble.frame.from_A(points) * [1, 1, -1], atol=1e-6
    )
    assert other.points_A.dtype == np.float32
    write_ensemble(tmp_path / "e.npz", other)


def test_everything_of_a_run_is_read_and_exported_in_the_chosen_hand(run, tmp_path):
    raw = volumes.SdsResults(run)
    assert not hand.flipped(run)
    export_volumes(run, tmp_path / "a.mrc", "mrc")
    hand.set_flipped(run, True)
    try:
        assert hand.flipped(run)
        assert hand.flipped(run / "results")
        seen = volumes.SdsResults(run, in_hand=True)
        mirrored = hand.mirrored_density
        for one, two in (
            (raw.consensus(), seen.consensus()), (raw.start(2), seen.start(2)),
            (raw.volume(3), seen.volume(3)),
            (raw.halves()[0], seen.halves()[0]),
        ):  # fmt: skip
            np.testing.assert_array_equal(two.density, mirrored(one.density))
            np.testing.assert_allclose(two.origin_A, one.origin_A, atol=1e-4)
        np.testing.assert_array_equal(
            seen.landscape().components, mirrored(read_landscape(raw.folder).components)
        )
        poses = hand.mirrored_rotations(raw.poses().poses.rotations)
        np.testing.assert_array_equal(seen.poses().poses.rotations, poses)
        export_volumes(run, tmp_path / "b.mrc", "mrc")
        export_volumes(run, tmp_path / "b.star", "star")
        np.testing.assert_array_equal(
            read_volume(tmp_path / "b.mrc").density, mirrored(read_volume(tmp_path / "a.mrc").density)
        )
        np.testing.assert_allclose(read_star(tmp_path / "b.star").rotations, poses, atol=1e-6)
        # The files themselves stay.
        np.testing.assert_array_equal(volumes.SdsResults(run).consensus().density, raw.consensus().density)
    finally:
        hand.set_flipped(run, False)


def test_a_damaged_note_means_as_computed(tmp_path):
    (tmp_path / hand.NAME).write_text("{")
    assert not hand.flipped(tmp_path)
