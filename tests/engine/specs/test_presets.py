"""Presets: whole descriptions, from any evidence."""

from __future__ import annotations

import pytest

from engine.errors import SpecError
from engine.specs.components import CoarseMap, ObservationSpec, ProjectionImages, ProjectionPoints
from engine.specs.presets import PRESETS, preset, published_alpha

VIEW = ProjectionPoints(file="/a.csv", rotation=(1.0, 0.0, 0.0, 0.0))
MAP = CoarseMap(file="/a.mrc")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("evidence", [(VIEW,), (VIEW, VIEW, MAP)])
def test_every_preset_makes_a_spec(name: str, evidence: tuple[ObservationSpec, ...]):
    spec = PRESETS[name].spec(evidence, seed=7)
    assert spec.seed == 7
    assert spec.observations == (() if name == "prior only" else evidence)


def test_changes_win():
    assert preset("first look").spec((VIEW,), samples=9).samples == 9
    assert preset("first-look").spec((VIEW,)).samples == 2


def test_the_paper_preset_is_the_paper():
    spec = preset("paper").spec((VIEW,) * 3)
    assert (spec.samples, spec.sampler.steps, spec.sampler.alpha) == (10, 80, 40_000.0)


@pytest.mark.parametrize(
    ("evidence", "alpha"),
    [
        ((VIEW,) * 2, 4_000.0),
        ((VIEW,) * 3, 40_000.0),
        ((VIEW,) * 4, 60_000.0),
        ((VIEW,) * 6, 80_000.0),
        ((VIEW,) * 5 + (MAP,), 4_000.0),
        ((ProjectionImages(images="/a", poses="/b", select=(1, 2, 3)),), 40_000.0),
    ],
)
def test_published_guidance_scales(evidence: tuple[ObservationSpec, ...], alpha: float):
    assert published_alpha(evidence) == alpha


def test_unknown_presets_are_named():
    with pytest.raises(SpecError, match="no preset `quick`.*first look"):
        preset("quick")
