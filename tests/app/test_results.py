from __future__ import annotations

from pathlib import Path

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtWidgets import QToolButton

from app.measures import (
    Measure,
    as_text,
    error_sentence,
    fsc_of,
    measures_of,
    number,
    reliability_of,
    remarks_of,
    truth_of,
)
from app.number_fields import ChoiceBox
from app.panels.export import ExportDialog
from app.panels.plots import EnergyPlot, FscPlot, SpreadPlot
from app.panels.quality_plots import BoxPlot, ReliabilityPlot, SpreadErrorPlot
from app.panels.results import ResultsPanel
from app.run_files import load_run
from app.run_view import duration
from app.settings import Settings
from app.snapshots import load_points
from engine.errors import VerglasError
from engine.io.ensemble import write_ensemble
from engine.types import Ensemble, Frame

RELIABILITY = {
    "stated": [0.2, 0.8], "observed": [0.1, 0.5], "factor": 2.0, "spread_A": [1.0, 2.0],
    "error_A": [2.0, 4.5], "points": 100,
}  # fmt: skip
METRICS = {
    "frame": {"centre_A": [0, 0, 0], "scale_A": 50.0},
    "truth": {"path": "/x/t.pdb", "name": "t.pdb", "notes": ["Waters dropped."]},
    "per_sample": {"rmsd_points_A": [3.0, 4.0], "chamfer": [0.05, 0.07], "energy": [0.001, 0.003]},
    "fsc": {
        "frequency_per_A": [0.01, 0.02, 0.03],
        "correlation": [1.0, 0.7, None],
        "resolution_0p5_A": 31.0,
        "nyquist_A": 8.0,
    },
}


def test_measures_have_units_and_spread() -> None:
    rows = {m.label: m for m in measures_of(METRICS)}
    assert rows["RMSD, points, aligned"].mean_text == "3.50 ± 0.71 Å"
    assert rows["RMSD, points, aligned"].range_text == "3.00 – 4.00"
    assert rows["Chamfer × 100, relative"].values == (5.0, pytest.approx(7.0))
    # 0.002 of the squared half-size of 50 Å
    assert rows["Misfit to the evidence"].mean_text.startswith("5.00 ±")
    assert rows["Misfit to the evidence"].unit == "Å²"
    assert len(rows) == 3
    table = as_text(list(rows.values())).splitlines()
    assert table[0].split("\t") == ["Measure", "Unit", "Sample 1", "Sample 2"]
    assert len(table) == 4


def test_without_a_truth_nothing_is_claimed() -> None:
    assert measures_of({}) == []
    assert fsc_of({}) is None
    assert truth_of({"truth": None}) == ""
    assert fsc_of({"fsc": {"problem": "No FSC: the map is too small."}}) is None
    assert remarks_of({"fsc": {"problem": "No FSC."}}) == ["No FSC."]


def test_the_stated_error_is_said_in_a_sentence_and_judged_before_the_spread() -> None:
    error = {"share": 0.9, "median_A": 8.0, "within_A": 9.27}
    assert error_sentence({"stated_error": error}) == (
        "90 % of the points should lie within 9.3 Å of their mean place in the ensemble."
    )
    judged = {**RELIABILITY, "factor": 1.02, "share_within": 0.914}
    metrics = {"stated_error": {**error, "reliability": judged}, "reliability": RELIABILITY}
    assert error_sentence(metrics).endswith("in the ensemble; against the reference, 91 % do.")
    assert reliability_of(metrics).sentence == "The stated error is honest"
    assert reliability_of({"reliability": RELIABILITY}).sentence == "Errors are 2.00 × the stated spread"
    assert error_sentence({}) == error_sentence({"stated_error": {"within_A": None}}) == ""


def test_misfit_is_told_in_stated_errors_and_what_does_not_fit_is_flagged() -> None:
    misfit = {
        "names": ["view 1", "view 2"], "stated_A": 0.5, "fitted_A": [0.5, 3.0], "flagged_above": 4.0,
        "chi_square": [[1.0, 30.0], [1.2, 42.0]],
    }  # fmt: skip
    rows = measures_of({"misfit": misfit})
    assert [r.label for r in rows] == ["Misfit, 1 as stated", "⚠ Misfit of view 2"]
    assert rows[0].values == (15.5, 21.6)
    assert rows[1].values == (30.0, 42.0)
    assert "view 1 1.10" in rows[0].help
    assert "pose" in rows[1].help
    assert len(measures_of({"misfit": {**misfit, "flagged_above": 50.0}})) == 1
    assert measures_of({"misfit": {**misfit, "chi_square": [[1.0]]}}) == []


def test_fsc_says_where_it_falls() -> None:
    frequency, correlation, title = fsc_of(METRICS)
    assert title == "Falls below 0.5 at 31.0 Å"
    assert np.isnan(correlation[2])
    assert len(frequency) == 3
    open_end = {"fsc": METRICS["fsc"] | {"resolution_0p5_A": None}}
    assert fsc_of(open_end)[2] == "Above 0.5 to 8.0 Å"


def test_the_panel_shows_what_there_is(qtbot) -> None:
    panel = ResultsPanel()
    qtbot.addWidget(panel)
    panel.show()
    assert not panel.export_button.isEnabled()
    panel.show_summary("done", exportable=True, has_folder=False)
    panel.show_measures(measures_of(METRICS))
    panel.show_fsc(fsc_of(METRICS))
    panel.show_spread(np.abs(np.random.default_rng(0).normal(size=200)))
    panel.show_reliability(None)
    assert panel.shown_plots() == ["FSC", "Samples", "Spread"]
    assert panel.fsc.isVisible()
    panel.show_reliability(reliability_of({"reliability": RELIABILITY}))
    assert panel.shown_plots() == ["FSC", "Samples", "Spread", "Reliability", "Error"]
    assert panel.export_button.isEnabled()
    panel.show_fsc(None)
    assert panel.shown_plots()[0] == "Samples"
    assert panel.boxes.isVisible()
    panel.clear()
    assert not panel.export_button.isEnabled()
    assert panel.shown_plots() == []


def test_every_sample_is_in_the_plot_and_boxes_need_five(qtbot) -> None:
    plot = BoxPlot()
    qtbot.addWidget(plot)
    plot.set_measures(measures_of(METRICS))
    assert plot.table()[1] == [("RMSD, points, aligned", 1, 3.0), ("RMSD, points, aligned", 2, 4.0)]

    def bars() -> int:
        return sum(isinstance(item, pg.BarGraphItem) for item in plot.item.items)

    assert bars() == 0, "quartiles of two samples would mean nothing"
    plot.set_measures([Measure("RMSD", "Å", (1.0, 2.0, 3.0, 4.0, 5.0)), Measure("Chamfer", "", (1.0,))])
    box = next(item for item in plot.item.items if isinstance(item, pg.BarGraphItem))
    assert (bars(), box.opts["y0"], box.opts["y1"]) == (1, [2.0], [4.0])
    assert plot.rendered("csv").decode().splitlines()[0] == "measure,sample,value_A"


def test_reliability_is_said_in_words_and_drawn_with_its_diagonal(qtbot) -> None:
    found = reliability_of({"reliability": RELIABILITY})
    assert found.sentence == "Errors are 2.00 × the stated spread"
    assert reliability_of({"reliability": RELIABILITY | {"factor": 1.04}}).sentence == "The spread is honest"
    assert reliability_of({}) is None
    assert reliability_of({"reliability": {"problem": "All samples are the same."}}) is None
    assert reliability_of({"reliability": RELIABILITY | {"observed": [0.1]}}) is None
    for plot in (ReliabilityPlot(), SpreadErrorPlot()):
        qtbot.addWidget(plot)
        plot.set_reliability(found)
        assert any(isinstance(item, pg.InfiniteLine) for item in plot.item.items)
        assert len(plot.table()[1]) == 2
        plot.set_reliability(None)
        assert plot.table()[1] == []


def test_a_plot_is_saved_from_its_button_which_is_not_in_the_picture(qtbot, monkeypatch) -> None:
    plot = SpreadPlot()
    qtbot.addWidget(plot)
    plot.set_spread(np.linspace(1, 3, 50))
    plot.resize(400, 300)
    plot.show()
    asked = []
    monkeypatch.setattr(plot, "_menu", asked.append)
    button = plot.findChild(QToolButton)
    assert button.accessibleName() == "Save this plot"
    assert button.geometry().right() < plot.widget.width()
    button.click()
    assert len(asked) == 1
    assert b"<image" not in plot.rendered("svg")
    assert button.isVisible()


def test_energies_are_drawn_against_falling_noise(qtbot) -> None:
    plot = EnergyPlot()
    qtbot.addWidget(plot)
    for step, sigma in enumerate((1.0, 0.5, 0.1), 1):
        plot.add(step, sigma, {"view 1": 9.0 * sigma, "map": 4.0, "bad": float("nan")})
    plot.redraw()
    assert set(plot.values) == {"view 1", "map"}
    assert plot.item.vb.xInverted()
    x, y = plot.item.listDataItems()[0].getOriginalDataset()
    np.testing.assert_allclose(x, [1.0, 0.5, 0.1])
    np.testing.assert_allclose(y, [9.0, 4.5, 0.9])
    assert "σ" in plot.item.getAxis("bottom").labelText
    assert "Å²" in plot.item.getAxis("left").labelText
    # The next batch begins with high noise again: the curve is interrupted, not drawn back.
    plot.add(1, 1.0, {"view 1": 8.0, "map": 4.0})
    assert np.isnan(plot.values["view 1"][3][1])
    plot.clear()
    assert plot.item.listDataItems() == []


def test_energies_are_drawn_over_those_to_be_expected_and_in_square_angstroms(qtbot) -> None:
    plot = EnergyPlot()
    qtbot.addWidget(plot)
    for step, sigma in enumerate((1.0, 0.5, 0.1), 1):
        plot.add(step, sigma, {"view 1": 9.0 * sigma, "map": 4.0}, {"view 1": 3.0, "map": 8.0})
    plot.redraw()
    assert plot.relative
    curves = plot.item.listDataItems()
    np.testing.assert_allclose(curves[0].getOriginalDataset()[1], [3.0, 1.5, 0.3])
    np.testing.assert_allclose(curves[1].getOriginalDataset()[1], 0.5)
    assert "expected" in plot.item.getAxis("left").labelText
    assert plot.table()[1][0] == ("view 1", 1.0, 9.0, 3.0)
    plot.unit.setCurrentIndex(1)
    np.testing.assert_allclose(curves[0].getOriginalDataset()[1], [9.0, 4.5, 0.9])
    assert "Å²" in plot.item.getAxis("left").labelText
    # a run that doesn't say what is to be expected has one unit only
    plot.clear()
    plot.add(1, 1.0, {"view 1": 9.0})
    plot.redraw()
    assert not plot.relative
    assert plot.unit.isHidden()


def test_maximum_likelihood_is_drawn_against_steps(qtbot) -> None:
    plot = EnergyPlot()
    qtbot.addWidget(plot)
    for step in range(1, 4):
        plot.add(step, 0.0, {"view 1": 10.0 / step})
    plot.redraw()
    assert [x for x, _ in plot.values["view 1"]] == [1, 2, 3]
    assert not plot.item.vb.xInverted()
    assert plot.item.getAxis("bottom").labelText == "Step"


def test_plots_take_odd_values(qtbot) -> None:
    spread, fsc = SpreadPlot(), FscPlot()
    qtbot.addWidget(spread)
    qtbot.addWidget(fsc)
    spread.set_spread(np.full(10, np.nan))
    spread.set_spread(np.zeros(10))
    fsc.set_curve(np.array([0.1, 0.2]), np.array([np.nan, np.nan]), "")
    assert fsc.item.listDataItems()


def test_the_export_dialog_fits_the_suffix_and_checks_the_folder(qtbot, tmp_path: Path) -> None:
    formats = {"pdb": (".pdb", "For ChimeraX."), "mrc": (".mrc", "A map."), "csv": (".csv", "A table.")}
    dialog = ExportDialog(formats, tmp_path, "ensemble", 7.0, None)
    qtbot.addWidget(dialog)
    assert dialog.wish().path == tmp_path / "ensemble.pdb"
    assert dialog.wish().resolution_A is None
    dialog.choose("mrc", tmp_path / "map.mrc")
    assert dialog.wish().path == tmp_path / "map.mrc"
    assert dialog.wish().resolution_A == 14.0
    assert dialog.wish().voxel_size_A == pytest.approx(3.5)
    assert dialog.can_export
    dialog.choose("csv", tmp_path / "none" / "x.csv")
    assert not dialog.can_export


def test_b_factors_are_chosen_for_models_only(qtbot, tmp_path: Path) -> None:
    formats = {"pdb": (".pdb", "For ChimeraX."), "csv": (".csv", "A table.")}
    kinds = [("Spread between samples", "spread"), ("Stated error", "error")]
    dialog = ExportDialog(formats, tmp_path, "ensemble", 7.0, None, values=kinds)
    qtbot.addWidget(dialog)
    box = dialog.findChildren(ChoiceBox)[2]
    assert [box.itemText(i) for i in range(box.count())] == ["Spread between samples", "Stated error"]
    assert not box.isHidden()
    assert dialog.wish().b_factors == "spread"
    box.setCurrentIndex(1)
    assert dialog.wish().b_factors == "error"
    dialog.choose("csv", tmp_path / "e.csv")
    assert box.isHidden()
    assert dialog.wish().b_factors == "spread"


def test_an_ensemble_opens_on_its_own(tmp_path: Path) -> None:
    points = np.zeros((2, 5, 3), np.float32)
    frame = Frame((0.0, 0.0, 0.0), 10.0)
    ensemble = Ensemble(points, "posterior", frame, np.zeros((2, 0), np.float32), (), np.zeros(2, np.int64))
    write_ensemble(tmp_path / "e.npz", ensemble)
    run = load_run(tmp_path / "e.npz")
    assert run.ensemble.points_A.shape == (2, 5, 3)
    assert run.spec is None
    with pytest.raises(VerglasError):
        load_run(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY broken", b"PK\x03\x04"])
def test_a_broken_snapshot_is_an_error_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.npy"
    path.write_bytes(content)
    with pytest.raises(VerglasError):
        load_points(path)
    np.save(path, np.zeros((4, 3)))
    with pytest.raises(VerglasError):
        load_points(path)


def test_recent_runs_are_few_exist_and_the_newest_is_first(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "w.ini")
    folders = [tmp_path / f"run{i}" for i in range(14)]
    for folder in folders:
        folder.mkdir()
        settings.add_recent_run(folder)
    settings.add_recent_run(folders[5])
    again = Settings(tmp_path / "w.ini")
    assert again.recent_runs()[0] == folders[5]
    assert len(again.recent_runs()) == 10
    folders[5].rmdir()
    assert folders[5] not in again.recent_runs()


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_keep_what_matters() -> None:
    shown = [number(v) for v in (123.456, 12.344, 1.2341, 0.012341, 0.0)]
    assert shown == ["123.5", "12.34", "1.23", "0.0123", "0.00"]
    assert number(float("nan")) == "–"
