"""Do independent starts agree? A tournament of maps in which nobody knows the truth.

From a poor start score distillation ends in a map that looks plausible and is wrong, and no number that is
computed from one map tells. Wrong maps differ from each other, though, and right ones don't: so several
starts are compared pair by pair, each pair after the best alignment of either hand. Agreement is no proof
(starts can share a mistake), but a map that no other start agrees with is not to be believed, however well
it fits the images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from engine.numerics.fourier_sampling import check_cube, fourier_resample
from engine.numerics.volume_alignment import VolumeAlignment, align, apply_alignment
from engine.types import FloatArray

THRESHOLD = 0.85
"""Correlation, at the resolution of the comparison, from which two maps count as the same."""

_WORK_SIZE, _ROTATIONS = 32, 2304
_ALL_PAIRS = 32
"""Up to so many starts every pair is aligned; of more, each with a few of them."""
_PIVOTS = 8


@dataclass(frozen=True)
class Agreement:
    """What a tournament of starts found; starts are counted from 0 here.

    Attributes
    ----------
    correlation : (n, n) symmetric, of each pair after alignment, 1 on the diagonal.
    groups : starts that agree with each other, largest group first (of equal ones that with the best
        score), its members in order of their mean correlation with the others of the group.
    medoid : of the largest group, the start most like the others; the best start if none agree.
    best : the start with the highest score; the medoid if there were no scores.
    lone : the best start agrees with no other one.
    alignments : (n) what brings each start onto the medoid.
    threshold : correlation from which two starts count as the same.
    """

    correlation: NDArray[np.float64]
    groups: tuple[tuple[int, ...], ...]
    medoid: int
    best: int
    lone: bool
    alignments: tuple[VolumeAlignment, ...]
    threshold: float

    @property
    def starts(self) -> int:
        """How many starts there were."""
        return len(self.correlation)

    @property
    def agree(self) -> int:
        """How many starts the largest group holds; 0 if no two agree."""
        largest = len(self.groups[0])
        return largest if largest > 1 else 0

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.starts == 1:
            return "There was one start only, so nothing tells whether another would agree."
        if not self.agree:
            rest = np.max(self.correlation - 2 * np.eye(self.starts))
            return (
                f"None of the {self.starts} starts agrees with another: the closest two correlate by "
                f"{rest:.2f}, not {self.threshold:.2f}. Don't trust any of these maps."
            )
        inside = np.array(self.groups[0])
        pairs = self.correlation[np.ix_(inside, inside)][np.triu_indices(len(inside), 1)]
        mean = f"mean correlation {pairs.mean():.2f} after alignment"
        words = f"{self.agree} of {self.starts} starts agree ({mean})."
        others = [len(g) for g in self.groups[1:] if len(g) > 1]
        if others:
            counts = " and ".join(str(c) for c in others)
            words += f" Another {counts} agree with each other on something else."
        if self.lone:
            words += " The start that fits the images best agrees with no other: don't trust it."
        elif self.best not in self.groups[0]:
            words += " The start that fits the images best is not among them."
        return words

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, starts counted from 1, with the keys of a run's ``tournament.json``."""
        return {
            "agree": self.agree,
            "starts": self.starts,
            "medoid": self.medoid + 1,
            "best": self.best + 1,
            "lone": self.lone,
            "threshold": self.threshold,
            "correlation": np.round(self.correlation, 4).tolist(),
            "groups": [[i + 1 for i in group] for group in self.groups],
            "mirrored": [a.mirrored for a in self.alignments],
            "sentence": self.sentence,
        }


def compare_starts(
    volumes: Sequence[FloatArray] | FloatArray,
    scores: Sequence[float] | None = None,
    *,
    threshold: float = THRESHOLD,
    mirror: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Agreement:
    """Compare maps from independent starts with each other.

    Parameters
    ----------
    volumes : n maps (size, size, size), the same size, in any orientation and hand.
    scores : (n,) how well each fits the images, higher is better; None if that isn't known.
    threshold : correlation from which two maps count as the same. The comparison is at 32 voxels a side
        at most. There, noise-free, different complexes correlate by 0.2 to 0.5, conformations of the box
        phantom by 0.70 to 0.99 and of the capsid by 0.91 to 0.99: of maps that are mostly a shell the
        default can't tell differences in what sits on it, and they need a higher threshold.
    mirror : whether mirror images count as the same; without poses they must.
    progress : called with alignments done and in total; it may raise to cancel.

    Returns
    -------
    Agreement
        Groups by average linkage: the members of a group correlate by the threshold or more on average.

    Raises
    ------
    ValueError
        If there are no maps, they differ in size, or scores and maps differ in number.
    """
    count = len(volumes)
    if not count:
        raise ValueError("there are no starts to compare")
    if scores is not None and len(scores) != count:
        raise ValueError(f"{len(scores)} scores don't fit {count} starts")
    sizes = {check_cube(v) for v in volumes}
    if len(sizes) > 1:
        raise ValueError(f"maps of the same size are needed, not of {sorted(sizes)} voxels")
    size = sizes.pop()
    small = [fourier_resample(v, min(size, _WORK_SIZE)) for v in volumes]
    table = _Table(small, mirror, progress)
    (table.all_pairs if count <= _ALL_PAIRS else table.by_pivots)()
    correlation = table.correlation
    ranks = np.zeros(count) if scores is None else np.asarray(scores, np.float64)
    groups = _groups(correlation, ranks, threshold)
    if len(groups[0]) > 1:
        medoid = groups[0][0]
    else:
        medoid = int(np.argmax(ranks if scores is not None else correlation.sum(1)))
    best = medoid if scores is None else int(np.argmax(ranks))
    lone = count > 1 and len(next(g for g in groups if best in g)) == 1
    factor = size / len(small[0])
    alignments = tuple(table.onto(i, medoid).rescaled(factor) for i in range(count))
    return Agreement(correlation, groups, medoid, best, lone, alignments, float(threshold))


def aligned_to_medoid(
    volumes: Sequence[FloatArray] | FloatArray, agreement: Agreement
) -> NDArray[np.float32]:
    """All starts (n, size, size, size) turned, moved and mirrored onto the medoid, which stays as it is."""
    return np.stack(
        [
            np.asarray(v, np.float32) if i == agreement.medoid else apply_alignment(v, a)
            for i, (v, a) in enumerate(zip(volumes, agreement.alignments, strict=True))
        ]
    )


class _Table:
    """Correlations and motions of pairs, filled in as they are found."""

    def __init__(
        self, maps: list[NDArray[np.float32]], mirror: bool, progress: Callable[[int, int], None]
    ) -> None:
        self.maps, self.mirror, self.progress = maps, mirror, progress
        self.correlation = np.eye(len(maps))
        self.motion: dict[tuple[int, int], VolumeAlignment] = {}

    def onto(self, mobile: int, target: int) -> VolumeAlignment:
        """What brings one start onto another, found now if it wasn't before."""
        if mobile == target:
            return VolumeAlignment(np.eye(3), np.zeros(3), False, 1.0)
        if (mobile, target) not in self.motion:
            found = align(
                self.maps[mobile],
                self.maps[target],
                mirror=self.mirror,
                work_size=_WORK_SIZE,
                rotations=_ROTATIONS,
            )
            self.motion[mobile, target], self.motion[target, mobile] = found, found.inverse()
            self._note(mobile, target, found.score)
        return self.motion[mobile, target]

    def all_pairs(self) -> None:
        """Align every pair."""
        pairs = [(i, j) for i in range(len(self.maps)) for j in range(i)]
        for done, (i, j) in enumerate(pairs, start=1):
            self.onto(i, j)
            self.progress(done, len(pairs))

    def by_pivots(self) -> None:
        """Align all with a few of them, and compare the others where that brings them.

        The next pivot is the start that is least like the pivots so far, so each group comes to have
        one; two starts of a group are both brought onto its pivot and so onto each other.
        """
        count, pivot = len(self.maps), 0
        nearest = np.full(count, -1.0)
        total = _PIVOTS * (count - 1)
        for turn in range(_PIVOTS):
            moved = []
            for i in range(count):
                moved.append(apply_alignment(self.maps[i], self.onto(i, pivot), order=1).ravel())
                self.progress(min(turn * (count - 1) + i, total), total)
            there = np.nan_to_num(np.corrcoef(np.stack(moved)))
            self.correlation = np.maximum(self.correlation, there)
            nearest = np.maximum(nearest, there[pivot])
            pivot = int(np.argmin(nearest))
        np.fill_diagonal(self.correlation, 1.0)

    def _note(self, i: int, j: int, score: float) -> None:
        self.correlation[i, j] = self.correlation[j, i] = max(score, -1.0)


def _groups(
    correlation: NDArray[np.float64], ranks: NDArray[np.float64], threshold: float
) -> tuple[tuple[int, ...], ...]:
    count = len(correlation)
    if count == 1:
        return ((0,),)
    distance = np.clip(1 - correlation, 0, None)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    labels = fcluster(tree, 1 - threshold, "distance")
    groups = []
    for name in np.unique(labels):
        members = np.flatnonzero(labels == name)
        likeness = correlation[np.ix_(members, members)].sum(1)
        groups.append(tuple(int(i) for i in members[np.argsort(-likeness, kind="stable")]))
    return tuple(sorted(groups, key=lambda g: (-len(g), -max(ranks[i] for i in g), g)))
