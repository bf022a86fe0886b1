"""The second part of ``verglas demo``: a map of the same complex from class averages without poses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from engine import errors
from engine.commands import summaries
from engine.errors import RunError
from engine.events import Cancelled, Event, Failed
from engine.io.export_volumes import contour_level, export_volumes
from engine.io.volumes import SdsResults
from engine.jobs.run_dir import RunDir
from engine.jobs.runner import run
from engine.pipelines.figures import save
from engine.pipelines.sds_figures import averages_figure, fsc_figure, map_figure, tournament_figure
from engine.specs.job import JobSpec
from engine.specs.sds import SdsSpec

FOLDER = "sds"
_CURVES = {
    "fsc_truth": "consensus and truth, aligned, no mask",
    "fsc_half": "two halves of the class averages, soft sphere",
}


def carry_out_run(
    spec: JobSpec, folder: Path, progress: Callable[[Event], None]
) -> tuple[dict[str, Any], float]:
    """Carry out one of the demo's runs; what it measured, and its seconds.

    Raises
    ------
    RunError
        If the run fails. ``Cancelled`` if it was stopped.
    """
    made = RunDir.create(folder, spec)
    outcome = run(spec, made, progress)
    if isinstance(outcome, Failed):
        raise RunError(f"The demo's run `{folder.name}` failed: {outcome.message}", "", made.log_file)
    if isinstance(outcome, Cancelled):
        raise errors.Cancelled
    return json.loads((made.results / "metrics.json").read_text()), outcome.seconds


def run_volumes(
    spec: SdsSpec, out: Path, echo: Callable[[str], None], progress: Callable[[Event], None]
) -> tuple[Path, list[Path]]:
    """Reconstruct from class averages, say how well, export, draw.

    Parameters
    ----------
    spec : what to run.
    out : folder for everything that is written; the run goes into ``sds`` there.
    echo : prints one line.
    progress : is told the run's events.

    Returns
    -------
    The run directory, and the other files that were written.

    Raises
    ------
    VerglasError
        If the run fails or a file can't be written.
    """
    folder = out / FOLDER
    if (folder / "spec.json").is_file():  # of an earlier demo
        shutil.rmtree(folder)
    echo(f"Volumes from class averages: {spec.title}")
    echo(f"Evidence: {Path(spec.averages.file).name}. Directions are not given.")
    echo(f"  {spec.restarts} starts from random poses, then one consensus")
    metrics, seconds = carry_out_run(spec, folder, progress)
    echo("")
    for sentence in summaries.of_volumes(metrics):
        echo(f"  {sentence}")
    echo(f"  {seconds:.0f} s in all.")
    written: list[Path] = []
    for name, stem in (("mrc", "consensus.mrc"), ("star", "poses.star"), ("cxc", "consensus.cxc")):
        written += export_volumes(folder, out / stem, name)
    for name, figure in _figures(SdsResults(folder), metrics).items():
        save(figure, out / name)
        written.append(out / name)
    return folder, list(dict.fromkeys(written))


def _figures(results: SdsResults, metrics: Mapping[str, Any]) -> dict[str, Figure]:
    consensus = results.consensus()
    prepared, projections = results.prepared(), results.projections()
    found = metrics["agreement"]
    curves = {key: metrics[key] for key in _CURVES if metrics.get(key)}
    return {
        "averages.png": averages_figure(
            prepared.images, projections.images, prepared.pixel_size_A,
            correlations=results.poses().correlation.tolist(),
        ),
        "starts.png": tournament_figure(
            np.array(found["correlation"], float), found["groups"], medoid=found["medoid"],
            sentence=found["sentence"],
        ),
        "consensus.png": map_figure(
            consensus.density, float(consensus.voxel_size_A[0]), level=contour_level(consensus.density),
            title="Consensus map of the class averages",
        ),
        "fsc.png": fsc_figure(
            {
                _CURVES[key]: (np.array(part["frequency_per_A"]), np.array(part["correlation"], float))
                for key, part in curves.items()
            },
            title="Fourier shell correlation of the demo's map",
            resolutions_A={
                _CURVES[key]: {0.5: part["resolution_0p5_A"], 0.143: part["resolution_0p143_A"]}
                for key, part in curves.items()
            },
        ),
    }  # fmt: skip
