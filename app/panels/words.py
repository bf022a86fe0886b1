"""Lines of words that wrap and are never cut."""

from __future__ import annotations

from PySide6.QtCore import QEvent
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel


class Words(QLabel):
    """A wrapped label that asks for the height of all its lines.

    A layout squeezes a plain wrapped label where room is short, and its first and last lines are cut.

    Parameters
    ----------
    name : object name, which the style knows.
    """

    def __init__(self, name: str = "") -> None:
        self._laid_out = False  # before, its width says nothing
        super().__init__()
        self.setObjectName(name)
        self.setWordWrap(True)

    def setText(self, text: str) -> None:
        """Show a text, which may need another height."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width needs another height."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._laid_out = True
            self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """So does another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        if self._laid_out:
            self.setMinimumHeight(max(0, self.heightForWidth(self.width())))
