"""Processes that crash, hang or are killed: the other files' clouds are not lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from engine.errors import RunError
from engine.pipelines import cloud_workers
from engine.pipelines.build_clouds import build, parts_folder
from engine.specs.clouds import CloudSettings
from tests.engine.pipelines.structure_files import blob, pdb_text


def serve_badly(pipe: Connection, settings: CloudSettings) -> None:
    """A worker that hangs or dies when the file's name says so; runs in a spawned process."""
    from engine.pipelines.cloud_from_structure import build_one, write_result

    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            task = pipe.recv()
            if task.file.stem.startswith("hang"):
                time.sleep(1000)
            if task.file.stem.startswith("crash"):
                os.kill(os.getpid(), signal.SIGSEGV if task.file.stem == "crash" else signal.SIGKILL)
            write_result(task.result, build_one(task.file, settings))
            pipe.send("written")


def die(pipe: Connection, settings: CloudSettings) -> None:
    """A worker that ends before it has begun."""


def test_a_crash_and_a_hang_cost_their_own_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_workers, "_serve", serve_badly)
    for i, name in enumerate(["a", "b", "crash", "crash-killed", "d", "hang"]):
        (tmp_path / f"{name}.pdb").write_text(pdb_text(blob(i)))
    settings = CloudSettings(points=64, workers=2, time_limit_s=3, keep_parts=True)
    made = build(tmp_path, tmp_path / "a.npz", settings)
    assert (made.clouds, made.unusable) == (3, 3)
    kinds = {file: reason.kind for file, reason in made.rejected}
    assert kinds == {"crash.pdb": "crashed", "crash-killed.pdb": "crashed", "hang.pdb": "timed out"}
    problems = dict(made.rejected)
    assert "signal 11" in problems["crash.pdb"].problem
    assert "3 s" in problems["hang.pdb"].problem
    assert not multiprocessing.active_children()

    # tried again: what was killed from outside, and what has more time now
    monkeypatch.undo()
    again = build(tmp_path, tmp_path / "a.npz", settings.model_copy(update={"time_limit_s": 60.0}))
    assert (again.kept, again.clouds) == (4, 5)
    assert [file for file, _ in again.rejected] == ["crash.pdb"]


def test_workers_that_do_not_start_are_no_faults_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_workers, "_serve", die)
    (tmp_path / "a.pdb").write_text(pdb_text(blob(0)))
    with pytest.raises(RunError, match="before it had anything to do"):
        build(tmp_path, tmp_path / "a.npz", CloudSettings(points=64, workers=1))


def test_killed_and_started_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "structures", tmp_path / "clouds.npz"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i:02d}.pdb").write_text(pdb_text(blob(i, 700)))
    command = [sys.executable, "-m", "engine", "data", "build", str(folder), "--out", str(out)]
    command += ["--points", "128", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while len(list(parts_folder(out).glob("[!.]*.npz"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not out.exists()
    finished = {p.name: p.stat().st_mtime_ns for p in parts_folder(out).glob("[!.]*.npz")}
    assert 5 <= len(finished) < 40
    again = subprocess.run(
        [*command, "--keep-parts"], capture_output=True, text=True, check=True, timeout=120
    )
    assert "40 clouds" in again.stdout
    now = {p.name: p.stat().st_mtime_ns for p in parts_folder(out).glob("[!.]*.npz")}
    assert len(now) == 40
    assert {name: now[name] for name in finished} == finished
