"""Would a noise level fitted from the residuals draw better than the fixed one? Weights of views, too.

``python -m tests.benchmarks.noise_levels``

Evidence is exact, noisy, or has one view that is noisy or turned. Three times in turn two clouds are drawn,
and each view's error is fitted from their residuals (:func:`engine.observations.misfit.fitted_sigma`; ``em``
adds the uncertainty of the points); its weight is the square of the least over its own. Then three clouds are
drawn with the fitted errors, and with fixed ones. Prior: the isotropic Gaussian, so that the evidence counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from engine.io.clouds import read_clouds
from engine.metrics.rmsd import rmsd_points
from engine.numerics.rotations import random_rotations
from engine.observations.matched import MatchedPoints
from engine.observations.misfit import fitted_sigma
from engine.pipelines.draw import draw
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import DEFAULT_SAMPLER
from tests.benchmarks.tasks import data_folder

SIGMA_DATA, FIXED, LEAST, ROUNDS = 0.363, (0.01, 0.03, 0.06), 0.005, 3
CASES = {
    # views, noise of all, of the first, turn of the first in degrees
    "3 exact views": (3, 0.0, 0.0, 0.0),
    "3 views, noise 0.03": (3, 0.03, 0.0, 0.0),
    "5 views, noise 0.06": (5, 0.06, 0.0, 0.0),
    "5 views, one with noise 0.1": (5, 0.0, 0.1, 0.0),
    "4 views, one turned by 25°": (4, 0.0, 0.0, 25.0),
}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--rows", default="62", help="of bench100, separated by commas")
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--steps", type=int, default=16)
    return parser.parse_args(words)


def views_of(truth: np.ndarray, case: tuple[int, float, float, float], seed: int) -> list[MatchedPoints]:
    """Projections with the errors of a case."""
    count, noise, of_first, turn = case
    rng = np.random.default_rng(1)
    found = []
    for i, rotation in enumerate(random_rotations(count, np.random.default_rng(seed))):
        true = rotation
        if i == 0 and turn:
            true = Rotation.from_rotvec(np.deg2rad(turn) * np.array([0.6, 0.8, 0.0])).as_matrix() @ rotation
        error = max(noise, of_first if i == 0 else 0.0)
        seen = (truth @ true.T)[:, :2] + error * rng.standard_normal((len(truth), 2))
        found.append(MatchedPoints(f"view {i + 1}", rotation[:2], seen, len(truth)))
    return found


class Case:
    """Draws clouds from views with given errors."""

    def __init__(self, options: argparse.Namespace, views: list[MatchedPoints], truth: np.ndarray) -> None:
        self.options, self.views, self.truth = options, views, truth

    def drawn(self, errors: np.ndarray, count: int, seed: int) -> torch.Tensor:
        for view, error in zip(self.views, errors, strict=True):
            view.weight = float((errors.min() / error) ** 2)
        sampler = DEFAULT_SAMPLER.model_copy(
            update={"steps": self.options.steps, "observation_sigma": float(errors.min())}
        )
        x, _ = draw(
            GaussianDenoiser(SIGMA_DATA), self.views, sampler, sample_seeds(seed, count),
            points=len(self.truth), device=torch.device("cpu"), watch=lambda step: None,
        )  # fmt: skip
        return x

    def rmsd(self, errors: np.ndarray) -> float:
        return float(np.mean([rmsd_points(m, self.truth) for m in self.drawn(errors, 3, 0).double().numpy()]))

    def fitted(self, *, em: bool) -> np.ndarray:
        errors = np.full(len(self.views), 0.03)
        for _ in range(ROUNDS):
            x = self.drawn(errors, 2, 77)
            precision = torch.eye(3) / SIGMA_DATA**2
            for view, error in zip(self.views, errors, strict=True):
                precision = precision + view.projector.T @ view.projector / float(error) ** 2
            covariance = torch.linalg.inv(precision)
            errors = np.array([
                max(LEAST, fitted_sigma(v, x, v.match(x), float(
                    (v.projector @ covariance @ v.projector.T).trace() / 2) if em else 0.0))
                for v in self.views
            ])  # fmt: skip
        return errors


def run(options: argparse.Namespace) -> None:
    """A line for each case: RMSD in hundredths of the half-size."""
    torch.set_num_threads(1)
    clouds = read_clouds(data_folder(options.data) / "clouds" / "bench100.npz")
    head = "".join(f"{f'fixed {s}':>12}" for s in FIXED)
    sys.stdout.write(f"{'':30}{head}{'fitted':>9}{'em':>9}  fitted errors\n")
    for row in map(int, options.rows.split(",")):
        chosen = np.random.default_rng(0).permutation(clouds.points.shape[1])[: options.points]
        truth = clouds.points[row].astype(np.float64)[chosen]
        for name, numbers in CASES.items():
            case = Case(options, views_of(truth, numbers, row), truth)
            fixed = [case.rmsd(np.full(len(case.views), s)) for s in FIXED]
            fitted = {em: case.fitted(em=em) for em in (False, True)}
            told = [100 * v for v in (*fixed, *(case.rmsd(e) for e in fitted.values()))]
            line = f"{name:30}" + "".join(f"{v:12.2f}" for v in told[:3])
            line += "".join(f"{v:9.2f}" for v in told[3:])
            sys.stdout.write(f"{line}  {' '.join(f'{e:.3f}' for e in fitted[False])}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    run(arguments())
