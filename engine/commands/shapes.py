"""``verglas data shapes``: training clouds from the surfaces of any solids."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

_LISTED = 20


def shapes(
    voxels: Annotated[
        Path,
        typer.Argument(
            metavar="VOXELS.npy", help="Array (shapes, z, y, x), 1 inside and 0 outside; gzipped too."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="NAME.npz", help="Writes NAME.train.npz, NAME.val.npz and NAME.test.npz."
        ),
    ],
    points: Annotated[int, typer.Option(min=16, max=16384, help="Points of each cloud.")] = 1024,
    val: Annotated[int, typer.Option(min=0, help="Shapes held out to measure a training.")] = 50,
    test: Annotated[int, typer.Option(min=0, help="Shapes held out to measure reconstructions.")] = 100,
    alike: Annotated[
        float,
        typer.Option(
            min=0.05,
            max=1.0,
            help="Shapes that share so much of their voxels, turned or mirrored too, are alike: they are "
            "held out together.",
        ),
    ] = 0.6,
    seed: Annotated[int, typer.Option(min=0, help="Of the points and of what is held out.")] = 0,
) -> int:
    """Make clouds for training a prior from solids of any kind, with shapes held out.

    Points are spread evenly over the outer surface of each shape, centred and divided by the largest
    coordinate. No held-out shape has a look-alike among those for training.

    Exit status: 0 when all shapes could be used, 1 when some were empty, 2 if nothing could be done.

    \b
    Examples:
      verglas data shapes chairs.npy.gz --out chairs.npz
      verglas train prior chairs.train.npz --out chair-prior --hours 8
    """  # noqa: D301 - \b is click's mark for "don't wrap"
    # these import scipy and scikit-image, which take their time
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from engine.errors import InputError
    from engine.io.npz_results import write_arrays
    from engine.io.streams import stem
    from engine.io.voxels import read_voxels
    from engine.numerics import look_alikes, surfaces

    solids = read_voxels(voxels)
    filled = np.flatnonzero(solids.any((1, 2, 3)))
    empty = sorted(set(range(len(solids))) - set(filled.tolist()))
    if not len(filled):
        raise InputError("All shapes are empty.", "Check that 1 is inside and 0 outside.", voxels)
    console = Console(stderr=True, highlight=False)
    console.print(f"Comparing {len(filled)} shapes with each other.")
    group = look_alikes.groups(len(filled), look_alikes.alike(solids[filled], alike))
    parts = look_alikes.split(group, val, test, seed)
    used = np.sort(np.concatenate(list(parts.values())))
    clouds, unevenness = np.zeros((len(filled), points, 3), np.float16), []
    for i in track(used, "Spreading points", console=console, disable=not console.is_terminal):
        row = int(filled[i])
        # a shape's points depend on its place in the file alone, not on what is held out
        own = int(np.random.SeedSequence([seed, row]).generate_state(1)[0])
        cloud = surfaces.surface_points(solids[row], points, own)
        clouds[i] = surfaces.normalised(cloud)
        unevenness.append(surfaces.unevenness(cloud))
    name = out.name.removesuffix(".npz")
    for part, rows in parts.items():
        if not len(rows):
            continue
        names = np.array([f"{stem(voxels)}-{filled[i] + 1:05d}" for i in rows])
        arrays = {"points": clouds[rows], "name": names, "scale_A": np.ones(len(rows), np.float32)}
        path = write_arrays(out.with_name(f"{name}.{part}.npz"), arrays)
        sys.stdout.write(f"{path}: {len(rows)} clouds\n")
    left_out = len(filled) - len(used)
    console.print(
        f"{len(np.unique(group))} of {len(filled)} shapes are different; {left_out} look-alikes of held-out "
        f"shapes are in no file. Spacing varies by {np.mean(unevenness):.0%} within a cloud."
    )
    if empty:
        listed = ", ".join(str(i + 1) for i in empty[:_LISTED]) + (", …" if len(empty) > _LISTED else "")
        console.print(f"Warning: {len(empty)} empty shapes were left out: {listed}.", style="yellow")
    return 1 if empty else 0
