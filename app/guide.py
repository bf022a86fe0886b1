"""The user guide, shown in a window of its own beside the work."""

from __future__ import annotations

from importlib import resources
from typing import Any

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QImage, QTextDocument
from PySide6.QtWidgets import QTextBrowser, QWidget

FIGURE_WIDTH = 700


def guide_text() -> str:
    """The guide that comes with Verglas, Markdown."""
    return (resources.files("resources") / "help" / "guide.md").read_text(encoding="utf-8")


class Guide(QTextBrowser):
    """A page to read; it closes with its parent and can stay open while working.

    Parameters
    ----------
    parent : the main window.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.Window)
        self.setWindowTitle("Verglas user guide")
        self.setOpenExternalLinks(True)
        self.document().setDocumentMargin(24)
        # figures are named relative to the guide
        with resources.as_file(resources.files("resources") / "help") as folder:
            self.document().setBaseUrl(QUrl.fromLocalFile(f"{folder}/"))
        self.resize(820, 760)
        self.setMarkdown(guide_text())

    def loadResource(self, kind: int, name: QUrl | str, /) -> Any:
        """What the page names; figures fitted to the page."""
        found = super().loadResource(kind, name)
        url = QUrl(name)
        if kind != QTextDocument.ResourceType.ImageResource.value or not url.isLocalFile():
            return found
        image = QImage(url.toLocalFile())
        if image.width() > FIGURE_WIDTH:
            image = image.scaledToWidth(FIGURE_WIDTH, Qt.TransformationMode.SmoothTransformation)
        return image
