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
    box: Annotated[
        int | None, typer.Option(min=16, max=2048, help="Side of each image, pixels. Empty: so that it fits.")
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(help="Pixel size, Å. Empty: a third of the resolution, or so that it fits."),
    ] = None,
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
    coarse_map: Annotated[
        float | None, typer.Option(metavar="Å", help="Also a low-resolution map, of this resolution.")
    ] = None,
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
      verglas simulate 1aon.pdb --out map --views 2 --coarse-map 30
      verglas simulate 1fnt.cif --out sub --views 3 --subunit A,B,C
      verglas run sim/job.toml --out result
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    lengths = (
        ("--pixel-size", pixel_size, 100),
        ("--resolution", resolution, 1000),
        ("--coarse-map", coarse_map, 1000),
    )
    for name, value, most in lengths:
        if value is not None and not 0 < value <= most:
            raise SpecError(f"`{name}` is {value:g}, but must be more than 0 and at most {most} Å.")
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
        coarse_map_A=coarse_map,
        subunit_chains=tuple(c.strip() for c in subunit.split(",") if c.strip()),
    )
    for path in written:
        sys.stdout.write(f"{path}\n")
    return 0
