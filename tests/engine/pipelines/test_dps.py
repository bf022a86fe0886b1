"""Whole runs, small: from files to an ensemble, the same whatever is computed together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import Cancelled, SpecError
from engine.events import Energies, Event, Metric, Notice, Progress, Result, Snapshot
from engine.forward.gaussians import splat_image
from engine.io.ensemble import read_ensemble
from engine.io.mrc import write_images
from engine.io.star import write_poses
from engine.metrics.rmsd import rmsd_points
from engine.numerics.rotations import random_rotations
from engine.pipelines import dps
from engine.pipelines.context import RunContext
from engine.pipelines.draw import draw
from engine.priors.checkpoint import PriorCard, build
from engine.priors.edm import GaussianDenoiser
from engine.specs.components import GaussianPrior, ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.samplers import (
    Algorithm1,
    Daps,
    MaximumLikelihood,
    Proximal,
    SamplerSpec,
    SplitGibbs,
    Unconditional,
)
from engine.types import ImageStack, Poses
from tests.engine.sampling.test_guidance import lumps, views

POINTS = 128


def truth_A() -> np.ndarray:
    return 100.0 * lumps(POINTS).double().numpy() + (5.0, 0.0, -10.0)


@pytest.fixture
def evidence(tmp_path: Path) -> ProjectionImages:
    rotations = random_rotations(4, np.random.default_rng(1))
    stack = np.stack(
        [
            splat_image((truth_A() @ r.T)[:, :2], pixel_size_A=6.0, box=64, resolution_A=14.0)
            for r in rotations
        ]
    )
    write_images(tmp_path / "v.mrcs", ImageStack(stack, 6.0))
    poses = Poses(rotations, np.zeros((4, 2)), ("v.mrcs",) * 4, np.arange(4, dtype=np.int32), 6.0)
    write_poses(tmp_path / "v.star", poses, box=64)
    return ProjectionImages(images=str(tmp_path / "v.mrcs"), poses=str(tmp_path / "v.star"), points=POINTS)


def spec(evidence: ProjectionImages, **changes: object) -> DpsSpec:
    given = {
        "points": POINTS,
        "samples": 3,
        "prior": GaussianPrior(),
        "sampler": Proximal(steps=15),
        **changes,
    }
    return DpsSpec(observations=(evidence,), **given)  # type: ignore[arg-type]


def run(
    description: DpsSpec, folder: Path, cancelled: Callable[[], bool] = lambda: False
) -> tuple[list[Event], Path]:
    for name in ("results", "snapshots"):
        (folder / name).mkdir(parents=True)
    events: list[Event] = []
    dps.run(description, RunContext(folder, events.append, cancelled, torch.device("cpu"), "CPU"))
    return events, folder


def test_a_run_finds_the_object_and_says_what_it_did(evidence: ProjectionImages, tmp_path: Path) -> None:
    np.savez(tmp_path / "truth.npz", points=truth_A())
    events, folder = run(spec(evidence, truth=str(tmp_path / "truth.npz")), tmp_path / "run")
    ensemble = read_ensemble(folder / "results" / "ensemble.npz")
    assert ensemble.points_A.shape == (3, POINTS, 3)
    assert ensemble.kind == "posterior"
    assert ensemble.observation_names == ("view 1", "view 2", "view 3", "view 4")
    # Far below what a cloud of the right size and place but no shape would have.
    rng = np.random.default_rng(0)
    shapeless = truth_A().mean(0) + truth_A().std(0) * rng.normal(size=(POINTS, 3))
    assert rmsd_points(ensemble.points_A[0], truth_A()) < 0.5 * rmsd_points(shapeless, truth_A())
    report = json.loads((folder / "results" / "metrics.json").read_text())
    assert report["summary"]["rmsd_points_unaligned_A"]["mean"] < 25
    kinds = {type(e) for e in events}
    assert {Progress, Energies, Snapshot, Result, Notice} <= kinds
    shown = [e for e in events if isinstance(e, Snapshot)]
    assert shown[-1].step == shown[-1].total == 15
    last = np.load(folder / shown[-1].path, allow_pickle=False)
    assert last.shape == (3, POINTS, 3)
    spread = np.load(folder / "results" / "spread.npy", allow_pickle=False)
    assert spread.shape == (POINTS,)
    # stated in Å²: the misfit shrinks as the noise does
    misfit = [sum(e.values.values()) for e in events if isinstance(e, Energies)]
    assert misfit[-1] < misfit[0]


def test_the_answer_does_not_depend_on_the_batch(evidence: ProjectionImages, tmp_path: Path) -> None:
    run(spec(evidence, batch=1), tmp_path / "one")
    run(spec(evidence, batch=3), tmp_path / "three")
    together = read_ensemble(tmp_path / "three" / "results" / "ensemble.npz")
    single = read_ensemble(tmp_path / "one" / "results" / "ensemble.npz")
    np.testing.assert_array_equal(single.points_A, together.points_A)
    np.testing.assert_array_equal(single.seeds, together.seeds)
    assert len(set(single.seeds.tolist())) == 3


SAMPLERS: list[SamplerSpec] = [
    Proximal(steps=6),
    Proximal(steps=6, matching="independent"),
    SplitGibbs(steps=6),
    Daps(steps=6, calls=2),
    Algorithm1(steps=6, alpha=500.0),
    MaximumLikelihood(steps=6),
    MaximumLikelihood(steps=6, annealing=0.1, restarts=2),
    Unconditional(steps=40),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s.kind)
def test_every_sampler_gives_each_sample_its_own_stream(sampler: SamplerSpec) -> None:
    """With a network, to the last bit: alone or in company, and different seeds differ."""
    torch.manual_seed(0)
    prior = build(PriorCard("kernel", {"width": 16, "layers": 2, "heads": 2, "latents": 4}, 0.4, 80))
    for p in prior.parameters():
        torch.nn.init.normal_(p, std=0.05)
    prior.requires_grad_(False)
    observations = [] if sampler.kind == "unconditional" else views(lumps(80), 2)

    def sample(seeds: list[int]) -> torch.Tensor:
        return draw(
            prior,
            observations,
            sampler,
            seeds,
            points=80,
            device=torch.device("cpu"),
            watch=lambda step: None,
        )[0]

    both = sample([3, 4])
    assert torch.equal(both[1], sample([4])[0])
    assert not torch.equal(both[0], both[1])


def test_a_cancelled_run_keeps_its_finished_batches(evidence: ProjectionImages, tmp_path: Path) -> None:
    polls = iter(range(10_000))
    with pytest.raises(Cancelled):
        run(spec(evidence, batch=1), tmp_path / "run", lambda: next(polls) > 20)  # in the second sample
    kept = read_ensemble(tmp_path / "run" / "results" / "ensemble.npz")
    assert kept.points_A.shape == (1, POINTS, 3)


def test_gradient_guidance_says_that_it_was_clamped(evidence: ProjectionImages, tmp_path: Path) -> None:
    sampler = Algorithm1(steps=5, alpha=1e6)
    events, _ = run(spec(evidence, sampler=sampler, samples=1), tmp_path / "run")
    assert any(isinstance(e, Notice) and "clamped" in e.message for e in events)
    assert all(e.value > 1 for e in events if isinstance(e, Metric) and "φ" in e.name and e.step == 1)


def test_inverted_noise_levels_are_refused() -> None:
    sampler = Proximal(sigma_max=0.1, sigma_min=0.5)
    with pytest.raises(SpecError, match="inverted"):
        draw(
            GaussianDenoiser(0.36),
            views(lumps(60), 2),
            sampler,
            [1],
            points=60,
            device=torch.device("cpu"),
            watch=lambda step: None,
        )


def test_unconditional_gaussian_samples_have_the_priors_size() -> None:
    x, energies = draw(
        GaussianDenoiser(0.36),
        [],
        Unconditional(steps=200),
        [1],
        points=4000,
        device=torch.device("cpu"),
        watch=lambda step: None,
    )
    assert float(x.std()) == pytest.approx(0.36, rel=0.06)
    assert energies.shape == (1, 0)


def test_steering_is_the_same_in_any_batch_and_tells_the_spread_it_took(
    evidence: ProjectionImages, tmp_path: Path
) -> None:
    sampler = Proximal(steps=8, steering=5.0, steering_share=1.0)
    runs = [
        run(spec(evidence, sampler=sampler, samples=4, batch=batch, control=0), tmp_path / str(batch))
        for batch in (0, 1)
    ]
    first, second = (read_ensemble(folder / "results" / "ensemble.npz").points_A for _, folder in runs)
    np.testing.assert_array_equal(first, second)
    told = [e.message for e in runs[0][0] if isinstance(e, Notice) and e.message.startswith("Steering")]
    assert told
    assert "went on" in told[0]
    assert "apart before" in told[0]
