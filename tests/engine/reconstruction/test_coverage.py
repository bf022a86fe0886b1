"""What was measured: distances from planes, shares, and where the prior's density is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.metrics.volumes import soft_sphere
from engine.reconstruction.coverage import (
    calibrated_trust,
    distance_to_planes,
    explained,
    fourier_coverage,
    grid_frequencies,
    measured_share,
)
from tests.engine.reconstruction.known_pose_cases import RADIUS, SIZE, blobs, problem_of, rotations


def test_a_view_measures_the_plane_across_its_direction():
    turned = rotations(1)
    flat = torch.randn(20, 2)
    in_plane = flat @ turned[0, :2]
    assert float(distance_to_planes(in_plane, turned).max()) < 1e-5
    assert float(distance_to_planes(3.0 * turned[0, 2], turned)) == pytest.approx(3.0, rel=1e-5)


def test_two_planes_share_the_line_across_both_directions():
    turned = rotations(2)
    line = torch.linalg.cross(turned[0, 2], turned[1, 2])
    both = [float(distance_to_planes(line, turned[i : i + 1])) for i in (0, 1)]
    assert both == pytest.approx([0, 0], abs=1e-6)


def test_the_explained_share_is_that_of_white_density_in_a_ball():
    """Correlation of Fourier coefficients at a distance, over many draws of white noise in a ball."""
    size, radius = 32, 10.0
    mask = torch.from_numpy(soft_sphere(size, radius, 0.5)).float()
    generator = torch.Generator().manual_seed(0)
    top = torch.zeros(4, dtype=torch.complex128)
    a, b = torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for _ in range(150):
        density = torch.randn(size, size, size, generator=generator) * mask
        spectrum = torch.fft.fftn(torch.fft.ifftshift(density)).to(torch.complex128)
        for step in range(4):
            moved = torch.roll(spectrum, -step, 0)
            top[step] += (spectrum * moved.conj()).sum()
            a[step] += spectrum.abs().square().sum()
            b[step] += moved.abs().square().sum()
    correlation = (top.abs() / (a * b).sqrt()).square()
    said = explained(torch.arange(4.0), 2 * radius / size)
    assert float(said[0]) == pytest.approx(1.0, abs=1e-4)
    assert torch.allclose(said.double(), correlation, atol=0.03)
    assert float(explained(torch.tensor(50.0), 0.5)) == 0


def test_many_views_measure_everything_and_few_the_centre():
    few, many = (measured_share(problem_of(blobs(), k), 2 * RADIUS) for k in (2, 400))
    radius = grid_frequencies(SIZE, few).norm(dim=-1)
    inside = radius < SIZE / 2
    assert float(many[inside].mean()) > 0.97
    inner, outer = few[radius < 2].mean(), few[(radius > 8) & inside].mean()
    assert float(inner) > 2 * float(outer)
    # a slab on both sides of K planes: about K / 2k of the shell at k, times its width
    assert 0.05 < float(outer) < 0.5


def test_the_prior_supplies_what_no_view_sees():
    problem = problem_of(blobs(), 2)
    share = measured_share(problem, 2 * RADIUS)
    transform = torch.fft.rfftn(blobs(4))
    seen = torch.fft.irfftn(transform * (share > 0.999), s=(SIZE,) * 3)
    unseen = torch.fft.irfftn(transform * (share < 0.01), s=(SIZE,) * 3)
    known, made_up = (fourier_coverage(v, problem, 2 * RADIUS) for v in (seen, unseen))
    assert known.supplied < 0.02
    assert made_up.supplied > 0.98
    inside = problem.mask > 0.5
    assert float(known.fraction[inside].mean()) < 0.2 < 0.8 < float(made_up.fraction[inside].mean())
    for covered in (known, made_up):
        assert float(covered.fraction.min()) >= 0
        assert float(covered.fraction.max()) <= 1 + 1e-5
        assert covered.measured.shape == (SIZE // 2 + 1,)


def test_trust_is_high_near_planes_falls_away_from_them_and_with_noise():
    clean, noisy = (
        calibrated_trust(problem_of(blobs(), 4, noise=n), steps=20, phantoms=1).table for n in (0.0, 5.0)
    )
    assert float(clean[0, 0]) > 0.6
    assert float(clean[0].mean()) > float(clean[5].mean())
    assert float(noisy.mean()) < 0.7 * float(clean.mean())
    assert float(clean.min()) >= 0
    assert float(clean.max()) <= 1


def test_trust_in_a_view_is_that_of_its_own_coefficients():
    problem = problem_of(blobs(), 3)
    trust = calibrated_trust(problem, steps=20, phantoms=1)
    own = trust.of_views(problem.rotations, problem.rotations, SIZE)
    assert torch.allclose(own, own[:, :, :1].expand_as(own) * 0 + own)
    # a measured view lies in its own plane: every coefficient has distance zero
    radius = grid_frequencies(SIZE, own)[0][..., :2].norm(dim=-1)
    ring = ((radius / 4).long().clamp_max(trust.table.shape[1] - 1)).numpy()
    assert np.allclose(own[0].numpy(), trust.table[0].numpy()[ring])
    other = trust.of_views(rotations(1, seed=9), problem.rotations, SIZE)
    assert float(other.mean()) < float(own.mean())
    assert math.isfinite(float(other.sum()))
