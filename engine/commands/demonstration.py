"""``verglas demo``: a real complex from three projections, with controls, and from class averages.

:func:`run_demo` is the command; class averages are the matter of :mod:`engine.commands.volume_demonstration`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.commands.volume_demonstration import carry_out_run, run_volumes
from engine.events import Event, Progress
from engine.io.atomic import write_text
from engine.io.ensemble import read_ensemble
from engine.io.export import FORMATS, export_ensemble
from engine.io.mrc import read_images
from engine.io.point_values import read_point_values
from engine.metrics.ensemble import medoid_index
from engine.observations.projection import from_images
from engine.pipelines.figures import clouds_figure, evidence_figure, quality_figure, save
from engine.pipelines.truth import load_truth
from engine.specs.codec import load_spec
from engine.specs.components import GaussianPrior, ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.samplers import MaximumLikelihood
from engine.specs.sds import SdsSpec

Echo = Callable[[str], None]
Part = Literal["dps", "sds"]
_ROWS = {
    "rmsd_points_A": "RMSD to the 1024-point truth, aligned (Å)",
    "rmsd_points_unaligned_A": "RMSD to the 1024-point truth, as placed (Å)",
    "rmsd_atoms_A": "RMSD of heavy atoms, aligned (Å)",
    "rmsd_atoms_unaligned_A": "RMSD of heavy atoms, as placed (Å)",
    "chamfer": "Chamfer distance (frame scale)",
    "emd": "Earth Mover's distance (frame scale)",
}


def demo_folder() -> Path:
    """The inputs that come with Verglas."""
    return Path(str(resources.files("resources") / "demo"))


def _methods(spec: DpsSpec) -> dict[str, tuple[str, DpsSpec]]:
    """Folder name to title and spec: the reconstruction and its two controls."""
    return {
        "dps": ("DPS, shipped prior", spec),
        "gaussian-control": ("same sampler, no shapes", spec.model_copy(update={"prior": GaussianPrior()})),
        "maximum-likelihood": (
            "maximum likelihood",
            spec.model_copy(update={"sampler": MaximumLikelihood()}),
        ),
    }


def _clear(folder: Path) -> None:
    """Remove the runs of an earlier demo, and nothing else."""
    for name in ("dps", "gaussian-control", "maximum-likelihood"):
        if (folder / name / "spec.json").is_file():
            shutil.rmtree(folder / name)


def _say_progress(echo: Echo) -> Callable[[Event], None]:
    """Lines, not a bar: the demo's output is read in logs too."""
    last = [0.0]

    def told(event: Event) -> None:
        if isinstance(event, Progress) and event.done and time.monotonic() - last[0] > 10:
            last[0] = time.monotonic()
            left = "" if event.eta_s is None else f", about {event.eta_s:.0f} s left"
            echo(f"    {event.stage}: {100 * event.done / event.total:3.0f} %{left}")

    return told


def run_demo(out: Path, echo: Echo, only: Part | None = None) -> Path:
    """Run, compare, export, draw.

    Parameters
    ----------
    out : folder for everything that is written.
    echo : prints one line.
    only : leave out the other part.

    Returns
    -------
    A run directory for the window: the reconstruction of points, or of volumes if that alone was made.

    Raises
    ------
    VerglasError
        If a run fails or a file can't be written.
    """
    out = out.absolute()
    written: list[Path] = []
    shown: list[Path] = []
    if only != "sds":
        written += _points(out, echo)
        shown.append(out / "dps")
    if only != "dps":
        spec = load_spec(demo_folder() / "averages.toml")
        assert isinstance(spec, SdsSpec)
        if shown:
            echo("")
        folder, files = run_volumes(spec, out, echo, _say_progress(echo))
        written += files
        shown.append(folder)
    echo("\nWritten to " + str(out) + ":")
    echo("  " + "  ".join(p.name for p in written))
    if len(shown) > 1:
        echo(f"The volumes can be looked at later: verglas app {shown[1]}")
    return shown[0]


def _points(out: Path, echo: Echo) -> list[Path]:
    """The part with projections; the files written beside the runs."""
    spec = load_spec(demo_folder() / "job.toml")
    assert isinstance(spec, DpsSpec)
    _clear(out)
    views = spec.observations[0]
    assert isinstance(views, ProjectionImages)
    echo(f"Verglas demo: {spec.title}")
    echo(f"Evidence: {Path(views.images).name} with poses from {Path(views.poses).name}.")
    reports: dict[str, dict[str, Any]] = {}
    for name, (title, variant) in _methods(spec).items():
        echo(f"  {title}: {variant.samples} samples of {variant.points} points")
        metrics, seconds = carry_out_run(variant, out / name, _say_progress(echo))
        reports[title] = metrics | {"seconds": seconds}
    table = _table(reports)
    echo("\n" + table)
    written = [*_export(out), *_draw(out, spec, views, reports), out / "table.txt"]
    write_text(out / "table.txt", table + "\n")
    return written


def _table(reports: dict[str, dict[str, Any]]) -> str:
    titles = list(reports)
    width = max(len(t) for t in titles) + 3
    left = max(len(r) for r in _ROWS.values()) + 2
    lines = [" " * left + "".join(f"{t:>{width}}" for t in titles)]
    for key, label in _ROWS.items():
        cells = []
        for report in reports.values():
            entry = report["summary"][key]
            cells.append(f"{entry['mean']:.3g} ± {entry['sd'] or 0:.2g}")
        lines.append(f"{label:<{left}}" + "".join(f"{c:>{width}}" for c in cells))
    seconds = [f"{r['seconds'] / r['samples']:.1f}" for r in reports.values()]
    lines.append(
        f"{'seconds per sample, judging included':<{left}}" + "".join(f"{s:>{width}}" for s in seconds)
    )
    return "\n".join(lines)


def _export(out: Path) -> list[Path]:
    results = out / "dps" / "results"
    ensemble = read_ensemble(results / "ensemble.npz")
    values = read_point_values(results, ensemble.points_A.shape[1])
    written: list[Path] = []
    for name, (suffix, _) in FORMATS.items():
        written += export_ensemble(ensemble, out / f"ensemble{suffix}", name, values=values)
    return list(dict.fromkeys(written))


def _draw(
    out: Path, spec: DpsSpec, views: ProjectionImages, reports: dict[str, dict[str, Any]]
) -> list[Path]:
    truth = load_truth(spec.truth or "", spec.points)
    clouds, spreads = {"truth (not an input)": truth.points_A}, {}
    for name, title in zip(_methods(spec), reports, strict=True):
        points = read_ensemble(out / name / "results" / "ensemble.npz").points_A
        clouds[title] = points[medoid_index(points)]
        spreads[title] = np.load(out / name / "results" / "spread.npy", allow_pickle=False)
    figures = {
        "evidence.png": evidence_figure(read_images(views.images), from_images(views, lambda note: None)),
        "structures.png": clouds_figure(clouds, spreads),
        "quality.png": quality_figure(reports),
    }
    for name, figure in figures.items():
        save(figure, out / name)
    return [out / name for name in figures]
