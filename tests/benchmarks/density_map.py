"""Whether the density map of a run is nearer to the truth than its blurred cloud, beside controls.

``python -m tests.benchmarks.density_map --json OUT`` (data folder as for the other benchmarks)

Images of heavy atoms, their shares by atomic number, at random poses, with and without noise; the ensemble
is drawn from points made of these images, as a run does. Each map is compared with the atoms' density at the
same width by Fourier shell correlation, unmasked and unaligned: ``area`` is its mean up to the images'
resolution of three pixels (the correlation doesn't depend on any blur, so neither does the blurred cloud's).

Maps: ``blurred`` the ensemble's mean density; ``map`` refined against the images; ``gauss-blurred`` and
``gauss-map`` the same with the ensemble of a prior that knows no shapes; ``images`` the Wiener estimate from
the images alone, in a ball; ``outline`` likewise, with the ensemble as a mask and nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import wilcoxon

from engine.assignment.exact import set_workers
from engine.forward.fourier_slice import SliceProjector
from engine.forward.gaussians import splat_image
from engine.forward.map_posterior import MapPrior, posterior_mean, shell_filtered, shell_sums
from engine.io.clouds import read_clouds
from engine.io.export import typical_distance_A
from engine.numerics.fourier import fsc, resolution_at
from engine.numerics.mixtures import density_points
from engine.numerics.rotations import random_rotations
from engine.observations.background import particle_density
from engine.observations.evidence import Evidence, estimate_frame, to_observations
from engine.observations.projection import PosedImages
from engine.pipelines.density_map import Grid, choose_grid, density_map, place_images
from engine.pipelines.density_refinement import MODEL_ERROR, smoothed
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.job import DEFAULT_SAMPLER, FrameSpec
from tests.benchmarks.cells import Results, finish
from tests.benchmarks.tasks import data_folder

POINTS, PIXELS_PER_RESOLUTION, MARGIN = 1024, 3.0, 1.15
MAPS = ("blurred", "map", "gauss-blurred", "gauss-map", "images", "outline")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA): clouds and heavy atoms")
    parser.add_argument("--rows", default="1,3,5,7,9,11,13,15,17", help="of bench100, from 0")
    parser.add_argument("--views", default="3,5")
    parser.add_argument("--noise", default="0,1", help="standard deviation, in that of the images")
    parser.add_argument("--box", type=int, default=64, help="pixels of an image")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--json", required=True, type=Path, help="results; finished cells in it are kept")
    return parser.parse_args(words)


def simulated_images(
    atoms: np.ndarray, weights: np.ndarray, views: int, noise: float, seed: int, box: int
) -> PosedImages:
    """Projections as a user has them: random poses, three pixels to the resolution, white noise."""
    rng = np.random.default_rng(seed)
    pixel = 2 * MARGIN * float(np.linalg.norm(atoms, axis=1).max()) / box
    rotations = random_rotations(views, rng)
    width = PIXELS_PER_RESOLUTION * pixel
    stack = np.stack(
        [
            splat_image(
                (atoms @ r.T)[:, :2], pixel_size_A=pixel, box=box, resolution_A=width, weights=weights
            )
            for r in rotations
        ]
    )
    stack += rng.normal(scale=noise * stack.std(), size=stack.shape).astype(np.float32) if noise else 0
    rows = tuple(range(views))
    return PosedImages(stack, rows, rows, rotations, np.zeros((views, 2)), pixel)


class Bench:
    """What cells are computed with."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)
        set_workers(1)
        self.options, self.folder = options, data_folder(options.data)
        self.names = read_clouds(self.folder / "clouds" / "bench100.npz").names
        prior, card = load_prior(resolve("shipped"))
        self.priors = {"": prior, "gauss-": GaussianDenoiser(card.sigma_data)}

    def atoms(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n, 3) about their centre of mass, Å, and shares of mass."""
        with np.load(self.folder / "bench_atoms" / f"{self.names[row]}.npz", allow_pickle=False) as archive:
            coords, weights = archive["coords"].astype(float), archive["z"].astype(float)
        weights = np.maximum(weights, 1) / np.maximum(weights, 1).sum()
        return coords - weights @ coords, weights

    def ensemble(self, posed: PosedImages, who: str) -> np.ndarray:
        """Samples (n, points, 3) in Å, from the images as points."""
        box, pixel = posed.images.shape[1], posed.pixel_size_A
        evidence = []
        for row, image, rotation in zip(posed.rows, posed.images, posed.rotations, strict=True):
            origin = -pixel * np.array([box // 2, box // 2], float)
            cloud = density_points(particle_density(image), np.full(2, pixel), origin, POINTS, threshold=0.0)
            evidence.append(
                Evidence(f"view {row + 1}", rotation[:2], np.zeros(2), cloud.points_A, cloud.weights)
            )
        frame = estimate_frame(evidence, FrameSpec(), lambda note: None)
        x, _ = draw(
            self.priors[who],
            to_observations(evidence, frame, POINTS),
            DEFAULT_SAMPLER,
            sample_seeds(0, self.options.samples),
            points=POINTS,
            device=torch.device("cpu"),
            watch=lambda step: None,
        )
        return np.asarray(frame.to_A(x.double().numpy()))

    def cell(self, row: int, views: int, noise: float) -> dict:
        """Scores of all maps of one structure."""
        atoms, weights = self.atoms(row)
        posed = simulated_images(atoms, weights, views, noise, row, self.options.box)
        found: dict[str, Any] = {"atoms": len(atoms), "pixel_A": posed.pixel_size_A}
        for who in self.priors:
            started = time.process_time()
            points = self.ensemble(posed, who)
            drawn, started = time.process_time() - started, time.process_time()
            refined, mean = density_map(points, [posed])
            found[f"{who}seconds"] = {"draw": drawn, "map": time.process_time() - started}
            grid = choose_grid(points, posed.pixel_size_A)
            finest = PIXELS_PER_RESOLUTION * posed.pixel_size_A
            # a grid of its own for each ensemble: the truth goes with it
            truth = grid.density(atoms, weights)
            found[f"{who}blurred"] = score(mean.density, truth, grid, finest)
            found[f"{who}map"] = score(refined.density, truth, grid, finest)
            if not who:
                for name, density in from_images(points, [posed], grid).items():
                    found[name] = score(density, truth, grid, finest)
        return found


def from_images(points: np.ndarray, groups: list[PosedImages], grid: Grid) -> dict[str, np.ndarray]:
    """Wiener estimates whose prior mean is zero: in a ball, and in the ensemble's outline."""
    rotations, images, noise, covered = (torch.from_numpy(a).float() for a in place_images(groups, grid))
    n = grid.size
    projector = SliceProjector(n)
    views, unit = projector.views(rotations), images.std()
    stack = images / unit
    sigma = ((noise / unit).square() + (MODEL_ERROR * stack.std((1, 2))).square()).sqrt()
    precision = covered / sigma.square().view(-1, 1, 1)
    power, count = shell_sums(stack, stack, 2)
    signal = smoothed(power / count - float((covered * sigma.square().view(-1, 1, 1)).sum((1, 2)).mean()))
    signal = signal.clamp_min(1e-4 * float(signal.max()))
    axis = torch.arange(n) - n // 2
    ball = ((axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) < n * n / 4).float()
    k = torch.arange(n // 2 + 1) / n
    width = typical_distance_A(points[0]) / grid.voxel_A
    blur = torch.exp(-2 * (torch.pi * width * k).square())
    mean = torch.from_numpy(np.mean([grid.density(p) for p in points], axis=0))
    outline = shell_filtered(mean, blur).clamp_min(0).sqrt()
    found = {}
    for name, deviation in (("images", ball), ("outline", outline)):
        deviation = deviation / deviation.square().mean().sqrt()
        prior = MapPrior(torch.zeros(n, n, n), deviation, (signal / n**3).sqrt())
        found[name] = posterior_mean(projector, views, stack, precision, prior).numpy()
    return found


def score(density: np.ndarray, truth: np.ndarray, grid: Grid, finest_A: float) -> dict:
    """Area under the curve up to the images' resolution, where it falls below 0.5; correlation of voxels."""
    frequency, correlation = fsc(density, truth)
    within = (frequency > 0) & (frequency / grid.voxel_A <= 1 / finest_A)
    resolution = resolution_at(frequency, correlation, 0.5, grid.voxel_A)
    return {
        "area": float(correlation[within].mean()),
        "resolution_A": 2 * grid.voxel_A if resolution is None else resolution,
        "correlation": float(np.corrcoef(density.ravel(), truth.ravel())[0, 1]),
    }


def compute(bench: Bench, argument: tuple[int, int, float]) -> dict:
    """One cell, in a worker."""
    return bench.cell(*argument)


def report(cells: dict[str, dict]) -> str:
    """Means ± standard deviations for each task, and paired tests of ``map`` against the others."""
    lines = []
    for task in dict.fromkeys(k.rpartition("/")[0] for k in cells):
        mine = [c for k, c in cells.items() if k.rpartition("/")[0] == task]
        lines.append(f"\n{task}: {len(mine)} structures")
        best = {v: np.array([c["map"][v] for c in mine]) for v in ("area", "resolution_A", "correlation")}
        for name in MAPS:
            row = f"{name:14}"
            for measure, values in best.items():
                other = np.array([c[name][measure] for c in mine])
                row += f"  {measure} {other.mean():7.3f} ± {other.std(ddof=1) if len(mine) > 1 else 0:6.3f}"
                if name != "map":
                    wins = int(((values < other) if measure == "resolution_A" else (values > other)).sum())
                    p = wilcoxon(values, other).pvalue if len(mine) > 5 else float("nan")
                    row += f" (map better in {wins}, p {p:.2g})"
            lines.append(row)
        seconds = np.array([[c["seconds"]["draw"], c["seconds"]["map"]] for c in mine]).mean(0)
        lines.append(f"CPU seconds: ensemble {seconds[0]:.1f}, map {seconds[1]:.1f}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    options = arguments(words)
    data_folder(options.data)
    tasks = [
        (int(r), int(v), float(s))
        for v in options.views.split(",")
        for s in options.noise.split(",")
        for r in options.rows.split(",")
    ]
    results = Results(
        options.json,
        {"samples": options.samples, "box": options.box},
        {"prior": (sha256(resolve("shipped")), lambda key: True)},
    )
    wanted = {f"{v} views, noise {s:g}/{r}": (r, v, s) for r, v, s in tasks}

    def say(key: str, cell: dict) -> str:
        return f"{key}: " + ", ".join(f"{m} {cell[m]['area']:.3f}" for m in MAPS)

    finish(results, wanted, Bench, options, compute, say=say)
    sys.stdout.write(report({k: results.cells[k] for k in wanted}) + "\n")


if __name__ == "__main__":
    main()
