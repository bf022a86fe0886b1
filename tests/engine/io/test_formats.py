from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.ensemble import write_ensemble
from engine.io.formats import summarise
from engine.io.mrc import write_images, write_volume
from engine.io.points import write_points
from engine.io.star import write_poses
from engine.types import Ensemble, Frame, ImageStack, PointCloud, Volume
from tests.engine.io.test_mrc import bumpy, mrc_bytes
from tests.engine.io.test_star import ANGLES, some_poses, table
from tests.engine.io.test_structure import residue_chain


def make(kind: str, path: Path) -> None:
    rng = np.random.default_rng(0)
    if kind == "structure":
        path.write_text(residue_chain("A", (0, 0, 0)) + residue_chain("B", (40, 0, 0)))
    elif kind == "volume":
        write_volume(path.with_suffix(".mrc"), Volume(bumpy((8, 8, 8)), (2.0, 2.0, 2.0)))
        path.with_suffix(".mrc").rename(path)
    elif kind == "images":
        write_images(path.with_suffix(".mrcs"), ImageStack(bumpy((3, 8, 8)), 2.0))
        path.with_suffix(".mrcs").rename(path)
    elif kind == "poses":
        write_poses(path, some_poses(4), box=8)
    elif kind in ("points2d", "points3d"):
        dimensions = int(kind[-2])
        write_points(path.with_suffix(".csv"), PointCloud(rng.random((7, dimensions))))
        path.with_suffix(".csv").rename(path)
    elif kind == "clouds":
        with open(path, "wb") as handle:
            np.savez(handle, points=rng.random((3, 20, 3)).astype(np.float16))
    elif kind == "prior":
        card = json.dumps({"architecture": "kernel", "points": 1024})
        header = {
            "__metadata__": {"card": card},
            "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        }
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(24))
    elif kind == "spec":
        path.write_text(
            'kind = "dps"\ntitle = "My run"\n[[observations]]\nkind = "coarse_map"\nfile = "map.mrc"\n'
        )
    elif kind == "ensemble":
        points = rng.random((2, 64, 3)).astype(np.float32)
        ensemble = Ensemble(
            points, "posterior", Frame((0, 0, 0), 10.0), np.zeros((2, 0), np.float32), (), np.arange(2)
        )
        with open(path, "wb"):
            write_ensemble(path, ensemble)


EXPECTED = {
    "structure": "24 heavy atoms",
    "volume": "8 × 8 × 8 voxels",
    "images": "3 images of 8 × 8 pixels",
    "poses": "4 poses",
    "points2d": "7 points",
    "points3d": "7 points",
    "clouds": "3 clouds of 20 points",
    "prior": "6 parameters",
    "spec": "Reconstruction from 1 observation",
    "ensemble": "2 posterior samples of 64 points",
}


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_kinds_are_recognised_by_content_not_by_suffix(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file.unknown"
    make(kind, path)
    summary = summarise(path)
    assert summary.kind == kind
    assert any(EXPECTED[kind] in line for line in summary.lines)
    assert summary.title
    assert not summary.needs_pixel_size


@pytest.mark.parametrize("kind", ["structure", "volume", "images", "poses", "points2d"])
def test_gzipped_files_are_recognised_too(tmp_path: Path, kind: str) -> None:
    plain, packed = tmp_path / "file", tmp_path / "file.packed"
    make(kind, plain)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert summarise(packed).kind == kind
    assert summarise(packed).lines == summarise(plain).lines


@pytest.mark.parametrize("name", ["v.mrc", "s.mrcs"])
@pytest.mark.parametrize("cell", [(0, 0, 0), (1e9, 1e9, 1e9), (np.nan, 1, 1), (-5, -5, -5)])
def test_missing_and_impossible_pixel_sizes_are_asked_for(
    tmp_path: Path, name: str, cell: tuple[float, float, float]
) -> None:
    path = tmp_path / name
    path.write_bytes(mrc_bytes(bumpy((8, 8, 8)), cella=cell))
    assert summarise(path).needs_pixel_size
    given = summarise(path, pixel_size_A=2.0)
    assert not given.needs_pixel_size
    assert any("size 2 Å, box 16" in line for line in given.lines)


def test_pixel_shifts_without_a_pixel_size_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "p.star"
    path.write_text(table("", (*ANGLES, "rlnOriginX", "rlnOriginY"), "1 2 3 1 0"))
    assert summarise(path).needs_pixel_size
    assert not summarise(path, pixel_size_A=2.0).needs_pixel_size


def test_exactly_one_angstrom_is_doubted(tmp_path: Path) -> None:
    path = tmp_path / "v.mrc"
    path.write_bytes(mrc_bytes(bumpy((8, 8, 8)), cella=(8.0, 8.0, 8.0)))
    summary = summarise(path)
    assert not summary.needs_pixel_size
    assert any("check it" in n for n in summary.notes)


def test_a_truncated_map_is_noticed_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "v.mrc"
    path.write_bytes(mrc_bytes(bumpy((8, 8, 8)))[:-1])
    with pytest.raises(InputError, match="ends early"):
        summarise(path)


def test_a_bad_spec_says_what_is_wrong_in_it(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('kind = "dps"\nsampels = 3\n')
    with pytest.raises(InputError, match="sampels"):
        summarise(path)


def test_readers_do_not_import_torch() -> None:
    code = "import sys, engine.io.formats; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
