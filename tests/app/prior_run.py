"""Clouds, structures and trainings of priors, small and made up, for tests and pictures."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.events import Cancelled, Completed, Event, Metric, Progress, Result, Snapshot, Started
from engine.io.atomic import write_npy
from engine.io.json_files import write_json
from engine.io.prior_library import PRIOR_FORMAT
from engine.jobs.run_dir import RunDir
from engine.specs.job import TrainPriorSpec
from tests.app.sds_run import write_events

SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SIZE = 0.36


def rings(count: int, points: int, seed: int = 0) -> NDArray[np.float32]:
    """(count, points, 3) in [-1, 1]³: bent rings, each cut open in its own way."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi * rng.uniform(0.6, 1.0, (count, 1)), (count, points))
    clouds = np.stack([np.cos(angle), np.sin(angle), 0.4 * np.cos(2 * angle + rng.uniform(0, 6))], -1)
    clouds += 0.12 * rng.normal(size=clouds.shape)
    clouds -= clouds.mean(1, keepdims=True)
    return (clouds / np.abs(clouds).max((1, 2), keepdims=True)).astype(np.float32)


def write_clouds(path: Path, count: int = 12, points: int = 64, seed: int = 0) -> Path:
    """A file of clouds."""
    np.savez(path, points=rings(count, points, seed))
    return path


def write_structures(folder: Path, count: int = 3) -> Path:
    """A folder of names: what is in the files is found out by the run."""
    (folder / "more").mkdir(parents=True)
    for i in range(count):
        (folder / ("more" if i else "") / f"{i}.pdb").write_text("END\n")
    (folder / "notes.txt").touch()
    return folder


def write_weights(path: Path, steps: int = 1200) -> Path:
    """A prior with a card and hardly any weights."""
    errors = {f"{s:g}": round(SIZE / np.hypot(SIZE, s) * (0.9 if s < 0.6 else 1.0), 3) for s in SIGMAS}
    card = {
        "architecture": "equivariant", "options": {"width": 96}, "sigma_data": SIZE, "points": 1024,
        "trained": {
            "clouds": "rings.npz", "clouds_sha256": "0f" * 32, "training_clouds": 4500, "steps": steps,
            "clouds_seen": 8 * steps, "hours": 1.02, "device": "CPU (2 cores)",
            "validation_rmse_over_sigma": errors,
        },
    }  # fmt: skip
    header = json.dumps({
        "__metadata__": {"format": PRIOR_FORMAT, "card": json.dumps(card)},
        "weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    }).encode()  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    return path


def metrics_at(step: int) -> list[Event]:
    """Validation errors after a number of steps."""
    left = float(np.exp(-step / 500))
    return [
        Metric(f"validation RMSE/σ at σ={s:g}", step, float(SIZE / np.hypot(SIZE, s) * (0.9 + 0.15 * left)))
        for s in SIGMAS
    ]


def samples_at(step: int, points: int = 1024) -> NDArray[np.float32]:
    """(3, points, 3) Å: shapes that form."""
    left = float(np.exp(-step / 400))
    noise = np.random.default_rng(1).normal(size=(3, points, 3))
    return (100 * ((1 - left) * rings(3, points, 5) + 0.36 * left * noise)).astype(np.float32)


def events_of(folder: Path, steps: int = 1200) -> list[Event]:
    """What a training tells, with its samples on the disk."""
    rng = np.random.default_rng(0)
    events: list[Event] = [Started(kind="train_prior", device="CPU (2 cores)", version="0")]
    for step in range(20, steps + 1, 20):
        events.append(Progress("training", round(1000 * step / steps), 1000, float(steps - step)))
        events.append(Metric("loss", step, float(0.9 * step**-0.15 + 0.02 * rng.random())))
        if step % 200 == 0:
            path = Path("snapshots") / f"step_{step:08d}.npy"
            write_npy(folder / path, samples_at(step))
            events += [*metrics_at(step), Snapshot(step, 100_000_000, 0.0, path.as_posix())]
    return events


def write_training(folder: Path, *, finished: bool = True) -> Path:
    """A run directory; unfinished ones were cancelled in the middle and have no weights yet."""
    clouds = folder.parent / "rings.npz"
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_clouds(clouds)
    run = RunDir.create(folder, TrainPriorSpec(clouds=str(clouds), title="rings"))
    events = events_of(run.path, 1200 if finished else 400)
    if finished:
        write_weights(run.results / "prior.safetensors")
        write_json(run.results / "metrics.json", {"kind": "train_prior", "steps": 1200})
        events += [Result("prior", "results/prior.safetensors"), Completed(seconds=3700.0)]
    else:
        events.append(Cancelled(seconds=60.0))
    write_events(run, events)
    return folder
