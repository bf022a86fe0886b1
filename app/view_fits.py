"""How well each image fits what is shown: reprojections, residuals, ranks, outliers. Plain numpy.

A model (a map or a cloud) is projected at each image's pose; the projection gets the factor and offset
that bring it closest to the image inside the mask, and what is left is the residual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.conventions import image_centre
from engine.io.reprojection import MapTransform, project_map, project_points, transform_of

Floats = NDArray[np.floating]
Images = NDArray[np.float32]

OUTLIER = 3.0  # robust standard deviations
FEWEST = 6  # images: fewer have no outliers
LEAST_SPREAD = 0.01  # of correlations: below, a difference means nothing


@dataclass(frozen=True)
class Views:
    """Images with poses.

    Attributes
    ----------
    noun : what one of them is called.
    images : (n, box, box), density positive.
    rotations : (n, 3, 3), ``x_view = R x``.
    shifts_px : (n, 2) xy: where the object's origin appears relative to pixel ``box // 2``.
    pixel_A : (n,) Å.
    mask_radius_px : what lies outside isn't compared.
    rows : (n,) of the file they come from, counted from 1.
    confidence : (n,) of the poses in [0, 1]; NaN where unknown.
    observed_px : per image the measured 2D points (m, 2), pixels from the origin; None for real images.
    names : of the evidence, as in a run's energies.
    sources : (n,) which piece of evidence each belongs to, counted from 0.
    symmetry : of the map, in words; empty for none.
    """

    noun: str
    images: Images
    rotations: Floats
    shifts_px: Floats
    pixel_A: Floats
    mask_radius_px: float
    rows: NDArray[np.intp]
    confidence: Floats
    observed_px: tuple[Floats | None, ...] = ()
    names: tuple[str, ...] = ()
    sources: NDArray[np.intp] | None = None
    symmetry: str = ""

    @property
    def box(self) -> int:
        """Pixels along each side."""
        return int(self.images.shape[-1])

    def mask(self) -> NDArray[np.bool_]:
        """(box, box): what is compared."""
        axis = np.arange(self.box) - image_centre(self.box)
        inside: NDArray[np.bool_] = np.hypot(axis[:, None], axis[None, :]) <= self.mask_radius_px
        return inside


@dataclass(frozen=True)
class MapModel:
    """A map to be projected; its origin is voxel ``n // 2``."""

    density: NDArray[np.float32]
    voxel_A: float
    transform: MapTransform
    name: str = ""


@dataclass(frozen=True)
class CloudModel:
    """Clouds (samples, points, 3), Å, to be projected together as Gaussians of width ``sigma_A``."""

    points_A: Floats
    sigma_A: float
    name: str = ""


Model = MapModel | CloudModel


@dataclass(frozen=True)
class Fits:
    """How all images fit a model.

    Attributes
    ----------
    projections : (n, box, box) of the model, as they come.
    factor, offset : (n,) that bring each projection closest to its image.
    correlation : (n,) inside the mask.
    deviation : (n,) standard deviation of each image inside the mask: the unit of residuals.
    residual : (n,) root mean square of what is left, in units of the deviation.
    z : (n,) robust standard deviations of the correlation from the median; NaN for few images.
    """

    model: Model
    projections: Images
    factor: Floats
    offset: Floats
    correlation: Floats
    deviation: Floats
    residual: Floats
    z: Floats

    def rank(self, image: int) -> int:
        """Which place an image, counted from 0, has among all; the best is 1."""
        return 1 + int(np.count_nonzero(self.correlation > self.correlation[image]))

    def outliers(self) -> NDArray[np.intp]:
        """Images, counted from 0, that fit far worse than the others."""
        return np.flatnonzero(np.nan_to_num(self.z) < -OUTLIER)

    def reason(self, image: int) -> str:
        """Why an image is an outlier, or why it isn't known; empty if it is none."""
        count = len(self.correlation)
        if count < FEWEST:
            return f"{count} images are too few to tell outliers."
        if image not in self.outliers():
            return ""
        middle = float(np.median(self.correlation))
        return (
            f"Outlier: its correlation of {self.correlation[image]:.2f} lies {-self.z[image]:.1f} robust "
            f"standard deviations below the median of {middle:.2f} over {count} images."
        )

    def seen(self, image: int) -> Images:
        """A projection with its factor and offset."""
        return np.asarray(self.factor[image] * self.projections[image] + self.offset[image], np.float32)


def map_model(density: NDArray[np.float32], voxel_A: float, name: str = "") -> MapModel:
    """A map, ready to be projected."""
    return MapModel(density, voxel_A, transform_of(density, voxel_A), name)


def cloud_model(points_A: Floats, pixel_A: float, name: str = "") -> CloudModel:
    """Clouds (samples, points, 3), drawn so wide that their points become one body."""
    points = np.asarray(points_A, np.float64)
    centred = points - points.mean(axis=1, keepdims=True)
    gyration = float(np.sqrt((centred**2).sum(axis=2).mean()))
    # Points that fill a ball of this radius of gyration have this distance.
    spacing = 2.1 * gyration / max(1, points.shape[1]) ** (1 / 3)
    return CloudModel(points, max(0.35 * spacing, 0.8 * pixel_A), name)


def projections_of(model: Model, views: Views) -> Images:
    """(n, box, box) of a model at the poses of the views."""
    result = np.zeros_like(views.images)
    for pixel in np.unique(views.pixel_A):
        rows = np.flatnonzero(views.pixel_A == pixel)
        rotations, shifts = views.rotations[rows], views.shifts_px[rows]
        if isinstance(model, MapModel):
            result[rows] = project_map(model.transform, rotations, shifts, views.box, float(pixel))
        else:
            everything = model.points_A.reshape(-1, 3)
            result[rows] = project_points(
                everything, rotations, shifts, views.box, float(pixel), model.sigma_A
            )
    return result


def compare(views: Views, model: Model) -> Fits:
    """Project a model at all poses and compare with the images."""
    projections = projections_of(model, views)
    inside = views.mask()
    images, seen = views.images[:, inside].astype(np.float64), projections[:, inside].astype(np.float64)
    image_mean, seen_mean = images.mean(axis=1), seen.mean(axis=1)
    images, seen = images - image_mean[:, None], seen - seen_mean[:, None]
    power = (seen**2).sum(axis=1)
    product = (images * seen).sum(axis=1)
    factor = product / np.maximum(power, 1e-30)
    deviation = np.maximum(images.std(axis=1), 1e-12)
    norm = np.sqrt(power * (images**2).sum(axis=1))
    correlation = product / np.maximum(norm, 1e-30)
    left = images - factor[:, None] * seen
    residual = np.sqrt((left**2).mean(axis=1)) / deviation
    offset = image_mean - factor * seen_mean
    return Fits(model, projections, factor, offset, correlation, deviation, residual, robust_z(correlation))


def robust_z(values: Floats, least: float = LEAST_SPREAD) -> Floats:
    """(n,) distances from the median in standard deviations, as measured by the median deviation.

    NaN for fewer than :data:`FEWEST` values.
    """
    values = np.asarray(values, np.float64)
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return np.full(len(values), np.nan)
    middle = np.median(known)
    spread = max(1.4826 * float(np.median(np.abs(known - middle))), least)
    result: Floats = (values - middle) / spread
    return result
