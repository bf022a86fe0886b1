"""Training a denoiser of images as a run: what it writes and says, and that a kill changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from engine.errors import InputError, PriorError, SpecError
from engine.events import Event, ImagesSnapshot, Metric, Notice, Progress, Result
from engine.io.mrc import write_images
from engine.pipelines import train_denoiser
from engine.pipelines.context import RunContext
from engine.priors.image_checkpoint import load_image_denoiser
from engine.priors.image_training import ImageTrainer
from engine.specs.sds import ClassAveragesInput, TrainDenoiserSpec
from engine.types import ImageStack

BOX = 20


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve smooth blobs on a flat background."""
    rng = np.random.default_rng(0)
    axis = np.arange(BOX) - BOX // 2
    r = np.hypot(axis[:, None], axis)
    blobs = ndimage.gaussian_filter(rng.random((12, BOX, BOX)), (0, 1.5, 1.5)) * np.exp(-((r / 4) ** 4))
    path = tmp_path_factory.mktemp("averages") / "classes.mrcs"
    write_images(path, ImageStack(blobs.astype(np.float32), 3.0))
    return path


@pytest.fixture
def spec(averages: Path) -> Callable[..., TrainDenoiserSpec]:
    def make(**changes: object) -> TrainDenoiserSpec:
        # the rate falls with the steps, not with the computer's speed
        values: dict[str, object] = {"minutes": 1e5, "max_steps": 5, "batch": 2, "device": "cpu"}
        given = ClassAveragesInput(file=str(averages), contrast="white")
        return TrainDenoiserSpec.model_validate({"averages": given} | values | changes)

    return make


class Run:
    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self.context = RunContext(folder, self.events.append, lambda: False, torch.device("cpu"), "CPU")

    def of(self, kind: type[Event]) -> list[Event]:
        return [e for e in self.events if isinstance(e, kind)]


class Killed(Exception):
    pass


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every loss of every step, in order."""
    found: list[float] = []
    step = ImageTrainer.step

    def recorded(self: ImageTrainer, batch: int, progress: float) -> float:
        found.append(step(self, batch, progress))
        return found[-1]

    monkeypatch.setattr(ImageTrainer, "step", recorded)
    return found


def test_writes_weights_measured_against_the_closed_form(
    spec: Callable[..., TrainDenoiserSpec], tmp_path: Path
) -> None:
    run = Run(tmp_path)
    train_denoiser.run(spec(), run.context)
    facts = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert facts["kind"] == "train_denoiser"
    assert (facts["steps"], facts["images_seen"]) == (5, 10)
    assert (facts["training_images"], facts["held_out_images"]) == (11, 1)
    levels = [f"{s:g}" for s in train_denoiser.VALIDATION_SIGMAS]
    assert list(facts["validation_rmse_over_sigma"]) == list(facts["closed_form_rmse_over_sigma"]) == levels
    denoiser, card = load_image_denoiser(tmp_path / "results" / "denoiser.safetensors")
    card.require(BOX, 3.0, denoiser.mask_radius_px, path=tmp_path)
    assert facts["parameters"] == sum(p.numel() for p in denoiser.parameters())
    assert card.trained["steps"] == 5

    assert {e.role: e.path for e in run.of(Result)} == {  # type: ignore[attr-defined]
        "denoiser": "results/denoiser.safetensors", "metrics": "results/metrics.json",
    }  # fmt: skip
    names = {e.name for e in run.of(Metric)}  # type: ignore[attr-defined]
    assert {"loss", "validation RMSE/σ at σ=0.4", "closed form RMSE/σ at σ=0.4"} <= names
    shown = run.of(ImagesSnapshot)[-1]
    drawn = np.load(tmp_path / shown.path)  # type: ignore[attr-defined]
    assert drawn.shape == (train_denoiser.SAMPLES, BOX, BOX)
    assert np.isfinite(drawn).all()
    assert run.of(Progress)[-1].done == 1000  # type: ignore[attr-defined]


def test_a_killed_training_goes_on_with_the_same_losses(
    spec: Callable[..., TrainDenoiserSpec],
    losses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_denoiser.run(spec(), Run(tmp_path / "whole").context)
    expected, losses[:] = list(losses), []

    # a checkpoint after every step, and a death between two steps
    often = spec(checkpoint_minutes=1e-9)
    step = ImageTrainer.step

    def dying(self: ImageTrainer, batch: int, progress: float) -> float:
        if self.steps == 3:
            raise Killed
        return step(self, batch, progress)

    with monkeypatch.context() as patch:
        patch.setattr(ImageTrainer, "step", dying)
        with pytest.raises(Killed):
            train_denoiser.run(often, Run(tmp_path / "killed").context)
    again = Run(tmp_path / "killed")
    train_denoiser.run(often, again.context)
    assert losses == expected
    assert any("Resumed after 3 steps" in e.message for e in again.of(Notice))  # type: ignore[attr-defined]
    whole, _ = load_image_denoiser(tmp_path / "whole" / "results" / "denoiser.safetensors")
    resumed, _ = load_image_denoiser(tmp_path / "killed" / "results" / "denoiser.safetensors")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_samples_are_shown_now_and_then_and_cost_little(
    spec: Callable[..., TrainDenoiserSpec], tmp_path: Path, averages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    run = Run(tmp_path)
    given = spec()
    prepared = train_denoiser.prepare(train_denoiser.read_class_averages(averages), given.averages)
    training = train_denoiser._Training(given, run.context, prepared, clock=lambda: now)

    def slow() -> None:
        nonlocal now
        now += 4.0
        shown.append(now)

    shown: list[float] = []
    monkeypatch.setattr(training, "show_samples", slow)
    while now < 1000:
        now += 1.0
        training.pause()
    assert shown[0] == pytest.approx(34, abs=2)  # the first after half a minute
    assert 4.0 * len(shown) < 0.06 * 1000


def test_goes_on_from_given_weights(spec: Callable[..., TrainDenoiserSpec], tmp_path: Path) -> None:
    train_denoiser.run(spec(max_steps=1), Run(tmp_path / "first").context)
    weights = str(tmp_path / "first" / "results" / "denoiser.safetensors")
    run = Run(tmp_path / "second")
    train_denoiser.run(spec(max_steps=1, start_from=weights, seed=3), run.context)
    assert any("Starting from" in e.message for e in run.of(Notice))  # type: ignore[attr-defined]
    other = ClassAveragesInput.model_validate(spec().averages.model_dump() | {"pixel_size_A": 5.0})
    with pytest.raises(PriorError, match="3 Å per pixel"):
        train_denoiser.run(spec(averages=other, start_from=weights), Run(tmp_path / "third").context)


def test_says_what_is_wrong(spec: Callable[..., TrainDenoiserSpec], tmp_path: Path) -> None:
    one = ClassAveragesInput.model_validate(spec().averages.model_dump() | {"select": (2,)})
    with pytest.raises(SpecError, match="at least two"):
        train_denoiser.run(spec(averages=one), Run(tmp_path).context)
    none = ClassAveragesInput(file=str(tmp_path / "none.mrcs"))
    with pytest.raises(InputError, match=r"none\.mrcs"):
        train_denoiser.run(spec(averages=none), Run(tmp_path).context)
