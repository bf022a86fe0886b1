"""What of a run would have to be smaller for it to fit into memory. Torch-free, pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.specs.estimates import SAMPLES_TOGETHER, Facts, bytes_needed
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec
from engine.specs.known_poses import KnownPosesSpec
from engine.specs.sds import SdsSpec

_POINTS_STEP = 64
_BOX_STEP, _SMALLEST_BOX = 8, 24
_MARGIN = 0.9  # of what is free: other programs also want some


def what_fits(spec: JobSpec, facts: Facts, room: int, *, on_gpu: bool) -> str:
    """The smallest change with which a run fits, e.g. ``a batch of 3``; empty if none is known.

    Parameters
    ----------
    room : bytes that are free where it computes.
    """
    for words, smaller, known in _smaller(spec, facts):
        if bytes_needed(smaller, known)[int(on_gpu)] <= _MARGIN * room:
            return words
    return ""


def _smaller(spec: JobSpec, facts: Facts) -> Iterator[tuple[str, JobSpec, Facts]]:
    """Smaller and smaller runs, what changes the result least first."""
    if isinstance(spec, SdsSpec | KnownPosesSpec):
        for box in range((facts.box or 64) - _BOX_STEP, _SMALLEST_BOX - 1, -_BOX_STEP):
            yield f"a working box of {box} px", spec, replace(facts, box=box)
        return
    batch = spec.batch
    if isinstance(spec, DpsSpec):
        batch = min(spec.samples, spec.batch or SAMPLES_TOGETHER)
    for fewer in range(batch - 1, 0, -1):
        if isinstance(spec, TrainPriorSpec):
            parts = -(-spec.batch // fewer)
            yield f"accumulate {parts}", spec.model_copy(update={"accumulate": parts}), facts
        else:
            yield f"a batch of {fewer}", spec.model_copy(update={"batch": fewer}), facts
    if isinstance(spec, DpsSpec):
        last = spec.model_copy(update={"batch": 1})
        for points in range((spec.points - 1) // _POINTS_STEP * _POINTS_STEP, 0, -_POINTS_STEP):
            words = f"{points:,} points" + (" and a batch of 1" if batch > 1 else "")
            yield words, last.model_copy(update={"points": points}), facts
