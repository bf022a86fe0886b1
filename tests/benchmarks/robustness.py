"""How wrong poses, shifts, pixel sizes and noise cost accuracy, with corrections and without.

``python -m tests.benchmarks.robustness --tasks 5x1024,2x1024+cg40 --json OUT``

Half-widths span 33 pixels of a 100 pixel box. Errors are planted about random axes and in random
directions, each view by the full amount. Conditions: ``turn5`` 5 degrees, ``shift3`` 3 pixels, ``scale2``
views 2 % too large or too small by turns, ``snr0.3`` images rendered from the heavy atoms at 3 pixels
resolution with white noise of that ratio of variances (whole image), read back by the way that a user's
images take; joined by ``+``. Each cell is computed with the poses as stated and with the corrections of a
default run; finished cells are kept in OUT. RMSD: to the 1024 points after radius-of-gyration scaling and
rigid alignment, as in `dps_accuracy`.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from engine.assignment.exact import set_workers
from engine.forward.gaussians import splat_image
from engine.io.clouds import read_clouds
from engine.io.mrc import write_images
from engine.io.star import write_poses
from engine.metrics.rmsd import rmsd_table
from engine.numerics.mixtures import kmeans_points
from engine.numerics.rotations import angle_between, random_rotations
from engine.observations.evidence import Evidence, estimate_frame, to_observations
from engine.observations.pose_correction import correct_poses, whole_rotation
from engine.observations.projection import from_images
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.sampling.schedules import sample_seeds
from engine.specs.components import ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.samplers import DEFAULT_SAMPLER
from engine.types import ImageStack, Poses
from tests.benchmarks.cells import Results, finish
from tests.benchmarks.tasks import Task, atoms_of, data_folder

BOX, HALF_PX, RESOLUTION_PX = 100, 33, 3.0
MOST_ATOMS = 30_000
CONDITIONS = (
    "exact,turn2,turn5,turn10,turn15,shift1,shift3,shift10,scale2,turn5+shift3+scale2,snrinf,snr1,snr0.3,snr0.1,"
    "snr0.05,snr0.3+turn5"
)
_PART = re.compile(r"(turn|shift|scale|snr)(inf|\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Condition:
    """What is wrong with the views: degrees, pixels, per cent, noise of images (None: exact points)."""

    name: str
    turn: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    snr: float | None = None

    @classmethod
    def parse(cls, text: str) -> Condition:
        if text == "exact":
            return cls(text)
        found = [_PART.fullmatch(part) for part in text.split("+")]
        if not all(found):
            raise SystemExit(f"'{text}' is not a condition; write e.g. turn5+shift3 or snr0.3.")
        return cls(text, **{m[1]: float(m[2]) for m in found if m})


def evidence_of(
    truth: np.ndarray, atoms: np.ndarray, scale_A: float, task: Task, condition: Condition, seed: int
) -> tuple[list[Evidence], np.ndarray]:
    """Evidence in Å with planted errors, and the true rotations."""
    rng = np.random.default_rng(seed)
    rotations = random_rotations(task.views, rng)
    axes, ways = rng.normal(size=(task.views, 3)), rng.normal(size=(task.views, 2))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    stated = Rotation.from_rotvec(np.radians(condition.turn) * axes).as_matrix() @ rotations
    pixel = scale_A / HALF_PX
    offsets = condition.shift * pixel * ways
    factors = 1 + condition.scale / 100 * (-1.0) ** np.arange(task.views)
    if condition.snr is None:
        evidence = []
        for k, (true, wrong) in enumerate(zip(rotations, stated, strict=True)):
            points, weights = scale_A * (truth @ true.T)[:, :2] + offsets[k], None
            if task.view_points < len(truth):
                cloud = kmeans_points(points, task.view_points, seed=seed)
                points, weights = cloud.points_A, cloud.weights
            evidence.append(Evidence(f"view {k + 1}", wrong[:2], np.zeros(2), points * factors[k], weights))
    else:
        images = np.stack(
            [
                splat_image(
                    (atoms @ r.T)[:, :2] + offset,
                    pixel_size_A=pixel / f,
                    box=BOX,
                    resolution_A=RESOLUTION_PX * pixel,
                )
                for r, offset, f in zip(rotations, offsets, factors, strict=True)
            ]
        ).astype(np.float64)
        if np.isfinite(condition.snr):
            deviation = np.sqrt(images.var(axis=(1, 2), keepdims=True) / condition.snr)
            images += deviation * rng.normal(size=images.shape)
        evidence = through_files(images.astype(np.float32), stated, pixel, task.view_points, len(truth))
    if task.coarse:
        cloud = kmeans_points(truth, task.coarse, seed=seed)
        evidence.append(Evidence("coarse", np.eye(3), np.zeros(3), scale_A * cloud.points_A, cloud.weights))
    return evidence, rotations


def through_files(
    images: np.ndarray, stated: np.ndarray, pixel: float, points: int, most: int
) -> list[Evidence]:
    """Images and poses as a user gives them: a stack and a STAR file."""
    with tempfile.TemporaryDirectory() as name:
        stack, poses = Path(name) / "v.mrcs", Path(name) / "v.star"
        write_images(stack, ImageStack(images, pixel))
        count = len(images)
        order = np.arange(count, dtype=np.int32)
        write_poses(
            poses,
            Poses(stated, np.zeros((count, 2)), ("v.mrcs",) * count, order, pixel),
            box=images.shape[-1],
        )
        spec = ProjectionImages(images=str(stack), poses=str(poses), points=points, contrast="white")
        return from_images(spec, lambda note: None, most_points=most)


def relative_deg(found: np.ndarray, truth: np.ndarray, fixed: bool) -> float:
    """Root mean square angle, after the best common turn where nothing else fixes the object."""
    common = np.eye(3)
    if not fixed:
        u, _, vt = np.linalg.svd(np.einsum("kij,kil->jl", truth, found))
        common = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return float(np.degrees(np.sqrt((angle_between(found, truth @ common) ** 2).mean())))


class Bench:
    """What a worker computes cells with."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)
        set_workers(1)
        self.options = options
        folder = data_folder(options.data)
        self.clouds = read_clouds(options.clouds or folder / "clouds" / "bench100.npz")
        self.atoms_folder = folder / "bench_atoms"
        self.prior, _ = load_prior(resolve(options.prior))
        self.spec = DpsSpec.model_construct(**{n: f.default for n, f in DpsSpec.model_fields.items()})

    def cell(self, row: int, task: Task, condition: Condition) -> dict:
        """RMSDs of the samples and pose errors, as stated and corrected."""
        truth, scale_A = self.clouds.points[row].astype(np.float64), float(self.clouds.scale_A[row])
        atoms = atoms_of(self.atoms_folder, self.clouds.names[row], truth * scale_A)
        drawn = atoms if atoms is not None else truth * scale_A
        if len(drawn) > MOST_ATOMS:
            drawn = np.random.default_rng(0).permutation(drawn)[:MOST_ATOMS]
        evidence, rotations = evidence_of(truth, drawn, scale_A, task, condition, self.options.seed + row)
        out: dict = {}
        for name in ("stated", "corrected"):
            started = time.process_time()
            used, reports = correct_poses(
                evidence,
                self.spec.model_copy(update={"refine_poses": name == "corrected"}),
                lambda note: None,
            )
            out[f"{name}_fit_seconds"] = time.process_time() - started
            frame = estimate_frame(used, self.spec.frame, lambda note: None)
            x, _ = draw(
                self.prior,
                to_observations(used, frame, len(truth)),
                DEFAULT_SAMPLER,
                sample_seeds(self.options.seed, self.options.samples),
                points=len(truth),
                device=torch.device("cpu"),
                watch=lambda step: None,
            )
            tables = [rmsd_table(m, truth * scale_A, atoms) for m in frame.to_A(x.double().numpy())]
            views = np.stack([whole_rotation(e.projector) for e in used if len(e.projector) == 2])
            out[name] = [t.points_A for t in tables]
            out[f"{name}_atoms"] = [t.atoms_A for t in tables if t.atoms_A is not None]
            out[f"{name}_unaligned"] = [t.points_unaligned_A for t in tables]
            out[f"{name}_deg"] = relative_deg(views, rotations, bool(task.coarse))
            out[f"{name}_outliers"] = sum(r.outlier for r in reports)
        return out


def compute(bench: Bench, argument: tuple[int, str, str]) -> dict:
    """One cell, in a worker."""
    row, task, condition = argument
    return bench.cell(row, Task.parse(task), Condition.parse(condition))


def report(
    cells: dict[str, dict], tasks: Sequence[str], conditions: Sequence[str], names: Sequence[str]
) -> str:
    """Means ± standard deviations over structures (means of their samples), and ratios to exact poses."""
    lines = []
    for task in tasks:
        lines.append(
            f"\n{task}: {len(names)} structures; RMSD points Å, ratio to exact; pose error left, degrees"
        )
        best: dict[str, np.ndarray] = {}
        for condition in conditions:
            mine = [cells[f"{task}/{condition}/{n}"] for n in names]
            base = "snrinf" if condition.startswith("snr") else "exact"
            line = f"{condition:22}"
            for name in ("stated", "corrected"):
                values = np.array([np.mean(c[name]) for c in mine])
                if condition in ("exact", "snrinf") and name == "stated":
                    best[base] = values
                ratio = values.mean() / best[base].mean() if base in best else np.nan
                degrees = np.mean([c[f"{name}_deg"] for c in mine])
                line += (
                    f"  {name} {values.mean():6.2f} ±{values.std(ddof=1):5.2f} ({ratio:5.2f}×) "
                    f"{degrees:5.2f}°"
                )
            lines.append(line + f"  outliers {sum(c['corrected_outliers'] for c in mine)}")
    return "\n".join(lines)


AXES = (
    ("error of rotations, degrees", {"exact": 0, "turn2": 2, "turn5": 5, "turn10": 10, "turn15": 15}),
    ("error of shifts, pixels", {"exact": 0, "shift1": 1, "shift3": 3, "shift10": 10}),
    ("signal over noise", {"snrinf": 3, "snr1": 1, "snr0.3": 0.3, "snr0.1": 0.1, "snr0.05": 0.05}),
)


def figure(cells: dict[str, dict], task: str, names: Sequence[str], path: Path) -> None:
    """RMSD against each kind of error, with corrections and without; whiskers are standard errors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(9.0, 3.0), sharey=True, layout="constrained")
    looks = {"stated": ("as stated", "#c44e52", "o"), "corrected": ("corrected", "#4c72b0", "s")}
    for ax, (title, points) in zip(axes, AXES, strict=True):
        have = [c for c in points if sum(f"{task}/{c}/{n}" in cells for n in names) > 1]
        shared = [n for n in names if all(f"{task}/{c}/{n}" in cells for c in have)]
        if not shared:
            continue
        for name, (words, colour, marker) in looks.items():
            values = np.array([[np.mean(cells[f"{task}/{c}/{n}"][name]) for n in shared] for c in have])
            ax.errorbar(
                [points[c] for c in have], values.mean(1), values.std(1, ddof=1) / np.sqrt(len(shared)),
                label=words, color=colour, marker=marker, capsize=3, markersize=5,
            )  # fmt: skip
        ax.set_xlabel(title)
        ax.set_title(f"{len(shared)} structures", fontsize="small")
        ax.spines[["top", "right"]].set_visible(False)
        if "snrinf" in points:
            ax.set_xscale("log")
            ax.invert_xaxis()
            ax.set_xticks([points[c] for c in have], ["∞" if c == "snrinf" else c[3:] for c in have])
            ax.minorticks_off()
    axes[0].set_ylabel("RMSD to 1024 points, Å")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    fig.savefig(path, dpi=150)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clouds", help="npz of clouds; default clouds/bench100.npz of the data folder")
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--tasks", default="5x1024,2x1024+cg40")
    parser.add_argument("--conditions", default=CONDITIONS)
    parser.add_argument("--rows", default="1,3,5,7,9,11,13,15", help="structures, from 0")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--prior", default="shipped")
    parser.add_argument("--figure", type=Path, help="picture of the first task's results")
    parser.add_argument("--json", required=True, type=Path, help="results; finished cells in it are kept")
    return parser.parse_args(words)


def run(options: argparse.Namespace) -> None:
    """Compute what is not yet in the results file, then print the tables."""
    folder = data_folder(options.data)
    names = read_clouds(options.clouds or folder / "clouds" / "bench100.npz").names
    rows = [int(r) for r in options.rows.split(",")]
    tasks, conditions = options.tasks.split(","), options.conditions.split(",")
    settings = {"samples": options.samples, "seed": options.seed, "sampler": DEFAULT_SAMPLER.model_dump()}
    digest = sha256(resolve(options.prior))
    results = Results(options.json, settings, {"prior_sha256": (digest, lambda key: True)})
    wanted = {
        f"{task}/{condition}/{names[row]}": (row, task, condition)
        for condition, task, row in product(conditions, tasks, rows)
    }
    finish(
        results, wanted, Bench, options, compute, workers=options.workers,
        say=lambda key, c: f"{key}: {np.mean(c['stated']):.2f} -> {np.mean(c['corrected']):.2f} Å",
    )  # fmt: skip
    sys.stdout.write(report(results.cells, tasks, conditions, [names[r] for r in rows]) + "\n")
    if options.figure:
        figure(results.cells, tasks[0], [names[r] for r in rows], options.figure)


if __name__ == "__main__":
    run(arguments())
