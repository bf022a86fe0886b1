"""Whether finer clouds of a run are nearer to the atoms, beside controls that only have as many points.

``python -m tests.benchmarks.finer --json OUT`` (data folder as for the other benchmarks)

Evidence: images of heavy atoms at random poses, as points, and coarse points where the task says so. The
coarse sample of 1024 points is drawn by the default sampler. Then, with 4096 points:

``split``: each point in four, with noise of 0.25, 0.5 or 0.75 times the distance between points, whichever is
best for the measure at hand (more points always lower the distance from atoms to points); ``gauss``: drawn
anew with a prior that knows no shapes; ``fine``: with the shipped prior, as `fine_points` does; ``floor``:
k-means of the atoms themselves.

Measures, unaligned: from each atom to the nearest point and from each point to the nearest atom (rms, Å),
RMSD to the 4096 k-means of the atoms, and the mean FSC with the atoms' density up to one over twice the
distance between coarse points, all clouds blurred alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.stats import wilcoxon

from engine.assignment.exact import set_workers
from engine.io.clouds import read_clouds
from engine.io.export import typical_distance_A
from engine.metrics.fsc import ensemble_fsc
from engine.metrics.rmsd import rmsd_atoms, rmsd_points
from engine.numerics.mixtures import density_points, kmeans_points
from engine.observations.background import particle_density
from engine.observations.evidence import Evidence, estimate_frame, to_observations
from engine.pipelines.draw import draw
from engine.pipelines.finer import finer_sample
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.job import DEFAULT_SAMPLER, FrameSpec
from tests.benchmarks.cells import Results, finish
from tests.benchmarks.density_map import simulated_images
from tests.benchmarks.tasks import data_folder

POINTS, PARTS, SIGMA = 1024, 4, 0.01
SPLITS = (0.25, 0.5, 0.75)
CLOUDS = ("coarse", "split", "gauss", "fine", "floor")
MEASURES = {"atoms_A": min, "points_A": min, "rmsd_A": min, "fsc": max}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA): clouds and heavy atoms")
    parser.add_argument("--rows", default="1,3,5,7,9,11,13,15", help="of bench100, from 0")
    parser.add_argument("--tasks", default="3,5,1+40", help="views, or views+coarse points")
    parser.add_argument("--box", type=int, default=96, help="pixels of an image")
    parser.add_argument("--json", required=True, type=Path, help="results; finished cells in it are kept")
    return parser.parse_args(words)


class Bench:
    """What cells are computed with."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)
        set_workers(1)
        self.options, self.folder = options, data_folder(options.data)
        self.names = read_clouds(self.folder / "clouds" / "bench100.npz").names
        self.prior, card = load_prior(resolve("shipped"))
        self.gauss = GaussianDenoiser(card.sigma_data)

    def cell(self, row: int, views: int, coarse_points: int) -> dict:
        """Measures of every cloud of one structure; nothing for one with too few atoms."""
        with np.load(self.folder / "bench_atoms" / f"{self.names[row]}.npz", allow_pickle=False) as archive:
            atoms = archive["coords"].astype(float)
        atoms -= atoms.mean(0)
        many = POINTS * PARTS
        if len(atoms) < 2 * many:
            return {}
        posed = simulated_images(
            atoms, np.full(len(atoms), 1 / len(atoms)), views, 0.0, row, self.options.box
        )
        pixel, evidence = posed.pixel_size_A, {POINTS: list[Evidence](), many: list[Evidence]()}
        for count, found in evidence.items():
            for image, rotation in zip(posed.images, posed.rotations, strict=True):
                corner = -pixel * np.full(2, self.options.box // 2, float)
                cloud = density_points(
                    particle_density(image), np.full(2, pixel), corner, count, threshold=0.0
                )
                found.append(Evidence("view", rotation[:2], np.zeros(2), cloud.points_A, cloud.weights))
            if coarse_points:
                few = kmeans_points(atoms, coarse_points)
                found.append(Evidence("coarse", np.eye(3), np.zeros(3), few.points_A, few.weights))
        frame = estimate_frame(evidence[POINTS], FrameSpec(), lambda note: None)
        x, _ = draw(
            self.prior,
            to_observations(evidence[POINTS], frame, POINTS),
            DEFAULT_SAMPLER,
            sample_seeds(0, 1),
            points=POINTS,
            device=torch.device("cpu"),
            watch=lambda step: None,
        )
        coarse_A = np.asarray(frame.to_A(x[0].double().numpy()))
        spacing, truth = typical_distance_A(coarse_A), np.asarray(kmeans_points(atoms, many).points_A)
        tree = cKDTree(atoms)

        def judged(cloud_A: np.ndarray) -> dict[str, float]:
            curve = ensemble_fsc(cloud_A[None], atoms, resolution_A=2.2 * spacing)
            within = (curve.frequency_per_A > 0) & (curve.frequency_per_A <= 0.5 / spacing)
            like = truth if len(cloud_A) == many else np.asarray(kmeans_points(atoms, POINTS).points_A)
            return {
                "atoms_A": rmsd_atoms(cloud_A, atoms),
                "points_A": float(np.sqrt((tree.query(cloud_A)[0] ** 2).mean())),
                "rmsd_A": rmsd_points(cloud_A, like),
                "fsc": float(curve.correlation[within].mean()),
            }

        noise = np.random.default_rng(row).normal(size=(many, 3))
        splits = [judged(np.repeat(coarse_A, PARTS, axis=0) + s * spacing * noise) for s in SPLITS]
        found = {
            "coarse": judged(coarse_A),
            "split": {name: better(s[name] for s in splits) for name, better in MEASURES.items()},
            "floor": judged(truth),
        }
        observations = to_observations(evidence[many], frame, many)
        for name, prior in (("gauss", self.gauss), ("fine", self.prior)):
            started = time.process_time()
            fine = finer_sample(prior, observations, x, PARTS, 1, SIGMA)
            seconds = time.process_time() - started
            found[name] = {**judged(np.asarray(frame.to_A(fine[0].double().numpy()))), "seconds": seconds}
        return found


def compute(bench: Bench, argument: tuple[int, int, int]) -> dict:
    """One cell, in a worker."""
    return bench.cell(*argument)


def report(cells: dict[str, dict]) -> str:
    """Means ± standard deviations for each task, and paired tests of ``fine`` against ``split``."""
    lines = []
    for task in dict.fromkeys(k.rpartition("/")[0] for k in cells):
        mine = [c for k, c in cells.items() if k.rpartition("/")[0] == task and c]
        lines.append(f"\n{task}: {len(mine)} structures")
        for name in CLOUDS:
            row = f"{name:8}"
            for measure in MEASURES:
                values = np.array([c[name][measure] for c in mine])
                row += f"  {measure} {values.mean():7.3f} ± {values.std(ddof=1) if len(mine) > 1 else 0:6.3f}"
            lines.append(row)
        for measure, better in MEASURES.items():
            fine, split = (np.array([c[n][measure] for c in mine]) for n in ("fine", "split"))
            wins = int(((fine < split) if better is min else (fine > split)).sum())
            p = wilcoxon(fine, split).pvalue if len(mine) > 5 else float("nan")
            lines.append(
                f"  {measure}: fine better than split in {wins} of {len(mine)}, "
                f"{100 * (fine.mean() / split.mean() - 1):+.1f} %, p {p:.2g}"
            )
        seconds = np.mean([c["fine"]["seconds"] for c in mine])
        lines.append(f"  CPU seconds for each sample: {seconds:.1f}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    options = arguments(words)
    data_folder(options.data)
    wanted = {}
    for task in options.tasks.split(","):
        views, _, coarse = task.partition("+")
        for row in options.rows.split(","):
            wanted[f"{task} views/{row}"] = (int(row), int(views), int(coarse or 0))
    results = Results(
        options.json,
        {"box": options.box},
        {"prior": (sha256(resolve("shipped")), lambda key: True)},
    )

    def say(key: str, cell: dict) -> str:
        return f"{key}: " + ", ".join(f"{n} {cell[n]['atoms_A']:.2f}" for n in CLOUDS if cell)

    finish(results, wanted, Bench, options, compute, say=say)
    sys.stdout.write(report({k: results.cells[k] for k in wanted}) + "\n")


if __name__ == "__main__":
    main()
