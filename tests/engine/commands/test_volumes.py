"""``evaluate`` and ``export`` of runs of score distillation, and what a run says at its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.commands.summaries import next_step, of_denoiser, of_volumes
from engine.io.json_files import read_json, write_json
from engine.io.mrc import read_volume
from engine.io.volumes import SdsResults, write_map
from tests.engine.sds_run import PIXEL, make_run

Verglas = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verglas(capfd: pytest.CaptureFixture[str]) -> Verglas:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "run"
    make_run(folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["mrc"], ["consensus.mrc"]),
        (["mrc", "--which", "3"], ["volume_0003.mrc"]),
        (["mrc", "--which", "1,4-6"], [f"volumes/volume_{k:04d}.mrc" for k in (1, 4, 5, 6)]),
        (["star"], ["poses.star", "poses.mrcs"]),
        (["csv"], ["volumes.csv"]),
    ],
)
def test_exports_go_into_the_runs_folder(
    verglas: Verglas, run: Path, arguments: list[str], names: list[str]
) -> None:
    code, out, told = verglas("export", run, "--format", *arguments)
    assert (code, told) == (0, "")
    assert out.splitlines() == [str(run / "export" / name) for name in names]
    assert all((run / "export" / name).is_file() for name in names)


def test_export_to_a_name_of_ones_own(verglas: Verglas, run: Path, tmp_path: Path) -> None:
    code, out, _ = verglas("export", run, "-f", "cxc", "-o", tmp_path / "show.cxc")
    assert code == 0
    assert all(Path(line).is_file() for line in out.splitlines())
    density = read_volume(tmp_path / "show.mrc").density
    np.testing.assert_array_equal(density, SdsResults(run).consensus().density)


def test_evaluate_against_a_map(verglas: Verglas, run: Path, tmp_path: Path) -> None:
    truth = write_map(tmp_path / "truth.mrc", SdsResults(run).consensus().density[:, ::-1], PIXEL)
    code, out, _ = verglas("evaluate", run, "--truth", truth)
    assert code == 0
    assert "Consensus against `truth.mrc` after rigid alignment (its mirror image)" in out
    code, out, _ = verglas("evaluate", run, "--truth", truth, "--json")
    assert (code, json.loads(out)["consensus"]["mirrored"]) == (0, True)
    code, out, _ = verglas("evaluate", run)
    assert code == 0
    assert "accuracy is unknown" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--format", "mmcif"], "There is no set of 3D Gaussians. Export the volume as `mrc`"),
        (["export", "--format", "mrc", "--resolution", "9"], "`--resolution` is for point clouds"),
        (["export", "--format", "mrc", "--which", "some"], "names no class averages"),
        (["export", "--format", "mrc", "--which", "5-2"], "names no class averages"),
        (["export", "--format", "mrc", "--which", "70"], "There are 1 to 6"),
        (["evaluate", "--truth-voxel-size", "-1"], "must be between"),
        (["evaluate", "--truth", "nowhere.mrc"], "no such file"),
    ],
)
def test_mistakes_are_said_in_a_line(verglas: Verglas, run: Path, arguments: list[str], words: str) -> None:
    code, out, told = verglas(arguments[0], run, *arguments[1:])
    assert (code, out) == (2, "")
    assert words in told
    assert told.count("\n") == 1


def test_trainings_hold_no_reconstruction(verglas: Verglas, tmp_path: Path) -> None:
    write_json(tmp_path / "spec.json", {"kind": "train_denoiser"})
    for arguments in (["evaluate", tmp_path], ["export", tmp_path, "--format", "mrc"]):
        code, _, told = verglas(*arguments)
        assert code != 0
        assert "trained a network" in told


def test_end_of_a_run_in_words(run: Path) -> None:
    metrics = read_json(run / "results" / "metrics.json")
    assert of_volumes(metrics) == [
        "A consensus map and 6 volumes of class averages, 10.0 s each.",
        "7 of 10 starts agree.",
        "The half maps agree to 18.0 Å at FSC 0.143.",
        "Confidence of the poses, median: 0.80 (of 1).",
        "Note: The hand can't be told from projections.",
    ]
    assert of_volumes({"kind": "sds", "fsc_half": None, "seconds": None}) == ["A consensus map."]
    assert next_step(metrics, run) == f"Next: verglas export {run} --format cxc"
    assert next_step(None, run) is None


def test_end_of_a_training_in_words(tmp_path: Path) -> None:
    metrics = {
        "kind": "train_denoiser", "steps": 12000, "images_seen": 384000, "minutes": 20.5,
        "parameters": 3939393,
        "validation_rmse_over_sigma": {"1.0": 0.21, "0.1": 0.75},
        "closed_form_rmse_over_sigma": {"0.1": 0.80, "1.0": 0.20},
    }  # fmt: skip
    text = "\n".join(of_denoiser(metrics))
    assert "3,939,393 parameters, 12,000 steps, 384,000 images seen, 20 min 30 s of training" in text
    rows = {line.split("  ")[1]: line.split()[-2:] for line in text.splitlines() if line.startswith("  ")}
    assert rows["noise σ"] == ["0.1", "1.0"]
    assert rows["network"] == ["0.750", "0.210"]
    assert rows["closed form"] == ["0.800", "0.200"]
    assert "better than the closed form at 1 of 2 noise levels" in text
    assert "denoiser.safetensors" in (next_step(metrics, tmp_path) or "")
    assert of_denoiser({"kind": "train_denoiser"}) == []
