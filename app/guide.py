"""The user guide in a window of its own beside the work: contents, links, back and forward, search."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QSize, Qt, QUrl, Signal
from PySide6.QtGui import (
    QColor,
    QDesktopServices,
    QImage,
    QKeySequence,
    QPalette,
    QShortcut,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSplitter,
    QTextBrowser,
    QTextEdit,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.help_pages import FIRST, Place, find, page_text, pages, places, slug_of

FIGURE_WIDTH = 700
_KEY = Qt.ItemDataRole.UserRole


def guide_text() -> str:
    """The guide that comes with Verglas, Markdown."""
    return page_text(FIRST)


class PageBrowser(QTextBrowser):
    """One page; its links are followed by whom they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.setAccessibleName("Page of the user guide")
        self.document().setDocumentMargin(24)
        # figures are named relative to the guide
        with resources.as_file(resources.files("resources") / "help") as folder:
            self.document().setBaseUrl(QUrl.fromLocalFile(f"{folder}/"))

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

    def scroll_to(self, slug: str) -> None:
        """Show a heading at the top; the page's beginning if it has none of that name."""
        block = self.document().begin()
        while block.isValid():
            if block.blockFormat().headingLevel() and slug_of(block.text()) == slug:
                top = self.document().documentLayout().blockBoundingRect(block).top()
                self.verticalScrollBar().setValue(max(0, round(top) - 12))
                self.setTextCursor(QTextCursor(block))  # where reading aloud and Tab go on
                return
            block = block.next()
        self.verticalScrollBar().setValue(0)


class Guide(QWidget):
    """Pages to read; it closes with its parent and can stay open while working.

    Parameters
    ----------
    parent : the main window.
    """

    moved = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.Window)
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setWindowTitle("Verglas user guide")
        self.resize(1080, 780)
        self.page = PageBrowser()
        self.page.anchorClicked.connect(lambda url: self.follow(url.toString()))
        self._file = ""
        self._past: list[tuple[str, int]] = []
        self._future: list[tuple[str, int]] = []
        self._items: dict[str, QTreeWidgetItem] = {}
        self.contents = self._make_contents()
        self.back_button = self._button("Back (Alt+Left)", lambda: self._travel(self._past, self._future))
        self.forward_button = self._button(
            "Forward (Alt+Right)", lambda: self._travel(self._future, self._past)
        )
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search this page (Ctrl+F)")
        self.search.setAccessibleName("Search this page")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self.search.textChanged.connect(lambda _text: self._mark(onwards=True))
        self.search.returnPressed.connect(self.find_next)
        self.found = QLabel()
        self.found.setObjectName("muted")
        bar = QHBoxLayout()
        bar.addWidget(self.back_button)
        bar.addWidget(self.forward_button)
        bar.addStretch(1)
        bar.addWidget(self.found)
        bar.addWidget(self.search)
        halves = QSplitter(Qt.Orientation.Horizontal)
        halves.addWidget(self.contents)
        halves.addWidget(self.page)
        halves.setSizes([280, 800])
        halves.setStretchFactor(1, 1)
        halves.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.addLayout(bar)
        layout.addWidget(halves, 1)
        for keys, slot in (
            ("Alt+Left", self.back_button.click), ("Alt+Right", self.forward_button.click),
            (QKeySequence.StandardKey.Find, self._to_search), ("F3", self.find_next), ("Esc", self.close),
        ):  # fmt: skip
            QShortcut(QKeySequence(keys), self, slot, context=Qt.ShortcutContext.WindowShortcut)
        self._retint()
        self._load(FIRST)
        self._show_travel()

    # ---- going about ----------------------------------------------------------------------------

    @property
    def file(self) -> str:
        """Name of the page that is shown, without ``.md``."""
        return self._file

    def follow(self, link: str) -> None:
        """Go where a link leads: a place, another page, or out of Verglas for an address of the web."""
        if link.startswith(("http://", "https://", "mailto:")):
            QDesktopServices.openUrl(QUrl(link))
            return
        place = find(link, here=self._file)
        if place is not None:
            self.show_place(place)
            return
        file = self.page.document().baseUrl().resolved(QUrl(link))
        if file.isLocalFile() and Path(file.toLocalFile()).is_file():
            QDesktopServices.openUrl(file)

    def show_place(self, place: Place) -> None:
        """Show a place; Back leads to where one was."""
        self._past.append(self._here())
        self._future.clear()
        self._load(place.file)
        self.page.scroll_to(place.slug if place.level > 1 else "")
        self._show_travel()
        self._mark_contents(place)

    def _here(self) -> tuple[str, int]:
        return self._file, self.page.verticalScrollBar().value()

    def _travel(self, source: list[tuple[str, int]], target: list[tuple[str, int]]) -> None:
        if source:
            target.append(self._here())
            file, height = source.pop()
            self._load(file)
            self.page.verticalScrollBar().setValue(height)
            self._show_travel()

    def _load(self, file: str, *, again: bool = False) -> None:
        if file != self._file or again:
            self._file = file
            self.page.setMarkdown(page_text(file))
            self._mark(onwards=False)

    def _show_travel(self) -> None:
        self.back_button.setEnabled(bool(self._past))
        self.forward_button.setEnabled(bool(self._future))
        self.moved.emit()

    # ---- contents -------------------------------------------------------------------------------

    def _make_contents(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setHeaderHidden(True)
        tree.setAccessibleName("Contents of the user guide")
        tree.setMinimumWidth(180)
        for name in pages():
            above: dict[int, QTreeWidgetItem] = {}
            for place in (p for p in places() if p.file == name):
                parent = above.get(place.level - 1) or above.get(1)
                item = QTreeWidgetItem([place.title])
                item.setToolTip(0, place.title)
                item.setData(0, _KEY, place.key)
                self._items.setdefault(place.key, item)
                if parent is None:
                    tree.addTopLevelItem(item)
                else:
                    parent.addChild(item)
                above[place.level] = item
        tree.expandToDepth(0)
        tree.itemClicked.connect(lambda item, _column: self.follow(item.data(0, _KEY)))
        tree.itemActivated.connect(lambda item, _column: self._activate(item))
        return tree

    def _activate(self, item: QTreeWidgetItem) -> None:
        if find(item.data(0, _KEY)) is not None:
            self.follow(item.data(0, _KEY))
            self.page.setFocus()

    def _mark_contents(self, place: Place) -> None:
        item = self._items.get(place.key)
        if item is not None:
            self.contents.setCurrentItem(item)

    # ---- searching ------------------------------------------------------------------------------

    def find_next(self) -> None:
        """Go to the next place with what is searched for; after the last comes the first."""
        text = self.search.text()
        if text and not self.page.find(text):
            self.page.moveCursor(QTextCursor.MoveOperation.Start)
            self.page.find(text)

    def _to_search(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    def _mark(self, *, onwards: bool) -> None:
        """Mark all places with what is searched for, and go to the next of them."""
        text = self.search.text()
        marks: list[QTextEdit.ExtraSelection] = []
        if text:
            cursor = self.page.document().find(text)
            while not cursor.isNull():
                mark = QTextEdit.ExtraSelection()
                mark.cursor = cursor
                theme = style.current_theme()
                mark.format.setBackground(QColor(theme.warning))
                mark.format.setForeground(QColor(theme.surface))
                marks.append(mark)
                cursor = self.page.document().find(text, cursor)
        self.page.setExtraSelections(marks)
        self.found.setText(f"{len(marks)} found" if marks else "Not on this page" if text else "")
        if text and onwards:
            cursor = self.page.textCursor()
            cursor.setPosition(cursor.selectionStart())  # more letters may still fit here
            self.page.setTextCursor(cursor)
            self.find_next()

    # ---- looks ----------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        """Draw the page again in the colours of another theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._file:
            height = self.page.verticalScrollBar().value()
            self._retint()
            self._load(self._file, again=True)
            self.page.verticalScrollBar().setValue(height)

    def _retint(self) -> None:
        theme = style.current_theme()
        palette = self.page.palette()
        palette.setColor(QPalette.ColorRole.Link, QColor(theme.accent))
        self.page.setPalette(palette)
        self.back_button.setIcon(style.icon("back"))
        self.forward_button.setIcon(style.icon("forward"))

    def _button(self, tip: str, slot: Any) -> QToolButton:
        button = QToolButton()
        button.setIconSize(QSize(20, 20))
        button.setToolTip(tip)
        button.setAccessibleName(tip.split(" (")[0])
        button.clicked.connect(lambda _checked=False: slot())
        return button
