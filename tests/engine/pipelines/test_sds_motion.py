"""Motion within a run: what is found, what a volume starts from, and that a kill computes it once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.events import Completed, Event, Failed, Notice, Progress
from engine.forward.volume_projection import project
from engine.io.conformations import NAME, Conformations, read_conformations
from engine.io.mrc import write_images
from engine.io.volumes import SdsResults
from engine.jobs import runner
from engine.jobs.run_dir import RunDir
from engine.numerics.rotations import random_rotations
from engine.pipelines import sds_consensus, sds_motion
from engine.specs.sds import SdsSpec
from engine.types import ImageStack
from tests.engine.sds_run import PIXEL, blob

BOX, COUNT = 24, 60


@pytest.fixture(autouse=True)
def small_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few directions, and enough rounds for the body to be found."""
    for name, value in {
        "START_ROUNDS": 16, "START_VIEWS": 120, "START_ANGLES": 36, "REFINE_VIEWS": 200,
        "REFINE_ANGLES": 36, "LOCAL_STEPS_DEG": (3.0,),
    }.items():  # fmt: skip
        monkeypatch.setattr(sds_consensus, name, value)
    for name, value in {"FIRST_ROUNDS": 6, "NEXT_ROUNDS": 2, "VIEWS": 80}.items():
        monkeypatch.setattr(sds_motion, name, value)


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arms = np.random.default_rng(4).uniform(-0.9, 0.9, COUNT)
    rotations = torch.from_numpy(random_rotations(COUNT, np.random.default_rng(2))).float()
    images = [
        project(torch.from_numpy(blob(arm, BOX)), turn[None])[0].numpy()
        for arm, turn in zip(arms, rotations, strict=True)
    ]
    path = tmp_path_factory.mktemp("averages") / "classes.mrcs"
    write_images(path, ImageStack(np.stack(images), PIXEL))
    return path


def make(averages: Path, **changes: Any) -> SdsSpec:
    settings: dict[str, Any] = {
        "averages": {"file": str(averages), "contrast": "white", "select": changes.pop("select", ())},
        "denoiser": {"kind": "closed_form", "angle_step_deg": 15.0, "components": 60},
        "distillation": {"steps": 3, "views_first": 4, "views_last": 8},
        "restarts": 1, "refine_rounds": 4, "half_sets": False, "device": "cpu", "volumes": "each",
        "only": (1, 2, 3), "motion_rounds": 1, "motion_components": 2, "neighbours": 15,
    }  # fmt: skip
    return SdsSpec.model_validate(settings | changes)


def completed(spec: SdsSpec, folder: Path) -> tuple[SdsResults, list[Event], dict[str, Any]]:
    told: list[Event] = []
    ended = runner.run(spec, RunDir.create(folder, spec), told.append)
    assert isinstance(ended, Completed), ended
    results = SdsResults(folder)
    metrics = results.metrics()
    assert metrics is not None
    return results, told, metrics


def test_a_kill_after_the_motion_computes_it_once(
    averages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, folder = make(averages), tmp_path / "run"

    class Killed(BaseException):
        pass

    def die(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "volumes of the class averages" and event.done == 1:
            raise Killed

    with pytest.raises(Killed):
        runner.run(spec, RunDir.create(folder, spec), die)
    found = read_conformations(folder / "results", COUNT)
    assert found.latents.shape == (COUNT, 2)
    turned = found.rotations @ found.rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(3), turned.shape), atol=1e-4)
    spread = found.latents.T @ found.latents / COUNT + found.covariances.mean(0)
    np.testing.assert_allclose(spread, np.eye(2), atol=0.4)

    monkeypatch.setattr(sds_motion, "fit_motion", None)  # calling it now would fail the run
    results, told, metrics = completed(spec, folder)
    assert sorted(results.volumes()) == [1, 2, 3]
    assert metrics["motion"]["components"] == 2
    assert metrics["motion"]["neighbours"] == 15
    assert 0 <= metrics["motion"]["turned_from_consensus_deg"]["median"] < 30
    # what the first attempt spent is known to the second
    assert metrics["seconds"]["motion"] > 0.5
    assert metrics["seconds"]["consensus"] > 0.1
    assert all(0 <= event.done <= event.total for event in told if isinstance(event, Progress))


def test_volumes_start_from_their_neighbours_or_as_before(
    averages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one step that hardly changes anything, a volume is what it started from."""
    monkeypatch.setattr(Conformations, "moves", lambda found: True)
    still = {"steps": 1, "views_first": 2, "views_last": 2, "step_size": 1e-6}
    spec = make(averages, distillation=still)
    results, _, metrics = completed(spec, tmp_path / "near")
    starts = [results.volume(i).density for i in (1, 2)]
    consensus = results.consensus().density
    assert np.corrcoef(starts[0].ravel(), consensus.ravel())[0, 1] < 0.99
    assert not np.allclose(starts[0], starts[1], atol=1e-2 * starts[0].max())
    assert metrics["seconds"]["motion"] > 0
    results, _, metrics = completed(make(averages, distillation=still, motion_rounds=0), tmp_path / "from")
    assert "motion" not in metrics
    assert not (results.folder / NAME).exists()
    consensus = results.consensus().density
    assert np.corrcoef(results.volume(1).density.ravel(), consensus.ravel())[0, 1] > 0.9995


def test_without_a_sign_of_motion_volumes_start_from_the_consensus_and_it_is_said(
    averages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conformations, "moves", lambda found: False)
    spec = make(averages, distillation={"steps": 1, "views_first": 2, "views_last": 2, "step_size": 1e-6})
    results, told, metrics = completed(spec, tmp_path / "run")
    assert metrics["motion"]["moves"] is False
    assert metrics["motion"]["left_out_correlation"]["images"] == COUNT
    assert 0.5 < metrics["motion"]["left_out_correlation"]["neighbours"] <= 1
    assert any("no sign that the particle moves" in note for note in metrics["notes"])
    assert any(isinstance(event, Notice) and "no sign" in event.message for event in told)
    volume = results.volume(1).density.ravel()
    assert np.corrcoef(volume, results.consensus().density.ravel())[0, 1] > 0.9995


def test_few_class_averages_start_from_the_consensus_and_it_is_said(averages: Path, tmp_path: Path) -> None:
    spec = make(averages, select=tuple(range(1, 13)))
    results, told, metrics = completed(spec, tmp_path / "run")
    words = "12 class averages are too few to tell how they move; 50 are needed."
    assert any(words in note for note in metrics["notes"])
    assert any(isinstance(event, Notice) and words in event.message for event in told)
    assert sorted(results.volumes()) == [1, 2, 3]


def test_conformations_of_other_images_stop_the_run(averages: Path, tmp_path: Path) -> None:
    spec, folder = make(averages), tmp_path / "run"
    run = RunDir.create(folder, spec)
    (folder / "results").mkdir(exist_ok=True)
    np.savez(folder / "results" / NAME, latents=np.zeros((3, 2), np.float32))
    ended = runner.run(spec, run, lambda event: None)
    assert isinstance(ended, Failed)
    assert NAME in ended.message
    assert ended.cause == "InputError"
