"""Whole files or none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from engine.errors import VerglasError
from engine.io.atomic import atomic_path, write_npy, write_text


def test_failure_keeps_what_was_there_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def interrupted() -> None:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_is_being_written_is_not_seen(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
        assert temporary.suffix == ".txt"
    assert (tmp_path / "a.txt").read_text() == "new"


def test_others_may_read_results_whatever_the_writer_does(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.unlink()
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o644


def test_folders_are_made_and_impossible_ones_named(tmp_path: Path) -> None:
    write_npy(tmp_path / "new" / "a.npy", np.arange(3))
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "a.npy", allow_pickle=False), [0, 1, 2])
    (tmp_path / "file").write_text("")
    with pytest.raises(VerglasError) as caught:
        write_text(tmp_path / "file" / "a.txt", "x")
    assert caught.value.path == tmp_path / "file" / "a.txt"
    assert caught.value.advice
