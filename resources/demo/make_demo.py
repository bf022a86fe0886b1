"""Makes the demo's inputs from PDB entry 3IYD (RNA polymerase initiation complex; coordinates are CC0).

``python resources/demo/make_demo.py 3iyd.cif.gz`` writes projections.mrcs, projections.star, truth.npz
and job.toml beside this file. The truth is for judging only; no run reads it as evidence.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from engine.io.structure import read_structure
from engine.pipelines.simulate import simulate


def main(structure: Path, here: Path) -> None:
    """Three noisy projections at random poses; centred heavy atoms as the truth."""
    with tempfile.TemporaryDirectory() as folder:
        simulate(structure, folder, views=3, box=72, resolution_A=12.0, noise=0.1, seed=7)
        for name in ("projections.mrcs", "projections.star"):
            (here / name).write_bytes((Path(folder) / name).read_bytes())
        truth = read_structure(Path(folder) / "truth.cif")
    np.savez_compressed(here / "truth.npz", coords=truth.coords_A.astype(np.float32), z=truth.elements)
    (here / "job.toml").write_text(
        "# Three projections of an RNA polymerase initiation complex, nothing else known.\n"
        'kind = "dps"\n'
        'title = "RNA polymerase initiation complex (3IYD) from three projections"\n'
        "samples = 3\n"
        'truth = "truth.npz"  # to judge by, never an input\n\n'
        "[[observations]]\n"
        'kind = "projection_images"\n'
        'images = "projections.mrcs"\n'
        'poses = "projections.star"\n'
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
