"""``verglas evaluate`` and ``verglas export``: what to do with a finished run, of whatever kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands import prior_quality, volumes
from engine.errors import RunError, SpecError
from engine.io.ensemble import read_ensemble
from engine.io.export import FORMATS, export_ensemble
from engine.io.hand import flipped, mirrored_ensemble, read_in_hand
from engine.io.mrc import write_volume
from engine.io.point_values import MEANINGS, read_point_values
from engine.io.volumes import OF_VOLUMES, run_kind

_FORMATS_HELP = (
    "; ".join(f"{name}: {description.rstrip('.')}" for name, (_, description) in FORMATS.items())
    + f". Of a run of score distillation: {volumes.FORMATS_HELP}."
)


def _ensemble_file(folder: Path) -> Path:
    if folder.is_file():
        return folder
    file = folder / "results" / "ensemble.npz"
    if not file.is_file():
        raise RunError(
            "There is no ensemble in this folder." if folder.is_dir() else "There is no such folder.",
            "Give the folder of a finished `verglas run`.",
            folder,
        )
    return file


def _refuse_training(kind: str | None, folder: Path) -> None:
    if kind in ("train_prior", "train_denoiser"):
        raise RunError(
            "This run trained a network: it holds no reconstruction.",
            "How well it learned is in results/metrics.json; name its weights in a run description.",
            folder,
        )


def evaluate(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Folder of a finished run.")] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Reference: a structure (PDB, mmCIF), a map (MRC) or points (npz). For score distillation a "
            "map, or a folder with volume_0001.mrc ..., one for each class average.",
        ),
    ] = None,
    truth_voxel_size: Annotated[
        float | None, typer.Option(help="For score distillation: voxel size of the reference, Å.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Seed of the reduction of the reference to points; of a prior's samples."),
    ] = 0,
    prior: Annotated[
        str | None,
        typer.Option(metavar="FILE|shipped", help="Judge a prior instead of a run: weights (safetensors)."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="CLOUDS.npz", help="For a prior: real clouds that it was not trained on."),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(metavar="CLOUDS.npz", help="For a prior: the clouds that it was trained on."),
    ] = None,
    samples_file: Annotated[
        Path | None,
        typer.Option(metavar="CLOUDS.npz", help="Judge these samples instead of drawing from a prior."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="For a prior: folder for the report.")
    ] = None,
    samples: Annotated[int, typer.Option(min=4, max=10000, help="For a prior: samples to draw.")] = 200,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="For a prior: noise levels per sample.")] = 100,
    method: Annotated[
        str, typer.Option(help="For a prior: `stochastic` (the paper's) or `ode` (30 steps do).")
    ] = "stochastic",
    emd_points: Annotated[
        int,
        typer.Option(min=16, max=4096, help="For a prior: points for the Earth Mover's distance."),
    ] = 128,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="For a prior: processes, of one thread each if several.")
    ] = 1,
    device: Annotated[
        str, typer.Option(metavar="auto|cuda|mps|cpu", help="For a prior: what draws the samples.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for scripts.")] = False,
) -> int:
    """Measure a result, against a reference if you have one; or judge a prior.

    RMSDs are given after alignment, as papers do, and without: the poses were known, and aligning
    hides errors of place. Without a reference only the spread between the samples can be told.
    Volumes of score distillation are compared by Fourier shell correlation after alignment.

    A prior is judged by samples that it draws without evidence: can they be told from real clouds
    (1-NNA, COV, MMD), are they copies of training clouds, are points spaced and shapes sized as in real
    ones? Stop it when you like: the same command goes on.

    \b
    Examples:
      verglas evaluate result --truth 1aon.pdb
      verglas evaluate volumes --truth emd_1234.mrc
      verglas evaluate result --truth 1aon.pdb --json > figures.json
      verglas evaluate --prior shipped --against val.npz --train train.npz --out quality
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if prior is not None or samples_file is not None or against is not None:
        if folder is not None or truth is not None:
            raise SpecError("A run and a prior can't be judged together.", "Give DIR or `--prior`, not both.")
        return prior_quality.evaluate(
            prior=prior,
            samples_file=samples_file,
            against=against,
            train=train,
            out=out,
            samples=samples,
            steps=steps,
            method=method,
            emd_points=emd_points,
            workers=workers,
            device=device,
            seed=seed,
            as_json=as_json,
        )
    if folder is None:
        raise SpecError("Nothing to evaluate.", "Give the folder of a finished run, or `--prior`.")
    for name, given in (("--train", train), ("--out", out)):
        if given is not None:
            raise SpecError(f"`{name}` is for priors.", "Leave it out, or give `--prior` instead of DIR.")
    kind = run_kind(folder) if folder.is_dir() else None
    _refuse_training(kind, folder)
    if kind in OF_VOLUMES:
        return volumes.evaluate(folder, truth, truth_voxel_size, as_json=as_json)
    ensemble = read_ensemble(_ensemble_file(folder))
    # Here, not above: it imports torch.
    from engine.pipelines import evaluate as evaluation

    error = evaluation.read_stated_error(_ensemble_file(folder).parent, ensemble.points_A.shape[1])
    report = evaluation.evaluate(ensemble, truth, seed=seed, error=error)
    sys.stdout.write((json.dumps(report, indent=2) if as_json else evaluation.format_table(report)) + "\n")
    return 0


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")],
    format_name: Annotated[str, typer.Option("--format", "-f", metavar="NAME", help=_FORMATS_HELP + ".")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="File to write. [default: into DIR/results]"),
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="For mrc: resolution of the map, Å. Empty: from the points' spacing.")
    ] = None,
    voxel_size: Annotated[
        float | None, typer.Option(help="For mrc: voxel size, Å. Empty: from the resolution.")
    ] = None,
    b_factors: Annotated[
        str,
        typer.Option(
            "--b-factor",
            metavar="WHAT",
            help="For mmcif, pdb and cxc, what B-factors hold: spread (8π²/3·spread²), error (stated, Å) or "
            "gauge (share of the prior, %).",
        ),
    ] = "spread",
    which: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="Of points: fine (the finer clouds) or map (the density map). Of score distillation: "
            "consensus, all, or class averages, e.g. 3,7-9.",
        ),
    ] = None,
) -> int:
    """Write a result for other programs.

    Structures hold one model per sample, with the spread across samples, the stated error or the prior's
    share as B-factor; coordinates are in Å, in the frame of your evidence.

    \b
    Examples:
      verglas export result --format mmcif
      verglas export result --format pdb --b-factor error
      verglas export result --format mrc --resolution 15 --out mean.mrc
      verglas export result --format cxc        then open the .cxc file in ChimeraX
      verglas export result --format mrc --which map --out map.mrc
      verglas export volumes --format mrc --which all
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    kind = run_kind(folder) if folder.is_dir() else None
    _refuse_training(kind, folder)
    if kind in OF_VOLUMES:
        given = [n for n, v in (("--resolution", resolution), ("--voxel-size", voxel_size)) if v is not None]
        given += ["--b-factor"] if b_factors != "spread" else []
        return volumes.export(folder, format_name, out, which, unusable=given)
    if which not in (None, "fine", "map"):
        raise SpecError(
            f"A run of points holds no `{which}`.", "Give `--which fine` or `map`, or leave it out."
        )
    if format_name not in FORMATS:
        raise SpecError(f"There is no format `{format_name}`.", f"Choose one of: {', '.join(FORMATS)}.")
    for name, value in (("--resolution", resolution), ("--voxel-size", voxel_size)):
        if value is not None and not 0 < value < 1000:
            raise SpecError(f"`{name}` is {value:g}, but must be between 0 and 1000 Å.")
    if b_factors not in MEANINGS:
        raise SpecError(f"B-factors can't hold `{b_factors}`.", f"Choose one of: {', '.join(MEANINGS)}.")
    source = _ensemble_file(folder)
    if which == "map":
        return _export_map(source.with_name("map.mrc"), format_name, out)
    if which == "fine":
        source = _present(source.with_name("fine.npz"), "finer clouds", "Run with `fine_points`.")
    ensemble = read_ensemble(source)
    if flipped(source.parent):
        ensemble = mirrored_ensemble(ensemble)
    target = out if out is not None else source.with_name(source.stem + FORMATS[format_name][0])
    written = export_ensemble(
        ensemble,
        target,
        format_name,
        resolution_A=resolution,
        voxel_size_A=voxel_size,
        values=read_point_values(source.parent, ensemble.points_A.shape[1]),
        b_factors=b_factors,
    )
    for path in written:
        sys.stdout.write(f"{path}\n")
    return 0


def _export_map(source: Path, format_name: str, out: Path | None) -> int:
    """The density map of a run, in the hand that was chosen for it."""
    _present(source, "density map", "Run with `density_map`, images and two samples or more.")
    if format_name != "mrc":
        raise SpecError(f"A map can't be written as `{format_name}`.", "Give `--format mrc`.")
    mirrored = flipped(source.parent)
    target = out if out is not None else source.with_name("map_mirrored.mrc") if mirrored else source
    if target != source:
        write_volume(target, read_in_hand(source, source.parent))
    sys.stdout.write(f"{target}\n")
    return 0


def _present(path: Path, what: str, advice: str) -> Path:
    if not path.is_file():
        raise RunError(f"This run has no {what}.", advice, path.parent)
    return path
