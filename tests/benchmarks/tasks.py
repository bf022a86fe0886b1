"""Tasks on clouds whose truth is known: ``3x1024``, ``1x300+cg40``, ``2x200+su256``, ``3x1024~0.01``."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.numerics.mixtures import kmeans_points
from engine.numerics.rotations import random_rotations
from engine.observations.matched import MatchedPoints

_TASK = re.compile(r"^(\d+)x(\d+)(?:\+cg(\d+))?(?:\+su(\d+))?(?:~(0?\.\d+))?$")


@dataclass(frozen=True)
class Task:
    """``views`` projections of ``view_points`` each, ``coarse`` 3D points, a part of ``subunit`` points.

    ``error`` is the standard deviation of independent errors in the measured points, normalised units.
    """

    name: str
    views: int
    view_points: int
    coarse: int
    subunit: int = 0
    error: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Task:
        found = _TASK.match(text)
        if found is None:
            raise SystemExit(
                f"'{text}' is not a task; write VIEWSxPOINTS, then +cgPOINTS and +suPOINTS where there is a "
                "coarse model or a known part, e.g. 3x1024 or 1x200+cg30+su128; at the end ~ERROR of the "
                "projected points, e.g. 3x1024~0.01."
            )
        *counts, error = found.groups()
        return cls(text, *(int(g or 0) for g in counts), error=float(error or 0))

    def observations(self, truth: NDArray[np.float64], seed: int) -> list[MatchedPoints]:
        """Evidence about a normalised cloud at uniformly random poses.

        As many points as the truth has: its exact projection. Fewer: k-means of the projected points. Errors
        are added to these, and differ between views: so points of different views no longer correspond.
        """
        rotations = random_rotations(self.views, np.random.default_rng(seed))
        out = []
        for i, rotation in enumerate(rotations):
            projected, weights = (truth @ rotation.T)[:, :2], None
            if self.view_points < len(truth):
                cloud = kmeans_points(projected, self.view_points, seed=seed)
                projected, weights = cloud.points_A, cloud.weights
            if self.error:
                noise = np.random.default_rng([seed, i]).normal(size=projected.shape)
                projected = projected + self.error * noise
            out.append(
                MatchedPoints(f"view {i + 1}", rotation[:2], projected, len(truth), weights=weights, seed=i)
            )
        if self.coarse:
            cloud = kmeans_points(truth, self.coarse, seed=seed)
            out.append(
                MatchedPoints("coarse", np.eye(3), cloud.points_A, len(truth), weights=cloud.weights, seed=99)
            )
        if self.subunit:
            part = truth[known_part(truth, self.subunit, seed)]
            out.append(MatchedPoints("subunit", np.eye(3), part, len(truth), partial=True))
        return out


def known_part(truth: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """Which ``count`` points of a cloud are a known part: one piece about a k-means centre.

    Clusters of a k-means have sizes of their own. So it is asked for as many clusters as such parts fit
    into the cloud, and the points nearest to the centre of the largest are taken.
    """
    if not 0 < count <= len(truth):
        raise SystemExit(f"A part of {count} points does not fit into a cloud of {len(truth)}.")
    clusters = kmeans_points(truth, max(1, round(len(truth) / count)), seed=seed)
    centre = clusters.points_A[np.argmax(clusters.weights)]
    nearest = np.argsort(((truth - centre) ** 2).sum(1), kind="stable")[:count]
    return np.sort(nearest)


def data_folder(option: str | None) -> Path:
    """The data folder from ``--data`` or ``VERGLAS_DATA``; without one the benchmark is skipped, visibly."""
    folder = option or os.environ.get("VERGLAS_DATA")
    if folder is None:
        sys.stdout.write("SKIPPED: no data folder. Give --data DIR or set VERGLAS_DATA.\n")
        raise SystemExit(0)
    if not Path(folder).is_dir():
        raise SystemExit(f"{folder}: there is no such folder.")
    return Path(folder)


def atoms_of(folder: Path | None, name: str, cloud_A: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Heavy atoms in the frame of their cloud, Å; None where there is no file.

    The cloud's points are centroids of clusters of atoms, less an unknown shift: it is found by matching
    the centroids of the atoms nearest to each point with the points themselves.
    """
    path = None if folder is None else folder / f"{name}.npz"
    if path is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as archive:
        atoms = archive["coords"].astype(np.float64)
    atoms -= atoms.mean(0)
    for _ in range(10):
        _, nearest = cKDTree(cloud_A).query(atoms)
        counts = np.bincount(nearest, minlength=len(cloud_A))
        sums = np.stack([np.bincount(nearest, atoms[:, k], len(cloud_A)) for k in range(3)], axis=1)
        filled = counts > 0
        atoms += (cloud_A[filled] - sums[filled] / counts[filled, None]).mean(0)
    return atoms
