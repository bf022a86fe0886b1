"""Broken files: a few for every reader, and all that were ever found. ``make fuzz`` breaks thousands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.found import found
from tests.fuzz.planted import PLANTED
from tests.fuzz.readers import READERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched as Linux shows them")


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A process of its own: this one has run-time checks and threads, and can't be forked with care.
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=250,
    )


def test_no_broken_file_does_more_than_be_refused(tmp_path: Path) -> None:
    done = _run("tests.fuzz", "--inputs", "50", "--found", "--no-torch", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()[1:]}
    assert rows == {r.name: 50 + len(found().get(r.name, [])) for r in READERS if not r.torch}


def test_what_none_may_do_is_seen() -> None:
    done = _run("tests.fuzz.planted")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(PLANTED)


def test_inputs_are_the_same_every_time() -> None:
    by_name = {reader.name: reader for reader in READERS}
    for name in ("mrc", "star", "points", "spec_json", "cif_gz"):
        made = [by_name[name].make(5, number) for number in range(6)]
        assert made == [by_name[name].make(5, number) for number in range(6)]
        assert len(set(made)) > 3


def test_found_inputs_belong_to_readers() -> None:
    assert set(found()) <= {reader.name for reader in READERS}
