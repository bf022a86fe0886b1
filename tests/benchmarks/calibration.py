"""Is the stated error right? Fits it on structures whose truth is known, and judges it on others.

``python -m tests.benchmarks.calibration --half dev --tasks 3x1024,5x1024,2x900+cg30,1x1024+cg40 --fit DIR``
``python -m tests.benchmarks.calibration --half report --limit 12 --figure FILE.png DIR``

Ensembles are drawn with the prior (``net``) and, as a control, with the closed-form denoiser of an isotropic
Gaussian (``gauss``), and kept in DIR, so that a broken run goes on and another model is judged in seconds.
The points of the mean and of the truth are matched exactly, as :mod:`engine.metrics.reliability` does.

Even rows of the clouds are the dev half, on which the error model is fitted; odd rows are for the report.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, fdtr, fdtri
from scipy.stats import spearmanr

from engine.assignment.exact import set_workers
from engine.io.clouds import CloudSet, read_clouds
from engine.metrics.ensemble import matched, spread_of_matched
from engine.metrics.reliability import LEVELS, distances_to
from engine.metrics.stated_error import CALIBRATED, SHARE, ErrorModel, StatedError
from engine.observations.misfit import left_open
from engine.pipelines.draw import draw
from engine.pipelines.trust import DEPTH_SIGMA, STATED_SIGMA
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import DEFAULT_SAMPLER
from tests.benchmarks.cells import Results, finish
from tests.benchmarks.tasks import Task, data_folder

TASKS = "3x1024,4x1024,5x1024,4x800,2x900+cg30,1x1024+cg40,1x300+cg40"
METHODS = ("net", "gauss")
FINEST = 0.15  # of a cell's median error: finer is as good as right
Floats = NDArray[np.float64]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Options from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, metavar="DIR", help="where ensembles are kept")
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--half", choices=("dev", "report"), default="dev")
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--limit", type=int, default=10, help="structures, evenly from the half")
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prior", default="shipped")
    parser.add_argument(
        "--kept", action="store_true", help="draw nothing: judge the structures that are there"
    )
    parser.add_argument("--fit", action="store_true", help="fit the error model and print it")
    parser.add_argument("--figure", type=Path, help="PNG of reliability and of stated against observed error")
    return parser.parse_args(words)


# ---- drawing ------------------------------------------------------------------------------------


class Bench:
    """What a worker draws with."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)
        set_workers(1)
        self.options, self.clouds = options, clouds_of(options)
        network, card = load_prior(resolve(options.prior))
        self.priors: dict[str, Any] = {"net": network, "gauss": GaussianDenoiser(card.sigma_data)}


def clouds_of(options: argparse.Namespace) -> CloudSet:
    """The hundred benchmark clouds."""
    return read_clouds(data_folder(options.data) / "clouds" / "bench100.npz")


def rows_of(options: argparse.Namespace, count: int) -> list[int]:
    """Rows of the wanted half, spread evenly."""
    half = np.arange(0 if options.half == "dev" else 1, count, 2)
    return [int(half[i]) for i in np.linspace(0, len(half) - 1, min(options.limit, len(half))).round()
            .astype(int)]  # fmt: skip


def compute(bench: Bench, argument: tuple[int, str]) -> dict:
    """Draw both ensembles of one structure and task, and keep them."""
    row, name = argument
    options, truth = bench.options, bench.clouds.points[row].astype(np.float64)
    observations = Task.parse(name).observations(truth, options.seed)
    found, seconds = {}, {}
    for method in METHODS:
        started = time.process_time()
        x, _ = draw(
            bench.priors[method], observations, DEFAULT_SAMPLER.model_copy(update={"steps": options.steps}),
            sample_seeds(options.seed, options.samples), points=len(truth), device=torch.device("cpu"),
            watch=lambda step: None,
        )  # fmt: skip
        seconds[method] = (time.process_time() - started) / options.samples
        found[method] = x.numpy()
    np.savez(options.work / f"{row:03d}_{name}.npz", truth=truth, **found)
    return {"cpu_seconds": seconds}


# ---- judging ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """Points of one structure and task: what is known of them, and how wrong they are, Å.

    Attributes
    ----------
    spread : (p,) between the members.
    left_open : (p,) variance that the evidence leaves open, Å².
    error : (p,) distance of the mean to the truth.
    members : how many.
    """

    task: str
    spread: Floats
    left_open: Floats
    error: Floats
    members: int

    def probability(self, model: ErrorModel) -> Floats:
        """Of each point's truth to be nearer than it is: uniform if the model is right."""
        variance, freedom = model.law(self.spread, self.left_open, self.members)
        return np.asarray(fdtr(3, freedom, self.error**2 / (3 * variance)))

    def expected(self, model: ErrorModel) -> Floats:
        """Root mean square distance to be expected, Å."""
        variance, freedom = model.law(self.spread, self.left_open, self.members)
        return StatedError(np.sqrt(3 * variance * fdtri(3, freedom, SHARE)), freedom).expected


def cell_of(path: Path, task: str, method: str, scale_A: float, members: int | None = None) -> Cell:
    """What a kept ensemble says."""
    with np.load(path, allow_pickle=False) as archive:
        truth, drawn = archive["truth"], archive[method][:members].astype(np.float64)
    drawn = matched(drawn)
    mean = drawn.mean(0)
    observations = Task.parse(task).observations(truth, 0)
    left = left_open(observations, torch.tensor(mean, dtype=torch.float32), STATED_SIGMA, DEPTH_SIGMA)
    return Cell(
        task, spread_of_matched(drawn) * scale_A, left.double().numpy() * scale_A**2,
        distances_to(mean, truth) * scale_A, len(drawn),
    )  # fmt: skip


def fitted(cells: Sequence[Cell]) -> ErrorModel:
    """Maximum likelihood over all points, each cell with the same weight.

    Points that are right to a small fraction of the distance between points would decide about everything:
    errors are told no finer than to :data:`FINEST` of the cell's median.
    """

    def model_of(p: Floats) -> ErrorModel:
        return ErrorModel(*(float(v) for v in np.exp(np.clip(p, -12, 5))))

    def loss(p: Floats) -> float:
        total, model = 0.0, model_of(p)
        for cell in cells:
            variance, nu = model.law(cell.spread, cell.left_open, cell.members)
            unit = float(np.median(cell.error)) ** 2
            floor = FINEST**2 * unit
            variance = variance + floor / 3
            ratio = (cell.error**2 + floor) / (3 * variance)
            density = (
                1.5 * np.log(3 / nu) + 0.5 * np.log(ratio)
                - (3 + nu) / 2 * np.log1p(3 * ratio / nu) - betaln(1.5, nu / 2)
            )  # fmt: skip
            total -= float((density - np.log(variance / unit)).mean())
        return total / len(cells)

    start = np.log([CALIBRATED.own, CALIBRATED.left_open, CALIBRATED.own_freedom, CALIBRATED.open_freedom])
    found = minimize(
        loss, start, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-3, "fatol": 1e-6}
    )
    return tempered(model_of(found.x), cells)


def tempered(model: ErrorModel, cells: Sequence[Cell]) -> ErrorModel:
    """Scaled so that 90 % lies in the middle between the task of which least is covered, and most."""

    def at(temperature: float) -> ErrorModel:
        return replace(model, own=model.own * temperature**2, left_open=model.left_open * temperature**2)

    low, high = 0.5, 2.0
    for _ in range(30):
        middle = (low + high) / 2
        covered = [
            np.mean([(c.probability(at(middle)) <= 0.9).mean() for c in cells if c.task == task])
            for task in {c.task for c in cells}
        ]
        low, high = (middle, high) if (min(covered) + max(covered)) / 2 < 0.9 else (low, middle)
    return at((low + high) / 2)


def judged(cell: Cell, model: ErrorModel) -> dict[str, float]:
    """Figures of one cell."""
    probability, expected = cell.probability(model), cell.expected(model)
    n = cell.members
    raw = fdtr(3, 3 * (n - 1), cell.error**2 / (cell.spread**2 * (1 + 1 / n)))
    variance, freedom = model.law(cell.spread, cell.left_open, n)
    by_stated = np.array_split(np.argsort(expected), 5)
    return {
        "within90": float((probability <= 0.9).mean()),
        "within50": float((probability <= 0.5).mean()),
        "least": float((probability[by_stated[0]] <= 0.9).mean()),
        "most": float((probability[by_stated[-1]] <= 0.9).mean()),
        "raw90": float((raw <= 0.9).mean()),
        "rank": float(spearmanr(expected, cell.error)[0]),
        "raw_rank": float(spearmanr(cell.spread, cell.error)[0]),
        "ceiling": ceiling(variance, freedom, expected),
        "error_A": float(np.sqrt((cell.error**2).mean())),
        "stated_A": float(np.median(np.sqrt(3 * variance * fdtri(3, freedom, SHARE)))),
    }


def ceiling(variance: Floats, freedom: Floats, expected: Floats) -> float:
    """The rank correlation that errors drawn from the stated law itself would have with what is stated."""
    rng = np.random.default_rng(0)
    drawn = variance * rng.chisquare(3, len(variance)) / (rng.chisquare(freedom) / freedom)
    return float(spearmanr(expected, drawn)[0])


def table(cells: dict[str, list[Cell]], model: ErrorModel) -> str:
    """A row for each task and method: mean over structures, lowest to highest where it matters."""
    lines = [
        f"{'task':12} {'':6} {'n':>3} {'error Å':>8} {'stated Å':>9} {'in 90 %':>8} {'range':>11} "
        f"{'in 50 %':>8} {'fifths':>7} {'raw 90 %':>9} {'rank':>6} {'raw':>6} {'ceiling':>8}"
    ]
    for key, group in cells.items():
        rows = [judged(c, model) for c in group]
        mean = {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}
        low, high = (f([r["within90"] for r in rows]) for f in (min, max))
        task, method = key.split("/")
        lines.append(
            f"{task:12} {method:6} {len(rows):3} {mean['error_A']:8.2f} {mean['stated_A']:9.2f} "
            f"{100 * mean['within90']:8.1f} {100 * low:5.0f}-{100 * high:3.0f}   "
            f"{100 * mean['within50']:8.1f} {100 * mean['least']:3.0f}-{100 * mean['most']:3.0f} "
            f"{100 * mean['raw90']:9.1f} "
            f"{mean['rank']:6.2f} {mean['raw_rank']:6.2f} {mean['ceiling']:8.2f}"
        )
    return "\n".join(lines)


def collected(options: argparse.Namespace, clouds: CloudSet, **changes: Any) -> dict[str, list[Cell]]:
    """Cells by ``task/method``."""
    found: dict[str, list[Cell]] = {}
    for method, task, row in product(METHODS, options.tasks.split(","), rows_of(options, len(clouds.points))):
        path, scale_A = options.work / f"{row:03d}_{task}.npz", float(clouds.scale_A[row])
        if path.is_file():
            found.setdefault(f"{task}/{method}", []).append(cell_of(path, task, method, scale_A, **changes))
    return found


def curve(cells: Sequence[Cell], model: ErrorModel) -> Floats:
    """Observed share at every stated level, all points together."""
    shares = np.concatenate([c.probability(model) for c in cells])
    return (shares[:, None] <= np.array(LEVELS)).mean(0)


def run(options: argparse.Namespace) -> None:
    """Draw what is missing, then fit or judge."""
    clouds = clouds_of(options)
    options.work.mkdir(parents=True, exist_ok=True)
    settings = {k: getattr(options, k) for k in ("samples", "steps", "seed")}
    settings["sampler"] = DEFAULT_SAMPLER.kind
    digest = sha256(resolve(options.prior))
    results = Results(options.work / "cells.json", settings, {"prior_sha256": (digest, lambda key: True)})
    wanted = {
        f"{row:03d}/{task}": (row, task)
        for row, task in product(rows_of(options, len(clouds.points)), options.tasks.split(","))
    }
    if not options.kept:
        finish(results, wanted, Bench, options, compute)
    cells = collected(options, clouds)
    model = CALIBRATED
    if options.fit:
        model = fitted([c for key, group in cells.items() if key.endswith("/net") for c in group])
        sys.stdout.write(
            f"ErrorModel(own={model.own:.3f}, left_open={model.left_open:.3f}, "
            f"own_freedom={model.own_freedom:.1f}, open_freedom={model.open_freedom:.1f})\n"
        )
    sys.stdout.write(table(cells, model) + "\n")
    for count in () if options.fit else (2, 3):
        fewer = collected(options, clouds, members=count)
        net = {k: v for k, v in fewer.items() if k.endswith("/net")}
        sys.stdout.write(f"\nof {count} members:\n{table(net, model)}\n")
    if options.figure:
        from tests.benchmarks.calibration_figure import draw_figure

        draw_figure(cells, replace(model), options.figure)


if __name__ == "__main__":
    run(arguments())
