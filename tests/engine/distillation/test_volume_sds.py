"""Score distillation of a volume, with denoisers whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.distillation.volume_sds import Distilled, ImageScale, distil
from engine.errors import Cancelled
from engine.forward.fourier_slice import SliceProjector
from engine.io.averages import soft_disc
from engine.metrics.volumes import soft_sphere
from engine.numerics.rotations import random_rotations
from engine.numerics.symmetry import point_group, self_correlation
from engine.priors.empirical import EmpiricalDenoiser
from engine.specs.sds import Distillation
from tests.engine.numerics.gaussian_blobs import correlation
from tests.engine.sds_run import blob

SIZE, SEED = 24, 3
OPEN = ImageScale(0.0, torch.ones(SIZE, SIZE))
"""No mask, nothing subtracted: images are density."""
EVERYWHERE = torch.ones(SIZE, SIZE, SIZE)


class Oracle:
    """Returns the truth's projections in the very directions that were drawn, whatever it is shown."""

    def __init__(self, truth: Tensor, projector: SliceProjector, scale: ImageScale, seed: int = SEED) -> None:
        self._truth, self._projector, self._scale = truth, projector, scale
        self._rng = np.random.default_rng(seed)
        self.shown: list[Tensor] = []
        self.sigmas: list[float] = []

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.shown.append(x)
        self.sigmas.append(float(sigma[0]))
        assert (sigma == sigma[0]).all()
        rotations = torch.from_numpy(random_rotations(len(x), self._rng)).to(x)
        return self._scale.to_denoiser(self._projector.project(self._truth, rotations))


def content(x: Tensor, sigma: Tensor) -> Tensor:
    """A denoiser that pulls nowhere, with next to no noise."""
    return x


@pytest.fixture(scope="module")
def projector() -> SliceProjector:
    return SliceProjector(SIZE, padding=2.0)


@pytest.fixture(scope="module")
def body() -> Tensor:
    return torch.from_numpy(blob(0.4, SIZE) * soft_sphere(SIZE, SIZE / 2 - 2))


def rotation(seed: int) -> Tensor:
    return torch.from_numpy(random_rotations(1, np.random.default_rng(seed))[0]).float()


def settings(**changes: object) -> Distillation:
    values: dict[str, object] = {"steps": 12, "views_first": 4, "views_last": 8}
    return Distillation.model_validate(values | changes)


def test_the_truth_is_a_fixed_point(projector: SliceProjector, body: Tensor) -> None:
    disc = torch.from_numpy(np.asarray(soft_disc(SIZE, 10.0), np.float32))
    scale, pose, shift = ImageScale(-0.6, disc), rotation(1), torch.tensor([0.7, -1.2])
    average = scale.to_denoiser(projector.project(body, pose[None], shifts_px=shift[None]))[0]
    oracle = Oracle(body, projector, scale)
    made = distil(
        oracle, scale, average, settings(solvent=False), projector=projector, mask=EVERYWHERE, seed=SEED,
        start=body, pose=pose, shift_px=shift,
    )  # fmt: skip
    assert float((made.volume - body).abs().max()) < 1e-4 * float(body.max())
    assert made.residual < 1e-4
    assert made.seconds_projector > 0
    assert made.seconds_denoiser > 0


def test_an_oracle_leads_to_the_truth_from_nothing(projector: SliceProjector, body: Tensor) -> None:
    mask = torch.from_numpy(soft_sphere(SIZE, SIZE / 2 - 2))
    average = projector.project(body, torch.eye(3)[None])[0]
    made = distil(
        Oracle(body, projector, OPEN), OPEN, average, settings(steps=40, views_first=8),
        projector=projector, mask=mask, seed=SEED,
    )  # fmt: skip
    assert correlation(made.volume.numpy(), body.numpy()) > 0.97
    assert float(made.volume.sum()) == pytest.approx(float(body.sum()), rel=0.02)
    assert float(made.volume.min()) >= 0
    assert float(made.volume[mask == 0].abs().max()) == 0


def test_the_anchor_alone_reproduces_the_class_average(projector: SliceProjector, body: Tensor) -> None:
    pose, shift = rotation(2), torch.tensor([1.5, 0.5])
    average = projector.project(body, pose[None], shifts_px=shift[None])[0]
    made = distil(
        content, OPEN, average,
        settings(steps=30, views_first=2, views_last=2, sigma_first=1e-6, sigma_last=1e-6, solvent=False),
        projector=projector, mask=EVERYWHERE, seed=0, pose=pose, shift_px=shift,
    )  # fmt: skip
    seen = projector.project(made.volume, pose[None], shifts_px=shift[None])[0]
    assert float((seen - average).norm()) < 0.02 * float(average.norm())
    # and says nothing about other directions
    assert correlation(made.volume.numpy(), body.numpy()) < 0.8


@pytest.mark.parametrize("anchor", [0.0, 0.5, 3.0])
def test_a_step_goes_down_the_gradient(anchor: float) -> None:
    """Of the weighted mean of ½|f V - y|², f the sum along the view over sqrt(n)."""
    size, views = 8, 4
    projector = SliceProjector(size, padding=2.0, dtype=torch.float64)
    rng = np.random.default_rng(0)
    start, truth = (torch.from_numpy(rng.normal(size=(size,) * 3)) for _ in range(2))
    scale = ImageScale(-0.3, torch.ones(size, size, dtype=torch.float64))
    pose, shift = rotation(4).double(), torch.tensor([0.4, -0.9], dtype=torch.float64)
    average = torch.from_numpy(rng.normal(size=(size, size)))
    made = distil(
        Oracle(truth, projector, scale), scale, average,
        settings(steps=1, views_first=views, views_last=views, anchor=anchor, step_size=0.5, solvent=False),
        projector=projector, mask=torch.ones(size, size, size), seed=SEED, start=start, pose=pose,
        shift_px=shift,
    )  # fmt: skip

    # the same by automatic differentiation of the projector written out as a matrix
    free = torch.from_numpy(random_rotations(views - 1, np.random.default_rng(SEED)))
    rotations = torch.cat([pose[None], free])
    shifts = torch.cat([shift[None], torch.zeros(views - 1, 2, dtype=torch.float64)])
    voxels = torch.eye(size**3, dtype=torch.float64).view(-1, size, size, size)
    matrix = torch.stack([projector.project(v, rotations, shifts_px=shifts).flatten() for v in voxels], 1)
    goal = projector.project(truth, rotations)
    goal[0] = average - scale.background
    volume = start.clone().requires_grad_()
    weights = torch.ones(views, dtype=torch.float64)
    weights[0] = max(1.0, anchor * (views - 1))
    misfit = (matrix @ volume.flatten() - goal.flatten()).view(views, -1).square().sum(dim=1) / size
    (0.5 * (weights * misfit).sum() / weights.sum().clamp_min(0)).backward()
    expected = -0.5 * volume.grad
    found = made.volume - start
    # the direction is that of the gradient; its length too, up to the weights' sum over the views' number
    ratio = float((found * expected).sum() / expected.square().sum())
    assert float((found - ratio * expected).norm()) < 1e-4 * float(found.norm())
    assert ratio == pytest.approx(float(weights.sum()) / views, rel=1e-4)


def test_symmetric_copies_of_the_class_average_share_the_anchor(projector: SliceProjector) -> None:
    body = torch.from_numpy(blob(0.4, SIZE))
    group = torch.from_numpy(point_group("D2")).float()
    pose = rotation(6)
    average = projector.project(body, pose[None])[0]
    made = distil(
        content, OPEN, average,
        settings(steps=30, views_first=2, views_last=2, sigma_first=1e-6, sigma_last=1e-6, solvent=False),
        projector=projector, mask=EVERYWHERE, seed=0, pose=pose, group=group,
    )  # fmt: skip
    assert self_correlation(made.volume.numpy(), "D2") > 0.99


@pytest.mark.parametrize(("anchor", "step_size"), [(0.0, 1.9), (1.0, 1.9), (10.0, 1.0)])
def test_steps_below_two_are_stable(
    projector: SliceProjector, body: Tensor, anchor: float, step_size: float
) -> None:
    average = projector.project(body, torch.eye(3)[None])[0]
    made = distil(
        Oracle(body, projector, OPEN), OPEN, average,
        settings(steps=60, anchor=anchor, step_size=step_size, solvent=False),
        projector=projector, mask=EVERYWHERE, seed=SEED,
    )  # fmt: skip
    assert made.residual < 0.5 * float(average.std())


def test_noise_falls_and_views_grow_geometrically(projector: SliceProjector, body: Tensor) -> None:
    oracle = Oracle(body, projector, OPEN)
    told: list[tuple[int, float]] = []
    distil(
        oracle, OPEN, torch.zeros(SIZE, SIZE),
        settings(steps=5, views_first=2, views_last=32, sigma_first=1.6, sigma_last=0.1),
        projector=projector, mask=EVERYWHERE, seed=0,
        watch=lambda step, sigma, volume: told.append((step, sigma)),
    )  # fmt: skip
    assert [len(x) + 1 for x in oracle.shown] == [2, 4, 8, 16, 32]
    np.testing.assert_allclose(oracle.sigmas, [1.6, 0.8, 0.4, 0.2, 0.1], rtol=1e-5)
    assert [step for step, _ in told] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose([sigma for _, sigma in told], oracle.sigmas, rtol=1e-5)
    # what is shown at first is noise alone, of the level that is said
    assert float(oracle.shown[0].std()) == pytest.approx(1.6, rel=0.15)


def test_noise_stays_inside_the_disc(projector: SliceProjector) -> None:
    disc = torch.from_numpy(np.asarray(soft_disc(SIZE, 7.0), np.float32))
    shown: list[Tensor] = []

    def look(x: Tensor, sigma: Tensor) -> Tensor:
        shown.append(x)
        return torch.zeros_like(x)

    distil(
        look, ImageScale(-0.5, disc), torch.zeros(SIZE, SIZE), settings(steps=1), projector=projector,
        mask=EVERYWHERE, seed=0,
    )  # fmt: skip
    assert float(shown[0][:, disc == 0].abs().max()) == 0


def test_scale_goes_there_and_back() -> None:
    disc = torch.from_numpy(np.asarray(soft_disc(SIZE, 8.0), np.float32))
    scale = ImageScale(-0.7, disc)
    density = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * (disc == 1)
    back = scale.to_density(scale.to_denoiser(density))
    torch.testing.assert_close(back, density)
    empty = scale.to_denoiser(torch.zeros(1, SIZE, SIZE))
    assert float(empty.min()) == pytest.approx(-0.7)


def test_a_known_set_of_images_pulls_a_volume_towards_the_body(
    projector: SliceProjector, body: Tensor
) -> None:
    """The closed-form denoiser of many projections, from a blurred start: the detail comes back."""
    disc = torch.from_numpy(np.asarray(soft_disc(SIZE, 10.0), np.float32))
    views = torch.from_numpy(random_rotations(80, np.random.default_rng(11))).float()
    raw = projector.project(body, views)
    inside = disc > 0.5
    body = body / raw[:, inside].std()
    raw = raw / raw[:, inside].std()
    scale = ImageScale(-float(raw[:, inside].mean()), disc)
    stack = scale.to_denoiser(raw)
    denoiser = EmpiricalDenoiser.fit(stack.numpy(), mask_radius_px=10.0, angle_step_deg=10.0, components=120)
    k = torch.fft.fftfreq(SIZE, 1 / SIZE)
    radius2 = k[:, None, None] ** 2 + k[:, None] ** 2 + k**2
    blurred = torch.fft.ifftn(torch.fft.fftn(body) * torch.exp(-radius2 / (2 * 1.6**2))).real.float()
    mask = torch.from_numpy(soft_sphere(SIZE, SIZE / 2 - 2))

    def make() -> Distilled:
        return distil(
            denoiser, scale, stack[5], settings(steps=25, views_first=12, views_last=12),
            projector=projector, mask=mask, seed=1, start=blurred, pose=views[5],
        )  # fmt: skip

    first, again = make(), make()
    assert torch.equal(first.volume, again.volume)
    before, after = (correlation(v.numpy(), body.numpy()) for v in (blurred, first.volume))
    assert after > 0.95
    assert 1 - after < 0.5 * (1 - before)


def test_seeds_tell_the_results_apart(projector: SliceProjector, body: Tensor) -> None:
    def make(seed: int) -> Tensor:
        return distil(
            content, OPEN, torch.zeros(SIZE, SIZE), settings(steps=2, solvent=False), projector=projector,
            mask=EVERYWHERE, seed=seed, start=body,
        ).volume  # fmt: skip

    assert torch.equal(make(1), make(1))
    assert not torch.allclose(make(1), make(2))


def test_the_start_is_left_as_it_was(projector: SliceProjector, body: Tensor) -> None:
    start = body.clone()
    distil(
        content, OPEN, torch.zeros(SIZE, SIZE), settings(steps=2), projector=projector, mask=EVERYWHERE,
        seed=0, start=start,
    )  # fmt: skip
    assert torch.equal(start, body)


def test_a_watcher_may_stop(projector: SliceProjector) -> None:
    told: list[int] = []

    def stopping(at: int) -> Callable[[int, float, Tensor], None]:
        def watch(step: int, sigma: float, volume: Tensor) -> None:
            told.append(step)
            if step == at:
                raise Cancelled

        return watch

    with pytest.raises(Cancelled):
        distil(
            content, OPEN, torch.zeros(SIZE, SIZE), settings(), projector=projector, mask=EVERYWHERE, seed=0,
            watch=stopping(2),
        )  # fmt: skip
    assert told == [1, 2]
