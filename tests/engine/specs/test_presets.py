"""Presets: whole descriptions, from any evidence."""

from __future__ import annotations

import pytest

from engine.errors import SpecError
from engine.specs.codec import dump_toml, load_spec
from engine.specs.components import CoarseMap, ObservationSpec, ProjectionImages, ProjectionPoints
from engine.specs.job import TrainPriorSpec
from engine.specs.known_poses import DenoisedViews
from engine.specs.presets import (
    BASIC,
    KNOWN_POSE_PRESETS,
    PRESETS,
    SDS_PRESETS,
    preset,
    presets_of,
    published_alpha,
    sds_preset,
    with_preset,
)
from engine.specs.sds import ClassAveragesInput

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
    assert preset("Quick-Look").spec((VIEW,)).samples == 2


@pytest.mark.parametrize("kind", ["dps", "sds", "train_denoiser", "train_prior"])
def test_every_kind_of_run_has_the_three(kind: str):
    names = list(presets_of(kind))
    assert tuple(names[:3]) == BASIC
    assert all(words.endswith(".") for words in presets_of(kind).values())


def test_the_earlier_name_is_still_known():
    assert preset("first look") is preset("quick look")
    assert sds_preset("first_look") is sds_preset("quick look")


def test_a_preset_of_a_training_leaves_its_data():
    spec = TrainPriorSpec(clouds="/c.npz", validation="/v.npz", start_from="/w", hours=3, batch=5, seed=9)
    changed = with_preset(spec, "thorough")
    assert isinstance(changed, TrainPriorSpec)
    assert (changed.hours, changed.batch, changed.seed) == (24, 8, 9)
    assert (changed.clouds, changed.validation, changed.start_from) == ("/c.npz", "/v.npz", "/w")
    with pytest.raises(SpecError, match="no preset `paper`"):
        with_preset(spec, "paper")


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
    with pytest.raises(SpecError, match="no preset `swift`.*quick look"):
        preset("swift")


@pytest.mark.parametrize("name", SDS_PRESETS)
def test_sds_presets_keep_the_averages_and_survive_a_file(name: str, tmp_path) -> None:
    averages = ClassAveragesInput(file=str(tmp_path / "a.mrcs"), select=(1, 3), pixel_size_A=3.0, box=72)
    spec = SDS_PRESETS[name].spec(averages, weights=str(tmp_path / "w.safetensors"), seed=7)
    assert spec.seed == 7
    assert spec.averages.model_copy(update={"box": 72}) == averages
    assert spec.averages.box == (SDS_PRESETS[name].box or 72)
    dump_toml(spec, tmp_path / "job.toml")
    assert load_spec(tmp_path / "job.toml") == spec


def test_the_sds_preset_of_the_paper_is_algorithm_1() -> None:
    with pytest.raises(SpecError, match="trained denoiser"):
        sds_preset("paper").spec(ClassAveragesInput(file="a.mrcs"))
    spec = sds_preset("paper").spec(ClassAveragesInput(file="a.mrcs"), weights="w.safetensors")
    steps = spec.distillation
    assert (steps.steps, steps.views_first, steps.views_last) == (600, 8, 64)
    assert steps.sigma_first == steps.sigma_last
    assert (spec.volumes, spec.start, spec.denoiser.kind) == ("each", "nothing", "trained")
    with pytest.raises(SpecError, match="quick look"):
        sds_preset("none")


def test_thorough_known_poses_are_what_they_say():
    """Three times the noise levels and twice the views of the default, whatever that becomes."""
    usual = DenoisedViews()
    thorough = KNOWN_POSE_PRESETS["thorough"].settings["method"]
    assert (thorough.steps, thorough.views) == (3 * usual.steps, 2 * usual.views)
