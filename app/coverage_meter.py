"""Works out in the background which views a selection covers, the newest selection last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.background import Background
from app.coverage import Coverage, CoverageMap, from_mollweide
from app.newest import Newest
from app.panels.coverage import GRID

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What a selection covers.

    Attributes
    ----------
    nearest_deg : (GRID height, width) angle from each place of the map to the nearest view, NaN beyond it.
    views : (n, 3) directions of the selected views.
    """

    coverage: Coverage
    nearest_deg: NDArray[np.float32]
    views: Floats


class CoverageMeter:
    """Judges selections of one set of images with poses.

    Parameters
    ----------
    background : where it is worked out.
    judged : told of each answer.
    """

    def __init__(self, background: Background, judged: Callable[[Judged], Any]) -> None:
        self._judged = judged
        self._building, self._judging = Newest(background), Newest(background)
        self._of: tuple[int, str] | None = None
        self._rotations: Floats = np.zeros((0, 3, 3))
        self._map: CoverageMap | None = None
        self._selected: NDArray[np.bool_] = np.zeros(0, bool)

    @property
    def count(self) -> int:
        """How many images have a pose."""
        return len(self._rotations)

    def set_poses(self, rotations: Floats, symmetry: str, selected: NDArray[np.bool_]) -> None:
        """Judge a selection (n,) of images with these rotations (n, 3, 3) from now on."""
        if self._of == (id(rotations), symmetry):
            if not np.array_equal(selected, self._selected):
                self.judge(selected)
            return
        self._selected = selected
        self._of, self._rotations, self._map = (id(rotations), symmetry), rotations, None
        self._judging.drop()
        self._building.drop()
        self._building.ask(partial(CoverageMap, rotations, symmetry), self._built)

    def judge(self, selected: NDArray[np.bool_]) -> None:
        """Judge a selection, an array that is not changed afterwards."""
        self._selected = selected
        if self._map is not None and len(selected) == len(self._map):
            self._judging.ask(partial(_judge, self._map, selected), self._judged)

    def drop(self) -> None:
        """Judge nothing any more."""
        self._building.drop()
        self._judging.drop()
        self._of, self._map, self._rotations = None, None, np.zeros((0, 3, 3))

    def nearest_image(self, direction: Floats) -> int:
        """Which image looks most nearly along a direction; -1 while that isn't known."""
        if self._map is None or not len(self._map):
            return -1
        turned = np.einsum("gij,j->gi", self._map.group, direction)
        return int(np.argmax(np.abs(self._map.views @ turned.T).max(axis=1)))

    def _built(self, found: CoverageMap) -> None:
        if len(found) == len(self._rotations):
            self._map = found
            self.judge(self._selected)


def _judge(found: CoverageMap, selected: NDArray[np.bool_]) -> Judged:
    coverage, nearest = found.of(selected), found.nearest_deg(selected)
    places, shares, inside = _nearest_directions(len(found.directions))
    picture = np.full(inside.shape, np.nan, np.float32)
    picture[inside] = (nearest[places] * shares).sum(1)
    return Judged(coverage, picture, found.views[np.asarray(selected, bool)])


@lru_cache(maxsize=4)
def _nearest_directions(count: int) -> tuple[NDArray[np.intp], Floats, NDArray[np.bool_]]:
    """How the map is drawn from values at ``half_sphere(count)``.

    Returns
    -------
    Nearest directions of each pixel that is on the map and their weights, both (k, 3); which pixels are.
    """
    from scipy.spatial import cKDTree

    from app.coverage import half_sphere

    width, height = GRID
    x = (np.arange(width) + 0.5) / width * 4 - 2
    y = 1 - (np.arange(height) + 0.5) / height * 2
    directions, inside = from_mollweide(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    spread = half_sphere(count)
    tree = cKDTree(np.concatenate([spread, -spread]))  # a direction and its opposite are one view
    distances, found = tree.query(directions[inside], k=3)
    shares = 1 / np.maximum(distances, 1e-6)
    shares /= shares.sum(1, keepdims=True)
    return np.asarray(found, np.intp) % count, shares, inside.reshape(height, width)
