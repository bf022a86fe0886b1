"""Makes the demo's class averages from the atoms in ``truth.npz`` (RNA polymerase initiation complex, 3IYD).

``python resources/demo/make_averages.py`` writes averages.mrcs, averages_truth.mrc.gz and averages.toml
beside this file. Atoms are projected one by one as Gaussians, so the images know nothing of the projector
that a reconstruction uses. Directions, shifts and map stay here or are for judging only.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
from numpy.typing import NDArray

from engine.conventions import volume_origin_A
from engine.io.density import splat_image, splat_volume
from engine.numerics.rotations import random_rotations

IMAGES, BOX, PIXEL_A, RESOLUTION_A = 40, 40, 6.0, 15.0
NOISE, SHIFT_PX, SEED = 0.2, 1.0, 3


def main(here: Path) -> None:
    """Noisy projections from random directions, not quite centred; the map that they are of."""
    with np.load(here / "truth.npz", allow_pickle=False) as truth:
        atoms, numbers = truth["coords"].astype(np.float64), truth["z"]
    mass = np.array([gemmi.Element(int(z)).weight for z in numbers])
    mass /= mass.sum()
    atoms -= mass @ atoms
    rng = np.random.default_rng(SEED)
    rotations = random_rotations(IMAGES, rng)
    shifts_A = PIXEL_A * rng.uniform(-SHIFT_PX, SHIFT_PX, (IMAGES, 2))
    images = np.stack(
        [
            splat_image(
                (atoms @ r.T)[:, :2] + s, pixel_size_A=PIXEL_A, box=BOX, resolution_A=RESOLUTION_A,
                weights=mass,
            )
            for r, s in zip(rotations, shifts_A, strict=True)
        ]
    )  # fmt: skip
    images += NOISE * images.std() * rng.standard_normal(images.shape)
    shape = (BOX, BOX, BOX)
    origin = volume_origin_A(shape, PIXEL_A)
    density = splat_volume(
        atoms, voxel_size_A=PIXEL_A, shape=shape, origin_A=origin, resolution_A=RESOLUTION_A, weights=mass
    )
    _write(here / "averages.mrcs", images / images.std())
    _write(here / "averages_truth.mrc.gz", density / density.max(), origin)
    (here / "averages.toml").write_text(
        "# Forty class averages of an RNA polymerase initiation complex; their directions are not known.\n"
        'kind = "sds"\n'
        'title = "RNA polymerase initiation complex (3IYD) from 40 class averages"\n'
        "restarts = 3\n"
        "refine_rounds = 8\n"
        'truth = "averages_truth.mrc.gz"  # to judge by, never an input\n\n'
        "[averages]\n"
        'file = "averages.mrcs"\n'
    )


def _write(
    path: Path, values: NDArray[np.floating], origin_A: tuple[float, float, float] | None = None
) -> None:
    """Half precision, as what is embedded should be small; the same bytes each time."""
    with tempfile.TemporaryDirectory() as folder:
        with mrcfile.new(Path(folder) / "made.mrc") as mrc:
            mrc.set_data(values.astype(np.float16))
            if origin_A is None:
                mrc.set_image_stack()
            else:
                mrc.set_volume()
                mrc.header.origin = origin_A
            mrc.voxel_size = PIXEL_A
            mrc.header.label[0] = b"Verglas demo: made by make_averages.py"
            mrc.update_header_stats()
        content = (Path(folder) / "made.mrc").read_bytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


if __name__ == "__main__":
    main(Path(__file__).parent)
