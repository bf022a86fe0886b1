"""``verglas simulate``: inputs from a known structure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import SpecError


def simulate(
    structure: Annotated[Path, typer.Argument(metavar="STRUCTURE", help="PDB or mmCIF file (gzipped too).")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the simulated files.")],
    views: Annotated[int, typer.Option(min=0, max=1000, help="Projections, from random directions.")] = 3,
    box: Annotated[int, typer.Option(min=16, max=1024, help="Side of each image, pixels.")] = 100,
    pixel_size: Annotated[float, typer.Option(help="Pixel size, Å.")] = 4.0,
    resolution: Annotated[float, typer.Option(help="Resolution of the images, Å.")] = 10.0,
    noise: Annotated[
        float, typer.Option(min=0.0, help="Noise: its standard deviation over the signal's. 0: none.")
    ] = 0.0,
    poses: Annotated[
        Path | None, typer.Option(metavar="FILE.star", help="Directions from a RELION STAR file instead.")
    ] = None,
    coarse_points: Annotated[
        int, typer.Option(min=0, max=1024, help="Also a low-resolution shape of so many points. 0: none.")
    ] = 0,
    subunit: Annotated[
        str, typer.Option(metavar="CHAINS", help="Also these chains as a known part, e.g. A,B.")
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of directions and noise.")] = 0,
) -> int:
    """Make projections, a coarse shape and a known part from a structure, to try things on.

    Writes the files and `job.toml`, a run description that is ready to run. The structure itself is
    named there as the truth to judge by, never as input.

    \b
    Examples:
      verglas simulate 1aon.pdb --out sim --views 5
      verglas simulate 1aon.pdb --out hard --views 1 --coarse-points 40 --noise 1
      verglas simulate 1fnt.cif --out sub --views 3 --subunit A,B,C
      verglas run sim/job.toml --out result
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    if not 0 < pixel_size <= 100:
        raise SpecError(f"`--pixel-size` is {pixel_size:g}, but must be more than 0 and at most 100 Å.")
    if not 0 < resolution <= 1000:
        raise SpecError(f"`--resolution` is {resolution:g}, but must be more than 0 and at most 1000 Å.")
    from engine.pipelines.simulate import simulate as make

    written = make(
        structure,
        out,
        views=views,
        box=box,
        pixel_size_A=pixel_size,
        resolution_A=resolution,
        noise=noise,
        seed=seed,
        poses=poses,
        coarse_points=coarse_points,
        subunit_chains=tuple(c.strip() for c in subunit.split(",") if c.strip()),
    )
    for path in written:
        sys.stdout.write(f"{path}\n")
    return 0
