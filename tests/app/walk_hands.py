"""Mouse and keyboard for a walk through the real window, and an album of what it looked like."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QMimeData, QPoint, QPointF, QRect, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage, QWindow
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QLineEdit,
    QMenu,
    QScrollArea,
    QTabWidget,
    QWidget,
)

W = TypeVar("W", bound=QWidget)
LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
KEYS = {
    "enter": Qt.Key.Key_Return, "esc": Qt.Key.Key_Escape, "tab": Qt.Key.Key_Tab, "space": Qt.Key.Key_Space,
    "down": Qt.Key.Key_Down, "home": Qt.Key.Key_Home, "right": Qt.Key.Key_Right,
}  # fmt: skip
MODIFIERS = {
    "ctrl": Qt.KeyboardModifier.ControlModifier, "shift": Qt.KeyboardModifier.ShiftModifier,
    "alt": Qt.KeyboardModifier.AltModifier,
}  # fmt: skip


class Album:
    """Numbered pictures of the screen, and a page that shows them all.

    Parameters
    ----------
    folder : where they are written.
    title : heading of the page.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self.folder, self.title = folder, title
        folder.mkdir(parents=True, exist_ok=True)
        self.pictures: list[tuple[Path, str]] = []

    def add(self, image: QImage, title: str) -> Path:
        """Keep a picture; a blank one is an error."""
        name = "".join(c if c.isalnum() else "_" for c in title.lower()).strip("_")[:60]
        path = self.folder / f"{len(self.pictures) + 1:02d}_{name}.png"
        assert image.save(str(path)), f"{path} can't be written"
        smooth = Qt.TransformationMode.SmoothTransformation
        small = image.scaled(64, 40, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
        colours = {small.pixel(x, y) for x in range(64) for y in range(40)}
        assert len(colours) > 20, f"“{title}” shows hardly anything"
        self.pictures.append((path, title))
        return path

    def write_index(self) -> Path:
        """``index.html`` with every picture and its title."""
        figures = "\n".join(
            f'<figure><a href="{path.name}"><img src="{path.name}" alt=""></a>'
            f"<figcaption>{number}. {html.escape(title)}</figcaption></figure>"
            for number, (path, title) in enumerate(self.pictures, 1)
        )
        page = self.folder / "index.html"
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            "<style>body{font:14px sans-serif;display:grid;gap:16px;padding:16px;"
            "grid-template-columns:repeat(auto-fill,minmax(420px,1fr))}"
            "figure{margin:0}img{width:100%;border:1px solid #888}</style>"
            f"{figures}\n",
            encoding="utf-8",
        )
        return page


class Hands:
    """Does what a user does: every event goes to the window's place on the screen, not to a widget.

    Parameters
    ----------
    window : the main window, shown and active.
    album : keeps the pictures.
    patience : seconds that anything may take.
    hurried : whether pictures may be taken before all is settled; a test has to be quick.
    """

    def __init__(
        self, window: QWidget, album: Album, patience: float = 120.0, *, hurried: bool = False
    ) -> None:
        self.window, self.album, self.patience, self.hurried = window, album, patience, hurried

    # ---- waiting and looking --------------------------------------------------------------------

    def wait(self, until: Callable[[], object], what: str, seconds: float | None = None) -> None:
        """Let the window work until something holds."""
        end = time.monotonic() + (seconds or self.patience)
        while not until():
            assert time.monotonic() < end, f"waited in vain: {what}"
            QApplication.processEvents()
            time.sleep(0.002)

    def pause(self, seconds: float) -> None:
        """Let the window work for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.002)

    def shot(self, title: str, settle: float = 0.9) -> Path:
        """Take a picture of the screen where the window is, with what lies over it."""
        self.pause(0.05 if self.hurried else settle)
        place = self.window.geometry()
        picture = self.window.screen().grabWindow(0, place.x(), place.y(), place.width(), place.height())
        return self.album.add(picture.toImage(), title)

    def find(self, kind: type[W], name: str, within: QWidget | None = None) -> W:
        """The visible widget that a user would call so: by its accessible name or its text."""
        return next(iter(self.find_all(kind, name, within)))

    def find_all(self, kind: type[W], name: str, within: QWidget | None = None) -> list[W]:
        """All visible widgets of that name; there is at least one."""
        every = [w for w in (within or self.window).findChildren(kind) if w.isVisible()]
        found = [w for w in every if name in (w.accessibleName(), _text(w))]
        found = found or [w for w in every if _text(w).startswith(name)]
        there = sorted({_text(w) or w.accessibleName() for w in every})
        assert found, f"no {kind.__name__} “{name}” among {there}"
        return found

    # ---- the mouse ------------------------------------------------------------------------------

    def click(self, widget: QWidget, at: QPoint | None = None, modifier: Qt.KeyboardModifier = PLAIN) -> None:
        """Move there and press; it must be in sight, enabled, and not covered."""
        self.reveal(widget)
        if at is None:
            middle = widget.rect().center()
            at = QPoint(10, middle.y()) if isinstance(widget, QCheckBox) else middle
        top = widget.window()
        place = widget.mapTo(top, at)
        hit = top.childAt(place) or top
        assert hit is widget or widget.isAncestorOf(hit), f"{_name(widget)} is covered by {_name(hit)}"
        assert widget.isEnabled(), f"{_name(widget)} can't be used: {widget.toolTip()}"
        handle = top.windowHandle()
        QTest.mouseMove(handle, place)
        QTest.mouseClick(handle, LEFT, modifier, place)
        QApplication.processEvents()

    def reveal(self, widget: QWidget) -> None:
        """Turn the wheel over the scroll area that holds a widget until it is in sight."""
        area = widget.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is None:
            return
        viewport = area.viewport()
        for _ in range(100):
            place = QRect(widget.mapTo(viewport, QPoint(0, 0)), widget.size())
            above, below = place.top() < 0, place.bottom() > viewport.height()
            if place.height() > viewport.height():
                above = below = not viewport.rect().contains(place.center())
                above = above and place.center().y() < 0
            if not above and not below:
                return
            bar = area.verticalScrollBar()
            before, top = bar.value(), area.window()
            centre = viewport.mapTo(top, viewport.rect().center())
            QTest.wheelEvent(top.windowHandle(), QPointF(centre), QPoint(0, 40 if above else -40))
            QApplication.processEvents()
            if bar.value() == before:
                return

    def drop(self, files: Iterable[Path]) -> None:
        """Drop files in the middle of the window."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in files])
        middle = self.window.rect().center()
        action, copy = Qt.DropAction.CopyAction, Qt.DropAction.CopyAction
        enter = QDragEnterEvent(middle, copy, data, LEFT, PLAIN)
        QApplication.sendEvent(self.window, enter)
        assert enter.isAccepted(), "the window takes no files now"
        QApplication.sendEvent(self.window, QDropEvent(QPointF(middle), action, data, LEFT, PLAIN))
        QApplication.processEvents()

    def choose(self, box: QComboBox, text: str) -> None:
        """Open a list and pick the first entry that says so, with the arrow keys."""
        rows = [i for i in range(box.count()) if text in box.itemText(i)]
        assert rows, f"no “{text}” among {[box.itemText(i) for i in range(box.count())]}"
        self.click(box)
        self.wait(lambda: box.view().isVisible(), f"the list of {_name(box)}")
        for key in ("home", *["down"] * rows[0], "enter"):
            self.keys(key)
        self.wait(lambda: not box.view().isVisible(), "the list closes")
        assert text in box.currentText(), f"{box.currentText()} was chosen instead of {text}"

    def open_tab(self, tabs: QTabWidget, title: str) -> QWidget:
        """Click on a tab."""
        bar = tabs.tabBar()
        index = next(i for i in range(bar.count()) if bar.tabText(i) == title and bar.isTabVisible(i))
        self.click(bar, bar.tabRect(index).center())
        assert tabs.currentIndex() == index, f"the tab {title} did not open"
        return tabs.widget(index)

    def menu_entry(self, menu: QMenu, text: str) -> None:
        """Go down an open menu with the arrow keys, and press Enter."""
        self.wait(menu.isVisible, "the menu")
        actions = [a for a in menu.actions() if a.isVisible() and not a.isSeparator() and a.isEnabled()]
        row = next(i for i, a in enumerate(actions) if a.text().replace("&", "").startswith(text))
        for _ in range(row + 1):
            self.keys("down")
        assert menu.activeAction() is actions[row], f"{text} isn't reached with the arrow keys"
        self.keys("enter")

    def menu_of(self, opens: Callable[[], None], text: str, title: str = "") -> None:
        """Do something that opens a menu, and choose there; ``title`` takes a picture of it."""
        failures: list[BaseException] = []

        def look() -> None:
            menu = QApplication.activePopupWidget()
            if not isinstance(menu, QMenu):
                waiting.start(20)
                return
            try:
                if title:
                    self.shot(title)
                self.menu_entry(menu, text)
            except BaseException as exc:
                failures.append(exc)
                menu.close()

        waiting = QTimer()
        waiting.setSingleShot(True)
        waiting.timeout.connect(look)
        waiting.start(20)
        opens()
        self.wait(lambda: not waiting.isActive(), "the menu")
        if failures:
            raise failures[0]

    def menu_bar(self, menu: str, text: str, title: str = "") -> None:
        """Open a menu of the menu bar with the mouse, and choose with the keys."""
        bar = self.window.menuBar()
        action = next(a for a in bar.actions() if a.text().replace("&", "") == menu)
        self.click(bar, bar.actionGeometry(action).center())
        if title:
            self.shot(title)
        self.menu_entry(action.menu(), text)

    def click_row(self, view: QAbstractItemView, row: int) -> None:
        """Click on an entry of a list."""
        index = view.model().index(row, 0)
        self.click(view.viewport(), view.visualRect(index).center())

    # ---- the keyboard ---------------------------------------------------------------------------

    def keys(self, chord: str) -> None:
        """Press keys together, e.g. ``ctrl+shift+e``, ``]`` or ``enter``; what has the keyboard gets them."""
        *modifiers, key = chord.split("+")
        pressed = PLAIN
        for modifier in modifiers:
            pressed |= MODIFIERS[modifier]
        QTest.keyClick(self._listening(), KEYS.get(key) or Qt.Key(ord(key.upper())), pressed)
        QApplication.processEvents()

    def type_into(self, field: QWidget, text: str) -> None:
        """Click on a field, replace what it holds, and leave it with Tab."""
        self.click(field)
        self.keys("ctrl+a")
        for letter in text:
            QTest.keyClick(self._listening(), letter)
        if isinstance(field, QLineEdit):
            assert field.text() == text, f"{_name(field)} holds {field.text()}, not {text}"
        self.keys("tab")

    def _listening(self) -> QWindow:
        if QGuiApplication.focusWindow() is None:
            # A window manager gives the keyboard back when a dialog closes; there may be none.
            top = QApplication.activeModalWidget() or self.window
            top.activateWindow()
            self.wait(QGuiApplication.focusWindow, "something gets the keyboard", 10)
        return QGuiApplication.focusWindow()

    # ---- dialogs --------------------------------------------------------------------------------

    def in_dialog(self, opens: Callable[[], None], then: Callable[[QDialog], None]) -> None:
        """Do something that opens a modal dialog, and act in it; it must be closed in the end."""
        failures: list[BaseException] = []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, QDialog) or not dialog.isVisible():
                waiting.start(20)
                return
            try:
                dialog.activateWindow()  # as a window manager would
                self.wait(dialog.isActiveWindow, f"the dialog {dialog.windowTitle()}", 10)
                then(dialog)
            except BaseException as exc:
                failures.append(exc)
                dialog.reject()

        waiting = QTimer()
        waiting.setSingleShot(True)
        waiting.timeout.connect(look)
        waiting.start(20)
        opens()
        end = time.monotonic() + 10
        while waiting.isActive() and time.monotonic() < end:
            QApplication.processEvents()
        never = waiting.isActive()
        waiting.stop()
        if failures:
            raise failures[0]
        assert not never, "no dialog came"

    def type_file(self, opens: Callable[[], None], path: Path, title: str = "") -> None:
        """Open a file dialog, type a path and press Enter; ``title`` takes a picture of it."""

        def answer(dialog: QDialog) -> None:
            assert isinstance(dialog, QFileDialog), f"{dialog.windowTitle()} is no file dialog"
            line = dialog.findChild(QLineEdit, "fileNameEdit")
            self.type_into(line, str(path))
            if title:
                self.shot(title)
            self.click(line)
            self.keys("enter")

        self.in_dialog(opens, answer)


def _text(widget: QWidget) -> str:
    text = getattr(widget, "text", None)
    return str(text()).replace("&", "") if callable(text) else ""


def _name(widget: QWidget) -> str:
    return f"{type(widget).__name__} “{widget.accessibleName() or _text(widget) or widget.objectName()}”"
