"""A place for a widget that is made when it is first seen or asked for, or when there is time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

Kind = TypeVar("Kind", bound=QWidget)


class Late(QWidget, Generic[Kind]):
    """Holds one widget, which fills it.

    Parameters
    ----------
    make : makes the widget; it is handed over.
    """

    def __init__(self, make: Callable[[], Kind], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make = make
        self._widget: Kind | None = None
        self._waiting: list[Callable[[Kind], None]] = []
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)

    @property
    def made(self) -> Kind | None:
        """The widget, if it has been made."""
        return self._widget

    @property
    def widget(self) -> Kind:
        """The widget."""
        if self._widget is None:
            self._widget = widget = self._make()
            self._box.addWidget(widget)
            if self.isVisible():
                widget.show()
                self._box.activate()
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                then(widget)
        return self._widget

    def once_made(self, then: Callable[[Kind], None]) -> None:
        """Call ``then(widget)``, now or once there is one."""
        if self._widget is not None:
            then(self._widget)
        else:
            self._waiting.append(then)

    def showEvent(self, event: QShowEvent) -> None:
        """Be there when it is seen."""
        super().showEvent(event)
        self.widget  # noqa: B018 - makes it
