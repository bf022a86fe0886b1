"""Branches of runs: what is taken over, what isn't, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import RunError, SpecError
from engine.events import Completed, Event, Notice, Result, Snapshot
from engine.io.ensemble import read_ensemble
from engine.io.kept_samples import SAMPLES, KeptSample, numbers_in, write_sample
from engine.io.volumes import SdsResults
from engine.jobs import runner
from engine.jobs.fork import fork, kept_points, parent_of
from engine.jobs.run_dir import RunDir
from engine.specs.components import ProjectionImages
from engine.specs.job import DpsSpec
from engine.specs.samplers import Proximal
from tests.engine.pipelines.test_dps import evidence, spec
from tests.engine.pipelines.test_sds import Make, averages, make, small_searches, write_averages

__all__ = ["averages", "evidence", "make", "small_searches", "write_averages"]


def finished(run: RunDir) -> list[Event]:
    told: list[Event] = []
    ended = runner.run(run.spec(), run, told.append)
    assert isinstance(ended, Completed), ended
    return told


def names(run: RunDir) -> list[str]:
    return [point.name for point in kept_points(run)]


def described(evidence: ProjectionImages) -> DpsSpec:
    return spec(evidence, samples=2, sampler=Proximal(steps=6), density_map=False, control=0, device="cpu")


@pytest.fixture
def dps_run(evidence: ProjectionImages, tmp_path: Path) -> RunDir:
    run = RunDir.create(tmp_path / "first", described(evidence))
    finished(run)
    return run


@pytest.fixture
def stopped(evidence: ProjectionImages, tmp_path: Path) -> RunDir:
    """A run that has kept one sample of two."""
    run = RunDir.create(tmp_path / "first", described(evidence))
    rng = np.random.default_rng(0)
    cloud, energies = rng.normal(size=(128, 3)), rng.random(4)
    write_sample(run.path, 1, KeptSample(cloud.astype(np.float32), energies.astype(np.float32), 5))
    return run


def drawn(run: RunDir) -> np.ndarray:
    return read_ensemble(run.path / "results" / "ensemble.npz").points_A


def test_more_samples_are_added_to_those_that_are_there(dps_run: RunDir, tmp_path: Path) -> None:
    assert names(dps_run) == ["samples", "beginning"]
    branch = fork(dps_run, tmp_path / "more", {"samples": 3, "title": "more"})
    assert numbers_in(branch.path / SAMPLES) == [1, 2]
    told = finished(branch)
    parent = parent_of(branch)
    assert parent is not None
    assert (parent.run, parent.at) == (str(dps_run.path), "samples")
    assert parent.changed == {"samples": (2, 3), "title": ("", "more")}
    assert any(parent.words == e.message for e in told if isinstance(e, Notice))
    assert "samples: 2 → 3" in parent.words
    # the same to the last bit as a run that drew all three
    alone = fork(dps_run, tmp_path / "alone", {"samples": 3, "title": "more"}, "beginning")
    assert numbers_in(alone.path / SAMPLES) == []
    finished(alone)
    np.testing.assert_array_equal(drawn(branch), drawn(alone))
    # and a branch of the branch, which needs nothing drawn
    fewer = fork(branch, tmp_path / "fewer", {"samples": 2})
    assert not any(isinstance(e, Snapshot) for e in finished(fewer))
    np.testing.assert_array_equal(drawn(fewer), drawn(dps_run))


@pytest.mark.parametrize(
    ("changes", "at", "words"),
    [
        ({"sampler.steps": 7}, "samples", "depends on `sampler.steps`.*branch off at: beginning"),
        ({"observations.0.weight": 2.0}, "samples", "observations.0.weight"),
        ({"observations.7.weight": 2.0}, None, "no setting `observations.7.weight`.*It has 1"),
        ({"sampler.stepps": 7}, None, "stepps"),
        ({"samples": 0}, None, "samples"),
        ({"seed": 1}, "step-3", "nothing called `step-3`.*beginning"),
    ],
)
def test_what_a_point_does_not_bear(
    stopped: RunDir, tmp_path: Path, changes: dict[str, Any], at: str | None, words: str
) -> None:
    with pytest.raises((SpecError, RunError), match=words):
        fork(stopped, tmp_path / "branch", changes, at)
    assert sorted(p.name for p in tmp_path.iterdir() if "branch" in p.name or ".part" in p.name) == []


def test_other_weights_and_steps_begin_anew(stopped: RunDir, tmp_path: Path) -> None:
    changes = {"sampler.steps": 7, "observations.0.weight": 2.0}
    branch = fork(stopped, tmp_path / "branch", changes)
    found = branch.spec()
    assert isinstance(found, DpsSpec)
    assert (found.sampler.steps, found.observations[0].weight) == (7, 2.0)
    assert numbers_in(branch.path / SAMPLES) == []
    assert json.loads((branch.path / "parent.json").read_text())["at"] == "beginning"
    with pytest.raises(RunError, match="not empty"):
        fork(stopped, branch.path, changes)


def test_a_branch_does_not_mix_samples_of_changed_files(
    dps_run: RunDir, evidence: ProjectionImages, tmp_path: Path
) -> None:
    branch = fork(dps_run, tmp_path / "more", {"samples": 3})
    images = Path(evidence.images)
    images.write_bytes(images.read_bytes()[:-4] + np.float32(0.5).tobytes())
    ended = runner.run(branch.spec(), branch)
    assert "not what it was" in str(ended)


def test_volumes_branch_at_their_stages(make: Make, tmp_path: Path) -> None:
    first = RunDir.create(tmp_path / "first", make(volumes="each", only=(1, 3)))
    finished(first)
    assert names(first) == ["volumes", "consensus", "starts", "beginning"]

    more = fork(first, tmp_path / "more", {"only": [1, 3, 4]})
    assert made(finished(more)) == ["results/volumes/volume_0004.mrc"]
    same(first, more, (1, 3))

    longer = fork(first, tmp_path / "longer", {"distillation.steps": 5})
    told = finished(longer)
    assert made(told) == ["results/volumes/volume_0001.mrc", "results/volumes/volume_0003.mrc"]
    assert np.array_equal(
        SdsResults(first.path).consensus().density, SdsResults(longer.path).consensus().density
    )

    with pytest.raises(SpecError, match="depends on `symmetry`.*starts, beginning"):
        fork(first, tmp_path / "no", {"symmetry": "C2"}, "consensus")
    turned = fork(first, tmp_path / "turned", {"symmetry": "C2", "volumes": "one", "only": []})
    told = finished(turned)
    assert not [path for path in made(told) if "start" in path]
    assert half_turned_alike(turned) > 0.95 > half_turned_alike(first)


def half_turned_alike(run: RunDir) -> float:
    """Correlation of a consensus with itself turned by 180° about z."""
    density = SdsResults(run.path).consensus().density
    turned = np.roll(density[:, ::-1, ::-1], (1, 1), (1, 2))
    return float(np.corrcoef(density.ravel(), turned.ravel())[0, 1])


def made(told: list[Event]) -> list[str]:
    return [event.path for event in told if isinstance(event, Result) and event.role in ("start", "volume")]


def same(a: RunDir, b: RunDir, images: tuple[int, ...]) -> None:
    for image in images:
        assert np.array_equal(
            SdsResults(a.path).volume(image).density, SdsResults(b.path).volume(image).density
        )


def test_the_window_can_look_without_torch(stopped: RunDir) -> None:
    code = "import sys; from engine.jobs import fork; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert abs(kept_points(stopped)[0].time - time.time()) < 600
