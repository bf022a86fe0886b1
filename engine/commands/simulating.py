"""``verglas simulate``: inputs from a known structure, or from a phantom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from engine.errors import SpecError

PHANTOMS = ("box", "capsid")


def simulate(
    structure: Annotated[
        Path,
        typer.Argument(
            metavar="STRUCTURE",
            help="PDB or mmCIF file (gzipped too), or a phantom that moves: `box` or `capsid`.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the simulated files.")],
    views: Annotated[int, typer.Option(min=0, max=1000, help="Projections, from random directions.")] = 3,
    box: Annotated[
        int | None,
        typer.Option(
            "--box",
            "--size",
            min=16,
            max=2048,
            help="Side of each image, pixels. Empty: so that it fits; 88 for phantoms.",
        ),
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            help="Pixel size, Å. Empty: a third of the resolution, or so that it fits; 3 for phantoms."
        ),
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
    averages: Annotated[
        int | None,
        typer.Option(
            "--averages",
            "--images",
            min=1,
            max=100_000,
            help="So many images like class averages instead, for a run without poses. Phantoms: 300.",
        ),
    ] = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Phantoms: also the map of each image, as truth.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of directions and noise.")] = 0,
) -> int:
    """Make projections, a coarse shape and a known part from a structure, to try things on.

    Writes the files and `job.toml`, a run description that is ready to run. The structure itself is
    named there as the truth to judge by, never as input.

    With `--averages`, or with a phantom, the images stand for class averages whose poses are unknown.
    In each image a phantom has another conformation: `box` opens its lids by two angles, `capsid`
    folds its arms down. `parameters.csv` and `images.star` say how each was, for judging only.

    \b
    Examples:
      verglas simulate 1aon.pdb --out sim --views 5
      verglas simulate 1aon.pdb --out hard --views 1 --coarse-points 40 --noise 1
      verglas simulate 1aon.pdb --out map --views 2 --coarse-map 30
      verglas simulate 1fnt.cif --out sub --views 3 --subunit A,B,C
      verglas simulate box --out sim --images 300 --volumes
      verglas simulate 4ug0.cif.gz --out sim --averages 100 --box 88 --resolution 15
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
    phantom = structure.name if str(structure) in PHANTOMS else None
    if phantom or averages is not None:
        # a run without poses has no use for these; typer can't say here which options were typed
        unused = {
            "--views": views != 3,
            "--poses": poses is not None,
            "--coarse-points": coarse_points > 0,
            "--coarse-map": coarse_map is not None,
            "--subunit": bool(subunit),
            "--resolution": phantom is not None and resolution != 10.0,
            "--volumes": phantom is None and volumes,
        }
        given = [name for name, used in unused.items() if used]
        if given:
            what = f"the phantom `{phantom}`" if phantom else "`--averages`"
            raise SpecError(f"{', '.join(given)} can't be used with {what}.", "Leave it out.")
        from engine.pipelines import simulate_phantom as sets

        if phantom:
            paths = sets.simulate_phantom(
                cast(Literal["box", "capsid"], phantom),
                out,
                images=averages or 300,
                size=box or 88,
                pixel_size_A=pixel_size or 3.0,
                noise=noise,
                seed=seed,
                volumes=volumes,
            )
        else:
            paths = sets.simulate_averages(
                structure,
                out,
                images=cast(int, averages),
                box=box,
                pixel_size_A=pixel_size,
                resolution_A=resolution,
                noise=noise,
                seed=seed,
            )
        return _name(paths)
    if volumes:
        raise SpecError("`--volumes` is for phantoms.", "Leave it out: `truth.cif` is written anyway.")
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
    return _name(written)


def _name(written: list[Path]) -> int:
    for path in written:
        sys.stdout.write(f"{path}\n")
    return 0
