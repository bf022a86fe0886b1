"""Each wrong convention, planted on purpose, is found; and nothing is claimed where nothing fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from engine import conventions
from engine.forward.fourier_slice import project
from engine.io.convention_check import check, spread_rows
from engine.io.pose_readings import AS_READ, MIRROR, Convention, Posed, corrected, flipped
from engine.io.reprojection import MapTransform, project_map, transform_of

BOX, PIXEL = 48, 2.5


def a_map(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    density = np.zeros((BOX,) * 3, np.float32)
    for place in rng.integers(14, 34, (40, 3)):
        density[tuple(place)] += rng.uniform(0.5, 1.5)
    return gaussian_filter(density, 1.6)


@pytest.fixture(scope="module")
def reference() -> MapTransform:
    return transform_of(a_map(), PIXEL)


@pytest.fixture(scope="module")
def truth() -> Posed:
    """Projections of the engine's own projector, with noise, at known poses."""
    rng = np.random.default_rng(1)
    rotations = Rotation.random(16, random_state=2).as_matrix()
    shifts_px = rng.uniform(-3, 3, (16, 2))
    images = project(
        torch.from_numpy(a_map()),
        torch.from_numpy(rotations.astype(np.float32)),
        shifts_px=torch.from_numpy(shifts_px.astype(np.float32)),
    ).numpy()
    images += 0.5 * images.std() * rng.normal(size=images.shape).astype(np.float32)
    return Posed(images, rotations, shifts_px * PIXEL, PIXEL)


def written_wrongly(truth: Posed, convention: Convention) -> Posed:
    """The truth as a program of another convention writes it: ``corrected`` leads back."""
    rotations = truth.rotations
    if convention.mirrored:
        rotations = MIRROR @ rotations @ MIRROR
    rot, tilt, psi = np.moveaxis(conventions.rotation_to_relion(rotations), -1, 0)
    rotations = {
        "": lambda: rotations,
        "inverse": lambda: rotations.transpose(0, 2, 1),
        "zxz": lambda: conventions.relion_to_rotation(
            *np.moveaxis(conventions.rotation_to_eman(rotations), -1, 0)
        ),
        "psi": lambda: conventions.relion_to_rotation(rot, tilt, -psi),
        "rot": lambda: conventions.relion_to_rotation(-rot, tilt, psi),
        "swapped": lambda: conventions.relion_to_rotation(psi, tilt, rot),
    }[convention.angles]()
    pixel = truth.pixel_A / convention.scale
    sign = -1 if convention.shifts.startswith("-") else 1
    unit = {"px": 1 / pixel, "A": pixel}.get(convention.shifts.lstrip("-"), 1.0)
    images = flipped(-truth.images if convention.inverted else truth.images, convention.flip)
    return Posed(np.ascontiguousarray(images), rotations, sign * unit * truth.shifts_A, pixel)


PLANTED = [
    AS_READ,
    Convention(angles="inverse"),
    Convention(angles="zxz"),
    Convention(angles="psi"),
    Convention(angles="rot"),
    Convention(angles="swapped"),
    Convention(mirrored=True),
    Convention(flip="y"),
    Convention(flip="x"),
    Convention(flip="t"),
    Convention(inverted=True),
    Convention(shifts="-"),
    Convention(shifts="px"),
    Convention(shifts="A"),
    Convention(scale=0.9),
    Convention(scale=2.0),
    Convention(angles="inverse", shifts="-"),
    Convention(angles="zxz", inverted=True),
    Convention(mirrored=True, flip="y"),
    Convention(flip="y", shifts="-", inverted=True),
    Convention(angles="psi", scale=1.1),
]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda c: c.words().replace(" ", "-"))
def test_the_right_correction_ranks_first(truth: Posed, reference: MapTransform, planted: Convention):
    given = written_wrongly(truth, planted)
    back, shifts = corrected(planted, given)
    np.testing.assert_allclose(back[:, :2], truth.rotations[:, :2], atol=1e-6)
    np.testing.assert_allclose(shifts, truth.shifts_A, atol=1e-6)
    found = check(given, reference, most=8, scales=(1.0, 0.9, 1.1, 2.0))
    first = found.best.convention
    assert replace(first, scale=1.0) == replace(planted, scale=1.0)
    assert first.scale == pytest.approx(planted.scale, rel=0.011)
    assert found.verdict == ("given" if planted == AS_READ else "other")
    assert found.best.mean > found.chance + 0.1


def test_a_pixel_size_between_those_tried_is_found(truth: Posed, reference: MapTransform):
    found = check(written_wrongly(truth, Convention(scale=1.13)), reference, most=8)
    assert found.best.convention.scale == pytest.approx(1.13, rel=0.012)
    assert "Pixel size times 1.1" in found.sentence()


@pytest.mark.parametrize("seed", range(4))
def test_poses_of_something_else_fit_nothing(truth: Posed, reference: MapTransform, seed: int):
    wrong = replace(truth, rotations=Rotation.random(16, random_state=50 + seed).as_matrix())
    found = check(wrong, reference, most=8, scales=(1.0, 0.9))
    assert found.verdict == "none"
    assert "None of the conventions fits" in found.sentence()


def test_another_object_fits_nothing(truth: Posed):
    assert check(truth, transform_of(a_map(9), PIXEL), most=8).verdict == "none"


def test_three_images_suffice_to_see_inverse_rotations(truth: Posed, reference: MapTransform):
    found = check(written_wrongly(truth.some([0, 1, 2]), Convention(angles="inverse")), reference)
    assert found.verdict == "other"
    assert found.best.convention == Convention(angles="inverse")


def test_directions_are_spread():
    tilts = np.array([0, 1, 2, 90, 91, 45, 44])
    rotations = conventions.relion_to_rotation(0, tilts, 0)
    chosen = spread_rows(rotations, 3)
    assert sorted(round(t / 45) for t in tilts[chosen]) == [0, 1, 2]


@pytest.mark.parametrize("box", [32, 33])
def test_projections_are_those_of_the_engine(box: int):
    rng = np.random.default_rng(3)
    density = np.zeros((box,) * 3, np.float32)
    density[tuple(rng.integers(box // 2 - 5, box // 2 + 6, (3, 30)))] = 1.0
    density = gaussian_filter(density, 1.5)
    rotations = Rotation.random(6, random_state=4).as_matrix()
    shifts = rng.uniform(-2, 2, (6, 2))
    ours = project_map(transform_of(density, 1.3), rotations, shifts, box, 1.3)
    theirs = project(
        torch.from_numpy(density),
        torch.from_numpy(rotations.astype(np.float32)),
        shifts_px=torch.from_numpy(shifts.astype(np.float32)),
    ).numpy()
    for mine, other in zip(ours, theirs, strict=True):
        assert np.corrcoef(mine.ravel(), other.ravel())[0, 1] > 0.999
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.04)
