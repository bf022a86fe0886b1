"""The user guide, shown in a window of its own beside the work."""

from __future__ import annotations

from importlib import resources

from PySide6.QtCore import Qt, QUrl
from PySide6.QtWidgets import QTextBrowser, QWidget


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
        self.setMarkdown(guide_text())
        self.resize(820, 760)
