"""``verglas train denoiser``: class averages and options in, weights and a table out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.io.mrc import write_images
from engine.jobs.run_dir import RunDir
from engine.types import ImageStack


@pytest.fixture
def averages(tmp_path: Path) -> Path:
    images = np.zeros((5, 16, 16), np.float32)
    for i, image in enumerate(images):
        image[6:10, 6 : 8 + i % 3] = 1 + 0.1 * i
    write_images(tmp_path / "classes.mrcs", ImageStack(images, 3.0))
    return tmp_path / "classes.mrcs"


def test_training_a_denoiser_by_options(
    averages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "denoiser"

    def train(steps: int) -> tuple[int, str, str]:
        options = (
            "--select",
            "1-3,5",
            "--batch",
            "1",
            "--no-centre",
            "--device",
            "cpu",
            "--contrast",
            "white",
        )
        code = cli.main(
            ["train", "denoiser", str(averages), "--out", str(out), *options, "--max-steps", str(steps)]
        )
        return (code, *capsys.readouterr())

    code, shown, told = train(1)
    assert code == 0, told
    assert "closed form" in shown
    spec = RunDir.open(out).spec()
    assert spec.kind == "train_denoiser"
    assert (spec.averages.select, spec.averages.centre) == ((1, 2, 3, 5), False)
    code, _, error = train(1)
    assert code == cli.BAD_INPUT
    assert "--minutes" in error
    code, _, told = train(2)
    assert code == 0, told
    assert "Resumed after 1 steps" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--select", "3-x"], "--select"),
        (["--minutes", "-1"], "minutes"),
        (["--architecture", "huge"], "architecture"),
        (["--box", "8"], "box"),
        (["--mask-diameter", "0"], "mask_diameter_A"),
    ],
)
def test_bad_options_are_named_in_one_line(
    options: list[str], words: str, averages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["train", "denoiser", str(averages), "--out", str(tmp_path / "o"), *options])
    error = capsys.readouterr().err
    assert code == cli.BAD_INPUT
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()
