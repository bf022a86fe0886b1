"""The user guide opens beside the window and tells about what there is."""

from __future__ import annotations

import re

from PySide6.QtCore import QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QWidget

from app.guide import FIGURE_WIDTH, Guide, guide_text
from engine.io.export import FORMATS
from engine.specs.presets import PRESETS


def test_guide_is_rendered(qapp) -> None:
    parent = QWidget()
    guide = Guide(parent)
    shown = guide.page.toPlainText()
    assert "Verglas user guide" in shown
    assert "##" not in shown  # Markdown was understood
    parent.deleteLater()


def test_guide_names_presets_and_formats_that_exist() -> None:
    text = guide_text()
    for name in FORMATS:
        assert f"| {name}" in text or f"{name}," in text or f", {name}" in text
    for quoted in ("no shapes", "no prior"):
        assert f'--preset "{quoted}"' in text
        assert quoted in PRESETS


def test_figures_are_there_and_fit_the_page(qapp) -> None:
    parent = QWidget()
    guide = Guide(parent)
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", guide_text())
    assert named
    for name in named:
        url = guide.page.document().baseUrl().resolved(QUrl(name))
        image = guide.page.loadResource(QTextDocument.ResourceType.ImageResource.value, url)
        assert 300 < image.width() <= FIGURE_WIDTH
    parent.deleteLater()
