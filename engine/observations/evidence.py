"""Evidence in Å, the frame that it implies, and observations in that frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import SpecError
from engine.observations.matched import MatchedPoints
from engine.specs.job import FrameSpec
from engine.types import Frame

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Evidence:
    """One measurement, in Å.

    Attributes
    ----------
    name : shown in tables and plots.
    projector : (d, 3) H.
    offset_A : (d,) where the object's origin appears in the measurement.
    points_A : (m, d) measured points.
    weights : (m,) relative masses, or None.
    weight : among other evidence.
    partial : a known part of the object.
    placed : whether that part's place is known.
    volume_A3 : volume that the object fills, where the measurement tells it; else 0.
    """

    name: str
    projector: NDArray[np.floating]
    offset_A: NDArray[np.floating]
    points_A: NDArray[np.floating]
    weights: NDArray[np.floating] | None = None
    weight: float = 1.0
    partial: bool = False
    placed: bool = True
    volume_A3: float = 0.0

    def centroid_A(self) -> NDArray[np.floating]:
        """Centre of mass of the measured points, less the offset."""
        centre: NDArray[np.floating] = np.average(self.points_A, axis=0, weights=self.weights) - self.offset_A
        return centre


def estimate_frame(evidence: Sequence[Evidence], given: FrameSpec, notify: Notify) -> Frame:
    """Centre and scale of the object, from the evidence where the user does not give them.

    The centre is the least-squares solution of all centroids, ``H c = centroid``; a single projection
    leaves its depth at 0. The scale is the largest coordinate of any evidence about the centre, as in
    the training clouds, whose largest absolute coordinate is 1.

    Raises
    ------
    SpecError
        If there is nothing to estimate the frame from.
    """
    evidence = [e for e in evidence if e.placed]
    whole = [e for e in evidence if not e.partial] or evidence
    if not whole and (given.scale_A is None or given.centre_A is None):
        raise SpecError(
            "Without evidence the object's size is unknown.", "Give frame.scale_A and frame.centre_A."
        )
    if given.centre_A is not None:
        centre = np.asarray(given.centre_A)
    else:
        rows = np.concatenate([e.projector for e in whole])
        values = np.concatenate([e.centroid_A() for e in whole])
        centre = np.linalg.lstsq(rows, values, rcond=None)[0]
    if given.scale_A is not None:
        return Frame(_triple(centre), given.scale_A)
    extents = [float(np.abs(e.points_A - e.offset_A - e.projector @ centre).max()) for e in evidence]
    scale = max(extents)
    if not scale > 0:
        raise SpecError(
            "The evidence has no extent: all its points coincide.", "Check the files and thresholds."
        )
    smallest = min(x for x, e in zip(extents, evidence, strict=True) if not e.partial or len(evidence) == 1)
    if smallest < 0.5 * scale:
        notify(
            "The pieces of evidence disagree about the object's size "
            f"({smallest:.0f} to {scale:.0f} Å from its centre). "
            "Check pixel sizes and that all share one origin."
        )
    return Frame(_triple(centre), scale)


def _triple(centre: NDArray[np.floating]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in centre)
    return x, y, z


def to_observations(evidence: Sequence[Evidence], frame: Frame, points: int) -> list[MatchedPoints]:
    """Evidence in normalised coordinates, ready to be matched with ``points`` points."""
    centre = np.asarray(frame.centre_A)
    return [
        MatchedPoints(
            e.name,
            e.projector,
            (e.points_A - e.offset_A - e.projector @ centre) / frame.scale_A,
            points,
            weights=e.weights,
            weight=e.weight,
            partial=e.partial,
            seed=i,
        )
        for i, e in enumerate(evidence)
    ]
