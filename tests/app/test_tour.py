"""The tour points at what it speaks of, goes by keys alone, and comes by itself only once."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.main_window import MainWindow
from app.tour import STEPS


def test_the_tour(window: MainWindow) -> None:
    tour = window.features["tour"]
    window.activateWindow()
    QTest.qWaitForWindowActive(window)
    assert tour.spotlight is None  # never by itself
    assert 5 <= len(STEPS) <= 7
    tour.start_if_new()
    light = tour.spotlight
    assert light.isVisible()
    for size in ((1280, 800), (2200, 1100)):
        window.resize(*size)
        QCoreApplication.processEvents()
        for number, step in enumerate(STEPS):
            assert tour.number == number
            target = step.target(window)
            assert target.isVisible()
            assert light.hole.contains(target.mapTo(window, target.rect().center()))
            assert light.rect().contains(light.callout.geometry())
            assert light.hole.intersected(light.callout.geometry()).height() < 0.4 * light.hole.height() or (
                number == 3
            )
            if number + 1 < len(STEPS):
                QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Right)
        for _ in STEPS:
            QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Left)
    # Tab stays inside
    for _ in range(4):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        assert light.isAncestorOf(QApplication.focusWidget())
    # keys of the window do nothing beneath
    mode = window.modes.mode
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    assert window.modes.mode == mode
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    assert not light.isVisible()
    tour.start_if_new()
    assert not light.isVisible()
    # to its end with Enter
    tour.start()
    for _ in STEPS:
        light.next.setFocus()
        QTest.keyClick(light.next, Qt.Key.Key_Return)
    assert not light.isVisible()
