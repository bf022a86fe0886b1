"""How well volumes are recovered from class averages with unknown poses, against their truth.

``python -m tests.benchmarks.sds_accuracy --phantom box|capsid --seed S --images N --size PX --volumes K
--json OUT``; ``--images FILE.mrcs --truth MAP`` for real averages; ``--map MAP --images N`` for projections
of a map. Runs the engine as a user's run does, then judges its consensus and, for phantoms, the volumes of
K images: FSC to the truth after alignment with mirror, and how far the motion's parameters are recovered.
Beside them, for phantoms, a control: the mean of all true maps, which knows everything but the motion.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.events import Failed
from engine.io.atomic import write_text
from engine.io.json_files import plain
from engine.io.volumes import SdsResults
from engine.jobs.run_dir import RunDir
from engine.jobs.runner import run
from engine.specs.codec import validate
from engine.specs.sds import SdsSpec
from tests.benchmarks.sds_judging import controls, draw, judge, table
from tests.benchmarks.sds_motion import MotionFit
from tests.benchmarks.sds_subjects import Subject, add_subject, make_subject

Clock = Callable[[], float]


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Options of Verglas's own run."""
    group = parser.add_argument_group("Verglas")
    group.add_argument("--denoiser", default="closed_form", help="closed_form, or FILE.safetensors")
    group.add_argument("--minutes", type=float, help="stop then, and judge the volumes that are finished")
    group.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what minutes are counted by")
    group.add_argument("--threads", type=int, default=torch.get_num_threads())
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="any setting of the run, e.g. distillation.steps=80, start=nothing, restarts=5",
    )  # fmt: skip


def seconds_of(clock: str) -> Clock:
    """Seconds of the wall, or of this process's computing on all its threads."""
    return time.process_time if clock == "cpu" else time.monotonic


def spec_of(subject: Subject, options: argparse.Namespace) -> SdsSpec:
    """The run's description."""
    table: dict[str, Any] = {
        "kind": "sds",
        "title": subject.name,
        "averages": subject.averages.model_dump(),
        "seed": options.seed,
        "symmetry": options.symmetry,
        "volumes": "each" if subject.moves else "one",
        "device": "cpu",
    }
    if subject.moves:
        table["only"] = subject.chosen(options.volumes)
    if options.denoiser != "closed_form":
        table["denoiser"] = {"kind": "trained", "weights": str(Path(options.denoiser).absolute())}
    for assignment in options.set:
        key, _, text = assignment.partition("=")
        *path, last = key.split(".")
        part = table
        for name in path:
            part = part.setdefault(name, {})
        try:
            part[last] = json.loads(text)
        except json.JSONDecodeError:
            part[last] = text
    spec = validate(table)
    assert isinstance(spec, SdsSpec)
    return spec


def reconstruct(subject: Subject, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the engine in ``folder``; how long it took, and what it says of itself."""
    shutil.rmtree(folder, ignore_errors=True)
    torch.set_num_threads(options.threads)
    clock, began = seconds_of(options.clock), time.monotonic()
    cpu_began, start = time.process_time(), clock()
    limit = np.inf if options.minutes is None else 60 * options.minutes
    outcome = run(
        spec_of(subject, options), RunDir.create(folder, spec_of(subject, options)),
        cancel=lambda: clock() - start > limit,
    )  # fmt: skip
    if isinstance(outcome, Failed):
        raise SystemExit(f"Verglas failed: {outcome.message}\n{outcome.detail}")
    results = SdsResults(folder)
    metrics, facts = results.metrics() or {}, results.volumes()
    report: dict[str, Any] = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu_began,
        "outcome": type(outcome).__name__,
        "stages": metrics.get("seconds"),
        "agreement": (metrics.get("agreement") or {}).get("sentence"),
    }
    if facts:
        each = {
            k: [f.get(k, 0.0) for f in facts.values()]
            for k in ("seconds", "seconds_projector", "seconds_denoiser")
        }
        report["per_volume"] = {k: float(np.median(v)) for k, v in each.items()}
        others = subject.count - len(facts)
        report["seconds_for_all_images"] = report["seconds"] + others * report["per_volume"]["seconds"]
    return report


def judge_run(
    subject: Subject, options: argparse.Namespace, folder: Path, motion: MotionFit | None
) -> dict[str, dict[str, Any]]:
    """Reports by method name: the consensus, and one volume per image where there are such."""
    facts = reconstruct(subject, options, folder)
    results = SdsResults(folder)
    chosen = subject.chosen(options.volumes)
    reports = {}
    if subject.moves and results.volumes():
        finished = [i for i in chosen if i in results.volumes()]
        label = f"Verglas, {'closed form' if options.denoiser == 'closed_form' else 'trained'}"
        reports[label] = facts | judge(subject, lambda i: _density(results, i), finished, motion)
    if results.has("consensus.mrc"):
        consensus = results.consensus().density
        reports["Verglas, consensus"] = facts | judge(subject, lambda i: consensus, chosen, motion)
    return reports


def _density(results: SdsResults, image: int) -> NDArray[np.float32]:
    return results.volume(image).density


def finish(
    reports: dict[str, dict[str, Any]], subject: Subject, options: argparse.Namespace, extra: dict[str, Any]
) -> None:
    """Write JSON and figures, print the table."""
    content = {
        "subject": subject.name,
        "images": subject.count,
        "box": subject.box,
        "pixel_size_A": subject.pixel_A,
        "options": {k: str(v) for k, v in vars(options).items()},
        "methods": reports,
    }
    write_text(options.json, json.dumps(plain(content | extra)))
    title = f"{subject.name}, {subject.count} images of {subject.box} px"
    for mask in ("unmasked", "sphere"):
        draw(reports, options.json.with_name(f"{options.json.stem}_{mask}.png"), title, mask)
    sys.stdout.write(f"{title}\n{table(reports)}\n")


def main() -> None:
    """Run, judge, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_subject(parser)
    add_engine(parser)
    options = parser.parse_args()
    subject = make_subject(options)
    motion = MotionFit(subject.phantom, subject.box) if subject.phantom else None
    reports = judge_run(subject, options, options.out / "verglas", motion)
    if subject.moves:
        reports["mean of the true maps (control)"] = controls(
            subject, subject.chosen(options.volumes), motion
        )
    finish(reports, subject, options, {})


if __name__ == "__main__":
    main()
