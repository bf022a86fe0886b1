"""Where compiled code is kept, and that changed sources are compiled again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.numerics import compiled


def test_cache_is_the_users_and_of_these_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERGLAS_CACHE", str(tmp_path))
    folder = compiled.cache_folder()
    assert folder.parent == tmp_path / "compiled"
    assert compiled.cache_folder() == folder
    source = tmp_path / "assignment" / "a.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    (tmp_path / "numerics").mkdir()
    (tmp_path / "numerics" / "compiled.py").write_text("")
    monkeypatch.setattr(compiled, "ENGINE", tmp_path)
    before = compiled.cache_folder()
    source.write_text("x = 2\n")
    assert compiled.cache_folder() != before != folder


@pytest.mark.skipif(os.name != "posix", reason="a file as parent of a folder")
def test_a_folder_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VERGLAS_CACHE", str(tmp_path / "file"))
    folder = compiled.cache_folder()
    assert folder.is_dir()
    assert tmp_path not in folder.parents
    folder.rmdir()


def test_type_checks_of_tests_are_taken_off() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    assert compiled.inlined(add)(2, 3) == 5
    assert compiled.inlined_fast(add)(2.5, 3.0) == 5.5
