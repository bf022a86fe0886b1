from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.mrc import read_header, read_images, read_volume, write_images, write_volume
from engine.io.mrc_header import HEADER_BYTES, kind_of
from engine.types import ImageStack, Volume

MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def mrc_bytes(data: NDArray[Any], *, order: str = "<", stamp: bool = True, **fields: Any) -> bytes:
    """An MRC file from raw header words, as careless a writer as a test wants."""
    header = np.zeros(1, HEADER_DTYPE.newbyteorder(order))
    nz, ny, nx = data.shape
    codes = {np.dtype(v): k for k, v in MODES.items()}
    values: dict[str, Any] = {
        "nx": nx, "ny": ny, "nz": nz, "mode": codes[data.dtype], "mx": nx, "my": ny, "mz": nz,
        "mapc": 1, "mapr": 2, "maps": 3, "ispg": 1,
        "cella": (2.0 * nx, 2.0 * ny, 2.0 * nz), "cellb": (90, 90, 90),
        "dmin": data.min(), "dmax": data.max(),
    }  # fmt: skip
    if stamp:
        values |= {"map": b"MAP ", "machst": [0x44, 0x44, 0, 0] if order == "<" else [0x11, 0x11, 0, 0]}
    for name, value in (values | fields).items():
        header[name] = value
    return header.tobytes() + data.astype(data.dtype.newbyteorder(order)).tobytes()


def bumpy(shape: tuple[int, int, int] = (4, 5, 6), dtype: str = "f4") -> NDArray[Any]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 100, shape).astype(dtype)


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["v.mrc", "v.map.gz"])
def test_volume_round_trip(tmp_path: Path, name: str) -> None:
    volume = Volume(bumpy(), (1.5, 1.5, 2.5), (-3.0, 4.5, 100.0))
    write_volume(tmp_path / name, volume)
    again = read_volume(tmp_path / name)
    np.testing.assert_array_equal(again.density, volume.density)
    assert again.density.dtype == np.float32
    np.testing.assert_allclose(again.voxel_size_A, volume.voxel_size_A, rtol=1e-6)
    np.testing.assert_allclose(again.origin_A, volume.origin_A)


def test_written_volume_is_valid_for_others(tmp_path: Path) -> None:
    path = tmp_path / "v.mrc"
    write_volume(path, Volume(bumpy(), (2.0, 2.0, 2.0), (1.0, 2.0, 3.0)))
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume()
        assert int(mrc.header.ispg) == 1
        assert bytes(mrc.header.machst)[:2] == b"\x44\x44"
        assert float(mrc.header.origin.y) == 2.0
        assert mrc.voxel_size.z == pytest.approx(2.0)
        assert float(mrc.header.dmax) == bumpy().max()


def test_written_stack_is_a_stack(tmp_path: Path) -> None:
    path = tmp_path / "s.mrcs"
    stack = ImageStack(bumpy((3, 8, 8)), 3.54)
    write_images(path, stack)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        assert mrc.is_image_stack()
    again = read_images(path, contrast="white")
    np.testing.assert_array_equal(again.images, stack.images)
    assert again.pixel_size_A == pytest.approx(3.54)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", sorted(MODES))
def test_every_mode_in_both_byte_orders(tmp_path: Path, mode: int, order: str) -> None:
    data = bumpy(dtype=MODES[mode])
    volume = read_volume(saved(tmp_path / "v.mrc", mrc_bytes(data, order=order)))
    np.testing.assert_array_equal(volume.density, data.astype(np.float32))
    assert volume.density.dtype.isnative
    assert any("big-endian" in n for n in volume.notes) == (order == ">")


@pytest.mark.parametrize("order", ["<", ">"])
def test_missing_and_wrong_stamps(tmp_path: Path, order: str) -> None:
    data = bumpy()
    bare = read_volume(saved(tmp_path / "a.mrc", mrc_bytes(data, order=order, stamp=False)))
    np.testing.assert_array_equal(bare.density, data)
    assert any("MAP stamp is missing" in n for n in bare.notes)
    lying = [0x11, 0x11, 0, 0] if order == "<" else [0x44, 0x44, 0, 0]
    wrong = read_volume(saved(tmp_path / "b.mrc", mrc_bytes(data, order=order, machst=lying)))
    np.testing.assert_array_equal(wrong.density, data)
    assert any("machine stamp is wrong" in n for n in wrong.notes)


def test_signed_and_unsigned_bytes(tmp_path: Path) -> None:
    data = bumpy(dtype="i1") - np.int8(60)
    signed = read_volume(saved(tmp_path / "a.mrc", mrc_bytes(data)))
    np.testing.assert_array_equal(signed.density, data)
    unsigned = read_volume(saved(tmp_path / "b.mrc", mrc_bytes(data, dmin=0, dmax=250)))
    np.testing.assert_array_equal(unsigned.density, data.view(np.uint8))


@pytest.mark.parametrize("axes", list(itertools.permutations((1, 2, 3))))
def test_axis_orders_come_out_as_zyx(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    truth = bumpy((4, 5, 6))  # z, y, x
    # Columns (last array axis) run along axes[0], rows along axes[1], sections along axes[2].
    stored = truth.transpose([3 - axes[2], 3 - axes[1], 3 - axes[0]])
    start = np.array([10, 20, 30])  # x, y, z
    content = mrc_bytes(
        np.ascontiguousarray(stored),
        mapc=axes[0], mapr=axes[1], maps=axes[2], mx=6, my=5, mz=4,
        cella=(12.0, 15.0, 16.0),
        nxstart=start[axes[0] - 1], nystart=start[axes[1] - 1], nzstart=start[axes[2] - 1],
    )  # fmt: skip
    volume = read_volume(saved(tmp_path / "v.mrc", content))
    np.testing.assert_array_equal(volume.density, truth)
    np.testing.assert_allclose(volume.voxel_size_A, (2.0, 3.0, 4.0))
    np.testing.assert_allclose(volume.origin_A, (20.0, 60.0, 120.0))


def test_origin_wins_over_nstart_and_nstart_is_used_alone(tmp_path: Path) -> None:
    both = read_volume(saved(tmp_path / "a.mrc", mrc_bytes(bumpy(), nxstart=-50, origin=(1.0, 2.0, 3.0))))
    assert both.origin_A == (1.0, 2.0, 3.0)
    assert any("ORIGIN was used" in n for n in both.notes)
    only = read_volume(saved(tmp_path / "b.mrc", mrc_bytes(bumpy(), nxstart=-50, nzstart=3)))
    assert only.origin_A == (-100.0, 0.0, 6.0)
    given = read_volume(tmp_path / "b.mrc", voxel_size_A=3.0)
    assert given.origin_A == (-150.0, 0.0, 9.0)


@pytest.mark.parametrize("fields", [{"nxstart": 10**6}, {"origin": (np.nan, 0, 0)}, {"origin": (1e20, 0, 0)}])
def test_absurd_origins_are_ignored_with_a_note(tmp_path: Path, fields: dict[str, Any]) -> None:
    volume = read_volume(saved(tmp_path / "v.mrc", mrc_bytes(bumpy(), **fields)))
    assert volume.origin_A == (0.0, 0.0, 0.0)
    assert any("absurd" in n for n in volume.notes)


def test_spacing_is_the_cell_over_the_grid_not_over_the_voxels(tmp_path: Path) -> None:
    content = mrc_bytes(bumpy((10, 10, 10)), mx=9, my=9, mz=9, cella=(27.0, 27.0, 27.0))
    assert read_volume(saved(tmp_path / "v.mrc", content)).voxel_size_A == (3.0, 3.0, 3.0)
    nonsense = mrc_bytes(bumpy((10, 20, 40)), mx=40, my=40, mz=40, cella=(80.0, 40.0, 20.0))
    assert read_volume(saved(tmp_path / "w.mrc", nonsense)).voxel_size_A == (2.0, 2.0, 2.0)


def test_missing_voxel_size_is_zero_said_and_can_be_given(tmp_path: Path) -> None:
    path = saved(tmp_path / "v.mrc", mrc_bytes(bumpy(), cella=(0, 0, 0)))
    unknown = read_volume(path)
    assert unknown.voxel_size_A == (0.0, 0.0, 0.0)
    assert any("does not say the voxel size" in n for n in unknown.notes)
    assert read_volume(path, voxel_size_A=4.0).voxel_size_A == (4.0, 4.0, 4.0)


def test_impossible_voxel_size_is_refused_unless_given(tmp_path: Path) -> None:
    path = saved(tmp_path / "v.mrc", mrc_bytes(bumpy(), cella=(6e7, 5e7, 4e7)))
    with pytest.raises(InputError, match="Give the voxel size"):
        read_volume(path)
    given = read_volume(path, voxel_size_A=2.0)
    assert given.voxel_size_A == (2.0, 2.0, 2.0)


def test_extended_header_is_skipped_and_a_missing_one_survived(tmp_path: Path) -> None:
    data = bumpy()
    plain = mrc_bytes(data, nsymbt=160)
    full = plain[:HEADER_BYTES] + b"x" * 160 + plain[HEADER_BYTES:]
    for name, content in (("a.mrc", full), ("b.mrc", plain)):
        packed = saved(tmp_path / f"{name}.gz", gzip.compress(content))
        for path in (saved(tmp_path / name, content), packed):
            np.testing.assert_array_equal(read_volume(path).density, data)
    assert any("not there" in n for n in read_volume(tmp_path / "b.mrc").notes)


@pytest.mark.parametrize(
    ("name", "shape", "fields", "kind"),
    [
        ("a.mrc", (8, 8, 8), {"ispg": 0}, "volume"),
        ("a.mrc", (8, 8, 8), {"ispg": 0, "mz": 1}, "volume"),
        ("a.mrcs", (8, 8, 8), {"ispg": 1}, "images"),
        ("a.mrcs.gz", (5, 8, 8), {"ispg": 1}, "images"),
        ("a.mrc", (1, 8, 8), {"ispg": 1}, "images"),
        ("a.mrc", (5, 8, 8), {"ispg": 0}, "images"),
        ("a.mrc", (5, 8, 8), {"ispg": 1}, "volume"),
        ("a.mrc", (5, 8, 8), {"ispg": 1, "mz": 1}, "images"),
        ("a.mrc", (5, 8, 9), {"ispg": 0}, "volume"),
    ],
)
def test_stack_or_volume(
    tmp_path: Path, name: str, shape: tuple[int, int, int], fields: dict[str, Any], kind: str
) -> None:
    content = mrc_bytes(bumpy(shape), **fields)
    path = saved(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    assert kind_of(read_header(path), path)[0] == kind


def disc_images(sign: float, noise: float, count: int = 6, size: int = 32) -> NDArray[np.float32]:
    y, x = np.mgrid[:size, :size] - size // 2
    disc = (np.hypot(x, y) < size / 4).astype(np.float32)
    rng = np.random.default_rng(3)
    return (sign * disc + 10 + noise * rng.standard_normal((count, size, size))).astype(np.float32)


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_contrast_is_found_and_the_result_is_the_same(tmp_path: Path, noise: float, count: int) -> None:
    white = disc_images(1.0, noise, count)
    write_images(tmp_path / "w.mrcs", ImageStack(white, 2.0))
    write_images(tmp_path / "b.mrcs", ImageStack(-white, 2.0))
    a, b = read_images(tmp_path / "w.mrcs"), read_images(tmp_path / "b.mrcs")
    np.testing.assert_array_equal(a.images, white)
    np.testing.assert_array_equal(b.images, white)
    assert any("so particles are white" in n for n in a.notes)
    assert any("inverted" in n for n in b.notes)


def test_contrast_that_was_given_is_obeyed(tmp_path: Path) -> None:
    white = disc_images(1.0, 0.0)
    write_images(tmp_path / "w.mrcs", ImageStack(white, 2.0))
    np.testing.assert_array_equal(read_images(tmp_path / "w.mrcs", contrast="black").images, -white)
    np.testing.assert_array_equal(read_images(tmp_path / "w.mrcs", contrast="white").images, white)


def test_undecidable_contrast_is_said(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((4, 32, 32)).astype(np.float32)
    write_images(tmp_path / "n.mrcs", ImageStack(noise, 2.0))
    stack = read_images(tmp_path / "n.mrcs")
    np.testing.assert_array_equal(stack.images, noise)
    assert any("do not differ clearly" in n for n in stack.notes)


def test_empty_images_in_a_stack_are_named(tmp_path: Path) -> None:
    images = disc_images(1.0, 0.0)
    images[2] = 0
    write_images(tmp_path / "s.mrcs", ImageStack(images, 2.0))
    assert any("1 of 6 images are empty (constant): 3." in n for n in read_images(tmp_path / "s.mrcs").notes)


def test_swapped_rows_and_columns_of_images(tmp_path: Path) -> None:
    truth = bumpy((3, 5, 6))
    stored = np.ascontiguousarray(truth.transpose(0, 2, 1))
    content = mrc_bytes(stored, mapc=2, mapr=1, maps=3, mx=6, my=5, cella=(12.0, 10.0, 6.0))
    stack = read_images(saved(tmp_path / "s.mrcs", content), contrast="white")
    np.testing.assert_array_equal(stack.images, truth)
