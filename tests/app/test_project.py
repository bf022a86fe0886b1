"""Projects on disk and in memory: nothing gets lost, and what is undone is as it was."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PySide6.QtGui import QUndoStack

from app import project_files
from app.next_steps import spread_views, step, steps_for
from app.project import BringBack, Project, SetEntry, ThrowAway, open_project, unnamed_project
from app.project_files import KeptFile, Link, ProjectFile, ProjectLock, create_project, read_project
from app.run_comparison import as_csv, compare
from app.run_list import listing
from app.run_summary import list_runs, summary_of
from app.session_state import fitting
from app.thumbnails import SIZE, thumbnail
from engine.errors import InputError, RunError, VerglasError
from engine.events import Completed, Failed, Started
from engine.io import star
from engine.io.atomic import atomic_path
from engine.io.mrc import read_images
from engine.jobs import run_lock
from engine.jobs.run_dir import RunDir
from engine.specs.job import DpsSpec
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec
from tests.app import sds_run


def make_run(folder: Path, *, seed: int = 0, title: str = "", ended: bool = True) -> Path:
    spec = DpsSpec(seed=seed, title=title, sampler={"kind": "unconditional"})
    run = RunDir.create(folder, spec)
    with run.writer() as writer:
        writer.write(Started(kind="dps", device="CPU (2 cores)", version="0", time=1000.0 + seed))
        if ended:
            writer.write(Completed(seconds=12.0))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_project(tmp_path / "p", "Ribosomes")
    for seed, name in enumerate(("a", "b", "c")):
        make_run(tmp_path / "p" / "runs" / name, seed=seed, title=f"run {name}")
    return tmp_path / "p"


@pytest.fixture
def project(root: Path):
    content, lock, refusal = open_project(root)
    found = Project(root, content, named=True, lock=lock, refusal=refusal)
    yield found
    found.close()


def everything(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != project_files.LOCK
    }


def test_what_is_undone_is_as_it_was(project: Project) -> None:
    stack = QUndoStack()
    project.set_entry("notes", "c", "first")
    before, content = everything(project.root), project.content
    runs = [project.runs / name for name in "abc"]
    stack.push(SetEntry(project, "names", "a", "Best", "rename"))
    stack.push(SetEntry(project, "notes", "c", "", "note"))
    stack.push(ThrowAway(project, runs[:2], "trash"))
    assert sorted(p.name for p in project.runs.iterdir()) == ["c"]
    stack.push(BringBack(project, project_files.trashed_runs(project.trash)[:1], "back"))
    stack.push(SetEntry(project, "names", "a", "", "rename"))
    after = everything(project.root)
    for _ in range(2):
        while stack.canUndo():
            stack.undo()
        assert everything(project.root) == before
        assert project.content == content
        while stack.canRedo():
            stack.redo()
        assert everything(project.root) == after


def test_a_run_that_is_computed_is_not_thrown_away(project: Project) -> None:
    said: list[str] = []
    project.failed.connect(said.append)
    run, stack = project.runs / "a", QUndoStack()
    with run_lock.held(run / "lock"):
        with pytest.raises(RunError, match="being computed"):
            project.throw_away(run)
        stack.push(ThrowAway(project, [run], "trash"))
    assert not stack.canUndo()
    assert "Cancel it first" in said[0]
    assert run.is_dir()
    assert not list(project.trash.iterdir())


def test_a_place_that_is_taken_meanwhile_keeps_both_runs(project: Project) -> None:
    there = project.throw_away(project.runs / "a")
    make_run(project.runs / "a", seed=9)
    with pytest.raises(RunError, match="another run"):
        project.bring_back(there)
    assert there.is_dir()
    second = project.throw_away(project.runs / "a")
    assert second != there
    project.bring_back(there)
    assert summary_of(project.runs / "a").seed == 0


def test_names_and_links_survive_and_strange_files_are_refused(project: Project) -> None:
    project.set_entry("names", "a", "β-gal, “best”")
    project.add_link(Link("a", "train_denoiser", "b"))
    project.add_inputs([Path("/data/x.mrcs"), Path("/data/x.mrcs")])
    assert read_project(project.root) == project.content
    assert project.source_of("b") == Link("a", "train_denoiser", "b")
    file = project.root / project_files.PROJECT
    good = file.read_text(encoding="utf-8")
    for text, words in (
        ("{", "not JSON"),
        ("[]", "no named values"),
        (good.replace('"notes"', '"nots"'), "unknown keys: nots"),
        (good.replace('"schema_version": 1', '"schema_version": 7'), "another version"),
        (good.replace('"runs": "runs"', '"runs": "../elsewhere"'), "damaged"),
        (good.replace("β-gal, “best”", "x").replace('"x"', "[3]", 1), "damaged"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=words):
            read_project(project.root)
        assert file.read_text(encoding="utf-8") == text
    file.write_text(good, encoding="utf-8")


def test_a_crash_between_writes_loses_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    project.failed.connect(said.append)
    project.set_entry("names", "a", "kept")
    monkeypatch.setattr("engine.io.atomic.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    project.set_entry("names", "b", "lost for now")
    assert "could not be saved" in said[0]
    assert read_project(project.root).names == {"a": "kept"}
    monkeypatch.undo()
    project.flush()
    assert read_project(project.root).names == {"a": "kept", "b": "lost for now"}


def test_of_two_threads_the_newest_text_wins(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "x.json")
    file.write(2, "new")
    file.write(1, "old")
    assert file.path.read_text() == "new"


def test_the_second_window_on_a_project_only_looks(project: Project, root: Path) -> None:
    content, lock, refusal = open_project(root)
    second = Project(root, content, named=True, lock=lock, refusal=refusal)
    assert "Another window has this project open" in second.may_change()
    assert f"(process {os.getpid()} on this computer, since " in second.may_change()
    second.add_inputs([Path("/x")])
    second.close()
    assert not read_project(root).inputs
    assert (root / project_files.LOCK).exists()
    project.close()
    lock = ProjectLock(root)
    assert lock.take() == ""
    lock.release()
    assert not (root / project_files.LOCK).exists()
    # of a window that was killed nothing holds the project; of one on another computer one can't know
    gone = run_lock.Holder(2**31 - 2, run_lock.this_process().host, 1.0)
    (root / project_files.LOCK).write_text(json.dumps(asdict(gone)))
    assert lock.take() == ""
    lock.release()
    (root / project_files.LOCK).write_text(json.dumps(asdict(replace(gone, host="elsewhere"))))
    assert f"process {gone.pid} on elsewhere, since" in lock.take()
    assert "delete project.lock" in lock.take()


def test_what_another_window_had_open_can_be_changed_once_it_is_closed(project: Project, root: Path) -> None:
    content, lock, refusal = open_project(root)
    second = Project(root, content, named=True, lock=lock, refusal=refusal)
    assert second.may_change()
    project.set_entry("notes", "a", "of the first window")
    project.close()
    assert second.may_change() == ""
    second.set_entry("notes", "b", "of the second")
    second.close()
    assert read_project(root).notes == {"a": "of the first window", "b": "of the second"}


def test_a_folder_of_runs_is_a_project_without_a_name(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    project = unnamed_project(tmp_path)
    assert not (tmp_path / project_files.PROJECT).exists()
    assert not (tmp_path / project_files.LOCK).exists()
    assert project.may_change() == ""
    project.set_entry("notes", "a", "good")
    project.close()
    again = unnamed_project(tmp_path)
    assert again.note_of("a") == "good"
    assert again.runs == tmp_path
    assert listing(again.runs, again.trash, {}, ()).runs[0].folder == tmp_path / "a"


def test_runs_are_listed_newest_first_with_what_became_of_them(root: Path) -> None:
    runs = root / "runs"
    make_run(runs / "cut", seed=3, ended=False)
    failed = make_run(runs / "failed", seed=4, ended=False)
    with RunDir.open(failed).writer() as writer:
        writer.write(Failed(message="No memory. Take fewer points.", detail="x" * 9000))
    (runs / "damaged").mkdir()
    (runs / "damaged" / "spec.json").write_text("{")
    (runs / "no run").mkdir()
    found = list_runs(runs, {})
    states = {run.folder.name: run.state for run in found}
    assert states == {
        "damaged": "damaged", "failed": "failed", "cut": "interrupted",
        "c": "completed", "b": "completed", "a": "completed",
    }  # fmt: skip
    assert [run.folder.name for run in found[1:]] == ["failed", "cut", "c", "b", "a"]
    last = found[-1]
    assert (last.seconds, last.device, last.seed, last.title) == (12.0, "CPU (2 cores)", 0, "run a")
    assert found[1].problem == "No memory. Take fewer points."
    with run_lock.held(runs / "cut" / "lock"):
        assert summary_of(runs / "cut").state == "running"
    known = {run.folder: run for run in found}
    again = list_runs(runs, known)
    assert all(run is known[run.folder] for run in again if run.folder.name != "cut")
    assert "seed 4" in found[1].haystack


def test_two_runs_are_compared_in_words(root: Path) -> None:
    rows = compare(root / "runs" / "a", root / "runs" / "b")
    differing = {row.label: (row.first, row.second) for row in rows if not row.equal}
    assert differing == {"Title": ("run a", "run b"), "Seed": ("0", "1")}
    text = as_csv([row for row in rows if not row.equal], ("one", "two"))
    assert text.splitlines() == [",,one,two", "Settings,Title,run a,run b", "Settings,Seed,0,1"]


def test_hints_write_files_that_the_next_run_can_read(tmp_path: Path) -> None:
    folder = sds_run.write_sds(tmp_path / "sds", images=24, box=32, starts=2)
    spec = RunDir.open(folder).spec()
    keys = [s.key for s in steps_for(spec, folder)]
    assert "points_at_poses" in keys
    points = step("points_at_poses").prepare(spec, folder)
    (row,) = points.observations
    assert len(row.select) == 10
    poses = star.read_poses(row.poses)
    assert len(poses.rotations) == len(read_images(row.images).images) == 24
    training = step("train_denoiser").prepare(spec, folder)
    assert isinstance(training, TrainDenoiserSpec)
    assert training.averages == spec.averages
    (folder / "results" / "denoiser.safetensors").touch()
    volumes = step("volumes_with_denoiser").prepare(training, folder)
    assert isinstance(volumes, SdsSpec)
    assert volumes.volumes == "each"
    assert "volumes_with_denoiser" in [s.key for s in steps_for(training, folder)]
    (folder / "results" / "poses.csv").write_text("damaged")
    with pytest.raises(VerglasError):
        step("points_at_poses").prepare(spec, folder)


def test_views_are_spread(tmp_path: Path) -> None:
    import numpy as np
    from scipy.spatial.transform import Rotation

    turned = Rotation.random(60, random_state=1).as_matrix()
    near = np.repeat(np.eye(3)[None], 60, 0)
    rotations, sure = np.concatenate([near, turned]), np.ones(120)
    rows = spread_views(rotations, sure)
    assert len(rows) == len(set(rows)) == 10
    assert sum(row < 60 for row in rows) == 1
    assert spread_views(turned[:4], np.ones(4)) == [0, 1, 2, 3]


def test_every_kind_of_result_has_a_picture(tmp_path: Path) -> None:
    folder = sds_run.write_sds(tmp_path / "sds", images=4, box=32, starts=2)
    for name in ("consensus.mrc", "prepared.mrcs"):
        made = thumbnail(folder / "results" / name)
        assert made is not None
        assert made.pixels.shape == (SIZE, SIZE)
        assert made.pixels.std() > 5
    with atomic_path(tmp_path / "cloud.npy") as path:
        import numpy as np

        np.save(path, np.random.default_rng(0).normal(size=(3, 200, 3)).astype(np.float32))
    made = thumbnail(tmp_path / "cloud.npy")
    assert made is not None
    assert made.mask
    assert thumbnail(tmp_path / "missing.mrc") is None


def test_of_a_saved_table_what_is_possible_is_taken() -> None:
    values = {"restarts": 0, "symmetry": "d2", "only": [1, 2], "seed": "x", "strange": 1}
    names = ("restarts", "symmetry", "only", "seed")
    others = {"averages": ClassAveragesInput(file="x").model_dump()}
    assert fitting(SdsSpec, values, names, others) == {"symmetry": "D2", "only": (1, 2)}
    together = {"volumes": "each", "refine_rounds": 0}
    assert fitting(SdsSpec, together, together, others) == together


def test_a_damaged_session_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    assert project_files.read_session(path) == (None, "")
    path.write_text('{"schema_version": 1')
    state, problem = project_files.read_session(path)
    assert state is None
    assert "session.damaged.json" in problem
    assert not path.exists()
    assert (tmp_path / "session.damaged.json").read_text() == '{"schema_version": 1'
    path.write_text(json.dumps({"schema_version": 1, "mode": "sds"}))
    assert project_files.read_session(path) == ({"schema_version": 1, "mode": "sds"}, "")


def test_project_text_is_its_own_inverse(tmp_path: Path) -> None:
    content = ProjectFile("n", ".", {"a": "b"}, {"c": "d\ne"}, ("/x",), (Link("a", "s", "b"),))
    (tmp_path / project_files.PROJECT).write_text(project_files.project_text(content), encoding="utf-8")
    assert read_project(tmp_path) == content
