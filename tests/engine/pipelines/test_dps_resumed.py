"""Runs that were stopped and go on: to the last bit what they would have been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import Cancelled, SpecError
from engine.events import Energies, Event, Notice, Snapshot
from engine.io.ensemble import read_ensemble
from engine.io.kept_samples import SAMPLES, numbers_in, sample_file
from engine.pipelines import dps
from engine.pipelines.context import RunContext
from engine.specs.components import ProjectionImages
from engine.specs.samplers import Proximal
from tests.engine.pipelines.test_dps import evidence, spec

__all__ = ["evidence"]


def context(folder: Path, events: list[Event], cancelled: Callable[[], bool] = lambda: False) -> RunContext:
    for name in ("results", "snapshots", "checkpoints"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return RunContext(folder, events.append, cancelled, torch.device("cpu"), "CPU")


def the_same(a: Path, b: Path) -> None:
    """Every result but pictures and what tells times."""
    files = {p.relative_to(a) for p in (a / "results").rglob("*") if p.suffix != ".png" and p.is_file()}
    assert files == {
        p.relative_to(b) for p in (b / "results").rglob("*") if p.suffix != ".png" and p.is_file()
    }
    assert Path("results/ensemble.npz") in files
    for name in files:
        if name.suffix == ".npz":
            with np.load(a / name, allow_pickle=False) as x, np.load(b / name, allow_pickle=False) as y:
                assert x.files == y.files
                for key in x.files:
                    np.testing.assert_array_equal(x[key], y[key])
        elif name.suffix == ".star":  # a comment tells when it was written
            texts = [(folder / name).read_text().splitlines() for folder in (a, b)]
            assert [line for line in texts[0] if line[:1] != "#"] == [
                line for line in texts[1] if line[:1] != "#"
            ]
        else:
            assert (a / name).read_bytes() == (b / name).read_bytes(), name


def test_a_stopped_run_goes_on_to_the_last_bit(evidence: ProjectionImages, tmp_path: Path) -> None:
    whole = spec(evidence, batch=3, fine_points=256, sampler=Proximal(steps=6))
    dps.run(whole, context(tmp_path / "whole", []))
    stopped, events = tmp_path / "stopped", []
    with pytest.raises(Cancelled):
        # in the second sample; another batch and title are no other run
        dps.run(
            spec(evidence, batch=1, title="again", fine_points=256, sampler=Proximal(steps=6)),
            context(stopped, events, lambda: sum(isinstance(e, Energies) for e in events) > 8),
        )
    kept = numbers_in(stopped / SAMPLES)
    assert kept == [1]
    before = [sample_file(stopped, number).stat().st_mtime_ns for number in kept]
    told: list[Event] = []
    dps.run(whole, context(stopped, told))
    assert any("finished before" in e.message for e in told if isinstance(e, Notice))
    assert [sample_file(stopped, number).stat().st_mtime_ns for number in kept] == before
    the_same(tmp_path / "whole", stopped)


def test_parts_make_the_same_run(evidence: ProjectionImages, tmp_path: Path) -> None:
    described = spec(evidence, sampler=Proximal(steps=6))
    dps.run(described, context(tmp_path / "whole", []))
    parts = tmp_path / "parts"
    dps.run_part(described, context(parts, []), (2,))
    assert numbers_in(parts / SAMPLES) == [2]
    assert not list((parts / "results").iterdir())
    dps.run_part(described, context(parts, []), (1, 3))
    told: list[Event] = []
    dps.run(described, context(parts, told))
    assert not any(isinstance(e, Snapshot) for e in told)  # nothing was left to draw
    the_same(tmp_path / "whole", parts)


def test_a_damaged_sample_is_drawn_again_and_said(evidence: ProjectionImages, tmp_path: Path) -> None:
    described, folder = spec(evidence, sampler=Proximal(steps=6), density_map=False), tmp_path / "run"
    dps.run(described, context(folder, []))
    before = read_ensemble(folder / "results" / "ensemble.npz").points_A
    whole = sample_file(folder, 2).read_bytes()
    sample_file(folder, 2).write_bytes(whole[: len(whole) // 2])
    sample_file(folder, 3).write_bytes(sample_file(folder, 1).read_bytes())  # another's
    told: list[Event] = []
    dps.run(described, context(folder, told))
    warned = [e.message for e in told if isinstance(e, Notice) and e.level == "warning"]
    assert any("Sample 2 is drawn again" in words for words in warned)
    assert any("Sample 3 is drawn again" in words for words in warned)
    np.testing.assert_array_equal(read_ensemble(folder / "results" / "ensemble.npz").points_A, before)


def test_parts_that_can_not_be(evidence: ProjectionImages, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no sample 4"):
        dps.run_part(spec(evidence), context(tmp_path / "a", []), (4,))
    steered = spec(evidence, sampler=Proximal(steps=6, steering=1.0))
    with pytest.raises(SpecError, match="steered"):
        dps.run_part(steered, context(tmp_path / "b", []), (1,))
