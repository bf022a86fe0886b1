from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.io.structure_folder import find_structures
from engine.io.structure_header import read_header
from tests.engine.io.test_structure import residue_chain, write

DEPOSITED = "HEADER    HYDROLASE                               07-AUG-97   1AON              \n"
ATOMS = residue_chain("A", (0, 0, 0))
ID, CODE = "_database_2.database_id", "_database_2.database_code"
LOOP = (
    "loop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
    "ATOM 1 0 0 0\n"
)


def test_title_and_entry_of_a_pdb_file(tmp_path: Path) -> None:
    title = "TITLE     A VERY LONG\nTITLE    2  TITLE\n"
    found = read_header(write(tmp_path / "x.pdb", DEPOSITED + title + ATOMS))
    assert (found.pdb_id, found.title) == ("1aon", "A VERY LONG TITLE")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "HEADER    HYDROLASE                                           1AON              \n",  # no date
        "HEADER    HYDROLASE                               07-AUG-97   XXXX              \n",
        "HEADER    MODEL OF 1AON\n",
    ],
)
def test_a_pdb_file_of_no_entry(header: str, tmp_path: Path) -> None:
    assert read_header(write(tmp_path / "1aon.pdb", header + ATOMS)).pdb_id == ""


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (f"_entry.id 6FML\nloop_\n{ID}\n{CODE}\nEMDB EMD-1\nPDB 6FML\n", "6fml"),
        ("_entry.id 6FML\n_pdbx_database_status.recvd_initial_deposition_date 2018-01-31\n", "6fml"),
        ("_entry.id 6FML\n_coordinate_server_result.is_empty no\n", "6fml"),
        (f"_entry.id x\n{ID} PDB\n{CODE} pdb_00006fml\n", "pdb_00006fml"),
        ("_entry.id 6FML\n", ""),
        (f"_entry.id AF-P1-F1\n{ID} AlphaFoldDB\n{CODE} AF-P1-F1\n", ""),
    ],
)
def test_entry_of_an_mmcif_file(items: str, expected: str, tmp_path: Path) -> None:
    text = f"data_x\n{items}_struct.title 'Of two\twords'\n{LOOP}"
    found = read_header(write(tmp_path / "x.cif", text))
    assert (found.pdb_id, found.title) == (expected, "Of two words")


def test_what_is_no_structure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no atoms"):
        read_header(write(tmp_path / "x.pdb", "HEADER\n"))


def test_structures_are_found_by_name_in_all_folders(tmp_path: Path) -> None:
    names = ["b.pdb", "a/1aon.cif.gz", "a/pdb1aon.ent.gz", "a/deep/6t90.pdb1", "C.CIF", "x.pdb.xz", "m.mmcif"]
    others = ["notes.txt", "a/map.mrc", "fetched.csv", "pdb"]
    for name in [*names, *others, ".hidden.pdb", ".git/x.pdb"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    os.symlink(tmp_path / "a", tmp_path / "again", target_is_directory=True)
    found = find_structures(tmp_path)
    assert [name for name, _ in found.files] == sorted(names)
    assert all(path == tmp_path / name for name, path in found.files)
    assert (found.others, found.closed) == (len(others), ())
    with pytest.raises(InputError, match="no folder"):
        find_structures(tmp_path / "b.pdb")
