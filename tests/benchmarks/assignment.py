"""How fast are the exact assignments, against scipy's solver called one by one in the same run?

``assign`` takes finished costs, ``assign_points`` points: it makes the costs, and makes them easier.

Costs are of the kinds that a reconstruction makes: squared distances in 2D (projections) and 3D, from
far (high noise) and near (low noise), and to a few tiled points (a coarse map). Run as
``python -m tests.benchmarks.assignment``; ``--clouds`` takes an npz of clouds instead of synthetic ones.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from engine.assignment.exact import assign, assign_points, set_workers, workers

Kind = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def _tile(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    few = x[rng.choice(len(x), 40)]
    return np.tile(few, (-(-len(x) // 40), 1))[: len(x)]


KINDS: dict[str, Kind] = {
    "3D far": lambda x, rng: (0.36 * rng.normal(size=x.shape), x),
    "3D near": lambda x, rng: (x + 0.05 * rng.normal(size=x.shape), rng.permutation(x)),
    "2D far": lambda x, rng: (0.36 * rng.normal(size=(len(x), 2)), x[:, :2]),
    "2D near": lambda x, rng: (x[:, :2] + 0.05 * rng.normal(size=(len(x), 2)), rng.permutation(x)[:, :2]),
    "coarse 40": lambda x, rng: (x + 0.2 * rng.normal(size=x.shape), _tile(x, rng)),
}


def clouds(path: Path | None, size: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    """Normalised clouds (batch, size, 3): from a file, or lumpy synthetic ones."""
    if path is not None:
        with np.load(path, allow_pickle=False) as archive:
            points = archive["points"][:batch].astype(np.float64)
        return np.stack([c[rng.permutation(len(c))[:size]] for c in points])
    centres = rng.normal(size=(batch, 12, 3)) * 0.3
    which = rng.integers(0, 12, (batch, size))
    return np.take_along_axis(centres, which[..., None], 1) + 0.12 * rng.normal(size=(batch, size, 3))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(kind: Kind, points: np.ndarray, repeats: int, rng: np.random.Generator) -> dict[str, list[float]]:
    """Milliseconds per assignment, one value per repeat; the contenders take turns."""
    pairs = [kind(x, rng) for x in points]
    costs = [cdist(a, b, "sqeuclidean").astype(np.float32) for a, b in pairs]
    stacked = torch.from_numpy(np.stack(costs))
    a, b = (torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True))
    contenders: dict[str, Callable[[], object]] = {
        "scipy": lambda: [linear_sum_assignment(c) for c in costs],
        "assign": lambda: assign(stacked),
        "assign_points": lambda: assign_points(a, b),
    }
    for c, *matches in zip(costs, assign(stacked).numpy(), assign_points(a, b).numpy(), strict=True):
        rows, cols = linear_sum_assignment(c)
        for match in matches:
            if not np.isclose(c[rows, cols].sum(), c[np.arange(len(c)), match].sum(), rtol=1e-6):
                raise SystemExit("a matching is not optimal")
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, work in contenders.items():
            found[name].append(1e3 * seconds(work) / len(points))
    return found


def main() -> None:
    """Print the table; with ``--json`` also write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clouds", "--data", type=Path, help="npz with `points` (n, points, 3)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    set_workers(options.workers)
    print(f"{workers()} workers, batch {options.batch}; ms per assignment: median (least to most)")
    print(f"{'size':>5} {'costs':<10} {'scipy, serial':>24} {'assign':>24} {'assign_points':>24}   speed-ups")
    rows = []
    for size in options.sizes:
        for name, kind in KINDS.items():
            rng = np.random.default_rng(options.seed)
            found = measure(kind, clouds(options.clouds, size, options.batch, rng), options.repeats, rng)
            cells = [f"{np.median(t):.1f} ({min(t):.1f} to {max(t):.1f})" for t in found.values()]
            ratios = {n: np.array(found["scipy"]) / np.array(found[n]) for n in ("assign", "assign_points")}
            shown = "; ".join(f"{np.median(r):.2f} ({r.min():.2f} to {r.max():.2f})" for r in ratios.values())
            print(f"{size:>5} {name:<10} {cells[0]:>24} {cells[1]:>24} {cells[2]:>24}   {shown}", flush=True)
            speed_up = {n: r.tolist() for n, r in ratios.items()}
            rows.append({"size": size, "costs": name, "ms": found, "speed_up": speed_up})
    if options.json:
        options.json.write_text(json.dumps({"workers": workers(), "batch": options.batch, "rows": rows}))


if __name__ == "__main__":
    main()
