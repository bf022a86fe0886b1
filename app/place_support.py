"""Which images speak for the density at a place, and which against it. Plain numpy.

The density in a soft ball about the place is taken away, and each image is compared again in a disc about
where the place appears: ``gain = (E without - E with) / sum (y - mean y)²``, with ``E`` the sum over the
disc of ``(y - a p - b)²`` for the image y and the projection p, whose factor a and offset b come from the
whole image with the density there. Projections are linear, so only the ball's part is projected.

How much of that is chance is measured in the same image: the residual times the ball's projection, with
that moved all over the image. An image is for or against a place by more than one such deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from app.view_fits import CloudModel, Fits, Floats, Images, MapModel, Views
from engine.conventions import centred_coordinates
from engine.io.reprojection import project_points, seen_at

FOR, AGAINST, SILENT = 1, -1, 0
EDGE = 0.4  # of the radius: how soft the ball is
MARGIN_PX = 2.0  # of the disc around the ball's shadow

FORMULA = (
    "The density within the radius is set to zero and every image compared again, in a disc around where "
    "the place appears:\n"
    "gain = (E without − E with) / Σ (y − mean of y)²,  E = Σ over the disc (y − a·p − b)²\n"
    "y is the image, p the projection, a and b its factor and offset from the whole image.\n"
    "For (or against): the gain is positive (negative) by more than one standard deviation of what the "
    "same density would gain by chance elsewhere in the residual of this image."
)


@dataclass(frozen=True)
class Support:
    """What each image says about a place.

    Attributes
    ----------
    gain : (n,) share of the disc's variance that the density there explains.
    change : (n,) of the correlation of the whole image by the density there.
    deviations : (n,) the gain in standard deviations of chance.
    verdict : (n,) :data:`FOR`, :data:`AGAINST` or :data:`SILENT`.
    place_px : (n, 2) xy where the place appears, pixels from pixel 0.
    radius_A : of the ball.
    mass : share of the absolute density that lies in the ball.
    """

    point_A: Floats
    radius_A: float
    gain: Floats
    change: Floats
    deviations: Floats
    verdict: NDArray[np.int8]
    place_px: Floats
    mass: float

    def order(self) -> NDArray[np.intp]:
        """Images from those most for it to those most against it."""
        return np.argsort(-self.deviations, kind="stable")

    def sentence(self, noun: str = "view") -> str:
        """How many images are for it and which are against it."""
        if self.mass < 1e-6:
            return "There is nothing to test here: no density within the radius."
        count, good = len(self.gain), int(np.count_nonzero(self.verdict == FOR))
        text = f"Supported by {good} of {count} {noun}s"
        against = np.flatnonzero(self.verdict == AGAINST) + 1
        if len(against):
            worst = sorted(against, key=lambda i: self.deviations[i - 1])[:6]
            more = f" and {len(against) - 6} more" if len(against) > 6 else ""
            plural = "s" if len(against) > 1 else ""
            text += f"; contradicted by {noun}{plural} {', '.join(map(str, sorted(worst)))}{more}"
        silent = count - good - len(against)
        if silent:
            text += f"; {silent} can't tell"
        return f"{text}."


def support(point_A: Floats, radius_A: float, views: Views, fits: Fits) -> Support:
    """Ask all images about a place.

    Parameters
    ----------
    point_A : (3,) xyz in the model's frame.
    radius_A : of the ball whose density is taken away.
    """
    point = np.asarray(point_A, np.float64)
    part, mass = _part(point, radius_A, views, fits)
    place = np.stack([
        seen_at(point, r[None], s[None], views.box, float(p))[0]
        for r, s, p in zip(views.rotations, views.shifts_px, views.pixel_A, strict=True)
    ])  # fmt: skip
    inside = views.mask()
    axis = np.arange(views.box)
    reach = radius_A / views.pixel_A + MARGIN_PX
    away = np.hypot(
        axis[None, :, None] - place[:, 1, None, None], axis[None, None, :] - place[:, 0, None, None]
    )
    disc = (away <= reach[:, None, None]) & inside
    scale = 1 / fits.deviation[:, None, None]
    images = views.images * scale
    seen = (fits.factor[:, None, None] * fits.projections + fits.offset[:, None, None]) * scale
    taken = fits.factor[:, None, None] * part * scale
    left = images - seen
    with_it = (left**2 * disc).sum(axis=(1, 2))
    without = ((left + taken) ** 2 * disc).sum(axis=(1, 2))
    middle = (images * inside).sum(axis=(1, 2)) / inside.sum()
    variance = ((images - middle[:, None, None]) ** 2 * disc).sum(axis=(1, 2))
    chance = 2 * _by_chance(left * inside, taken * disc, inside)
    difference = without - with_it
    deviations = difference / np.maximum(chance, 1e-12)
    empty = (np.abs(taken * disc).sum(axis=(1, 2)) < 1e-9) | (mass < 1e-6)
    deviations = np.where(empty, 0.0, deviations)
    return Support(
        point,
        radius_A,
        np.where(empty, 0.0, difference / np.maximum(variance, 1e-12)),
        np.where(empty, 0.0, fits.correlation - _correlation(images, seen - taken, inside)),
        deviations,
        np.where(deviations > 1, FOR, np.where(deviations < -1, AGAINST, SILENT)).astype(np.int8),
        place,
        mass,
    )


def _part(point: Floats, radius_A: float, views: Views, fits: Fits) -> tuple[Images, float]:
    """Projections (n, box, box) of the density in the ball, and its share of all."""
    model = fits.model
    if isinstance(model, CloudModel):
        points = model.points_A.reshape(-1, 3)
        weights = _ball(np.linalg.norm(points - point, axis=1), radius_A)
        kept = weights > 0
        masses = weights[kept] / len(points)
        return _projected(points[kept], masses, model.sigma_A, views), float(masses.sum())
    places, values = _voxels(model, point, radius_A + EDGE * radius_A)
    weights = _ball(np.linalg.norm(places - point, axis=1), radius_A)
    total = float(np.abs(model.density).sum())
    share = float(np.abs(values * weights).sum()) / total if total else 0.0
    # As wide as linear interpolation between voxels.
    width = 0.41 * model.voxel_A
    # A sum along z over voxels, seen in pixels of another size.
    area = (model.voxel_A / views.pixel_A) ** 2
    images = _projected(places, values * weights, width, views)
    return (images * area[:, None, None]).astype(np.float32), share


def _voxels(model: MapModel, point: Floats, reach_A: float) -> tuple[Floats, Floats]:
    """Positions (k, 3), Å, and densities (k,) of the voxels about a place."""
    axes, cut = [], []
    for axis, n in enumerate(model.density.shape):
        along = centred_coordinates(n, model.voxel_A)
        near = np.flatnonzero(np.abs(along - point[2 - axis]) <= reach_A)
        axes.append(along[near])
        cut.append(near)
    z, y, x = np.meshgrid(*axes, indexing="ij")
    places = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    return places, model.density[np.ix_(*cut)].ravel().astype(np.float64)


def _projected(points: Floats, weights: Floats, sigma_A: float, views: Views) -> Images:
    result = np.zeros_like(views.images)
    for pixel in np.unique(views.pixel_A) if len(points) else ():
        rows = np.flatnonzero(views.pixel_A == pixel)
        result[rows] = project_points(
            points, views.rotations[rows], views.shifts_px[rows], views.box, float(pixel), sigma_A, weights
        )
    return result


def _ball(distance: Floats, radius: float) -> Floats:
    """One inside, zero outside, a cosine about the radius."""
    width = EDGE * radius
    part = np.clip((radius + width - distance) / (2 * width), 0, 1)
    weights: Floats = 0.5 - 0.5 * np.cos(np.pi * part)
    return weights


def _by_chance(left: Floats, taken: Floats, inside: NDArray[np.bool_]) -> Floats:
    """(n,) root mean square of the residual times what was taken, moved all over the image."""
    box = left.shape[-1]
    # Moved, not turned: the place's own position is one among all.
    product = irfft2(rfft2(left) * np.conj(rfft2(taken)), s=(box, box), axes=(1, 2))
    share = max(float(inside.mean()), 1e-6)
    found: Floats = np.sqrt((product**2).mean(axis=(1, 2)) / share)
    return found


def _correlation(images: Floats, seen: Floats, inside: NDArray[np.bool_]) -> Floats:
    a, b = images[:, inside], seen[:, inside]
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    found: Floats = (a * b).sum(axis=1) / np.maximum(norm, 1e-30)
    return found
