"""Stand-ins for the five complexes of Möbius & Habeck's Figure 2, from files as deposited.

``python -m tests.benchmarks.figure2 --data DIR --json OUT``

The paper's five are in no one's training set here, but neither are their files at hand; five complexes of
like kind take their places, with the same evidence: projections of the 1024 points at random poses, 40
coarse points, or the 20S core as a known subunit. RMSDs to heavy atoms and to the 1024 points, after
radius-of-gyration scaling and rigid alignment as in the paper, and unaligned. Different structures: the
columns beside each other are a rough scale, not a contest.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.assignment.exact import set_workers
from engine.io.structure import read_structure
from engine.metrics.rmsd import rmsd_table
from engine.numerics.mixtures import kmeans_points, split_atoms
from engine.observations.matched import MatchedPoints
from engine.pipelines.draw import draw
from engine.priors.checkpoint import load_prior, resolve, sha256
from engine.priors.edm import GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.samplers import MaximumLikelihood, Proximal
from tests.benchmarks.cells import Results, finish
from tests.benchmarks.tasks import Task, data_folder

POINTS = 1024


@dataclass(frozen=True)
class Case:
    """One complex, its evidence, and the paper's own case with its RMSDs (atoms, points), Å."""

    name: str
    file: str
    task: str
    paper: str
    paper_atoms_A: float
    paper_points_A: float
    core_chains: int = 0


CASES = (
    Case("6fml", "structures/6fml.cif.gz", "5x1024", "6ryr", 3.56, 2.05),
    Case("5dn6", "structures/5dn6.pdb.gz", "4x1024", "6rdm", 4.46, 2.83),
    Case("3iyd", "structures/3iyd.cif.gz", "3x1024", "6vvy", 4.87, 3.39),
    Case("7p6z", "structures/7p6z.cif.gz", "1x1024+cg40", "6id1", 10.35, 9.82),
    Case("1fnt", "bench_atoms/1fnt.npz", "3x1024", "6fvt", 8.14, 5.66, core_chains=28),
)


def load(folder: Path, case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Heavy atoms, the 1024 points, and the known part's points, Å, about the points' mean."""
    path = folder / case.file
    if path.suffix == ".npz":
        # One atom per residue, as in the training clouds: spread out before clustering.
        with np.load(path, allow_pickle=False) as archive:
            atoms, chain = archive["coords"].astype(np.float64), archive["chain"]
        dense, dense_chain = split_atoms(atoms), np.repeat(chain, 8)
    else:
        structure = read_structure(path)
        dense = atoms = structure.coords_A
        dense_chain = structure.chains
    points = kmeans_points(dense, POINTS).points_A
    centre, core = points.mean(0), None
    if case.core_chains:
        part = dense[dense_chain < case.core_chains]
        core = kmeans_points(part, round(POINTS * len(part) / len(dense))).points_A - centre
    return atoms - centre, points - centre, core


@dataclass(frozen=True)
class Setup:
    """What all cells share."""

    folder: Path
    methods: tuple[str, ...]
    prior: str
    samples: int
    seed: int


def prepare(setup: Setup) -> tuple[Setup, dict[str, Any]]:
    """Priors by method, in a worker."""
    torch.set_num_threads(1)
    set_workers(1)
    priors: dict[str, Any] = {"gauss": GaussianDenoiser(0.363), "ml": None}
    if "dps" in setup.methods:
        priors["dps"], card = load_prior(resolve(setup.prior))
        priors["gauss"] = GaussianDenoiser(card.sigma_data)
    return setup, priors


def run(state: tuple[Setup, dict[str, Any]], argument: tuple[int, str]) -> dict[str, Any]:
    """All samples of one case by one method."""
    (setup, priors), (index, method) = state, argument
    case, samples, seed = CASES[index], setup.samples, setup.seed
    atoms, points, core = load(setup.folder, case)
    scale_A = float(np.abs(points).max())
    observations = Task.parse(case.task).observations(points / scale_A, seed)
    if core is not None:
        observations.append(MatchedPoints("20S", np.eye(3), core / scale_A, POINTS, partial=True))
    sampler = MaximumLikelihood() if method == "ml" else Proximal()
    started, cpu = time.perf_counter(), time.process_time()
    x, energies = draw(
        priors[method], observations, sampler, sample_seeds(seed, samples), points=POINTS,
        device=torch.device("cpu"), watch=lambda step: None,
    )  # fmt: skip
    seconds, cpu = (time.perf_counter() - started) / samples, (time.process_time() - cpu) / samples
    tables = [rmsd_table(m * scale_A, points, atoms) for m in x.double().numpy()]
    return {
        "atoms_A": [t.atoms_A for t in tables],
        "points_A": [t.points_A for t in tables],
        "points_unaligned_A": [t.points_unaligned_A for t in tables],
        "energy": energies.mean(1).tolist(),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "scale_A": scale_A,
        "core_points": 0 if core is None else len(core),
    }


def report(cells: dict[str, Any], methods: Sequence[str]) -> str:
    """The table."""
    heads = "".join(f"{h:>16}" for h in ("atoms Å", "points Å", "unaligned Å"))
    lines = [f"{'case':6}{'evidence':18}{'method':8}{heads}{'paper':>24}"]
    for case in CASES:
        for method in methods:
            c = cells[f"{case.name}/{method}"]
            row = f"{case.name:6}{case.task + ('+20S' if case.core_chains else ''):18}{method:8}"
            for key in ("atoms_A", "points_A", "points_unaligned_A"):
                row += f"{np.mean(c[key]):>9.2f} ±{np.std(c[key], ddof=1):5.2f}"
            if method == "dps":
                row += f"{case.paper}: {case.paper_atoms_A} / {case.paper_points_A}".rjust(24)
            lines.append(row)
    return "\n".join(lines)


def main() -> None:
    """Run what is not yet in the results file, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--methods", default="gauss,dps")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="cells computed at the same time")
    parser.add_argument("--prior", default="shipped")
    parser.add_argument("--json", required=True, type=Path, help="results; finished cells in it are kept")
    options = parser.parse_args()
    methods = tuple(options.methods.split(","))
    setup = Setup(data_folder(options.data), methods, options.prior, options.samples, options.seed)
    digest, sigma_data = "", None
    if "dps" in methods:
        path = resolve(options.prior)
        digest, sigma_data = sha256(path), load_prior(path)[1].sigma_data
    results = Results(
        options.json,
        {"samples": options.samples, "seed": options.seed},
        {
            "prior_sha256": (digest, lambda key: key.endswith("/dps")),
            "sigma_data": (sigma_data, lambda key: key.endswith("/gauss")),
        },
    )
    wanted = {f"{c.name}/{m}": (i, m) for i, c in enumerate(CASES) for m in methods}

    def say(key: str, cell: dict) -> str:
        return f"{key}: {np.mean(cell['points_A']):.2f} Å"

    finish(results, wanted, prepare, setup, run, workers=options.workers, say=say)
    sys.stdout.write(report(results.cells, methods) + "\n")


if __name__ == "__main__":
    main()
