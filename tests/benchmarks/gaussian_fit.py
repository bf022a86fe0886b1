"""How well do 3D Gaussians hold a map, and at what cost, beside voxels?

Noise-free projections of a known map in many random directions; Gaussians (spheres or ellipsoids, with and
without densification) and voxels (:func:`engine.reconstruction.least_squares.data_map`) are fitted to them
with the same number of gradient steps. Gaussians are seeded in the Wiener map of the same images. Maps: the
two phantoms, and with ``--data`` (or ``VERGLAS_DATA``) real particles, cut from their background, positive.
Judged by the area under the Fourier shell correlation with the truth, nothing masked, and by processor
seconds as multiples of the voxels'. Run as ``python -m tests.benchmarks.gaussian_fit``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.forward.fourier_slice import SliceProjector
from engine.io.mrc import read_volume
from engine.metrics.volumes import fsc_area, soft_mask, soft_sphere, volume_fsc
from engine.numerics.fourier_sampling import fourier_resample
from engine.numerics.rotations import random_rotations
from engine.pipelines.simulate_phantom import phantom_volume
from engine.reconstruction.gaussian_model import GaussianModel
from engine.reconstruction.least_squares import data_map, wiener_map
from engine.reconstruction.problem import PosedProblem

REAL_MAPS = ("betagal_100px_3.54A", "groel_emd1080", "ribosome70S_65px")


@dataclass(frozen=True)
class Arm:
    """One way to fit Gaussians."""

    name: str
    anisotropic: bool
    densified: bool


ARMS = (
    Arm("spheres", False, False),
    Arm("spheres, densified", False, True),
    Arm("ellipsoids", True, False),
    Arm("ellipsoids, densified", True, True),
)


def problem_of(truth: np.ndarray, views: int, seed: int) -> PosedProblem:
    """Projections of a map in random directions, without noise."""
    size = len(truth)
    projector = SliceProjector(size)
    rotations = torch.tensor(random_rotations(views, np.random.default_rng(seed)), dtype=torch.float32)
    images = projector.project(torch.tensor(truth, dtype=torch.float32), rotations)
    mask = torch.tensor(soft_sphere(size))
    return PosedProblem(images, rotations, images.new_zeros(views, 2), 0.0, mask, projector)


def fit(problem: PosedProblem, start: Tensor, arm: Arm, options: argparse.Namespace) -> GaussianModel:
    """Least squares on all images at once; shapes are freed and Gaussians divided on the way."""
    steps = options.steps
    model = GaussianModel.from_volume(start, options.count, options.seed)
    for step in range(steps):
        if arm.anisotropic and step == steps // 4:
            model.free_shapes()
        if arm.densified and step and step % max(1, steps // 4) == 0 and step <= 0.67 * steps:
            model.densify_and_prune(options.most)
        residuals = model.project(problem.rotations, problem.shifts_px) - problem.images
        model.descend(problem.rotations, problem.shifts_px, residuals, 1.0 - 0.9 * step / steps)
    return model


def area(volume: Tensor, truth: np.ndarray) -> float:
    """Under the FSC with the truth, nothing masked."""
    return fsc_area(volume_fsc(volume.numpy(), truth, 1.0).correlation)


def misfit(images: Tensor, problem: PosedProblem) -> float:
    """Root mean square of what is left over, as a share of the images'."""
    return float((images - problem.images).norm() / problem.images.norm())


def subjects(size: int, data: Path | None, names: list[str]) -> dict[str, np.ndarray]:
    """Maps by name, each scaled to a largest value of 1."""
    found = {
        "box": phantom_volume("box", np.array([70.0, 25.0]), size),
        "capsid": phantom_volume("capsid", np.array([0.4]), size),
    }
    for name in REAL_MAPS if data else ():
        path = next(iter(sorted((data or Path()).glob(f"maps/{name}*"))), None)
        if path is not None:
            volume = read_volume(path)
            density = fourier_resample(volume.density, size)
            # the particle, on a background of zero
            found[name] = np.asarray(np.maximum(density * soft_mask(density, 1.0, low_pass_A=6.0), 0))
    chosen = {name: volume for name, volume in found.items() if not names or name in names}
    return {name: volume / volume.max() for name, volume in chosen.items()}


def measure(name: str, truth: np.ndarray, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the table for one map."""
    problem = problem_of(truth, options.views, options.seed)
    start = wiener_map(problem)
    rows: list[dict[str, Any]] = []

    def tell(fit: str, volume: Tensor, images: Tensor, count: int = 0, seconds: float = 0.0) -> None:
        row = {"map": name, "fit": fit, "gaussians": count, "area": area(volume, truth)}
        row |= {"misfit": misfit(images, problem), "seconds": seconds, "ratio": seconds / cost}
        rows.append(row)
        numbers = (
            f"{count or '':>10}{row['area']:10.4f}{row['misfit']:9.4f}{seconds:9.1f}{seconds / cost:8.2f}"
        )
        print(f"{name:24}{fit:24}{numbers}", flush=True)

    began = time.process_time()
    voxels = data_map(problem, steps=options.steps)
    cost = time.process_time() - began
    tell("Wiener", start, problem.seen(start))
    tell("voxels", voxels, problem.seen(voxels), seconds=cost)
    seeds = GaussianModel.from_volume(start, options.count, options.seed)
    tell("spheres as seeded", seeds.volume(), seeds.project(problem.rotations, None), len(seeds))
    for arm in ARMS:
        if options.arms and arm.name not in options.arms:
            continue
        began = time.process_time()
        model = fit(problem, start, arm, options)
        seconds = time.process_time() - began
        tell(arm.name, model.volume(), model.project(problem.rotations, None), len(model), seconds)
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--views", type=int, default=60)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--most", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="names of maps")
    parser.add_argument("--arms", nargs="*", default=[], help="names of fits")
    parser.add_argument("--data", type=Path, default=os.environ.get("VERGLAS_DATA"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = Path(options.data) if options.data else None
    print(f"{'map':24}{'fit':24}{'Gaussians':>10}{'FSC area':>10}{'misfit':>9}{'seconds':>9}{'ratio':>8}")
    rows = []
    for name, truth in subjects(options.size, data, options.only).items():
        rows += measure(name, truth, options)
    if options.json:
        options.json.write_text(json.dumps({"options": vars(options), "rows": rows}, default=str))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
