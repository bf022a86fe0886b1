"""The whole window by keyboard and by name: every control says what it is and can be reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QAccessible, QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QScrollBar,
    QTextBrowser,
    QTextEdit,
    QWidget,
)

from app.main_window import MainWindow
from app.panels.export import ExportDialog
from app.panels.keep_prior import KeepDialog
from app.panels.mode_switch import MODES
from app.style import DARK, LIGHT, Theme
from tests.app.conftest import spin

CONTROLS = (
    QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractSlider, QAbstractItemView, QTextEdit,
    QPlainTextEdit,
)  # fmt: skip
ENOUGH = 4.5  # WCAG 2, AA


def luminance(colour: str) -> float:
    c = QColor(colour)
    parts = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in c.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_words_stand_out_from_what_is_behind(theme: Theme) -> None:
    for name in ("text", "muted", "accent", "warning", "error", "good"):
        for ground in (theme.window, theme.surface):
            assert contrast(getattr(theme, name), ground) >= ENOUGH, (name, ground)
    assert contrast(theme.accent_text, theme.accent) >= ENOUGH


def part_of_another(widget: QWidget) -> bool:
    """The line of a spin box or combo box, the buttons of a tab bar, headers and corners of tables."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QAbstractSpinBox | QComboBox | QAbstractItemView | QLineEdit):
            return True
        if isinstance(parent, QMenu):
            return True  # pyqtgraph's own menus, which are never shown
        if type(parent).__name__ in ("QTabBar", "QMenuBar", "QComboBoxPrivateContainer"):
            return True
        parent = parent.parentWidget()
    return isinstance(widget, QScrollBar)


def controls(root: QWidget) -> Iterator[QWidget]:
    for widget in root.findChildren(QWidget):
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or part_of_another(widget):
            continue
        if isinstance(widget, CONTROLS):
            yield widget


def name_of(widget: QWidget) -> str:
    """What a screen reader says: the name, the text, or the label that belongs to it."""
    face = QAccessible.queryAccessibleInterface(widget)
    said = face.text(QAccessible.Text.Name) if face is not None else ""
    return widget.accessibleName() or said


def described(widget: QWidget) -> str:
    where, parent = [type(widget).__name__], widget.parentWidget()
    while parent is not None and len(where) < 4:
        where.append(type(parent).__name__)
        parent = parent.parentWidget()
    return f"{' < '.join(where)} {widget.toolTip()[:50]!r}"


def nameless(root: QWidget) -> list[str]:
    """Those without; a button that is hidden gets its text with what it is for."""
    found = {described(w) for w in controls(root) if not name_of(w).strip()}
    hidden = {described(w) for w in root.findChildren(QAbstractButton) if w.isHidden() and not name_of(w)}
    return sorted(found - hidden)


def group_of(widget: QWidget) -> set[QWidget]:
    """Itself, and what the arrow keys lead to from it: the buttons of a choice of one."""
    group = widget.group() if isinstance(widget, QAbstractButton) else None
    return {widget, *group.buttons()} if group is not None and group.exclusive() else {widget}


def walk(root: QWidget) -> set[QWidget]:
    """All that Tab leads to, once round; fails where it stays."""
    reached: set[QWidget] = set()
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    first, stayed = QApplication.focusWidget(), 0
    for _ in range(600):
        before = QApplication.focusWidget()
        QTest.keyClick(before, Qt.Key.Key_Tab)
        now = QApplication.focusWidget()
        # within a page or a label, Tab goes from link to link
        stayed = stayed + 1 if now is before else 0
        most = 200 if isinstance(now, QTextBrowser) else 3 if isinstance(now, QLabel) else 0
        if stayed and len([w for w in controls(root) if w.isVisible()]) == 1:
            return {now}
        assert stayed <= most, f"Tab stays in {described(before)}"
        reached |= group_of(now)
        if now is first and not stayed:
            return reached
    raise AssertionError(f"Tab never comes round to {described(first)}: {[described(w) for w in reached]}")


def unreached(root: QWidget) -> list[str]:
    reached = walk(root)
    wanted = [
        w for w in controls(root)
        if w.isVisible() and w.isEnabled() and w.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]  # fmt: skip
    proxies = {w.focusProxy() for w in reached}
    return sorted(
        f"{name_of(w)}: {described(w)}"
        for w in wanted
        if w not in reached and w.focusProxy() not in reached | proxies
    )


def test_every_control_of_every_mode_has_a_name_and_is_reached_by_tab(window: MainWindow) -> None:
    window.resize(1440, 900)
    window.activateWindow()
    QTest.qWaitForWindowActive(window)
    assert not nameless(window), "\n".join(nameless(window))
    for mode in MODES:
        window.modes.set_mode(mode)
        QCoreApplication.processEvents()
        window.modes.switch.button(mode).setFocus()
        assert not unreached(window), f"{mode}:\n" + "\n".join(unreached(window))
    # with evidence, all settings and a tab of the project
    next(a for _p, a in window.commands.all() if a.text().startswith("Demo, &points")).trigger()
    spin(lambda: bool(window.session.evidence) and not window.session.checking)
    window.run_panel.advanced.setChecked(True)
    for card in window.inputs.cards.values():
        card._settings.setChecked(True)
    QCoreApplication.processEvents()
    assert not nameless(window), "\n".join(nameless(window))
    window.modes.switch.button("dps").setFocus()
    assert not unreached(window), "\n".join(unreached(window))


def test_every_control_of_other_windows_has_a_name_and_is_reached_by_tab(
    window: MainWindow, tmp_path
) -> None:
    from app.guide import Guide
    from app.panels import convention_doctor, history_list, model_card, run_comparison
    from app.panels.machine import MachineWindow
    from app.panels.shortcut_list import ShortcutList
    from engine.io.export import FORMATS

    dialogs = [
        ExportDialog(dict(FORMATS), tmp_path, "ensemble", 7.0, window),
        KeepDialog("mine", lambda _name: "", window),
        Guide(window), MachineWindow(window, "Verglas"), ShortcutList(window),
        model_card.ModelCard(window), run_comparison.RunComparison(window),
        history_list.HistoryList(window),
        convention_doctor.ConventionPanel(window),
    ]  # fmt: skip
    for dialog in dialogs:
        dialog.show()
        dialog.activateWindow()
        QTest.qWaitForWindowActive(dialog)
        assert not nameless(dialog), "\n".join(nameless(dialog))
        first = next(w for w in controls(dialog) if w.isVisible() and w.isEnabled())
        first.setFocus()
        assert not unreached(dialog), "\n".join(unreached(dialog))
        dialog.close()
        dialog.deleteLater()


def test_focus_is_seen(window: MainWindow) -> None:
    """With the keyboard in it, a control looks different."""
    window.activateWindow()
    QTest.qWaitForWindowActive(window)
    window.modes.set_mode("dps")
    kinds: dict[type, QWidget] = {}
    for widget in controls(window):
        if widget.isVisible() and widget.isEnabled() and widget.width() < 600:
            kinds.setdefault(type(widget), widget)
    elsewhere = window.modes.switch.button("dps")
    unseen = []
    for widget in kinds.values():
        elsewhere.setFocus()
        QCoreApplication.processEvents()
        if widget is elsewhere:
            window.modes.switch.button("dps").clearFocus()
        without = widget.grab().toImage()
        widget.setFocus(Qt.FocusReason.TabFocusReason)
        QCoreApplication.processEvents()
        if widget.grab().toImage() == without:
            unseen.append(described(widget))
    assert not unseen, "\n".join(unseen)
    assert len(kinds) >= 4
