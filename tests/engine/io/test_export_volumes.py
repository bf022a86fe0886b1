"""Exports of a run of score distillation: read back by our own readers and by the letter."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError, RunError
from engine.io.export_volumes import FORMATS, contour_level, export_volumes
from engine.io.formats import summarise
from engine.io.mrc import read_images, read_volume
from engine.io.star import read_poses
from engine.io.volumes import SdsResults
from engine.numerics.rotations import angle_between
from tests.engine.sds_run import BOX, PIXEL, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("run")
    return folder, make_run(folder)


def test_maps(run: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = run
    results = SdsResults(folder)
    assert export_volumes(folder, tmp_path / "c.mrc", "mrc") == [tmp_path / "c.mrc"]
    np.testing.assert_array_equal(read_volume(tmp_path / "c.mrc").density, results.consensus().density)
    assert export_volumes(folder, tmp_path / "v.mrc", "mrc", which=[4]) == [tmp_path / "v.mrc"]
    np.testing.assert_array_equal(read_volume(tmp_path / "v.mrc").density, results.volume(4).density)
    written = export_volumes(folder, tmp_path / "all.mrc", "mrc", which="all")
    assert [p.name for p in written] == [f"volume_{k:04d}.mrc" for k in range(1, 7)]
    assert {p.parent for p in written} == {tmp_path / "all"}
    back = read_volume(written[2])
    np.testing.assert_array_equal(back.density, results.volume(3).density)
    assert back.voxel_size_A == pytest.approx((PIXEL,) * 3)
    assert back.origin_A == pytest.approx((-BOX // 2 * PIXEL,) * 3)


def test_star_holds_the_same_rotations_images_and_counts(
    run: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    folder, rotations = run
    results = SdsResults(folder)
    star, stack = export_volumes(folder, tmp_path / "poses.star", "star")
    poses = read_poses(star)
    assert angle_between(poses.rotations, rotations).max() < 1e-6
    np.testing.assert_allclose(poses.shifts_A, results.poses().poses.shifts_A, atol=1e-6)
    assert poses.pixel_size_A == pytest.approx(PIXEL)
    assert set(poses.image_files) == {"poses.mrcs"}
    np.testing.assert_array_equal(read_images(stack, contrast="white").images, results.prepared().images)
    text = star.read_text()
    assert {"data_optics", "data_particles"} <= set(text.split())
    column = int(re.search(r"_rlnGroupNrParticles #(\d+)", text)[1]) - 1  # type: ignore[index]
    rows = [line.split() for line in text.splitlines() if "@poses.mrcs" in line]
    assert [int(row[column]) for row in rows] == [10, 11, 12, 13, 14, 15]


def test_a_part_of_the_poses_names_its_own_images(run: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, rotations = run
    star, stack = export_volumes(folder, tmp_path / "part.star", "star", which=[5, 2])
    poses = read_poses(star)
    assert angle_between(poses.rotations, rotations[[4, 1]]).max() < 1e-6
    np.testing.assert_array_equal(poses.image_indices, [0, 1])
    np.testing.assert_array_equal(
        read_images(stack, contrast="white").images, SdsResults(folder).prepared().images[[4, 1]]
    )
    with pytest.raises(InputError, match="1 to 6"):
        export_volumes(folder, tmp_path / "part.star", "star", which=[7])


def test_exported_files_are_recognised(run: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    star, stack = export_volumes(run[0], tmp_path / "poses.star", "star")
    assert summarise(star).kind == "poses"
    assert summarise(stack).kind == "images"
    assert summarise(export_volumes(run[0], tmp_path / "c.mrc", "mrc")[0]).kind == "volume"


def test_chimerax_files_open_what_is_there(run: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = run
    written = export_volumes(folder, tmp_path / "show me.cxc", "cxc")
    text = written[0].read_text()
    assert written[0] == tmp_path / "show me.cxc"
    opened = re.findall(r'^open "([^"]+)"', text, re.MULTILINE)
    assert opened == ["show me.mrc", "show me_motion.mrc", "show me_volumes/*.mrc"]
    assert all((tmp_path / name).exists() for name in opened[:2])
    assert len(list(tmp_path.glob(opened[2]))) == 6
    level = float(re.search(r"#101 style surface level (\S+)", text)[1])  # type: ignore[index]
    density = read_volume(tmp_path / opened[0]).density
    assert density.min() < level < density.max()
    assert "color sample #101 map #102 palette blue:white:red range" in text
    assert "vseries play #103" in text
    # the series runs along the landscape
    found = SdsResults(folder).landscape()
    assert found is not None
    order = found.images[np.argsort(found.coordinates[:, 0])].tolist()
    names = sorted(p.name for p in (tmp_path / "show me_volumes").iterdir())
    assert [int(name[11:15]) for name in names] == order
    morph = (tmp_path / "show me_morph.cxc").read_text()
    morphed = re.findall(r'^open "([^"]+)" id (\d+)', morph, re.MULTILINE)
    assert [number for _, number in morphed] == [str(k) for k in range(201, 207)]
    assert all((tmp_path / name).is_file() for name, _ in morphed)
    assert "volume morph #201-206" in morph
    # a second export with fewer volumes leaves none of the first to play along
    export_volumes(folder, tmp_path / "show me.cxc", "cxc", which=[1, 2])
    assert len(list((tmp_path / "show me_volumes").iterdir())) == 2


def test_table(run: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = run
    export_volumes(folder, tmp_path / "t.csv", "csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    found, table = SdsResults(folder).landscape(), SdsResults(folder).poses()
    assert found is not None
    assert [row["image"] for row in rows] == [str(k) for k in range(1, 7)]
    np.testing.assert_allclose(
        [[float(row[f"component_{k}"]) for k in (1, 2, 3)] for row in rows], found.coordinates, rtol=1e-4
    )
    np.testing.assert_allclose([float(row["confidence"]) for row in rows], table.confidence, rtol=1e-4)
    assert {row["volume_correlation"] for row in rows} == {"0.9"}
    assert [row["count"] for row in rows] == ["10.0", "11.0", "12.0", "13.0", "14.0", "15.0"]


def test_a_run_with_a_consensus_only(tmp_path: Path) -> None:
    make_run(tmp_path / "run", 3, each=False, counts=False)
    folder = tmp_path / "run"
    text = export_volumes(folder, tmp_path / "c.cxc", "cxc")[0].read_text()
    assert "vseries" not in text
    assert "color sample" not in text
    assert not (tmp_path / "c_morph.cxc").exists()
    assert "rlnGroupNrParticles" not in export_volumes(folder, tmp_path / "p.star", "star")[0].read_text()
    rows = list(csv.DictReader(export_volumes(folder, tmp_path / "t.csv", "csv")[0].read_text().splitlines()))
    assert "component_1" not in rows[0]
    with pytest.raises(RunError, match="no volumes"):
        export_volumes(folder, tmp_path / "v.mrc", "mrc", which="all")
    with pytest.raises(InputError, match="no volume of class average 2"):
        export_volumes(folder, tmp_path / "v.mrc", "mrc", which=[2])


def test_refusals(run: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, _ = run
    with pytest.raises(InputError, match="mrc, star, cxc, csv"):
        export_volumes(folder, tmp_path / "x", "docx")
    for name, format in (("a.mrc", "cxc"), ("a.mrcs", "star")):
        with pytest.raises(InputError, match="name of its own"):
            export_volumes(folder, tmp_path / name, format)
    with pytest.raises(InputError, match="There are 1 to 6"):
        export_volumes(folder, tmp_path / "a.mrc", "mrc", which=[1, 9])
    (tmp_path / "results").mkdir()
    for format in FORMATS:
        with pytest.raises(RunError, match="There is no"):
            export_volumes(tmp_path, tmp_path / f"a{FORMATS[format][0]}", format)


def test_the_contour_parts_particle_and_surroundings() -> None:
    rng = np.random.default_rng(0)
    inside = (np.indices((20,) * 3) - 10.0 == 0) | (((np.indices((20,) * 3) - 10.0) ** 2).sum(0) < 25)
    density = np.where(inside[0], 3.0, -0.2) + 0.3 * rng.normal(size=(20,) * 3)
    level = contour_level(density.astype(np.float32))
    assert 0.5 < level < 2.5
