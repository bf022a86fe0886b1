"""``verglas run --preset`` with descriptions of volumes from class averages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine import cli
from engine.commands import running
from engine.specs.codec import dump_toml
from engine.specs.job import JobSpec
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec, TrainedDenoiser


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> list[JobSpec]:
    """What would have been computed."""
    found: list[JobSpec] = []

    def note(spec: JobSpec, out: Path, *, as_json: bool, **_where: object) -> int:
        found.append(spec)
        return 0

    monkeypatch.setattr(running, "carry_out", note)
    return found


@pytest.fixture
def job(tmp_path: Path) -> Path:
    averages = ClassAveragesInput(file=str(tmp_path / "classes.mrcs"), select=(1, 2, 5), mask_diameter_A=80)
    spec = SdsSpec(averages=averages, title="mine", symmetry="D2", seed=4, restarts=3, half_sets=False)
    dump_toml(spec, tmp_path / "job.toml")
    return tmp_path / "job.toml"


def run(job: Path, *options: object) -> int:
    return cli.main(["run", str(job), "--out", str(job.parent / "run"), *map(str, options)])


def test_a_preset_sets_how_and_leaves_what(job: Path, carried_out: list[JobSpec]) -> None:
    assert run(job, "--preset", "moving") == 0
    (spec,) = carried_out
    assert isinstance(spec, SdsSpec)
    assert (spec.volumes, spec.restarts, spec.half_sets) == ("each", 10, True)
    assert (spec.title, spec.symmetry, spec.seed) == ("mine", "D2", 4)
    assert (spec.averages.select, spec.averages.mask_diameter_A) == ((1, 2, 5), 80)


def test_options_win_over_the_preset(job: Path, carried_out: list[JobSpec]) -> None:
    assert run(job, "--preset", "first-look", "--seed", 9, "--device", "cpu") == 0
    (spec,) = carried_out
    assert isinstance(spec, SdsSpec)
    assert (spec.averages.box, spec.restarts, spec.seed, spec.device) == (40, 5, 9, "cpu")


def test_the_papers_preset_takes_the_trained_denoiser_of_the_description(
    job: Path, carried_out: list[JobSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(job, "--preset", "paper") == cli.BAD_INPUT
    assert "needs a trained denoiser" in capsys.readouterr().err
    weights = str(job.parent / "denoiser.safetensors")
    averages = ClassAveragesInput(file=str(job.parent / "classes.mrcs"))
    dump_toml(SdsSpec(averages=averages, denoiser=TrainedDenoiser(weights=weights)), job)
    assert run(job, "--preset", "paper") == 0
    (spec,) = carried_out
    assert isinstance(spec, SdsSpec)
    assert spec.denoiser == TrainedDenoiser(weights=weights)
    assert (spec.distillation.steps, spec.start, spec.refine_rounds) == (600, "nothing", 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "exhaustive"], "no preset `exhaustive`.*moving"),
        (["--samples", "3"], "`--samples` is for structures"),
    ],
)
def test_what_does_not_fit_is_said(
    job: Path,
    carried_out: list[JobSpec],
    options: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(job, *options) == cli.BAD_INPUT
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert re.search(words, captured)
    assert not carried_out


def test_trainings_have_presets_too(job: Path, carried_out: list[JobSpec]) -> None:
    averages = ClassAveragesInput(file=str(job.parent / "classes.mrcs"))
    dump_toml(TrainDenoiserSpec(averages=averages, title="mine", minutes=7, batch=3, seed=5), job)
    assert run(job, "--preset", "Quick-Look", "--device", "cpu") == 0
    (spec,) = carried_out
    assert isinstance(spec, TrainDenoiserSpec)
    assert (spec.minutes, spec.batch, spec.title, spec.seed, spec.device) == (3, 16, "mine", 5, "cpu")
    assert spec.averages == averages
