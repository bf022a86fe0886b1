"""Ids of archive entries as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InputError, SpecError
from engine.io.accessions import Entry, parse_emdb, parse_id, parse_pdb, read_ids
from engine.io.remote import EMDB, PDBE, RCSB
from engine.io.servers import Server


@pytest.mark.parametrize(
    ("text", "id", "file"),
    [
        ("6FML", "6fml", "6fml.cif.gz"),
        ("pdb_00006fml", "6fml", "6fml.cif.gz"),
        ("PDB_1000ABCD", "pdb_1000abcd", "pdb_1000abcd.cif.gz"),
        ("EMD-1080", "EMD-1080", "emd_1080.map.gz"),
        ("emd_70", "EMD-0070", "emd_0070.map.gz"),
        ("EMD-012345", "EMD-12345", "emd_12345.map.gz"),
    ],
)
def test_spellings_of_one_entry(text: str, id: str, file: str) -> None:
    entry = parse_id(text)
    assert (entry.id, entry.file_name) == (id, file)
    assert parse_id(entry.id) == entry


def test_digits_alone_belong_to_either_archive() -> None:
    assert parse_emdb("1080").id == "EMD-1080"
    assert parse_pdb("1080").id == "1080"
    with pytest.raises(SpecError, match="EMD-1080 or pdb_00001080"):
        parse_id("1080")


@pytest.mark.parametrize(
    "text", ["6fm", "6fmls", "afml", "../6", "EMD-", "EMD-0", "pdb_6fml", "6fml.cif", "６fml"]
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(SpecError, match="no PDB id|no EMDB id|neither"):
        parse_id(text)


def test_a_list_with_comments_and_commas(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("# nucleosomes\r\n6fml, 1kx5\r\nEMD-1080 # GroEL\n\n6FML\npdb_00001aon,")
    assert [e.id for e in read_ids(path)] == ["6fml", "1kx5", "EMD-1080", "1aon"]


def test_bad_ids_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("6fml\nnonsense\n1aon,xx # comment\n" + "bad\n" * 10)
    with pytest.raises(InputError) as caught:
        read_ids(path)
    assert "Line 2: 'nonsense'" in caught.value.problem
    assert "Line 3: 'xx'" in caught.value.problem
    assert "And 7 more." in caught.value.problem
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="names no entry"):
        read_ids(path)


def test_addresses_in_the_archives() -> None:
    new, map_ = Entry("pdb_1000abcd", "structure"), Entry("EMD-0070", "map")
    assert Server("", RCSB).url(parse_pdb("6fml")) == "https://files.rcsb.org/download/6fml.cif.gz"
    mirror = Server("", PDBE + "/", divided=True)
    assert mirror.url(parse_pdb("6fml")).endswith("/pdb/data/structures/divided/mmCIF/fm/6fml.cif.gz")
    assert mirror.url(new).endswith("/bc/pdb_1000abcd.cif.gz")
    assert Server("", EMDB).url(map_).endswith("/emdb/structures/EMD-0070/map/emd_0070.map.gz")
