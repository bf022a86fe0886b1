"""The copied command makes the same run description."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from engine import cli
from engine.commands import running, training
from engine.specs.codec import dump_toml
from engine.specs.command_line import arguments, needs_file, quoted
from engine.specs.components import CoarseMap
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec

AVERAGES = ClassAveragesInput(
    file="/data/my classes.mrcs", select=(1, 2, 3, 7, 9, 10), pixel_size_A=3.54, box=48, centre=False
)
SPECS: list[JobSpec] = [
    TrainPriorSpec(clouds="/data/c.npz"),
    TrainPriorSpec(
        clouds="/data/it's.npz", validation="/v.npz", title="-a title", hours=0.123456789, width=64,
        layers=3, compile=True, p_mean=-2.5, learning_rate=1e-5, start_from="/w.safetensors", seed=3,
    ),
    TrainDenoiserSpec(averages=AVERAGES, minutes=7.5, architecture="paper", p_mean=-1.0, device="cpu"),
    TrainDenoiserSpec(averages=ClassAveragesInput(file="/a.star", contrast="black", mask_diameter_A=180)),
    SdsSpec(averages=AVERAGES, symmetry="D2"),
    DpsSpec(observations=(CoarseMap(file="/m.mrc"),), samples=3),
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.kind)
def test_the_command_makes_the_same_description(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[JobSpec] = []

    def note(spec: JobSpec, out: Path, *, as_json: bool, **_where: object) -> int:
        found.append(spec)
        return 0

    for module in (running, training):
        monkeypatch.setattr(module, "carry_out", note)
    file = tmp_path / "a job.toml"
    if needs_file(spec):
        dump_toml(spec, file)
    line = quoted(arguments(spec, str(tmp_path / "run"), file=str(file)))
    program, *rest = shlex.split(line)
    assert program == "verglas"
    assert cli.main(rest) == 0
    assert found == [spec]
