"""What the tests of downloads share: entries, a folder to download into, and what holds afterwards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from engine.io.accessions import Entry
from engine.io.fetched_table import read_table
from engine.io.remote import Outcome, Report, fetch
from tests.engine.io.downloads.archive_server import Clock, Server, structure

FML, MAP = Entry("6fml", "structure"), Entry("EMD-1080", "map")
RCSB, PDBE, EMDB = "/rcsb/6fml.cif.gz", "/pdbe/fm/6fml.cif.gz", "/emdb/EMD-1080/map/emd_1080.map.gz"
BODY = structure()


class Fetching:
    """Downloads into one folder with a clock that needs no waiting."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder, self.clock = server, folder, Clock()
        self.reports: list[Report] = []

    def __call__(self, *entries: Entry, **settings: Any) -> list[Outcome]:
        self.reports.clear()
        given = self.server.settings(**settings)
        return fetch(entries, self.folder, given, report=self.reports.append, clock=self.clock)

    def one(self, entry: Entry = FML, **settings: Any) -> Outcome:
        (outcome,) = self(entry, **settings)
        return outcome

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.server.requests]


def good(get: Fetching, outcome: Outcome, body: bytes = BODY) -> None:
    """The file is there, whole, recorded, and nothing else is left."""
    assert outcome.row is not None, outcome.problem
    assert (get.folder / outcome.entry.file_name).read_bytes() == body
    assert (outcome.row.bytes, outcome.row.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert get.names == {outcome.entry.file_name, "fetched.csv"}
    assert read_table(get.folder / "fetched.csv")[outcome.entry.id] == outcome.row


def bad(get: Fetching, outcome: Outcome, *words: str) -> None:
    """It failed for that reason, with advice, and no file bears the name."""
    assert outcome.row is None
    for word in words:
        assert word in outcome.problem, outcome.problem
    assert outcome.advice
    assert outcome.entry.file_name not in get.names
