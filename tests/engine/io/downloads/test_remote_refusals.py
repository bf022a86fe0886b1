"""Downloads from an archive that refuses, asks for patience, redirects or is away; a stop, a full disk."""

from __future__ import annotations

import errno
import io
import socket
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import requests

from engine.errors import Cancelled, InputError, SpecError, VerglasError
from engine.io import transfer
from engine.io.accessions import Entry
from engine.io.remote import FetchSettings, Report, Waiting, fetch
from tests.engine.io.downloads.archive_server import (
    Clock,
    Server,
    moved,
    ranged,
    status,
    structure,
    whole,
)
from tests.engine.io.downloads.fetching import BODY, EMDB, FML, MAP, PDBE, RCSB, Fetching, bad, good

# ---- refusals and pauses -------------------------------------------------------------------------


def test_a_pause_that_is_asked_for_is_made(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [status(429, Retry_After=17), whole(BODY)]
    good(get, get.one())
    assert 16 < get.clock.slept < 18
    assert [round(r.seconds) for r in get.reports if isinstance(r, Waiting)] == [17]


def test_a_pause_until_a_date_is_made(get: Fetching, server: Server) -> None:
    def later(handler: Any) -> None:
        status(503, Retry_After=formatdate(time.time() + 100, usegmt=True))(handler)

    server.script[RCSB] = [later, whole(BODY)]
    good(get, get.one())
    assert 97 < get.clock.slept < 102


def test_a_long_pause_is_not_waited_for_and_holds_for_what_follows(get: Fetching, server: Server) -> None:
    other = structure(1000)
    server.script = {RCSB: [status(429, Retry_After=7200)], PDBE: [whole(BODY)]}
    server.script["/pdbe/ao/1aon.cif.gz"] = [whole(other)]
    outcomes = get(FML, Entry("1aon", "structure"))
    assert [o.row is not None for o in outcomes] == [True, True]
    assert get.clock.slept < 5
    assert server.asked("/rcsb/") == [RCSB]
    outcome = get.one(Entry("2aon", "structure"), pdbe="")
    assert outcome.row is None


def test_an_overloaded_server_is_asked_again_later_and_later(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [status(503), status(503), status(503, Retry_After="nonsense"), whole(BODY)]
    good(get, get.one())
    waits = [r.seconds for r in get.reports if isinstance(r, Waiting)]
    for wait, mean in zip(waits, (1, 2, 4), strict=True):
        assert 0.5 * mean <= wait <= 1.5 * mean


def test_attempts_are_bounded_and_the_mirror_is_asked(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [status(500)]
    outcome = get.one(retries=2)
    bad(get, outcome, "RCSB: an error of the server (HTTP 500).", "PDBe: it has no such entry.")
    assert server.asked() == [RCSB] * 3 + [PDBE]


def test_what_no_archive_has_is_asked_for_once(get: Fetching, server: Server) -> None:
    outcome, lost_map = get(FML, MAP)
    bad(get, outcome, "Neither RCSB nor PDBe")
    assert "obsolete" in outcome.advice
    bad(get, lost_map, "EMDB doesn't have a map")
    assert server.asked() == [RCSB, PDBE, EMDB]


def test_a_refusal_is_not_repeated(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [status(403)]
    outcome = get.one(pdbe="")
    bad(get, outcome, "refuses access")
    assert "--rate" in outcome.advice
    assert len(server.requests) == 1


# ---- redirects -----------------------------------------------------------------------------------


def test_redirects_are_followed_but_not_in_circles(get: Fetching, server: Server) -> None:
    server.script = {RCSB: [moved("/elsewhere")], "/elsewhere": [whole(BODY)]}
    good(get, get.one())
    server.script["/rcsb/1aon.cif.gz"] = [moved("/rcsb/1aon.cif.gz")]
    bad(get, get.one(Entry("1aon", "structure"), pdbe=""), "redirects more than")
    assert len(server.asked("1aon")) == 6


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/6fml.cif.gz", "file:///etc/hosts"])
def test_redirects_to_no_web_address_are_refused(get: Fetching, server: Server, target: str) -> None:
    server.script[RCSB] = [moved(target)]
    bad(get, get.one(pdbe=""), "redirects to an address")


def test_encryption_is_not_given_up(get: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(session: requests.Session, url: str, **_: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = 302, url
        response.raw = io.BytesIO()
        response.headers["Location"] = "http://127.0.0.1:9/6fml.cif.gz"
        return response

    monkeypatch.setattr(requests.Session, "get", answer)
    bad(get, get.one(rcsb="https://127.0.0.1:9", pdbe=""), "isn't encrypted")


# ---- no connection, no disk, no time -------------------------------------------------------------


def _nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_without_a_network_it_says_so_at_once_and_once(get: Fetching) -> None:
    base = _nobody()
    entries = [Entry(f"1ab{c}", "structure") for c in "abcdefgh"]
    outcomes = get(*entries, rcsb=base, pdbe=base)
    assert {o.problem for o in outcomes} == {outcomes[0].problem}
    assert outcomes[0].problem.startswith("No server can be reached.")
    assert "refused" in outcomes[0].problem
    assert "network" in outcomes[0].advice
    assert get.clock.slept < 2  # two requests, not sixteen with their repetitions


def test_a_mirror_serves_while_the_first_server_is_away(get: Fetching, server: Server) -> None:
    server.script[PDBE] = [whole(BODY)]
    good(get, get.one(rcsb=_nobody()))


def test_a_proxy_of_the_environment_is_used(
    get: Fetching, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.base)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.script["http://archive.invalid/6fml.cif.gz"] = [whole(BODY)]
    good(get, get.one(rcsb="http://archive.invalid", pdbe=""))
    monkeypatch.setenv("http_proxy", _nobody())
    outcome = get.one(Entry("1aon", "structure"), rcsb="http://archive.invalid", pdbe="")
    bad(get, outcome, "proxy can't be used")
    assert "HTTPS_PROXY" in outcome.advice


def test_a_full_disk_ends_it_and_keeps_the_part(
    get: Fetching, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transfer._write
    written = 0

    def write(file: Any, chunk: bytes, path: Path) -> None:
        nonlocal written
        if written > 100_000:
            with transfer._disk(path):
                raise OSError(errno.ENOSPC, "No space left on device")
        written += len(chunk)
        real(file, chunk, path)

    server.script[RCSB] = [ranged(BODY)]
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "_write", write)
        patched.setattr(transfer, "_CHUNK", 50_000)
        with pytest.raises(VerglasError, match="disk is full"):
            get.one()
    assert (get.folder / "6fml.cif.gz.part").stat().st_size == written
    good(get, get.one())
    assert get.ranges()[-1] == f"bytes={written}-"


def test_space_is_looked_for_before_it_is_needed(
    get: Fetching, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = transfer.shutil.disk_usage("/")._replace(free=20_000)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage)
    server.script[RCSB] = [whole(BODY)]
    with pytest.raises(VerglasError, match="are needed and 20.0 kB are free"):
        get.one()


def test_a_folder_that_cannot_be_one(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Nothing can be written"):
        fetch([FML], tmp_path / "file", server.settings())
    assert server.requests == []


def test_a_damaged_table_is_not_overwritten(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [whole(BODY)]
    get.one()
    table = get.folder / "fetched.csv"
    for text in ("a,b\n1,2\n", table.read_text()[:-90]):
        table.write_text(text)
        with pytest.raises(InputError, match="no table of downloads"):
            get.one()
        assert table.read_text() == text


def test_a_stop_keeps_what_has_arrived(server: Server, tmp_path: Path) -> None:
    server.script[RCSB] = [ranged(BODY)]
    seen: list[Report] = []
    with pytest.raises(Cancelled):
        fetch(
            [FML],
            tmp_path,
            server.settings(),
            report=seen.append,
            cancel=lambda: len(seen) > 0,
            clock=Clock(),
        )
    kept = (tmp_path / "6fml.cif.gz.part").stat().st_size
    assert 0 < kept
    (outcome,) = fetch([FML], tmp_path, server.settings(), clock=Clock())
    assert outcome.row is not None
    if kept < len(BODY):
        assert server.requests[-1][1]["Range"] == f"bytes={kept}-"


def test_a_stop_breaks_pauses_off(server: Server, tmp_path: Path) -> None:
    server.script[RCSB] = [status(429, Retry_After=200)]
    clock = Clock()
    with pytest.raises(Cancelled):
        fetch([FML], tmp_path, server.settings(), cancel=lambda: clock.slept > 3, clock=clock)
    assert clock.slept < 4


@pytest.mark.parametrize(
    "base", ["ftp://a/b", "archive.org", "", "https://", "https://me:secret@a/b", "http://a:b/", "http://a/?x=1"]
)  # fmt: skip
def test_addresses_are_checked(base: str) -> None:
    with pytest.raises(SpecError, match="address of rcsb"):
        replace(FetchSettings(), rcsb=base)
