"""What a run will cost here: the computer, finished runs, and what the inputs are. For background threads."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from engine.errors import VerglasError
from engine.io.atomic import write_text
from engine.jobs.run_dir import RunDir
from engine.specs.estimates import Facts, Machine, Past, seconds, slowness, speed_of
from engine.specs.job import DpsSpec, JobSpec
from engine.specs.known_poses import KnownPosesSpec
from engine.specs.sds import SdsSpec

_REPEATS = 15
_MOST_RUNS = 30
MEASURED = "machine.json"


def read_machine(folder: Path) -> Machine:
    """Speed of the computer at hand, measured once and kept in ``folder``, and what is free now."""
    memory = psutil.virtual_memory()
    gpu, gpu_free = _gpu()
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    busy = psutil.cpu_percent(interval=0.3) / 100
    load = psutil.getloadavg()[0] / cores
    return Machine(_speed(folder), cores, memory.total, memory.available, gpu, gpu_free, busy, load)


def _speed(folder: Path) -> float:
    path, name = folder / MEASURED, f"{platform.node()} {platform.processor()} {os.cpu_count()}"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["computer"] == name:
            return float(min(20.0, max(0.05, kept["speed"])))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    speed = speed_of(measure())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"computer": name, "speed": round(speed, 4)}))
    except (OSError, VerglasError):
        pass  # then it is measured again next time
    return speed


def measure() -> dict[str, float]:
    """Best times of the pieces of work of :data:`engine.specs.estimates.REFERENCE_S`, seconds."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((24, 128, 128)).astype(np.float32)
    points = rng.standard_normal(1024).astype(np.float32)
    return {
        "transforms": _best(lambda: np.fft.fft2(images)),
        "pairs": _best(lambda: np.exp(-np.square(points[:, None] - points[None, :]))),
    }


def _best(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
        time.sleep(0.002)  # so that the window's thread gets its turn
    return min(taken)


def _gpu() -> tuple[str, int]:
    """Name and free bytes of the first NVIDIA GPU; empty and 0 without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "", 0
    query = ["--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run([tool, *query], capture_output=True, text=True, timeout=10, check=True)
        name, free = told.stdout.splitlines()[0].rsplit(",", 1)
        return name.strip(), int(float(free) * 2**20)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return "", 0


def past_runs(folders: list[Path], machine: Machine) -> list[Past]:
    """Finished runs among some folders, and what would have been predicted for them on this computer."""
    found = []
    for folder in folders[:_MOST_RUNS]:
        try:
            past = _past(folder, machine)
        except (VerglasError, OSError, ValueError, KeyError):
            continue  # no run, or a damaged one
        if past is not None:
            found.append(past)
    return found


def _past(folder: Path, machine: Machine) -> Past | None:
    run = RunDir.open(folder)
    events = run.events()
    ended = [event for event in events if event.type == "completed"]
    if not ended or (folder / "events.001.jsonl").exists():
        return None  # gone on with: its seconds are those of a part
    words = next((str(getattr(event, "device", "")) for event in events if event.type == "started"), "")
    spec = run.spec()
    gpu = not words.upper().startswith("CPU")
    facts = _facts_of(folder, spec)
    predicted = seconds(spec, facts)
    if not gpu:
        predicted *= slowness(machine)
    return Past(spec.kind, gpu, predicted, float(getattr(ended[-1], "seconds")))  # noqa: B009


def _facts_of(folder: Path, spec: JobSpec) -> Facts:
    if isinstance(spec, SdsSpec | KnownPosesSpec):
        from engine.io.mrc import read_header

        shape = read_header(folder / "results" / "prepared.mrcs").shape
        return Facts(images=int(shape[0]), box=int(shape[-1]))
    if isinstance(spec, DpsSpec):
        metrics = json.loads((folder / "results" / "metrics.json").read_text(encoding="utf-8"))
        names = metrics.get("energies") or {}
        others = sum(o.kind not in ("projection_images", "projection_points") for o in spec.observations)
        return Facts(views=max(0, len(names) - others), others=others)
    return Facts()
