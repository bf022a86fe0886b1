"""``verglas doctor --poses``: the table, the exit status, and files that were put right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.io import star
from engine.io.convention_files import points_reference, read_posed, read_reference, write_corrected
from engine.io.mrc import read_images, write_images, write_volume
from engine.io.pose_readings import Convention
from engine.types import ImageStack, Poses, Volume
from tests.engine.io.test_convention_check import BOX, PIXEL, a_map, truth, written_wrongly

__all__ = ["truth"]  # a fixture


def write(folder: Path, posed, name: str = "given") -> tuple[str, str]:
    count = len(posed.images)
    write_images(folder / f"{name}.mrcs", ImageStack(posed.images, posed.pixel_A))
    poses = Poses(
        posed.rotations, posed.shifts_A, (f"{name}.mrcs",) * count, np.arange(count, dtype=np.int32),
        posed.pixel_A,
    )  # fmt: skip
    star.write_poses(folder / f"{name}.star", poses, box=BOX)
    return str(folder / f"{name}.mrcs"), str(folder / f"{name}.star")


@pytest.fixture
def reference(tmp_path: Path) -> str:
    write_volume(tmp_path / "map.mrc", Volume(a_map(), (PIXEL,) * 3))
    return str(tmp_path / "map.mrc")


def doctor(images: str, poses: str, reference: str, *more: str) -> int:
    return cli.main(
        [
            "doctor",
            "--images",
            images,
            "--poses",
            poses,
            "--reference",
            reference,
            "--contrast",
            "white",
            *more,
        ]
    )


def test_the_exit_status_says_whether_what_was_read_fits(tmp_path: Path, truth, reference: str, capsys):
    assert doctor(*write(tmp_path, truth), reference) == 0
    assert "The conventions as read fit best" in capsys.readouterr().out
    wrong = Convention(angles="inverse", flip="y")
    assert (
        doctor(*write(tmp_path, written_wrongly(truth, wrong), "wrong"), reference, "--json", "--most", "6")
        == 1
    )
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "other"
    assert told["ranked"][0]["words"] == wrong.words()
    assert any(row["given"] for row in told["ranked"])
    shuffled = type(truth)(truth.images, truth.rotations[::-1], truth.shifts_A, truth.pixel_A)
    assert doctor(*write(tmp_path, shuffled, "shuffled"), reference, "--most", "6") == 3
    assert "None of the conventions fits" in capsys.readouterr().out


def test_half_of_the_files_is_an_error(tmp_path: Path, truth, capsys):
    images, poses = write(tmp_path, truth)
    assert cli.main(["doctor", "--images", images, "--poses", poses]) == 2
    assert "--reference must be given" in capsys.readouterr().err


def test_files_put_right_need_no_correction(tmp_path: Path, truth, reference: str):
    wrong = Convention(angles="zxz", flip="t", inverted=True, shifts="-", mirrored=True, scale=0.9)
    images, poses = write(tmp_path, written_wrongly(truth, wrong))
    posed, _ = read_posed(images, poses, contrast="white")
    for name in ("right", "right-2"):
        stack, table = write_corrected(tmp_path / "new", "right", posed, wrong)
        assert (stack.stem, table.stem) == (name, name)
    again, _ = read_posed(stack, table, contrast="white")
    assert again.pixel_A == pytest.approx(PIXEL)
    np.testing.assert_allclose(again.rotations[:, :2], truth.rotations[:, :2], atol=1e-5)
    np.testing.assert_allclose(again.shifts_A, truth.shifts_A, atol=1e-4)
    np.testing.assert_allclose(read_images(stack, contrast="white").images, truth.images)
    assert doctor(str(stack), str(table), reference) == 0


def test_models_are_references_too(tmp_path: Path):
    atoms = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32) * 20
    np.savez(tmp_path / "atoms.npz", coords=atoms)
    assert not read_reference(tmp_path / "atoms.npz").notes
    assert "Å off the origin" in points_reference(atoms + [500, 0, 0]).notes[0]
