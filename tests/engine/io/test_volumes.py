"""Results of score distillation survive the disk; a killed run trusts nothing that was cut off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from engine.errors import InputError, RunError
from engine.io import landscape_file, volumes
from engine.io.landscape_file import Landscape, along_polyline, read_landscape, write_landscape
from engine.io.pose_table import make_table, read_poses, write_poses
from engine.io.star import read_poses as read_star
from engine.io.volumes import SdsResults, finished_volumes, write_volume_result
from engine.numerics.rotations import angle_between, random_rotations
from engine.types import ImageStack

PIXEL = 3.54


def _density(seed: int = 0, n: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n, n)).astype(np.float32)


def _volume(folder: Path, image: int) -> Path:
    return write_volume_result(folder, image, _density(image), PIXEL, {"seed": 3, "correlation": 0.75})


def test_a_volume_comes_back_with_its_facts_and_its_place(tmp_path: Path) -> None:
    path = write_volume_result(
        tmp_path, 37, _density(), PIXEL, {"seed": np.int64(5), "seconds": float("nan"), "correlation": 0.5}
    )
    assert path == tmp_path / "volumes" / "volume_0037.mrc"
    results = SdsResults(tmp_path)
    assert results.volumes() == {37: {"image": 37, "seed": 5, "seconds": None, "correlation": 0.5}}
    volume = results.volume(37)
    np.testing.assert_array_equal(volume.density, _density())
    assert volume.voxel_size_A == pytest.approx((PIXEL,) * 3)
    # the origin of the object is voxel n // 2
    assert volume.origin_A == pytest.approx((-6 * PIXEL,) * 3, rel=1e-6)
    with mrcfile.open(path) as mrc:
        assert int(mrc.header.ispg) == 1


def test_killed_in_volume_37_of_300(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for image in range(1, 37):
        _volume(tmp_path, image)
    monkeypatch.setattr(volumes, "write_json", _killed)
    with pytest.raises(KeyboardInterrupt):
        _volume(tmp_path, 37)
    assert (tmp_path / "volumes" / "volume_0037.mrc").exists()
    assert list(finished_volumes(tmp_path)) == list(range(1, 37))


def _killed(*args: object) -> None:
    raise KeyboardInterrupt


def test_old_facts_do_not_vouch_for_a_new_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _volume(tmp_path, 1)
    monkeypatch.setattr(volumes, "write_map", _killed)
    with pytest.raises(KeyboardInterrupt):
        _volume(tmp_path, 1)
    assert finished_volumes(tmp_path) == {}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize(
    "harm",
    [
        lambda p: p.unlink(),
        _cut,
        lambda p: p.write_bytes(b"no map"),
        lambda p: p.with_suffix(".json").write_text("{"),
        lambda p: p.with_suffix(".json").write_text("[1]"),
        lambda p: p.with_suffix(".json").write_text('{"image": 3}'),
    ],
)
def test_damaged_pairs_count_as_not_computed(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    _volume(tmp_path, 1)
    harm(_volume(tmp_path, 2))
    assert list(finished_volumes(tmp_path)) == [1]


def test_starts_are_pairs_too_and_stray_files_are_nothing(tmp_path: Path) -> None:
    path = volumes.write_start(tmp_path, 4, _density(), PIXEL, {"seed": 1, "score": 0.5, "seconds": 2.0})
    assert path.name == "start_004.mrc"
    (tmp_path / "tournament" / "start_x.json").write_text("{}")
    assert SdsResults(tmp_path).starts() == {4: {"start": 4, "seed": 1, "score": 0.5, "seconds": 2.0}}
    np.testing.assert_array_equal(SdsResults(tmp_path).start(4).density, _density())
    assert finished_volumes(tmp_path / "nowhere") == {}


def test_densities_are_read_one_at_a_time(tmp_path: Path) -> None:
    for image in (2, 5, 9):
        _volume(tmp_path, image)
    stored = SdsResults(tmp_path).densities()
    assert (len(stored), stored.images) == (3, (2, 5, 9))
    np.testing.assert_array_equal(stored[1], _density(5))
    _cut(tmp_path / "volumes" / "volume_0005.mrc")
    np.testing.assert_array_equal(stored[2], _density(9))
    with pytest.raises(InputError, match="volume_0005"):
        stored[1]


def test_what_is_not_there_yet_is_said(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    results = SdsResults(tmp_path)
    assert results.folder == tmp_path / "results"
    assert (results.halves(), results.landscape(), results.metrics(), results.tournament()) == (None,) * 4
    for ask in (results.consensus, results.prepared, results.poses, results.averages, results.projections):
        with pytest.raises(RunError, match="There is no"):
            ask()
    with pytest.raises(RunError, match="no volume of image 7"):
        results.volume(7)
    with pytest.raises(RunError, match="no such folder"):
        SdsResults(tmp_path / "elsewhere")


def test_prepared_images_with_what_is_known_about_them(tmp_path: Path) -> None:
    # dark in the middle: the reader must not guess the contrast of images that are already positive
    images = -np.exp(-((np.indices((4, 16, 16))[1:] - 8.0) ** 2).sum(0) / 8).astype(np.float32)
    entries = [{"row": k + 1, "file": "classes.mrcs", "count": 10.0 * k} for k in range(4)]
    volumes.write_prepared(
        tmp_path, ImageStack(images, PIXEL), entries, mask_radius_px=7.5, contrast="White, as given."
    )
    results = SdsResults(tmp_path)
    np.testing.assert_array_equal(results.prepared().images, images)
    assert results.prepared().pixel_size_A == pytest.approx(PIXEL)
    facts = results.averages()
    assert (facts["box"], facts["mask_radius_px"], facts["images"][3]["row"]) == (16, 7.5, 4)
    np.testing.assert_array_equal(results.counts(), [0.0, 10.0, 20.0, 30.0])
    with pytest.raises(InputError, match="differ in number"):
        volumes.write_prepared(
            tmp_path, ImageStack(images, PIXEL), entries[1:], mask_radius_px=7.5, contrast=""
        )


def test_poses_come_back_from_the_table_and_from_the_star_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rotations, shifts = random_rotations(40, rng), rng.normal(size=(40, 2)) * 5
    confidence = rng.random(40)
    table = make_table(rotations, shifts, PIXEL, confidence=confidence)
    star_path, csv_path = write_poses(tmp_path, table, box=64, counts=np.arange(40) * 7.0)
    back = read_poses(tmp_path, pixel_size_A=PIXEL)
    assert angle_between(back.poses.rotations, rotations).max() < 1e-7
    np.testing.assert_allclose(back.poses.shifts_A, shifts, rtol=1e-8)
    np.testing.assert_allclose(back.confidence, confidence, rtol=1e-8)
    assert np.isnan(back.correlation).all()
    assert csv_path.read_text().splitlines()[0] == (
        "image,w,x,y,z,shift_x_A,shift_y_A,confidence,correlation"
    )
    poses = read_star(star_path)
    assert angle_between(poses.rotations, rotations).max() < 1e-6
    np.testing.assert_allclose(poses.shifts_A, shifts, atol=1e-6)
    assert poses.image_files == ("prepared.mrcs",) * 40
    np.testing.assert_array_equal(poses.image_indices, np.arange(40))
    assert poses.pixel_size_A == pytest.approx(PIXEL)
    text = star_path.read_text()
    assert "_rlnMaxValueProbDistribution" in text
    assert "_rlnGroupNrParticles" in text


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("image,w,x,y,z", "lacks shift_x_A"),
        ("1,1,0,0,zero,0,0,,", "Row 1"),
        ("1,1,0,0", "Row 1"),
        ("1,2,0,0,0,0,0,,", "impossible"),
        ("0,1,0,0,0,0,0,,", "impossible"),
        ("1.5,1,0,0,0,0,0,,", "impossible"),
        ("1,1,0,0,0,nan,0,,", "impossible"),
        ("", "empty"),
    ],
)
def test_damaged_tables_of_poses(tmp_path: Path, line: str, match: str) -> None:
    header = "" if line.startswith("image") else "image,w,x,y,z,shift_x_A,shift_y_A,confidence,correlation\n"
    (tmp_path / "poses.csv").write_text(header + line + "\n")
    with pytest.raises(InputError, match=match):
        read_poses(tmp_path)


def _landscape(k: int = 2, n: int = 5) -> Landscape:
    rng = np.random.default_rng(0)
    return Landscape(
        coordinates=rng.normal(size=(n, k)).astype(np.float32),
        explained=np.linspace(0.5, 0.1, k).astype(np.float32),
        mean=_density(1),
        components=np.stack([_density(2 + i) for i in range(k)]),
        motion=np.abs(_density(9)),
        images=np.arange(1, n + 1, dtype=np.int32),
        voxel_size_A=PIXEL,
    )


def test_a_landscape_comes_back_and_an_older_longer_one_leaves_nothing(tmp_path: Path) -> None:
    write_landscape(tmp_path, _landscape(k=4))
    landscape = _landscape(k=2)
    write_landscape(tmp_path, landscape)
    assert sorted(p.name for p in tmp_path.glob("components_*")) == ["components_1.mrc", "components_2.mrc"]
    back = read_landscape(tmp_path)
    for name in ("coordinates", "explained", "mean", "components", "motion", "images"):
        np.testing.assert_array_equal(getattr(back, name), getattr(landscape, name))
    assert back.voxel_size_A == pytest.approx(PIXEL)
    assert back.umap is None


def test_damaged_landscapes_are_input_errors(tmp_path: Path) -> None:
    write_landscape(tmp_path, _landscape())
    path = tmp_path / landscape_file.NAME
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_landscape(tmp_path)
    rng = np.random.default_rng(5)
    for _ in range(60):  # some bytes don't matter, but none may bring another exception
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            read_landscape(tmp_path)
        except InputError:
            pass
    path.write_bytes(whole)
    volumes.write_map(tmp_path / "components_2.mrc", _density(n=10), PIXEL)
    with pytest.raises(InputError, match="components_2"):
        read_landscape(tmp_path)


def test_points_of_a_landscape_are_volumes() -> None:
    landscape = _landscape()
    expected = landscape.mean + 2.0 * landscape.components[0]
    np.testing.assert_allclose(landscape.volume_at(np.array([2.0])), expected, rtol=1e-5)
    np.testing.assert_array_equal(landscape.nearest(landscape.coordinates), np.arange(5))
    path = along_polyline(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]]), 5)
    np.testing.assert_allclose(path, [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]])
    with pytest.raises(ValueError, match="path"):
        along_polyline(np.array([[1.0, 1.0], [1.0, 1.0]]), 5)


def test_kind_of_a_run(tmp_path: Path) -> None:
    assert volumes.run_kind(tmp_path) is None
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "metrics.json").write_text(json.dumps({"kind": "sds"}))
    assert volumes.run_kind(tmp_path) == volumes.run_kind(tmp_path / "results") == "sds"
    (tmp_path / "spec.json").write_text(json.dumps({"kind": "dps"}))
    assert volumes.run_kind(tmp_path) == "dps"
