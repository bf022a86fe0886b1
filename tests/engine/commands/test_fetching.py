"""``verglas data fetch``: options, exit status, what is said, and a stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import cli
from tests.engine.io.downloads.archive_server import Server, serving, silent, structure, whole

BODY = structure(2000)
Fetch = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        for name in ("RCSB", "PDBE", "EMDB"):
            monkeypatch.setenv(f"VERGLAS_{name}", f"{server.base}/{name.lower()}")
        yield server


@pytest.fixture
def fetch(server: Server, capfd: pytest.CaptureFixture[str]) -> Fetch:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["data", "fetch", "--rate", "10", *map(str, arguments)])
        return (code, *capfd.readouterr())

    return run


def test_all_some_and_none(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    server.script["/rcsb/6fml.cif.gz"] = [whole(BODY)]
    out = tmp_path / "new" / "folder"
    code, shown, told = fetch("--pdb", "6FML", "--out", out)
    assert (code, told) == (0, "")
    assert "[1/1] 6fml.cif.gz" in shown
    (tmp_path / "ids.txt").write_text("6fml\n9zzz # no such entry\n9zzy\n")
    code, shown, told = fetch("--ids", tmp_path / "ids.txt", "--out", out)
    assert code == 1
    assert "0 downloaded, 1 already there, 2 failed" in shown
    for id in ("9zzz", "9zzy"):
        assert f"Failed: {id}. Neither RCSB nor PDBe has" in told
        assert f"rcsb.org/structure/{id}" in told
    assert sorted(p.name for p in out.iterdir()) == ["6fml.cif.gz", "fetched.csv"]
    assert server.requests[0][1]["User-Agent"].startswith("Verglas/")


def test_options_name_other_servers_than_the_environment(
    fetch: Fetch, server: Server, tmp_path: Path
) -> None:
    server.script["/mine/6fml.cif.gz"] = [whole(BODY)]
    options = ("--rcsb", f"{server.base}/mine", "--pdbe", "none", "--max-size", 0.001)
    code, _, told = fetch("--pdb", "6fml", "--out", tmp_path, *options)
    assert code == 1
    assert "limit is 1.0 kB" in told
    code, _, _ = fetch("--pdb", "6fml", "--out", tmp_path, *options[:-2])
    assert code == 0
    assert server.asked("/rcsb") + server.asked("/pdbe") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Nothing to download"),
        (("--pdb", "nonsense"), "'nonsense' is no PDB id"),
        (("--emdb", "6fml"), "no EMDB id"),
        (("--pdb", "6fml", "--rcsb", "archive.org"), "address of rcsb"),
        (("--pdb", "6fml", "--rate", "0"), "--rate"),
        (("--ids", "missing.txt"), "no such file"),
    ],
)
def test_bad_input_is_one_line_and_asks_nobody(
    fetch: Fetch, server: Server, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, _, told = fetch(*arguments, "--out", tmp_path / "out")
    assert code == cli.BAD_INPUT
    assert told.count("\n") == 1
    assert words in told
    assert server.requests == []
    assert not (tmp_path / "out").exists()


def test_a_stop_by_signal_keeps_the_part(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    body = structure()
    server.script["/rcsb/6fml.cif.gz"] = [silent(body, 50_000)]
    command = [sys.executable, "-m", "engine", "data", "fetch", "--pdb", "6fml", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    part = tmp_path / "6fml.cif.gz.part"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size == 50_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    code, _, told = fetch("--pdb", "6fml", "--out", tmp_path)
    assert code == cli.BAD_INPUT
    assert f"Process {process.pid}" in told  # one at a time in one folder
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "goes on with it" in told
    assert "Traceback" not in told
    assert part.read_bytes() == body[:50_000]
    assert not (tmp_path / ".fetching").exists()


def test_help_imports_no_http_library() -> None:
    code = (
        "import sys, engine.cli as c; c.main(['data', 'fetch', '--help']); print('requests' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--emdb-server" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
