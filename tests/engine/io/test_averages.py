from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

from engine.errors import InputError
from engine.io.average_quality import similarity
from engine.io.averages import averages_record, prepare, rank, soft_disc
from engine.io.image_resampling import cropped, resampled, shifted
from engine.io.particle_extent import masked_radius, radii
from engine.io.pixel_size import PixelSizeError
from engine.specs.sds import ClassAveragesInput
from tests.engine.io.average_files import as_averages, junk, views

Images = NDArray[np.float32]


def spec(**more: object) -> ClassAveragesInput:
    return ClassAveragesInput(file="x.mrcs", **more)  # type: ignore[arg-type]


def with_halo_and_mask(images: Images) -> Images:
    """As RELION leaves them: a dark ring around the particle, zero outside of a circle."""
    smooth = gaussian_filter(images, (0, 4, 4))
    box = images.shape[-1]
    return np.asarray((images - 0.9 * smooth) * soft_disc(box, 0.36 * box), np.float32)


def gaussian(side: int, width: float, x: float = 0.0, y: float = 0.0) -> Images:
    grid = np.arange(side) - side // 2
    square = (grid[None, :] - x) ** 2 + (grid[:, None] - y) ** 2
    return np.exp(-square / (2 * width**2)).astype(np.float32)[None]


# -- moving and resampling


@pytest.mark.parametrize("side", [31, 32])
def test_shifting_moves_content_towards_larger_coordinates(side: int) -> None:
    image = gaussian(side, 2.5)
    np.testing.assert_allclose(
        shifted(image, np.array([[2.3, -1.6]])), gaussian(side, 2.5, 2.3, -1.6), atol=1e-5
    )


@pytest.mark.parametrize("side", [40, 41])
@pytest.mark.parametrize("box", [24, 25, 40, 60, 61])
def test_resampling_keeps_the_centre_and_the_values(side: int, box: int) -> None:
    scale = side / box
    made = resampled(gaussian(side, 4.0, 3.0, -2.0), box)
    np.testing.assert_allclose(made, gaussian(box, 4.0 / scale, 3.0 / scale, -2.0 / scale), atol=2e-3)


@pytest.mark.parametrize("old", [20, 21])
@pytest.mark.parametrize("new", [12, 13, 30, 31])
def test_cutting_keeps_the_centre(old: int, new: int) -> None:
    image = np.zeros((1, old, old), np.float32)
    image[0, old // 2, old // 2 + 1] = 1.0
    made = cropped(image, new)
    assert np.argwhere(made[0]).tolist() == [[new // 2, new // 2 + 1]]


# -- preparing


@pytest.mark.parametrize("box", [47, 48])
@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("masked", [False, True])
def test_normalised_over_the_masked_pixels_and_zero_outside(box: int, noise: float, masked: bool) -> None:
    images = views(9, box, noise=noise)
    images = with_halo_and_mask(images) if masked else images
    prepared = prepare(as_averages(images), spec())
    made = prepared.stack.images
    assert made.shape == (9, box - box % 2, box - box % 2)
    distance = radii(*made.shape[1:])
    within = distance <= prepared.mask_radius_px
    assert abs(made[:, within].mean()) < 1e-5
    assert made[:, within].std() == pytest.approx(1.0, abs=1e-5)
    assert not made[:, distance > prepared.mask_radius_px + 1.6].any()
    spreads = made[:, within].std(axis=1)
    assert spreads.max() / spreads.min() < 1.05
    assert prepared.background < 0
    assert made.max() > 1


def test_the_result_does_not_depend_on_scale_offset_or_contrast() -> None:
    images = views(6, 40, noise=0.2)
    reference = prepare(as_averages(images), spec())
    rng = np.random.default_rng(0)
    scale, offset = rng.uniform(0.1, 10, (2, 6, 1, 1)).astype(np.float32)
    for changed, sign in ((scale * images + offset, 1.0), (-images, -1.0)):
        again = prepare(as_averages(changed), spec())
        assert again.sign == sign
        np.testing.assert_allclose(again.stack.images, reference.stack.images, atol=2e-3)
    forced = prepare(as_averages(images), spec(contrast="black"))
    assert forced.sign == -1.0
    assert "given" in forced.contrast


@pytest.mark.parametrize("sign", [1, -1])
def test_contrast_is_found_in_masked_images_with_a_dark_halo(sign: int) -> None:
    assert prepare(as_averages(sign * with_halo_and_mask(views(5, 64))), spec()).sign == sign


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_centring_undoes_shifts_and_then_leaves_images_alone(noise: float) -> None:
    images = views(8, 64, noise=noise)
    moved = np.random.default_rng(1).uniform(-8, 8, (8, 2))
    prepared = prepare(as_averages(shifted(images, moved)), spec())
    np.testing.assert_allclose(prepared.shifts_px, -moved, atol=0.6)
    again = prepare(as_averages(prepared.stack.images, prepared.stack.pixel_size_A), spec())
    assert np.hypot(*again.shifts_px.T).max() < 0.5
    assert again.mask_radius_px == pytest.approx(prepared.mask_radius_px, abs=2)
    for first, second in zip(prepared.stack.images, again.stack.images, strict=True):
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.95
    assert not prepare(as_averages(images), spec(centre=False)).shifts_px.any()


def test_projections_of_one_volume_meet_in_its_centre_of_mass() -> None:
    # The lumps are centred on their weighted mean, which every projection keeps.
    assert np.hypot(*prepare(as_averages(views(12, 64)), spec()).shifts_px.T).max() < 0.7


def test_a_particle_too_far_out_stays_where_it_is_and_is_named() -> None:
    images = views(4, 64, radius=0.06)
    images[2] = np.roll(images[2], 22, axis=1)
    prepared = prepare(as_averages(images), spec())
    assert not prepared.shifts_px[2].any()
    assert any("Image 3" in note and "centred" in note for note in prepared.notes)


@pytest.mark.parametrize("radius", [0.08, 0.13, 0.18])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_measured_mask_covers_the_particle_with_a_margin(radius: float, noise: float) -> None:
    clean = views(10, 96, radius=radius)
    seen = clean + noise * np.random.default_rng(3).normal(size=clean.shape).astype(np.float32)
    prepared = prepare(as_averages(seen), spec(centre=False))
    scale = prepared.field_of_view_px / prepared.stack.images.shape[-1]
    outside = radii(96, 96) > prepared.mask_radius_px * scale
    assert clean[:, outside].sum() < 0.02 * clean.sum()
    # and not much more than that
    reach = radii(96, 96)[(clean > 0.1 * clean.max()).any(axis=0)].max()
    assert prepared.mask_radius_px * scale < 1.5 * reach + 4


@pytest.mark.parametrize(("box", "size"), [(0, 64), (32, 32), (48, 48), (90, 90), (120, 120)])
def test_box_pixel_size_and_field_of_view_belong_together(box: int, size: int) -> None:
    images = views(5, 90, radius=0.1)
    prepared = prepare(as_averages(images, 2.0), spec(box=box))
    assert prepared.stack.images.shape == (5, size, size)
    assert prepared.stack.pixel_size_A * size == pytest.approx(2.0 * prepared.field_of_view_px)
    # No detail is thrown away while there are empty surroundings to cut off.
    assert prepared.field_of_view_px == (min(90, size) if size >= 64 else prepared.field_of_view_px)
    assert 2 * prepared.mask_radius_px <= size


def test_a_given_mask_is_taken() -> None:
    prepared = prepare(as_averages(views(4, 64), 2.0), spec(mask_diameter_A=80.0))
    assert prepared.mask_radius_px == pytest.approx(20.0)
    large = prepare(as_averages(views(4, 64), 2.0), spec(mask_diameter_A=500.0))
    assert large.mask_radius_px <= 31
    assert any("does not fit" in note for note in large.notes)
    with pytest.raises(InputError, match="pixels wide"):
        prepare(as_averages(views(4, 64), 2.0), spec(mask_diameter_A=5.0))


def test_selection_and_empty_images() -> None:
    images = views(6, 40)
    images[3] = 7.0
    everything = prepare(as_averages(images), spec())
    assert everything.used.tolist() == [0, 1, 2, 4, 5]
    assert any("Image 4 was left out" in note for note in everything.notes)
    assert prepare(as_averages(images), spec(select=(5, 2, 2))).used.tolist() == [4, 1]
    with pytest.raises(InputError, match="Image 7"):
        prepare(as_averages(images), spec(select=(1, 7)))
    with pytest.raises(InputError, match="empty"):
        prepare(as_averages(images), spec(select=(4,)))


def test_oblong_images_and_single_ones() -> None:
    assert prepare(as_averages(views(4, 64)[:, :, 6:58]), spec()).stack.images.shape == (4, 52, 52)
    assert prepare(as_averages(views(1, 64)), spec()).stack.images.shape == (1, 64, 64)


@pytest.mark.parametrize("stated", [0.0, 2.0])
def test_pixel_size_of_the_user_wins_and_none_is_an_error(stated: float) -> None:
    averages = as_averages(views(3, 40), stated)
    assert prepare(averages, spec(pixel_size_A=3.5)).stack.pixel_size_A == 3.5
    if stated:
        assert prepare(averages, spec()).stack.pixel_size_A == stated
    else:
        with pytest.raises(PixelSizeError):
            prepare(averages, spec())


def test_a_mask_that_is_there_already_is_seen() -> None:
    images = views(3, 64, noise=0.1)
    assert masked_radius(images) == 32
    assert masked_radius(images * soft_disc(64, 20.0, 3.0)) == pytest.approx(21, abs=1)


# -- ranking


def auc(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float:
    """Chance that a good image scores above a bad one."""
    return float((good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean())


@pytest.mark.parametrize("kind", ["shuffled", "noise", "empty", "edge"])
@pytest.mark.parametrize("masked", [False, True])
def test_junk_is_told_from_averages(kind: str, masked: bool) -> None:
    good = views(20, 56, noise=0.3)
    bad = junk(good, kind, 20)
    images = np.concatenate([good, bad])
    images = images * soft_disc(56, 24.0) if masked else images
    quality = rank(images)
    assert auc(quality.score[:20], quality.score[20:]) > 0.99
    assert quality.junk[:20].sum() <= 1
    assert quality.junk[20:].sum() >= 19
    assert ((quality.score >= 0) & (quality.score <= 1)).all()


def test_score_falls_with_noise_and_not_with_scale_or_sign() -> None:
    noisy = [rank(views(6, 48, noise=n)).score.mean() for n in (0.0, 0.3, 0.6, 1.2, 3.0)]
    assert all(a > b for a, b in zip(noisy, noisy[1:], strict=False))
    images = views(6, 48, noise=0.3)
    np.testing.assert_allclose(rank(-5 * images + 3).score, rank(images).score, atol=1e-3)


def test_the_same_view_is_found_turned_mirrored_and_shifted() -> None:
    first = views(8, 64, noise=0.05)
    turned = np.stack([rotate(i, 40.0 * k + 17, reshape=False, order=3) for k, i in enumerate(first)])
    turned[::2] = turned[::2, :, ::-1]
    turned = shifted(turned.astype(np.float32), np.random.default_rng(0).uniform(-3, 3, (8, 2)))
    quality = rank(np.concatenate([first, turned]))
    pairs = {tuple(sorted((i, int(j)))) for i, j in enumerate(quality.duplicate_of) if j >= 0}
    assert pairs == {(i, i + 8) for i in range(8)}
    for i, j in enumerate(quality.duplicate_of):
        if j >= 0:  # the better one stays
            assert quality.score[j] >= quality.score[i]
            assert quality.duplicate_of[j] == -1


def test_other_views_are_not_duplicates_and_neither_is_junk() -> None:
    images = np.concatenate([views(10, 64, noise=0.1), junk(views(5, 64), "empty", 5)])
    assert (rank(images).duplicate_of == -1).all()
    assert rank(images[:1]).duplicate_of.tolist() == [-1]


def test_similarity_is_a_symmetric_correlation() -> None:
    images = views(70, 25)  # odd, so that mirroring keeps the centre
    found = similarity(images)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1)
    assert (np.abs(found) <= 1).all()
    np.testing.assert_allclose(similarity(images[:, :, ::-1] * 3 + 1)[:5, :5], found[:5, :5], atol=0.05)


# -- what is written


@pytest.mark.parametrize("of_all", [True, False])
def test_the_record_counts_from_one_and_is_json(of_all: bool) -> None:
    images = views(5, 40, noise=0.05)
    images = np.concatenate([images, images[[1]] * 2, np.zeros((1, 40, 40), np.float32)])
    averages = as_averages(images, counts=np.arange(7) * 10.0)
    prepared = prepare(averages, spec(select=(2, 4, 6, 7)))
    quality = rank(images if of_all else images[prepared.used])
    record = json.loads(json.dumps(averages_record(averages, prepared, quality)))
    assert [e["row"] for e in record["images"]] == [2, 4, 6]
    assert [e["count"] for e in record["images"]] == [10, 30, 50]
    assert {e["duplicate_of"] for e in record["images"]} in ({None, 2}, {None, 6})
    assert record["box"] == 40
    assert set(record["images"][0]) == {
        "row", "file", "count", "shift_px", "score", "junk", "duplicate_of"
    }  # fmt: skip


def test_the_window_can_import_it_without_torch() -> None:
    code = "import sys, engine.io.averages, engine.io.class_averages; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
