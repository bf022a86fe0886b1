from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.averages_columns import of_averages
from app.averages_export import sentence
from app.averages_files import export, load, thumbnails
from engine.conventions import cryosparc_to_rotation, relion_to_rotation
from engine.io.image_columns import read_columns
from tests.app import averages_phantom


def test_columns_sort_with_unknown_values_last_either_way() -> None:
    counts, resolutions = np.array([5.0, 50, 20]), np.array([12.0, np.inf, 7])
    others = {"rlnClassScore": np.array([0.2, 0.1, 0.3]), "rlnAngleRot": np.arange(3.0)}
    particles, resolution, score = of_averages(counts, resolutions, others)
    assert (particles.key, resolution.key, score.title) == ("particles", "resolution", "Class score")
    assert list(particles.order(descending=True)) == [1, 2, 0]
    assert list(resolution.order(descending=False)) == [2, 0, 1]
    assert list(resolution.order(descending=True)) == [0, 2, 1]
    assert resolution.unknown == 1
    assert [c.text(0) for c in (particles, resolution)] == ["5", "12 Å"]
    assert particles.text(1, long=True) == "50 particles"
    assert resolution.text(1, long=True) == "resolution unknown"


def test_columns_and_poses_are_read_from_star_files(tmp_path: Path) -> None:
    path = tmp_path / "images.star"
    path.write_text(
        "data_particles\n\nloop_\n_rlnImageName\n_rlnAngleRot\n_rlnAngleTilt\n_rlnAnglePsi\n_rlnOdd\n_rlnSame\n"
        "1@a.mrcs 10 20 30 1.5 7\n2@a.mrcs 40 50 60 none 7\n"
    )
    found = read_columns(path)
    assert "rlnSame" not in found.values
    np.testing.assert_array_equal(found.values["rlnOdd"], [1.5, np.nan])
    np.testing.assert_allclose(found.rotations, relion_to_rotation([10, 40], [20, 50], [30, 60]))


def test_columns_and_poses_are_read_from_cryosparc_datasets(tmp_path: Path) -> None:
    kinds = [("uid", "<u8"), ("alignments2D/cross_cor", "<f4"), ("alignments3D/pose", "<f4", (3,))]
    table = np.zeros(3, kinds)
    table["alignments2D/cross_cor"] = [0.1, 0.2, 0.3]
    table["alignments3D/pose"] = np.eye(3)
    with (tmp_path / "a.cs").open("wb") as stream:
        np.save(stream, table)
    found = read_columns(tmp_path / "a.cs")
    assert list(found.values) == ["alignments2D/cross_cor"]
    np.testing.assert_allclose(found.rotations, cryosparc_to_rotation(np.eye(3)))


def test_a_stack_alone_has_no_columns(tmp_path: Path) -> None:
    loaded = load(averages_phantom.write_stack(tmp_path, 3))
    assert loaded.columns == ()
    assert loaded.rotations is None


def test_common_grey_values_put_equal_values_at_equal_greys() -> None:
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))
    found = thumbnails(np.stack([ramp, 3 * ramp, 2 * ramp]))
    black, white = found.common_levels().T
    low, high = found.ranges.T
    # What is shown as white is one value in all images.
    values = low + white / 255 * (high - low)
    np.testing.assert_allclose(values, values[0], rtol=1e-4)
    assert (white > black).all()


def test_what_was_written_is_counted_in_the_files(tmp_path: Path) -> None:
    averages = load(averages_phantom.write_classes(tmp_path, 4)).averages
    written = export(averages, np.array([0, 2]), tmp_path / "chosen.star")
    assert written == (2, pytest.approx(400.0))
    assert sentence("a.star", 2, 400.0, *written) == (
        "Wrote 2 images (400 particles) to a.star and its stack, as selected."
    )
    assert "but 3 images (900 particles) were selected" in sentence("a.star", 3, 900.0, *written)
