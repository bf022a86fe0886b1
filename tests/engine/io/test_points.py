from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.errors import InputError, VerglasError
from engine.io.points import read_points, write_points
from engine.types import PointCloud


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_round_trip(tmp_path: Path, suffix: str, weighted: bool, dimensions: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(scale=100, size=(50, dimensions))
    weights = rng.random(50) if weighted else None
    path = tmp_path / f"p{suffix}"
    write_points(path, PointCloud(points, None if weights is None else weights / weights.sum()))
    again = read_points(path)
    np.testing.assert_allclose(again.points_A, points, rtol=1e-8, atol=1e-9)
    if weights is None:
        assert again.weights is None
    else:
        assert again.weights is not None
        np.testing.assert_allclose(again.weights, weights / weights.sum(), rtol=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-1e4, 1e4, width=32))
)
def test_csv_keeps_nine_digits(tmp_path_factory: pytest.TempPathFactory, points: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("csv") / "p.csv"
    write_points(path, PointCloud(points))
    np.testing.assert_allclose(read_points(path).points_A, points, rtol=1e-8, atol=1e-30)


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", "])
@pytest.mark.parametrize("header", ["", "x{s}y{s}z\n", "# made by hand\n", "\n\n"])
def test_separators_headers_and_comments(tmp_path: Path, separator: str, header: str) -> None:
    rows = [(1.5, -2.0, 3e1), (4.0, 5.25, -6.0)]
    text = header.format(s=separator) + "".join(separator.join(map(str, r)) + "\n" for r in rows)
    path = tmp_path / "p.txt"
    path.write_text(text)
    np.testing.assert_allclose(read_points(path).points_A, rows)


def test_header_names_columns_in_any_order_with_units_and_extras(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("index,weight,Y (Å),x_A\n1,2,20,10\n2,6,40,30\n")
    cloud = read_points(path)
    np.testing.assert_allclose(cloud.points_A, [[10, 20], [30, 40]])
    assert cloud.weights is not None
    np.testing.assert_allclose(cloud.weights, [0.25, 0.75])


def test_three_columns_are_coordinates_unless_a_header_says_weight(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("1,2,3\n4,5,6\n")
    assert read_points(path).points_A.shape == (2, 3)
    path.write_text("x,y,weight\n1,2,3\n4,5,6\n")
    assert read_points(path).points_A.shape == (2, 2)


def test_bom_crlf_latin1_and_gzip(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbfx,y\r\n1,2\r\n3,4\r\n")
    assert read_points(path).points_A.shape == (2, 2)
    path.write_bytes(b"x [\xc5],y [\xc5]\n1,2\n3,4\n")
    assert read_points(path).points_A.shape == (2, 2)
    path.write_bytes(gzip.compress(b"1,2\n3,4\n"))
    np.testing.assert_allclose(read_points(path).points_A, [[1, 2], [3, 4]])


def test_half_precision_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", points=np.arange(6, dtype=np.float16).reshape(2, 3))
    cloud = read_points(tmp_path / "p.npz")
    assert cloud.points_A.dtype == np.float64
    np.testing.assert_array_equal(cloud.points_A, [[0, 1, 2], [3, 4, 5]])


def test_unknown_suffix_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(VerglasError, match="Use .csv or .npz"):
        write_points(tmp_path / "p.xlsx", PointCloud(np.zeros((1, 2))))
    assert list(tmp_path.iterdir()) == []


def test_several_samples_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("sample,x,y,z\n1,0,0,0\n2,0,0,0\n")
    with pytest.raises(InputError, match="several samples"):
        read_points(path)
