"""A server and a folder for every test of downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.io.downloads.archive_server import Server, serving
from tests.engine.io.downloads.fetching import Fetching


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that no proxy stands before; no thread is left of it, nor of what asks it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    before = set(threading.enumerate())
    with serving() as server:
        yield server
    assert set(threading.enumerate()) <= before


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Fetching:
    return Fetching(server, tmp_path / "files")
