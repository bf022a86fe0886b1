"""Gaussians as files: the same when read back, and pseudo-atoms that gemmi reads."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from engine.errors import InputError
from engine.io.npz_results import write_arrays
from engine.io.pseudo_atoms import (
    GaussianCloud,
    b_factors,
    export_pseudo_atoms,
    read_gaussians,
    write_gaussians,
)


def _cloud(count: int = 40, width: float = 2.0) -> GaussianCloud:
    rng = np.random.default_rng(1)
    axes = rng.normal(size=(count, 3, 3)) * width / np.sqrt(3)
    return GaussianCloud(
        rng.normal(size=(count, 3)) * 40, rng.uniform(0.05, 5, count), axes @ axes.transpose(0, 2, 1)
    )


def _atoms(path: Path) -> list[gemmi.Atom]:
    return [found.atom for found in gemmi.read_structure(str(path))[0].all()]


def _tensor(atom: gemmi.Atom) -> np.ndarray:
    return np.array(atom.aniso.as_mat33().tolist())


def test_arrays_come_back(tmp_path: Path) -> None:
    cloud = _cloud()
    again = read_gaussians(write_gaussians(tmp_path / "gaussians.npz", cloud))
    for name in ("positions_A", "weights", "covariances_A2"):
        np.testing.assert_allclose(getattr(again, name), getattr(cloud, name), rtol=1e-6)


@pytest.mark.parametrize("name", ["g.cif", "g.pdb", "g.cif.gz", "g.PDB"])
def test_pseudo_atoms_hold_places_widths_and_masses(tmp_path: Path, name: str) -> None:
    cloud = _cloud(width=1.5)
    source = write_gaussians(tmp_path / "gaussians.npz", cloud)
    assert export_pseudo_atoms(source, tmp_path / name) == tmp_path / name
    atoms = _atoms(tmp_path / name)
    np.testing.assert_allclose([a.pos.tolist() for a in atoms], cloud.positions_A, atol=1e-3)
    variance = np.trace(cloud.covariances_A2, axis1=1, axis2=2) / 3
    np.testing.assert_allclose([a.b_iso for a in atoms], 8 * np.pi**2 * variance, atol=0.01)
    np.testing.assert_allclose([a.occ for a in atoms], cloud.weights / cloud.weights.max(), atol=0.006)
    np.testing.assert_allclose([_tensor(a) for a in atoms], cloud.covariances_A2, rtol=1e-4, atol=1e-4)


def test_wide_ones_fit_into_a_pdb_file_and_it_says_so(tmp_path: Path) -> None:
    """Tensors become smaller as a whole: they stay tensors, with the same axes."""
    cloud = _cloud(width=25.0)
    source = write_gaussians(tmp_path / "gaussians.npz", cloud)
    text = export_pseudo_atoms(source, tmp_path / "g.pdb").read_text()
    assert f"{(b_factors(cloud) > 999.99).sum()} OF 40 B-FACTORS EXCEED" in text
    assert "TENSORS DO NOT FIT" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    for atom, wanted in zip(_atoms(tmp_path / "g.pdb"), cloud.covariances_A2, strict=True):
        assert atom.b_iso <= 999.99
        tensor = _tensor(atom)
        assert np.linalg.eigvalsh(tensor)[0] > -0.01
        assert (tensor * wanted).sum() / np.linalg.norm(tensor) / np.linalg.norm(wanted) > 0.9999
    large = _atoms(export_pseudo_atoms(source, tmp_path / "g.cif"))
    np.testing.assert_allclose([a.b_iso for a in large], b_factors(cloud), rtol=1e-4)
    np.testing.assert_allclose([_tensor(a) for a in large], cloud.covariances_A2, rtol=1e-3, atol=0.01)


def test_bad_files_are_named(tmp_path: Path) -> None:
    cloud = _cloud(5)
    good = {
        "positions_A": cloud.positions_A,
        "weights": cloud.weights,
        "covariances_A2": cloud.covariances_A2,
    }
    bad = {
        "lacks weights": {k: v for k, v in good.items() if k != "weights"},
        "fit together": {**good, "weights": cloud.weights[:3]},
        "not finite": {**good, "weights": cloud.weights * np.nan},
        "must be positive": {**good, "weights": -cloud.weights},
        "covariances": {**good, "covariances_A2": -cloud.covariances_A2},
        "no Gaussians": {name: values[:0] for name, values in good.items()},
    }
    for number, (words, arrays) in enumerate(bad.items()):
        path = write_arrays(tmp_path / f"{number}.npz", arrays)
        with pytest.raises(InputError, match=words) as caught:
            read_gaussians(path)
        assert caught.value.path == path
    with pytest.raises(InputError, match="no such file"):
        read_gaussians(tmp_path / "missing.npz")
    with pytest.raises(InputError, match="written as"):
        export_pseudo_atoms(tmp_path / "0.npz", tmp_path / "g.xyz")
    far = GaussianCloud(cloud.positions_A + 2e4, cloud.weights, cloud.covariances_A2)
    with pytest.raises(InputError, match="mmCIF"):
        export_pseudo_atoms(write_gaussians(tmp_path / "far.npz", far), tmp_path / "far.pdb")
