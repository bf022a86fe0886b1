from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.io.structure import read_structure
from engine.numerics.mixtures import split_atoms
from engine.pipelines.cloud_from_structure import (
    BuiltCloud,
    Rejection,
    build_one,
    dense_atoms,
    read_result,
    write_result,
)
from engine.pipelines.cloud_splits import split_clusters
from engine.specs.clouds import CloudSettings
from tests.engine.pipelines.structure_files import blob, entry_header, pdb_text

SETTINGS = CloudSettings(points=64)


def built(path: Path, text: str, **settings: object) -> BuiltCloud:
    path.write_text(text)
    result = build_one(path, CloudSettings(**({"points": 64} | settings)))  # type: ignore[arg-type]
    assert isinstance(result, BuiltCloud), result
    return result


def refused(path: Path, text: str, **settings: object) -> str:
    path.write_text(text)
    result = build_one(path, CloudSettings(**({"points": 64} | settings)))  # type: ignore[arg-type]
    assert isinstance(result, Rejection)
    assert result.kind == "unsuitable"
    return result.problem


def test_one_atom_per_residue_becomes_as_dense_as_a_full_model(tmp_path: Path) -> None:
    coarse = blob(0) * (3.8 / 1.6)
    header = entry_header("1A00", "Coarse")
    made = built(tmp_path / "ca.pdb", pdb_text(coarse, header=header, element="C", name="CA"))
    assert (made.source, made.deposited, made.atoms) == ("ca", True, 8 * 130)
    structure = read_structure(tmp_path / "ca.pdb")
    dense, chains, is_coarse = dense_atoms(structure, 0)
    np.testing.assert_array_equal(dense, split_atoms(np.asarray(structure.coords_A), seed=0))
    assert len(chains) == is_coarse.sum() == len(dense)

    # a full chain beside it stays as it is; which is more decides the source
    both = pdb_text(blob(1, 400), coarse + [25, 0, 0], element="C", name="CA")
    made = built(tmp_path / "both.pdb", both)
    assert (made.source, made.atoms) == ("ca", 400 + 8 * 130)
    assert built(tmp_path / "full.pdb", pdb_text(blob(1, 400), element="C", name="CA")).source == "model"


def test_parts_that_do_not_touch(tmp_path: Path) -> None:
    whole, small = blob(2, 300), blob(3, 10)
    apart = pdb_text(whole, blob(3, 150) + [80, 0, 0])
    assert "2 parts" in refused(tmp_path / "a.pdb", apart)
    alone = built(tmp_path / "w.pdb", pdb_text(whole))
    largest = built(tmp_path / "a.pdb", apart, fragments="largest")
    assert (largest.atoms, largest.chains) == (300, 1)
    np.testing.assert_array_equal(largest.points, alone.points)
    assert built(tmp_path / "a.pdb", apart, fragments="keep").atoms == 450
    assert built(tmp_path / "a.pdb", apart, contact_A=100).atoms == 450
    stray = built(tmp_path / "s.pdb", pdb_text(whole, small + [80, 0, 0]))  # 3 %: an ion or a ligand
    assert (stray.atoms, stray.scale_A) == (300, alone.scale_A)
    assert "2 parts" in refused(tmp_path / "s.pdb", pdb_text(whole, small + [80, 0, 0]), fragment_share=0.01)


def test_limits_of_size_and_chains(tmp_path: Path) -> None:
    text = pdb_text(blob(4), blob(4) + [8, 0, 0])
    assert "2 chains, fewer than the 3" in refused(tmp_path / "a.pdb", text, min_chains=3)
    assert "2 chains, more than the 1" in refused(tmp_path / "a.pdb", text, max_chains=1)
    assert "260 heavy atoms, fewer than the 261" in refused(tmp_path / "a.pdb", text, min_atoms=261)
    assert "260 heavy atoms, more than the 259" in refused(tmp_path / "a.pdb", text, max_atoms=259)
    assert (
        built(tmp_path / "a.pdb", text, min_atoms=260, max_atoms=260, min_chains=2, max_chains=2).chains == 2
    )


def test_both_methods_describe_the_same_object(tmp_path: Path) -> None:
    text = pdb_text(blob(5, 500))
    a, b = (built(tmp_path / "a.pdb", text, method=method) for method in ("kmeans", "mixture"))
    assert not np.array_equal(a.points, b.points)
    assert b.rg_A == pytest.approx(a.rg_A, rel=0.05)
    assert b.scale_A == pytest.approx(a.scale_A, rel=0.15)


def test_results_are_kept_and_damaged_ones_are_not_believed(tmp_path: Path) -> None:
    made = built(tmp_path / "a.pdb", pdb_text(blob(6), header=entry_header("1A00", 'Ä, "b"\n')))
    kept = tmp_path / "kept.npz"
    write_result(kept, made)
    back = read_result(kept, SETTINGS)
    assert isinstance(back, BuiltCloud)
    np.testing.assert_array_equal(back.points, made.points)
    assert (back.title, back.sha256, back.scale_A) == (made.title, made.sha256, made.scale_A)
    assert read_result(kept, CloudSettings(points=65)) is None
    content = kept.read_bytes()
    for damage in (
        b"",
        content[: len(content) // 2],
        content[:200] + bytes(200) + content[400:],
        b"PK\x03\x04",
    ):
        kept.write_bytes(damage)
        assert read_result(kept, SETTINGS) is None
    rejection = Rejection("timed out", "It takes too long.", "Wait.")
    write_result(kept, rejection)
    assert read_result(kept, SETTINGS) == rejection
    assert read_result(tmp_path / "missing.npz", SETTINGS) is None


def test_splits_hold_whole_clusters_and_meet_their_shares() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(300), rng.integers(1, 6, 300))
    clusters = rng.permutation(np.concatenate([clusters, np.full(80, 300)]))  # one large family
    split = split_clusters(clusters, (0.8, 0.1, 0.1), seed=3)
    for number in np.unique(clusters):
        assert len(set(split[clusters == number].tolist())) == 1
    for name, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert (split == name).mean() == pytest.approx(share, abs=0.01)
    sizes = np.bincount(clusters)
    assert (sizes[clusters[split == "val"]] > 1).any()  # not singletons only
    np.testing.assert_array_equal(split, split_clusters(clusters, (0.8, 0.1, 0.1), seed=3))
    assert (split != split_clusters(clusters, (0.8, 0.1, 0.1), seed=4)).any()
    few = split_clusters(np.array([0, 0, 0, 1, 2]), (0.9, 0.05, 0.05), seed=0)
    assert set(few.tolist()) == {"train", "val", "test"}
