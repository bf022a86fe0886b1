"""Earlier states of a training: kept on the way, used where the newest is damaged, and branched off from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.errors import RunError, SpecError
from engine.events import Completed, Event, Notice
from engine.jobs import runner
from engine.jobs.fork import fork, kept_points
from engine.jobs.fork_points import MILESTONES, TRAINING
from engine.jobs.run_dir import RunDir
from engine.pipelines import training_loop
from engine.priors.image_checkpoint import load_image_denoiser
from engine.specs.sds import TrainDenoiserSpec
from tests.engine.pipelines.test_train_denoiser import averages, spec

__all__ = ["averages", "spec"]

Make = Callable[..., TrainDenoiserSpec]


def finished(run: RunDir) -> list[str]:
    told: list[Event] = []
    ended = runner.run(run.spec(), run, told.append)
    assert isinstance(ended, Completed), ended
    return [e.message for e in told if isinstance(e, Notice)]


def weights(run: RunDir) -> list[torch.Tensor]:
    model, _ = load_image_denoiser(run.path / "results" / "denoiser.safetensors")
    return list(model.parameters())


@pytest.fixture
def trained(spec: Make, tmp_path: Path) -> RunDir:
    run = RunDir.create(tmp_path / "first", spec(max_steps=10))
    finished(run)
    return run


def test_the_loop_and_the_branches_mean_the_same_files() -> None:
    assert (training_loop.CHECKPOINT, training_loop.MILESTONES) == (TRAINING, MILESTONES)


def test_a_branch_from_a_milestone_goes_on_as_the_training_did(trained: RunDir, tmp_path: Path) -> None:
    points = kept_points(trained)
    assert [p.name for p in points] == ["step-10", "step-8", "step-6", "step-4", "step-2", "beginning"]
    again = fork(trained, tmp_path / "again", {}, "step-4")
    assert any("Resumed after 4 steps" in words for words in finished(again))
    assert all(torch.equal(a, b) for a, b in zip(weights(trained), weights(again), strict=True))

    slower = fork(trained, tmp_path / "slower", {"learning_rate": 1e-5, "batch": 3}, "step-4")
    assert any("learning_rate: 0.001 → 1e-05" in words for words in finished(slower))
    assert not all(torch.equal(a, b) for a, b in zip(weights(trained), weights(slower), strict=True))

    with pytest.raises(SpecError, match="depends on `architecture`.*branch off at: beginning"):
        fork(trained, tmp_path / "other", {"architecture": "paper"}, "step-4")


def test_a_damaged_checkpoint_is_told_and_an_earlier_one_used(trained: RunDir) -> None:
    expected = weights(trained)
    newest = trained.path / TRAINING
    newest.write_bytes(newest.read_bytes()[:-100])
    assert kept_points(trained)[0].name == "step-8"
    trained.events_file.unlink()  # killed before its last word
    run = RunDir.create(trained.path, trained.spec())
    told = finished(run)
    assert any("can't be used" in words and "earlier step" in words for words in told)
    assert any("Resumed after 8 steps" in words for words in told)
    assert all(torch.equal(a, b) for a, b in zip(expected, weights(run), strict=True))


def test_without_a_readable_one_the_run_says_so(trained: RunDir, spec: Make) -> None:
    for path in (trained.path / TRAINING, *(trained.path / MILESTONES).iterdir()):
        path.write_bytes(b"no weights")
    trained.events_file.unlink()
    run = RunDir.create(trained.path, trained.spec())
    ended = runner.run(run.spec(), run)
    assert "can't be used" in str(ended)
    assert RunError.__name__ in str(ended)
