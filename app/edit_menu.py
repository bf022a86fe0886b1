"""The menu Edit: undo and redo for the whole window, and the list of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QWidget

from app.features import Feature
from app.number_fields import TextValue
from app.panels.history_list import HistoryList

if TYPE_CHECKING:
    from app.main_window import MainWindow

RUNNING = "A run is going on. What it was started with can be changed again when it has ended."
_UNDO, _REDO = QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo


class EditMenu(Feature):
    """Undo and redo, where the user sees what they do."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        history, add = window.history, window.commands.add
        window.commands.menu("&Edit", before="Class averages")
        self._undo = add("&Edit", "&Undo", history.undo, "Ctrl+Z")
        self._redo = add("&Edit", "&Redo", history.redo)
        self._redo.setShortcuts([QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
        self._list: HistoryList | None = None
        add("&Edit", "&History…", self.show_list, "Ctrl+Alt+Z", tip="Go back to any step, or forward again")
        self._field: QWidget | None = None
        history.refusal = lambda: RUNNING if window.monitor.running else ""
        history.place = lambda: window.modes.mode
        history.go = self._go
        history.said.connect(lambda text: window.statusBar().showMessage(text, 10_000))
        for changed in (
            history.indexChanged, history.undoTextChanged, window.monitor.began, window.monitor.ended
        ):  # fmt: skip
            changed.connect(self._refresh)
        application = QApplication.instance()
        assert isinstance(application, QApplication)  # noqa: S101 - for the type checker
        self._application: QApplication = application
        self._application.focusChanged.connect(self._focus_moved)
        self._refresh()

    def show_list(self) -> None:
        """Open the list of steps."""
        if self._list is None:
            self._list = HistoryList(self.window)
            self._list.chosen.connect(self.window.history.go_to)
        self._list.show()
        self._refresh()
        self._list.raise_()
        self._list.activateWindow()

    def close(self) -> None:
        """Leave no hooks behind."""
        self._application.focusChanged.disconnect(self._focus_moved)
        self._watch(None)
        if self._list is not None:
            self._list.close()

    def _refresh(self) -> None:
        history, running = self.window.history, self.window.monitor.running
        for action, verb, possible, words in (
            (self._undo, "&Undo", history.canUndo(), history.undoText()),
            (self._redo, "&Redo", history.canRedo(), history.redoText()),
        ):
            action.setText(f"{verb}: {words.replace('&', '&&')}" if possible else verb)
            action.setEnabled(possible and not running)
            action.setStatusTip(RUNNING if running else "")
        if self._list is not None and self._list.isVisible():
            self._list.show_steps(history.steps(), history.index())
            self._list.set_enabled(not running, RUNNING if running else "")

    def _go(self, mode: str) -> None:
        """Show the mode in which a step was made, or to which it led."""
        if mode and mode != self.window.modes.mode:
            self.window.modes.set_mode(mode)

    # ---- fields have an undo of their own -------------------------------------------------------

    def _focus_moved(self, _old: QWidget | None, now: QWidget | None) -> None:
        history = self.window.history
        history.seal()
        history.typing = isinstance(now, QLineEdit) and self.window.isAncestorOf(now)
        is_field = isinstance(now, QLineEdit | QAbstractSpinBox) and self.window.isAncestorOf(now)
        self._watch(now if is_field else None)

    def _watch(self, field: QWidget | None) -> None:
        if self._field is not None:
            self._field.removeEventFilter(self)
            self._field.destroyed.disconnect(self._forget_field)
        self._field = field
        if field is not None:
            field.installEventFilter(self)
            field.destroyed.connect(self._forget_field)

    def _forget_field(self) -> None:
        self._field = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A field keeps Ctrl+Z to itself only while it has something of its own to take back."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        if event.matches(_UNDO) or event.matches(_REDO):
            return not _pending(watched, redo=event.matches(_REDO))
        return False


def _pending(field: QObject, *, redo: bool) -> bool:
    """Whether a field has something to undo that the window hasn't."""
    if isinstance(field, QAbstractSpinBox):
        # What is typed there counts when it is entered; until then it is the field's.
        line = field.lineEdit()
        entered = field.property("value")
        text = field.textFromValue(entered)  # type: ignore[attr-defined]
        shown = f"{field.prefix()}{text}{field.suffix()}"  # type: ignore[attr-defined]
        entered_is_shown = line.text() in (shown, field.specialValueText())
        return not entered_is_shown and (line.isRedoAvailable() if redo else line.isUndoAvailable())
    if isinstance(field, TextValue):
        # What is typed there is the window's at once, unless it can't be used.
        unused = bool(field.property("invalid"))
        return unused and (field.isRedoAvailable() if redo else field.isUndoAvailable())
    return not (isinstance(field, QLineEdit) and field.isReadOnly())
