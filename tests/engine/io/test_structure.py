from __future__ import annotations

import gzip
from pathlib import Path

import gemmi
import numpy as np
import pytest

from engine.errors import InputError
from engine.io.structure import read_structure


def atom_line(
    serial: int = 1,
    name: str = "CA",
    residue: str = "ALA",
    chain: str = "A",
    number: int = 1,
    xyz: tuple[float, float, float] = (0.0, 0.0, 0.0),
    element: str = "C",
    altloc: str = " ",
    occupancy: float = 1.0,
) -> str:
    x, y, z = xyz
    return (
        f"ATOM  {serial:5d}  {name:<3s}{altloc}{residue:>3s} {chain}{number:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f} 10.00          {element:>2s}  \n"
    )


def residue_chain(chain: str, offset: tuple[float, float, float], count: int = 12, start: int = 1) -> str:
    """Alpha carbons along a helix: no two atoms are close, and the centroid is near the offset."""
    lines = []
    for i in range(count):
        xyz = (
            offset[0] + 5 * np.cos(1.7 * i),
            offset[1] + 5 * np.sin(1.7 * i),
            offset[2] + 1.5 * (i - count / 2),
        )
        lines.append(atom_line(start + i, chain=chain, number=i + 1, xyz=xyz))
    return "".join(lines)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_pdb_and_mmcif_and_gz_agree(tmp_path: Path) -> None:
    text = residue_chain("A", (0, 0, 0)) + residue_chain("B", (40, 0, 0), start=20)
    pdb = write(tmp_path / "m.pdb", text + "END\n")
    parsed = gemmi.read_pdb_string(text)
    parsed.setup_entities()
    cif = write(tmp_path / "m.cif", parsed.make_mmcif_document().as_string())
    packed = tmp_path / "wrong_suffix.txt"
    packed.write_bytes(gzip.compress(cif.read_bytes()))
    a, b, c = (read_structure(p) for p in (pdb, cif, packed))
    assert a.chain_names == b.chain_names == c.chain_names == ("A", "B")
    np.testing.assert_allclose(a.coords_A, b.coords_A)
    np.testing.assert_array_equal(b.coords_A, c.coords_A)
    np.testing.assert_array_equal(a.chains, np.repeat([0, 1], 12))
    assert set(a.elements.tolist()) == {6}
    np.testing.assert_allclose(a.masses_Da, 12.011, atol=1e-3)
    assert a.notes == ()


def test_waters_hydrogens_and_deuterium_are_dropped_and_said(tmp_path: Path) -> None:
    text = (
        residue_chain("A", (0, 0, 0))
        + atom_line(90, "HA", element="H", xyz=(9, 9, 9))
        + atom_line(91, "DA", element="D", xyz=(9, 9, 8))
        + atom_line(92, "O", "HOH", number=200, xyz=(30, 0, 0), element="O")
        + atom_line(93, "O", "DOD", number=201, xyz=(31, 0, 0), element="O")
    )
    structure = read_structure(write(tmp_path / "m.pdb", text))
    assert len(structure.coords_A) == 12
    assert "2 water atoms were dropped." in structure.notes
    assert "2 hydrogen atoms were dropped." in structure.notes


@pytest.mark.parametrize(("first", "kept_x"), [(0.3, 2.0), (0.5, 1.0), (0.7, 1.0)])
def test_the_location_with_the_highest_occupancy_stays(tmp_path: Path, first: float, kept_x: float) -> None:
    text = (
        atom_line(1, "N", xyz=(0, 5, 0), element="N")
        + atom_line(2, "CA", xyz=(1, 0, 0), altloc="A", occupancy=first)
        + atom_line(3, "CA", xyz=(2, 0, 0), altloc="B", occupancy=1 - first)
        + atom_line(4, "CB", xyz=(1, 1, 0), altloc="A", occupancy=first)
        + atom_line(5, "CB", xyz=(2, 1, 0), altloc="B", occupancy=1 - first)
    )
    structure = read_structure(write(tmp_path / "m.pdb", text))
    assert len(structure.coords_A) == 3
    np.testing.assert_allclose(structure.coords_A[1:, 0], kept_x)
    assert any("alternative locations" in n for n in structure.notes)


def test_two_residue_types_at_one_position_leave_one(tmp_path: Path) -> None:
    text = (
        atom_line(1, "CA", "SER", xyz=(1, 0, 0), altloc="A", occupancy=0.4)
        + atom_line(2, "OG", "SER", xyz=(1, 1, 0), altloc="A", occupancy=0.4, element="O")
        + atom_line(3, "CA", "THR", xyz=(2, 0, 0), altloc="B", occupancy=0.6)
        + atom_line(4, "CG2", "THR", xyz=(2, 1, 0), altloc="B", occupancy=0.6)
    )
    structure = read_structure(write(tmp_path / "m.pdb", text))
    np.testing.assert_allclose(structure.coords_A, [[2, 0, 0], [2, 1, 0]])


def models(*offsets: tuple[float, float, float]) -> str:
    return "".join(f"MODEL     {i:4d}\n{residue_chain('A', o)}ENDMDL\n" for i, o in enumerate(offsets, 1))


def test_models_apart_form_an_assembly_and_chains_are_named_by_model(tmp_path: Path) -> None:
    structure = read_structure(write(tmp_path / "m.pdb", models((0, 0, 0), (50, 0, 0), (0, 50, 0))))
    assert structure.chain_names == ("1:A", "2:A", "3:A")
    assert len(structure.coords_A) == 36
    assert any("assembly" in n for n in structure.notes)
    assert len(np.unique(read_structure(tmp_path / "m.pdb", chains=["A"]).chains)) == 3
    two = read_structure(tmp_path / "m.pdb", chains=["2:A"])
    assert two.coords_A[:, 0].min() > 40


def test_models_on_top_of_each_other_are_alternatives(tmp_path: Path) -> None:
    structure = read_structure(write(tmp_path / "m.pdb", models((0, 0, 0), (0.3, 0.2, 0), (0, 0.1, 0.1))))
    assert structure.chain_names == ("A",)
    assert len(structure.coords_A) == 12
    assert any("only the first" in n for n in structure.notes)


def test_pdb1_is_an_assembly_even_if_models_share_a_centre(tmp_path: Path) -> None:
    text = models((0, 0, 0), (0.5, 0, 0))
    assert len(read_structure(write(tmp_path / "m.pdb1", text)).coords_A) == 24
    packed = tmp_path / "m.pdb1.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert len(read_structure(packed).coords_A) == 24


def test_long_chain_names_stay_apart(tmp_path: Path) -> None:
    parsed = gemmi.read_pdb_string(residue_chain("A", (0, 0, 0)) + residue_chain("B", (40, 0, 0)))
    for chain, name in zip(parsed[0], ("assembly-one-A", "assembly-one-B"), strict=True):
        chain.name = name
    parsed.setup_entities()
    cif = write(tmp_path / "m.cif", parsed.make_mmcif_document().as_string())
    assert read_structure(cif).chain_names == ("assembly-one-A", "assembly-one-B")


def test_chain_selection_and_unknown_chain(tmp_path: Path) -> None:
    path = write(tmp_path / "m.pdb", residue_chain("A", (0, 0, 0)) + residue_chain("B", (40, 0, 0)))
    assert len(read_structure(path, chains=("B",)).coords_A) == 12
    with pytest.raises(InputError, match="no chain 'Q'.*A, B"):
        read_structure(path, chains=("Q",))


def test_unknown_elements_get_carbon_mass_and_a_note(tmp_path: Path) -> None:
    text = residue_chain("A", (0, 0, 0)) + atom_line(50, "XX", "UNK", number=50, xyz=(20, 0, 0), element="X")
    structure = read_structure(write(tmp_path / "m.pdb", text))
    assert structure.elements[-1] == 0
    assert structure.masses_Da[-1] == structure.masses_Da[0]
    assert any("unknown element" in n for n in structure.notes)
