from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QImage

from app.panels.landscape import STOPS, LandscapePanel
from app.panels.matches import fitted
from app.panels.sds_plots import AgreementPlot, FscFamilyPlot
from app.panels.training import CLOSED_FORM, NETWORK, TrainingPlots
from app.run_files import has_results, load_last_snapshot, load_run
from app.sds_files import SdsRun, between, load_member, load_sds
from app.sds_measures import (
    agreement_of,
    agreement_sentence,
    as_text,
    baseline_of,
    curves_of,
    rows_of,
    summary_of,
)  # fmt: skip
from engine.events import MapSnapshot
from tests.app import sds_run
from tests.app.conftest import spin

IMAGES, STARTS = 6, 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests only read it."""
    folder = tmp_path_factory.mktemp("sds") / "run"
    return sds_run.write_sds(folder, images=IMAGES, box=24, starts=STARTS)


# ---- files ------------------------------------------------------------------------------------------


def test_a_finished_run_is_read_whole(finished: Path) -> None:
    stored = load_run(finished)
    run = stored.sds
    assert (stored.kind, stored.completed, stored.exportable) == ("sds", True, True)
    assert run.problems == ()
    assert run.count == IMAGES
    assert run.prepared.shape == run.projections.shape == (IMAGES, 24, 24)
    assert list(run.volumes) == list(range(1, IMAGES + 1))
    assert list(run.starts) == list(range(1, STARTS + 1))
    assert set(run.maps) == {"Consensus", "Half map 1", "Half map 2", "Mean of the volumes"}
    assert run.motion.values.shape == run.consensus.values.shape == (24, 24, 24)
    assert run.consensus.voxel_A == run.pixel_size_A == sds_run.PIXEL_A
    np.testing.assert_allclose(load_member(run, 3).values, sds_run.body(24, -0.18), atol=1e-5)


def test_an_interpolated_volume_at_a_member_is_that_member(finished: Path) -> None:
    run = load_run(finished).sds
    found = between(run.landscape, run.landscape.coordinates[2], run.pixel_size_A)
    own, mean = load_member(run, 3).values, run.landscape.mean
    assert np.linalg.norm(found.values - own) < 0.25 * np.linalg.norm(own - mean)


def test_an_unfinished_run_shows_what_is_there(tmp_path: Path) -> None:
    stored = load_run(sds_run.write_sds(tmp_path / "run", images=6, box=20, finished=False))
    run = stored.sds
    assert not stored.completed
    assert stored.exportable
    assert has_results(stored.folder)
    assert list(run.volumes) == [1, 2, 3]
    assert run.landscape is run.projections is run.confidence is None
    assert curves_of(run.metrics) == []
    assert run.problems == ()
    event, values = load_last_snapshot(stored)
    assert isinstance(event, MapSnapshot)
    np.testing.assert_allclose(values, sds_run.body(20, 0.18), atol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["metrics.json", "poses.csv", "landscape.npz", "prepared.mrcs", "tournament.json", "consensus.mrc"],
)
def test_a_damaged_part_is_named_and_the_rest_is_shown(tmp_path: Path, name: str) -> None:
    folder = sds_run.write_sds(tmp_path / "run", images=4, box=16)
    (folder / "results" / name).write_bytes(b"\x00{broken" * 40)
    run = load_run(folder).sds
    assert len(run.problems) >= 1
    assert any(name in problem for problem in run.problems)
    assert len(run.volumes) == 4
    assert summary_of(run)
    assert rows_of(run)


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    run = load_sds(tmp_path)
    assert run.empty
    assert rows_of(run) == []
    assert "No map yet" in summary_of(run)


# ---- measures ---------------------------------------------------------------------------------------


def test_resolution_is_never_bare(finished: Path) -> None:
    run = load_run(finished).sds
    half, truth = curves_of(run.metrics)
    assert (half.threshold, truth.threshold) == (0.143, 0.5)
    rows = {row.label: row.value for row in rows_of(run)}
    assert rows["FSC, half sets"] == sds_run.SENTENCE_HALF
    assert rows["FSC, reference"] == sds_run.SENTENCE_TRUTH
    assert rows["Agreement"] == "3 of 4 starts agree on one map."
    assert "not draws from a posterior" in summary_of(run)
    assert as_text(rows_of(run)).splitlines()[0] == "Measure\tValue"
    silent = {"fsc_half": run.metrics["fsc_half"] | {"sentence": None}}
    (row, *_) = rows_of(SdsRun(run.results, metrics=silent))
    assert "Å" not in row.value


@pytest.mark.parametrize(
    "metrics",
    [
        {"fsc_half": None, "seconds": 3},
        {"fsc_half": {"frequency_per_A": [0, 1], "correlation": [1]}},
        {"fsc_half": {"frequency_per_A": "x", "correlation": None}, "seconds": {"a": None, "b": "c"}},
        {"agreement": [], "notes": "no list"},
        {"motion": {"moves": "yes"}},
    ],
)
def test_metrics_of_another_shape_are_left_out(metrics: dict, tmp_path: Path) -> None:
    assert curves_of(metrics) == []
    assert rows_of(SdsRun(tmp_path, metrics=metrics)) == []


def test_motion_and_time_are_said_as_measured(tmp_path: Path) -> None:
    metrics = {
        "motion": {"moves": True, "left_out_correlation": {"neighbours": 0.954, "all": 0.917}},
        "seconds": {"motion": 20.0, "volumes": 10.0, "volumes_projector": 6.0, "volumes_denoiser": 3.0},
    }
    rows = {row.label: row.value for row in rows_of(SdsRun(tmp_path, metrics=metrics))}
    assert rows["Motion"] == "the particle moves (left out: 0.954 among similar, 0.917 among all)"
    assert rows["Computing time"] == "30 s"
    metrics = {"motion": {"moves": False}}
    rows = {row.label: row.value for row in rows_of(SdsRun(tmp_path, metrics=metrics))}
    assert rows["Motion"] == "no sign of it"


def test_starts_are_sorted_by_group() -> None:
    matrix = np.eye(4).tolist()
    found = agreement_of(
        {"correlation": matrix, "groups": [[2, 4], [3]], "medoid": 4, "agree": 2, "starts": 4}
    )
    assert found.order == (2, 4, 3, 1)
    assert found.edges == (2, 3)
    assert found.sentence == "2 of 4 starts agree."
    assert agreement_sentence({}) == ""
    for bad in ({}, {"correlation": [[1, 2]]}, {"correlation": [["a"]]}, {"correlation": 5}):
        assert agreement_of(bad) is None


def test_baselines_are_sorted_by_noise_level() -> None:
    sigma, error = baseline_of({"x": {"1": 0.3, "0.1": 0.5, "bad": 1, "2": None}}, "x")
    assert sigma.tolist() == [0.1, 1.0]
    assert error.tolist() == [0.5, 0.3]
    assert len(baseline_of({}, "x")[0]) == 0


def test_a_projection_is_fitted_before_it_is_taken_off() -> None:
    image = np.random.default_rng(0).normal(size=(8, 8))
    np.testing.assert_allclose(fitted(3.0 * image - 2.0, image), image, atol=1e-5)
    assert np.isfinite(fitted(np.ones((8, 8)), image)).all()


# ---- plots ------------------------------------------------------------------------------------------


def test_each_curve_has_its_own_threshold(qtbot, finished: Path) -> None:
    plot = FscFamilyPlot()
    qtbot.addWidget(plot)
    plot.set_curves(curves_of(load_run(finished).sds.metrics))
    lines = [item for item in plot.item.items if hasattr(item, "label")]
    assert {(line.value(), line.label.format) for line in lines} == {
        (0.143, "0.143: half sets"), (0.5, "0.5: reference")
    }  # fmt: skip
    assert "1/Å" in plot.item.getAxis("bottom").labelText
    names, rows = plot.table()
    assert names == ("curve", "frequency_per_A", "fsc")
    assert {row[0] for row in rows} == {"Half sets", "Reference"}
    plot.set_curves([])
    assert plot.item.listDataItems() == []


@pytest.mark.parametrize("kind", ["png", "svg", "csv"])
def test_plots_are_saved(qtbot, finished: Path, kind: str) -> None:
    plot = FscFamilyPlot()
    qtbot.addWidget(plot)
    plot.resize(400, 300)
    plot.show()
    plot.set_curves(curves_of(load_run(finished).sds.metrics))
    content = plot.rendered(kind)
    if kind == "png":
        image = QImage.fromData(content)
        assert image.width() == 1600
    elif kind == "svg":
        assert b"<svg" in content
        assert "Spatial frequency" in content.decode()
    else:
        rows = list(csv.reader(io.StringIO(content.decode())))
        assert rows[0] == ["curve", "frequency_per_A", "fsc"]
        assert len(rows) == 1 + 2 * 16


def test_a_click_on_the_heat_map_picks_a_start(qtbot, finished: Path) -> None:
    plot, picked = AgreementPlot(), []
    qtbot.addWidget(plot)
    plot.resize(400, 400)
    plot.show()
    qtbot.waitExposed(plot)
    plot.picked.connect(picked.append)
    plot.set_agreement(agreement_of(load_run(finished).sds.tournament))
    spin(lambda: plot.item.vb.width() > 100)
    place = plot.item.vb.mapViewToScene(QPointF(2.0, 4.0))
    qtbot.mouseClick(plot.widget.viewport(), Qt.MouseButton.LeftButton, pos=plot.widget.mapFromScene(place))
    assert picked == [4]
    assert plot.limits() == (pytest.approx(0.5), 1.0)


def test_training_curves_come_from_metrics(qtbot) -> None:
    plots = TrainingPlots()
    qtbot.addWidget(plots)
    assert plots.add("loss", 10, 0.5)
    assert plots.add("loss", 20, 0.4)
    assert plots.add("loss", 15, 0.45)  # gone on from a checkpoint
    assert plots.loss.values == [(10, 0.5), (15, 0.45)]
    assert plots.add("validation RMSE/σ at σ=0.1", 20, 0.3)
    assert plots.add("validation RMSE/σ at σ=1", 20, 0.2)
    assert not plots.add("stability", 20, 1.0)
    assert not plots.add("loss", 30, float("nan"))
    plots.set_errors(CLOSED_FORM, np.array([0.1, 1.0]), np.array([0.5, 0.1]))
    plots.redraw()
    assert plots.sentence() == "On images kept back, the network does better than the closed form at σ = 0.1."
    assert {row[0] for row in plots.errors.table()[1]} == {NETWORK, CLOSED_FORM}
    plots.clear()
    assert plots.errors.table()[1] == []


def test_a_path_runs_through_its_volumes(qtbot) -> None:
    panel, places = LandscapePanel(), []
    qtbot.addWidget(panel)
    coordinates = np.array([[0, 0, 1], [1, 0, 2], [1, 1, 3]], np.float32)
    panel.place_chosen.connect(lambda point, interpolated: places.append((point, interpolated)))
    panel.set_landscape(coordinates, np.array([0.6, 0.3, 0.1]), np.array([4, 5, 6]))
    chosen = []
    panel.volume_chosen.connect(chosen.append)
    panel._picked(1)
    assert chosen == [5]
    panel._draw.setChecked(True)
    for index in (0, 0, 2):
        panel._picked(index)
    assert chosen == [5]
    assert panel.path == [0, 2]
    panel._draw.setChecked(False)
    np.testing.assert_allclose(places[-1][0], coordinates[0])
    panel._slider.setValue(STOPS - 1)
    np.testing.assert_allclose(places[-1][0], coordinates[2], atol=1e-6)
    panel._how.setCurrentIndex(1)
    panel._place_changed()
    assert places[-1][1] is False
    panel.set_landscape(coordinates, np.array([0.6, 0.3, 0.1]), np.array([4, 5, 6]))
    assert panel.path == [0, 2]  # read again: the same volumes, the path stays
    panel.clear_path()
    assert not panel._play.isEnabled()
    panel.clear()
