"""Evaluation finds a truth however it lies, of either hand and on any grid, and says against what."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import affine_transform

from engine.errors import InputError, RunError
from engine.io.mrc import read_volume, write_volume
from engine.io.pixel_size import PixelSizeError
from engine.io.volumes import CONSENSUS, SdsResults, finished_volumes, write_map
from engine.numerics.rotations import random_rotations
from engine.pipelines.evaluate_volumes import evaluate_run, format_report
from engine.types import Volume
from tests.engine.sds_run import BOX, PIXEL, make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "run")
    return tmp_path / "run"


def _turned(density: np.ndarray, seed: int, *, mirror: bool = False, scale: float = 1.0) -> np.ndarray:
    """A map turned at random about its middle, on voxels ``scale`` times finer in as much larger a box."""
    rotation = random_rotations(1, np.random.default_rng(seed))[0] * (np.array([-1, 1, 1]) if mirror else 1)
    size = round(len(density) * scale)
    matrix = rotation / scale
    offset = len(density) // 2 - matrix @ np.full(3, size // 2)
    return affine_transform(density, matrix, offset, (size,) * 3, order=3).astype(np.float32)


@pytest.mark.parametrize(("mirror", "scale"), [(False, 1.0), (True, 1.0), (True, 1.6)])
def test_a_turned_mirrored_finer_truth_is_recognised(
    run: Path, tmp_path: Path, mirror: bool, scale: float
) -> None:
    density = SdsResults(run).consensus().density
    truth = write_map(
        tmp_path / "truth.mrc", 5 + 3 * _turned(density, 1, mirror=mirror, scale=scale), PIXEL / scale
    )
    report = evaluate_run(run, truth)
    found = report["consensus"]
    assert found["mirrored"] is mirror
    assert found["hand_known"]
    assert found["correlation"] > 0.98
    for kind in ("unmasked", "masked"):
        resolution = found[kind]["resolution_0p5_A"]
        assert resolution is None or resolution < 3.2 * PIXEL
    moved = read_volume(run / "results" / "reference.mrc")
    assert np.corrcoef(moved.density.ravel(), density.ravel())[0, 1] > 0.98
    assert json.loads((run / "results" / "evaluation.json").read_text()) == report
    assert (run / "results" / "evaluation.png").read_bytes()[:4] == b"\x89PNG"


def test_sentences_say_against_what_and_with_which_mask(run: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    density = SdsResults(run).consensus().density
    noisy = density + 0.05 * rng.normal(size=density.shape).astype(np.float32)
    truth = write_map(tmp_path / "emd_1.mrc", noisy, PIXEL)
    text = format_report(evaluate_run(run, truth))
    assert "Consensus against `emd_1.mrc` after rigid alignment (as it is)" in text
    assert "without a mask: FSC to the truth falls below 0.5 at" in text
    assert f"inside a soft sphere of radius {BOX / 2 * PIXEL:.0f} Å: FSC to the truth" in text
    assert "7 of 10 starts agree." in text
    # noise in the truth lowers the resolution, and the mask takes some of it away
    found = json.loads((run / "results" / "evaluation.json").read_text())["consensus"]
    assert found["unmasked"]["resolution_0p5_A"] > found["masked"]["resolution_0p5_A"] > 2 * PIXEL


def test_each_volume_against_its_own_truth(run: Path, tmp_path: Path) -> None:
    results = SdsResults(run)
    folder = tmp_path / "truths"
    for image in finished_volumes(results.folder):
        density = _turned(results.volume(image).density, 5, mirror=True)
        write_map(folder / f"volume_{image:04d}.mrc", density, PIXEL)
    calls: list[tuple[int, int]] = []
    report = evaluate_run(run, folder, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (6, 6)
    assert report["truth"]["count"] == 6
    volumes = report["volumes"]
    assert volumes["images"] == [1, 2, 3, 4, 5, 6]
    assert all(volumes["mirrored"])
    assert min(volumes["correlation"]) > 0.98
    curves = np.array(volumes["unmasked"]["correlations"])
    assert curves.shape == (6, BOX // 2 + 1)
    np.testing.assert_allclose(volumes["unmasked"]["median"], np.median(curves, axis=0), atol=1e-3)
    text = format_report(report)
    assert "6 volumes against their own true maps, each after rigid alignment (6 mirrored)" in text
    assert "Consensus against the mean of 6 true maps" in text


def test_without_a_truth_only_agreement_with_itself_is_told(run: Path) -> None:
    text = format_report(evaluate_run(run, None))
    assert "accuracy is unknown" in text
    assert "The half maps agree to 18.0 Å" in text
    assert not (run / "results" / "evaluation.json").exists()


def test_voxel_size_that_the_truth_does_not_say(run: Path, tmp_path: Path) -> None:
    density = SdsResults(run).consensus().density
    truth = tmp_path / "truth.mrc"
    write_volume(truth, Volume(_turned(density, 2), (0.0,) * 3))
    report = evaluate_run(run, truth)
    assert report["consensus"]["correlation"] > 0.98
    assert "4 Å, was taken, as the boxes agree" in format_report(report)
    write_volume(truth, Volume(_turned(density, 2, scale=1.5), (0.0,) * 3))
    with pytest.raises(PixelSizeError, match="truth-voxel-size"):
        evaluate_run(run, truth)
    assert evaluate_run(run, truth, truth_voxel_size_A=PIXEL / 1.5)["consensus"]["correlation"] > 0.98


def test_what_can_not_be_compared(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"volume_0001\.mrc"):
        evaluate_run(run, tmp_path / "empty")
    with pytest.raises(InputError, match="no such file"):
        evaluate_run(run, tmp_path / "none.mrc")
    (run / "results" / CONSENSUS).unlink()
    with pytest.raises(RunError, match="no consensus map"):
        evaluate_run(run, tmp_path / "none.mrc")
