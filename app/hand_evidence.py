"""What speaks for one hand or the other: numbers for the result as it is shown and for its mirror image.

Nothing here needs torch; it takes up to some seconds, so it is for threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.aligning import Member, box_of, frame_of, onto
from app.forensics_files import load_views
from app.references import load_reference
from app.run_files import StoredRun
from app.superpose import STAY
from app.surfaces import Density
from app.view_fits import Views, cloud_model, compare, map_model
from engine.errors import VerglasError
from engine.io.hand import flipped, mirrored_density, mirrored_points, mirrored_rotations

MOST_VIEWS = 24
TOLD = 0.02  # correlations that differ by less don't tell the hands apart
THIS, MIRROR, NEITHER = "this", "mirror", "neither"


@dataclass(frozen=True)
class Clue:
    """One piece of evidence.

    Attributes
    ----------
    source : what it is.
    this, mirror : how well it fits the result as shown and its mirror image, in words; may be empty.
    says : :data:`THIS`, :data:`MIRROR` or :data:`NEITHER`.
    words : what it is worth, in a sentence or two.
    """

    source: str
    this: str
    mirror: str
    says: str
    words: str


def shape_of_run(run: StoredRun) -> Member | None:
    """What is shown of a run to judge its hand by: the consensus, or the first sample."""
    if run.ensemble is not None and len(run.ensemble.points_A):
        return np.asarray(run.ensemble.points_A[0])
    return run.sds.consensus if run.sds is not None else None


def mirrored(shape: Member) -> Member:
    """The mirror image, as a flip shows it."""
    if isinstance(shape, Density):
        x, y, z = shape.offset_A
        values = np.asarray(mirrored_density(shape.values), np.float32)
        return replace(shape, values=values, offset_A=(x, y, -z))
    return np.asarray(mirrored_points(np.asarray(shape, np.float32)))


def clues(run: StoredRun) -> list[Clue]:
    """All there is for a run, the most telling last."""
    shape = shape_of_run(run)
    if shape is None:
        return []
    return [*_from_views(run, shape), *_from_parts(run), *_from_shapes(run, shape)]


def verdict(found: list[Clue]) -> str:
    """What all of it says together, in a sentence."""
    said = {clue.says for clue in found} - {NEITHER}
    if not said:
        return "Nothing that was given tells this hand from its mirror image."
    sources = " and ".join(f"the {c.source[:1].lower()}{c.source[1:]}" for c in found if c.says != NEITHER)
    if said == {THIS}:
        return f"The hand that is shown is that of {sources}."
    if said == {MIRROR}:
        return f"The mirror image fits {sources} better: flip the hand."
    return f"The pieces of evidence disagree about the hand ({sources}): look at them one by one."


# ---- views --------------------------------------------------------------------------------------


def _from_views(run: StoredRun, shape: Member) -> Iterator[Clue]:
    try:
        views = load_views(run)
    except (VerglasError, OSError):
        return  # moved away since: there is nothing to compare with
    if views is None or not len(views.images):
        return
    views = _some(views)
    own = _fit(views, shape)
    if run.kind == "sds":
        turned = replace(views, rotations=mirrored_rotations(np.asarray(views.rotations, np.float64)))
        other = _fit(turned, mirrored(shape))
        yield Clue(
            "Class averages", f"{own:.3f}", f"{other:.3f}", NEITHER,
            "Views at unknown poses can't tell the hand: the mirror image, seen from mirrored poses, gives "
            "the same pictures.",
        )  # fmt: skip
        return
    if flipped(run.folder):  # the poses were read as flipped, too: here the ones that were given count
        views = replace(views, rotations=mirrored_rotations(np.asarray(views.rotations, np.float64)))
        own = _fit(views, shape)
    other = _fit(views, mirrored(shape))
    yield Clue(
        "Projections at the poses given", f"{own:.3f}", f"{other:.3f}", _says(own, other),
        "This is as sure as the hand of the poses: poses that were found from images alone, without tilt "
        "or a known structure, have a hand by chance.",
    )  # fmt: skip


def _some(views: Views) -> Views:
    count = len(views.images)
    if count <= MOST_VIEWS:
        return views
    kept = np.unique(np.linspace(0, count - 1, MOST_VIEWS).round().astype(int))
    return replace(
        views, images=views.images[kept], rotations=views.rotations[kept], shifts_px=views.shifts_px[kept],
        pixel_A=views.pixel_A[kept],
    )  # fmt: skip


def _fit(views: Views, shape: Member) -> float:
    """Median correlation with the images."""
    if isinstance(shape, Density):
        model = map_model(shape.values, shape.voxel_A)
        return float(np.median(compare(views, model).correlation))
    cloud = cloud_model(np.asarray(shape)[None], float(views.pixel_A.min()))
    return float(np.median(compare(views, cloud).correlation))


# ---- known shapes -------------------------------------------------------------------------------


def _from_parts(run: StoredRun) -> Iterator[Clue]:
    ensemble = run.ensemble
    for number, observation in enumerate(getattr(run.spec, "observations", ()), 1):
        if observation.kind != "subunit":
            continue
        fit = ""
        if ensemble is not None and ensemble.energies.size:
            names = [
                n for n in ensemble.observation_names if "subunit" in n.lower() or n.endswith(str(number))
            ]
            columns = [ensemble.observation_names.index(n) for n in names[:1]]
            if columns:
                value = float(np.sqrt(ensemble.energies[:, columns].mean())) * ensemble.frame.scale_A
                fit = f"{value:.1f} Å"
        yield Clue(
            "Known part", fit, "", THIS,
            "A part of known structure fixes the hand: its mirror image doesn't exist in nature.",
        )  # fmt: skip


def _from_shapes(run: StoredRun, shape: Member) -> Iterator[Clue]:
    for observation in getattr(run.spec, "observations", ()):
        if observation.kind.startswith("coarse"):
            yield from _from_file(
                "Coarse map",
                Path(observation.file),
                shape,
                "No surer than the hand of the coarse map itself.",
            )
    truth = getattr(run.spec, "truth", None)
    if truth and run.kind == "known_poses" and run.sds is not None:
        truth = run.sds.results / "reference.mrc"  # the same on the run's grid, with its voxel size
    if truth:
        words = "A reference of known hand tells, as far as its shape differs from its mirror image."
        yield from _from_file("Reference", Path(truth), shape, words)


def _from_file(source: str, path: Path, shape: Member, words: str) -> Iterator[Clue]:
    try:
        known = load_reference(path).shape
    except (VerglasError, OSError):
        yield Clue(source, "", "", NEITHER, f"{path.name} can't be read any more.")
        return
    own, other = fits_of(known, shape)
    says = _says(own, other)
    if says == NEITHER:
        words = "It fits both hands equally well, so it tells nothing here."
    yield Clue(source, f"{own:.3f}", f"{other:.3f}", says, words)


def fits_of(known: Member, shape: Member) -> tuple[float, float]:
    """Correlation of a shape, and of its mirror image, with a known one after the best rotation."""
    frame = frame_of(known)
    still = box_of(known, STAY, frame)
    found = []
    for hand in (shape, mirrored(shape)):
        moved = onto(hand, known, frame, either_hand=False)
        found.append(float((moved.box * still).sum()))
    return found[0], found[1]


def _says(own: float, other: float) -> str:
    if not np.isfinite([own, other]).all() or abs(own - other) < TOLD:
        return NEITHER
    return THIS if own > other else MIRROR


def mirrored_vertices(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Corners (n, 3), or normals, of the mirror image's surface."""
    return np.asarray(mirrored_points(vertices), np.float32)
