from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from app.main_window import MainWindow
from app.panels.lasso import Group, inside
from tests.app import sds_run
from tests.app.conftest import spin

IMAGES = 8


@pytest.fixture
def shown(window: MainWindow, tmp_path: Path) -> MainWindow:
    """A window that shows a run of eight volumes, its landscape on top."""
    window.open_run(sds_run.write_sds(tmp_path / "run", images=IMAGES, box=20, starts=2))
    panel = window.sds_panels.landscape
    spin(lambda: len(panel.coordinates) == IMAGES)
    window.tabs.setCurrentWidget(panel)
    spin(panel.plot.isVisible)
    return window


def drag_around(window: MainWindow, members: list[int]) -> None:
    """Draw a box around some points, with the mouse."""
    plot = window.sds_panels.landscape.plot
    viewport, points = plot.widget.viewport(), plot._points[members]
    places = [plot.item.vb.mapViewToScene(QPointF(float(x), float(y))) for x, y in points]
    seen = [plot.widget.mapFromScene(place) for place in places]
    left, right = min(p.x() for p in seen) - 7, max(p.x() for p in seen) + 7
    top, bottom = min(p.y() for p in seen) - 7, max(p.y() for p in seen) + 7
    corners = [QPoint(left, top), QPoint(right, top), QPoint(right, bottom), QPoint(left, bottom)]
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=corners[0])
    for corner in corners[1:]:
        QTest.mouseMove(viewport, corner)
        QCoreApplication.processEvents()
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=corners[-1])


def test_inside_follows_the_even_odd_rule() -> None:
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
    points = np.array([[1, 1], [3, 1], [-1, 1], [1.9, 0.1], [1, 3]], float)
    assert inside(points, square).tolist() == [True, False, False, True, False]
    # turned around, the same; a bow tie's middle belongs to it only once
    assert inside(points, square[::-1]).tolist() == [True, False, False, True, False]
    assert not inside(points, square[:2]).any()
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    cloud = np.random.default_rng(0).uniform(-1.5, 1.5, (500, 2))
    radius = np.linalg.norm(cloud, axis=1)
    clear = np.abs(radius - 1) > 0.01
    np.testing.assert_array_equal(inside(cloud, circle)[clear], (radius < 1)[clear])


def test_a_lasso_makes_a_group_that_can_be_undone(shown: MainWindow) -> None:
    panel = shown.sds_panels.landscape
    panel._lasso.click()
    drag_around(shown, [0, 1])
    assert len(panel.groups) == 1
    assert {0, 1} <= set(panel.groups[0].members)
    assert panel.group_list.isVisible()
    drag_around(shown, [IMAGES - 1])
    assert [g.name for g in panel.groups] == ["Group 1", "Group 2"]
    panel.group_list.renamed.emit(1, "open")
    assert panel.groups[1].name == "open"
    shown.history.undo()
    assert panel.groups[1].name == "Group 2"
    shown.history.undo()
    shown.history.undo()
    assert panel.groups == ()
    assert panel.group_list.isHidden()
    shown.history.redo()
    assert [g.name for g in panel.groups] == ["Group 1"]


def test_a_click_with_the_lasso_picks_nothing(shown: MainWindow) -> None:
    panel, picked = shown.sds_panels.landscape, []
    panel.volume_chosen.connect(picked.append)
    panel._lasso.click()
    drag_around(shown, [2])
    assert picked == []
    panel._draw.click()
    assert not panel._lasso.isChecked(), "one tool at a time"


def test_a_group_becomes_a_selection_and_a_table(shown: MainWindow, tmp_path: Path) -> None:
    panel = shown.sds_panels.landscape
    panel.set_groups((Group("ends", (0, 7)),))
    asked = []
    panel.place_chosen.connect(lambda point, between: asked.append((point, between)))
    panel.group_list.mean_wanted.emit(0)
    np.testing.assert_allclose(asked[0][0], panel.coordinates[[0, 7]].mean(0))
    shown.dialogs.save_as = lambda *_: tmp_path / "ends.csv"
    panel.group_list.file_wanted.emit(0)
    spin((tmp_path / "ends.csv").exists)
    with open(tmp_path / "ends.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.reader(handle))
    assert rows == [["image", "row_in_file", "group"], ["1", "1", "ends"], ["8", "8", "ends"]]
    panel.group_list.averages_wanted.emit(0)
    assert shown.modes.mode == "sds"
    averages = shown.modes.averages
    spin(lambda: averages.state in ("ready", "problem"))
    assert averages._wanted == (1, 8) or averages.selected.nonzero()[0].tolist() == [0, 7]


def test_groups_come_back_with_their_run(shown: MainWindow, tmp_path: Path) -> None:
    panel, feature = shown.sds_panels.landscape, shown.features["landscape_groups"]
    panel._lasso.click()
    drag_around(shown, [0, 1])
    kept, state = panel.groups, feature.state()
    other = sds_run.write_sds(tmp_path / "other", images=IMAGES, box=20, starts=2)
    shown.open_run(other)
    spin(lambda: shown.run_view.stored is not None and shown.run_view.stored.folder == other)
    assert panel.groups == ()
    feature.restore(state)
    shown.open_run(tmp_path / "run")
    spin(lambda: panel.groups == kept)
    feature.restore({"runs": {"x": "nonsense"}})
    feature.restore({})
