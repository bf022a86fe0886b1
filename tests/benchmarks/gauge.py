"""Does the gauge mark what the prior invented? A part that is known, and the rest seen in one view only.

``python -m tests.benchmarks.gauge --limit 6``

For each structure: a piece of half of its points is known in place, the other half is seen in one projection,
so that its depth comes from the prior. Which half a point of the result belongs to is known from the truth.
Told is how often a point of the half-seen part has the higher gauge, the larger spread, the larger stated
error than one of the known part: 0.5 is chance, 1 is never wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from engine.io.clouds import read_clouds
from engine.metrics.ensemble import matched, spread_of_matched
from engine.metrics.gauge import assigned, free_clouds, gauge
from engine.metrics.stated_error import CALIBRATED
from engine.observations.misfit import left_open
from engine.pipelines.draw import draw
from engine.pipelines.trust import DEPTH_SIGMA, STATED_SIGMA
from engine.priors.checkpoint import load_prior, resolve
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import DEFAULT_SAMPLER
from tests.benchmarks.tasks import Task, data_folder, known_part

PART, SAMPLES, CONTROL, FREE = 512, 5, 3, 8


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--limit", type=int, default=6, help="structures, evenly from the odd rows")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--prior", default="shipped")
    return parser.parse_args(words)


def higher(values: NDArray[np.float64], hidden: NDArray[np.bool_]) -> float:
    """How often a hidden point has a higher value than a known one (area under the ROC curve)."""
    ranks = rankdata(values)
    n, m = int(hidden.sum()), int((~hidden).sum())
    return float((ranks[hidden].sum() - n * (n + 1) / 2) / (n * m))


def run(options: argparse.Namespace) -> None:
    """Draw, and print a line for each structure."""
    torch.set_num_threads(1)
    clouds = read_clouds(data_folder(options.data) / "clouds" / "bench100.npz")
    network, card = load_prior(resolve(options.prior))
    task = Task.parse(f"1x{clouds.points.shape[1]}+su{PART}")
    sampler = DEFAULT_SAMPLER.model_copy(update={"steps": options.steps})
    rows = np.linspace(1, len(clouds.points) - 1, options.limit).round().astype(int) // 2 * 2 + 1
    sys.stdout.write(
        f"{'structure':12} {'gauge: known':>13} {'half seen':>10} {'gauge':>7} {'spread':>7} {'error':>7}\n"
    )
    table = []
    for row in rows:
        truth = clouds.points[row].astype(np.float64)
        observations = task.observations(truth, 0)

        def drawn(prior: torch.nn.Module, seed: int, count: int, of: list = observations) -> np.ndarray:
            x, _ = draw(
                prior, of, sampler, sample_seeds(seed, count), points=clouds.points.shape[1],
                device=torch.device("cpu"), watch=lambda step: None,
            )  # fmt: skip
            return x.double().numpy()

        members = matched(drawn(network, 0, SAMPLES))
        shown = members.mean(0)
        control = drawn(GaussianDenoiser(card.sigma_data), 1, CONTROL)
        share = gauge(shown, control, free_clouds(FREE, len(shown), card.sigma_data))
        # which half each shown point belongs to: that of its partner in the truth
        labelled = np.isin(assigned(shown, truth[None])[0], known_part(truth, PART, 0))
        left = left_open(observations, torch.tensor(shown, dtype=torch.float32), STATED_SIGMA, DEPTH_SIGMA)
        values = (share, spread_of_matched(members), CALIBRATED.stated(members, left.double().numpy()).radius)
        areas = [higher(v, ~labelled) for v in values]
        table.append(areas)
        sys.stdout.write(
            f"{clouds.names[row]:12} {np.median(share[labelled]):13.2f} {np.median(share[~labelled]):10.2f} "
            + " ".join(f"{a:7.2f}" for a in areas) + "\n"
        )  # fmt: skip
    sys.stdout.write(f"{'mean':12} {'':24} " + " ".join(f"{v:7.2f}" for v in np.mean(table, axis=0)) + "\n")


if __name__ == "__main__":
    run(arguments())
