"""``verglas data shapes``: from voxels to clouds that a prior can be trained on."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cli import main
from engine.io.clouds import read_clouds


@pytest.fixture
def boxes() -> np.ndarray:
    """Eight boxes of different sides, the last a turned copy of the first."""
    out = np.zeros((8, 12, 12, 12), np.uint8)
    for i in range(7):
        out[i, 1 : 5 + i, 2 : 11 - i, 3:9] = 1
    out[7] = out[0].transpose(2, 0, 1)
    return out


def make(tmp_path, array, *options: str) -> int:
    np.save(tmp_path / "boxes.npy", array)
    words = ["data", "shapes", str(tmp_path / "boxes.npy"), "--out", str(tmp_path / "out.npz")]
    return main([*words, "--points", "64", "--alike", "0.95", *options])


def test_clouds_are_normalised_named_and_split(tmp_path, boxes, capsys):
    assert make(tmp_path, boxes, "--val", "2", "--test", "2") == 0
    parts = {p: read_clouds(tmp_path / f"out.{p}.npz") for p in ("train", "val", "test")}
    assert [len(parts[p].names) for p in ("val", "test")] == [2, 2]
    held = {*parts["val"].names, *parts["test"].names}
    if {"boxes-00001", "boxes-00008"} & held:
        assert not {"boxes-00001", "boxes-00008"} & set(parts["train"].names)
    for part in parts.values():
        assert part.points.dtype == np.float16
        assert part.points.shape[1:] == (64, 3)
        assert np.abs(part.points).max((1, 2)) == pytest.approx(1, abs=1e-3)
        assert part.points.astype(float).mean(1) == pytest.approx(0, abs=1e-3)
        assert (part.scale_A == 1).all()
    said = capsys.readouterr()
    assert "out.train.npz: " in said.out
    assert "7 of 8 shapes are different" in " ".join(said.err.split())


def test_a_copy_of_a_held_out_shape_is_never_trained_on(tmp_path, boxes):
    for seed in range(3):
        array = np.concatenate([boxes[:2], boxes[7:]])  # two different shapes
        assert make(tmp_path, array, "--val", "0", "--test", "1", "--seed", str(seed)) == 0
        train, test = (read_clouds(tmp_path / f"out.{p}.npz").names for p in ("train", "test"))
        assert set(train) == ({"boxes-00001", "boxes-00003"} if test == ("boxes-00002",) else {"boxes-00002"})


def test_empty_shapes_are_named_and_the_exit_status_says_so(tmp_path, boxes, capsys):
    boxes[2] = 0
    assert make(tmp_path, boxes, "--val", "1", "--test", "1") == 1
    assert "1 empty shapes were left out: 3." in " ".join(capsys.readouterr().err.split())
    assert make(tmp_path, np.zeros_like(boxes)) == 2


def test_more_than_there_is_can_not_be_held_out(tmp_path, boxes, capsys):
    assert make(tmp_path, boxes) == 2
    assert "50 + 100 shapes can't be held out of 7 different ones" in capsys.readouterr().err
    assert not (tmp_path / "out.train.npz").exists()
