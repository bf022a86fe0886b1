"""Small structures made for tests: dense blobs of atoms, as PDB or mmCIF."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import gemmi
import numpy as np
from numpy.typing import NDArray

from tests.engine.io.test_structure import atom_line


def blob(seed: int, atoms: int = 130, stretch: float = 1.0) -> NDArray[np.float64]:
    """Atoms (n, 3) on a jittered grid, as dense as protein, in an ellipsoid with axes of its own."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 3, indexing="ij"), -1).reshape(-1, 3) * 1.6
    axes = rng.uniform(0.6, 1.6, 3) * (stretch, 1, 1)
    nearest = np.argsort((grid**2 / axes**2).sum(1))[:atoms]
    return grid[nearest] + rng.normal(scale=0.2, size=(atoms, 3))


def pdb_text(*chains: NDArray[np.float64], header: str = "", element: str = "N", name: str = "N") -> str:
    """Chains A, B ... of one-atom residues, in the order given."""
    lines, serial = [header], 0
    for letter, coords in zip("ABCDEFGH", chains, strict=False):
        for number, xyz in enumerate(coords, 1):
            serial += 1
            place = tuple(float(v) for v in xyz)
            lines.append(atom_line(serial, name, chain=letter, number=number, xyz=place, element=element))
    return "".join(lines) + "END\n"


def entry_header(pdb_id: str, title: str) -> str:
    return f"{'HEADER    TEST PROTEIN':<50}01-JAN-00   {pdb_id:<4}{'':14}\nTITLE     {title:<70}\n"


def cif_text(pdb: str) -> str:
    parsed = gemmi.read_pdb_string(pdb)
    parsed.setup_entities()
    return str(parsed.make_mmcif_document().as_string())


def write_broken(folder: Path) -> set[str]:
    """Ten files that are broken in ten ways; their names."""
    good = pdb_text(blob(0))
    cif = cif_text(good)
    waters = "".join(atom_line(i, "O", "HOH", number=i, xyz=(i, 0, 0), element="O") for i in range(1, 200))
    content: dict[str, bytes] = {
        "empty.pdb": b"",
        "cut.pdb.gz": gzip.compress(good.encode())[:900],
        "page.cif": b"<!DOCTYPE html><html>Not found</html>",
        "binary.ent": b"\x00\x01" * 500,
        "factors-sf.cif": b"data_r1abcsf\nloop_\n_refln.index_h\n_refln.index_k\n1 2\n3 4\n",
        "stars.pdb": good.replace(good.splitlines()[3][30:38], "********").encode(),
        "waters.pdb": waters.encode(),
        "packed.cif.bz2": bz2.compress(cif.encode()),
        "halved.cif": cif[: cif.rindex("\nATOM") + 20].encode(),
        "astray.pdb": pdb_text(blob(0) * 0 + [9e5, 0, 0]).replace("900000.000", "900000.0").encode(),
    }
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return set(content)
