"""Exports open elsewhere: read back with gemmi and mrcfile, and with our own readers."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest

from engine.errors import InputError, VerglasError
from engine.io.export import FORMATS, export_ensemble, mean_map, typical_distance_A
from engine.io.mrc import read_volume
from engine.io.point_values import PointValues, b_factor, read_point_values
from engine.io.structure import read_structure
from engine.types import Ensemble, Frame

CENTRE = np.array([120.0, -35.5, 410.25])


def _ensemble(samples: int = 3, points: int = 300, radius: float = 40.0) -> Ensemble:
    rng = np.random.default_rng(0)
    base = rng.uniform(-radius, radius, (1, points, 3)) + CENTRE
    return Ensemble(
        points_A=(base + rng.normal(size=(samples, points, 3))).astype(np.float32),
        kind="posterior",
        frame=Frame((0.0, 0.0, 0.0), 1.0),
        energies=np.zeros((samples, 1), np.float32),
        observation_names=("view 1",),
        seeds=np.arange(samples, dtype=np.int64) + 10,
    )


def _spread(points: int) -> np.ndarray:
    return np.linspace(0.0, 9.0, points)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, gemmi.Structure]:
    structure = gemmi.read_structure(str(path))
    atoms = [[cra.atom for cra in model.all()] for model in structure]
    coords = np.array([[a.pos.tolist() for a in model] for model in atoms])
    return coords, np.array([[a.b_iso for a in model] for model in atoms]), structure


@pytest.mark.parametrize("format", ["mmcif", "pdb"])
@pytest.mark.parametrize("points", [1024, 4096])
def test_models_coordinates_and_b_factors_come_back(tmp_path: Path, format: str, points: int) -> None:
    ensemble, spread = _ensemble(3, points), _spread(points)
    path = tmp_path / f"e{FORMATS[format][0]}"
    assert export_ensemble(ensemble, path, format, values=PointValues(spread=spread)) == [path]
    coords, b, structure = _read(path)
    np.testing.assert_allclose(coords, ensemble.points_A, atol=1e-3)
    expected = b_factor(spread)
    if format == "pdb":
        assert expected.max() > 999.99
        expected = np.minimum(expected, 999.99)
    np.testing.assert_allclose(b, np.tile(expected, (3, 1)), atol=0.006)
    for model in structure:
        residues = [r for chain in model for r in chain]
        assert len(residues) == points
        assert len({(r.subchain, r.seqid.num) for r in residues}) == points
        assert {(r.name, r.het_flag, len(r)) for r in residues} == {("UNL", "H", 1)}
        assert {(r[0].name, r[0].element.name) for r in residues} == {("CA", "C")}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_cut_b_factors_are_said_in_the_file_and_whole_in_mmcif(tmp_path: Path) -> None:
    ensemble, spread = _ensemble(2, 10), np.full(10, 8.0)
    export_ensemble(ensemble, tmp_path / "e.pdb", "pdb", values=PointValues(spread=spread))
    text = (tmp_path / "e.pdb").read_text()
    assert "10 OF 10 B-FACTORS EXCEED" in text
    assert {len(line) for line in text.splitlines()} == {80}
    export_ensemble(ensemble, tmp_path / "e.cif", "mmcif", values=PointValues(spread=spread))
    assert _read(tmp_path / "e.cif")[1] == pytest.approx(8 * np.pi**2 / 3 * 64, abs=0.01)
    export_ensemble(ensemble, tmp_path / "small.pdb", "pdb")
    assert "EXCEED" not in (tmp_path / "small.pdb").read_text()


def test_b_factor_is_that_of_an_isotropic_gaussian() -> None:
    """B = 8 pi^2 <u_x^2>, and a three-dimensional RMS deviation s has <u_x^2> = s^2 / 3."""
    moves = np.random.default_rng(2).normal(scale=1.7, size=(200_000, 3))
    s = np.sqrt((moves**2).sum(1).mean())
    assert b_factor(np.array([s]))[0] == pytest.approx(8 * np.pi**2 * 1.7**2, rel=0.01)


@pytest.mark.parametrize("points", [10_500, 100_200])
def test_beyond_the_residues_and_atoms_of_pdb(tmp_path: Path, points: int) -> None:
    ensemble = _ensemble(1, points, radius=300.0)
    for format in ("pdb", "mmcif"):
        path = tmp_path / f"e{FORMATS[format][0]}"
        export_ensemble(ensemble, path, format)
        coords, _, structure = _read(path)
        np.testing.assert_allclose(coords, ensemble.points_A, atol=1e-3)
        numbers = [(chain.name, r.seqid.num) for chain in structure[0] for r in chain]
        assert len(set(numbers)) == points
        assert max(n for _, n in numbers) <= 9999


@pytest.mark.parametrize("offset", [20_000.0, -5_000.0])
def test_coordinates_that_no_pdb_line_can_hold_are_refused_with_advice(tmp_path: Path, offset: float) -> None:
    ensemble = _ensemble(2, 20)
    far = Ensemble(**{**vars(ensemble), "points_A": ensemble.points_A + np.float32(offset)})
    with pytest.raises(InputError, match="mmCIF"):
        export_ensemble(far, tmp_path / "e.pdb", "pdb")
    assert not list(tmp_path.iterdir())
    export_ensemble(far, tmp_path / "e.cif", "mmcif")
    np.testing.assert_allclose(_read(tmp_path / "e.cif")[0], far.points_A, atol=2e-3)


@pytest.mark.parametrize("sizes", [(None, None), (9.0, 3.0), (12.0, 2.5)])
def test_map_lies_over_the_points(tmp_path: Path, sizes: tuple[float | None, float | None]) -> None:
    ensemble = _ensemble(4, 200)
    path = tmp_path / "e.mrc"
    export_ensemble(ensemble, path, "mrc", resolution_A=sizes[0], voxel_size_A=sizes[1])
    assert mrcfile.validate(str(path))
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume()
        assert bytes(mrc.header.machst[:2]) in (b"DD", b"DA")
        density = np.array(mrc.data)
        voxel = np.array([float(mrc.voxel_size[axis]) for axis in "xyz"])
        origin = np.array([float(mrc.header.origin[axis]) for axis in "xyz"])
    if sizes[1]:
        np.testing.assert_allclose(voxel, sizes[1], rtol=1e-6)
    assert len(set(density.shape)) == 1
    assert density.shape[0] % 2 == 0
    mass = density.sum(dtype=float)
    z, y, x = (np.arange(n) for n in density.shape)
    index = np.array([density.sum((0, 1)) @ x, density.sum((0, 2)) @ y, density.sum((1, 2)) @ z]) / mass
    centroid = origin + index * voxel
    np.testing.assert_allclose(centroid, ensemble.points_A.reshape(-1, 3).mean(0), atol=0.1 * voxel[0])
    # Points per Å³: the whole map holds the points of one sample, none cut off at the edge.
    assert mass * voxel.prod() == pytest.approx(200, rel=1e-4)
    back = read_volume(path)
    np.testing.assert_allclose(back.origin_A, origin, rtol=1e-5)


def test_map_peaks_where_a_lone_point_is() -> None:
    volume = mean_map(np.array([[[10.0, -20.0, 35.0]]]), resolution_A=6.0, voxel_size_A=1.5)
    z, y, x = np.unravel_index(volume.density.argmax(), volume.density.shape)
    position = np.array(volume.origin_A) + np.array([x, y, z]) * np.array(volume.voxel_size_A)
    np.testing.assert_allclose(position, [10.0, -20.0, 35.0], atol=1e-4)


@pytest.mark.parametrize(
    ("resolution", "voxel", "words"),
    [
        (0.0, 1.0, "positive"),
        (6.0, -1.0, "positive"),
        (6.0, 4.0, "can't show"),
        (float("nan"), 1.0, "positive"),
    ],
)
def test_maps_that_make_no_sense_are_refused(
    tmp_path: Path, resolution: float, voxel: float, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        export_ensemble(
            _ensemble(1, 20), tmp_path / "e.mrc", "mrc", resolution_A=resolution, voxel_size_A=voxel
        )


def test_a_map_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="voxels along a side"):
        export_ensemble(
            _ensemble(1, 20, 4000.0), tmp_path / "e.mrc", "mrc", resolution_A=4.0, voxel_size_A=1.0
        )


def test_csv_has_every_point_once(tmp_path: Path) -> None:
    ensemble, spread = _ensemble(2, 7), _spread(7)
    path = tmp_path / "e.csv"
    export_ensemble(ensemble, path, "csv", values=PointValues(spread=spread))
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["sample", "point", "x", "y", "z", "spread"]
    table = np.array([[float(v) for v in row.values()] for row in rows])
    assert [tuple(r) for r in table[:, :2].astype(int)] == [(i, j) for i in (1, 2) for j in range(1, 8)]
    np.testing.assert_allclose(table[:, 2:5].reshape(2, 7, 3), ensemble.points_A, atol=1e-3)
    np.testing.assert_allclose(table[:, 5].reshape(2, 7), [spread, spread], atol=1e-3)


def test_command_file_names_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "my run" / "view it.cxc"
    written = export_ensemble(_ensemble(), path, "cxc", values=PointValues(spread=_spread(300)))
    assert [p.name for p in written] == ["view it.cif", "view it.mrc", "view it.cxc"]
    text = path.read_text()
    opened = re.findall(r'^open "([^"]+)"', text, re.MULTILINE)
    assert all((path.parent / name).exists() for name in opened)
    assert len(opened) == 2
    assert str(tmp_path) not in text
    assert "color bfactor" in text
    level = float(re.search(r"level (\S+)", text)[1])  # type: ignore[index]
    density = read_volume(path.with_suffix(".mrc")).density
    assert density[density >= level].sum() / density.sum() == pytest.approx(0.8, abs=0.02)
    assert len(_read(path.with_suffix(".cif"))[0]) == 3


def test_without_spread_the_command_file_colours_by_model(tmp_path: Path) -> None:
    export_ensemble(_ensemble(), tmp_path / "e.cxc", "cxc")
    assert "color bymodel" in (tmp_path / "e.cxc").read_text()


def test_seeds_and_kind_travel_in_the_mmcif(tmp_path: Path) -> None:
    export_ensemble(_ensemble(2, 5), tmp_path / "e.cif", "mmcif")
    block = gemmi.cif.read(str(tmp_path / "e.cif")).sole_block()
    assert block.find_value("_verglas_ensemble.kind") == "posterior"
    assert [list(row) for row in block.find("_verglas_sample.", ["pdbx_PDB_model_num", "seed"])] == [
        ["1", "10"],
        ["2", "11"],
    ]


def test_our_own_reader_opens_what_we_write(tmp_path: Path) -> None:
    ensemble = _ensemble(1, 50)
    for format in ("mmcif", "pdb"):
        path = tmp_path / f"e{FORMATS[format][0]}"
        export_ensemble(ensemble, path, format)
        np.testing.assert_allclose(read_structure(path).coords_A, ensemble.points_A[0], atol=1e-3)


def test_gz_means_gzip(tmp_path: Path) -> None:
    export_ensemble(_ensemble(1, 5), tmp_path / "e.cif.gz", "mmcif")
    assert gzip.decompress((tmp_path / "e.cif.gz").read_bytes()).startswith(b"data_verglas")


def test_nothing_half_written_and_nothing_meaningless(tmp_path: Path) -> None:
    good = _ensemble(1, 5)
    broken = Ensemble(**{**vars(good), "points_A": np.full((1, 5, 3), np.nan, np.float32)})
    with pytest.raises(InputError, match="finite"):
        export_ensemble(broken, tmp_path / "e.pdb", "pdb")
    with pytest.raises(InputError, match="Unknown export format"):
        export_ensemble(good, tmp_path / "e.xyz", "xyz")
    with pytest.raises(InputError, match="name of its own"):
        export_ensemble(good, tmp_path / "e.mrc", "cxc")
    with pytest.raises(InputError, match="spread"):
        export_ensemble(good, tmp_path / "e.pdb", "pdb", values=PointValues(spread=np.full(5, np.nan)))
    with pytest.raises(ValueError, match="shape"):
        export_ensemble(good, tmp_path / "e.pdb", "pdb", values=PointValues(spread=np.zeros(4)))
    with pytest.raises(VerglasError, match="written"):
        export_ensemble(good, Path("/dev/null/e.pdb"), "pdb")
    assert not list(tmp_path.iterdir())


def test_typical_distance_of_a_lattice() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), -1).reshape(-1, 3) * 3.5
    assert typical_distance_A(grid) == pytest.approx(3.5)


def _values(points: int) -> PointValues:
    rng = np.random.default_rng(4)
    return PointValues(rng.uniform(1, 5, points), rng.uniform(4, 40, points), rng.uniform(0, 1, points))


@pytest.mark.parametrize("format", ["mmcif", "pdb"])
@pytest.mark.parametrize(("kind", "factor"), [("error", 1.0), ("gauge", 100.0)])
def test_b_factors_hold_the_stated_error_in_angstrom_or_the_priors_share_in_per_cent(
    tmp_path: Path, format: str, kind: str, factor: float
) -> None:
    values = _values(300)
    path = tmp_path / f"e{FORMATS[format][0]}"
    export_ensemble(_ensemble(2), path, format, values=values, b_factors=kind)
    held = values.of(kind)
    assert held is not None
    np.testing.assert_allclose(_read(path)[1], np.tile(factor * held, (2, 1)), atol=0.006)
    text = path.read_text().upper()
    assert ("90 % PROBABILITY" if kind == "error" else "PER CENT OF THE FREEDOM") in text
    assert format != "pdb" or {len(line) for line in text.splitlines()} == {80}


def test_a_table_holds_whatever_is_known_of_each_point(tmp_path: Path) -> None:
    values = _values(300)
    export_ensemble(_ensemble(2), tmp_path / "e.csv", "csv", values=values)
    with (tmp_path / "e.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["sample", "point", "x", "y", "z", "spread", "error", "gauge"]
    for kind in values.kinds:
        np.testing.assert_allclose([float(r[kind]) for r in rows[:300]], values.of(kind), atol=6e-4)


def test_what_the_run_does_not_hold_is_refused_with_what_it_does(tmp_path: Path) -> None:
    only_spread = PointValues(spread=_spread(300))
    with pytest.raises(InputError, match="It has: spread"):
        export_ensemble(_ensemble(2), tmp_path / "e.cif", "mmcif", values=only_spread, b_factors="gauge")
    with pytest.raises(InputError, match="Choose one of"):
        export_ensemble(_ensemble(2), tmp_path / "e.cif", "mmcif", values=only_spread, b_factors="colour")
    assert not list(tmp_path.iterdir())


def test_values_beside_an_ensemble_are_read_and_foreign_ones_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "spread.npy", np.arange(5, dtype=np.float32))
    np.save(tmp_path / "error.npy", np.zeros(4, np.float32))  # of another ensemble
    (tmp_path / "gauge.npy").write_bytes(b"torn")
    found = read_point_values(tmp_path, 5)
    assert found.kinds == ["spread"]
    np.testing.assert_array_equal(found.spread, np.arange(5))
