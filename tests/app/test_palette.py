"""Ctrl+K finds all commands, by keyboard alone; the list of keys; the guide opens at the fitting place."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib import resources

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.help_menu import HELP, OF_MODE, Help
from app.help_pages import find, page_text, pages, places
from app.main_window import MainWindow
from app.matching import score
from app.palette import Palette, plain
from app.shortcuts import GESTURES, shortcuts


def the(window: MainWindow, kind: type):
    return next(f for f in window.features._all if isinstance(f, kind))


@pytest.mark.parametrize("query", ["exp sel", "selection export", "ets", "export the selection", "EXPORT"])
def test_words_in_any_order_and_initials_fit(query: str) -> None:
    assert score(query, "Export the selection…") > 0
    assert score(query, "Open run") == 0


def test_better_fits_come_first() -> None:
    assert score("run", "Run") > score("run", "Open run…") > score("run", "Prune")
    assert score("qzx", "Export the selection") == 0


def test_all_is_offered_found_and_done_by_keyboard(window: MainWindow) -> None:
    window.activateWindow()
    QTest.qWaitForWindowActive(window)
    palette = the(window, Palette)
    box = palette.box
    palette.open()
    rows = {row.text: row for row in box.rows()}
    for _path, action in window.commands.all():
        if action is not palette.own and action.text() and action.isVisible():
            assert plain(action.text()) in rows
    assert rows["Add files…"].shortcut == "Ctrl+O"
    assert rows["Add files…"].place == "File"
    assert not rows["Cancel"].enabled
    # done by typing and Enter, it comes first afterwards
    QTest.keyClicks(box.line, "dark theme")
    assert box.rows()[0].text == "Dark"
    QTest.keyClick(box.line, Qt.Key.Key_Return)
    assert window.settings.theme == "dark"
    assert not box.isVisible()
    window.choose_theme("system")
    palette.open()
    assert box.rows()[0].text == "Dark"
    # the arrows go round; why something can't be done is said, and it is not done
    QTest.keyClicks(box.line, "cancel")
    box.list.setCurrentRow(0)
    QTest.keyClick(box.line, Qt.Key.Key_Up)
    assert box.list.currentRow() == box.list.count() - 1
    QTest.keyClick(box.line, Qt.Key.Key_Down)
    assert box.list.currentRow() == 0
    assert box.hint.text() == "No run is going on."
    QTest.keyClick(box.line, Qt.Key.Key_Return)
    assert box.isVisible()
    # Esc closes and cancels nothing
    cancelled = []
    window.actions_.cancel.setEnabled(True)
    window.actions_.cancel.triggered.connect(lambda: cancelled.append(1))
    QTest.keyClick(box.line, Qt.Key.Key_Escape)
    assert not box.isVisible()
    assert not cancelled
    # it goes when the keyboard goes elsewhere
    palette.open()
    window.modes.switch.button("sds").setFocus(Qt.FocusReason.MouseFocusReason)
    assert not box.isVisible()
    # a page of the guide
    palette.open()
    QTest.keyClicks(box.line, "when something wrong")
    QTest.keyClick(box.line, Qt.Key.Key_Return)
    assert the(window, Help).guide.page.textCursor().block().text() == "When something is wrong"


def test_keys_are_listed_and_none_is_taken_twice(window: MainWindow) -> None:
    taken = defaultdict(list)
    for path, action in window.commands.all():
        for key in action.shortcuts():
            taken[key.toString()].append(f"{path}/{action.text()}")
    for button in window.modes.switch.buttons():
        taken[button.shortcut().toString()].append(button.text())
    assert not {key: names for key, names in taken.items() if len(names) > 1}
    titles = [action.text() for action in window.menuBar().actions()]
    letters = [title[title.index("&") + 1].lower() for title in titles if "&" in title]
    assert len(letters) == len(titles) == len(set(letters)), titles
    the(window, Help).show_shortcuts()
    shown = the(window, Help).list
    rows = shown.rows()
    assert len(rows) == len(shortcuts(window))
    assert ("Run", "Ctrl+R", "Run") in rows
    assert all((g.group, g.keys, g.what) in rows for g in GESTURES)
    QTest.keyClicks(shown.line, "zoom")
    assert [row[2] for row in shown.rows()] == ["Zoom"]


def test_help_opens_at_what_the_panel_in_use_is_about(window: MainWindow) -> None:
    named = {str(w.property(HELP)) for w in window.findChildren(QWidget) if w.property(HELP)}
    assert len(named) >= 6
    for link in named | set(OF_MODE.values()):
        assert find(link) is not None, link
    help_ = the(window, Help)
    assert help_.place_for(window.inputs.findChild(QWidget)) == "guide.md#what-to-give"
    help_.show_context()
    guide = help_.guide
    assert guide.isVisible()
    # links, back and forward, search
    other = next(p for p in places() if p.file != guide.file)
    guide.follow(other.key)
    assert guide.file == other.file
    guide.back_button.click()
    assert guide.file == "guide"
    guide.forward_button.click()
    assert guide.file == other.file
    guide.follow("guide.md#runs")
    assert guide.page.textCursor().block().text() == "Runs"
    assert guide.page.verticalScrollBar().value() > 0
    guide.search.setText("STAR")
    assert guide.found.text().endswith("found")
    first = guide.page.textCursor().position()
    guide.find_next()
    assert guide.page.textCursor().position() != first
    guide.search.setText("no such thing at all")
    assert guide.found.text() == "Not on this page"


def test_links_of_the_guide_lead_somewhere() -> None:
    folder = resources.files("resources") / "help"
    for name in pages():
        for link in re.findall(r"(?<!!)\[[^]]*\]\(([^)]+)\)", page_text(name)):
            if not link.startswith(("http", "mailto")):
                assert find(link, here=name) or (folder / link).is_file(), f"{name}: {link}"
