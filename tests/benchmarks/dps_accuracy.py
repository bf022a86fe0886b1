"""How well structures are recovered, beside the same sampler without a prior's knowledge.

``python -m tests.benchmarks.dps_accuracy --clouds FILE.npz --tasks 3x1024,1x1024+cg40 --json OUT``

Methods: ``ml`` (Adam from a uniform start), ``gauss`` (the same sampler as ``dps`` with the closed-form
denoiser of an isotropic Gaussian: what annealing alone brings), ``dps`` (the shipped or given prior),
``a1`` (Algorithm 1 with the prior). Finished cells are kept in OUT, so that a broken run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.io.atomic import write_text
from engine.io.clouds import read_clouds
from engine.metrics.point_clouds import chamfer, earth_movers
from engine.metrics.rmsd import rmsd_table
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.components import Algorithm1, MaximumLikelihood, Proximal
from tests.benchmarks.tasks import Task, atoms_of, data_folder

METHODS = ("ml", "gauss", "dps", "a1")
TABLE = {
    "chamfer": ("CD ×10²", 100),
    "emd": ("EMD ×10²", 100),
    "rmsd_atoms_A": ("RMSD atoms Å", 1),
    "rmsd_points_A": ("RMSD points Å", 1),
    "rmsd_points_unaligned_A": ("unaligned Å", 1),
    "energy": ("E ×10³", 1000),
    "seconds": ("s/sample", 1),
}
CONTESTS = ("chamfer", "emd", "rmsd_points_A", "rmsd_atoms_A", "rmsd_points_unaligned_A")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clouds", help="npz of clouds; default clouds/bench100.npz of the data folder")
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA): clouds and heavy atoms")
    parser.add_argument("--tasks", default="3x1024,1x1024+cg40")
    parser.add_argument("--methods", default="ml,gauss,dps")
    parser.add_argument("--limit", type=int, default=20, help="first N structures")
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prior", default="shipped", help="weights of dps and a1")
    parser.add_argument("--alpha", type=float, default=40000.0, help="guidance scale of a1")
    parser.add_argument("--json", required=True, type=Path, help="results; finished cells in it are kept")
    options = parser.parse_args()
    unknown = set(options.methods.split(",")) - set(METHODS)
    if unknown:
        parser.error(f"unknown method {sorted(unknown)[0]}; choose from {', '.join(METHODS)}")
    return options


def cell(
    method: str, task: Task, truth: np.ndarray, scale_A: float, atoms: Any, options: Any, priors: Any
) -> dict:
    """All samples of one structure, task and method."""
    observations = task.observations(truth, options.seed)
    sampler = {
        "ml": MaximumLikelihood(),
        "gauss": Proximal(),
        "dps": Proximal(),
        "a1": Algorithm1(alpha=options.alpha),
    }[method]
    started, cpu = time.perf_counter(), time.process_time()
    x, energies = draw(
        priors["gauss" if method in ("ml", "gauss") else "network"],
        observations,
        sampler,
        sample_seeds(options.seed, options.samples),
        points=len(truth),
        device=torch.device("cpu"),
        watch=lambda step: None,
    )
    n = options.samples
    seconds, cpu = (time.perf_counter() - started) / n, (time.process_time() - cpu) / n
    model = x.double().numpy()
    target = np.broadcast_to(truth, model.shape)
    tables = [rmsd_table(m * scale_A, truth * scale_A, atoms) for m in model]
    return {
        "chamfer": chamfer(model, target).tolist(),
        "emd": earth_movers(model, target).tolist(),
        "rmsd_points_A": [t.points_A for t in tables],
        "rmsd_atoms_A": [t.atoms_A for t in tables if t.atoms_A is not None],
        "rmsd_points_unaligned_A": [t.points_unaligned_A for t in tables],
        "energy": energies.mean(1).tolist(),
        "seconds": [seconds] * n,
        "cpu_seconds": [cpu] * n,
    }


def report(cells: dict[str, dict], tasks: list[Task], methods: list[str], names: list[str]) -> str:
    """Means with standard deviations, and how many pairs DPS wins."""
    lines = []
    for task in tasks:
        lines.append(f"\n{task.name}: {len(names)} structures")
        lines.append(f"{'method':8}" + "".join(f"{label:>20}" for label, _ in TABLE.values()))
        for method in methods:
            mine = [cells[f"{task.name}/{method}/{n}"] for n in names]
            row = f"{method:8}"
            for key, (_, factor) in TABLE.items():
                values = np.array([v for c in mine for v in c[key]]) * factor
                row += (
                    f"{values.mean():>12.2f} ±{values.std(ddof=1):6.2f}" if values.size > 1 else f"{'–':>20}"
                )
            lines.append(row)
        for rival in methods if "dps" in methods else []:
            if rival == "dps":
                continue
            won = []
            for key in CONTESTS:
                a = np.array([v for n in names for v in cells[f"{task.name}/dps/{n}"][key]])
                b = np.array([v for n in names for v in cells[f"{task.name}/{rival}/{n}"][key]])
                if len(a):
                    change = 100 * (a.mean() / b.mean() - 1)
                    won.append(f"{key} {int((a < b).sum())}/{len(a)} ({change:+.1f} %)")
            lines.append(f"dps beats {rival} in pairs (change of the mean): " + "; ".join(won))
    return "\n".join(lines)


def main() -> None:
    """Run what is not yet in the results file, then print the tables."""
    options = arguments()
    folder = data_folder(options.data) if options.clouds is None or options.data else None
    clouds = read_clouds(options.clouds or folder / "clouds" / "bench100.npz")
    atoms_folder = None if folder is None else folder / "bench_atoms"
    tasks = [Task.parse(t) for t in options.tasks.split(",")]
    methods = options.methods.split(",")
    priors: dict[str, Any] = {"gauss": GaussianDenoiser(0.363)}
    settings: dict[str, Any] = {k: getattr(options, k) for k in ("samples", "seed", "alpha")}
    prior_digest = ""
    if {"dps", "a1"} & set(methods):
        priors["network"], card = load_prior(resolve(options.prior))
        prior_digest = sha256(resolve(options.prior))
        priors["gauss"] = GaussianDenoiser(card.sigma_data)
    stored = json.loads(options.json.read_text()) if options.json.is_file() else {}
    cells = stored.get("cells", {}) if stored.get("settings") == settings else {}
    if stored.get("prior_sha256") not in (None, "", prior_digest):
        cells = {k: v for k, v in cells.items() if k.split("/")[1] in ("ml", "gauss")}
    count = min(options.limit, len(clouds.points))
    for row, task, method in product(range(count), tasks, methods):
        key = f"{task.name}/{method}/{clouds.names[row]}"
        if key in cells:
            continue
        truth, scale_A = clouds.points[row].astype(np.float64), float(clouds.scale_A[row])
        atoms = atoms_of(atoms_folder, clouds.names[row], truth * scale_A)
        cells[key] = cell(method, task, truth, scale_A, atoms, options, priors)
        stored = {
            "settings": settings,
            "prior_sha256": prior_digest or stored.get("prior_sha256", ""),
            "cells": cells,
        }
        write_text(options.json, json.dumps(stored))
        sys.stdout.write(f"{key}: RMSD {np.mean(cells[key]['rmsd_points_A']):.2f} Å\n")
        sys.stdout.flush()
    sys.stdout.write(report(cells, tasks, methods, list(clouds.names[:count])) + "\n")


if __name__ == "__main__":
    main()
