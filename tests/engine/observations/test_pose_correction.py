"""Poses are recovered from what the views share: planted turns, shifts, scales and outliers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.numerics.mixtures import kmeans_points
from engine.numerics.rotations import angle_between, random_rotations
from engine.observations.common_lines import PoseErrors, consistent_poses
from engine.observations.evidence import Evidence
from engine.observations.pose_correction import correct_poses
from engine.observations.profiles import Profiles, Solid, View, profile
from engine.specs.components import GaussianPrior, ProjectionPoints
from engine.specs.job import DpsSpec

POINTS = 400
ERRORS = PoseErrors(np.radians(5), 0.1, 0.015)


def cloud(seed: int = 0) -> np.ndarray:
    """A handful of lumps of different size: nothing symmetric."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-0.7, 0.7, (6, 3))
    which = rng.choice(6, POINTS, p=np.array([6, 5, 4, 3, 2, 1]) / 21)
    points = centres[which] + 0.12 * rng.normal(size=(POINTS, 3))
    return np.asarray(points - points.mean(0))


def turns(count: int, degrees: float, rng: np.random.Generator) -> np.ndarray:
    axes = rng.normal(size=(count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return np.asarray(Rotation.from_rotvec(np.radians(degrees) * axes).as_matrix())


def relative_deg(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Angles between rotations after the best common turn of the object."""
    u, _, vt = np.linalg.svd(np.einsum("kij,kil->jl", truth, found))
    common = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return np.asarray(np.degrees(angle_between(found, truth @ common)))


def planted(
    count: int, degrees: float, seed: int = 1, shift: float = 0.0
) -> tuple[np.ndarray, list[View], np.ndarray]:
    """True rotations, views whose stated poses are wrong, and the shifts that were planted."""
    x, rng = cloud(), np.random.default_rng(seed)
    truth = random_rotations(count, rng)
    stated = turns(count, degrees, rng) @ truth
    moved = rng.normal(size=(count, 2)) * shift
    even = np.full(POINTS, 1 / POINTS)
    views = [View((x @ t.T)[:, :2] + m, even, s) for t, s, m in zip(truth, stated, moved, strict=True)]
    return truth, views, moved


def corrected(views: list[View], turns_found: np.ndarray) -> np.ndarray:
    return np.asarray(Rotation.from_rotvec(turns_found).as_matrix() @ np.stack([v.rotation for v in views]))


def test_profile_is_the_quantile_function() -> None:
    points = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    found = profile(points, np.ones(4), np.array([[1.0, 0.0]]), bins=4)
    np.testing.assert_allclose(found[0, :, 0], [0, 1, 2, 3])
    half = profile(points, np.array([0.0, 1.0, 1.0, 0.0]), np.array([[1.0, 0.0]]), bins=2)
    np.testing.assert_allclose(half[0, :, 0], [1, 2])


def test_right_poses_have_no_residual_and_stay() -> None:
    _, views, _ = planted(4, 0.0)
    r, _ = Profiles(views, []).residuals(np.zeros((4, 6)))
    assert np.abs(r).max() < 1e-9
    fit = consistent_poses(views, [], ERRORS)
    assert np.abs(fit.turns).max() < 1e-6
    assert not fit.outlier.any()


def test_derivatives_are_those_of_the_residuals() -> None:
    _, views, _ = planted(3, 4.0)
    x = cloud()
    problem = Profiles(views, [Solid(x, np.full(POINTS, 1 / POINTS))])
    rng = np.random.default_rng(3)
    at = 0.02 * rng.normal(size=(3, 6))
    _, jacobian = problem.residuals(at)
    step = 1e-6 * rng.normal(size=(3, 6))
    ahead, behind = (
        problem.residuals(problem.added(at, step))[0],
        problem.residuals(problem.added(at, -step))[0],
    )
    told = 2 * np.einsum("bqki,ki->bq", jacobian, step)
    # Where two points change places between bins the residual has a kink; elsewhere it is smooth.
    close = np.isclose(ahead - behind, told, atol=2e-8, rtol=1e-3)
    assert close.mean() > 0.97


@pytest.mark.parametrize("degrees", [5.0, 10.0])
def test_planted_turns_and_shifts_are_found(degrees: float) -> None:
    truth, views, moved = planted(5, degrees, shift=0.05)
    fit = consistent_poses(views, [], PoseErrors(np.radians(degrees), 0.1, 0.015))
    assert relative_deg(np.stack([v.rotation for v in views]), truth).max() > 0.5 * degrees
    assert relative_deg(corrected(views, fit.turns), truth).max() < 0.3
    # Shifts are known but for a common shift of the object in 3D.
    rows = truth[:, :2].reshape(-1, 3)
    off = (fit.shifts - moved).ravel()
    off = off - rows @ np.linalg.lstsq(rows, off, rcond=None)[0]
    assert np.abs(off).max() < 0.005
    assert fit.disagreement.max() < 0.1 * fit.before.min()


def test_noise_moves_no_pose_that_was_right() -> None:
    _, views, _ = planted(5, 0.0)
    rng = np.random.default_rng(5)
    noisy = [View(v.points + 0.02 * rng.normal(size=v.points.shape), v.weights, v.rotation) for v in views]
    fit = consistent_poses(noisy, [], ERRORS)
    assert np.degrees(np.linalg.norm(fit.turns, axis=1)).max() < 0.2


def test_scales_are_found_among_views() -> None:
    _, views, _ = planted(5, 3.0)
    factors = np.array([1.0, 1.03, 1.0, 0.98, 1.0])
    wrong = [View(v.points * f, v.weights, v.rotation) for v, f in zip(views, factors, strict=True)]
    fit = consistent_poses(wrong, [], ERRORS)
    ratio = fit.scales / factors
    assert np.ptp(ratio) < 0.003  # a common factor is not determined
    held = consistent_poses(wrong, [], PoseErrors(np.radians(5), 0.1, 0.0))
    np.testing.assert_allclose(held.scales, 1, atol=1e-6)


def test_a_shape_in_3d_places_a_single_view() -> None:
    truth, views, _ = planted(1, 6.0)
    fit = consistent_poses(views, [Solid(cloud(), np.full(POINTS, 1 / POINTS))], ERRORS)
    assert np.degrees(angle_between(corrected(views, fit.turns), truth)).max() < 0.3


def test_corrections_keep_their_bounds() -> None:
    _, views, _ = planted(5, 9.0)
    tight = PoseErrors(np.radians(4), 0.02, 0.005, bound=1.0)
    fit = consistent_poses(views, [], tight)
    assert np.linalg.norm(fit.turns, axis=1).max() <= tight.turn + 1e-9
    assert np.linalg.norm(fit.shifts, axis=1).max() <= tight.shift + 1e-9
    assert fit.at_bound.any()


def test_a_view_of_something_else_is_told_and_leaves_the_others_alone() -> None:
    truth, views, _ = planted(6, 4.0)
    views[2] = View(cloud(9)[:, :2], views[2].weights, views[2].rotation)
    fit = consistent_poses(views, [], ERRORS)
    assert fit.outlier.tolist() == [False, False, True, False, False, False]
    assert not fit.turns[2].any()
    kept = ~fit.outlier
    assert relative_deg(corrected(views, fit.turns)[kept], truth[kept]).max() < 0.5


def evidence(views: list[View], scale_A: float, centre: np.ndarray, factors: np.ndarray) -> list[Evidence]:
    """Measured as ``factor * (R (x + centre))_xy`` with an image origin of its own."""
    out = []
    for k, v in enumerate(views):
        offset = np.array([3.0 * k, -2.0])
        points = scale_A * v.points + v.rotation[:2] @ centre + offset
        out.append(Evidence(f"view {k + 1}", v.rotation[:2], offset * factors[k], points * factors[k]))
    return out


SPEC = DpsSpec(
    observations=(ProjectionPoints(file="/nowhere", rotation=(1, 0, 0, 0)),), prior=GaussianPrior()
)


def test_corrected_evidence_describes_one_object() -> None:
    """After correction every view is the projection of the same points, wherever these lie."""
    x, scale_A, centre = cloud(), 80.0, np.array([10.0, -20.0, 5.0])
    truth, views, _ = planted(5, 5.0)
    factors = np.array([1.0, 1.02, 1.0, 1.0, 0.99])
    told: list[str] = []
    given = [
        Evidence(e.name, v.rotation[:2], e.offset_A, e.points_A)
        for e, v in zip(
            evidence([View(v.points, v.weights, t) for v, t in zip(views, truth, strict=True)], scale_A,
                     centre, factors),
            views, strict=True,
        )
    ]  # fmt: skip
    fixed, reports = correct_poses(given, SPEC, told.append)

    # Solve for the object with the known correspondence: what is left over is what poses can't explain.
    def misfit(several: list[Evidence]) -> float:
        rows = np.concatenate([e.projector for e in several])
        seen = np.concatenate([(e.points_A - e.offset_A).T for e in several])
        found = np.linalg.lstsq(rows, seen, rcond=None)[0]
        return float(np.sqrt(((rows @ found - seen) ** 2).mean()))

    assert misfit(fixed) < 0.15 * misfit(given)
    assert misfit(fixed) < 0.01 * scale_A
    assert [r.name for r in reports] == [e.name for e in given]
    assert any("pose corrected by" in t for t in told)
    assert any("view 2: its pixel size seems" in t and "too large" in t for t in told)
    assert x.shape == (POINTS, 3)


def test_nothing_changes_where_there_is_nothing_to_compare() -> None:
    _, views, _ = planted(3, 5.0)
    one = evidence(views[:1], 80.0, np.zeros(3), np.ones(1))
    assert correct_poses(one, SPEC, pytest.fail) == (one, [])
    several = evidence(views, 80.0, np.zeros(3), np.ones(3))
    off = SPEC.model_copy(update={"refine_poses": False})
    assert correct_poses(several, off, pytest.fail) == (several, [])


def test_a_coarse_shape_with_few_points_counts() -> None:
    truth, views, _ = planted(2, 6.0)
    coarse = kmeans_points(cloud(), 40, seed=0)
    scale_A = 80.0
    shape = Evidence("map", np.eye(3), np.zeros(3), scale_A * coarse.points_A, coarse.weights)
    given = [*evidence(views, scale_A, np.zeros(3), np.ones(2)), shape]
    fixed, _ = correct_poses(given, SPEC, lambda note: None)
    before = [np.degrees(angle_between(v.rotation, t)) for v, t in zip(views, truth, strict=True)]
    rows = np.stack([e.projector for e in fixed[:2]])
    after = [
        np.degrees(angle_between(np.vstack([r, np.cross(r[0], r[1])]), t))
        for r, t in zip(rows, truth, strict=True)
    ]
    assert np.mean(after) < 0.6 * np.mean(before)
    assert fixed[2] is shape


def test_views_of_different_objects_are_told() -> None:
    rotations = random_rotations(3, np.random.default_rng(2))
    several = [
        Evidence(f"view {k}", r[:2], np.zeros(2), 80 * cloud(10 + k) @ r[:2].T)
        for k, r in enumerate(rotations)
    ]
    told: list[str] = []
    correct_poses(several, SPEC, told.append)
    assert any("still differ from each other" in t for t in told)
