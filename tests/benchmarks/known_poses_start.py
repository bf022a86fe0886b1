"""Known poses, started from point clouds: does the map of a DPS run help where the views are few?

Of each structure K projections at known random poses, with and without noise, and 100 others at poses that
nobody knows as the 2D denoiser's library (``own images``: without any). A small DPS run of the same files
(shipped prior, and as the control a Gaussian prior) makes ``map.mrc``, with which methods begin;
``denoised + DPS map`` is the mean of both. All maps are compared with the atoms' density where they lie,
unaligned. Rows are appended to ``rows.jsonl``; the same command goes on where it stopped::

    python -m tests.benchmarks.known_poses_start --data DATA --out DIR --rows 1,3,5,7,9

Rows 0, 2, 4, ... of bench100 are for trying out, 1, 3, 5, ... for the table. ``--report`` only prints.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.assignment.exact import set_workers
from engine.distillation.volume_sds import ImageScale
from engine.forward.gaussians import splat_volume
from engine.forward.volume_projection import project
from engine.io.averages import prepare, soft_disc
from engine.io.class_averages import read_class_averages
from engine.io.clouds import read_clouds
from engine.io.mrc import read_volume, write_images
from engine.io.star import write_poses
from engine.numerics.regrid import same_origin
from engine.numerics.rotations import random_rotations
from engine.pipelines.context import RunContext
from engine.pipelines.dps import run as run_dps
from engine.pipelines.known_poses import fitted_start
from engine.priors.empirical import EmpiricalDenoiser
from engine.reconstruction.denoised_views import denoised_views_map
from engine.reconstruction.least_squares import data_map, wiener_map
from engine.reconstruction.problem import PosedProblem
from engine.reconstruction.view_denoiser import ViewDenoiser
from engine.specs.components import GaussianPrior, NetworkPrior, ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.known_poses import DataOnly, DenoisedViews
from engine.specs.samplers import Proximal
from engine.specs.sds import ClassAveragesInput
from engine.types import ImageStack, Poses
from tests.benchmarks.known_poses import read_rows
from tests.benchmarks.known_poses_cases import judge, noisy_views, posed_problem
from tests.benchmarks.known_poses_report import paired
from tests.benchmarks.tasks import data_folder

SIZE, MARGIN, PIXELS_PER_RESOLUTION, LIBRARY = 48, 1.15, 3.0, 100
SAMPLES, STEPS = 2, 20
ARMS = (
    "Wiener",
    "data",
    "denoised",
    "DPS map",
    "data, DPS start",
    "denoised, DPS start",
    "denoised low, DPS start",
    "Gaussian DPS map",
    "data, Gaussian start",
    "denoised, Gaussian start",
    "own images",
    "own images, DPS start",
    "own images, Gaussian start",
    "denoised + DPS map",
    "denoised + Gaussian DPS map",
)
LOW = DenoisedViews(sigma_first=0.6)
"""Lower first noise level, which leaves more of a start."""

AGAINST = (
    ("data, DPS start", "data"),
    ("denoised, DPS start", "denoised"),
    ("denoised low, DPS start", "denoised"),
    ("data, DPS start", "data, Gaussian start"),
    ("denoised, DPS start", "denoised, Gaussian start"),
    ("denoised + DPS map", "denoised"),
    ("denoised + DPS map", "denoised + Gaussian DPS map"),
    ("own images, DPS start", "own images"),
    ("own images, DPS start", "own images, Gaussian start"),
    ("own images, DPS start", "data, DPS start"),
    ("DPS map", "Gaussian DPS map"),
    ("denoised, DPS start", "DPS map"),
    ("data, DPS start", "denoised"),
)


@dataclass(frozen=True)
class Subject:
    """A structure as a map, and the denoiser of its projections."""

    truth: Tensor
    pixel_A: float
    radius_px: float
    asked: ViewDenoiser


def make_subject(folder: Path, data: Path, name: str, row: int) -> Subject:
    """Density of the heavy atoms about their centre of mass; class averages written, read and prepared."""
    with np.load(data / "bench_atoms" / f"{name}.npz", allow_pickle=False) as archive:
        atoms, weights = archive["coords"].astype(float), np.maximum(archive["z"].astype(float), 1)
    weights /= weights.sum()
    atoms = atoms - weights @ atoms
    pixel = 2 * MARGIN * float(np.linalg.norm(atoms, axis=1).max()) / SIZE
    truth = torch.from_numpy(
        splat_volume(
            atoms, voxel_size_A=pixel, shape=(SIZE,) * 3, origin_A=(-pixel * (SIZE // 2),) * 3,
            resolution_A=PIXELS_PER_RESOLUTION * pixel, weights=weights,
        )
    )  # fmt: skip
    turned = random_rotations(LIBRARY, np.random.default_rng([row, 1]))
    file = folder / f"library{row}.mrcs"
    write_images(file, ImageStack(project(truth, torch.from_numpy(turned).float()).numpy(), pixel))
    spec = ClassAveragesInput(file=str(file), contrast="white", box=SIZE)
    prepared = prepare(read_class_averages(file), spec)
    radius = prepared.mask_radius_px
    disc = torch.from_numpy(soft_disc(SIZE, radius))
    shapes = EmpiricalDenoiser.fit(prepared.stack.images, mask_radius_px=radius)
    asked = ViewDenoiser(shapes, ImageScale(float(prepared.background), disc))
    return Subject(truth, pixel, float(radius), asked)


def dps_start(
    folder: Path, images: Tensor, rotations: Tensor, subject: Subject, problem: PosedProblem, prior: str
) -> tuple[Tensor, float]:
    """The map of a small DPS run of these images as files, on the problem's grid and scale; seconds."""
    count, run = len(images), folder / prior
    run.mkdir(parents=True, exist_ok=True)
    write_images(folder / "views.mrcs", ImageStack(images.numpy(), subject.pixel_A))
    stated = Poses(
        rotations.numpy().astype(np.float64), np.zeros((count, 2)), ("views.mrcs",) * count,
        np.arange(count, dtype=np.int32), subject.pixel_A,
    )  # fmt: skip
    write_poses(folder / "poses.star", stated, box=SIZE)
    seen = ProjectionImages(images=str(folder / "views.mrcs"), poses=str(folder / "poses.star"))
    spec = DpsSpec(
        observations=(seen,), prior=NetworkPrior() if prior == "network" else GaussianPrior(),
        sampler=Proximal(steps=STEPS), samples=SAMPLES, control=0, refine_poses=False, device="cpu",
    )  # fmt: skip
    begun, path = time.perf_counter(), run / "results" / "map.mrc"
    if not path.is_file():
        run_dps(spec, RunContext(run, lambda event: None, lambda: False, torch.device("cpu"), "CPU"))
    seconds = time.perf_counter() - begun
    given = same_origin(read_volume(path), SIZE, subject.pixel_A)
    start = fitted_start(problem, torch.from_numpy(given))
    if start is None:
        raise SystemExit(f"{run}: the map doesn't fit its images.")
    return start, seconds


def arms(
    problem: PosedProblem, subject: Subject, dps: Tensor, control: Tensor, seed: int
) -> dict[str, Callable[[], Tensor]]:
    """Every arm by name."""
    scale, starts = subject.asked.scale, {"": None, ", DPS start": dps, ", Gaussian start": control}
    own = EmpiricalDenoiser.fit(
        (problem.images + scale.background * scale.disc).numpy(), mask_radius_px=subject.radius_px
    )

    def denoised(start: Tensor | None, settings: DenoisedViews, asked: ViewDenoiser) -> Tensor:
        return denoised_views_map(problem, asked, settings, seed=seed, start=start)

    def mean_with(other: Tensor) -> Tensor:
        return (denoised(None, DenoisedViews(), subject.asked) + other) / 2

    found: dict[str, Callable[[], Tensor]] = {
        "denoised + DPS map": lambda: mean_with(dps),
        "denoised + Gaussian DPS map": lambda: mean_with(control),
        "Wiener": lambda: wiener_map(problem),
        "DPS map": lambda: dps,
        "Gaussian DPS map": lambda: control,
        "denoised low, DPS start": lambda: denoised(dps, LOW, subject.asked),
    }
    for words, start in starts.items():
        found |= {
            f"data{words}": partial(data_map, problem, steps=DataOnly().steps, start=start),
            f"denoised{words}": partial(denoised, start, DenoisedViews(), subject.asked),
            f"own images{words}": partial(denoised, start, DenoisedViews(), ViewDenoiser(own, scale)),
        }
    return found


def cases(options: argparse.Namespace) -> Iterator[tuple[int, int, float]]:
    """(row, views, signal to noise), one structure after the other."""
    for row in (int(r) for r in options.rows.split(",")):
        for views in (int(v) for v in options.views.split(",")):
            for snr in (float(s) for s in options.snrs.split(",")):
                yield row, views, snr


def run(options: argparse.Namespace) -> None:
    data = data_folder(options.data)
    names = read_clouds(data / "clouds" / "bench100.npz").names
    done = {(r["case"], r["arm"]) for r in read_rows(options.out)}
    subjects: dict[int, Subject] = {}
    for row, views, snr in cases(options):
        key = f"{row} K{views} snr{snr:g}"
        if all((key, arm) in done for arm in ARMS):
            continue
        if row not in subjects:
            subjects = {row: make_subject(options.out, data, names[row], row)}
        subject = subjects[row]
        turned = random_rotations(views, np.random.default_rng([row, views]))
        rotations, disc = torch.from_numpy(turned).float(), subject.asked.scale.disc
        generator = torch.Generator().manual_seed(1000 * row + views)
        images, truth = noisy_views(subject.truth, rotations, snr, disc, generator)
        problem = posed_problem(images, rotations, snr, disc, subject.radius_px)
        folder = options.out / key.replace(" ", "_")
        dps, control = (
            dps_start(folder, images, rotations, subject, problem, prior) for prior in ("network", "gaussian")
        )

        makers = arms(problem, subject, dps[0], control[0], row)
        for arm, make in makers.items():
            if (key, arm) in done:
                continue
            begun = time.perf_counter()
            volume = make()
            seconds = time.perf_counter() - begun
            seconds += {"DPS map": dps[1], "Gaussian DPS map": control[1]}.get(arm, 0.0)
            found = judge(volume, truth, problem, subject.radius_px)
            written = {
                "case": key, "arm": arm, "row": row, "views": views, "snr": snr,
                "seconds": round(seconds, 2), **found,
            }  # fmt: skip
            with (options.out / "rows.jsonl").open("a") as file:
                file.write(json.dumps(written) + "\n")
        sys.stdout.write(f"{key}\n")
        sys.stdout.flush()


def report(rows: list[dict[str, Any]]) -> str:
    """Markdown: means ± standard deviations over structures, and paired differences with counts."""
    lines = []
    for measure in ("area", "measured", "unmeasured"):
        conditions = sorted({(r["views"], -r["snr"]) for r in rows})
        heads = " | ".join(f"K {k}, SNR {-s:g}" if s else f"K {k}, no noise" for k, s in conditions)
        lines += [f"\n**{measure}**\n", f"| arm | {heads} |", "|" + "-|" * (1 + len(conditions))]
        for arm in ARMS:
            cells = []
            for views, snr in conditions:
                values = [r[measure] for r in rows if (r["views"], -r["snr"], r["arm"]) == (views, snr, arm)]
                cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "")
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
        for arm, other in AGAINST:
            cells = []
            for views, snr in conditions:
                here = [r for r in rows if (r["views"], -r["snr"]) == (views, snr)]
                pairs = paired(here, arm, other, measure)
                difference = pairs[:, 0] - pairs[:, 1]
                better = int((difference > 0).sum())
                cells.append(
                    f"{difference.mean():+.3f} ± {difference.std():.3f}, {better}/{len(pairs)}"
                    if len(pairs)
                    else ""
                )
            lines.append(f"| {arm} minus {other} | " + " | ".join(cells) + " |")
    spent = [
        f"{arm} {np.median([r['seconds'] for r in rows if r['arm'] == arm]):.1f}"
        for arm in ARMS if any(r["arm"] == arm for r in rows)
    ]  # fmt: skip
    return "\n".join([*lines, "\nmedian seconds: " + ", ".join(spent)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA): clouds and heavy atoms")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", default="1,3,5,7,9", help="of bench100, from 0")
    parser.add_argument("--views", default="3,5")
    parser.add_argument("--snrs", default="0,1", help="0 stands for no noise")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_workers(1)
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.report:
        run(options)
    sys.stdout.write(report(read_rows(options.out)) + "\n")


if __name__ == "__main__":
    main()
