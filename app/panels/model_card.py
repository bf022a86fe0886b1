"""The model card of a prior: what it was trained on, how well it does, what it has never seen."""

from __future__ import annotations

import math
import re

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QIcon
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from engine.io.prior_facts import UNSEEN, card_rows, level_errors
from engine.io.prior_library import PriorEntry

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#!~&])")


class ModelCard(QDialog):
    """A page to read; it can stay open while working and shows one prior at a time.

    Parameters
    ----------
    parent : the main window.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.browser = QTextBrowser()
        self.browser.setOpenExternalLinks(True)
        self.browser.setAccessibleName("Model card")
        self.browser.document().setDocumentMargin(16)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())  # black on dark
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.browser, 1)
        layout.addWidget(buttons)
        self.resize(760, 720)

    def show_entry(self, entry: PriorEntry, text: str) -> None:
        """Show a prior; ``text`` is its written card in Markdown, empty if there is none."""
        self.setWindowTitle(f"Model card: {entry.name}")
        self.browser.setMarkdown(markdown(entry, text))
        self.browser.setFont(QFont(self.font()))
        self.browser.moveCursor(self.browser.textCursor().MoveOperation.Start)
        self.show()
        self.raise_()
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)


def markdown(entry: PriorEntry, text: str) -> str:
    """The page; what comes from the file is taken as plain text."""
    parts = [f"# {_plain(entry.name)}"]
    parts.append("Comes with Verglas." if entry.shipped else "A prior of your own.")
    parts.append(_table(("Fact", "Value"), [(what, _plain(value)) for what, value in card_rows(entry)]))
    errors = level_errors(entry)
    if errors:
        parts.append("## How well it denoises")
        parts.append(
            "RMSE/σ on clouds that were kept back: 1 is no denoising, lower is better. A prior knows shapes "
            "by as much as it lies below a filter that knows only the size of a cloud."
        )
        rows = [("This prior", *(f"{level.error:.3f}" for level in errors))]
        if all(math.isfinite(level.shapeless) for level in errors):
            rows.append(("Knowing the size only", *(f"{level.shapeless:.3f}" for level in errors)))
        parts.append(_table(("Noise σ", *(f"{level.sigma:g}" for level in errors)), rows))
    parts.append(f"## Model card\n\n{text}" if text else f"## What it has never seen\n\n{UNSEEN}")
    return "\n\n".join(parts)


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [names, ("-",) * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
