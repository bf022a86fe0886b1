"""Training of priors as a whole job: killed and resumed, its curve, its samples, what its card says."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from engine.events import Event, Notice, Snapshot
from engine.io.weights_header import read_header
from engine.jobs import runner
from engine.jobs.run_dir import RunDir
from engine.pipelines import train_prior
from engine.pipelines.learning_curve import LearningCurve, Row
from engine.specs.job import TrainPriorSpec

SMALL = {
    "architecture": "equivariant", "width": 8, "layers": 1, "batch": 4, "min_points": 32, "device": "cpu",
    "warmup": 2, "hours": 1.0,
}  # fmt: skip


def clouds_file(folder: Path) -> Path:
    g = np.random.default_rng(0)
    angle = g.uniform(0, 2 * np.pi, (20, 32))
    points = 0.5 * np.stack([np.cos(angle), np.sin(angle), 0.1 * g.normal(size=angle.shape)], axis=-1)
    file = folder / "rings.npz"
    np.savez(file, points=points.astype(np.float32))
    return file


def losses(folder: Path) -> dict[int, float]:
    with open(folder / "results" / "learning_curve.csv", encoding="utf-8") as handle:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(handle)}


def test_killed_training_goes_on_with_identical_losses(tmp_path: Path) -> None:
    file = clouds_file(tmp_path)
    # a checkpoint, and a row of the curve, after every step
    options = (
        "--architecture equivariant --width 8 --layers 1 --batch 4 --min-points 32 --device cpu --warmup 2 "
    )
    options += "--max-steps 40 --checkpoint-minutes 0.0000001"

    def command(out: Path) -> list[str]:
        return [
            sys.executable,
            "-m",
            "engine",
            "train",
            "prior",
            str(file),
            "--out",
            str(out),
            *options.split(),
        ]

    surroundings = os.environ | {"OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), env=surroundings, check=True, capture_output=True, timeout=200)
    process = subprocess.Popen(
        command(killed), env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    curve = killed / "results" / "learning_curve.csv"
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not (curve.is_file() and len(losses(killed)) >= 5):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    reached = len(losses(killed))
    assert 5 <= reached < 40
    subprocess.run(command(killed), env=surroundings, check=True, capture_output=True, timeout=200)
    expected, found = losses(whole), losses(killed)
    assert sorted(expected) == list(range(1, 41))
    # a kill between the checkpoint and its row loses the row, never the step
    assert len(found) >= 39
    assert found == {step: expected[step] for step in found}
    a, b = (load_file(f / "results" / "prior.safetensors") for f in (whole, killed))
    assert all(bool((a[name] == b[name]).all()) for name in a)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> list[Event]:
    monkeypatch.setattr(train_prior, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(train_prior, "SAMPLE_SHARE", 1e9)
    spec = TrainPriorSpec(**(SMALL | {"max_steps": 3} | settings))
    events: list[Event] = []
    runner.run(spec, RunDir.create(folder / "run", spec), events.append)
    assert events[-1].type == "completed", events[-1]
    return events


def test_samples_are_shown_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = run(tmp_path, monkeypatch, clouds=str(clouds_file(tmp_path)))
    shown = [e for e in events if isinstance(e, Snapshot)]
    assert [e.step for e in shown] == [1, 2, 3]
    samples = np.load(tmp_path / "run" / shown[-1].path, allow_pickle=False)
    assert samples.shape == (3, 32, 3)
    assert samples.dtype == np.float32
    spread = samples.std() / train_prior.SHOWN_SCALE
    assert 0.2 < spread < 0.6  # of the rings: 0.3


def test_weights_say_how_they_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, clouds=str(clouds_file(tmp_path)), augment="O3", precision="float32")
    results = tmp_path / "run" / "results"
    trained = read_header(results / "prior.safetensors").card["trained"]
    assert trained == json.loads((results / "metrics.json").read_text())
    assert (trained["augment"], trained["precision"], trained["steps"]) == ("O3", "float32", 3)
    assert trained["clouds_seen"] == 12
    assert set(trained["validation_rmse_over_sigma"]) == {"0.02", "0.05", "0.1", "0.2", "0.5", "1"}
    assert (results / "learning_curve.png").stat().st_size > 10_000


def test_folder_of_structures_becomes_clouds_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    structures = tmp_path / "structures"
    structures.mkdir()
    g = np.random.default_rng(1)
    for k in range(12):  # ever longer boxes, of different widths
        atoms = g.uniform(-1, 1, size=(2000, 3)) * [8.0 + k, 8.0, 8.0 + (k % 5)]
        names = ("N ", "CA", "C ", "O ", "CB")
        lines = [
            f"ATOM  {i + 1:5d}  {names[i % 5]}  ALA A{i // 5 + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
            for i, (x, y, z) in enumerate(atoms)
        ]
        (structures / f"box{k}.pdb").write_text("\n".join([*lines, "END", ""]))
    (structures / "broken.pdb").write_text("nothing of use")
    events = run(tmp_path, monkeypatch, clouds=str(structures), min_points=1024, max_steps=1)
    facts = json.loads((tmp_path / "run" / "results" / "metrics.json").read_text())
    assert facts["training_clouds"] + facts["validation_clouds"] == 12
    assert facts["validation_clouds"] >= 1
    notices = [e.message for e in events if isinstance(e, Notice)]
    assert any("12 clouds" in m for m in notices)
    assert any("1 files gave no cloud" in m for m in notices)
    assert "broken.pdb" in (tmp_path / "run" / "clouds" / "clouds.rejected.csv").read_text()


def test_curve_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    first = LearningCurve(file, 0)
    for step in (10, 20, 30):
        first.add(Row(step, 8 * step, step / 100, 1.0 / step, {0.1: 0.9, 1.0: 0.3}))
    again = LearningCurve(file, 20)
    assert [r.step for r in again.rows] == [10, 20]
    assert again.rows[1].errors == {0.1: 0.9, 1.0: 0.3}
    again.add(Row(25, 200, 0.25, 0.5, {0.1: 0.8, 1.0: 0.2}))
    assert [r.step for r in LearningCurve(file, 99).rows] == [10, 20, 25]


def test_damaged_curve_is_no_reason_to_stop(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    file.write_text("step,clouds_seen\n1,two\n")
    assert LearningCurve(file, 5).rows == []
