"""The middle of the window for images of a running job, e.g. samples of a denoiser in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout

from app import style
from app.panels.page import Page
from app.style import Theme
from app.viewers.picture_grid import MOST, PictureGrid

ROLES = {
    "samples": "Images drawn from the denoiser, out of noise alone",
    "projections": "Projections of the volume",
    "residuals": "Class averages less the volume's projections",
}


class ImagesPage(Page):
    """A grid of pictures with a caption."""

    screenshot_wanted = Signal()

    def __init__(self, parent: Page | None = None) -> None:
        super().__init__(parent)
        self.grid = PictureGrid()
        self.grid.setAccessibleName("Images of the run")
        self._title, self._caption = QLabel(), QLabel()
        self._title.setObjectName("title")
        self._caption.setObjectName("muted")
        self._shot = QToolButton()
        self._shot.setToolTip("Save a picture (Ctrl+Shift+S)")
        self._shot.setAccessibleName("Save a picture")
        self._shot.clicked.connect(self.screenshot_wanted)
        bar = QHBoxLayout()
        bar.setContentsMargins(8, 8, 4, 0)
        bar.addWidget(self._title)
        bar.addStretch(1)
        bar.addWidget(self._caption)
        bar.addWidget(self._shot)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(bar)
        layout.addWidget(self.grid, 1)
        self._shot.setIcon(style.icon("screenshot"))

    def show_images(self, images: NDArray[np.float32], role: str, caption: str) -> None:
        """Show (n, y, x) and say what they are."""
        self.grid.set_images(images)
        self._title.setText(ROLES.get(role, role[:1].upper() + role[1:]))
        more = f", the first {MOST} of {len(images)}" if len(images) > MOST else ""
        self._caption.setText(caption + more)

    def set_caption(self, text: str) -> None:
        """A short line beside the title."""
        self._caption.setText(text)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.grid.set_theme(theme)
        self._shot.setIcon(style.icon("screenshot"))

    def clear(self) -> None:
        """Show nothing."""
        self.grid.clear()
        self._title.clear()
        self._caption.clear()
