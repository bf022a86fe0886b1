"""Ensembles survive the disk; damaged files are refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.ensemble import read_ensemble, write_ensemble
from engine.types import Ensemble, Frame


def _ensemble(samples: int = 3, points: int = 16, observations: int = 2, kind: str = "posterior") -> Ensemble:
    rng = np.random.default_rng(0)
    return Ensemble(
        points_A=rng.normal(size=(samples, points, 3)).astype(np.float32) * 40,
        kind=kind,  # type: ignore[arg-type]
        frame=Frame((1.5, -2.25, 300.125), 87.3),
        energies=rng.random((samples, observations)).astype(np.float32),
        observation_names=tuple(f"view {i} é" for i in range(observations)),
        seeds=np.arange(samples, dtype=np.int64) + 2**40,
    )


@pytest.mark.parametrize("observations", [0, 2])
@pytest.mark.parametrize("kind", ["posterior", "optimum"])
def test_round_trip_is_exact(tmp_path: Path, observations: int, kind: str) -> None:
    ensemble = _ensemble(observations=observations, kind=kind)
    path = tmp_path / "results" / "ensemble.npz"
    write_ensemble(path, ensemble)
    back = read_ensemble(path)
    np.testing.assert_array_equal(back.points_A, ensemble.points_A)
    np.testing.assert_array_equal(back.energies, ensemble.energies)
    np.testing.assert_array_equal(back.seeds, ensemble.seeds)
    assert back.frame == ensemble.frame
    assert (back.kind, back.observation_names) == (ensemble.kind, ensemble.observation_names)
    assert (back.points_A.dtype, back.energies.dtype, back.seeds.dtype) == (np.float32, np.float32, np.int64)
    assert [p.name for p in path.parent.iterdir()] == ["ensemble.npz"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="doesn't exist"):
        read_ensemble(tmp_path / "none.npz")


def test_every_truncation_and_damage_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    write_ensemble(path, _ensemble())
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_ensemble(path)
    rng = np.random.default_rng(5)
    for _ in range(60):  # a flipped byte may be harmless (a time stamp), but never another exception
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            read_ensemble(path)
        except InputError:
            pass


def _rewrite(path: Path, **changes: object) -> None:
    write_ensemble(path, _ensemble())
    with np.load(path) as archive:
        fields: dict[str, object] = {name: archive[name] for name in archive.files}
    fields.update(changes)
    np.savez(path, **{name: value for name, value in fields.items() if value is not None})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "guess"}, "kind"),
        ({"kind": None}, "not a Verglas ensemble"),
        ({"format": "other"}, "not a Verglas ensemble"),
        ({"version": 99}, "version 99"),
        ({"points_A": np.zeros((3, 16), np.float32)}, "points"),
        ({"points_A": np.zeros((0, 16, 3), np.float32)}, "points"),
        ({"points_A": np.full((3, 16, 3), np.nan, np.float32)}, "finite"),
        ({"points_A": np.array([[["a", "b", "c"]]])}, "points"),
        ({"seeds": np.arange(2)}, "seeds"),
        ({"energies": np.zeros((3, 5), np.float32)}, "energies"),
        ({"frame": np.array([0.0, 0, 0, -1])}, "frame"),
        ({"frame": np.array([np.nan, 0, 0, 1])}, "frame"),
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = tmp_path / "e.npz"
    _rewrite(path, **changes)
    with pytest.raises(InputError, match=words):
        read_ensemble(path)


def test_pickled_content_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    _rewrite(path, seeds=np.array([{"a": 1}, 2, 3], dtype=object))
    with pytest.raises(InputError):
        read_ensemble(path)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.npz"
    write_ensemble(path, _ensemble())
    monkeypatch.setattr("engine.io.ensemble.LARGEST_BYTES", 100)
    with pytest.raises(InputError, match="unpack"):
        read_ensemble(path)
