"""How well structures are recovered: every sampler beside every control.

``python -m tests.benchmarks.dps_accuracy --half dev --tasks 3x1024,1x1024+cg40 --json OUT``

Methods are those of :mod:`tests.benchmarks.methods`: the default sampler (``dps``) and the same without any
knowledge of shapes (``gauss``), split Gibbs, DAPS and DiffPIR, Algorithm 1 (``a1``), all at equal evaluations
of the denoiser; maximum likelihood (``ml``), also annealed with restarts (``aml``). ``--equal seconds`` gives
every method the processor time that ``dps`` takes, by changing its steps: measured with short runs before.

Structures with even rows are the dev half, on which samplers are tuned and chosen; those with odd rows are
only reported. Tables end with paired Wilcoxon tests over structures. Finished cells are kept in OUT, so that
a broken run goes on; structures come one after the other with all their tasks and methods, so that it may
also be stopped: ``--limit`` then tables those that are whole.

Each cell is computed on one thread; ``--workers 2`` computes two at a time, with the same figures. Clouds
without a scale in Å (objects of everyday life) have no RMSD in Å: theirs is in hundredths of the unit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import wilcoxon

from engine.assignment.exact import set_workers
from engine.io.clouds import CloudSet, read_clouds
from engine.metrics.point_clouds import chamfer, earth_movers
from engine.metrics.rmsd import rmsd_points, rmsd_table
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from tests.benchmarks.cells import Results, finish
from tests.benchmarks.methods import METHODS, Method, method_for
from tests.benchmarks.tasks import Task, atoms_of, data_folder

NETWORK = {name for name, method in METHODS.items() if method.network}
SIGMA_DATA = 0.363
"""Of the complexes' clouds: the control's where no prior says otherwise."""
TABLE = {
    "chamfer": ("CD ×10²", 100),
    "emd": ("EMD ×10²", 100),
    "rmsd_atoms_A": ("RMSD atoms Å", 1),
    "rmsd_points_A": ("RMSD points Å", 1),
    "rmsd_points_unaligned_A": ("unaligned Å", 1),
    "rmsd_unaligned": ("RMSD ×10²", 100),
    "energy": ("E ×10³", 1000),
    "cpu_seconds": ("CPU s/sample", 1),
}
CONTESTS = ("chamfer", "emd", "rmsd_points_A", "rmsd_atoms_A", "rmsd_points_unaligned_A", "rmsd_unaligned")


def arguments(words: Sequence[str] | None = None, **defaults: Any) -> argparse.Namespace:
    """Options from the command line; ``defaults`` replace those of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clouds", help="npz of clouds; default clouds/bench100.npz of the data folder")
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA): clouds and heavy atoms")
    parser.add_argument("--tasks", default="3x1024,1x1024+cg40")
    parser.add_argument("--methods", default="ml,gauss,dps")
    parser.add_argument("--half", choices=("all", "dev", "report"), default="all", help="even or odd rows")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first N structures of these")
    parser.add_argument("--limit", type=int, default=20, help="then take N structures")
    parser.add_argument("--points", type=int, help="thin the clouds to so many points (to tune in less time)")
    parser.add_argument(
        "--equal",
        choices=("evaluations", "seconds", "steps"),
        default="evaluations",
        help="what methods have in common; steps leaves each its own",
    )
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="cells computed at the same time")
    parser.add_argument("--prior", default="shipped", help="weights of the network")
    parser.add_argument("--alpha", type=float, help="guidance scale of a1; default the best of each task")
    parser.add_argument("--json", required=True, type=Path, help="results; finished cells in it are kept")
    parser.set_defaults(**defaults)
    options = parser.parse_args(words)
    unknown = set(options.methods.split(",")) - set(METHODS)
    if unknown:
        parser.error(f"unknown method {sorted(unknown)[0]}; choose from {', '.join(METHODS)}")
    if options.workers < 1 or options.skip < 0 or options.limit < 1:
        parser.error("--workers and --limit must be at least 1, --skip at least 0")
    return options


class Bench:
    """What a worker computes cells with: clouds, priors and options."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)
        set_workers(1)
        self.options = options
        self.clouds, self.atoms_folder = load(options)
        self.steps: dict[tuple[str, str], int] = {}
        self.priors: dict[str, Any] = {"gauss": GaussianDenoiser(SIGMA_DATA)}
        if NETWORK & set(options.methods.split(",")):
            self.priors["network"], card = load_prior(resolve(options.prior))
            self.priors["gauss"] = GaussianDenoiser(card.sigma_data)

    def steps_in_the_same_time(self, name: str, task: Task, observations: list, points: int) -> int:
        """Steps with which a method takes the processor time of ``dps``, from short runs of both."""
        key = (name, task.name)
        if key not in self.steps:
            spent = {}
            for one in ("dps", name):
                method = method_for(one, task, points, "evaluations", self.options.alpha)
                share = {}
                for steps in (4, 12):  # twice, so that what begins every run counts for nothing
                    begun = time.process_time()
                    self.draw(method.with_steps(steps), observations, points, 1)
                    share[steps] = time.process_time() - begun
                spent[one] = max(share[12] - share[4], 1e-3) / 8
            dps = method_for("dps", task, points, "evaluations").sampler.steps
            self.steps[key] = max(2, round(dps * spent["dps"] / spent[name]))
        return self.steps[key]

    def draw(self, method: Method, observations: list, points: int, samples: int) -> Any:
        """Samples and energies, normalised."""
        return draw(
            self.priors["network" if method.network else "gauss"],
            observations,
            method.sampler,
            sample_seeds(self.options.seed, samples),
            points=points,
            device=torch.device("cpu"),
            watch=lambda step: None,
        )

    def cell(self, row: int, task: Task, name: str) -> dict:
        """All samples of one structure, task and method."""
        options, n = self.options, self.options.samples
        truth, scale_A = self.clouds.points[row].astype(np.float64), float(self.clouds.scale_A[row])
        if options.points and options.points < len(truth):
            truth = truth[np.random.default_rng(1).permutation(len(truth))[: options.points]]
            truth = truth - truth.mean(0)
        observations = task.observations(truth, options.seed)
        method = method_for(name, task, len(truth), options.equal, options.alpha)
        if options.equal == "seconds":
            method = method.with_steps(self.steps_in_the_same_time(name, task, observations, len(truth)))
        started, cpu = time.perf_counter(), time.process_time()
        x, energies = self.draw(method, observations, len(truth), n)
        seconds, cpu = (time.perf_counter() - started) / n, (time.process_time() - cpu) / n
        model = x.double().numpy()
        target = np.broadcast_to(truth, model.shape)
        return {
            "chamfer": chamfer(model, target).tolist(),
            "emd": earth_movers(model, target).tolist(),
            **self.rmsds(model, truth, scale_A, self.clouds.names[row]),
            "energy": energies.mean(1).tolist(),
            "seconds": [seconds] * n,
            "cpu_seconds": [cpu] * n,
            "steps": method.sampler.steps,
        }

    def rmsds(self, model: np.ndarray, truth: np.ndarray, scale_A: float, name: str) -> dict:
        """In Å, also after alignment and to atoms; in normalised units where the clouds have no Å."""
        if not in_angstrom(self.clouds):
            return {"rmsd_unaligned": [rmsd_points(m, truth) for m in model]}
        atoms = atoms_of(self.atoms_folder, name, truth * scale_A)
        tables = [rmsd_table(m * scale_A, truth * scale_A, atoms) for m in model]
        return {
            "rmsd_points_A": [t.points_A for t in tables],
            "rmsd_atoms_A": [t.atoms_A for t in tables if t.atoms_A is not None],
            "rmsd_points_unaligned_A": [t.points_unaligned_A for t in tables],
        }


def load(options: argparse.Namespace) -> tuple[CloudSet, Path | None]:
    """The clouds, and the folder of their heavy atoms if there is one."""
    folder = data_folder(options.data) if options.clouds is None or options.data else None
    clouds = read_clouds(options.clouds or folder / "clouds" / "bench100.npz")
    return clouds, None if folder is None else folder / "bench_atoms"


def in_angstrom(clouds: CloudSet) -> bool:
    """Whether the clouds say how large they are; one Å per normalised unit means that they don't."""
    return bool((clouds.scale_A != 1).any())


def compute(bench: Bench, argument: tuple[int, str, str]) -> dict:
    """One cell, in a worker."""
    row, task, method = argument
    return bench.cell(row, Task.parse(task), method)


def report(cells: dict[str, dict], tasks: list[Task], methods: list[str], names: list[str]) -> str:
    """Means with standard deviations, and how many pairs DPS wins."""
    wanted = [cells[f"{t.name}/{m}/{n}"] for t, m, n in product(tasks, methods, names)]
    table = {k: v for k, v in TABLE.items() if any(c.get(k) for c in wanted)}
    lines = []
    for task in tasks:
        lines.append(f"\n{task.name}: {len(names)} structures")
        lines.append(f"{'method':12}" + "".join(f"{label:>20}" for label, _ in table.values()))
        for method in methods:
            mine = [cells[f"{task.name}/{method}/{n}"] for n in names]
            row = f"{method:12}"
            for key, (_, factor) in table.items():
                values = np.array([v for c in mine for v in c.get(key, ())]) * factor
                row += (
                    f"{values.mean():>12.2f} ±{values.std(ddof=1):6.2f}"
                    if values.size > 1
                    else f"{values.mean():>12.2f}" + " " * 8
                    if values.size
                    else f"{'–':>20}"
                )
            lines.append(row)
        for first, second in combinations(methods, 2):
            lines.append(contest(cells, task, first, second, names))
    return "\n".join(lines)


def contest(cells: dict[str, dict], task: Task, first: str, second: str, names: list[str]) -> str:
    """How two methods compare structure by structure (means of samples), with paired Wilcoxon tests."""
    words = []
    for key in CONTESTS:
        a, b = (
            np.array([np.mean(v) for n in names if (v := cells[f"{task.name}/{m}/{n}"].get(key))])
            for m in (first, second)
        )
        if len(a):
            p = float(wilcoxon(a, b).pvalue) if len(a) > 1 and (a != b).any() else 1.0
            change = 100 * (a.mean() / b.mean() - 1)
            words.append(f"{key} {int((a < b).sum())}/{len(a)} ({change:+.1f} %, p {p:.2g})")
    return f"{first} before {second} (change of the mean): " + "; ".join(words)


def say(key: str, cell: dict) -> str:
    """A line about a finished cell."""
    points = cell.get("rmsd_points_A")
    return f"{key}: " + (
        f"RMSD {np.mean(points):.2f} Å" if points else f"RMSD {np.mean(cell['rmsd_unaligned']):.3f}"
    )


def run(options: argparse.Namespace) -> None:
    """Compute what is not yet in the results file, then print the tables."""
    clouds, _ = load(options)
    tasks = [Task.parse(t) for t in options.tasks.split(",")]
    methods = options.methods.split(",")
    every = range({"all": 0, "dev": 0, "report": 1}[options.half], len(clouds.points))
    every = every[:: 1 if options.half == "all" else 2]
    rows = every[options.skip : options.skip + options.limit]
    if not rows:
        raise SystemExit(f"There are only {len(every)} structures; skip fewer.")
    digest, sigma_data = "", None
    if NETWORK & set(methods):
        path = resolve(options.prior)
        digest, sigma_data = sha256(path), load_prior(path)[1].sigma_data
    settings = {k: getattr(options, k) for k in ("samples", "seed", "alpha", "points", "equal")}
    settings["clouds"] = Path(options.clouds or "bench100.npz").name
    results = Results(
        options.json,
        settings,
        {
            "prior_sha256": (digest, lambda key: key.split("/")[1] in NETWORK),
            "sigma_data": (sigma_data, lambda key: key.split("/")[1] == "gauss"),
        },
    )
    wanted = {
        f"{task.name}/{method}/{clouds.names[row]}": (row, task.name, method)
        for row, task, method in product(rows, tasks, methods)
    }
    finish(results, wanted, Bench, options, compute, workers=options.workers, say=say)
    sys.stdout.write(report(results.cells, tasks, methods, [clouds.names[r] for r in rows]) + "\n")


if __name__ == "__main__":
    run(arguments())
