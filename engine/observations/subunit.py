"""A known part of the complex: some of the object's points are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import InputError, SpecError
from engine.io.structure import read_structure
from engine.numerics.mixtures import kmeans_points
from engine.observations.evidence import Evidence, Notify
from engine.specs.components import Subunit
from engine.types import Structure

PROTEIN_A3_PER_DA = 1.21  # partial specific volume 0.73 cm³/g


def _share(spec: Subunit, structure: Structure, volume_A3: float, notify: Notify) -> float:
    """The part's share of the whole's mass."""
    if spec.mass_fraction is not None:
        return spec.mass_fraction
    if volume_A3 > 0:
        whole = volume_A3 / PROTEIN_A3_PER_DA
        share = float(structure.masses_Da.sum()) / whole
        if share < 1:
            notify(
                f"{Path(spec.file).name} takes {share:.0%} of the points: its mass "
                f"({structure.masses_Da.sum() / 1000:.0f} kDa) over that of the map's volume "
                f"({whole / 1000:.0f} kDa)."
            )
            return share
    raise SpecError(
        f"{Path(spec.file).name}: how large the known part is compared with the whole is unknown.",
        "Give `mass_fraction` (for example 0.25) or `points`.",
    )


def from_structure(spec: Subunit, points: int, volume_A3: float, notify: Notify, seed: int = 0) -> Evidence:
    """The part as L of the object's N points, L from its share of the mass.

    Parameters
    ----------
    points : N.
    volume_A3 : volume of the whole where a map tells it, else 0.

    Raises
    ------
    InputError
        If the file or its chains can't be used.
    SpecError
        If the part's share is not given and can't be estimated.
    """
    structure = read_structure(spec.file, chains=spec.chains)
    for note in structure.notes:
        notify(note)
    count = spec.points or max(1, round(points * _share(spec, structure, volume_A3, notify)))
    if count > points:
        raise SpecError(
            f"The known part takes {count} points, the whole has only {points}.", "Lower `points`."
        )
    if count > len(structure.coords_A):
        raise InputError(
            f"The part has {len(structure.coords_A)} atoms but would take {count} points.",
            "Lower `points` or `mass_fraction`.",
            spec.file,
        )
    cloud = kmeans_points(structure.coords_A, count, seed=seed)
    return Evidence(
        name=f"subunit {Path(spec.file).stem}",
        projector=np.eye(3),
        offset_A=np.zeros(3),
        points_A=cloud.points_A,
        weight=spec.weight,
        partial=True,
        placed=spec.placement == "given",
    )
