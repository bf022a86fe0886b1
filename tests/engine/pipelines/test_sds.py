"""Score distillation as a run: what it writes and says, and that a kill computes nothing twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import RunError
from engine.events import Cancelled as WasCancelled
from engine.events import Completed, Event, Failed, ImagesSnapshot, MapSnapshot, Notice, Progress, Result
from engine.forward.volume_projection import project
from engine.io.averages import soft_disc
from engine.io.mrc import read_volume, write_images
from engine.io.volumes import SdsResults, write_map
from engine.jobs import runner
from engine.jobs.run_dir import RunDir
from engine.numerics.rotations import random_rotations
from engine.numerics.symmetry import point_group, self_correlation
from engine.pipelines import sds_consensus
from engine.priors.image_checkpoint import ImageDenoiserCard, load_image_denoiser, save_image_denoiser
from engine.priors.unet import build_denoiser
from engine.specs.presets import sds_preset
from engine.specs.sds import SdsSpec, TrainedDenoiser
from engine.types import ImageStack
from tests.engine.numerics.gaussian_blobs import asymmetric_points, blob_map
from tests.engine.sds_run import PIXEL, blob

BOX, COUNT = 24, 12
Make = Callable[..., SdsSpec]

TINY: dict[str, Any] = {
    "denoiser": {"kind": "closed_form", "angle_step_deg": 15.0, "components": 60},
    "distillation": {"steps": 4, "views_first": 4, "views_last": 8},
    "restarts": 2,
    "refine_rounds": 2,
    "half_sets": False,
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def small_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds and directions: what is tested is the run, not the map."""
    for name, value in {
        "START_ROUNDS": 4, "START_VIEWS": 80, "START_ANGLES": 24, "REFINE_VIEWS": 120, "REFINE_ANGLES": 36,
        "LOCAL_STEPS_DEG": (3.0,),
    }.items():  # fmt: skip
        monkeypatch.setattr(sds_consensus, name, value)


def write_averages(path: Path, body: np.ndarray, count: int = COUNT) -> Path:
    rotations = torch.from_numpy(random_rotations(count, np.random.default_rng(2))).float()
    images = project(torch.from_numpy(body), rotations).numpy()
    noise = np.random.default_rng(0).normal(size=images.shape) * 0.01 * images.std()
    write_images(path, ImageStack((images + noise).astype(np.float32), PIXEL))
    return path


@pytest.fixture(scope="module")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_averages(tmp_path_factory.mktemp("averages") / "classes.mrcs", blob(0.4, BOX))


@pytest.fixture(scope="module")
def make(averages: Path) -> Make:
    def spec(**changes: Any) -> SdsSpec:
        given = {"file": str(averages), "contrast": "white"} | changes.pop("averages", {})
        return SdsSpec.model_validate({"averages": given} | TINY | changes)

    return spec


def run(spec: SdsSpec, folder: Path, **how: Any) -> tuple[Event, list[Event]]:
    told: list[Event] = []
    ended = runner.run(spec, RunDir.create(folder, spec), told.append, **how)
    return ended, told


def completed(spec: SdsSpec, folder: Path) -> tuple[SdsResults, list[Event], dict[str, Any]]:
    ended, told = run(spec, folder)
    assert isinstance(ended, Completed), ended
    results = SdsResults(folder)
    metrics = results.metrics()
    assert metrics is not None
    return results, told, metrics


def failed(spec: SdsSpec, folder: Path) -> Failed:
    ended, _ = run(spec, folder)
    assert isinstance(ended, Failed)
    assert ended.cause, ended.detail
    return ended


def of(told: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def test_everything_is_written_and_can_be_read(make: Make, tmp_path: Path) -> None:
    truth = write_map(tmp_path / "truth.mrc", blob(0.4, BOX), PIXEL)
    spec = make(volumes="each", only=(2, 5, 9), half_sets=True, truth=str(truth))
    results, told, metrics = completed(spec, tmp_path / "run")

    assert results.prepared().images.shape == (COUNT, BOX, BOX)
    entries = results.averages()["images"]
    assert [entry["row"] for entry in entries] == list(range(1, COUNT + 1))
    assert sorted(results.starts()) == [1, 2]
    assert [facts["seed"] for facts in results.starts().values()] == [1, 2]
    tournament = results.tournament()
    assert tournament is not None
    assert (tournament["starts"], np.shape(tournament["correlation"])) == (2, (2, 2))
    consensus = results.consensus()
    assert consensus.density.shape == (BOX,) * 3
    np.testing.assert_allclose(consensus.voxel_size_A, PIXEL, rtol=1e-5)
    np.testing.assert_allclose(consensus.origin_A, -PIXEL * (BOX // 2), rtol=1e-5)
    halves = results.halves()
    assert halves is not None
    assert not np.array_equal(halves[0].density, halves[1].density)
    table = results.poses()
    assert table.poses.rotations.shape == (COUNT, 3, 3)
    assert ((table.confidence > 0) & (table.confidence <= 1.0001)).all()
    assert (tmp_path / "run" / "results" / "poses.star").is_file()

    volumes = results.volumes()
    assert sorted(volumes) == [2, 5, 9]
    for facts in volumes.values():
        assert {"seed", "seconds", "seconds_projector", "seconds_denoiser", "correlation"} <= set(facts)
        assert facts["correlation"] > 0.9
    landscape = results.landscape()
    assert landscape is not None
    assert list(landscape.images) == [2, 5, 9]

    assert (metrics["kind"], metrics["volumes"]) == ("sds", 3)
    assert {"prepare", "starts", "consensus", "half sets", "volumes", "landscape"} <= set(metrics["seconds"])
    assert metrics["fsc_truth"]["aligned"] is True
    reference = read_volume(results.folder / "reference.mrc")
    assert reference.density.shape == (BOX,) * 3
    assert np.corrcoef(reference.density.ravel(), consensus.density.ravel())[0, 1] > 0.7
    np.testing.assert_allclose(table.correlation, _correlations(results), atol=1e-3)
    assert metrics["correlation"]["median"] == pytest.approx(np.median(table.correlation), abs=1e-6)
    assert {"frequency_per_A", "correlation", "sentence"} <= set(metrics["fsc_half"])
    assert metrics["agreement"] == tournament
    assert 0 < metrics["confidence"]["median"] <= 1.0001

    roles = {event.role for event in of(told, Result)}
    assert roles >= {
        "prepared", "averages", "start", "tournament", "consensus", "poses", "projections", "half map",
        "volume", "landscape", "metrics",
    }  # fmt: skip
    for event in of(told, Result):
        assert (tmp_path / "run" / event.path).is_file(), event
    assert all(0 <= event.done <= event.total for event in of(told, Progress))
    shown = of(told, MapSnapshot)
    assert shown
    assert np.load(tmp_path / "run" / shown[-1].path).shape == (BOX,) * 3
    assert len(list((tmp_path / "run" / "snapshots").glob("map_*.npy"))) <= 8
    residuals = np.load(tmp_path / "run" / of(told, ImagesSnapshot)[-1].path)
    expected = results.prepared().images - results.projections().images
    np.testing.assert_allclose(residuals, expected, atol=1e-5)


def _correlations(results: SdsResults) -> list[float]:
    """Of the images with their projections, inside the mask."""
    disc = soft_disc(BOX, results.averages()["mask_radius_px"]) > 0.5
    pairs = zip(results.prepared().images, results.projections().images, strict=True)
    return [float(np.corrcoef(a[disc], b[disc])[0, 1]) for a, b in pairs]


def test_projections_are_of_the_consensus_at_the_poses(make: Make, tmp_path: Path) -> None:
    results, _, metrics = completed(make(), tmp_path / "run")
    poses = results.poses().poses
    seen = project(
        torch.from_numpy(results.consensus().density),
        torch.from_numpy(poses.rotations).float(),
        shifts_px=torch.from_numpy(poses.shifts_A / PIXEL).float(),
    ).numpy()
    prepared, projections = results.prepared().images, results.projections().images
    centre = np.hypot(*np.indices((BOX, BOX)) - BOX // 2) < 7
    for a, b, image in zip(seen, projections, prepared, strict=True):
        # another projector, which blurs a little
        assert np.corrcoef(a[centre], b[centre])[0, 1] > 0.995
        # one scale for maps and images
        assert np.std(b[centre]) == pytest.approx(np.std(image[centre]), rel=0.35)
    assert metrics["volumes"] == 0
    assert (results.landscape(), results.halves()) == (None, None)
    assert "fsc_half" not in metrics


def _state(folder: Path) -> dict[str, int]:
    found = [*folder.glob("results/volumes/*"), *folder.glob("results/tournament/*")]
    return {path.name: path.stat().st_mtime_ns for path in found}


def test_a_killed_run_goes_on_and_computes_nothing_twice(make: Make, tmp_path: Path) -> None:
    spec = make(volumes="each", only=(1, 3, 4))
    whole, _, expected = completed(spec, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def die(event: Event) -> None:
        if isinstance(event, Result) and event.role == "volume" and event.path.endswith("0003.mrc"):
            raise Killed

    with pytest.raises(Killed):
        runner.run(spec, RunDir.create(tmp_path / "killed", spec), die)
    before = _state(tmp_path / "killed")
    assert sum(name.startswith("volume_") for name in before) == 4  # two pairs

    results, told, metrics = completed(spec, tmp_path / "killed")
    made = [event.path for event in of(told, Result) if event.role in ("start", "volume")]
    assert made == ["results/volumes/volume_0004.mrc"]
    after = _state(tmp_path / "killed")
    assert {name: after[name] for name in before} == before
    assert any("2 volumes were finished before" in event.message for event in of(told, Notice))
    assert metrics | {"seconds": 0} == expected | {"seconds": 0}
    # and to the last bit what the run that was left alone made: same seed, same result
    assert np.array_equal(results.consensus().density, whole.consensus().density)
    for image in (1, 3, 4):
        assert np.array_equal(results.volume(image).density, whole.volume(image).density)
    with pytest.raises(RunError, match="finished run"):
        RunDir.create(tmp_path / "killed", spec)


def test_a_run_cancelled_early_keeps_its_starts(make: Make, tmp_path: Path) -> None:
    stop = False

    def watch(event: Event) -> None:
        nonlocal stop
        stop = stop or (isinstance(event, Result) and event.role == "start")

    spec = make()
    ended = runner.run(spec, RunDir.create(tmp_path / "run", spec), watch, cancel=lambda: stop)
    assert isinstance(ended, WasCancelled)
    before = _state(tmp_path / "run")
    assert sorted(before) == ["start_001.json", "start_001.mrc"]
    assert SdsResults(tmp_path / "run").metrics() is None
    results, _, _ = completed(spec, tmp_path / "run")
    after = _state(tmp_path / "run")
    assert {name: after[name] for name in before} == before
    first, second = (results.start(number).density for number in (1, 2))
    assert not np.allclose(first, second)


# ---- the paper's way ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(averages: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, float], str]:
    """A denoiser's file for a box and a mask; it has learned nothing."""
    folder = tmp_path_factory.mktemp("weights")

    def save(box: int, mask_radius_px: float) -> str:
        path = folder / f"denoiser_{box}_{mask_radius_px:g}.safetensors"
        torch.manual_seed(0)
        denoiser = build_denoiser("small", box, mask_radius_px)
        card = ImageDenoiserCard("small", box, PIXEL, mask_radius_px)
        save_image_denoiser(path, denoiser.state_dict(), card)
        load_image_denoiser(path)
        return str(path)

    return save


def test_the_papers_way_without_poses(
    make: Make, tmp_path: Path, weights: Callable[[int, float], str]
) -> None:
    settings = sds_preset("paper").settings
    short = settings["distillation"].model_copy(update={"steps": 3, "views_first": 2, "views_last": 4})
    file = weights(BOX, 10.0)
    spec = make(
        **settings | {"distillation": short}, only=(1, 2, 3), denoiser=TrainedDenoiser(weights=file),
        averages={"mask_diameter_A": 2 * 10.0 * PIXEL},
    )  # fmt: skip
    results, told, metrics = completed(spec, tmp_path / "run")
    assert sorted(results.volumes()) == [1, 2, 3]
    assert results.consensus().density.shape == (BOX,) * 3
    assert not results.has("poses.csv")
    assert metrics["agreement"]["starts"] == 1
    assert results.landscape() is not None
    assert {event.role for event in of(told, Result)} >= {"start", "consensus", "volume", "landscape"}


def test_the_papers_way_with_the_closed_form(make: Make, tmp_path: Path) -> None:
    """A volume is anchored to its own average, as seen along z, from nothing."""
    spec = make(
        start="nothing", refine_rounds=0, restarts=1, volumes="each", only=(4,),
        distillation={"steps": 15, "views_first": 6, "views_last": 12},
    )  # fmt: skip
    results, _, _ = completed(spec, tmp_path / "run")
    assert results.volumes()[4]["correlation"] > 0.95
    seen = results.volume(4).density.sum(axis=0)
    disc = np.hypot(*np.indices((BOX, BOX)) - BOX // 2) < 8
    assert np.corrcoef(seen[disc], results.prepared().images[3][disc])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("box", "radius", "words"), [(32, 10.0, "32 pixels.*box has 24"), (24, 6.0, "mask of 48 Å")]
)
def test_a_denoiser_for_other_images_is_refused(
    make: Make, tmp_path: Path, weights: Callable[[int, float], str], box: int, radius: float, words: str
) -> None:
    spec = make(
        volumes="each", denoiser=TrainedDenoiser(weights=weights(box, radius)),
        averages={"mask_diameter_A": 2 * 10.0 * PIXEL},
    )  # fmt: skip
    ended = failed(spec, tmp_path / "run")
    assert ended.cause == "PriorError"
    assert re.search(words, ended.message), ended.message
    assert not (tmp_path / "run" / "results" / "tournament").exists()  # said before computing


# ---- symmetry -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def symmetric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    points = asymmetric_points(BOX, 3, count=9)
    body = blob_map(np.concatenate([points @ g.T for g in point_group("D2")]), BOX)
    return write_averages(tmp_path_factory.mktemp("symmetric") / "classes.mrcs", body)


def test_a_symmetric_particle(make: Make, tmp_path: Path, symmetric: Path) -> None:
    spec = make(averages={"file": str(symmetric)}, symmetry="D2", volumes="each", only=(1,), restarts=1)
    results, _, metrics = completed(spec, tmp_path / "run")
    assert metrics["symmetry"] == "D2"
    for found in (results.consensus(), results.volume(1)):
        assert self_correlation(found.density, "D2") > 0.98
    assert results.volumes()[1]["correlation"] > 0.9


def test_without_a_pose_the_axes_are_nowhere_known(make: Make, tmp_path: Path, symmetric: Path) -> None:
    """A class average that is no view along an axis must not be made to look like one."""
    spec = make(
        averages={"file": str(symmetric)}, symmetry="D2", start="nothing", refine_rounds=0, restarts=1,
        volumes="each", only=(1, 2), distillation={"steps": 25, "views_first": 6, "views_last": 12},
    )  # fmt: skip
    results, _, _ = completed(spec, tmp_path / "run")
    assert min(facts["correlation"] for facts in results.volumes().values()) > 0.98


# ---- what the user is told ------------------------------------------------------------------------


def test_few_images_have_no_half_sets(make: Make, tmp_path: Path) -> None:
    spec = make(half_sets=True, restarts=1, averages={"select": (1, 2, 3, 4, 5)})
    results, _, metrics = completed(spec, tmp_path / "run")
    assert results.halves() is None
    assert metrics["notes"] == ["5 class averages are too few for half sets."]


@pytest.mark.parametrize(
    ("changes", "cause", "words"),
    [
        ({"averages": {"select": (3, 4)}}, "InputError", "Only 2 class averages are used.*at least 3"),
        (
            {"volumes": "each", "only": (2, COUNT + 1), "restarts": 1},
            "SpecError",
            "image 13, but 12 are used",
        ),
    ],
)
def test_impossible_wishes(
    make: Make, tmp_path: Path, changes: dict[str, Any], cause: str, words: str
) -> None:
    ended = failed(make(**changes), tmp_path / "run")
    assert ended.cause == cause
    assert re.search(words, ended.message), ended.message


def test_starts_that_differ_are_warned_of(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)

    def noise(setting: Any, images: Any, seed: int, label: str) -> Any:
        return torch.from_numpy(rng.random((BOX,) * 3, np.float32)) * setting.mask, 0.5

    monkeypatch.setattr(sds_consensus, "_searched", noise)
    _, told, metrics = completed(make(restarts=3), tmp_path / "run")
    assert metrics["agreement"]["agree"] == 0
    warnings = [event.message for event in of(told, Notice) if event.level == "warning"]
    assert any("None of the 3 starts agrees" in message for message in warnings)
