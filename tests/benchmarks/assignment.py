"""How fast exact assignments are along real trajectories of diffusion, beside scipy, lapx and POT.

``python -m tests.benchmarks.assignment --data DIR --tasks 6x1024,4x800,1x300+cg40,2x200+su256``

A run of the proximal sampler is recorded, each view matched by itself: what each observation is asked to
match at each step, for a batch of samples. Then, at every few noise levels, all problems of that level
(samples x observations) are solved by each contender, on as many threads as there are cores, in turns.
``verglas`` goes through every step, so that its duals are those of a real run; the others have no memory.
Costs are made before the clock starts, for those that need them: in float32 for scipy and lapx. Where
targets stand for several points, scipy and lapx get copies, POT masses.

Each contender's gap is ``total cost / scipy's - 1``, in float64. Without a data folder the objects are lumps.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from engine.assignment.exact import set_workers, workers
from engine.io.clouds import read_clouds
from engine.observations.matched import MatchedPoints
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import Proximal
from tests.benchmarks.tasks import Task

Match = np.ndarray


@dataclass
class Recorded:
    """An observation, and for each step what it was asked to match (batch, points, d)."""

    observation: MatchedPoints
    asked: list[torch.Tensor]


def lumps(rng: np.random.Generator) -> np.ndarray:
    """A cloud of 1024 points in twelve lumps, for who has no data."""
    which = rng.integers(0, 12, 1024)
    return (rng.normal(size=(12, 3)) * 0.3)[which] + 0.08 * rng.normal(size=(1024, 3))


def truth(options: argparse.Namespace) -> np.ndarray:
    """The object whose reconstruction is recorded, normalised."""
    folder = options.data or os.environ.get("VERGLAS_DATA")
    if folder is None:
        return lumps(np.random.default_rng(options.seed))
    points = read_clouds(Path(folder) / "clouds" / "bench100.npz").points
    return np.asarray(points[options.structure], np.float64)


def record(points: np.ndarray, task: Task, options: argparse.Namespace) -> tuple[list[Recorded], list[float]]:
    """Run the proximal sampler, each view by itself, and keep what is matched; also the noise levels."""
    kept = [Recorded(o, []) for o in task.observations(points, options.seed)]

    class Spy:
        def __init__(self, recorded: Recorded) -> None:
            self.recorded = recorded

        def __getattr__(self, name: str) -> Any:
            return getattr(self.recorded.observation, name)

        def match(self, x0: torch.Tensor) -> torch.Tensor:
            self.recorded.asked.append(x0.clone())
            return self.recorded.observation.match(x0)

    levels: list[float] = []
    prior, _ = load_prior(resolve("shipped"))
    draw(
        prior,
        [Spy(r) for r in kept],
        Proximal(matching="independent"),
        sample_seeds(options.seed, options.batch),
        points=len(points),
        device=torch.device("cpu"),
        watch=lambda step: levels.append(step.sigma),
    )
    return kept, levels


def contenders() -> dict[str, Callable[[np.ndarray, np.ndarray], Match]]:
    """Solvers of one problem: costs (points, targets with copies) and copies of each target to a matching."""

    def scipy(cost: np.ndarray, _: np.ndarray) -> Match:
        rows, columns = linear_sum_assignment(cost)
        match = np.full(len(cost), -1)
        match[rows] = columns
        return match

    found: dict[str, Callable[[np.ndarray, np.ndarray], Match]] = {"scipy": scipy}
    try:
        lap = importlib.import_module("lap")
        found["lapx"] = lambda cost, _: lap.lapjv(cost, extend_cost=cost.shape[0] != cost.shape[1])[1]
    except ImportError:
        print("SKIPPED: lapx is not installed (pip install lapx).")
    try:
        ot = importlib.import_module("ot")

        def pot(cost: np.ndarray, counts: np.ndarray) -> Match:
            first = np.cumsum(counts) - counts
            partial = counts.sum() < len(cost)
            mass = np.append(counts, len(cost) - counts.sum()) if partial else counts
            short = cost[:, first].astype(np.float64)
            short = np.pad(short, ((0, 0), (0, 1))) if partial else short
            plan = ot.lp.emd(np.ones(len(cost)), mass.astype(float), short, numItermax=10_000_000)
            column = plan.argmax(1)
            match = np.full(len(cost), -1)
            for j in range(len(counts)):
                rows = np.flatnonzero(column == j)
                match[rows] = first[j] + np.arange(len(rows))
            return match

        found["POT"] = pot
    except ImportError:
        print("SKIPPED: POT is not installed (pip install POT).")
    return found


def level_row(
    recorded: list[Recorded],
    step: int,
    rivals: dict[str, Any],
    seconds: dict[str, float],
    gaps: dict[str, float],
) -> None:
    """Solve one level's problems by the rivals; adds to ``seconds`` and ``gaps``."""
    problems = []
    for r in recorded:
        targets = r.observation.targets.double().numpy()
        counts = np.bincount(r.observation.cell.numpy())
        matches = r.observation.match(r.asked[step]).numpy()
        for seen, match in zip(r.observation.seen(r.asked[step]).double().numpy(), matches, strict=True):
            problems.append((cdist(seen, targets, "sqeuclidean"), counts, match))
    single = [np.ascontiguousarray(c, np.float32) for c, _, _ in problems]
    totals = {"verglas": [paid(c, m) for c, _, m in problems]}
    for name, solve in rivals.items():
        with ThreadPoolExecutor(workers()) as pool:
            began = time.perf_counter()
            matches = list(pool.map(solve, single, [k for _, k, _ in problems]))
            seconds[name] = time.perf_counter() - began
        totals[name] = [paid(c, m) for (c, _, _), m in zip(problems, matches, strict=True)]
    for name, values in totals.items():
        ratio = np.array(values) / np.array(totals["scipy"])
        gaps[name] = float((ratio - 1)[np.argmax(np.abs(ratio - 1))])


def paid(cost: np.ndarray, match: Match) -> float:
    """Summed cost of what is matched."""
    rows = np.flatnonzero(match >= 0)
    return float(cost[rows, match[rows]].sum())


def measure(task: Task, options: argparse.Namespace) -> list[dict]:
    """One row per noise level looked at: milliseconds per problem and gaps."""
    recorded, levels = record(truth(options), task, options)
    asked = len(recorded[0].asked)
    fresh = task.observations(truth(options), options.seed)  # without the recording run's duals
    recorded = [Recorded(o, r.asked) for o, r in zip(fresh, recorded, strict=True)]
    rivals, rows = {k: v for k, v in contenders().items() if k in options.rivals.split(",")}, []
    for step in range(asked):
        began = time.perf_counter()
        with ThreadPoolExecutor(len(recorded)) as pool:  # as the sampler does
            list(pool.map(lambda r, at: r.observation.match(r.asked[at]), recorded, repeat(step)))
        seconds, gaps = {"verglas": time.perf_counter() - began}, {}
        if step % options.every:
            continue
        level_row(recorded, step, rivals, seconds, gaps)
        count = options.batch * len(recorded)
        sigma = levels[min(step, len(levels) - 1)]
        rows.append(
            {
                "step": step,
                "sigma": sigma,
                "ms": {k: 1e3 * s / count for k, s in seconds.items()},
                "gap": gaps,
            }
        )
        print(row_text(rows[-1]), flush=True)
    return rows


def row_text(row: dict) -> str:
    ms, gap = row["ms"], row["gap"]
    rivals = [k for k in ms if k != "verglas"]
    return (
        f"{row['step']:>4} {row['sigma']:>7.3f} {ms['verglas']:>9.2f}"
        + "".join(f"{ms[k]:>10.2f} ({ms[k] / ms['verglas']:>6.1f}x)" for k in rivals)
        + "   "
        + " ".join(f"{k} {gap[k]:+.0e}" for k in gap if k != "scipy")
    )


def main() -> None:
    """Print a table per task; with ``--json`` also write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--structure", type=int, default=7, help="row of bench100")
    parser.add_argument("--tasks", default="6x1024")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--rivals", default="scipy,lapx,POT", help="scipy is always needed: gaps are to it")
    parser.add_argument("--every", type=int, default=5, help="look at every n-th noise level")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_workers(options.workers)
    out: dict[str, Any] = {"workers": workers(), "batch": options.batch, "tasks": {}}
    for text in options.tasks.split(","):
        task = Task.parse(text)
        print(
            f"\n{text}, batch {options.batch}, {workers()} threads; "
            "ms per problem (ratio to verglas), worst gap"
        )
        print(f"step   sigma   verglas   {'   '.join(f'{k:>16}' for k in options.rivals.split(','))}")
        rows = measure(task, options)
        out["tasks"][text] = rows
        own = sum(r["ms"]["verglas"] for r in rows)
        for name in rows[0]["ms"]:
            if name != "verglas":
                ratio = sum(r["ms"][name] for r in rows) / own
                print(f"throughput over all levels: {ratio:.1f} x {name}'s")
    if options.json:
        options.json.write_text(json.dumps(out))


if __name__ == "__main__":
    main()
