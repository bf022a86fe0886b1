"""Small valid files of every kind that is read: what the fuzzer starts from. Made here, never stored."""

# ruff: noqa: E501 - tables of values
from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.io.conformations import Conformations, write_conformations
from engine.io.ensemble import write_ensemble
from engine.io.mrc import write_images, write_volume
from engine.types import Ensemble, Frame, ImageStack, Volume

_RNG = np.random.default_rng(8)


def written(name: str, write: Callable[[Path], object]) -> bytes:
    """What a function writes into a file of this name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def _values(*shape: int) -> np.ndarray[Any, Any]:
    return _RNG.normal(size=shape).astype(np.float32)


@cache
def maps() -> list[bytes]:
    """Float, 16-bit with an extended header, and big-endian maps of 4 × 5 × 6 voxels."""
    plain = written(
        "a.mrc", lambda p: write_volume(p, Volume(_values(4, 5, 6), (1.5, 1.5, 1.5), (1.0, 2.0, 3.0)))
    )
    data = np.frombuffer(plain[1024:], "<f4")
    short = bytearray(plain[:1024])
    short[12:16], short[92:96] = struct.pack("<i", 1), struct.pack("<i", 160)
    words = np.frombuffer(plain[:1024], "<u4").astype(">u4").tobytes()
    big = bytearray(words)
    big[208:216] = b"MAP \x11\x11\x00\x00"
    return [
        plain,
        bytes(short) + bytes(160) + (data * 1000).astype("<i2").tobytes(),
        bytes(big) + data.astype(">f4").tobytes(),
    ]


@cache
def stacks() -> list[bytes]:
    """Stacks of float and 8-bit images."""
    plain = written("a.mrcs", lambda p: write_images(p, ImageStack(_values(3, 6, 6), 2.0)))
    byte = bytearray(plain[:1024])
    byte[12:16] = struct.pack("<i", 0)
    return [plain, bytes(byte) + (np.frombuffer(plain[1024:], "<f4") * 40).astype("i1").tobytes()]


OPTICS = """# version 30001
data_optics
loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
_rlnImageSize #3
1 2.0 6

data_particles
loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnOriginXAngst #5
_rlnOriginYAngst #6
_rlnOpticsGroup #7
000001@stack.mrcs 10.0 20.0 30.0 0.5 -0.5 1
000002@stack.mrcs 40.0 50.0 60.0 1.5 -1.5 1
000003@stack.mrcs 70.0 80.0 90.0 0.0 0.0 1
"""
OLD = """data_

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnOriginX #5
_rlnOriginY #6
_rlnMagnification #7
_rlnDetectorPixelSize #8
1@stack.mrcs 1 2 3 0 0 10000 2
2@stack.mrcs 4 5 6 1 1 10000 2
"""
CLASSES = """data_model_general
_rlnReferenceDimensionality 2
_rlnPixelSize 2.0

data_model_classes
loop_
_rlnReferenceImage #1
_rlnClassDistribution #2
_rlnEstimatedResolution #3
000001@Class2D/job012/stack.mrcs 0.5 9.5
000002@Class2D/job012/stack.mrcs 0.3 inf
000003@Class2D/other/more.mrcs 0.2 12.0

data_model_groups
loop_
_rlnGroupNumber #1
_rlnGroupNrParticles #2
1 600
2 400
"""
LIST = b"#LSX\n# comment\n# 20\n0\tstack.mrcs\n1\tstack.mrcs\n2\tstack.mrcs\t1.5,2.5\n"


def pose_tables() -> list[bytes]:
    """RELION 3.1 and older."""
    return [OPTICS.encode(), OLD.encode()]


def class_tables() -> list[bytes]:
    """2D classes, and particles without poses."""
    short = OPTICS.replace("_rlnAngleRot", "_rlnDefocusU")
    return [CLASSES.encode(), short.encode()]


@cache
def datasets() -> list[bytes]:
    """cryoSPARC datasets with and without poses."""
    fields = [("uid", "<u8"), ("blob/path", "S60"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4"), ("blob/res_A", "<f4"),
              ("blob/shape", "<u4", (2,)), ("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,)),
              ("alignments3D/psize_A", "<f4")]  # fmt: skip
    table = np.zeros(3, fields)
    table["blob/path"], table["blob/idx"], table["blob/shape"] = b">J12/stack.mrcs", np.arange(3), 6
    table["blob/psize_A"] = table["alignments3D/psize_A"] = 2.0
    table["blob/res_A"], table["alignments3D/pose"] = 8.0, _values(3, 3)
    found = []
    for names in (table.dtype.names, table.dtype.names[:6]):
        out = io.BytesIO()
        np.save(
            out,
            np.array(table[list(names)].tolist(), [f for f in fields if f[0] in names]),
            allow_pickle=False,
        )
        found.append(out.getvalue())
    return found


@cache
def hdf_files() -> list[bytes]:
    """EMAN2's images, contiguous, and compressed with few bits."""
    found = []
    for packed in (False, True):
        out = io.BytesIO()
        with h5py.File(out, "w") as file:
            for number in range(3):
                group = file.create_group(f"MDF/images/{number}")
                group.attrs["EMAN.apix_x"], group.attrs["EMAN.ptcl_repr"] = 2.0, 100 + number
                values = _values(4, 5)
                if packed:
                    values = np.arange(20, dtype="u1").reshape(4, 5)
                    for key, value in (("bits", 8), ("min", -1.0), ("max", 1.0)):
                        group.attrs[f"EMAN.stored_render{key}"] = value
                more = {"chunks": (2, 5), "compression": "gzip"} if packed else {}
                group.create_dataset("image", data=values, **more)
        found.append(out.getvalue())
    return found


@cache
def spider_files() -> list[bytes]:
    """One image and a stack of two, 16 × 16 pixels."""
    words = np.zeros(256, "<f4")
    for number, value in {1: 1, 2: 16, 5: 1, 12: 16, 13: 16, 22: 1024, 23: 64, 38: 2.0}.items():
        words[number - 1] = value
    image = words.tobytes() + _values(16, 16).tobytes()
    words[[23, 25]] = 2
    return [image, words.tobytes() + image + image]


PDB = (
    "HEADER    TEST                                    01-JAN-20   1ABC              \nTITLE     A TITLE\n"
    + "".join(
        f"ATOM  {i:5d}  {n:<3} ALA {c}{i // 3 + 1:4d}    {i * 1.1:8.3f}{i * 0.7:8.3f}{i * 0.3:8.3f}  1.00 20.00           {n[0]}  \n"
        for i, (n, c) in enumerate(
            [("N", "A"), ("CA", "A"), ("C", "A"), ("N", "B"), ("CA", "B"), ("P", "B")], 1
        )
    )
)
_COLUMNS = ("group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id label_seq_id "
            "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_asym_id pdbx_PDB_model_num").split()  # fmt: skip
CIF = (
    "data_1ABC\n_entry.id 1ABC\n_struct.title 'A title'\n_pdbx_database_status.recvd_initial_deposition_date 2020-01-01\nloop_\n"
    + "".join(f"_atom_site.{name}\n" for name in _COLUMNS)
    + "".join(
        f"ATOM {i} C CA . ALA A 1 {i} ? {i * 1.5} {i * 0.5} {i * 2.5} 1.0 20.0 {i} A 1\n" for i in range(1, 5)
    )
    + "loop_\n_database_2.database_id\n_database_2.database_code\nPDB 1ABC\nEMDB EMD-1\n"
)


def pdb_files() -> list[bytes]:
    """One model, and two."""
    atoms = PDB[PDB.index("ATOM") :]
    return [PDB.encode(), f"MODEL        1\n{atoms}ENDMDL\nMODEL        2\n{atoms}ENDMDL\nEND\n".encode()]


def cif_files() -> list[bytes]:
    """A model."""
    return [CIF.encode()]


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


@cache
def point_archives() -> list[bytes]:
    """2D and weighted 3D points, and several sets of 2D points."""
    return [
        _npz(points=_values(20, 2)),
        _npz(points=_values(20, 3).astype("f8"), weights=np.ones(20)),
        _npz(view_1=_values(9, 2), view_2=_values(8, 2)),
    ]


@cache
def cloud_archives() -> list[bytes]:
    """Two clouds."""
    points = (np.clip(_values(2, 20, 3), -1, 1)).astype(np.float16)
    return [_npz(points=points, name=np.array(["a", "b"]), scale_A=np.ones(2)), _npz(points=points)]


@cache
def ensembles() -> list[bytes]:
    """Two samples and one observation."""
    ensemble = Ensemble(_values(2, 9, 3), "posterior", Frame((0.0, 0.0, 0.0), 30.0), _values(2, 1) ** 2, ("view",),
                        np.arange(2, dtype=np.int64))  # fmt: skip
    return [written("ensemble.npz", lambda p: write_ensemble(p, ensemble))]


@cache
def result_archives() -> list[bytes]:
    """Conformations, and Gaussians."""
    found = Conformations(_values(3, 2), _values(3, 2, 2), np.stack([np.eye(3, dtype=np.float32)] * 3), _values(3, 2),
                          _values(3, 2))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        conformations = write_conformations(folder, found).read_bytes()
    positions = _values(3, 3).astype("f8")
    gaussians = _npz(positions_A=positions, weights=np.ones(3), covariances_A2=np.stack([np.eye(3)] * 3))
    return [conformations, gaussians]


@cache
def arrays() -> list[bytes]:
    """Snapshots of points, of a map, and shapes of voxels."""
    found = []
    for array in (_values(2, 9, 3), _values(4, 4, 4), (_values(2, 5, 5, 5) > 0), (_values(9) ** 2)):
        out = io.BytesIO()
        np.save(out, array)
        found.append(out.getvalue())
    return found


def point_tables() -> list[bytes]:
    """CSV with and without a header, TSV, and text with semicolons."""
    rows = [f"{i},{i * 2.5},{-i}" for i in range(8)]
    return [
        "\n".join(["x,y,z", *rows]).encode(),
        "\n".join(rows).encode(),
        "\n".join(["# points", "x [Å]\ty [Å]\tweight", *(r.replace(",", "\t") for r in rows)]).encode(),
        "\n".join(r.replace(",", "; ") for r in rows).encode(),
    ]


@cache
def kept_samples() -> list[bytes]:
    """A finished sample of a run."""
    return [_npz(points=_values(9, 3), energies=_values(1) ** 2, seed=np.array(7, np.int64))]
