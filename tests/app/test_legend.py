"""Legends, whole numbers on axes, and what turns to the user by itself."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QCoreApplication

from app.panels.legend import emptiest
from app.panels.plots import EnergyPlot
from app.panels.sds_plots import FitPlot
from app.style import LIGHT

TOP_RIGHT, TOP_LEFT, BOTTOM_LEFT, BOTTOM_RIGHT = (1, 0), (0, 0), (0, 1), (1, 1)


def test_a_legend_goes_where_few_curves_pass_and_stays_there() -> None:
    along = np.linspace(0, 1, 50)
    top, falling = np.stack([along, 0.1 + 0 * along], 1), np.stack([along, along], 1)
    assert emptiest(np.zeros((0, 2)), 0.3, 0.3, TOP_RIGHT) == TOP_RIGHT
    assert emptiest(top, 0.3, 0.3, TOP_RIGHT) == BOTTOM_RIGHT
    assert emptiest(top, 0.3, 0.3, BOTTOM_LEFT) == BOTTOM_LEFT
    assert emptiest(np.concatenate([top, falling]), 0.3, 0.3, TOP_RIGHT) == BOTTOM_LEFT
    few = np.concatenate([top, falling, np.full((1, 2), 0.95)])
    assert emptiest(few, 0.3, 0.3, BOTTOM_LEFT) == BOTTOM_LEFT


def test_the_energies_legend_leaves_the_curves_alone(qtbot) -> None:
    plot = EnergyPlot()
    qtbot.addWidget(plot)
    plot.resize(390, 600)
    plot.show()
    plot.set_theme(LIGHT)
    for step, sigma in enumerate(np.geomspace(1, 0.1, 12), 1):  # high on the right, as σ falls
        plot.add(step, float(sigma), {"map": 500.0, "view 1": 500.0 - 20 * step, "view 2": 1.0 + 10 * step})
    plot.redraw()
    QCoreApplication.processEvents()
    plot.redraw()
    legend = plot.item.legend
    box = plot.item.vb.mapRectFromItem(legend, legend.boundingRect())
    height = plot.item.vb.size().height()
    assert box.top() > height / 3  # both upper curves run along the top


def test_images_are_counted_in_whole_numbers(qtbot) -> None:
    plot = FitPlot()
    qtbot.addWidget(plot)
    plot.set_values(np.array([0.9, 0.95, 0.97]))
    plot.make()
    axis = plot.item.getAxis("bottom")
    ticks = [value for _spacing, values in axis.tickValues(0.5, 3.5, 300) for value in values]
    assert sorted(set(ticks)) == [1, 2, 3]
