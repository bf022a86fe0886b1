"""Known-pose runs on real files, as a user makes them: RELION's projections, and poses of a volumes run.

    python -m tests.benchmarks.known_poses_files relion --data DIR --out OUT
    python -m tests.benchmarks.known_poses_files after-sds --data DIR --out OUT --subject betagal

``relion``: every method and representation on the five projections that RELION made of a 70S ribosome, at the
poses of its STAR file; the library are 100 projections of another ribosome (80S), or of this one (70S). FSC
to the map, not aligned.

``after-sds``: class averages alone; a volumes run finds poses, known-pose runs begin with them. FSC to the
true map after alignment (poses found from nothing have a frame and hand of their own). Folders that are there
are reused.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.forward.volume_projection import project
from engine.io.mrc import read_volume, write_images
from engine.io.volumes import SdsResults
from engine.jobs.run_dir import RunDir
from engine.jobs.runner import run
from engine.metrics.volumes import aligned_fsc, fsc_area
from engine.numerics.regrid import on_grid
from engine.numerics.rotations import random_rotations
from engine.pipelines.simulate_phantom import draw_conformations, phantom_volume, simulate_phantom
from engine.specs.codec import validate
from engine.specs.known_poses import ASKS_DENOISER, TAKES_GAUSSIANS
from engine.types import ImageStack, Volume
from tests.benchmarks.tasks import data_folder

RELION_PIXEL_A = 5.0  # the file doesn't say; only ratios matter
METHODS = ("wiener", "total_variation", "data", "sds", "ipsm", "denoised_views")
SPLATS = {"kind": "gaussians", "count": 1000}
PHANTOM_IMAGES, PHANTOM_SIZE, FIELD_A = 100, 48, 264.0


def finished(description: dict[str, Any], folder: Path) -> Path:
    """Run, or take what an earlier command has run; the results' folder."""
    results = folder / "results"
    if not (results / "metrics.json").is_file():
        spec = validate({"schema_version": 1, **description})
        ended = run(spec, RunDir.create(folder, spec))
        if not (results / "metrics.json").is_file():
            raise SystemExit(f"{folder}: {ended}")
    return results


def relion(options: argparse.Namespace) -> None:
    data = data_folder(options.data)
    other = read_volume(data / "maps/ribosome80S_4ug0_simulated_80px_4A.mrc.gz")
    same = replace(read_volume(data / "maps/ribosome70S_65px.mrc.gz"), voxel_size_A=(RELION_PIXEL_A,) * 3)
    libraries = {
        name: _library(options.out / f"library_{name}.mrcs", volume)
        for name, volume in (("80S", other), ("70S", same))
    }
    poses = data / "particles/rln_proj_65.star"
    base = {
        "kind": "known_poses", "images": {"poses": str(poses), "pixel_size_A": RELION_PIXEL_A},
        "truth": str(data / "maps/ribosome70S_65px.mrc.gz"),
    }  # fmt: skip
    print(
        "| method | made of | library | area | measured | not measured | FSC .5 at "
        "| correlation with images | s |"
    )
    print("|-|-|-|-|-|-|-|-|-|")
    runs = [(m, "voxels", "80S") for m in METHODS]
    runs += [(m, "gaussians", "80S") for m in TAKES_GAUSSIANS]
    runs += [(m, "voxels", "70S") for m in ASKS_DENOISER]
    for method, made_of, shown in runs:
        more: dict[str, Any] = {"method": {"kind": method}}
        more["library"] = {"file": str(libraries[shown]), "contrast": "white"}
        if made_of == "gaussians":
            more |= {"representation": SPLATS, "positivity": "on"}
        results = finished(base | more, options.out / f"{method}_{made_of}_{shown}")
        facts = json.loads((results / "metrics.json").read_text())
        coverage = json.loads((results / "fourier_coverage.json").read_text())
        areas = [
            fsc_area(np.array(curve))
            for curve in (
                facts["fsc_truth"]["correlation"],
                coverage["fsc_truth_measured"],
                coverage["fsc_truth_unmeasured"],
            )
        ]
        half, seconds = facts["fsc_truth"]["resolution_0p5_A"], sum(facts["seconds"].values())
        print(
            f"| {method} | {made_of} | {shown if method in ASKS_DENOISER else ''} | "
            + " | ".join(f"{a:.3f}" for a in areas)
            + f" | {half:.1f} Å | {np.mean(facts['correlation']):.3f} | {seconds:.0f} |",
            flush=True,
        )


def _library(path: Path, volume: Volume) -> Path:
    """100 projections of a map from random directions, once."""
    if not path.is_file():
        density = torch.from_numpy(on_grid(volume, 64, RELION_PIXEL_A))
        rotations = torch.from_numpy(random_rotations(100, np.random.default_rng(0))).float()
        write_images(path, ImageStack(project(density, rotations).numpy(), RELION_PIXEL_A))
    return path


def _betagal(data: Path, out: Path) -> tuple[dict[str, Any], Volume, str]:
    file = data / "class_averages/betagal_16x100px_3.54A.mrcs"
    truth = read_volume(data / "maps/betagal_100px_3.54A.mrc.gz")
    return {"file": str(file), "pixel_size_A": 3.54}, truth, "D2"


def _phantom(phantom: Any, out: Path) -> tuple[dict[str, Any], Volume, str]:
    """Class averages of a phantom that moves, and the mean of its true maps."""
    folder, pixel = out / phantom, FIELD_A / PHANTOM_SIZE
    if not (folder / "images.mrcs").is_file():
        simulate_phantom(
            phantom, folder, images=PHANTOM_IMAGES, size=PHANTOM_SIZE, pixel_size_A=pixel, seed=7
        )
    _, values = draw_conformations(phantom, PHANTOM_IMAGES, 7)
    mean = np.mean([phantom_volume(phantom, v, PHANTOM_SIZE) for v in values], axis=0)
    return {"file": str(folder / "images.mrcs"), "contrast": "white"}, Volume(mean, (pixel,) * 3), "C1"


def after_sds(options: argparse.Namespace) -> None:
    out = options.out / options.subject
    if options.subject == "betagal":
        averages, truth, symmetry = _betagal(data_folder(options.data), out)
    else:
        averages, truth, symmetry = _phantom(options.subject, options.out)
    sds = finished({"kind": "sds", "averages": averages, "symmetry": symmetry}, out / "sds")
    print("| map | area | FSC .5 at | FSC .143 at | poses turned by |\n|-|-|-|-|-|")

    def row(name: str, volume: Volume, turned: str = "") -> None:
        curve, _ = aligned_fsc(volume.density, float(volume.voxel_size_A[0]), truth, None)
        half, low = curve.resolution_0p5_A, curve.resolution_0p143_A
        print(
            f"| {name} | {curve.area:.3f} | {f'{half:.1f} Å' if half else 'Nyquist'} | "
            f"{f'{low:.1f} Å' if low else 'Nyquist'} | {turned} |",
            flush=True,
        )

    row("volumes run (SDS)", SdsResults(sds).consensus())
    for method in ("wiener", "data", "denoised_views"):
        for rounds in (0, 1, 3):
            if method == "denoised_views" and rounds == 1:
                continue
            description = {
                "kind": "known_poses", "images": {"poses": str(sds.parent)}, "method": {"kind": method},
                "refinement": {"rounds": rounds, "range_deg": 10.0}, "symmetry": symmetry,
            }  # fmt: skip
            results = finished(description, out / f"{method}_{rounds}")
            facts = json.loads((results / "metrics.json").read_text())
            changes = facts.get("pose_change_deg")
            words = f"{np.median(changes):.1f}° (median)" if changes else ""
            row(f"{method}, {rounds} rounds", read_volume(results / "consensus.mrc"), words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("relion", "after-sds"))
    parser.add_argument("--data", help="data folder (or VERGLAS_DATA)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--subject", choices=("betagal", "box", "capsid"), default="betagal")
    options = parser.parse_args()
    options.out = options.out.absolute()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    (relion if options.what == "relion" else after_sds)(options)


if __name__ == "__main__":
    main()
