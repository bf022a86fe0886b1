"""``verglas averages``: files written, words printed, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from engine import cli
from engine.commands.averaging import parse_selection
from engine.errors import SpecError
from engine.io.class_averages import read_class_averages
from engine.io.mrc import read_images, write_images
from engine.types import ImageStack
from tests.engine.io.average_files import cs_bytes, junk, views


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Ten averages, black, with counts: six views, one of them twice, and three of junk."""
    good = views(6, 48, noise=0.05)
    images = np.concatenate([good, good[[2], :, ::-1] * 1.5, junk(good, "noise", 3)])
    write_images(tmp_path / "J1_020_class_averages.mrc", ImageStack(-images, 2.5))
    columns = {"blob_res_A": np.full(10, 9.0, "<f4")}
    table = cs_bytes(["J1/J1_020_class_averages.mrc"] * 10, range(10), **columns)
    (tmp_path / "J1_020_class_averages.cs").write_bytes(table)
    particles = cs_bytes(["p.mrc"] * 100, range(100), alignments2D_class=np.arange(100, dtype="<u4") % 10)
    (tmp_path / "J1_020_particles.cs").write_bytes(particles)
    return tmp_path / "J1_020_class_averages.cs"


def verglas(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in arguments])
    return code, *capfd.readouterr()


def test_everything_is_judged_and_written(
    classes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, text, _ = verglas(capfd, "averages", classes, "--out", out)
    assert code == 0
    record = json.loads((out / "averages.json").read_text())
    assert [e["row"] for e in record["images"]] == list(range(1, 11))
    assert [e["junk"] for e in record["images"]] == [False] * 7 + [True] * 3
    assert {record["images"][2]["duplicate_of"], record["images"][6]["duplicate_of"]} in (
        {None, 3},
        {None, 7},
    )
    assert {e["count"] for e in record["images"]} == {10}
    assert record["contrast"] in text
    assert "inverted" in text
    assert text.count("junk") == 3
    assert "same view as" in text
    stack = read_images(out / "prepared.mrcs")
    assert stack.images.shape == (10, 48, 48)
    assert stack.pixel_size_A == record["pixel_size_A"] == 2.5
    height, width = imread(out / "averages.png").shape[:2]
    assert min(height, width) > 300


def test_good_ones_are_chosen_and_exported(
    classes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, _, _ = verglas(capfd, "averages", classes, "-o", out, "--select", "good", "--box", 32)
    assert code == 0
    record = json.loads((out / "averages.json").read_text())
    assert len(record["images"]) == 6
    assert all(e["duplicate_of"] is None and not e["junk"] for e in record["images"])
    assert record["box"] == 32
    chosen = read_class_averages(out / "selected.star")
    assert chosen.images.shape == (6, 48, 48)  # as they were
    np.testing.assert_array_equal(chosen.counts, np.full(6, 10))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--select", "1-3,x"), "--select"),
        (("--select", "99"), "Image 99"),
        (("--contrast", "pink"), "--contrast"),
        (("--box", "4"), "--box"),
        (("--mask-diameter", "-3"), "--mask-diameter"),
        (("--pixel-size", "1e9"), "--pixel-size"),
    ],
)
def test_mistakes_are_one_line(
    classes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, str], words: str
) -> None:
    code, _, error = verglas(capfd, "averages", classes, "--out", tmp_path / "out", *options)
    assert code == 2
    assert words in error
    assert error.count("\n") == 1


def test_a_missing_pixel_size_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "a.mrcs", ImageStack(views(3, 32), 0.0))
    code, _, error = verglas(capfd, "averages", tmp_path / "a.mrcs", "--out", tmp_path / "out")
    assert code == 2
    assert "pixel size" in error


def test_selections() -> None:
    assert parse_selection("") == ()
    assert parse_selection(" 3, 1-2,2 ") == (3, 1, 2)
    for text in ("0", "3-1", "-2", "1-", "a", "1-99999999"):
        with pytest.raises(SpecError):
            parse_selection(text)
