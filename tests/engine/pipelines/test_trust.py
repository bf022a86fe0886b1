"""What a run says about its own reliability: views that do not fit, the share of the prior, errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import Cancelled
from engine.events import Energies, Event, Result
from engine.metrics.ensemble import matched
from engine.metrics.stated_error import StatedError
from engine.observations.matched import MatchedPoints
from engine.pipelines.context import RunContext
from engine.pipelines.dps_results import write_results
from engine.pipelines.draw import draw
from engine.pipelines.evaluate import evaluate, format_table, read_stated_error
from engine.pipelines.trust import contradictions, error_of, misfit, stated_sigma
from engine.priors.checkpoint import PriorCard, build
from engine.priors.edm import EdmDenoiser, GaussianDenoiser
from engine.sampling.schedules import sample_seeds
from engine.specs.components import CoarsePoints
from engine.specs.job import DpsSpec
from engine.specs.samplers import MaximumLikelihood, Proximal, Unconditional
from engine.types import Ensemble, Frame
from tests.engine.sampling.test_guidance import lumps, views

POINTS, FRAME = 96, Frame((10.0, 0.0, -5.0), 80.0)
SAMPLER = Proximal(steps=10)


def network() -> EdmDenoiser:
    torch.manual_seed(0)
    prior = build(PriorCard("kernel", {"width": 16, "layers": 1, "heads": 2, "latents": 4}, 0.36, POINTS))
    prior.requires_grad_(False)
    return prior


def ensemble_A(observations: list[MatchedPoints], samples: int = 3) -> tuple[np.ndarray, np.ndarray]:
    x, energies = draw(
        GaussianDenoiser(0.36), observations, SAMPLER, sample_seeds(0, samples),
        points=POINTS, device=torch.device("cpu"), watch=lambda step: None,
    )  # fmt: skip
    return FRAME.to_A(x.numpy()).astype(np.float32), energies.numpy().astype(np.float32)


def written(
    folder: Path, *, cancelled: Callable[[], bool] = lambda: False, **changes: object
) -> tuple[list[Event], Path]:
    """The results of a small run with a network as prior."""
    (folder / "results").mkdir(parents=True)
    observations = views(lumps(POINTS), 3)
    points, energies = ensemble_A(observations)
    given = {"sampler": SAMPLER, "samples": 3, "points": POINTS, "control": 2, **changes}
    spec = DpsSpec(observations=(CoarsePoints(file="x.csv"),), **given)  # type: ignore[arg-type]
    events: list[Event] = []
    context = RunContext(folder, events.append, cancelled, torch.device("cpu"), "CPU")
    write_results(spec, context, FRAME, observations, points, energies, [1, 2, 3], network())
    return events, folder / "results"


def test_a_run_leaves_spread_error_and_gauge_in_one_order(tmp_path: Path) -> None:
    events, results = written(tmp_path / "run")
    roles = [e.role for e in events if isinstance(e, Result)]
    assert {"ensemble", "spread", "error", "gauge", "metrics"} <= set(roles)
    values = {
        name: np.load(results / f"{name}.npy", allow_pickle=False) for name in ("spread", "error", "gauge")
    }
    assert {v.shape for v in values.values()} == {(POINTS,)}
    assert (values["error"] > 0).all()
    assert ((values["gauge"] >= 0) & (values["gauge"] <= 1)).all()
    with np.load(results / "ensemble.npz", allow_pickle=False) as archive:
        members = archive["points_A"]
    error = read_stated_error(results, POINTS)
    assert error is not None
    np.testing.assert_array_equal(error.radius, values["error"])
    assert error.freedom.shape == (POINTS,)
    again = error_of(views(lumps(POINTS), 3), members, FRAME, stated_sigma(SAMPLER))
    assert again is not None
    np.testing.assert_allclose(again.radius, error.radius, rtol=1e-4)
    assert read_stated_error(results, POINTS + 1) is None
    report = json.loads((results / "metrics.json").read_text())
    assert report["stated_error"]["within_A"] > 0
    assert np.shape(report["misfit"]["chi_square"]) == (3, 3)
    assert report["gauge"]["median"] == pytest.approx(float(np.median(values["gauge"])), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"control": 0}, {"error"}),
        ({"sampler": MaximumLikelihood(steps=3)}, set()),
        ({"sampler": Unconditional(steps=3)}, {"error"}),
    ],
)
def test_without_a_comparison_there_is_no_gauge_and_optima_have_no_error(
    tmp_path: Path, changes: dict[str, object], left: set[str]
) -> None:
    _, results = written(tmp_path / "run", **changes)
    assert {n for n in ("error", "gauge") if (results / f"{n}.npy").exists()} == left


def test_a_run_that_is_stopped_while_its_control_is_drawn_keeps_all_else(tmp_path: Path) -> None:
    polls = iter(range(1000))
    with pytest.raises(Cancelled):
        written(tmp_path / "run", cancelled=lambda: next(polls) > 3)
    results = tmp_path / "run" / "results"
    kept = {"ensemble.npz", "spread.npy", "error.npy", "error_freedom.npy", "metrics.json"}
    assert {p.name for p in results.iterdir()} == kept


def test_the_view_with_a_wrong_pose_is_named() -> None:
    """Three views fit; the fourth is the projection along another direction than it says."""
    truth = lumps(POINTS)
    good = views(truth, 4)
    turned, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(3, 3)))
    wrong = MatchedPoints(
        "view 4", good[3].projector.numpy(), truth.double().numpy() @ turned[:2].T, POINTS, weight=1e-3
    )
    points, _ = ensemble_A([*good[:3], wrong])
    found = misfit([*good[:3], wrong], points, FRAME, stated_sigma(SAMPLER))
    said = contradictions(found)
    assert said[0].startswith("view 4")
    worst = np.asarray(found["chi_square"]).mean(0)
    assert worst[3] > 10 * worst[:3].max()
    assert found["fitted_A"][3] > 3 * max(found["fitted_A"][:3])


def test_many_contradictions_are_summed_up() -> None:
    many = {
        "names": [f"v{i}" for i in range(9)],
        "stated_A": 1.0,
        "fitted_A": [5.0] * 9,
        "flagged_above": 4.0,
    }
    said = contradictions({**many, "chi_square": [[25.0 + i for i in range(9)]]})
    assert said[0].startswith("v8")
    assert len(said) == 4
    assert "6 more of 9" in said[-1]
    assert contradictions({**many, "chi_square": [[1.0] * 9]}) == []


def test_against_a_truth_the_stated_error_is_judged() -> None:
    points, energies = ensemble_A(views(lumps(POINTS), 3), samples=4)
    points = matched(points)
    ensemble = Ensemble(points, "posterior", FRAME, energies, ("a", "b", "c"), np.arange(4))
    truth = FRAME.to_A(lumps(POINTS).double().numpy())
    error = error_of(views(lumps(POINTS), 3), points, FRAME, stated_sigma(SAMPLER))
    assert error is not None
    judged = evaluate(ensemble, truth, error=error)["stated_error"]["reliability"]
    huge = StatedError(20 * error.radius, error.freedom)
    wide = evaluate(ensemble, truth, error=huge)["stated_error"]["reliability"]
    assert wide["share_within"] == 1.0
    assert wide["observed"][-2] == 1.0
    assert 0 < judged["share_within"] <= 1
    text = format_table(evaluate(ensemble, truth, error=error))
    assert "Stated error: 90 % of points expected within" in text
    foreign = StatedError(error.radius[1:], error.freedom[1:])
    assert "stated_error" not in evaluate(ensemble, truth, error=foreign)


def test_noise_levels_are_told_as_the_sampler_states_them() -> None:
    assert stated_sigma(Proximal(observation_sigma=0.03)) == 0.03
    assert 0 < stated_sigma(MaximumLikelihood()) < 0.1


def test_events_of_energies_say_what_is_to_be_expected() -> None:
    event = Energies(step=1, sigma=0.5, values={"a": 3.0}, stated={"a": 1.5})
    assert event.values["a"] / event.stated["a"] == 2.0
