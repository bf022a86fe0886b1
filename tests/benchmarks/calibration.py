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
from engine.metrics.stated_error import CALIBRATED, ErrorModel, squares
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import DEFAULT_SAMPLER
from tests.benchmarks.cells import Results, finish
from tests.benchmarks.tasks import Task, data_folder

TASKS = "3x1024,4x1024,5x1024,4x800,2x900+cg30,1x1024+cg40,1x300+cg40"
METHODS = ("net", "gauss")
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
    squares : (p, 3) of :func:`engine.metrics.stated_error.squares`.
    error : (p,) distance of the mean to the truth.
    spread : (p,) between the members.
    members : how many.
    """

    task: str
    squares: Floats
    error: Floats
    spread: Floats
    members: int

    def variance(self, model: ErrorModel) -> Floats:
        weights = np.array([model.own, model.nearby, model.spacing])
        return (1 + 1 / self.members) * self.squares @ weights

    def ratio(self, model: ErrorModel) -> Floats:
        """Squared errors over what the model expects; F(3, freedom) if it is right."""
        return self.error**2 / (3 * self.variance(model))


def cell_of(path: Path, task: str, method: str, scale_A: float, members: int | None = None) -> Cell:
    """What a kept ensemble says."""
    with np.load(path, allow_pickle=False) as archive:
        truth, drawn = archive["truth"] * scale_A, archive[method][:members].astype(np.float64) * scale_A
    drawn = matched(drawn)
    error = distances_to(drawn.mean(0), truth)
    return Cell(task, squares(drawn), error, spread_of_matched(drawn), len(drawn))


def fitted(cells: Sequence[Cell], *, shape: bool = True) -> ErrorModel:
    """Maximum likelihood over all points, each cell with the same weight.

    Lengths are taken in units of each cell's median error, so that large structures don't count more.

    Parameters
    ----------
    shape : fit the weights; otherwise only a common factor of ``CALIBRATED``'s.
    """

    def model_of(p: Floats) -> ErrorModel:
        own, nearby, spacing, freedom = np.exp(np.clip(p, -12, 6))
        return ErrorModel(own, nearby, spacing, freedom)

    def loss(p: Floats) -> float:
        model = model_of(p)
        total = 0.0
        for cell in cells:
            ratio = cell.ratio(model)
            nu = model.freedom
            density = (
                1.5 * np.log(3 / nu) + 0.5 * np.log(ratio)
                - (3 + nu) / 2 * np.log1p(3 * ratio / nu) - betaln(1.5, nu / 2)
            )  # fmt: skip
            total -= float((density - np.log(cell.variance(model) / np.median(cell.error) ** 2)).mean())
        return total / len(cells)

    start = np.log([CALIBRATED.own, CALIBRATED.nearby, CALIBRATED.spacing, CALIBRATED.freedom])
    if not shape:
        found = minimize(lambda s: loss(start + np.r_[s, s, s, 0]), [0.0], method="Nelder-Mead")
        return model_of(start + np.r_[found.x, found.x, found.x, 0])
    found = minimize(
        loss, start, method="Nelder-Mead", options={"maxiter": 3000, "xatol": 1e-3, "fatol": 1e-6}
    )
    return model_of(found.x)


def judged(cell: Cell, model: ErrorModel) -> dict[str, float]:
    """Figures of one cell."""
    ratio, deviation = cell.ratio(model), np.sqrt(cell.variance(model))
    n = cell.members
    raw = cell.error**2 / (cell.spread**2 * (1 + 1 / n))
    return {
        "within90": float((ratio <= fdtri(3, model.freedom, 0.9)).mean()),
        "within50": float((ratio <= fdtri(3, model.freedom, 0.5)).mean()),
        "raw90": float((raw <= fdtri(3, 3 * (n - 1), 0.9)).mean()),
        "rank": float(spearmanr(deviation, cell.error)[0]),
        "raw_rank": float(spearmanr(cell.spread, cell.error)[0]),
        "ceiling": ceiling(cell, model),
        "error_A": float(np.sqrt((cell.error**2).mean())),
        "stated_A": float(np.median(deviation) * model.reach(0.9)),
    }


def ceiling(cell: Cell, model: ErrorModel) -> float:
    """The rank correlation that errors drawn from the stated law itself would have with what is stated."""
    rng = np.random.default_rng(0)
    deviation = np.sqrt(cell.variance(model))
    drawn = deviation * np.sqrt(rng.f(3, model.freedom, len(deviation)))
    return float(spearmanr(deviation, drawn)[0])


def table(cells: dict[str, list[Cell]], model: ErrorModel) -> str:
    """A row for each task and method: mean over structures, lowest to highest where it matters."""
    lines = [
        f"{'task':12} {'':6} {'n':>3} {'error Å':>8} {'stated Å':>9} {'in 90 %':>8} {'range':>11} "
        f"{'in 50 %':>8} {'raw 90 %':>9} {'rank':>6} {'raw':>6} {'ceiling':>8}"
    ]
    for key, group in cells.items():
        rows = [judged(c, model) for c in group]
        mean = {name: float(np.mean([r[name] for r in rows])) for name in rows[0]}
        low, high = (f([r["within90"] for r in rows]) for f in (min, max))
        task, method = key.split("/")
        lines.append(
            f"{task:12} {method:6} {len(rows):3} {mean['error_A']:8.2f} {mean['stated_A']:9.2f} "
            f"{100 * mean['within90']:8.1f} {100 * low:5.0f}-{100 * high:3.0f}   "
            f"{100 * mean['within50']:8.1f} {100 * mean['raw90']:9.1f} "
            f"{mean['rank']:6.2f} {mean['raw_rank']:6.2f} {mean['ceiling']:8.2f}"
        )
    return "\n".join(lines)


def collected(options: argparse.Namespace, clouds: CloudSet, **changes: Any) -> dict[str, list[Cell]]:
    """Cells by ``task/method``."""
    rows = rows_of(options, len(clouds.points))
    return {
        f"{task}/{method}": [
            cell_of(options.work / f"{r:03d}_{task}.npz", task, method, float(clouds.scale_A[r]), **changes)
            for r in rows
        ]
        for method, task in product(METHODS, options.tasks.split(","))
    }


def curve(cells: Sequence[Cell], model: ErrorModel) -> Floats:
    """Observed share at every stated level, all points together."""
    shares = np.concatenate([fdtr(3, model.freedom, c.ratio(model)) for c in cells])
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
    finish(results, wanted, Bench, options, compute)
    cells = collected(options, clouds)
    model = CALIBRATED
    if options.fit:
        model = fitted([c for key, group in cells.items() if key.endswith("/net") for c in group])
        sys.stdout.write(
            f"ErrorModel(own={model.own:.3f}, nearby={model.nearby:.3f}, spacing={model.spacing:.4f}, "
            f"freedom={model.freedom:.1f})\n"
        )
    sys.stdout.write(table(cells, model) + "\n")
    for count in (2, 3):
        fewer = collected(options, clouds, members=count)
        net = {k: v for k, v in fewer.items() if k.endswith("/net")}
        sys.stdout.write(f"\nof {count} members:\n{table(net, model)}\n")
    if options.figure:
        from tests.benchmarks.calibration_figure import draw_figure

        draw_figure(cells, replace(model), options.figure)


if __name__ == "__main__":
    run(arguments())
