"""Broken and odd files: each a clear InputError, none a traceback, a hang or gigabytes of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import InputError
from engine.io import streams
from engine.io.class_averages import read_class_averages
from engine.io.formats import summarise
from engine.io.mrc import read_images, read_volume
from engine.io.points import read_points
from engine.io.star import read_poses
from engine.io.structure import read_structure
from tests.engine.io.bad_files import BAD, GOOD, MAP, STAR, bombs

Reader = Callable[[Path], Any]
READERS: dict[str, Reader] = {
    "structure": read_structure,
    "volume": read_volume,
    "images": read_images,
    "poses": read_poses,
    "points": read_points,
    "averages": read_class_averages,
    "summary": summarise,
}


def check(error: InputError, path: Path, word: str) -> None:
    assert type(error).__module__.startswith("engine.")
    assert error.path == path
    assert error.problem.endswith(".")
    assert error.advice.endswith((".", "?"))
    assert word in str(error)
    assert "Traceback" not in str(error)


def test_there_are_at_least_forty() -> None:
    assert len(BAD) >= 40


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_file_is_an_input_error_that_says_what_to_do(tmp_path: Path, name: str) -> None:
    content, reader, word = BAD[name]
    path = tmp_path / "file.dat"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    check(caught.value, path, word)


@pytest.mark.parametrize("suffix", [".pdb", ".mrc", ".mrcs.gz"])
@pytest.mark.parametrize("name", sorted(BAD))
def test_no_reader_raises_anything_else(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(BAD[name][0])
    refused = 0
    for reader in READERS.values():
        try:
            reader(path)
        except InputError as error:
            check(error, path, "")
            refused += 1
    # At most the summary and two lenient readings of the same bytes may succeed.
    assert refused >= 3


@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_read_or_refused(tmp_path: Path, name: str, seed: int) -> None:
    content, reader = GOOD[name]
    path = tmp_path / "file.dat"
    path.write_bytes(content)
    READERS[reader](path)
    rng = np.random.default_rng(seed)
    for _ in range(25):
        damaged = bytearray(content)
        # Half of the damage goes to the start, where headers are.
        for where in rng.integers(0, len(damaged) if rng.random() < 0.5 else min(len(damaged), 256), 4):
            damaged[where] = rng.integers(0, 256)
        if rng.random() < 0.3:
            del damaged[rng.integers(1, len(damaged)) :]
        path.write_bytes(damaged)
        for one in (READERS[reader], summarise):
            try:
                one(path)
            except InputError as error:
                check(error, path, "")


def places(folder: Path) -> dict[str, Path]:
    (folder / "a.pdb").symlink_to(folder / "b.pdb")
    (folder / "b.pdb").symlink_to(folder / "a.pdb")
    (folder / "dangling.mrc").symlink_to(folder / "gone")
    os.mkfifo(folder / "pipe.star")
    return {
        "missing": folder / "missing.mrc",
        "folder": folder,
        "link loop": folder / "a.pdb",
        "dangling link": folder / "dangling.mrc",
        "pipe": folder / "pipe.star",
        "device": Path("/dev/zero"),
        "endless name": folder / ("x" * 5000),
        "inside a file": Path(__file__) / "x.mrc",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and devices are different there")
@pytest.mark.parametrize("reader", sorted(READERS))
def test_what_is_not_a_file_is_refused(tmp_path: Path, reader: str) -> None:
    for path in places(tmp_path).values():
        with pytest.raises(InputError) as caught:
            READERS[reader](path)
        check(caught.value, path, "")


def test_a_name_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(InputError, match="not a file name"):
        summarise("a\x00b.mrc")


@pytest.mark.parametrize("reader", sorted(READERS))
def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    path = tmp_path / "secret.mrc"
    path.write_bytes(MAP)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    # chmod does not stop root, who runs many a container.
    monkeypatch.setattr(streams, "open", refuse, raising=False)
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    check(caught.value, path, "permission")


@pytest.mark.parametrize("size", [0.0, -1.0, 1e6, float("nan"), float("inf")])
def test_absurd_given_pixel_sizes(tmp_path: Path, size: float) -> None:
    (tmp_path / "v.mrc").write_bytes(MAP)
    (tmp_path / "p.star").write_text(STAR)
    for call in (
        lambda: read_volume(tmp_path / "v.mrc", voxel_size_A=size),
        lambda: read_images(tmp_path / "v.mrc", pixel_size_A=size),
        lambda: read_poses(tmp_path / "p.star", pixel_size_A=size),
        lambda: summarise(tmp_path / "v.mrc", pixel_size_A=size),
    ):
        with pytest.raises(InputError, match="can't be right"):
            call()


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_bombs_need_little_memory_and_time(tmp_path: Path) -> None:
    program = """
import json, re, sys, time
from engine.errors import InputError
from engine.io import formats, mrc, points, star, structure
readers = {"volume": mrc.read_volume, "structure": structure.read_structure,
           "points": points.read_points, "poses": star.read_poses}
def peak():  # getrusage would give the parent's peak, which a child inherits
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024
before, report = peak(), {}
for name, (reader, path) in json.loads(sys.argv[1]).items():
    for call in (readers[reader], formats.summarise):
        start = time.perf_counter()
        try:
            call(path)
            outcome = "read"
        except InputError as error:
            outcome = error.problem
        report[name + ", " + call.__name__] = (outcome, peak() - before, time.perf_counter() - start)
control, block = peak(), bytearray(b"x") * (300 << 20)
report["control"] = ("read", 0, 0)
assert peak() > control + 50, "the peak is not measured"
print(json.dumps(report))
"""
    files = {name: (reader, str(path)) for name, (reader, path) in bombs(tmp_path).items()}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, json.dumps(files)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for name, (outcome, megabytes, seconds) in json.loads(done.stdout).items():
        print(f"{name}: {outcome} ({megabytes:.0f} MB, {seconds:.1f} s)")
        assert outcome != "read" or name.endswith("summarise") or name.startswith(("extended", "control")), (
            name
        )
        assert megabytes < 200, name
        assert seconds < 20, name
