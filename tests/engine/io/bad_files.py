"""Files that are broken, odd or hostile: made here, refused in ``test_bad_input``."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.engine.io.average_files import cs_bytes, spider_bytes
from tests.engine.io.test_mrc import bumpy, mrc_bytes
from tests.engine.io.test_star import ANGLES, OPTICS, table
from tests.engine.io.test_structure import atom_line, residue_chain

MAP = mrc_bytes(bumpy((8, 8, 8)))
PDB = residue_chain("A", (0, 0, 0))
CIF_LOOP = (
    "data_X\nloop_\n_atom_site.group_PDB\n_atom_site.id\n_atom_site.type_symbol\n_atom_site.label_atom_id\n"
    "_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_seq_id\n_atom_site.Cartn_x\n"
    "_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
)
STAR = OPTICS + table("particles", (*ANGLES, "rlnOpticsGroup", "rlnImageName"), "1 2 3 1 1@s.mrcs")

SPIDER = spider_bytes(bumpy((3, 8, 8)), stack=True)
DATASET = cs_bytes(["J1/a.mrc"] * 2, [0, 1])
CLASSES = table("", ("rlnReferenceImage", "rlnClassDistribution"), "1@c.mrcs 0.6", "2@c.mrcs 0.4")


def hole(value: float) -> bytes:
    data = bumpy((8, 8, 8))
    data[3, 4, 5] = value
    return mrc_bytes(data, dmin=0, dmax=1)


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def particles(*rows: str, columns: tuple[str, ...] = (*ANGLES, "rlnImageName")) -> bytes:
    return table("particles", columns, *rows).encode()


def npy_entry(header: bytes, version: bytes = b"\x02\x00") -> bytes:
    """An npz with one hand-made `points.npy`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", b"\x93NUMPY" + version + header)
    return buffer.getvalue()


# name: (content, the reader that a user would try, a word of the message)
BAD: dict[str, tuple[bytes, str, str]] = {
    # maps and stacks
    "map cut in the header": (MAP[:500], "volume", "500 bytes"),
    "map cut after the header": (MAP[:1024], "volume", "ends early"),
    "map cut in the data": (MAP[:1500], "volume", "ends early"),
    "map cut by one byte": (MAP[:-1], "volume", "ends early"),
    "map in gzip, cut": (gzip.compress(MAP)[:-200], "volume", "gzip archive is damaged"),
    "map in gzip, short inside": (gzip.compress(MAP[:1500]), "volume", "ends early"),
    "map longer than declared": (MAP + MAP[1024:], "volume", "more data than"),
    "map of one NaN": (hole(np.nan), "volume", "1 of 512 values are not finite"),
    "map of one infinity": (hole(-np.inf), "volume", "not finite"),
    "map of absurd values": (hole(1e35), "volume", "absurdly large"),
    "constant map": (mrc_bytes(np.full((8, 8, 8), 7, "f4")), "volume", "same"),
    "constant stack": (mrc_bytes(np.zeros((3, 8, 8), "f4"), ispg=0), "images", "same"),
    "a million voxels cubed": (mrc_bytes(bumpy(), nx=10**6, ny=10**6, nz=10**6), "volume", "claims"),
    "the same in gzip": (
        gzip.compress(mrc_bytes(bumpy(), nx=10**6, ny=10**6, nz=10**6)),
        "volume",
        "1000000 × 1000000 × 1000000",
    ),
    "sizes whose product overflows": (
        mrc_bytes(bumpy(), nx=2**31 - 1, ny=2**31 - 1, nz=2**31 - 1),
        "volume",
        "claims",
    ),
    "negative size": (mrc_bytes(bumpy(), nx=-6), "volume", "impossible size"),
    "zero size": (mrc_bytes(bumpy(), nz=0), "volume", "impossible size"),
    "unknown mode": (mrc_bytes(bumpy(), mode=77), "volume", "mode 77"),
    "complex mode": (mrc_bytes(bumpy(), mode=4), "volume", "Fourier"),
    "complex integers": (mrc_bytes(bumpy(), mode=3), "volume", "Fourier"),
    "4-bit movie": (mrc_bytes(bumpy(), mode=101), "images", "4-bit"),
    "absurd voxel size": (mrc_bytes(bumpy(), cella=(1e9, 1e9, 1e9)), "volume", "Give the voxel size"),
    "tiny pixel size": (mrc_bytes(bumpy(), cella=(1e-6, 1e-6, 1e-6)), "images", "Give the pixel size"),
    "negative cell": (mrc_bytes(bumpy(), cella=(-8.0, 8.0, 8.0)), "volume", "Give the voxel size"),
    "NaN cell": (mrc_bytes(bumpy(), cella=(np.nan, 8.0, 8.0)), "volume", "Give the voxel size"),
    "oblong pixels": (mrc_bytes(bumpy(), cella=(6.0, 50.0, 8.0)), "images", "not square"),
    "skewed cell": (mrc_bytes(bumpy(), cellb=(90, 90, 120)), "volume", "not orthogonal"),
    "one image as a map": (mrc_bytes(bumpy((1, 8, 8))), "volume", "single image"),
    "several maps in one file": (mrc_bytes(bumpy((8, 4, 4)), ispg=401, mz=4), "volume", "several maps"),
    "zeros": (bytes(5000), "volume", "not an MRC"),
    "random bytes": (np.random.default_rng(0).bytes(9000), "volume", "not an MRC"),
    "text as a map": (PDB.encode() * 3, "volume", "not an MRC"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(5000), "images", "HDF5"),
    "TIFF": (b"II*\x00" + bytes(5000), "images", "TIFF"),
    "bzip2": (b"BZh91AY&SY" + bytes(5000), "volume", "bzip2"),
    # structures
    "structure without atoms": (b"HEADER    NOTHING\nEND\n", "structure", "no atoms"),
    "only water": (atom_line(1, "O", "HOH", element="O").encode(), "structure", "no heavy atoms"),
    "only hydrogens": (atom_line(1, "HA", element="H").encode(), "structure", "no heavy atoms"),
    "NaN coordinates": (PDB.replace("   5.000", "     nan").encode(), "structure", "coordinates"),
    "stars for coordinates": (PDB.replace("   5.000", "********").encode(), "structure", "Line 1"),
    "words for coordinates": (PDB.replace("   5.000", "   5.0x0").encode(), "structure", "Line 1"),
    "coordinates cut off": (PDB[:40].encode(), "structure", "Line 1"),
    "a light year away": (PDB.replace("   5.000", "99999999").encode(), "structure", "coordinates"),
    "mmCIF without atom_site": (b"data_X\n_entry.id X\n", "structure", "atom_site"),
    "mmCIF with an empty loop": (CIF_LOOP.encode(), "structure", "no atom"),
    "mmCIF with a ragged loop": (f"{CIF_LOOP}ATOM 1 C CA ALA A 1 1.0 2.0\n".encode(), "structure", ""),
    "mmCIF of question marks": (
        f"{CIF_LOOP}ATOM 1 C CA ALA A 1 ? ? ?\n".encode(),
        "structure",
        "coordinates",
    ),
    "mmCIF with words": (
        f"{CIF_LOOP}ATOM 1 C CA ALA A 1 1 2x 3\n".encode(),
        "structure",
        "coordinates",
    ),
    "mmCIF with an open string": (f"{CIF_LOOP}ATOM 1 C 'CA ALA A 1 1 2 3\n".encode(), "structure", ""),
    "structure in broken gzip": (
        gzip.compress(PDB.encode() * 50)[:60] + b"junk" * 20,
        "structure",
        "gzip archive is damaged",
    ),
    "gzip magic and nothing else": (b"\x1f\x8b", "structure", "gzip archive is damaged"),
    "UTF-16 structure": (PDB.encode("utf-16"), "structure", "UTF-16"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "structure", "web page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "structure", "LFS"),
    "map as a structure": (MAP, "structure", "binary"),
    # poses
    "STAR without poses": (
        (OPTICS + table("particles", ("rlnImageName", "rlnDefocusU"), "1@s.mrcs 100")).encode(),
        "poses",
        "no poses",
    ),
    "STAR with psi only": (
        particles("10 1@s.mrcs", columns=("rlnAnglePsi", "rlnImageName")),
        "poses",
        "rlnAngleRot",
    ),
    "STAR with an empty table": (particles(), "poses", ""),
    "STAR with a short row": (particles("1 2 3 1@s.mrcs", "4 5 6"), "poses", "Row 2"),
    "STAR with a long row": (particles("1 2 3 1@s.mrcs", "4 5 6 2@s.mrcs 9"), "poses", "in row 2"),
    "STAR with too few columns": (particles("1 2 3", "4 5 6"), "poses", "3 values, but its header"),
    "STAR with words for angles": (particles("1 2 3 1@s.mrcs", "1 x 3 1@s.mrcs"), "poses", "row 2"),
    "STAR with infinite angles": (particles("1 inf 3 1@s.mrcs"), "poses", "row 1"),
    "STAR with a bad image name": (particles("1 2 3 x@s.mrcs"), "poses", "000001@stack.mrcs"),
    "STAR counting images from 0": (particles("1 2 3 0@s.mrcs"), "poses", "000001@stack.mrcs"),
    "STAR lacking an optics group": (STAR.replace("1 g1", "5 g1").encode(), "poses", "lacks group 1"),
    "STAR with an absurd pixel size": (STAR.replace("g1 2.5", "g1 1e6").encode(), "poses", "can't be right"),
    "STAR with magnification 0": (
        particles("1 2 3 0 5", columns=(*ANGLES, "rlnMagnification", "rlnDetectorPixelSize")),
        "poses",
        "magnification",
    ),
    "STAR with absurd shifts": (
        particles("1 2 3 1e9 0", columns=(*ANGLES, "rlnOriginXAngst", "rlnOriginYAngst")),
        "poses",
        "absurdly large",
    ),
    "STAR with two tables of poses": (
        (table("a", ANGLES, "1 2 3") + table("b", ANGLES, "1 2 3")).encode(),
        "poses",
        "Several tables",
    ),
    "STAR block without content": (b"data_particles\n\n# _rln nothing\n\n_rlnAngleRot\n", "poses", "damaged"),
    "STAR of binary junk": (b"data_\n_rlnAngleRot #1\n" + bytes(range(256)) * 9, "poses", "binary"),
    "mmCIF as poses": (CIF_LOOP.encode(), "poses", "not a RELION"),
    "pickle": (pickle.dumps({"poses": [1, 2, 3]}), "poses", "pickled"),
    "cryoSPARC": (b"\x95CSDAT" + bytes(100), "poses", "cryoSPARC"),
    # points
    "CSV with words": (b"x,y\n1,2\nthree,4\n", "points", "Line 3"),
    "CSV ragged": (b"1,2,3\n4,5\n", "points", "Line 2 has 2 columns"),
    "CSV with a header alone": (b"x,y,z\n", "points", "no points"),
    "CSV with an unknown header": (b"alpha,beta\n1,2\n", "points", "neither numbers nor a header"),
    "CSV with NaN": (b"1,2\nnan,4\n", "points", "Point 2"),
    "CSV of seven columns": (b"1,2,3,4,5,6,7\n", "points", "rows of 7"),
    "CSV of one column": (b"1\n2\n", "points", "rows of 1"),
    "CSV with decimal commas": (b"1,5;2,5\n", "points", ""),
    "CSV with negative weights": (b"x,y,weight\n1,2,-1\n3,4,2\n", "points", "weights"),
    "CSV with zero weights": (b"x,y,weight\n1,2,0\n", "points", "weights"),
    "CSV far away": (b"1e300,2\n3,4\n", "points", "beyond"),
    "UTF-16 CSV": ("1,2\n3,4\n".encode("utf-16"), "points", "UTF-16"),
    "npz with pickled objects": (npz(points=np.array([[1, 2], None], dtype=object)), "points", "object"),
    "npz without points": (npz(coordinates=np.zeros((3, 2))), "points", "coordinates"),
    "npz of text": (npz(points=np.array([["a", "b"]])), "points", "instead of numbers"),
    "npz of complex": (npz(points=np.zeros((3, 2), complex)), "points", "instead of numbers"),
    "npz of one dimension": (npz(points=np.zeros(6)), "points", "shape"),
    "npz of clouds as points": (npz(points=np.zeros((2, 5, 3))), "points", "set of clouds"),
    "npz empty": (npz(points=np.zeros((0, 3))), "points", "no points"),
    "npz with unequal weights": (npz(points=np.zeros((4, 3)), weights=np.ones(3)), "points", "weights"),
    "npz cut": (npz(points=np.random.default_rng(0).random((90, 3)))[:-300], "points", "damaged"),
    "npz with a damaged entry": (
        npz(points=np.random.default_rng(0).random((900, 3))).replace(b"\x00\x00\x00", b"\x01\x02\x03"),
        "points",
        "",
    ),
    "npz header of gigabytes": (npy_entry(struct.pack("<I", 2**32 - 1) + b" " * 99), "points", "damaged"),
    "npz header of junk": (npy_entry(b"\xff" * 40, b"\x01\x00"), "points", "damaged"),
    "npz of negative shape": (
        npy_entry(b"\x39\x00{'descr': '<f8', 'fortran_order': False, 'shape': (-1,2)}\n", b"\x01\x00"),
        "points",
        "",
    ),
    # class averages
    "SPIDER cut": (SPIDER[:-9], "averages", "ends early"),
    "SPIDER volume": (spider_bytes(bumpy((1, 8, 8)), w5=3.0), "averages", "volume"),
    "dataset cut": (DATASET[:-9], "averages", "ends early"),
    "dataset without its stack": (DATASET, "averages", "a.mrc"),
    "classes without their stack": (CLASSES.encode(), "averages", "c.mrcs"),
    "classes in 3D": (
        table("model_classes", ("rlnReferenceImage", "rlnClassDistribution"), "a.mrc 1", "b.mrc 0").encode(),
        "averages",
        "3D",
    ),
    "classes with a short row": (
        table("", ("rlnReferenceImage", "rlnClassDistribution"), "1@c.mrcs 1", "2@c.mrcs").encode(),
        "averages",
        "Row 2",
    ),
    "2D points with NaN": (npz(a=np.zeros((9, 2)), b=np.full((9, 2), np.nan)), "averages", "not finite"),
    "2D points of no size": (npz(a=np.zeros((9, 2)), b=np.ones((9, 2))), "averages", "can't be pixels"),
    "a structure": (PDB.encode(), "averages", "no file of class averages"),
    # anything
    "empty file": (b"", "summary", "empty"),
    "blank file": (b"\n \n\t\n", "summary", "empty"),
    "empty gzip": (gzip.compress(b""), "summary", "empty"),
    "prose": (b"Dear colleague,\nhere is my data.\n", "summary", "nothing that Verglas knows"),
    "unknown binary": (bytes([0, 1, 2, 3] * 500), "summary", "binary file"),
    "TOML that is no run": (b'name = "x"\n', "summary", "nothing that Verglas knows"),
    "run description with a typo": (b'kind = "dps"\nsampels = 3\n', "summary", "sampels"),
    "run description cut": (b'kind = "dps"\nsamples = \n', "summary", ""),
    "JSON run cut": (b'{"kind": "dps", "samples": ', "summary", ""),
    "weights cut in the header": (struct.pack("<Q", 500) + b'{"w":', "summary", "damaged"),
    "weights cut in the data": (
        (lambda h: struct.pack("<Q", len(h)) + h)(
            json.dumps({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}).encode()
        ),
        "summary",
        "ends early",
    ),
}  # fmt: skip


GOOD: dict[str, tuple[bytes, str]] = {
    "map": (MAP, "volume"),
    "stack": (mrc_bytes(bumpy((3, 8, 8)), ispg=0), "images"),
    "pdb": (PDB.encode(), "structure"),
    "star": (STAR.encode(), "poses"),
    "spider": (SPIDER, "averages"),
    "point sets": (
        npz(**{str(i): 20 * np.random.default_rng(i).random((9, 2)) for i in range(3)}),
        "averages",
    ),
    "csv": (b"x,y,weight\n1.0,2.0,1\n3.0,4.0,1\n", "points"),
    "npz": (npz(points=np.random.default_rng(0).random((20, 3)), weights=np.ones(20)), "points"),
    "gzip": (gzip.compress(PDB.encode()), "structure"),
}


def bombs(folder: Path) -> dict[str, tuple[str, Path]]:
    """Small files that promise or hold gigabytes."""
    # gzip members may follow each other: 64 MiB of zeros, 64 times.
    zeros = gzip.compress(bytes(64 << 20), 9) * 64
    lines = gzip.compress(PDB.encode() * 20_000, 9)
    rows = gzip.compress(b"1 2 3\n" * 10_000_000, 9)
    poses = gzip.compress(table("particles", ANGLES).encode() + b"1 2 3\n" * 5_000_000, 9)
    small = mrc_bytes(bumpy((8, 8, 8)))
    large = mrc_bytes(bumpy((8, 8, 8)), nx=1000, ny=1000, nz=1000)
    files = {
        "small map, then zeros": ("volume", gzip.compress(small) + zeros),
        "large map, zeros end early": ("volume", gzip.compress(large)),
        "large plain map of a kilobyte": ("volume", large),
        "extended header of gigabytes": ("volume", mrc_bytes(bumpy((8, 8, 8)), nsymbt=2**31 - 1)),
        "structure": ("structure", lines),
        "structure of zeros": ("structure", zeros),
        "points": ("points", rows),
        "poses": ("poses", poses),
        "npz": ("points", npy_entry(struct.pack("<I", 2**31) + bytes(64 << 20))),
        "npz with too many points": ("points", npz(points=np.zeros((1_100_000, 3), np.float32))),
    }
    for name, (_, content) in files.items():
        (folder / name).write_bytes(content)
        assert len(content) < 5 << 20
    return {name: (reader, folder / name) for name, (reader, _) in files.items()}
