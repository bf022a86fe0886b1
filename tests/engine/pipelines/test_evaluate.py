"""Evaluation: the same figures from every kind of truth, ready for JSON and for people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.forward.gaussians import splat_volume
from engine.io.mrc import write_volume
from engine.pipelines.evaluate import evaluate, format_table
from engine.types import Ensemble, Frame, PointCloud, Structure, Volume

POINTS = 96
SCALE = 60.0
MEASURES = {"chamfer", "emd", "chamfer_A", "emd_A", "rmsd_points_A", "rmsd_points_unaligned_A", "energy"}


@pytest.fixture(scope="module")
def atoms() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(7, 3)) * [25, 18, 12]
    return centres[rng.integers(0, 7, 1500)] + rng.normal(size=(1500, 3)) * 6 + [100, 0, -40]


@pytest.fixture(scope="module")
def ensemble(atoms: np.ndarray) -> Ensemble:
    rng = np.random.default_rng(1)
    points = np.stack([rng.choice(atoms, POINTS, replace=False) for _ in range(3)])
    energies = np.array([[0.001, 0.003], [0.002, 0.004], [0.003, 0.005]], np.float32)
    frame = Frame((100.0, 0.0, -40.0), SCALE)
    return Ensemble(
        points.astype(np.float32), "posterior", frame, energies, ("view 1", "view 2"), np.arange(3)
    )


@pytest.fixture(scope="module")
def files(atoms: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("truths")
    np.savez(folder / "atoms.npz", coords=atoms.astype(np.float32), z=np.full(len(atoms), 6, np.int16))
    lines = [
        f"ATOM  {i % 100000:5d}  CA  GLY A{i % 10000:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        for i, (x, y, z) in enumerate(atoms, 1)
    ]
    (folder / "atoms.pdb").write_text("\n".join([*lines, "END", ""]))
    origin = tuple(float(x) for x in atoms.min(0) - 15)
    density = splat_volume(atoms, voxel_size_A=3.0, shape=(50, 50, 60), origin_A=origin, resolution_A=8.0)
    write_volume(folder / "map.mrc", Volume(density, (3.0, 3.0, 3.0), origin))
    np.savez(folder / "cloud.npz", points=atoms[:POINTS])
    return {p.name: p for p in folder.iterdir()}


@pytest.mark.parametrize(("name", "kind"), [("atoms.npz", "structure"), ("atoms.pdb", "structure"),
                                            ("map.mrc", "map"), ("cloud.npz", "points")])  # fmt: skip
def test_every_kind_of_truth(ensemble: Ensemble, files: dict[str, Path], name: str, kind: str) -> None:
    report = json.loads(json.dumps(evaluate(ensemble, files[name]), allow_nan=False))
    assert report["truth"]["kind"] == kind
    expected = MEASURES | ({"rmsd_atoms_A", "rmsd_atoms_unaligned_A"} if kind == "structure" else set())
    assert set(report["per_sample"]) == set(report["summary"]) == expected
    for measure, values in report["per_sample"].items():
        assert len(values) == 3
        assert report["summary"][measure]["mean"] == pytest.approx(np.mean(values))
        assert report["summary"][measure]["sd"] == pytest.approx(np.std(values, ddof=1))
    # points drawn from the object itself lie within it, in the right place
    assert report["summary"]["rmsd_points_unaligned_A"]["mean"] < 14
    assert report["fsc"]["resolution_0p5_A"] > 0
    table = format_table(report)
    assert f"{report['summary']['rmsd_points_A']['mean']:.2f} ±" in table
    assert name in table
    assert "Å" in table


def test_files_and_objects_agree(ensemble: Ensemble, atoms: np.ndarray, files: dict[str, Path]) -> None:
    from_file = evaluate(ensemble, files["atoms.npz"])
    coords = atoms.astype(np.float32).astype(np.float64)
    n = len(coords)
    structure = Structure(coords, np.full(n, 6, np.int16), np.zeros(n, np.int32), ("A",), np.full(n, 12.0))
    assert evaluate(ensemble, structure)["per_sample"] == from_file["per_sample"]
    cloud = evaluate(ensemble, PointCloud(atoms[:POINTS]))
    assert cloud["per_sample"] == evaluate(ensemble, atoms[:POINTS])["per_sample"]
    assert cloud["per_sample"] == evaluate(ensemble, files["cloud.npz"])["per_sample"]


def test_units(ensemble: Ensemble, atoms: np.ndarray) -> None:
    per_sample = evaluate(ensemble, atoms[:POINTS])["per_sample"]
    assert np.allclose(per_sample["chamfer_A"], SCALE * np.array(per_sample["chamfer"]))
    assert np.allclose(per_sample["emd_A"], SCALE * np.array(per_sample["emd"]))
    assert np.allclose(per_sample["energy"], [0.002, 0.003, 0.004])


def test_a_perfect_answer(ensemble: Ensemble, atoms: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    points = np.stack([rng.permutation(atoms[:POINTS]) for _ in range(2)]).astype(np.float32)
    perfect = Ensemble(points, "optimum", ensemble.frame, np.zeros((2, 0), np.float32), (), np.arange(2))
    report = evaluate(perfect, atoms[:POINTS])
    for measure in ("chamfer_A", "emd_A", "rmsd_points_unaligned_A", "rmsd_points_A"):
        assert report["summary"][measure]["mean"] < 0.5
    assert report["spread"]["max_A"] < 1e-3
    assert report["fsc"]["resolution_0p5_A"] is None
    assert "energy" not in report["summary"]
    assert "beyond" in format_table(report)


def test_without_truth(ensemble: Ensemble) -> None:
    report = evaluate(ensemble, None)
    assert report["truth"] is None
    assert set(report["summary"]) == {"energy"}
    assert len(report["spread"]["per_point_A"]) == POINTS
    assert report["energies"]["names"] == ["view 1", "view 2"]
    assert "fsc" not in report
    assert "accuracy is unknown" in format_table(report)


def test_one_sample_has_no_spread(ensemble: Ensemble, atoms: np.ndarray) -> None:
    one = Ensemble(
        ensemble.points_A[:1],
        "posterior",
        ensemble.frame,
        ensemble.energies[:1],
        ("a", "b"),
        np.zeros(1, np.int64),
    )
    report = json.loads(json.dumps(evaluate(one, atoms[:POINTS]), allow_nan=False))
    assert report["summary"]["emd"]["sd"] is None
    assert report["spread"]["max_A"] == 0
    table = format_table(report)
    assert "±" not in table
    assert "Spread" not in table


def test_deterministic(ensemble: Ensemble, files: dict[str, Path]) -> None:
    assert evaluate(ensemble, files["atoms.npz"]) == evaluate(ensemble, files["atoms.npz"])


def test_coarse_models_are_spread(ensemble: Ensemble, atoms: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "ca.npz", coords=atoms[:60])
    report = evaluate(ensemble, tmp_path / "ca.npz")
    assert "only 60 atoms" in report["truth"]["notes"][0]
    assert "only 60 atoms" in format_table(report)


def test_a_map_whose_fsc_is_impossible_still_counts(ensemble: Ensemble, atoms: np.ndarray) -> None:
    origin = tuple(float(x) for x in atoms.min(0) - 15)
    density = splat_volume(atoms, voxel_size_A=3.0, shape=(50, 50, 60), origin_A=origin, resolution_A=8.0)
    report = evaluate(ensemble, Volume(density, (3.0, 3.0, 3.3), origin))
    assert "not cubes" in report["fsc"]["problem"]
    assert report["summary"]["emd"]["mean"] > 0
    assert "not cubes" in format_table(report)


def test_unusable_input(ensemble: Ensemble, atoms: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        evaluate(ensemble, tmp_path / "missing.pdb")
    np.savez(tmp_path / "flat.npz", coords=atoms[:, :2])
    np.savez(tmp_path / "nan.npz", coords=np.full((200, 3), np.nan))
    np.savez(tmp_path / "other.npz", stuff=atoms)
    np.savez(tmp_path / "many.npz", points=np.zeros((2, POINTS, 3)))
    for name in ("flat", "nan", "other", "many"):
        with pytest.raises(InputError) as caught:
            evaluate(ensemble, tmp_path / f"{name}.npz")
        assert caught.value.path == tmp_path / f"{name}.npz"
    (tmp_path / "cut.npz").write_bytes((tmp_path / "nan.npz").read_bytes()[:300])
    with pytest.raises(InputError):
        evaluate(ensemble, tmp_path / "cut.npz")
    with pytest.raises(InputError, match="one set of 3D points"):
        evaluate(ensemble, atoms[:, :2])
    with pytest.raises(InputError, match="voxel size"):
        evaluate(ensemble, Volume(np.random.default_rng(0).random((8, 8, 8), np.float32), (0.0, 0.0, 0.0)))
    broken = Ensemble(
        np.full((1, POINTS, 3), np.nan, np.float32),
        "posterior",
        ensemble.frame,
        ensemble.energies[:1],
        (),
        np.zeros(1, np.int64),
    )
    with pytest.raises(InputError, match="not finite"):
        evaluate(broken, None)
