"""Laws of the movable Gaussians: a planted truth is found, turned frames agree, division keeps mass."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from engine.errors import SamplingError
from engine.forward.gaussian_projection import Gaussians, project, render_volume
from engine.io.npz_results import write_arrays
from engine.reconstruction import gaussian_model
from engine.reconstruction.gaussian_model import LARGE_PX, SEEDED_ABOVE, GaussianModel

SIZE = 24
BOTH = pytest.mark.parametrize("spheres", [True, False], ids=["spheres", "ellipsoids"])


def _some(count: int, spheres: bool, *, seed: int = 5, scale: float = 1.5) -> Gaussians:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    directions *= 7 * rng.uniform(0.2, 1, (count, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
    scales = math.log(scale) + rng.uniform(-0.3, 0.3, (count, 1 if spheres else 3))
    values = (rng.uniform(0.5, 2, count), directions, scales, rng.normal(size=(count, 4)))
    weights, means, log_scales, turns = (torch.tensor(v, dtype=torch.float32) for v in values)
    return Gaussians(weights, means, log_scales, None if spheres else turns)


def _rotations(n: int) -> Tensor:
    return torch.tensor(Rotation.random(n, random_state=3).as_matrix(), dtype=torch.float32)


def _fit(model: GaussianModel, rotations: Tensor, images: Tensor, steps: int) -> list[float]:
    """Least squares with shrinking steps; the misfit before each."""
    misfits = []
    for step in range(steps):
        residuals = model.project(rotations, None) - images
        misfits.append(float(residuals.norm() / images.norm()))
        model.descend(rotations, None, residuals, 1 - 0.95 * step / steps)
    return misfits


@BOTH
def test_a_planted_truth_is_found_again(spheres: bool) -> None:
    truth, rotations = _some(8, spheres), _rotations(16)
    # apart from each other: Gaussians inside each other can stand for each other
    corners = torch.cartesian_prod(*[torch.tensor([-4.0, 4.0])] * 3)
    truth = replace(truth, means=corners + 0.15 * truth.means)
    images = project(truth, rotations, SIZE)
    rng = torch.Generator().manual_seed(0)
    start = Gaussians(
        torch.full((8,), 1.2),
        truth.means + torch.randn(8, 3, generator=rng) * 0.7,
        torch.full((8, 1), math.log(1.5)),
    )
    model = GaussianModel(start, SIZE)
    if not spheres:
        model.free_shapes()
    misfits = _fit(model, rotations, images, 150)
    assert misfits[0] > 0.25
    assert misfits[-1] < 0.01
    found = model.gaussians
    assert (found.means - truth.means).norm(dim=1).max() < 0.15
    assert (found.weights / truth.weights - 1).abs().max() < 0.12
    wanted = truth.covariances().flatten(1)
    assert ((found.covariances().flatten(1) - wanted).norm(dim=1) / wanted.norm(dim=1)).max() < 0.2


def test_a_map_is_held_better_from_step_to_step() -> None:
    """Seeded in a map that is no sum of Gaussians, then fitted to its projections."""
    places = np.stack(np.mgrid[:SIZE, :SIZE, :SIZE], -1) - SIZE // 2
    bar = (np.abs(places / [4, 3, 8]) < 1).all(-1).astype(np.float32)
    model = GaussianModel.from_volume(torch.tensor(bar), 60, 0)
    images = project(_fine(bar), _rotations(8), SIZE)
    misfits = _fit(model, _rotations(8), images, 30)
    assert misfits[0] < 0.1
    assert misfits[-1] < 0.6 * misfits[0]


def _fine(bar: np.ndarray) -> Gaussians:
    """One Gaussian for each voxel, nearly as the voxel would project."""
    inside = np.argwhere(bar > 0)[:, ::-1] - SIZE // 2
    means = torch.tensor(inside.copy(), dtype=torch.float32)
    return Gaussians(torch.ones(len(means)), means, torch.full((len(means), 1), math.log(0.6)))


@BOTH
def test_a_short_step_goes_down_and_only_ratios_of_residuals_matter(spheres: bool) -> None:
    rotations = _rotations(4)
    shifts = torch.tensor([[1.0, -2], [0, 0], [0.5, 0.25], [-1, 1]])
    residuals = torch.randn(4, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    models = [GaussianModel(_some(9, spheres), SIZE) for _ in range(2)]
    before = float((models[0].project(rotations, shifts) * residuals).sum())
    for model, factor in zip(models, (1.0, 1e4), strict=True):
        model.descend(rotations, shifts, factor * residuals, 0.01)
    images = [model.project(rotations, shifts) for model in models]
    assert float((images[0] * residuals).sum()) < before - 1e-3
    torch.testing.assert_close(images[0], images[1], rtol=1e-4, atol=1e-5)


def test_a_loop_without_gradients_still_descends() -> None:
    model = GaussianModel(_some(9, False), SIZE)
    before = model.project(_rotations(2), None)
    with torch.no_grad():
        model.descend(_rotations(2), None, before)
    assert float((model.project(_rotations(2), None) * before).sum()) < float(before.square().sum())
    assert not any(tensor.requires_grad for tensor in vars(model.gaussians).values())


def test_a_fit_turns_with_the_frame() -> None:
    turn, rotations = _rotations(1)[0], _rotations(5)
    residuals = torch.randn(5, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    images = []
    for turned in (False, True):
        some = _some(9, True)
        means = some.means @ turn.T if turned else some.means
        model = GaussianModel(Gaussians(some.weights, means, some.log_scales), SIZE)
        views = rotations @ turn.T if turned else rotations
        for _ in range(6):
            model.descend(views, None, residuals)
        images.append(model.project(views, None))
    torch.testing.assert_close(images[0], images[1], rtol=1e-3, atol=1e-4)
    moved = (images[0] - GaussianModel(_some(9, True), SIZE).project(rotations, None)).abs().max()
    assert moved > 0.02


def test_freed_shapes_begin_as_they_were() -> None:
    model = GaussianModel(_some(9, True), SIZE)
    rotations = _rotations(4)
    residuals = torch.randn(4, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    model.descend(rotations, None, residuals)
    before = model.project(rotations, None)
    model.free_shapes()
    assert model.anisotropic
    torch.testing.assert_close(model.project(rotations, None), before, rtol=1e-4, atol=1e-5)
    for _ in range(3):
        model.descend(rotations, None, residuals)
    scales = model.gaussians.log_scales
    assert (scales.amax(1) - scales.amin(1)).min() > 1e-3
    torch.testing.assert_close(model.gaussians.quaternions.norm(dim=1), torch.ones(9))  # type: ignore[union-attr]


def _moments(gaussians: Gaussians) -> tuple[Tensor, Tensor, Tensor]:
    """Mass, first moments and second moments of the density."""
    w, mu = gaussians.weights.double(), gaussians.means.double()
    second = gaussians.covariances().double() + mu[:, :, None] * mu[:, None, :]
    return w.sum(), (w[:, None] * mu).sum(0), (w[:, None, None] * second).sum(0)


@BOTH
def test_division_keeps_mass_and_moments(spheres: bool) -> None:
    model = GaussianModel(_some(10, spheres, scale=2.0), SIZE)
    rotations = _rotations(4)
    model.descend(rotations, None, model.project(rotations, None), 0.0)
    before, images = _moments(model.gaussians), model.project(rotations, None)
    told = model.densify_and_prune(1000)
    assert (told.split, told.cloned, told.pruned, len(model)) == (3, 0, 0, 13)
    after = _moments(model.gaussians)
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1], before[1], rtol=1e-5, atol=1e-4)
    if spheres:  # no direction is left out, on the whole
        assert after[2].trace().item() == pytest.approx(before[2].trace().item(), rel=1e-5)
    else:
        torch.testing.assert_close(after[2], before[2], rtol=1e-4, atol=1e-4)
    changed = (model.project(rotations, None) - images).norm() / images.norm()
    assert 1e-4 < changed < 0.15


def test_those_that_are_pulled_are_divided() -> None:
    """One Gaussian stands for two: it is split. A small one in a wrong place is cloned."""
    small = math.log(LARGE_PX) - 0.1
    model = GaussianModel(
        Gaussians(
            torch.ones(4),
            torch.tensor([[-6.0, 0, 0], [6, 0, 0], [0, 6, 0], [0, -6, 0]]),
            torch.tensor([[math.log(2.0)], [math.log(2.0)], [small], [small]]),
        ),
        SIZE,
    )
    rotations = _rotations(6)
    images = model.project(rotations, None)
    wrong = Gaussians(torch.ones(1), torch.tensor([[7.0, 1, 0]]), torch.tensor([[0.3]]))
    model.descend(rotations, None, images - project(wrong, rotations, SIZE) - images, 0.0)
    told = model.densify_and_prune(5)
    assert (told.split, told.cloned, len(model)) == (1, 0, 5)
    places = model.gaussians.means
    assert int(((places - torch.tensor([6.0, 0, 0])).norm(dim=1) < 4).sum()) == 2
    wrong = Gaussians(torch.ones(1), torch.tensor([[0.0, 6.5, 0]]), torch.tensor([[small]]))
    model.descend(rotations, None, -project(wrong, rotations, SIZE), 0.0)
    told = model.densify_and_prune(6)
    assert (told.split, told.cloned, len(model)) == (0, 1, 6)


def test_weak_ones_and_strays_go_but_never_all() -> None:
    some = _some(10, True)
    weights, means = some.weights.clone(), some.means.clone()
    weights[2] = 1e-4
    means[5] = torch.tensor([30.0, 0, 0])
    model = GaussianModel(Gaussians(weights, means, some.log_scales), SIZE, mask_radius_px=9.0)
    assert model.densify_and_prune(100).pruned == 2
    kept = [i for i in range(10) if i not in (2, 5)]
    torch.testing.assert_close(model.gaussians.means, some.means[kept])
    model.densify_and_prune(3)
    torch.testing.assert_close(model.gaussians.weights.sort().values, weights[kept].sort().values[-3:])
    far = GaussianModel(Gaussians(weights, means + 100, some.log_scales), SIZE)
    far.densify_and_prune(5)
    assert len(far) == 1


@BOTH
def test_a_kept_state_goes_on_to_the_same_end(spheres: bool, tmp_path: Path) -> None:
    rotations, images = _rotations(5), project(_some(20, spheres, seed=9), _rotations(5), SIZE)
    model = GaussianModel(_some(12, spheres), SIZE, mask_radius_px=11.0, seed=4)
    _fit(model, rotations, images, 3)
    model.densify_and_prune(15)
    _fit(model, rotations, images, 2)
    path = write_arrays(tmp_path / "state.npz", model.state())
    with np.load(path, allow_pickle=False) as archive:
        again = GaussianModel.from_state({name: archive[name] for name in archive.files})
    for one in (model, again):
        _fit(one, rotations, images, 2)
        one.densify_and_prune(20)
        _fit(one, rotations, images, 2)
    assert len(model) == len(again) > 15
    assert torch.equal(model.volume(), again.volume())


def test_seeds_lie_in_the_density() -> None:
    truth = render_volume(_some(4, True, scale=1.2), SIZE) - 0.01
    model = GaussianModel.from_volume(truth, 50, 1, mask_radius_px=9.0)
    again = GaussianModel.from_volume(truth, 50, 1, mask_radius_px=9.0)
    assert torch.equal(model.volume(), again.volume())
    z, y, x = (model.gaussians.means.flip(1).round().long() + SIZE // 2).unbind(1)
    assert (truth[z, y, x] > 0).float().mean() > 0.95
    assert model.gaussians.means.norm(dim=1).max() <= 9.0
    found, wanted = model.volume(), torch.where(truth > SEEDED_ABOVE * truth.max(), truth, 0.0)
    assert found.sum().item() == pytest.approx(wanted.sum().item(), rel=0.05)
    assert torch.corrcoef(torch.stack([found.flatten(), wanted.flatten()]))[0, 1] > 0.9
    assert GaussianModel.from_volume(truth, 50, 1, anisotropic=True).anisotropic
    larger = model.volume(SIZE + 4)
    torch.testing.assert_close(larger[2:-2, 2:-2, 2:-2], found)


def test_a_map_without_density_is_refused() -> None:
    with pytest.raises(SamplingError, match="positive density"):
        GaussianModel.from_volume(-torch.ones(8, 8, 8), 5, 0)


def test_parts_of_views_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rotations = _rotations(5)
    residuals = torch.randn(5, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    ends = []
    for at_once in (2**24, 1):
        monkeypatch.setattr(gaussian_model, "_AT_ONCE", at_once)
        model = GaussianModel(_some(9, True), SIZE)
        model.descend(rotations, torch.zeros(5, 2), residuals)
        ends.append(model.project(rotations, torch.zeros(5, 2)))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-5)


def test_the_cloud_is_in_angstroms() -> None:
    some = _some(6, False)
    cloud = GaussianModel(some, SIZE).cloud(2.5)
    np.testing.assert_allclose(cloud.positions_A, 2.5 * some.means.numpy(), rtol=1e-6)
    np.testing.assert_allclose(cloud.covariances_A2, 6.25 * some.covariances().numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(cloud.weights, some.weights.numpy(), rtol=1e-5)
