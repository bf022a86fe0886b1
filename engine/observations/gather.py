"""All evidence of a run description, in the order in which it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from engine.observations import coarse, projection, subunit
from engine.observations.evidence import Evidence, Notify
from engine.specs.components import (
    CoarseMap,
    CoarsePoints,
    ObservationSpec,
    ProjectionImages,
    ProjectionPoints,
    Subunit,
)


def gather(specs: Sequence[ObservationSpec], points: int, notify: Notify) -> list[Evidence]:
    """Read every file and turn it into points in Å.

    Maps are read before subunits, whose share of the mass may have to come from a map.

    Parameters
    ----------
    points : of the object.
    notify : told every assumption.

    Raises
    ------
    InputError, SpecError
        Naming the file that can't be used, and why.
    """
    found: dict[int, list[Evidence]] = {}
    for i, spec in enumerate(specs):
        match spec:
            case ProjectionImages():
                found[i] = projection.from_images(spec, notify, most_points=points)
            case ProjectionPoints():
                found[i] = [projection.from_points(spec, notify)]
            case CoarseMap():
                found[i] = [coarse.from_map(spec, notify)]
            case CoarsePoints():
                found[i] = [coarse.from_points(spec, notify)]
            case Subunit():
                pass
    volume = max((e.volume_A3 for several in found.values() for e in several), default=0.0)
    for i, spec in enumerate(specs):
        if isinstance(spec, Subunit):
            found[i] = [subunit.from_structure(spec, points, volume, notify)]
    return _named_apart([e for i in range(len(specs)) for e in found[i]])


def _named_apart(evidence: list[Evidence]) -> list[Evidence]:
    """Number the names that occur twice: energies are reported by name."""
    counts, seen, out = Counter(e.name for e in evidence), Counter[str](), []
    for e in evidence:
        seen[e.name] += 1
        out.append(replace(e, name=f"{e.name} ({seen[e.name]})") if counts[e.name] > 1 else e)
    return out
