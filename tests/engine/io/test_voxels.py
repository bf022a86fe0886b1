"""Reading shapes as voxels: what may come from a file is checked before it is believed."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.voxels import read_voxels


@pytest.fixture
def shapes() -> np.ndarray:
    return np.random.default_rng(0).random((3, 4, 5, 6)) < 0.5


def npy(array: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">i4", np.float32, ">f8", np.float16])
@pytest.mark.parametrize("packed", [False, True])
def test_zeros_and_ones_of_any_type_are_read(tmp_path, shapes, dtype, packed):
    path = tmp_path / "shapes.npy"
    content = npy(shapes.astype(dtype))
    path.write_bytes(gzip.compress(content) if packed else content)
    found = read_voxels(path)
    assert found.dtype == bool
    assert np.array_equal(found, shapes)


def test_a_channel_is_dropped(tmp_path, shapes):
    (tmp_path / "a.npy").write_bytes(npy(shapes[:, None].astype(np.float64)))
    assert np.array_equal(read_voxels(tmp_path / "a.npy"), shapes)


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no array", "not an npy file"),
        (header((2, 4, 4, 4)) + bytes(100), "ends within shape 2 of 2"),
        (gzip.compress(header((10**9, 4, 4, 4))), "1,073,741,824 are the most"),
        (header((1, 10**6, 4, 4)), "1000000 × 4 × 4"),
        (header((1, 2, 8, 8)) + bytes(128), "2 × 8 × 8"),
        (header((8, 8, 8)) + bytes(512), r"shape \(8, 8, 8\)"),
        (header((0, 8, 8, 8)), r"shape \(0, 8, 8, 8\)"),
        (header((2, 3, 8, 8, 8)), "not one of shapes"),
        (header((1, 4, 4, 4)) + bytes(63) + b"\x02", "Shape 1 holds other numbers"),
        (npy(np.full((1, 4, 4, 4), np.nan)), "Shape 1 holds other numbers"),
        (npy(np.full((1, 4, 4, 4), "x")), "does not hold numbers"),
        (npy(np.full((1, 4, 4, 4), None), allow_pickle=True), "does not hold numbers"),
        (npy(np.asfortranarray(np.zeros((2, 4, 5, 6)))), "Fortran"),
        (b"", "empty"),
        (gzip.compress(npy(np.zeros((2, 8, 8, 8))))[:-20], "cut off"),
    ],
)
def test_what_is_no_set_of_shapes_is_refused_in_words(tmp_path, content, words):
    path = tmp_path / "shapes.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_voxels(path)
    assert caught.value.advice
    assert caught.value.path == path


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_voxels(tmp_path / "none.npy")
