"""Do these poses mean what Verglas takes them to mean? Ask the images, with a reference at hand.

Programs differ in the sense of rotations, in Euler angles, signs and units of shifts, contrast, the order
of rows, hand and pixel size, and a wrong one of these looks like bad data. So some images are compared
with the reference's projections under every combination that occurs in practice.

The score of an image is the mean of its Fourier ring correlations with the projection, all rings of a
band alike: envelopes, filters and masks of images and reference then hardly matter. What a wrong
convention scores by chance is measured by giving each image the projection of another one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.conventions import image_centre
from engine.io.image_resampling import cropped, resampled
from engine.io.pose_readings import (
    ANGLES,
    AS_READ,
    FLIPS,
    Convention,
    Floats,
    Images,
    Posed,
    corrected,
    flipped,
    moved,
    same_images_key,
    shift_kinds,
)
from engine.io.reprojection import MapTransform, project_axes, slices_at

BOX = 64
MOST_IMAGES = 12
FIRST_RING, LAST_RING = 2, 20
CLEAR = 0.02  # of the score: less is no reason to change a convention
PER_CHANGE = 0.002  # what each departure from the given convention must gain to rank before it

SCALES = (1.0, 0.5, 2.0, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25)


@dataclass(frozen=True)
class Scored:
    """A convention and how well each image fits under it.

    Attributes
    ----------
    scores : (n,) mean Fourier ring correlation of each image.
    """

    convention: Convention
    scores: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over the images."""
        return float(self.scores.mean())

    @property
    def spread(self) -> float:
        """Standard deviation over the images."""
        return float(self.scores.std(ddof=1)) if len(self.scores) > 1 else 0.0


@dataclass(frozen=True)
class Findings:
    """All conventions that were tried.

    Attributes
    ----------
    ranked : best first; each departure from what was given must have gained something.
    given : how the images fit as they were read.
    chance : what the best of so many wrong conventions may score.
    rows : which images were looked at, counted from 0.
    """

    ranked: tuple[Scored, ...]
    given: Scored
    chance: float
    rows: NDArray[np.intp]
    pixel_A: float = 0.0
    posed: Posed | None = field(default=None, repr=False)

    @property
    def best(self) -> Scored:
        """The first of the ranked."""
        return self.ranked[0]

    @property
    def gain(self) -> tuple[float, float]:
        """By how much the best fits better than what was given, per image, and the error of that."""
        difference = self.best.scores - self.given.scores
        error = float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else np.inf
        return float(difference.mean()), error

    @property
    def verdict(self) -> str:
        """``given``, ``other`` or ``none``: what was given fits best, another does, or none beats chance."""
        if self.best.mean <= self.chance:
            return "none"
        gain, error = self.gain
        clear = self.given.mean <= self.chance or gain > max(CLEAR, 2 * error)
        return "other" if clear else "given"

    def sentence(self) -> str:
        """The verdict in words."""
        chance = f"chance reaches {self.chance:.2f}"
        if self.verdict == "none":
            return (
                f"None of the conventions fits: the best scores {self.best.mean:.2f}, and {chance}. "
                "Are these the right poses, and is the reference in their frame?"
            )
        if self.verdict == "given":
            return f"The conventions as read fit best: {self.given.mean:.2f}; {chance}."
        return (
            f"Another convention fits better: {self.best.convention.words(self.pixel_A)}. "
            f"It scores {self.best.mean:.2f}, as read {self.given.mean:.2f}; {chance}."
        )


def check(
    posed: Posed, reference: MapTransform, *, most: int = MOST_IMAGES, scales: Sequence[float] = SCALES
) -> Findings:
    """Try all conventions on a few images.

    Parameters
    ----------
    posed : images with poses; at least two.
    reference : in the frame of the poses, its origin in the middle of the box.
    most : images to look at, spread over the directions.
    scales : pixel sizes to try, as factors of the given one.

    Raises
    ------
    ValueError
        If there are fewer than two images, or shapes don't fit.
    """
    if len(posed.images) != len(posed.rotations) or len(posed.images) < 2 or not posed.pixel_A > 0:
        raise ValueError("at least two images with poses and a pixel size are needed")
    rows = spread_rows(posed.rotations, most)
    some = posed.some(rows)
    grid = _Grid(some)
    found: dict[tuple[bytes, bool, float], Scored] = {}
    keys: dict[Convention, bytes] = {}
    wrong: list[NDArray[np.float64]] = []
    for convention, matrix in grid.tried(reference, scales):
        scored = Scored(convention, np.diagonal(matrix).copy())
        plain = replace(convention, inverted=False, scale=1.0)
        if plain not in keys:
            keys[plain] = same_images_key(plain, some)
        key = (keys[plain], convention.inverted, convention.scale)
        if key not in found or convention.changes < found[key].convention.changes:
            found[key] = scored
        wrong.append(_by_chance(matrix))
    best = sorted(found.values(), key=lambda s: PER_CHANGE * s.convention.changes - s.mean)
    if best[0].convention.scale != 1:
        best = [grid.refined(best[0], reference), *best]
        best = [
            s for i, s in enumerate(best) if i == 0 or not _same_but_scale(s.convention, best[0].convention)
        ]
    given = next(s for s in found.values() if s.convention == AS_READ)
    return Findings(tuple(best), given, _threshold(np.array(wrong)), rows, posed.pixel_A, posed)


def pictures(
    posed: Posed, reference: MapTransform, convention: Convention, *, box: int = BOX
) -> tuple[Images, Images]:
    """Images as a convention takes them, and the reference's projections for them; both (n, box, box)."""
    rotations, shifts_A = corrected(convention, posed)
    pixel_A, images = posed.pixel_A * convention.scale, flipped(posed.images, convention.flip)
    images = -images if convention.inverted else images
    side = images.shape[-1]
    small = resampled(images, min(box, side))
    pixel_A *= side / small.shape[-1]
    seen = project_axes(reference, rotations[:, :2], shifts_A / pixel_A, small.shape[-1], pixel_A)
    return small, seen


def spread_rows(rotations: Floats, most: int) -> NDArray[np.intp]:
    """Rows of views that are far apart, in rising order; the first is always among them."""
    directions = np.asarray(rotations)[:, 2]
    chosen = [0]
    nearest = np.abs(directions @ directions[0])
    while len(chosen) < min(most, len(directions)):
        # A view from behind is the mirror image: no news. Among equals, the first.
        following = int(np.argmin(np.where(np.isin(np.arange(len(nearest)), chosen), np.inf, nearest)))
        chosen.append(following)
        nearest = np.maximum(nearest, np.abs(directions @ directions[following]))
    return np.sort(np.asarray(chosen, np.intp))


def _square(images: Images) -> Images:
    """Padded to squares with what surrounds the particle."""
    side = max(images.shape[1:])
    if images.shape[1] == images.shape[2]:
        return images
    level = np.median(images, axis=(1, 2), keepdims=True).astype(np.float32)
    return cropped(images - level, side) + level


class _Grid:
    """The images' coefficients in the band, for each order of rows."""

    def __init__(self, posed: Posed) -> None:
        self.posed = posed
        images = _square(np.asarray(posed.images, np.float32))
        side = images.shape[-1]
        self.box = box = min(BOX, side)
        self.pixel_A = posed.pixel_A * side / box
        y, x = np.meshgrid(np.arange(box), np.arange(box // 2 + 1), indexing="ij")
        ky = np.where(y > box // 2, y - box, y)
        ring = np.rint(np.hypot(x, ky)).astype(int)
        last = min(LAST_RING, int(0.42 * box))
        # Of the first column, the second half repeats the first.
        band = (ring >= FIRST_RING) & (ring <= last) & ((x > 0) | (ky > 0))
        self._band = np.flatnonzero(band.ravel())
        self.ring = ring.ravel()[self._band] - FIRST_RING
        self.cycles = np.stack([x.ravel()[self._band], ky.ravel()[self._band]], -1) / box
        centre = np.full(2, float(image_centre(box)))
        back = np.exp(2j * np.pi * self.cycles @ centre)
        window = _window(box)
        self._images = {}
        for flip in FLIPS:
            small = resampled(flipped(images, flip), box) * window
            transform = np.fft.rfft2(small - small.mean(axis=(1, 2), keepdims=True))
            found = transform.reshape(len(images), -1)[:, self._band] * back
            self._images[flip] = self._even(found)
        self.shift_kinds = shift_kinds(posed)

    def tried(
        self, reference: MapTransform, scales: Sequence[float]
    ) -> Iterator[tuple[Convention, NDArray[np.float64]]]:
        """Each convention with (n, n): scores of each image with each projection."""
        for scale in scales:
            sides = list(itertools.product(FLIPS, self.shift_kinds))
            images = {
                (flip, shifts): self._moved(Convention(flip=flip, shifts=shifts, scale=float(scale)))
                for flip, shifts in sides
            }
            for angles, mirrored in itertools.product(ANGLES, (False, True)):
                base = Convention(angles=angles, mirrored=mirrored, scale=float(scale))
                seen = self._seen(base, reference)
                for flip, shifts in sides:
                    convention = replace(base, flip=flip, shifts=shifts)
                    matrix = _product(images[flip, shifts], seen)
                    yield convention, matrix
                    yield replace(convention, inverted=True), -matrix

    def refined(self, scored: Scored, reference: MapTransform) -> Scored:
        """The same convention with a pixel size between those that were tried."""
        best = scored
        for step in (0.02, 0.01, 0.005):
            here = best.convention
            for factor in (1 - step, 1 + step):
                convention = replace(here, scale=round(here.scale * factor, 4))
                matrix = _product(self._moved(convention), self._seen(convention, reference))
                matrix = -matrix if convention.inverted else matrix
                other = Scored(convention, np.diagonal(matrix).copy())
                best = other if other.mean > best.mean else best
        return best

    def _seen(self, convention: Convention, reference: MapTransform) -> NDArray[np.complex64]:
        rotations, _ = corrected(convention, self.posed)
        found = slices_at(reference, rotations[:, :2], self.cycles, self.pixel_A * convention.scale)
        return self._even(found)

    def _moved(self, convention: Convention) -> NDArray[np.complex64]:
        """The images with their particles brought to the centre."""
        shifts_px = moved(self.posed.shifts_A, convention, self.posed) / (self.pixel_A * convention.scale)
        back = np.exp(2j * np.pi * shifts_px @ self.cycles.T)
        return np.asarray(self._images[convention.flip] * back, np.complex64)

    def _even(self, coefficients: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
        """All rings of an image made alike, so that a product is a mean of ring correlations."""
        count = int(self.ring.max()) + 1
        power = np.abs(coefficients) ** 2
        rings = np.zeros((len(coefficients), count))
        for row, values in zip(rings, power, strict=True):
            row += np.bincount(self.ring, values, count)
        scale = 1 / np.sqrt(np.maximum(rings, 1e-12 * rings.max(initial=1e-30)) * count)
        return np.asarray(coefficients * scale[:, self.ring], np.complex64)


def _product(images: NDArray[np.complex64], seen: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Scores (n, n) of each image with each projection."""
    return np.asarray((images @ seen.conj().T).real, np.float64)


def _by_chance(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean scores (n - 1,) of images with the projections of others."""
    count = len(matrix)
    first, step = np.arange(count)[:, None], np.arange(1, count)[None, :]
    means: NDArray[np.float64] = np.take(matrix, first * count + (first + step) % count).sum(axis=0) / count
    return means


def _threshold(wrong: NDArray[np.float64]) -> float:
    """What the best of many conventions (c, n - 1) reaches with wrong projections, and more."""
    highest = wrong.max(axis=0)
    spread = float(highest.std(ddof=1)) if len(highest) > 1 else 0.0
    few = len(highest) < 4
    return float(highest.mean()) + max(3 * spread, 0.12 if few else 0.08)


def _same_but_scale(a: Convention, b: Convention) -> bool:
    return replace(a, scale=1.0) == replace(b, scale=1.0) and abs(a.scale / b.scale - 1) < 0.06


def _window(box: int) -> Images:
    """One inside the inscribed circle, falling to zero at its edge."""
    axis = np.arange(box) - image_centre(box)
    radius = np.hypot(axis[:, None], axis[None, :])
    edge = 0.1 * box
    fall = np.clip((box / 2 - radius) / edge, 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * fall), np.float32)
