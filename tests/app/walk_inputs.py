"""What the walk-through begins with: small made-up files, or real ones from a folder of data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.app import averages_phantom, phantom


@dataclass(frozen=True)
class WalkInputs:
    """Files and budgets.

    Attributes
    ----------
    averages : class averages without a pixel size in the header, as so many are.
    pixel_size_A : what the user types, Å.
    reference : a map to judge the volumes by.
    symmetry : point group of the particle.
    images, poses : projections with poses.
    coarse, part, truth : a low-resolution map, a known part, and the whole.
    box : working box of the training and the volumes, pixels.
    training_steps, restarts, rounds, distillation_steps : budget of the volumes.
    points, samples, steps : budget of the points; points 0 leaves the shipped prior and its number.
    """

    averages: Path
    pixel_size_A: float
    reference: Path
    symmetry: str
    images: Path
    poses: Path
    coarse: Path
    part: Path
    truth: Path
    box: int
    training_steps: int
    restarts: int
    rounds: int
    distillation_steps: int
    points: int
    samples: int
    steps: int


def made_up(folder: Path) -> WalkInputs:
    """Phantoms, and budgets of seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    images, poses = phantom.write_projections(folder, 3)
    return WalkInputs(
        averages=averages_phantom.write_stack(folder, 10, pixel_size_A=0.0, junk=1),
        pixel_size_A=phantom.PIXEL_A,
        reference=phantom.write_map(folder / "reference.mrc"),
        symmetry="C1",
        images=images,
        poses=poses,
        coarse=phantom.write_map(folder / "coarse.mrc", voxel_size_A=12.0),
        part=_write_part(folder / "part.pdb"),
        truth=phantom.write_structure(folder / "whole.pdb"),
        box=16,
        training_steps=3,
        restarts=2,
        rounds=1,
        distillation_steps=2,
        points=96,
        samples=2,
        steps=8,
    )


def real(data: Path, folder: Path) -> WalkInputs:
    """β-galactosidase's class averages and map; GroEL with GroES, seen from three directions.

    Parameters
    ----------
    data : a folder with ``betagal*`` images and map, and ``1aon*``, anywhere below it.
    folder : where the projections, the map and the known part are written.
    """
    from engine.pipelines.simulate import simulate

    folder.mkdir(parents=True, exist_ok=True)
    found = {name: next(iter(sorted(data.rglob(name)))) for name in ("betagal*.mrcs", "betagal*.mrc*[!s]")}
    simulate(
        next(iter(sorted(data.rglob("1aon*")))), folder, views=3, box=None, pixel_size_A=None,
        resolution_A=10.0, noise=0.5, seed=1, poses=None, coarse_points=0, coarse_map_A=25.0,
        subunit_chains=tuple("OPQRSTU"),
    )  # fmt: skip
    return WalkInputs(
        averages=found["betagal*.mrcs"],
        pixel_size_A=3.54,
        reference=found["betagal*.mrc*[!s]"],
        symmetry="D2",
        images=folder / "projections.mrcs",
        poses=folder / "projections.star",
        coarse=folder / "coarse.mrc",
        part=folder / "subunit.cif",
        truth=folder / "truth.cif",
        box=24,
        training_steps=10,
        restarts=2,
        rounds=3,
        distillation_steps=2,
        points=0,
        samples=3,
        steps=12,
    )


def _write_part(path: Path, count: int = 120) -> Path:
    """One lobe of the phantom as a chain of carbon atoms."""
    centre, radii = (np.array(values) for values in phantom.LOBES[1])
    points = phantom.cloud(4000, seed=5)
    inside = points[(((points - centre) / radii) ** 2).sum(1) < 1][:count]
    lines = [
        f"ATOM  {i:5d}  CA  ALA P{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        for i, (x, y, z) in enumerate(inside, 1)
    ]
    path.write_text("\n".join([*lines, "END", ""]))
    return path
