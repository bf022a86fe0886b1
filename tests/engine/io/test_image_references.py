"""Where the images lie that a table names, and where nothing is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InputError
from engine.io.image_references import find_beside


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_names_are_relative_to_the_project_as_relion_writes_them(tmp_path: Path) -> None:
    project = tmp_path / "above" / "project"
    table = _file(project / "Class2D" / "job012" / "run_it025_model.star")
    stack = _file(project / "Class2D" / "job012" / "run_it025_classes.mrcs")
    other = _file(project / "Extract" / "job007" / "Micrographs" / "m1.mrcs")
    assert find_beside("Class2D/job012/run_it025_classes.mrcs", table) == stack
    assert find_beside("Extract/job007/Micrographs/m1.mrcs", table) == other
    assert find_beside(">Extract/job007/Micrographs/m1.mrcs", table) == other
    beside = _file(table.parent / "m1.mrcs")
    assert find_beside("Extract/job007/Micrographs/m1.mrcs", table) == beside


@pytest.mark.parametrize(
    "name",
    [
        "/{outside}",
        "../../../outside.mrcs",
        "Class2D/../../outside.mrcs",
        "..\\..\\..\\outside.mrcs",
        "C:\\outside.mrcs",
    ],
)
def test_names_that_lead_out_count_as_their_last_part(tmp_path: Path, name: str) -> None:
    outside = _file(tmp_path / "outside.mrcs")
    table = _file(tmp_path / "a" / "b" / "c" / "d" / "e" / "t.star")
    name = name.format(outside=str(outside).lstrip("/"))
    with pytest.raises(InputError, match=r"outside.mrcs.*beside t.star") as caught:
        find_beside(name, table)
    assert caught.value.path == table
    own = _file(table.parent / "outside.mrcs")
    assert find_beside(name, table) == own


def test_what_lies_too_far_above_is_not_found(tmp_path: Path) -> None:
    _file(tmp_path / "x" / "s.mrcs")
    assert find_beside("x/s.mrcs", _file(tmp_path / "1" / "2" / "3" / "4" / "t.star")).name == "s.mrcs"
    with pytest.raises(InputError, match="not there"):
        find_beside("x/s.mrcs", _file(tmp_path / "1" / "2" / "3" / "4" / "5" / "t.star"))


def test_nothing_is_looked_for_among_all_users_or_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    table = _file(tmp_path / "home" / "me" / "project" / "t.star")
    own, foreign = (
        _file(tmp_path / "home" / "me" / "data" / "s.mrcs"),
        _file(tmp_path / "home" / "you" / "s.mrcs"),
    )
    assert find_beside("data/s.mrcs", table) == own
    assert foreign.is_file()
    with pytest.raises(InputError, match="not there"):
        find_beside("you/s.mrcs", table)
    with pytest.raises(InputError, match="not there"):
        find_beside("etc/hostname", Path("/t.star"))


def test_hidden_folders_are_nobodys_images(tmp_path: Path) -> None:
    _file(tmp_path / ".ssh" / "id")
    with pytest.raises(InputError, match="not there"):
        find_beside(".ssh/id", _file(tmp_path / "t.star"))


def test_links_that_the_user_made_are_followed(tmp_path: Path) -> None:
    stack = _file(tmp_path / "disk" / "s.mrcs")
    table = _file(tmp_path / "project" / "t.star")
    (tmp_path / "project" / "Import").symlink_to(stack.parent)
    assert find_beside("Import/s.mrcs", table).resolve() == stack
