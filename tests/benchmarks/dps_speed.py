"""Seconds per sample at the paper's setting, split into network, assignment and the rest.

``python -m tests.benchmarks.dps_speed --data DIR``

Six views of 1024 points, 40 steps, ten samples in a batch, the shipped prior: the default sampler, the same
at the evaluations of Algorithm 1 (79), Algorithm 1 with our assignments, and Algorithm 1 with scipy's, as it
was published (fewer samples of it: they take minutes). Wall time on all cores; assignments of one step's
observations run side by side, and count from the first to the last. Each is measured ``--repeats`` times in
turns; ratios are of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from engine.assignment.exact import set_workers, workers
from engine.observations.matched import MatchedPoints
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import Algorithm1, Proximal, SamplerSpec
from tests.benchmarks.assignment import truth
from tests.benchmarks.tasks import Task

PAPER = Task.parse("6x1024")


class Clock:
    """Wall time during which at least one of several threads is at work."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    def wrap(self, function: Any) -> Any:
        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.spans.append((began, time.perf_counter()))

        return timed

    def seconds(self) -> float:
        total, reached = 0.0, -np.inf
        for began, ended in sorted(self.spans):
            total += max(0.0, ended - max(began, reached))
            reached = max(reached, ended)
        return total


class Timed:
    """An observation whose matching is timed, and may be replaced."""

    def __init__(self, observation: MatchedPoints, clock: Clock, scipy: bool) -> None:
        self.observation = observation
        self.match = clock.wrap(self.by_scipy if scipy else observation.match)
        self.rematch = clock.wrap(observation.rematch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.observation, name)

    def by_scipy(self, x0: torch.Tensor) -> torch.Tensor:
        """As published: costs, then Hungarian assignments one by one."""
        targets, out = self.observation.targets.numpy(), []
        for seen in self.observation.seen(x0.detach()).numpy():
            _, columns = linear_sum_assignment(cdist(seen, targets, "sqeuclidean").astype(np.float32))
            out.append(columns)
        return torch.from_numpy(np.stack(out))


def measure(prior: Any, points: np.ndarray, sampler: SamplerSpec, batch: int, scipy: bool, seed: int) -> dict:
    """Seconds per sample, altogether and by part."""
    network, assignment, evaluations = Clock(), Clock(), 0
    observations = [Timed(o, assignment, scipy) for o in PAPER.observations(points, seed)]

    class Prior(type(prior)):  # type: ignore[misc] - the sampler asks for the class
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.network, self.sigma_data = prior.network, prior.sigma_data

        def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            nonlocal evaluations
            evaluations += len(x)
            return network.wrap(super().__call__)(x, sigma)

    began = time.perf_counter()
    draw(
        Prior(),
        observations,
        sampler,
        sample_seeds(seed, batch),
        points=len(points),
        device=torch.device("cpu"),
        watch=lambda step: None,
    )
    whole = time.perf_counter() - began
    parts = {"network": network.seconds(), "assignment": assignment.seconds()}
    parts["rest"] = whole - sum(parts.values())
    return {"seconds": whole / batch, **{k: v / batch for k, v in parts.items()}, "nfe": evaluations / batch}


def main() -> None:
    """Print the table; with ``--json`` also write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA); without one the object is lumps")
    parser.add_argument("--structure", type=int, default=7, help="row of bench100")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--published-batch", type=int, default=2, help="samples of Algorithm 1 with scipy")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    set_workers(options.threads)
    prior, _ = load_prior(resolve("shipped"))
    points = truth(options)
    measure(prior, points, Proximal(steps=3), 2, False, options.seed)  # compiles, warms up
    contenders = {
        "default, 40 steps": (Proximal(steps=40), options.batch, False, options.repeats),
        "default, 79 steps": (Proximal(steps=79), options.batch, False, options.repeats),
        "Algorithm 1, 40 steps": (Algorithm1(steps=40, alpha=40000), options.batch, False, options.repeats),
        "Algorithm 1, scipy": (Algorithm1(steps=40, alpha=40000), options.published_batch, True, 1),
    }
    found: dict[str, list[dict]] = {name: [] for name in contenders}
    for turn in range(options.repeats):
        for name, (sampler, batch, scipy, repeats) in contenders.items():
            if turn < repeats:
                found[name].append(measure(prior, points, sampler, batch, scipy, options.seed + turn))
                print(name, {k: round(v, 2) for k, v in found[name][-1].items()}, flush=True)
    middle = {n: {k: float(np.median([r[k] for r in rows])) for k in rows[0]} for n, rows in found.items()}
    print(f"\n{workers()} threads, batch {options.batch}, 6 x 1024; seconds per sample (medians)")
    print(
        f"{'':24}{'whole':>8}{'network':>9}{'assign':>8}{'rest':>7}{'calls':>7}   ratio to Algorithm 1, scipy"
    )
    slow = middle["Algorithm 1, scipy"]["seconds"]
    for name, row in middle.items():
        print(
            f"{name:24}{row['seconds']:8.2f}{row['network']:9.2f}{row['assignment']:8.2f}{row['rest']:7.2f}"
            f"{row['nfe']:7.0f}   {slow / row['seconds']:.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps({"threads": workers(), "batch": options.batch, "rows": found}))


if __name__ == "__main__":
    main()
