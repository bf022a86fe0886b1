"""What was measured, by resolution and by place: the plot, slices and surfaces that show it."""

from __future__ import annotations

import numpy as np
import pytest

from app.fourier_coverage import coverage_of, words_of
from app.panels.fourier_coverage import FourierCoveragePlot, resolution
from app.surfaces import Density, isosurface, show
from app.viewers.slices import SlicesView
from tests.app import known_poses_run, sds_run


def test_the_plot_holds_what_the_file_says(qapp) -> None:
    content = known_poses_run.coverage_json()
    found = coverage_of(content)
    assert found is not None
    plot = FourierCoveragePlot()
    plot.set_coverage(found)
    plot.make()
    names, rows = plot.table()
    assert list(names[:4]) == [
        "frequency_per_A",
        "resolution_A",
        "Share measured",
        "Share of power from the prior",
    ]
    table = np.array(rows, float)
    np.testing.assert_allclose(table[:, 0], content["frequency_per_A"])
    np.testing.assert_allclose(table[:, 0] * table[:, 1], 1)
    np.testing.assert_allclose(table[:, 2], content["measured"])
    np.testing.assert_allclose(table[:, 3], content["supplied_power"])
    assert np.isnan(table[0, 5])  # null in the file
    assert len(plot.item.listDataItems()) == 4
    assert plot.accessibleDescription() == known_poses_run.SENTENCE
    assert [resolution(f) for f in (0.0, 0.05, 0.1, 0.3)] == ["", "20", "10", "3.33"]
    plot.deleteLater()


@pytest.mark.parametrize(
    "spoilt",
    [
        {},
        {"frequency_per_A": "x", "measured": [1], "supplied_power": [1]},
        {"frequency_per_A": [0.1, 0.2], "measured": [1.0], "supplied_power": [0.0, 0.1]},
        {"frequency_per_A": [0.0], "measured": [1.0], "supplied_power": [0.0]},
        {"frequency_per_A": [None], "measured": [1.0], "supplied_power": [0.0]},
    ],
)
def test_spoilt_files_show_nothing(spoilt: dict) -> None:
    assert coverage_of(spoilt) is None


def test_half_measured_is_the_last_shell_before_the_first_gap() -> None:
    content = {"frequency_per_A": [0.01, 0.02, 0.03, 0.04], "measured": [1.0, 0.6, 0.4, 0.9],
               "supplied_power": [0.0] * 4}  # fmt: skip
    found = coverage_of(content)
    assert found is not None
    assert found.half_measured_A() == pytest.approx(50)
    assert "50 Å" in words_of(found)
    fsc = {"fsc_truth_measured": [1.0, 0.9, 0.8, 0.7], "fsc_truth_unmeasured": [0.0, 0.5, 0.4, 0.3]}
    judged = coverage_of(content | fsc)
    assert judged is not None
    one, other = judged.fsc.values()
    assert np.isfinite(one).all()
    assert np.isnan(other[0])  # all of that shell was measured
    none = coverage_of(content | {"measured": [0.1] * 4})
    assert none is not None
    assert none.half_measured_A() == float("inf")
    assert "No shell" in words_of(none)


def test_slices_turn_orange_where_nothing_was_measured(qapp) -> None:
    values = np.ones((6, 6, 6), np.float32)
    share = np.zeros((6, 6, 6), np.float32)
    share[:, :, 3:] = 1
    view = SlicesView()
    view.show_density(Density(values, 1.0), (0.0, 1.0), tint=Density(share, 1.0))
    pixels = view.pixels(0)
    assert (pixels[:, :3] == 255).all()  # measured: as without the tint
    red, green, blue = pixels[0, 5]
    assert red > green > blue
    view.show_density(Density(values, 1.0), (0.0, 1.0), tint=Density(share[:4], 1.0))
    assert view.pixels(0).ndim == 2  # another grid: nothing is said
    view.deleteLater()


def test_surfaces_carry_the_values_of_the_map_that_colours_them() -> None:
    density = Density(sds_run.body(24), 2.0)
    fraction = Density(known_poses_run.fraction_of(density.values), 2.0)
    surface = isosurface(density, 0.5, colour_by=fraction)
    expected = (surface.vertices[:, 2] / 2.0 + 12) / 23
    np.testing.assert_allclose(surface.values, expected, atol=1e-4)
    assert show(density, 0.05, colour_by=fraction).fine.values is not None
