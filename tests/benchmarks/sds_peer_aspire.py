"""ASPIRE's common-lines ab initio reconstruction within a budget; run by the Python that has ASPIRE.

``PYTHON sds_peer_aspire.py FOLDER``, where FOLDER holds ``images.npy`` and ``task.json``; called by
``sds_peers.py``. Nothing of Verglas is imported. Orientations by ``CLSync3N`` (C1) or ``CLSymmetryD2``
(D2), the volume by ``MeanEstimator``. One volume for all images: ASPIRE has no ab initio heterogeneity.

Its defaults, but for:

* ``max_shift`` and the search of offsets, if it is told that the images are centred.
* ``CLSymmetryD2(grid_res=400)``: the default of 1200 wants about 20 GB of memory.
* Synchronising n images takes of the order of n³ steps in one thread: if that would not end within the
  budget (``MOST_IMAGES``), every k-th image is used.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Write ``consensus.npy`` (z, y, x) and ``report.json``."""
    folder = Path(sys.argv[1]).absolute()
    task = json.loads((folder / "task.json").read_text())
    os.chdir(folder)  # ASPIRE writes logs and checkpoints where it is
    began = time.monotonic()
    from aspire.abinitio import CLSymmetryD2, CLSync3N
    from aspire.image import Image
    from aspire.reconstruction import MeanEstimator
    from aspire.source import ArrayImageSource, OrientedSource

    images = np.load(folder / "images.npy", allow_pickle=False)
    step = -(-len(images) // int(task["most_images"]))
    images = images[::step]
    d2 = task["symmetry"] == "D2"
    source = ArrayImageSource(
        Image(images), pixel_size=float(task["pixel_size_A"]), symmetry_group="D2" if d2 else None
    )
    settings: dict[str, object] = {"seed": int(task["seed"])}
    if not task["shifts"]:
        settings |= {"max_shift": 1.0 / images.shape[-1], "shift_step": 0.5}
    if d2:
        settings["grid_res"] = 400
    finder = (CLSymmetryD2 if d2 else CLSync3N)(source, **settings)
    oriented = OrientedSource(source, finder)
    rotations = np.asarray(oriented.rotations)
    orienting = time.monotonic() - began
    volume = MeanEstimator(oriented, checkpoint_iterations=None).estimate()
    np.save(folder / "consensus.npy", volume.asnumpy()[0].astype(np.float32))
    np.save(folder / "rotations.npy", rotations)
    used = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "seconds": time.monotonic() - began,
        "seconds_orienting": orienting,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "images_used": len(images),
        "volumes": [],
        "settings": settings | {"method": type(finder).__name__},
    }
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
