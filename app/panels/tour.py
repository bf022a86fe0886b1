"""A spotlight on one widget after the other, with a few words about each. Setters and signals only."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app import style

WIDTH = 340
GAP = 14
AROUND = 6
_BACK = (Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_PageUp)
_ON = (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_PageDown)
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Spotlight(QWidget):
    """Lies over the whole window, darker but for one widget.

    Parameters
    ----------
    parent : the window.
    """

    moved = Signal(int)
    ended = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._window = parent
        self._target: QWidget | None = None
        self.setAccessibleName("Tour")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.callout = QFrame(self)
        self.callout.setObjectName("callout")
        self.title = QLabel()
        self.title.setObjectName("heading")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.count = QLabel()
        self.count.setObjectName("muted")
        self.skip = QPushButton("Skip")
        self.back = QPushButton("Back")
        self.next = QPushButton("Next")
        self.next.setObjectName("primary")
        self.skip.clicked.connect(lambda _checked=False: self.ended.emit())
        self.back.clicked.connect(lambda _checked=False: self.moved.emit(-1))
        self.next.clicked.connect(lambda _checked=False: self.moved.emit(1))
        row = QHBoxLayout()
        row.addWidget(self.count, 1)
        for button in (self.skip, self.back, self.next):
            button.installEventFilter(self)
            row.addWidget(button)
        layout = QVBoxLayout(self.callout)
        layout.setContentsMargins(16, 14, 16, 12)
        layout.setSpacing(8)
        layout.addWidget(self.title)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self._layout = layout
        parent.installEventFilter(self)
        self.hide()

    def show_step(self, target: QWidget, title: str, text: str, number: int, of: int) -> None:
        """Point at a widget.

        Parameters
        ----------
        target : the widget, visible.
        title, text : what to say about it.
        number, of : the step, from 0, and how many there are.
        """
        self._target = target
        self.title.setText(title)
        self.text.setText(text)
        self.count.setText(f"{number + 1} of {of}")
        self.back.setEnabled(number > 0)
        self.next.setText("Done" if number + 1 == of else "Next")
        self.setAccessibleDescription(f"{title}. {text}")
        self.next.setAccessibleDescription(f"{title}. {text}")
        self.show()
        self.raise_()
        self._place()
        self.next.setFocus(Qt.FocusReason.OtherFocusReason)

    @property
    def hole(self) -> QRect:
        """What is not dark, in the coordinates of the window."""
        if self._target is None:
            return QRect()
        corner = self._target.mapTo(self._window, QPoint(0, 0))
        around = QRect(corner, self._target.size()).adjusted(-AROUND, -AROUND, AROUND, AROUND)
        return around.intersected(self.rect().adjusted(2, 2, -2, -2))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the window's size; take the keys of the tour before buttons do."""
        kind = event.type()
        if watched is self._window:
            if kind in (QEvent.Type.Resize, QEvent.Type.LayoutRequest) and self.isVisible():
                self._place()
        elif kind == QEvent.Type.ShortcutOverride:
            event.accept()
        elif (
            kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and self._key(event.key(), watched)
        ):
            return True
        return super().eventFilter(watched, event)

    def event(self, event: QEvent) -> bool:
        """No key of the window works beneath."""
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys of the tour."""
        self._key(event.key(), self.next)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab stays within the callout."""
        buttons = [b for b in (self.skip, self.back, self.next) if b.isEnabled()]
        now = next((i for i, b in enumerate(buttons) if b.hasFocus()), -1 if forward else 0)
        buttons[(now + (1 if forward else -1)) % len(buttons)].setFocus(Qt.FocusReason.TabFocusReason)
        return True

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside the callout goes on."""
        self.moved.emit(1)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Darkness with a hole."""
        theme = style.current_theme()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        hole = QPainterPath()
        hole.addRoundedRect(QRectF(self.hole), 8, 8)
        everything = QPainterPath()
        everything.addRect(QRectF(self.rect()))
        painter.fillPath(everything - hole, QColor(0, 0, 0, 170 if theme.dark else 130))
        painter.setPen(QPen(QColor(theme.accent), 2))
        painter.drawPath(hole)

    def _key(self, key: int, where: QObject) -> bool:
        if key == Qt.Key.Key_Escape:
            self.ended.emit()
        elif key in _ON:
            self.moved.emit(1)
        elif key in _BACK:
            self.moved.emit(-1)
        elif key in _ENTER and isinstance(where, QPushButton):
            where.click()
        else:
            return False
        return True

    def _place(self) -> None:
        """The callout beside what it is about, where there is room."""
        self.setGeometry(self._window.rect())
        width = min(WIDTH, self.width() - 2 * GAP)
        self.callout.setFixedSize(width, self._layout.totalHeightForWidth(width))
        size, hole, all_ = self.callout.size(), self.hole, self.rect().adjusted(GAP, GAP, -GAP, -GAP)
        middle = hole.center() - QPoint(size.width() // 2, size.height() // 2)
        corners = (
            QPoint(hole.right() + GAP, middle.y()), QPoint(hole.left() - GAP - size.width(), middle.y()),
            QPoint(middle.x(), hole.bottom() + GAP), QPoint(middle.x(), hole.top() - GAP - size.height()),
        )  # fmt: skip
        best, least = middle, -1
        for corner in corners:
            box = _moved_into(QRect(corner, size), all_)
            covered = box.intersected(hole)
            hidden = covered.width() * covered.height() if not covered.isEmpty() else 0
            if least < 0 or hidden < least:
                best, least = box.topLeft(), hidden
        self.callout.move(_moved_into(QRect(best, size), all_).topLeft())
        self.update()


def _moved_into(box: QRect, all_: QRect) -> QRect:
    x = min(max(box.left(), all_.left()), all_.right() - box.width())
    y = min(max(box.top(), all_.top()), all_.bottom() - box.height())
    return QRect(QPoint(x, y), box.size())
