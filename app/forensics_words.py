"""What is known of one image, or of all of them, in words and columns. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.place_support import FORMULA, Support
from app.view_fits import Fits, Floats, Views
from engine.conventions import image_centre, rotation_to_relion, shift_A_to_relion_origin


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th and so on."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def facts_of(views: Views, fits: Fits, image: int, energies_A: Floats, more: str = "") -> str:
    """About an image, counted from 0: fit, rank, outlier, pose."""
    count = len(fits.correlation)
    place = fits.rank(image)
    rank = "fits best" if place == 1 else f"fits {ordinal(place)} best"
    parts = [
        f"Correlation {fits.correlation[image]:.2f} with {fits.model.name or 'what is shown'}: {rank} of "
        f"{count}. Difference {fits.residual[image]:.2f} σ rms (σ: of the image in the mask)."
    ]
    if np.isfinite(energies_A[image]):
        parts.append(f"Matched points lie {energies_A[image]:.2g} Å apart (rms, from the run).")
    reason = fits.reason(image)
    if reason:
        parts.append(reason)
    parts.append(pose_words(views, image))
    if more:
        parts.append(more)
    return " ".join(parts)


def pose_words(views: Views, image: int) -> str:
    """Angles and origin as RELION writes them."""
    rot, tilt, psi = rotation_to_relion(views.rotations[image])
    pixel = float(views.pixel_A[image])
    x, y = shift_A_to_relion_origin(views.shifts_px[image] * pixel)
    text = (
        f"Pose (RELION, ZYZ): rot {rot:.1f}°, tilt {tilt:.1f}°, psi {psi:.1f}°; origin "
        f"{x:.1f}, {y:.1f} Å ({x / pixel:.1f}, {y / pixel:.1f} px)."
    )
    if np.isfinite(views.confidence[image]):
        text += f" Confidence {views.confidence[image]:.2f}."
    return text


def columns_of(views: Views, fits: Fits, energies_A: Floats, support: Support | None) -> Sequence[Any]:
    """Columns (title, tip, format, values) of all images."""
    angles = rotation_to_relion(views.rotations)
    origins = shift_A_to_relion_origin(views.shifts_px * views.pixel_A[:, None])
    count = len(views.images)
    columns: list[tuple[str, str, str, Floats]] = [
        ("#", f"The {views.noun}", "{:.0f}", np.arange(1, count + 1, dtype=float)),
        ("Corr.", "Correlation with the projection, inside the mask", "{:.3f}", fits.correlation),
        ("z", "Robust standard deviations from the median correlation", "{:.1f}", fits.z),
        ("rms σ", "Difference, root mean square, in σ of the image", "{:.2f}", fits.residual),
    ]
    if np.isfinite(energies_A).any():
        columns.append(("Points Å", "How far matched points lie apart, rms, Å", "{:.2f}", energies_A))
    if support is not None:
        columns.append(
            (
                "Place",
                "For (+) or against (−) the place, in standard deviations",
                "{:+.1f}",
                support.deviations,
            )
        )
    for name, values in zip(("Rot °", "Tilt °", "Psi °"), angles.T, strict=True):
        columns.append((name, f"{name[:-2]} as RELION writes it, degrees", "{:.1f}", values))
    for name, values in zip(("x Å", "y Å"), origins.T, strict=True):
        columns.append((name, "Origin as RELION writes it, Å", "{:.1f}", values))
    if np.isfinite(views.confidence).any():
        columns.append(("Conf.", "Confidence of the pose, 0 to 1", "{:.2f}", views.confidence))
    return columns


def place_words(views: Views, support: Support) -> tuple[str, str]:
    """The verdict about a place, and how it was found."""
    x, y, z = support.point_A
    text = f"({x:.0f}, {y:.0f}, {z:.0f}) Å: {support.sentence(views.noun)}"
    tip = FORMULA
    if views.symmetry:
        tip += f"\nThe map has the symmetry {views.symmetry}: only this copy of the place was taken away."
    return text, tip


def rings_of(views: Views, support: Support, images: Sequence[int]) -> list[tuple[float, float, float, int]]:
    """x, y, radius as shares of the width, and the verdict, of images counted from 0."""
    return [
        (
            float(support.place_px[i, 0] + 0.5) / views.box,
            float(support.place_px[i, 1] + 0.5) / views.box,
            float(support.radius_A / views.pixel_A[i] / views.box),
            int(support.verdict[i]),
        )
        for i in images
    ]


def dots_of(views: Views, fits: Fits, image: int) -> tuple[Floats, ...]:
    """Measured points and the object's points as seen, shares of the width; nothing for real images."""
    observed = views.observed_px[image] if image < len(views.observed_px) else None
    points = getattr(fits.model, "points_A", None)
    if observed is None or points is None:
        return ()
    middle = image_centre(views.box) + 0.5
    seen = points[0] @ views.rotations[image][:2].T / views.pixel_A[image] + views.shifts_px[image]
    return ((observed + middle) / views.box, (seen + middle) / views.box)
