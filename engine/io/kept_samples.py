"""Samples of a run as they are finished, and on their way: small files that a run goes on from.

``checkpoints/samples/0007.npz`` is sample 7 as it was drawn, in normalised coordinates. It depends on its
seed and the run's spec alone, so whoever finds it there need not draw it again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.io.npz_results import read_arrays, write_arrays

SAMPLES = Path("checkpoints") / "samples"
_NAME = re.compile(r"(\d{4,})\.npz")


@dataclass(frozen=True)
class KeptSample:
    """A finished sample.

    Attributes
    ----------
    points : (points, 3) float32, normalised.
    energies : (observations,) float32, mean squared residual per point, normalised units².
    seed : of its random stream.
    """

    points: NDArray[np.float32]
    energies: NDArray[np.float32]
    seed: int


def sample_file(run_folder: Path, number: int) -> Path:
    """Where a sample is kept, counted from 1."""
    return run_folder / SAMPLES / f"{number:04d}.npz"


def numbers_in(folder: Path) -> list[int]:
    """Numbers of the files ``NNNN.npz`` in a folder, whether or not they can be read."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def write_sample(run_folder: Path, number: int, sample: KeptSample) -> None:
    """Keep a finished sample, atomically."""
    arrays: dict[str, NDArray[np.generic]] = {
        "points": sample.points, "energies": sample.energies, "seed": np.array(sample.seed, np.int64),
    }  # fmt: skip
    write_arrays(sample_file(run_folder, number), arrays)


def read_sample(run_folder: Path, number: int, *, points: int, observations: int, seed: int) -> KeptSample:
    """A sample that was kept, of so many points and observations, drawn with this seed.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another run.
    """
    path = sample_file(run_folder, number)
    found = read_arrays(path, "kept sample", ("points", "energies", "seed"))
    cloud, energies = found["points"], found["energies"]
    fits = (
        cloud.shape == (points, 3)
        and energies.shape == (observations,)
        and found["seed"].shape == ()
        and cloud.dtype == energies.dtype == np.float32
        and found["seed"].dtype == np.int64
        and int(found["seed"]) == seed
        and bool(np.isfinite(cloud).all() and np.isfinite(energies).all())
    )
    if not fits:
        raise InputError("The kept sample is not of this run.", "", path)
    return KeptSample(np.asarray(cloud, np.float32), np.asarray(energies, np.float32), seed)


def read_samples(
    run_folder: Path, numbers: Sequence[int], *, points: int, observations: int, seeds: Sequence[int]
) -> tuple[dict[int, KeptSample], list[str]]:
    """Those of the wanted samples that are there and whole, and a sentence for each that is there but isn't.

    Parameters
    ----------
    numbers : wanted, counted from 1.
    seeds : of all samples of the run.
    """
    found: dict[int, KeptSample] = {}
    complaints = []
    for number in sorted(set(numbers) & set(numbers_in(run_folder / SAMPLES))):
        try:
            found[number] = read_sample(
                run_folder, number, points=points, observations=observations, seed=seeds[number - 1]
            )
        except InputError as exc:
            complaints.append(f"Sample {number} is drawn again: what was kept of it can't be used ({exc}).")
    return found, complaints
