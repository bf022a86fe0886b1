from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

from engine.errors import InputError
from engine.io.pixel_size import PixelSizeError
from engine.io.star import read_poses, write_poses
from engine.types import Poses

ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")


def table(name: str, columns: tuple[str, ...], *rows: str, loop: str = "loop_ ") -> str:
    """A table as RELION writes it: numbered columns, trailing blanks."""
    head = "".join(f"_{c} #{i} \n" for i, c in enumerate(columns, 1))
    return f"\n# version 30001\n\ndata_{name}\n\n{loop}\n{head}" + "".join(f"{r} \n" for r in rows) + " \n"


OPTICS = table(
    "optics", ("rlnOpticsGroup", "rlnOpticsGroupName", "rlnImagePixelSize"), "1 g1 2.5", "2 g2 2.5"
)


def save(path: Path, *tables: str) -> Path:
    path.write_text("".join(tables))
    return path


def some_poses(count: int = 20) -> Poses:
    rng = np.random.default_rng(0)
    return Poses(
        rotations=Rotation.random(count, random_state=1).as_matrix(),
        shifts_A=rng.normal(scale=5, size=(count, 2)),
        image_files=("stack.mrcs",) * count,
        image_indices=rng.permutation(count).astype(np.int32),
        pixel_size_A=1.35,
    )


@pytest.mark.parametrize("count", [1, 20])
def test_round_trip(tmp_path: Path, count: int) -> None:
    poses = some_poses(count)
    write_poses(tmp_path / "p.star", poses, box=64)
    again = read_poses(tmp_path / "p.star")
    # STAR files hold six decimals of a degree and of an ångström.
    np.testing.assert_allclose(again.rotations, poses.rotations, atol=1e-7)
    np.testing.assert_allclose(again.shifts_A, poses.shifts_A, atol=1e-6)
    assert again.image_files == poses.image_files
    np.testing.assert_array_equal(again.image_indices, poses.image_indices)
    assert again.pixel_size_A == pytest.approx(1.35)
    assert again.notes == ()


def test_written_file_is_relion_31(tmp_path: Path) -> None:
    write_poses(tmp_path / "p.star", some_poses(3), box=64)
    blocks = starfile.read(tmp_path / "p.star", always_dict=True)
    assert list(blocks) == ["optics", "particles"]
    assert blocks["optics"]["rlnImageSize"].tolist() == [64]
    assert blocks["particles"]["rlnImageName"][0].endswith("@stack.mrcs")
    first = int(blocks["particles"]["rlnImageName"][0].split("@")[0])
    assert first == some_poses(3).image_indices[0] + 1


def test_shifts_have_the_opposite_sign_and_angstroms(tmp_path: Path) -> None:
    columns = (*ANGLES, "rlnOriginXAngst", "rlnOriginYAngst", "rlnOpticsGroup", "rlnImageName")
    poses = read_poses(
        save(tmp_path / "p.star", OPTICS, table("particles", columns, "0 0 0 3 -4 2 000007@a/b.mrcs"))
    )
    np.testing.assert_allclose(poses.shifts_A, [[-3, 4]])
    np.testing.assert_allclose(poses.rotations, [np.eye(3)])
    assert poses.image_files == ("a/b.mrcs",)
    assert poses.image_indices.tolist() == [6]
    assert poses.pixel_size_A == 2.5


@pytest.mark.parametrize("name", ["", "images", "particles", "model_class_1"])
def test_old_files_give_shifts_in_pixels_and_the_pixel_as_magnification(tmp_path: Path, name: str) -> None:
    columns = (*ANGLES, "rlnOriginX", "rlnOriginY", "rlnDetectorPixelSize", "rlnMagnification")
    poses = read_poses(save(tmp_path / "p.star", table(name, columns, "10 20 30 2 -1 5.0 25000")))
    assert poses.pixel_size_A == pytest.approx(2.0)
    np.testing.assert_allclose(poses.shifts_A, [[-4, 2]])
    assert any("pixels of 2 Å" in n for n in poses.notes)
    assert any("names no images" in n for n in poses.notes)
    assert any("data_model_class_1" in n for n in poses.notes) == (name == "model_class_1")


def test_optics_may_be_a_simple_block(tmp_path: Path) -> None:
    optics = "data_optics\n\n_rlnOpticsGroup 1\n_rlnImagePixelSize 3.1\n\n"
    columns = (*ANGLES, "rlnOpticsGroup")
    poses = read_poses(save(tmp_path / "p.star", optics, table("particles", columns, "1 2 3 1")))
    assert poses.pixel_size_A == 3.1


def test_missing_shifts_are_zero_and_said(tmp_path: Path) -> None:
    poses = read_poses(save(tmp_path / "p.star", table("particles", ANGLES, "1 2 3", "4 5 6")))
    assert not poses.shifts_A.any()
    assert any("no shifts" in n for n in poses.notes)
    assert poses.pixel_size_A == 0.0
    assert any("does not say the pixel size" in n for n in poses.notes)


def test_pixel_shifts_of_unknown_size_ask_for_it(tmp_path: Path) -> None:
    path = save(tmp_path / "p.star", table("", (*ANGLES, "rlnOriginX", "rlnOriginY"), "1 2 3 1 0"))
    with pytest.raises(PixelSizeError, match="Give the pixel size"):
        read_poses(path)
    np.testing.assert_allclose(read_poses(path, pixel_size_A=4.0).shifts_A, [[-4, 0]])


def test_a_given_pixel_size_wins_and_is_noted(tmp_path: Path) -> None:
    columns = (*ANGLES, "rlnOriginX", "rlnOriginY", "rlnOpticsGroup")
    path = save(tmp_path / "p.star", OPTICS, table("particles", columns, "1 2 3 1 0 1"))
    poses = read_poses(path, pixel_size_A=4.0)
    np.testing.assert_allclose(poses.shifts_A, [[-4, 0]])
    assert any("the file says 2.5 Å" in n for n in poses.notes)


def test_different_pixel_sizes_are_refused(tmp_path: Path) -> None:
    optics = OPTICS.replace("2 g2 2.5", "2 g2 1.0")
    body = table("particles", (*ANGLES, "rlnOpticsGroup"), "1 2 3 1", "1 2 3 2")
    with pytest.raises(InputError, match="different pixel sizes"):
        read_poses(save(tmp_path / "p.star", optics, body))


def test_gzipped_with_crlf(tmp_path: Path) -> None:
    text = table("particles", (*ANGLES, "rlnImageName"), "1 2 3 000002@s.mrcs").replace("\n", "\r\n")
    path = tmp_path / "p.star.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert read_poses(path).image_indices.tolist() == [1]


def test_writing_without_a_pixel_size_is_refused(tmp_path: Path) -> None:
    poses = some_poses(2)
    bare = Poses(poses.rotations, poses.shifts_A)
    with pytest.raises(InputError, match="no pixel size"):
        write_poses(tmp_path / "p.star", bare, box=32)
    assert list(tmp_path.iterdir()) == []


def test_an_absurd_pixel_size_can_be_replaced(tmp_path: Path) -> None:
    optics = OPTICS.replace("2.5", "1e6")
    path = save(tmp_path / "p.star", optics, table("particles", (*ANGLES, "rlnOpticsGroup"), "1 2 3 1"))
    with pytest.raises(PixelSizeError, match="1e\\+06"):
        read_poses(path)
    assert read_poses(path, pixel_size_A=2.0).pixel_size_A == 2.0
