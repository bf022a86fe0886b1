"""Verglas beside cryoDRGN's ab initio reconstruction and ASPIRE, on the same images and the same budget.

``python -m tests.benchmarks.sds_peers --install FOLDER --phantom box --images 300 --minutes 10 --json OUT``

Each peer comes from PyPI into a virtual environment of its own: ``--install FOLDER`` makes them there (once),
``--cryodrgn PYTHON --aspire PYTHON`` name existing ones. All methods get the images as Verglas prepares them
(sign, centre, mask, normalisation; ``--raw-images`` hands the peers the file's own instead), compute on the
CPU with the same number of threads and stop at the same budget, of the wall's time or, on a machine that
others use too (``--clock cpu``), of processor time. Every map is judged by the same function against the
same truth. Methods that finished are kept in OUT.

cryoDRGN: a latent of ``--zdim`` for phantoms, one volume evaluated at each image's latent; 0 otherwise.
ASPIRE: one volume for all images; for phantoms it is compared with the truth of each.
What each of them needed, and what of its defaults was changed, stands in ``sds_peer_*.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from engine.io.class_averages import read_class_averages
from engine.io.mrc import write_images
from engine.types import ImageStack
from tests.benchmarks.sds_accuracy import add_engine, finish, judge_run
from tests.benchmarks.sds_judging import controls, judge
from tests.benchmarks.sds_motion import MotionFit
from tests.benchmarks.sds_subjects import Subject, add_subject, make_subject

PACKAGES = {"cryodrgn": "cryodrgn==4.3.1", "aspire": "aspire==0.14.3"}
TORCH = "torch==2.13.0"
POLL_S = 0.5
GRACE = 1.5
"""A method that looks at the clock itself may finish its step; one that doesn't is ended at the budget."""
ASPIRE_SECONDS_100 = 45.0
"""Processor time of ASPIRE's synchronisation of 100 images; grows as the cube."""


def install(folder: Path, name: str) -> Path:
    """The Python of a peer's environment, made if it isn't there."""
    place = folder / name
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(place, with_pip=True)
    has = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False)
    if has.returncode:
        subprocess.run([python, "-m", "pip", "install", PACKAGES[name], TORCH], check=True)
    return python


def task_of(name: str, subject: Subject, options: argparse.Namespace) -> dict[str, Any]:
    """What a peer is told; nothing about the truth."""
    budget = 60 * options.minutes
    return {
        "images": subject.count,
        "box": subject.box,
        "pixel_size_A": subject.pixel_A,
        "seed": options.seed,
        "threads": options.threads,
        "clock": options.clock,
        "seconds": budget,
        "shifts": options.shifts,
        "symmetry": options.symmetry,
        "volumes": subject.chosen(options.volumes) if subject.moves else [],
        "zdim": options.zdim if subject.moves else 0,
        "setting": options.cryodrgn_setting,
        "options": json.loads(options.cryodrgn_options),
        "most_images": int(100 * (0.7 * budget / ASPIRE_SECONDS_100) ** (1 / 3)),
    }


def compute(
    name: str, python: Path, subject: Subject, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Run a peer in ``folder``; its report, or why there is none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images = peer_images(subject, options)
    np.save(folder / "images.npy", images)
    write_images(folder / "images.mrcs", ImageStack(images, subject.pixel_A))
    task = task_of(name, subject, options)
    (folder / "task.json").write_text(json.dumps(task))
    threads = str(options.threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads,
        # without these cryoDRGN spends as long in returning memory to the system as in computing
        "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "100000000",
    }  # fmt: skip
    driver = Path(__file__).with_name(f"sds_peer_{name}.py")
    limit = task["seconds"] * (GRACE if name == "cryodrgn" else 1.0)
    with (folder / "log.txt").open("w") as log:
        child = subprocess.Popen([python, driver, folder], stdout=log, stderr=log, env=environment)
        spent = _wait(child, options.clock, limit + (600 if name == "cryodrgn" else 0))
    if (folder / "report.json").is_file():
        return dict(json.loads((folder / "report.json").read_text()))
    last = (folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
    why = "over the budget" if child.returncode == -9 else f"exit {child.returncode}: {' '.join(last)[:300]}"
    return {"failed": why, "seconds": spent}


def peer_images(subject: Subject, options: argparse.Namespace) -> NDArray[np.float32]:
    """The prepared images, or, if they have the same box, those of the file."""
    prepared = subject.prepared.stack.images
    if not options.raw_images:
        return np.asarray(prepared, np.float32)
    averages = read_class_averages(subject.averages.file, pixel_size_A=subject.averages.pixel_size_A)
    if averages.images.shape[-1] != prepared.shape[-1]:
        raise SystemExit("--raw-images needs images whose box isn't changed by preparing.")
    return np.asarray(subject.prepared.sign * averages.images[subject.prepared.used], np.float32)


def _wait(child: subprocess.Popen[bytes], clock: str, limit: float) -> float:
    """Wait for a process, and end it at the limit; seconds of the wall."""
    began, process = time.monotonic(), psutil.Process(child.pid)
    while child.poll() is None:
        try:
            used = process.cpu_times()
        except psutil.Error:
            break
        if (used.user + used.system if clock == "cpu" else time.monotonic() - began) > limit:
            child.kill()
        time.sleep(POLL_S)
    child.wait()
    return time.monotonic() - began


def judge_peer(
    name: str, report: dict[str, Any], subject: Subject, options: argparse.Namespace, folder: Path,
    motion: MotionFit | None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Reports by method name."""
    consensus = np.load(folder / "consensus.npy", allow_pickle=False)
    chosen = subject.chosen(options.volumes)
    if name == "cryodrgn" and subject.moves:
        volumes = {i: np.load(folder / f"volume_{i:04d}.npy", allow_pickle=False) for i in chosen}
        return {"cryoDRGN": report | judge(subject, lambda i: volumes[i], chosen, motion)}
    label = {"cryodrgn": "cryoDRGN", "aspire": f"ASPIRE, {options.symmetry}"}[name]
    # one map has one conformation: nothing of the motion can be read off it
    return {label: report | judge(subject, lambda i: consensus, chosen)}


def main() -> None:
    """Run what isn't in the results yet, judge, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_subject(parser)
    add_engine(parser)
    parser.set_defaults(minutes=6.0)
    group = parser.add_argument_group("peers")
    group.add_argument("--methods", default="verglas,cryodrgn,aspire")
    group.add_argument("--install", type=Path, help="folder for the peers' environments")
    group.add_argument("--cryodrgn", type=Path, help="a Python that has cryoDRGN")
    group.add_argument("--aspire", type=Path, help="a Python that has ASPIRE")
    group.add_argument("--shifts", action="store_true", help="let the peers search for shifts as well")
    group.add_argument("--raw-images", action="store_true", help="the peers get the file's images")
    group.add_argument("--zdim", type=int, default=4, help="cryoDRGN's latent, for phantoms")
    group.add_argument("--cryodrgn-setting", default="small", choices=("small", "default"))
    group.add_argument("--cryodrgn-options", default="{}", help="JSON of further options of its command")
    options = parser.parse_args()
    subject = make_subject(options)
    motion = MotionFit(subject.phantom, subject.box) if subject.phantom else None
    stored = json.loads(options.json.read_text()) if options.json.is_file() else {}
    reports: dict[str, dict[str, Any]] = stored.get("methods", {})
    failed: dict[str, Any] = stored.get("failed", {})
    done = set(stored.get("done", []))
    for name in options.methods.split(","):
        if name in done:
            continue
        folder = options.out / name
        if name == "verglas":
            reports |= judge_run(subject, options, folder, motion)
        else:
            python = getattr(options, name) or (options.install and install(options.install, name))
            if not python:
                raise SystemExit(f"Where is {name}? Give --{name} PYTHON or --install FOLDER.")
            report = compute(name, Path(python).absolute(), subject, options, folder.absolute())
            failed.pop(name, None)
            if "failed" in report:
                failed[name] = report
                sys.stdout.write(f"{name} gave no map: {report['failed']}\n")
                continue
            reports |= judge_peer(name, report, subject, options, folder, motion)
        done.add(name)
        finish(reports, subject, options, {"done": sorted(done), "failed": failed})
    label = "mean of the true maps (control)"
    if subject.moves and label not in reports:
        reports[label] = controls(subject, subject.chosen(options.volumes), motion)
    finish(reports, subject, options, {"done": sorted(done), "failed": failed})


if __name__ == "__main__":
    main()
