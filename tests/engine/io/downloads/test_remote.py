"""Downloads from an archive whose connections break and whose files are not what they should be."""

from __future__ import annotations

import base64
import gzip
import hashlib
from email.utils import formatdate
from typing import Any

import pytest

from engine.io.accessions import Entry
from engine.io.remote import Outcome, Progress
from tests.engine.io.downloads.archive_server import (
    Server,
    broken_off,
    chunked,
    crawling,
    density,
    endless,
    ranged,
    silent,
    status,
    structure,
    whole,
)
from tests.engine.io.downloads.fetching import BODY, EMDB, FML, MAP, PDBE, RCSB, Fetching, bad, good

# ---- what goes well ------------------------------------------------------------------------------


def test_files_are_recorded_and_not_asked_for_again(get: Fetching, server: Server) -> None:
    server.script = {RCSB: [whole(BODY)], EMDB: [whole(density())]}
    first = get(FML, MAP, FML)
    assert [o.cached for o in first] == [False, False]
    assert (get.folder / "emd_1080.map.gz").read_bytes() == density()
    table = (get.folder / "fetched.csv").read_text().splitlines()
    assert table[0] == "id,kind,url,file,bytes,sha256,date,licence"
    assert table[1].startswith(f"6fml,structure,{server.base}{RCSB},6fml.cif.gz,{len(BODY)},")
    assert table[1].endswith("+00:00,CC0-1.0")
    again = get(FML, MAP)
    assert [o.cached for o in again] == [True, True]
    assert [o.row for o in again] == [o.row for o in first]
    assert server.asked() == [RCSB, EMDB]


def test_a_file_that_changed_since_is_downloaded_again(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [whole(BODY)]
    get.one()
    (get.folder / "6fml.cif.gz").write_bytes(BODY[:-1] + b"x")
    outcome = get.one()
    assert not outcome.cached
    good(get, outcome)


def test_a_stranger_of_the_same_name_is_not_replaced(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [whole(BODY)]
    get.folder.mkdir()
    (get.folder / "6fml.cif.gz").write_bytes(b"mine")
    outcome = get.one()
    assert outcome.row is None
    assert "another file" in outcome.problem
    assert (get.folder / "6fml.cif.gz").read_bytes() == b"mine"
    (get.folder / "6fml.cif.gz").write_bytes(BODY)  # the same, and only the table was lost
    good(get, get.one())


def test_requests_keep_their_distance_and_say_who_asks(get: Fetching, server: Server) -> None:
    entries = [Entry(f"1ab{c}", "structure") for c in "abcde"]
    server.script = {f"/rcsb/{e.file_name}": [whole(structure(1000))] for e in entries}
    get(*entries, rate_per_s=0.5, user_agent="Verglas/1.2.3")
    assert 7.0 < get.clock.slept <= 8.0
    headers = [h for _, h in server.requests]
    assert {h["User-Agent"] for h in headers} == {"Verglas/1.2.3"}
    assert not any("Authorization" in h or "Cookie" in h for h in headers)


def test_the_bytes_of_the_server_are_kept_where_it_names_an_encoding(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [whole(BODY, Content_Encoding="gzip")]
    good(get, get.one())


def test_progress_is_told(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [whole(BODY)]
    get.one()
    done = [r.done_bytes for r in get.reports if isinstance(r, Progress)]
    assert done == sorted(done)
    assert done[-1] == len(BODY)
    assert isinstance(get.reports[-1], Outcome)


# ---- connections that break ----------------------------------------------------------------------


def test_a_broken_connection_is_gone_on_with(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [broken_off(BODY, 100_000), ranged(BODY)]
    good(get, get.one())
    assert get.ranges() == [None, "bytes=100000-"]
    assert server.requests[1][1]["If-Range"] == '"v1"'
    assert server.asked(PDBE) == []


def test_a_part_of_an_earlier_time_is_gone_on_with(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [broken_off(BODY, 100_000), ranged(BODY)]
    bad(get, get.one(retries=0, pdbe=""), "cut")
    assert {"6fml.cif.gz.part", "6fml.cif.gz.part.json"} <= get.names
    good(get, get.one())
    assert get.ranges() == [None, "bytes=100000-"]


def test_a_date_serves_where_there_is_no_etag(get: Fetching, server: Server) -> None:
    date = formatdate(1e9, usegmt=True)
    server.script[RCSB] = [broken_off(BODY, 100_000, ETag="", Last_Modified=date), ranged(BODY, date)]
    good(get, get.one())
    assert server.requests[1][1]["If-Range"] == date


def test_without_a_way_to_tell_versions_apart_it_starts_over(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [broken_off(BODY, 100_000, ETag='W/"weak"'), whole(BODY)]
    good(get, get.one())
    assert get.ranges() == [None, None]


@pytest.mark.parametrize("second", [whole(BODY, ETag='"v1"'), chunked(BODY)], ids=["length", "chunked"])
def test_a_server_that_ignores_ranges_starts_over(get: Fetching, server: Server, second: Any) -> None:
    server.script[RCSB] = [broken_off(BODY, 100_000), second]
    good(get, get.one())


def test_a_file_that_changed_meanwhile_starts_over(get: Fetching, server: Server) -> None:
    new = structure(seed=1)
    server.script[RCSB] = [broken_off(BODY, 100_000), ranged(new, '"v2"')]
    good(get, get.one(), new)


def test_pieces_of_another_version_are_never_joined(get: Fetching, server: Server) -> None:
    new = structure(seed=1)
    place = f"bytes 100000-{len(BODY) - 1}/{len(BODY)}"
    careless = status(206, new[100_000 : len(BODY)], ETag='"v2"', Content_Range=place)
    elsewhere = status(206, new[5:], ETag='"v1"', Content_Range=f"bytes 5-{len(new) - 1}/{len(new)}")
    server.script[RCSB] = [
        broken_off(BODY, 100_000),
        careless,
        broken_off(new, 100_000),
        elsewhere,
        whole(new),
    ]
    good(get, get.one(), new)


def test_a_part_of_unknown_origin_is_not_built_upon(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [ranged(BODY)]
    get.folder.mkdir()
    (get.folder / "6fml.cif.gz.part").write_bytes(b"rubbish")
    (get.folder / "6fml.cif.gz.part.json").write_text('{"url": 3, "total": "many"}')
    good(get, get.one())
    assert get.ranges() == [None]


def test_silence_is_broken_off_and_gone_on_with(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [silent(BODY, 100_000), ranged(BODY)]
    good(get, get.one(stall_s=0.2))
    assert get.ranges()[1] == "bytes=100000-"


def test_a_trickle_counts_as_silence(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [crawling(BODY), ranged(BODY)]
    good(get, get.one(stall_s=0.3))
    assert len(server.requests) == 2


def test_chunks_that_break_off_are_noticed(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [chunked(BODY, 1000), chunked(BODY)]
    good(get, get.one())


def test_progress_earns_new_attempts_and_standstill_does_not(get: Fetching, server: Server) -> None:
    body = structure(8_000_000)
    assert len(body) > 3_300_000

    def piece(handler: Any) -> None:
        first = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        place = f"bytes {first}-{len(body) - 1}/{len(body)}"
        handler.begin(206, Content_Length=len(body) - first, Content_Range=place)
        handler.wfile.write(body[first : first + 1_100_000])
        handler.cut()

    server.script[RCSB] = [broken_off(body, 1_100_000), piece]
    good(get, get.one(retries=1), body)
    server.requests.clear()
    server.script["/rcsb/1aon.cif.gz"] = [broken_off(body, 10)]
    bad(get, get.one(Entry("1aon", "structure"), retries=3, pdbe=""), "cut")
    assert len(server.requests) == 4


# ---- lengths and damage --------------------------------------------------------------------------


def test_a_length_that_is_too_long_is_found_out(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [broken_off(BODY, len(BODY), announced=len(BODY) + 7), ranged(BODY)]
    good(get, get.one())


def test_a_length_that_is_too_short_is_no_whole_file(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [broken_off(BODY, len(BODY), announced=len(BODY) - 7)]
    bad(get, get.one(pdbe=""), "damaged")
    assert len(server.requests) == 2
    assert get.names == set()


def test_a_corrupt_archive_is_downloaded_once_more_then_elsewhere(get: Fetching, server: Server) -> None:
    corrupt = BODY[:100_000] + bytes(100) + BODY[100_100:]
    server.script = {RCSB: [whole(corrupt)], PDBE: [whole(BODY)]}
    good(get, get.one())
    assert server.asked() == [RCSB, RCSB, PDBE]


def test_md5_of_the_server_is_compared(get: Fetching, server: Server) -> None:
    right = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"").digest()).decode()
    server.script[RCSB] = [whole(BODY, Content_MD5=wrong), whole(BODY, Content_MD5=right)]
    good(get, get.one())
    assert len(server.requests) == 2


def test_an_etag_like_an_md5_is_compared_but_two_equal_downloads_overrule_it(
    get: Fetching, server: Server
) -> None:
    right, other = f'"{hashlib.md5(BODY).hexdigest()}"', f'"{hashlib.md5(b"").hexdigest()}"'
    server.script[RCSB] = [whole(BODY, ETag=right)]
    good(get, get.one())
    assert len(server.requests) == 1
    (get.folder / "6fml.cif.gz").unlink()
    server.script[RCSB] = [whole(BODY, ETag=other)]
    good(get, get.one())
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("entry", "path", "body", "words"),
    [
        (FML, RCSB, b"<!DOCTYPE html><p>Please log in", "a web page"),
        (FML, RCSB, b"data_6FML\n" * 100, "something else than a gzip archive"),
        (FML, RCSB, gzip.compress(b"<html>Sorry</html>" * 100), "something else than mmCIF"),
        (FML, RCSB, gzip.compress(b"data_x\n" + bytes(50_000_000)), "expands"),
        (FML, RCSB, gzip.compress(b" " * 2_000_000), "something else than mmCIF"),
        (MAP, EMDB, gzip.compress(b"data_6FML\n" * 1000), "not an MRC"),
        (MAP, EMDB, gzip.compress(gzip.decompress(density())[:-1000]), "fewer voxels"),
        (MAP, EMDB, gzip.compress(gzip.decompress(density()) + bytes(20_000_000)), "expands"),
    ],
    ids=["page", "plain", "zipped page", "bomb", "blanks", "text", "short", "long"],
)  # fmt: skip
def test_something_else_is_refused_at_once(
    get: Fetching, server: Server, entry: Entry, path: str, body: bytes, words: str
) -> None:
    server.script[path] = [whole(body)]
    bad(get, get.one(entry, pdbe=""), words)
    assert len(server.requests) == 1
    assert get.names == set()


def test_files_beyond_the_limit_are_refused_announced_or_not(get: Fetching, server: Server) -> None:
    server.script[RCSB] = [whole(BODY)]
    bad(get, get.one(max_bytes=100_000, pdbe=""), "limit is 0.1 MB")
    server.script[RCSB] = [endless(BODY[:1000])]
    outcome = get.one(max_bytes=100_000, pdbe="")
    bad(get, outcome, "limit is 0.1 MB")
    assert "--max-size" in outcome.advice
    assert get.names == set()
