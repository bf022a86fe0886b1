"""A disk that becomes full at any write: told in words, what was written stays whole, the run goes on later.

``VERGLAS_TEST_STRIDE=10`` tries every tenth write; the suite tries fewer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import RunError, VerglasError
from engine.events import Completed, Failed
from engine.jobs import event_log, runner
from engine.jobs.run_dir import RunDir
from engine.specs import codec
from engine.specs.job import JobSpec
from tests.benchmarks.kills_cases import make_case
from tests.benchmarks.kills_files import contents, differences, unreadable

STRIDE = int(os.environ.get("VERGLAS_TEST_STRIDE", "45"))


class Disk:
    """Counts writes; full from a chosen one on, until space is made."""

    def __init__(self) -> None:
        self.writes, self.full_at = 0, 10**9

    def take(self) -> None:
        self.writes += 1
        if self.writes >= self.full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Handle:
    """A file of events: a write on a full disk leaves half a line, as real disks do."""

    def __init__(self, handle, disk: Disk) -> None:
        self._handle, self._disk = handle, disk

    def write(self, line: bytes) -> int:
        try:
            self._disk.take()
        except OSError:
            return int(self._handle.write(line[: len(line) // 2]))
        return int(self._handle.write(line))

    def __getattr__(self, name: str):
        return getattr(self._handle, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk, fsync, begin = Disk(), os.fsync, event_log.EventWriter.__init__

    def synced(number: int) -> None:
        disk.take()
        fsync(number)

    def opened(self, path: Path) -> None:
        begin(self, path)
        self._handle = Handle(self._handle, disk)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(event_log.EventWriter, "__init__", opened)
    yield disk
    monkeypatch.undo()


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    made = codec.load_spec(make_case("dps", tmp_path_factory.mktemp("case")))
    small = {"samples": 3, "batch": 1, "sampler": {"kind": "proximal", "steps": 6}, "points": 64}
    return codec.validate(made.model_dump(mode="json") | small)


def test_a_disk_that_is_full_at_any_write(tmp_path: Path, spec: JobSpec, disk: Disk):
    undisturbed = RunDir.create(tmp_path / "undisturbed", spec)
    before = disk.writes
    assert isinstance(runner.run(spec, undisturbed), Completed)
    wanted = contents(undisturbed.path)
    assert len(wanted) > 5
    many = disk.writes - before
    assert many > 2 * STRIDE
    for number in range(1, many + 1, STRIDE):
        run = RunDir.create(tmp_path / f"run_{number}", spec)
        disk.writes, disk.full_at = 0, number
        try:
            event = runner.run(spec, run)
            message = event.message if isinstance(event, Failed) else ""
        except RunError as exc:  # not even the end can be told
            message = str(exc)
        assert "space" in message, (number, message)
        assert unreadable(run.path) == []
        assert not run.running
        assert run.outcome() is None or isinstance(run.outcome(), Failed)
        disk.full_at = 10**9
        again = RunDir.create(run.path, spec)
        assert isinstance(runner.run(spec, again), Completed)
        assert differences(wanted, contents(run.path)) == []
        assert [p for p in run.path.rglob(".*") if p.is_file()] == []


def test_a_run_directory_that_can_not_be_made_leaves_nothing_half(tmp_path: Path, spec: JobSpec, disk: Disk):
    disk.full_at = disk.writes + 1
    with pytest.raises(VerglasError, match="free space"):
        RunDir.create(tmp_path / "run", spec)
    assert [p for p in (tmp_path / "run").rglob("*") if p.is_file()] == []
    disk.full_at = 10**9
    run = RunDir.create(tmp_path / "run", spec)
    assert run.spec().kind == "dps"


def test_what_a_killed_process_left_half_written_is_swept_away(tmp_path: Path, spec: JobSpec):
    run = RunDir.create(tmp_path / "run", spec)
    (run.results / ".abc123.part.npz").write_bytes(b"half")
    (run.results / ".kept").write_bytes(b"somebody's own")
    assert isinstance(runner.run(spec, run), Completed)
    assert [p.name for p in run.path.rglob(".*") if p.is_file()] == [".kept"]
