"""Files of training clouds: read, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.clouds import read_clouds


def points(**changes: object) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {"points": rng.uniform(-1, 1, (3, 20, 3)).astype(np.float16)}
    return made | {k: np.asarray(v) for k, v in changes.items()}


def test_names_and_scales_are_optional(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **points())
    np.savez(tmp_path / "b.npz", **points(name=["x", "y", "z"], scale_A=[10.0, 20.0, 30.0]))
    plain, full = read_clouds(tmp_path / "a.npz"), read_clouds(tmp_path / "b.npz")
    np.testing.assert_array_equal(plain.points, full.points)
    assert plain.names == ("cloud 1", "cloud 2", "cloud 3")
    assert full.names == ("x", "y", "z")
    assert full.scale_A.tolist() == [10.0, 20.0, 30.0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"points": np.zeros((3, 20, 2))}, "no clouds"),
        ({"points": np.zeros((3, 20, 3), int)}, "no clouds"),
        ({"points": np.zeros((3, 5, 3))}, "at least 16"),
        ({"points": np.full((3, 20, 3), np.nan)}, "finite"),
        ({"points": np.full((3, 20, 3), 80.0)}, "not normalised"),
        ({"name": ["x"]}, "one entry per cloud"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    np.savez(tmp_path / "a.npz", **points(**changes))
    with pytest.raises(InputError, match=said) as caught:
        read_clouds(tmp_path / "a.npz")
    assert caught.value.path == tmp_path / "a.npz"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk", b"\x93NUMPY", b"text"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError):
        read_clouds(tmp_path / "a.npz")


def test_pickles_are_refused_and_missing_files_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", points=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError):
        read_clouds(tmp_path / "a.npz")
    with pytest.raises(InputError, match="no such file"):
        read_clouds(tmp_path / "b.npz")
