"""Peak memory and time of a reconstruction against its points, samples and views.

``python -m tests.benchmarks.scaling --out FOLDER`` (data folder as for the other benchmarks)

Each setting is a whole run in a fresh process, as `verglas run` does it: evidence read from files, shipped
prior, default sampler and control, results written. Memory is the process's largest resident set, libraries
included; times are those of the process, without its imports. Writes ``scaling.csv`` and
``dps_scaling.png``; settings that are in the table already are kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from tests.benchmarks.tasks import data_folder

POINTS, SAMPLES, VIEWS = (256, 512, 1024, 2048, 4096), (1, 2, 5, 10, 20), (1, 3, 6, 12)
SECONDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
USUAL = {"points": 1024, "samples": 10, "views": 6}
"""What is not varied, but for the samples of the other two series: one, since they add up."""
COLUMNS = ("series", "points", "samples", "views", "peak_MB", "cpu_s", "wall_s", "steps")


def settings() -> list[tuple[str, int, int, int]]:
    """(series, points, samples, views) of every run."""
    return [
        *(("points", p, 1, USUAL["views"]) for p in POINTS),
        *(("samples", USUAL["points"], s, USUAL["views"]) for s in SAMPLES),
        *(("views", USUAL["points"], 1, v) for v in VIEWS),
    ]


def cloud(points: np.ndarray, count: int) -> np.ndarray:
    """The same object in ``count`` points: fewer of them, or each several times, spread over its cell."""
    rng = np.random.default_rng(0)
    if count <= len(points):
        return points[rng.permutation(len(points))[:count]]
    cell = np.median(cKDTree(points).query(points, k=2)[0][:, 1])
    many = np.repeat(points, -(-count // len(points)), axis=0)[:count]
    return many + rng.normal(scale=0.4 * cell, size=many.shape)


def run_one(options: argparse.Namespace) -> None:
    """In a process of its own: one run; its figures as JSON on the last line."""
    import torch

    from engine.numerics.rotations import matrix_to_quaternion, random_rotations
    from engine.pipelines import dps
    from engine.pipelines.context import RunContext
    from engine.specs.components import ProjectionPoints
    from engine.specs.job import DEFAULT_SAMPLER, DpsSpec

    with np.load(options.cloud, allow_pickle=False) as archive:
        truth = cloud(archive["points"].astype(float), options.points)
    folder = Path(options.out)
    (folder / "results").mkdir(parents=True)
    evidence = []
    for i, rotation in enumerate(random_rotations(options.views, np.random.default_rng(0))):
        np.savez(folder / f"v{i}.npz", points=(truth @ rotation.T)[:, :2])
        w, x, y, z = (float(q) for q in matrix_to_quaternion(rotation))
        evidence.append(ProjectionPoints(file=str(folder / f"v{i}.npz"), rotation=(w, x, y, z)))
    spec = DpsSpec(
        observations=tuple(evidence),
        points=options.points,
        samples=options.samples,
        sampler=DEFAULT_SAMPLER.model_copy(update={"steps": options.steps}),
        device="cpu",
    )
    context = RunContext(folder, lambda event: None, lambda: False, torch.device("cpu"), "CPU")
    wall, cpu = time.perf_counter(), time.process_time()
    dps.run(spec, context)
    found = {
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "steps": options.steps,
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def measure(points: int, samples: int, views: int, steps: int, coordinates: np.ndarray) -> dict[str, float]:
    """Figures of one setting, from a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "cloud.npz", points=coordinates)
        words = [
            sys.executable, "-m", "tests.benchmarks.scaling", "--out", str(Path(folder) / "run"),
            "--cloud", str(Path(folder) / "cloud.npz"), "--points", str(points), "--samples", str(samples),
            "--views", str(views), "--steps", str(steps),
        ]  # fmt: skip
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(f"{points} points, {samples} samples, {views} views failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def figure(rows: list[dict[str, str]], path: Path) -> None:
    """Memory and seconds of the three series, side by side, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(9.6, 5.0), dpi=130, layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.subplots(2, 3, sharex="col", sharey="row")
    titles = {
        "points": f"1 sample, {USUAL['views']} views",
        "samples": f"{USUAL['points']} points, {USUAL['views']} views",
        "views": f"1 sample, {USUAL['points']} points",
    }
    for column, (series, title) in enumerate(titles.items()):
        mine = sorted((r for r in rows if r["series"] == series), key=lambda r: int(r[series]))
        x = [int(r[series]) for r in mine]
        for row, (name, factor, label) in enumerate(
            [("peak_MB", 1e-3, "peak memory, GB"), ("cpu_s", 1.0, "processor time, s")]
        ):
            axis = axes[row, column]
            axis.plot(x, [factor * float(r[name]) for r in mine], "o-", color="#20639b", markersize=4)
            axis.set_xscale("log", base=2)
            axis.set_xticks(x, [str(v) for v in x])
            axis.grid(alpha=0.3)
            if not column:
                axis.set_ylabel(label)
            if row:
                low, high = (f(float(r["cpu_s"]) for r in rows) for f in (min, max))
                axis.set_yscale("log")
                axis.set_yticks(SECONDS, [str(v) for v in SECONDS])
                axis.set_yticks([], minor=True)
                axis.set_ylim(low / 1.3, high * 1.3)
                axis.set_xlabel(series)
            else:
                axis.axhline(4, color="#c44e52", linestyle="--", linewidth=1)
                axis.set_ylim(0, 4.4)
                axis.set_title(title, fontsize=10)
    axes[0, 0].annotate("4 GB", (POINTS[0], 4.05), color="#c44e52", fontsize=8)
    drawing.savefig(path)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--out", required=True, help="folder of table and figure")
    parser.add_argument("--steps", type=int, default=40, help="noise levels; memory doesn't depend on them")
    parser.add_argument("--cloud", help=argparse.SUPPRESS)
    for name in ("points", "samples", "views"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.cloud:
        run_one(options)
        return
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(data_folder(options.data) / "clouds" / "val.npz", allow_pickle=False) as archive:
        coordinates = archive["points"][0].astype(float) * float(archive["scale_A"][0])
    table = folder / "scaling.csv"
    rows = list(csv.DictReader(table.open())) if table.is_file() else []
    for series, points, samples, views in settings():
        key = {"series": series, "points": str(points), "samples": str(samples), "views": str(views)}
        if not any(all(r[k] == v for k, v in key.items()) for r in rows):
            found = measure(points, samples, views, options.steps, coordinates)
            rows.append({**key, **{k: f"{v:.4g}" for k, v in found.items()}})
            with table.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
            sys.stdout.write(f"{rows[-1]}\n")
            sys.stdout.flush()
    figure(rows, folder / "dps_scaling.png")


if __name__ == "__main__":
    main()
