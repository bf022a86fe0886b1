"""Parts without a place are docked into what the other evidence shows."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import SpecError
from engine.events import Event, Notice
from engine.numerics.rotations import random_rotations
from engine.observations.evidence import Evidence, estimate_frame
from engine.pipelines import placing
from engine.pipelines.context import RunContext
from engine.pipelines.placing import place_parts
from engine.priors.edm import GaussianDenoiser
from tests.engine.observations.test_docking import split
from tests.engine.observations.test_pose_correction import POINTS, SPEC

SCALE_A = 80.0


def context(folder: Path, events: list[Event]) -> RunContext:
    (folder / "results").mkdir()
    return RunContext(folder, events.append, lambda: False, torch.device("cpu"), "CPU")


def test_a_part_finds_its_place_among_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "STEPS", 10)
    monkeypatch.setattr(placing, "CLOUDS", 2)
    whole, part = split()
    rng = np.random.default_rng(4)
    views = [
        Evidence(f"view {k}", r[:2], np.zeros(2), SCALE_A * whole @ r[:2].T)
        for k, r in enumerate(random_rotations(5, rng))
    ]
    turn = random_rotations(1, rng)[0]
    loose = Evidence(
        "subunit a", np.eye(3), np.zeros(3), SCALE_A * part @ turn.T + 50.0, partial=True, placed=False
    )
    frame = estimate_frame([*views, loose], SPEC.frame, lambda note: None)
    assert frame.scale_A < 1.5 * SCALE_A  # the loose part's coordinates say nothing about the whole
    events: list[Event] = []
    spec = SPEC.model_copy(update={"points": POINTS})
    out = place_parts(spec, context(tmp_path, events), [*views, loose], frame, GaussianDenoiser(0.36))
    assert out[:5] == views
    assert out[5].placed
    off = np.sqrt(((out[5].points_A - SCALE_A * part) ** 2).sum(1).mean())
    assert off < 0.08 * SCALE_A
    with open(tmp_path / "results" / "placements.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [r["rank"] for r in rows] == [str(i + 1) for i in range(len(rows))]
    assert any("subunit a" in e.message for e in events if isinstance(e, Notice))


def test_without_other_evidence_there_is_no_place(tmp_path: Path) -> None:
    _, part = split()
    loose = Evidence("subunit", np.eye(3), np.zeros(3), part, partial=True, placed=False)
    placed = Evidence("subunit", np.eye(3), np.zeros(3), part, partial=True)
    frame = estimate_frame([placed], SPEC.frame, lambda note: None)
    with pytest.raises(SpecError, match="where the known part lies"):
        place_parts(SPEC, context(tmp_path, []), [loose], frame, GaussianDenoiser(0.36))
