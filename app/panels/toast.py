"""Small cards at the lower right corner of the window that tell of what has ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPropertyAnimation, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QEnterEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsOpacityEffect,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.style import Theme

WIDTH = 360
GAP = 10
FADE_MS = 400
STRIPE = 5
_BREAKS = re.compile(r"([_./\\-])(?=\w)")  # where long names of files may go on in the next line


@dataclass(frozen=True)
class Button:
    """What a card offers: its word, and what happens."""

    text: str
    slot: Callable[[], object]


class Toast(QFrame):
    """A card: title, sentence, buttons. It never takes the keyboard by itself.

    Parameters
    ----------
    title : what has happened.
    sentence : and more about it.
    buttons : what can be done about it; using one takes the card away.
    level : ``good``, ``warning``, ``error`` or ``accent``, the colour of its edge.
    parent : the window.
    """

    gone = Signal(object)

    def __init__(
        self, title: str, sentence: str, buttons: Sequence[Button], level: str, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setObjectName("toast")
        self.title, self.sentence, self.level = title, sentence, level
        self.setAccessibleName(title)
        self.setAccessibleDescription(sentence)
        self.setFixedWidth(WIDTH)
        heading = QLabel(title)
        heading.setObjectName("title")
        heading.setWordWrap(True)
        self._close = QToolButton()
        self._close.setIconSize(QSize(14, 14))
        self._close.setAccessibleName(f"Close: {title}")
        self._close.setToolTip("Close")
        self._close.clicked.connect(lambda _checked=False: self.dismiss())
        top = QHBoxLayout()
        top.addWidget(heading, 1)
        top.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        text = QLabel(_BREAKS.sub("\\1\u200b", sentence))
        text.setObjectName("muted")
        text.setWordWrap(True)
        text.setTextFormat(Qt.TextFormat.PlainText)
        heading.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        row.addStretch(1)
        self.buttons: list[QPushButton] = []
        for button in buttons:
            made = QPushButton(button.text)
            made.setAccessibleName(f"{button.text}: {title}")
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            made.clicked.connect(lambda _checked=False, slot=button.slot: self._use(slot))
            row.addWidget(made)
            self.buttons.append(made)
        self._close.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        layout = self._layout = QVBoxLayout(self)
        layout.setContentsMargins(14 + STRIPE, 10, 10, 10)
        layout.setSpacing(6)
        layout.addLayout(top)
        layout.addWidget(text)
        if self.buttons:
            layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._fade)
        self._stay_ms = 0
        self._fading: QPropertyAnimation | None = None
        self.set_theme(style.current_theme())

    def appear(self, seconds: float) -> None:
        """Show it for some seconds (0: until it is closed), and say it aloud where a screen reader runs."""
        self._stay_ms = round(seconds * 1000)
        self.setFixedHeight(self._layout.totalHeightForWidth(WIDTH))
        self.show()
        self.raise_()
        if self._stay_ms:
            self._timer.start(self._stay_ms)
        said = QAccessibleAnnouncementEvent(self, f"{self.title}. {self.sentence}")
        if self.level == "error":
            said.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
        QAccessible.updateAccessibility(said)

    def dismiss(self) -> None:
        """Go away at once."""
        self._timer.stop()
        if self._fading is not None:
            self._fading.stop()
        self.hide()
        self.gone.emit(self)
        self.deleteLater()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._stripe = QColor(getattr(theme, self.level))
        self._close.setIcon(style.icon("close", theme.muted))
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Who points at it is reading: it stays."""
        self._timer.stop()
        if self._fading is not None:
            self._fading.stop()
            self._fading = None
            self.setGraphicsEffect(None)  # type: ignore[arg-type]
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Go on counting."""
        if self._stay_ms:
            self._timer.start(self._stay_ms)
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The frame, and an edge in the colour of what it tells."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._stripe)
        painter.drawRoundedRect(4, 6, STRIPE, self.height() - 12, 2, 2)

    def _use(self, slot: Callable[[], object]) -> None:
        self.dismiss()
        slot()

    def _fade(self) -> None:
        if any(button.hasFocus() for button in (*self.buttons, self._close)):
            self._timer.start(self._stay_ms)
            return
        effect = QGraphicsOpacityEffect(self)
        self.setGraphicsEffect(effect)
        self._fading = QPropertyAnimation(effect, b"opacity", self)
        self._fading.setDuration(FADE_MS)
        self._fading.setStartValue(1.0)
        self._fading.setEndValue(0.0)
        self._fading.finished.connect(self.dismiss)
        self._fading.start()
