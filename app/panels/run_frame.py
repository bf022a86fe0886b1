"""What the run panels of all modes share: a page of settings, what Run will do, Run, Cancel, progress."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.forms import LABEL_WIDTH
from app.panels.plan import PlanNotes, PresetChoice
from app.panels.words import Words


class RunFrame(QWidget):
    """Setters and signals without logic; a mode's panel fills the page.

    Parameters
    ----------
    title : the heading.
    verb : what the button says.
    parent : Qt owner.
    """

    run_wanted = Signal()
    cancel_wanted = Signal()
    pause_wanted = Signal()
    other_wanted = Signal()
    banner_dropped = Signal()
    folder_wanted = Signal()
    next_wanted = Signal()
    preset_chosen = Signal(str)

    def __init__(self, title: str, parent: QWidget | None = None, *, verb: str = "Run") -> None:
        super().__init__(parent)
        self._running = False
        self._verb = verb
        title_label = QLabel(title)
        title_label.setObjectName("heading")
        self._page = QWidget()
        self._page.setObjectName("page")
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.presets = PresetChoice()
        self.presets.chosen.connect(self.preset_chosen)
        self.notes = PlanNotes()
        self._sentence = words_label("")
        self._reason = words_label("warning")
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setFixedHeight(8)
        self._progress.setAccessibleName("Progress of the run")
        self._status = words_label("muted")
        self.next_button = QPushButton()
        self.next_button.clicked.connect(self.next_wanted)
        self.next_button.hide()
        self.run_button = QPushButton(verb)
        self.run_button.setObjectName("primary")
        self.run_button.clicked.connect(self.run_wanted)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop after the current step; what is finished is kept (Esc)")
        self.cancel_button.clicked.connect(self.cancel_wanted)
        self._banner = QWidget()
        self._banner_words = words_label("banner")
        self._banner_drop = QPushButton("Don't fork")
        self._banner_drop.setToolTip("Run makes an ordinary run again; the settings stay")
        self._banner_drop.clicked.connect(self.banner_dropped)
        banner_row = QHBoxLayout(self._banner)
        banner_row.setContentsMargins(0, 0, 0, 0)
        banner_row.addWidget(self._banner_words, 1)
        banner_row.addWidget(self._banner_drop)
        self._banner.hide()
        self.pause_button = QPushButton()
        self.pause_button.clicked.connect(self.pause_wanted)
        self.other_button = QPushButton("Another…")
        self.other_button.setAccessibleName("Prepare another run")
        self.other_button.setToolTip(
            "Leave this run going and prepare another, which waits in the queue. "
            "The project's tree shows both; Enter there watches one again (Ctrl+Shift+N)"
        )
        self.other_button.clicked.connect(self.other_wanted)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 1)
        for button in (self.pause_button, self.cancel_button, self.other_button):
            buttons.addWidget(button)
        self._folder = QLineEdit()
        self._folder.setReadOnly(True)
        self._folder.setAccessibleName("Folder in which run folders are made")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 4, 4, 8)
        layout.addWidget(title_label)
        layout.addWidget(self._banner)
        layout.addWidget(self.presets)
        layout.addWidget(self._scroll, 1)
        for part in (
            self._sentence,
            self.notes,
            self._reason,
            self._status,
            self._progress,
            self.next_button,
        ):
            layout.addWidget(part)
        layout.addLayout(buttons)
        self.set_progress(None, "")
        RunFrame.set_running(self, False)
        RunFrame.retint(self)

    def set_page(self, page: QWidget) -> None:
        """Put the settings in."""
        self._page = page
        self._scroll.setWidget(page)

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self.run_button.setIcon(style.icon("run", style.current_theme().accent_text))
        self.cancel_button.setIcon(style.icon("stop"))
        self.set_pause(str(self.pause_button.property("pause") or ""))

    def set_pause(self, pause: str) -> None:
        """Show whether the run is asked to pause (``pausing``), waits (``paused``), or neither."""
        self.pause_button.setText("Go on" if pause else "Pause")
        self.pause_button.setIcon(style.icon("run" if pause else "pause"))
        tip = (
            "Go on where it was paused"
            if pause
            else "Wait after the current step and let others have the device; everything is kept"
        )
        self.pause_button.setToolTip(f"{tip} (Ctrl+P)")
        self.pause_button.setProperty("pause", pause)

    def show_banner(self, text: str) -> None:
        """Say what Run will make that is no ordinary run; empty text for an ordinary one."""
        self._banner_words.setText(text)
        self._banner.setVisible(bool(text))

    def set_queueing(self, queueing: bool) -> None:
        """Say whether a run would have to wait for others."""
        self.run_button.setText("Add to queue" if queueing else self._verb)

    def show_folder(self, folder: str) -> None:
        """Show where runs are written."""
        self._folder.setText(folder)
        self._folder.setToolTip(f"Each run makes a new folder in {folder}")

    def show_plan(self, sentence: str, reason: str) -> None:
        """Say what Run will do, or why it can't."""
        self._sentence.setText(sentence)
        self._sentence.setVisible(bool(sentence) and not reason)
        self._reason.setText(reason)
        self._reason.setVisible(bool(reason) and not self._running)
        self.notes.setVisible(not reason and not self._running)
        self.run_button.setEnabled(not reason and not self._running)
        self.run_button.setToolTip(reason or "Start the run (Ctrl+R)")

    def set_running(self, running: bool, cancelling: bool = False) -> None:
        """Show whether a job is running."""
        self._running = running
        self._page.setEnabled(not running)
        self.presets.setEnabled(not running)
        self.notes.setVisible(not running and not self._reason.text())
        self.run_button.setVisible(not running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(running and not cancelling)
        for button in (self.pause_button, self.other_button):
            button.setVisible(running)
            button.setEnabled(running and not cancelling)
        self.cancel_button.setText("Cancelling…" if cancelling else "Cancel")
        if running:
            self._reason.hide()
            self.offer("")

    def set_progress(self, share: float | None, status: str) -> None:
        """Show progress in [0, 1], -1 for busy, None for nothing, and a line of words."""
        self._progress.setVisible(share is not None)
        if share is not None:
            self._progress.setRange(0, 0 if share < 0 else 1000)
            if share >= 0:
                # setValue would repaint at once, and with it the whole window.
                self._progress.setUpdatesEnabled(False)
                self._progress.setValue(round(share * 1000))
                self._progress.setUpdatesEnabled(True)
        self._status.setText(status)
        self._status.setVisible(bool(status))

    def offer(self, text: str, tip: str = "") -> None:
        """Offer the next step as a button; empty text takes it away."""
        self.next_button.setText(text)
        self.next_button.setToolTip(tip)
        self.next_button.setVisible(bool(text))

    def _folder_row(self) -> QHBoxLayout:
        button = QPushButton("Change…")
        button.setToolTip("Choose the folder in which run folders are made")
        button.clicked.connect(self.folder_wanted)
        row = QHBoxLayout()
        row.addWidget(self._folder, 1)
        row.addWidget(button)
        return row


class FileRow(QWidget):
    """A file's name, and a button to choose another.

    Parameters
    ----------
    what : the file in words, for screen readers, e.g. ``Weights of the prior``.
    clearable : whether there may be none.
    """

    wanted = Signal()
    cleared = Signal()

    def __init__(self, what: str, *, clearable: bool = False) -> None:
        super().__init__()
        self.path = ""
        self._name = QLineEdit()
        self._name.setReadOnly(True)
        self._name.setPlaceholderText("no file chosen")
        self._name.setAccessibleName(what)
        button = QPushButton("Browse…")
        button.setAccessibleName(f"Choose: {what}")
        button.clicked.connect(self.wanted)
        self._clear = QPushButton("Clear")
        self._clear.setAccessibleName(f"Clear: {what}")
        self._clear.clicked.connect(self.cleared)
        self._clearable = clearable
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._name, 1)
        layout.addWidget(button)
        layout.addWidget(self._clear)
        self.show_path("")

    def show_path(self, path: str) -> None:
        """Show a file; empty shows that there is none."""
        self.path = path
        self._name.setText(path.replace("\\", "/").rsplit("/", 1)[-1])
        self._name.setToolTip(path)
        self._clear.setVisible(self._clearable and bool(path))


def words_label(name: str) -> QLabel:
    """A line of words that wraps, in the style of ``name``."""
    return Words(name)


def form_label(text: str) -> QLabel:
    """The label of a row, as wide as those of the forms."""
    label = QLabel(text)
    label.setMinimumWidth(LABEL_WIDTH)
    return label


def rule() -> QFrame:
    """A thin line between groups of settings."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    line.setStyleSheet("background: palette(mid); border: none;")
    return line
