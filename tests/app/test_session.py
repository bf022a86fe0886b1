from __future__ import annotations

from pathlib import Path

import pytest

from app.evidence import TRUTH
from app.session import Session
from engine.specs.codec import dump_toml, load_spec
from engine.specs.components import ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.presets import PRESETS
from tests.app import phantom
from tests.app.conftest import ImmediateBackground


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(ImmediateBackground(), tmp_path / "runs")


def only(session: Session):
    (row,) = session.evidence.values()
    return row


def test_nothing_can_run_without_evidence(session: Session) -> None:
    assert session.missing().startswith("Add evidence first")
    assert session.sentence() == ""
    session.set_sampler({"kind": "unconditional"})
    assert session.missing() == ""
    assert "prior alone" in session.sentence()


@pytest.mark.parametrize("star_first", [False, True])
def test_images_and_poses_become_one_row(session: Session, tmp_path: Path, star_first: bool) -> None:
    files = phantom.write_projections(tmp_path, 3)
    session.add_files([files[0]])
    assert "STAR" in only(session).problem
    session.remove(only(session).number)
    session.add_files(reversed(files) if star_first else files)
    row = only(session)
    assert row.state == "ready"
    assert row.paths == files
    assert len(row.checked.thumbnails) == 3
    spec = session.spec()
    assert spec.observations == (ProjectionImages(images=str(files[0]), poses=str(files[1])),)
    assert "3 projections" in session.sentence()


def test_a_star_file_brings_its_stack_along(session: Session, tmp_path: Path) -> None:
    files = phantom.write_projections(tmp_path, 2)
    session.add_files([files[1]])
    assert only(session).paths == files


def test_a_star_file_is_not_paired_with_a_stranger(session: Session, tmp_path: Path) -> None:
    _, star = phantom.write_projections(tmp_path, 2)
    (tmp_path / "other").mkdir()
    stranger = phantom.write_projections(tmp_path / "other", 2)[0].rename(tmp_path / "stranger.mrcs")
    session.add_files([stranger, star])
    rows = sorted(session.evidence.values(), key=lambda row: len(row.paths))
    assert [row.names for row in rows] == ["stranger.mrcs", "views.mrcs + views.star"]


def test_a_renamed_stack_is_taken_if_it_is_large_enough(session: Session, tmp_path: Path) -> None:
    stack, star = phantom.write_projections(tmp_path, 3)
    session.add_files([star.rename(tmp_path / "a.star"), stack.rename(tmp_path / "b.mrcs")])
    assert only(session).state == "ready"
    session.remove(only(session).number)
    small, _ = phantom.write_projections(tmp_path, 2)
    session.add_files([tmp_path / "a.star", small.rename(tmp_path / "c.mrcs")])
    assert "the stack has 2" in only(session).problem


def test_a_star_file_without_its_stack_says_which_it_wants(session: Session, tmp_path: Path) -> None:
    stack, star = phantom.write_projections(tmp_path, 2)
    stack.unlink()
    session.add_files([star])
    assert "views.mrcs" in only(session).problem
    assert session.missing()


def test_a_missing_pixel_size_is_asked_for_once(session: Session, tmp_path: Path) -> None:
    path = phantom.write_map(tmp_path / "map.mrc", voxel_size_A=8.0)
    data = bytearray(path.read_bytes())
    data[40:52] = bytes(12)  # the cell, from which the voxel size follows
    path.write_bytes(data)
    session.add_files([path])
    row = only(session)
    session.set_role(row.number, TRUTH)
    assert "voxel size is unknown" in session.missing()
    session.set_role(row.number, "coarse_map")
    assert row.asks_pixel_size
    assert "how large a pixel is" in session.missing()
    session.set_options(row.number, {"voxel_size_A": 8.0})
    assert not row.asks_pixel_size
    assert session.missing() == ""
    assert session.spec().observations[0].voxel_size_A == 8.0


def test_a_structure_is_used_as_the_user_says(session: Session, tmp_path: Path) -> None:
    session.add_files([phantom.write_structure(tmp_path / "a.pdb"), phantom.write_map(tmp_path / "m.mrc")])
    structure = next(r for r in session.evidence.values() if r.kind == "structure")
    assert structure.role is None
    assert "Choose what this is" in session.missing()
    session.set_role(structure.number, TRUTH)
    assert session.spec().truth == str(tmp_path / "a.pdb")
    assert [o.kind for o in session.spec().observations] == ["coarse_map"]
    session.set_role(structure.number, "subunit")
    session.set_options(structure.number, {"chains": ("A",), "mass_fraction": 0.5})
    assert session.spec().truth is None
    assert {o.kind for o in session.spec().observations} == {"coarse_map", "subunit"}
    with pytest.raises(ValueError, match="coarse_map"):
        session.set_role(structure.number, "coarse_map")


def test_there_is_one_reference(session: Session, tmp_path: Path) -> None:
    session.add_files([phantom.write_structure(tmp_path / f"{n}.pdb") for n in "ab"])
    first, second = session.evidence.values()
    session.set_role(first.number, TRUTH)
    session.set_role(second.number, TRUTH)
    assert first.role is None
    assert session.truth() == second.paths[0]


@pytest.mark.parametrize(
    ("name", "content"), [("empty.mrc", b""), ("junk.bin", bytes(range(256)) * 9), ("x.star", b"data_\n")]
)
def test_a_bad_file_is_a_message_not_an_exception(session: Session, tmp_path: Path, name, content) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    session.add_files([path, tmp_path / "missing.pdb"])
    rows = list(session.evidence.values())
    assert [r.state for r in rows] == ["problem", "problem"]
    assert all(len(r.problem) > 10 and "Traceback" not in r.problem for r in rows)
    assert "can't be used" in session.missing()


def test_what_overtakes_a_check_wins(tmp_path: Path) -> None:
    background = ImmediateBackground()
    background.held = []
    session = Session(background, tmp_path)
    session.add_files([phantom.write_map(tmp_path / "m.mrc")])
    row = only(session)
    assert session.checking
    assert "being checked" in session.missing()
    number = row.number
    session.remove(number)
    heard = []
    session.updated.connect(heard.append)
    for answer in background.held:
        answer()
    assert heard == []
    assert session.evidence == {}


def test_the_same_file_is_taken_once(session: Session, tmp_path: Path) -> None:
    path = phantom.write_map(tmp_path / "m.mrc")
    session.add_files([path, path])
    session.add_files([path])
    assert len(session.evidence) == 1


def test_saved_settings_come_back(session: Session, tmp_path: Path) -> None:
    files = phantom.write_projections(tmp_path, 3)
    session.add_files([*files, phantom.write_structure(tmp_path / "t.pdb")])
    structure = next(r for r in session.evidence.values() if r.kind == "structure")
    session.set_role(structure.number, TRUTH)
    session.set_options(next(iter(session.evidence)), {"select": (1, 3), "weight": 2.0})
    session.set_settings({"samples": 7, "seed": 11, "title": "seven"})
    session.set_prior({"kind": "gaussian", "sigma": 0.4})
    spec = session.spec()
    dump_toml(spec, tmp_path / "saved.toml")

    other = Session(ImmediateBackground(), tmp_path)
    loaded = load_spec(tmp_path / "saved.toml")
    assert isinstance(loaded, DpsSpec)
    other.load(loaded)
    assert other.missing() == ""
    assert other.spec() == spec


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fill_in_but_keep_the_evidence(session: Session, tmp_path: Path, name: str) -> None:
    session.add_files(phantom.write_projections(tmp_path, 3))
    session.set_settings({"seed": 5})
    session.apply_preset(name)
    spec = session.spec()
    assert len(spec.observations) == 1
    assert spec.seed == 5
    wanted = PRESETS[name].settings(spec.observations)
    assert spec.sampler == wanted.get("sampler", spec.sampler)
    assert spec.samples == wanted.get("samples", spec.samples)


def test_run_folders_are_new_and_named(session: Session) -> None:
    session.set_settings({"title": "70S, 3 views / α"})
    first = session.new_run_folder()
    first.mkdir(parents=True)
    second = session.new_run_folder()
    assert first != second
    assert first.parent == session.runs_folder
    assert "70S-3-views" in first.name


def test_settings_that_cannot_be_read_stop_the_run(session: Session, tmp_path: Path) -> None:
    session.add_files([phantom.write_map(tmp_path / "m.mrc")])
    assert session.missing() == ""
    session.set_settings({}, "Samples: needs a whole number.")
    assert session.missing() == "Samples: needs a whole number."
    session.set_settings({"samples": 2}, "")
    session.set_prior({"kind": "network", "weights": ""})
    assert "weights" in session.missing()


def test_settings_that_a_new_role_cannot_take_are_dropped(session: Session, tmp_path: Path) -> None:
    session.add_files([phantom.write_structure(tmp_path / "whole.pdb")])
    number = only(session).number
    session.set_role(number, "subunit")
    session.set_options(number, {"points": None, "weight": 2.0})
    only(session).options["points"] = None  # of a part: as many as its mass; a shape has a number of them
    session.set_role(number, "coarse_points")
    assert only(session).state == "ready"
    assert only(session).options == {"weight": 2.0}
