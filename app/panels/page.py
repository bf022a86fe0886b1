"""What fills the middle of the window and obeys its keys."""

from __future__ import annotations

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from app.style import Theme


class Page(QWidget):
    """A page of the middle; what a page has no use for does nothing."""

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""

    def reset_view(self) -> None:
        """Show everything, from the first direction."""

    def look_along_z(self) -> None:
        """Look along z."""

    def step(self, step: int) -> None:
        """Go to the next or previous thing."""

    def toggle_colouring(self) -> None:
        """Change what the colours mean."""

    def screenshot(self) -> QImage:
        """What is shown, as a picture."""
        return self.grab().toImage()

    def release(self) -> None:
        """Give back what holds graphics memory."""
