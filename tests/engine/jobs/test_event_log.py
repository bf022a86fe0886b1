"""Events survive half lines, crashes and foreign lines."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RunError
from engine.events import Completed, Failed, Metric, Notice, to_line
from engine.jobs.event_log import EventWriter, follow, terminal_event


@given(cuts=st.lists(st.integers(0, 400), max_size=8), count=st.integers(0, 5))
def test_followed_in_pieces_equals_written(
    cuts: list[int], count: int, tmp_path_factory: pytest.TempPathFactory
):
    file = tmp_path_factory.mktemp("log") / "events.jsonl"
    events = tuple(Notice("info", f"Ångström {i}", time=float(i)) for i in range(count))
    content = "".join(to_line(e) + "\n" for e in events).encode()
    told, offset = [], 0
    for cut in [*sorted(min(c, len(content)) for c in cuts), len(content)]:
        file.write_bytes(content[:cut])  # as far as the writer has come, also inside a character
        tail = follow(file, offset)
        told += tail.events
        offset = tail.offset
    assert tuple(told) == events


def test_half_a_line_of_a_killed_writer_spoils_nothing(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"type": "notice", "level": "in')
    with EventWriter(file) as writer:
        writer.write(Completed(seconds=1.0, time=0.0))
    assert follow(file).events == (Completed(seconds=1.0, time=0.0),)


def test_foreign_lines_are_passed_over(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    file.write_text(
        '{"type": "of the future"}\n[1, 2]\nnull\n' + to_line(Notice("info", "a", time=0.0)) + "\n"
    )
    assert follow(file).events == (Notice("info", "a", time=0.0),)


def test_a_file_that_became_shorter_is_read_anew(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    file.write_text(to_line(Notice("info", "a" * 100)) + "\n")
    offset = follow(file).offset
    file.write_text(to_line(Notice("info", "b", time=0.0)) + "\n")
    assert follow(file, offset).events == (Notice("info", "b", time=0.0),)


def test_a_missing_file_has_no_events(tmp_path: Path):
    assert follow(tmp_path / "none", 12).events == ()
    assert terminal_event(tmp_path / "none") is None


def test_lines_of_many_threads_stay_whole(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    with EventWriter(file) as writer:

        def speak(name: int) -> None:
            for i in range(200):
                writer.write(Metric(f"{name}" * 50, i, 0.0))

        threads = [threading.Thread(target=speak, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert len(follow(file).events) == 800


def test_the_terminal_event_is_found_behind_a_long_log(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    with EventWriter(file) as writer:
        for i in range(5000):
            writer.write(Metric("é" * 30, i, 0.0))
        assert terminal_event(file) is None
        writer.write(Failed("why", detail="x" * 50_000, time=0.0))
    assert terminal_event(file) == Failed("why", detail="x" * 50_000, time=0.0)


def test_a_full_disk_is_a_run_error():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with EventWriter(Path("/dev/full")) as writer, pytest.raises(RunError, match="can't be written"):
        writer.write(Notice("info", "a"))


def test_writing_after_the_end_is_a_run_error(tmp_path: Path):
    writer = EventWriter(tmp_path / "events.jsonl")
    writer.close()
    with pytest.raises(RunError):
        writer.write(Notice("info", "a"))
