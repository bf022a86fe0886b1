"""A run directory of a volume at known poses, small and made up, as the pipeline lays it out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from engine.events import Completed, MapSnapshot, Result, Started
from engine.io import star, volumes
from engine.io.atomic import write_npy
from engine.io.json_files import write_json
from engine.io.mrc import write_images
from engine.io.pose_table import make_table, write_poses
from engine.jobs.run_dir import RunDir
from engine.specs.known_poses import InlinePrior, KnownPosesSpec, PosedImages
from engine.types import ImageStack
from tests.app.sds_run import body, seen_from, write_events

PIXEL_A = 4.0
SENTENCE = "At least half of each shell was measured down to 34 Å."
SENTENCE_TRUTH = "The map agrees with the reference to 27 Å (FSC 0.5), in the frame of the poses."


def write_posed(folder: Path, *, images: int = 5, box: int = 32) -> Path:
    """A STAR file with poses, and the stack that it names beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    rotations = rotations_of(images)
    seen = pictures(body(box), rotations)
    write_images(folder / "posed.mrcs", ImageStack(seen, PIXEL_A))
    table = make_table(rotations, np.zeros((images, 2)), PIXEL_A, stack="posed.mrcs")
    star.write_poses(folder / "posed.star", table.poses, box=box)
    return folder / "posed.star"


def rotations_of(images: int) -> NDArray[np.float64]:
    """(images, 3, 3) at random, the same each time."""
    return Rotation.random(images, rng=3).as_matrix()


def pictures(density: NDArray[np.float32], rotations: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n, y, x) projections, mean 0 and variance 1 together."""
    seen = np.stack([seen_from(density, r) for r in rotations])
    return ((seen - seen.mean()) / seen.std()).astype(np.float32)


def fraction_of(density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares that rise from 0 at the lower end of z to 1 at the upper."""
    ramp = np.linspace(0.0, 1.0, len(density), dtype=np.float32)[:, None, None]
    return np.broadcast_to(ramp, density.shape).copy()


def coverage_json(shells: int = 14) -> dict[str, object]:
    """What the pipeline writes about the shells of Fourier space."""
    frequency = np.arange(1, shells + 1) / (2.2 * PIXEL_A * shells)
    measured = 1 / (1 + (frequency / frequency[4]) ** 2)
    supplied = np.clip(1 - measured, 0, 1) * 0.8
    return {
        "frequency_per_A": [float(f) for f in frequency],
        "measured": [float(m) for m in measured],
        "supplied_power": [float(s) for s in supplied],
        "fsc_truth_measured": [float(v) for v in 1 - 0.3 * frequency / frequency[-1]],
        "fsc_truth_unmeasured": [None, *(float(v) for v in (0.8 - frequency / frequency[-1])[1:])],
        "views": 5,
        "symmetry": "C1",
        "sentence": SENTENCE,
    }


def write_known_poses(
    folder: Path, *, images: int = 5, box: int = 32, finished: bool = True, truth: bool = True
) -> Path:
    """A run directory; unfinished ones have a picture and least squares only."""
    poses = write_posed(folder.parent / "posed", images=images, box=box)
    reference = folder.parent / "truth.mrc"
    density = body(box)
    volumes.write_map(reference, density, PIXEL_A)
    spec = KnownPosesSpec(
        images=PosedImages(poses=str(poses)), method=InlinePrior(), title="few views",
        truth=str(reference) if truth else None,
    )  # fmt: skip
    run = RunDir.create(folder, spec)
    results, rotations = run.results, rotations_of(images)
    seen = pictures(density, rotations)
    rng = np.random.default_rng(5)
    noisy = (seen + 0.2 * rng.normal(size=seen.shape)).astype(np.float32)
    entries = [
        {"row": i + 1, "file": "posed.mrcs", "count": None, "shift_px": [0.0, 0.0], "score": 1.0,
         "junk": False, "duplicate_of": None}
        for i in range(images)
    ]  # fmt: skip
    volumes.write_prepared(
        results, ImageStack(noisy, PIXEL_A), entries, mask_radius_px=box / 2 - 2,
        contrast="Particles are white.",
    )  # fmt: skip
    write_events(run, [Started(kind="known_poses", device="CPU (2 cores)", version="0")])
    least = gaussian_filter(density + 0.15 * rng.normal(size=density.shape), 1.2).astype(np.float32)
    volumes.write_map(results / "least_squares.mrc", least, PIXEL_A)
    if not finished:
        write_npy(run.path / "snapshots" / "map_000003.npy", least)
        write_events(run, [
            MapSnapshot(step=3, total=60, sigma=0.7, path="snapshots/map_000003.npy", voxel_size_A=PIXEL_A,
                        label="inline prior"),
        ])  # fmt: skip
        return folder
    volumes.write_map(results / "consensus.mrc", gaussian_filter(density, 0.7), PIXEL_A)
    volumes.write_map(results / "prior_fraction.mrc", fraction_of(density), PIXEL_A)
    fit = np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(noisy, seen, strict=True)])
    table = make_table(
        rotations, np.zeros((images, 2)), PIXEL_A, confidence=np.full(images, np.nan), correlation=fit
    )
    write_poses(results, table, box=box)
    volumes.write_projections(results, seen, PIXEL_A)
    write_json(results / "fourier_coverage.json", coverage_json())
    if truth:
        volumes.write_map(results / "reference.mrc", density, PIXEL_A)
    write_json(results / "metrics.json", metrics(fit, truth=truth))
    write_events(run, [Result(role="consensus", path="results/consensus.mrc"), Completed(seconds=41.0)])
    return folder


def metrics(fit: NDArray[np.float64], *, truth: bool) -> dict[str, object]:
    """What a run measures."""
    frequency = [float(f) for f in np.arange(1, 15) / (2.2 * PIXEL_A * 14)]
    curve = [float(c) for c in 1 / (1 + (np.arange(14) / 9) ** 4)]
    lower = [float(c) for c in 1 / (1 + (np.arange(14) / 6) ** 4)]
    found: dict[str, object] = {
        "kind": "known_poses", "method": "ipsm", "representation": "voxels", "symmetry": "C1",
        "images": len(fit), "correlation": [float(f) for f in fit], "residual": 0.21, "noise": 0.2,
        "seconds": {"prepare": 1.0, "least_squares": 2.0, "method": 38.0}, "prior_supplied": 0.37,
        "notes": ["The hand is that of the poses."],
    }  # fmt: skip
    if truth:
        found["fsc_truth"] = {"frequency_per_A": frequency, "correlation": curve, "sentence": SENTENCE_TRUTH}
        found["fsc_truth_least_squares"] = {
            "frequency_per_A": frequency, "correlation": lower, "sentence": "Least squares alone: 36 Å.",
        }  # fmt: skip
    return found
