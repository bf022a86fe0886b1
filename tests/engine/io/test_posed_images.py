"""Images of known pose from RELION, cryoSPARC and Verglas's own runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import conventions
from engine.errors import InputError, SpecError
from engine.io.mrc import write_images
from engine.io.pixel_size import PixelSizeError
from engine.io.pose_table import make_table
from engine.io.pose_table import write_poses as write_table
from engine.io.posed_images import read_posed, read_posed_poses
from engine.io.star import write_poses
from engine.numerics.rotations import random_rotations
from engine.specs.known_poses import PosedImages
from engine.types import ImageStack, Poses

COUNT, SIDE, PIXEL = 5, 20, 3.0
ROTATIONS = random_rotations(COUNT, np.random.default_rng(0))
SHIFTS = np.random.default_rng(1).normal(0, 4, (COUNT, 2))


def images() -> np.ndarray:
    axis = np.arange(SIDE) - SIDE // 2
    disc = np.exp(-(axis[:, None] ** 2 + axis**2) / 12.0)
    return np.stack([(k + 1) * disc for k in range(COUNT)]).astype(np.float32)


@pytest.fixture
def star(tmp_path: Path) -> Path:
    write_images(tmp_path / "stack.mrcs", ImageStack(images(), PIXEL))
    poses = Poses(ROTATIONS, SHIFTS, ("stack.mrcs",) * COUNT, np.arange(COUNT, dtype=np.int32), PIXEL)
    write_poses(tmp_path / "poses.star", poses, box=SIDE)
    return tmp_path / "poses.star"


def dataset(path: Path, *, pose: bool = True, unit: float = PIXEL) -> Path:
    fields = [("blob/path", "U20"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4")]
    if pose:
        fields += [
            ("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,)),
            ("alignments3D/psize_A", "<f4"),
        ]  # fmt: skip
    table = np.zeros(COUNT, fields)
    table["blob/path"], table["blob/idx"], table["blob/psize_A"] = "stack.mrcs", np.arange(COUNT), PIXEL
    if pose:
        table["alignments3D/pose"] = conventions.rotation_to_cryosparc(ROTATIONS)
        table["alignments3D/shift"] = conventions.shift_A_to_relion_origin(SHIFTS, unit)
        table["alignments3D/psize_A"] = unit
    with path.open("wb") as file:
        np.save(file, table)
    return path


def test_a_star_file_names_its_images_and_their_poses(star: Path):
    found = read_posed(PosedImages(poses=str(star)), lambda note: None)
    assert np.allclose(found.images, images())
    assert np.allclose(found.rotations, ROTATIONS, atol=1e-4)
    assert np.allclose(found.shifts_A, SHIFTS, atol=1e-3)
    assert found.pixel_size_A == PIXEL
    assert [Path(f).name for f in found.files] == ["stack.mrcs"] * COUNT


@pytest.mark.parametrize("unit", [PIXEL, 2 * PIXEL])
def test_a_dataset_of_cryosparc_means_the_same(star: Path, unit: float):
    path = dataset(star.parent / "particles.cs", unit=unit)
    found = read_posed(PosedImages(poses=str(path)), lambda note: None)
    assert np.allclose(found.images, images())
    assert np.allclose(found.rotations, ROTATIONS, atol=1e-5)
    assert np.allclose(found.shifts_A, SHIFTS, atol=1e-3)


def test_a_run_that_found_poses_is_taken_with_its_prepared_images(tmp_path: Path):
    results = tmp_path / "results"
    results.mkdir()
    write_images(results / "prepared.mrcs", ImageStack(images(), PIXEL))
    write_table(results, make_table(ROTATIONS, SHIFTS, PIXEL), box=SIDE)
    for path in (tmp_path, results):
        found = read_posed(PosedImages(poses=str(path)), lambda note: None)
        assert found.prepared
        assert np.allclose(found.images, images())
        assert np.allclose(found.rotations, ROTATIONS, atol=1e-5)
        assert np.allclose(found.shifts_A, SHIFTS, atol=1e-3)


def test_rows_are_selected_and_another_stack_may_be_given(star: Path):
    other = star.parent / "other.mrcs"
    write_images(other, ImageStack(images() * 2, PIXEL))
    found = read_posed(PosedImages(poses=str(star), images=str(other), select=(4, 2)), lambda note: None)
    assert np.allclose(found.images, 2 * images()[[3, 1]])
    assert np.allclose(found.rotations, ROTATIONS[[3, 1]], atol=1e-4)
    assert list(found.rows) == [3, 1]


def test_black_particles_are_inverted(star: Path):
    write_images(star.parent / "stack.mrcs", ImageStack(-images(), PIXEL))
    found = read_posed(PosedImages(poses=str(star)), lambda note: None)
    assert found.sign == -1
    assert found.images.max() > 0.9


def test_the_given_pixel_size_goes_first_and_is_told(star: Path):
    notes: list[str] = []
    found = read_posed(PosedImages(poses=str(star), pixel_size_A=2.0), notes.append)
    assert found.pixel_size_A == 2.0
    assert any("2" in note for note in notes)


def test_what_does_not_fit_is_refused_in_words(star: Path):
    spec = PosedImages(poses=str(star))
    with pytest.raises(SpecError, match="row 9.*poses.star has 5"):
        read_posed(spec.model_copy(update={"select": (9,)}), lambda note: None)
    short = star.parent / "short.mrcs"
    write_images(short, ImageStack(images()[:3], PIXEL))
    with pytest.raises(InputError, match="image 5 of short.mrcs, which has 3"):
        read_posed(spec.model_copy(update={"images": str(short)}), lambda note: None)
    with pytest.raises(InputError, match="holds no 3D poses"):
        read_posed(PosedImages(poses=str(dataset(star.parent / "twod.cs", pose=False))), lambda note: None)
    (star.parent / "stack.mrcs").unlink()
    with pytest.raises(InputError, match="not there: stack.mrcs"):
        read_posed(spec, lambda note: None)


def test_images_that_are_no_numbers_are_refused(star: Path):
    broken = images()
    broken[2, 3, 3] = np.nan
    write_images(star.parent / "stack.mrcs", ImageStack(images(), PIXEL))
    content = (star.parent / "stack.mrcs").read_bytes()
    (star.parent / "stack.mrcs").write_bytes(content[:1024] + broken.tobytes())
    with pytest.raises(InputError, match=r"NaN|not finite|infinite"):
        read_posed(PosedImages(poses=str(star)), lambda note: None)


def test_a_dataset_of_unknown_pixel_size_is_refused_where_shifts_need_it(tmp_path: Path):
    table = np.zeros(2, [("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,))])
    table["alignments3D/shift"] = 1.0
    with (tmp_path / "p.cs").open("wb") as file:
        np.save(file, table)
    with pytest.raises(PixelSizeError):
        read_posed_poses(tmp_path / "p.cs")
    assert read_posed_poses(tmp_path / "p.cs", pixel_size_A=2.0).shifts_A[0, 0] == pytest.approx(-2.0)
