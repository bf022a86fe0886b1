"""The project as a tree: inputs, runs with their results and next steps, trash. Setters and signals only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import QModelIndex, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPalette, QPixmap, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.panels.run_rows import PICTURE, ROW, RowDelegate, TreeRow
from app.style import Theme

NO_RUNS = "No runs yet. What you run appears here, with what became of it."
NOT_FOUND = "Nothing matches."
PICTURES_AFTER_MS = 60


class Tree(QTreeWidget):
    """A tree whose Enter key opens rows; F2 edits the name of a run."""

    opened = Signal(str)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open with Enter, like with a double click."""
        row = row_of(self.currentItem())
        editing = self.state() == QAbstractItemView.State.EditingState
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and row is not None and not editing:
            self.opened.emit(row.key)
            return
        super().keyPressEvent(event)


class ProjectTree(QWidget):
    """Heading, search box and tree."""

    shown = Signal()
    opened = Signal(str)
    renamed = Signal(str, str)
    selection_changed = Signal()
    menu_wanted = Signal(QPoint)
    pictures_wanted = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("page")
        self._items: dict[str, QTreeWidgetItem] = {}
        self._pictures: dict[str, QPixmap] = {}
        self._heading = QLabel()
        self._heading.setObjectName("heading")
        self._heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._name = ""
        self.menu_button = QToolButton()
        self.menu_button.setText("Project ▾")
        self.menu_button.setAccessibleName("Make or open a project")
        self.menu_button.setToolTip("Make, open or close a project")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self._warning = QLabel()
        self._warning.setObjectName("warning")
        self._warning.setWordWrap(True)
        self._warning.hide()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search names, notes and settings, e.g. symmetry d2")
        self.search.setAccessibleName("Search the project")
        self.search.setToolTip(
            "Shows runs in whose name, note, state or settings every word is found (Ctrl+F)"
        )
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda _t: self._filter())
        self.tree = Tree()
        self.tree.setHeaderHidden(True)
        self.tree.setIndentation(14)
        self.tree.setUniformRowHeights(False)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.tree.setExpandsOnDoubleClick(False)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.setAccessibleName("Inputs, runs and results of the project")
        self.delegate = RowDelegate(self.tree)
        self.tree.setItemDelegate(self.delegate)
        self._empty = QLabel(NO_RUNS)
        self._empty.setObjectName("muted")
        self._empty.setWordWrap(True)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PICTURES_AFTER_MS)
        self._timer.timeout.connect(self._want_pictures)
        self._connect()
        self._groups = {name: self._group(name) for name in ("Queue", "Runs", "Inputs", "Trash")}
        self._groups["Queue"].setHidden(True)
        for name in ("Inputs", "Trash"):
            self._groups[name].setExpanded(False)
        top = QHBoxLayout()
        top.addWidget(self._heading, 1)
        top.addWidget(self.menu_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 4, 8)
        layout.addLayout(top)
        layout.addWidget(self._warning)
        layout.addWidget(self.search)
        layout.addWidget(self._empty)
        layout.addWidget(self.tree, 1)

    def _connect(self) -> None:
        tree = self.tree
        tree.itemDoubleClicked.connect(self._double_clicked)
        tree.opened.connect(self.opened)
        tree.itemExpanded.connect(self._expanded)
        tree.itemSelectionChanged.connect(self.selection_changed)
        tree.customContextMenuRequested.connect(
            lambda place: self.menu_wanted.emit(tree.viewport().mapToGlobal(place))
        )
        tree.verticalScrollBar().valueChanged.connect(lambda _v: self._timer.start())
        self.delegate.renamed.connect(self.renamed)

    # ---- setters --------------------------------------------------------------------------------

    def show_project(self, name: str, path: str, warning: str) -> None:
        """Say which project is shown, and why it can't be changed."""
        self._name = name
        self._heading.setToolTip(f"{name}\n{path}")
        self._fit_heading()
        self._warning.setText(warning)
        self._warning.setVisible(bool(warning))

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours; pictures are asked for anew."""
        self.delegate.set_theme(theme)
        palette = self.tree.palette()
        tint = QColor(theme.accent)
        tint.setAlpha(60)  # also beside the row, where the arrow is
        palette.setColor(QPalette.ColorRole.Highlight, tint)
        self.tree.setPalette(palette)
        self._pictures.clear()
        for item in self._items.values():
            item.setData(0, PICTURE, None)
        self._timer.start()
        self.tree.viewport().update()

    def set_rows(self, runs: Sequence[TreeRow], inputs: Sequence[TreeRow], trash: Sequence[TreeRow]) -> None:
        """Show these; what is expanded, chosen or being edited stays so."""
        for name, rows in (("Runs", runs), ("Inputs", inputs), ("Trash", trash)):
            group = self._groups[name]
            self._fill(group, rows)
            group.setData(0, ROW, TreeRow(f"group:{name}", f"{name} ({len(rows)})"))
            group.setHidden(not rows and name != "Runs")
        self._filter()
        self._timer.start()

    def set_queue(self, rows: Sequence[TreeRow]) -> None:
        """Show the runs that compute and wait on this machine, in their order; none hides the group."""
        group = self._groups["Queue"]
        chosen = {row.key for row in self.selected("queue")}
        self._fill(group, rows)
        for item in _children(group):  # one that has moved is not chosen any more
            row = row_of(item)
            if row is not None and row.key in chosen:
                item.setSelected(True)
        waits = sum(row.state == "waiting" for row in rows)
        group.setData(0, ROW, TreeRow("group:Queue", f"Queue ({waits} waiting)" if waits else "Queue"))
        group.setHidden(not rows)

    def update_row(self, row: TreeRow) -> None:
        """Show a row as it is now, if it is there."""
        item = self._items.get(row.key)
        if item is not None:
            self._show(item, row)

    def set_picture(self, key: str, picture: QPixmap) -> None:
        """Give a row its picture."""
        self._pictures[key] = picture
        item = self._items.get(key)
        if item is not None:
            item.setData(0, PICTURE, picture)

    def forget_picture(self, key: str) -> None:
        """A row's picture isn't right any more."""
        if self._pictures.pop(key, None) is not None:
            self._timer.start()

    def select(self, key: str) -> None:
        """Choose a row alone, and show it."""
        item = self._items.get(key)
        if item is not None:
            self.tree.setCurrentItem(item)

    def edit_name(self) -> None:
        """Let the name of the current run be changed."""
        item = self.tree.currentItem()
        if item is not None and item.flags() & Qt.ItemFlag.ItemIsEditable:
            self.tree.editItem(item, 0)

    # ---- what is there --------------------------------------------------------------------------

    def selected(self, kind: str = "") -> list[TreeRow]:
        """Rows that are chosen, from the top; of one kind if that is given."""
        rows = [row_of(item) for item in self.tree.selectedItems()]
        return [row for row in rows if row is not None and (not kind or row.kind == kind)]

    def row(self, key: str) -> TreeRow | None:
        """A row by its key."""
        return row_of(self._items.get(key))

    def visible_runs(self) -> list[str]:
        """Keys of the runs that the search has left, from the top."""
        shown = [item for item in _children(self._groups["Runs"]) if not item.isHidden()]
        return [row.key for item in shown if (row := row_of(item)) is not None]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cut the name where it doesn't fit."""
        super().resizeEvent(event)
        self._fit_heading()

    def showEvent(self, event: QShowEvent) -> None:
        """What has changed meanwhile is wanted now."""
        super().showEvent(event)
        self.shown.emit()
        self._timer.start()

    # ---- inside ---------------------------------------------------------------------------------

    def _fit_heading(self) -> None:
        width = max(60, self.width() - self.menu_button.sizeHint().width() - 26)
        metrics = self._heading.fontMetrics()
        self._heading.setText(metrics.elidedText(self._name, Qt.TextElideMode.ElideRight, width))

    def _group(self, name: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem(self.tree)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        item.setData(0, ROW, TreeRow(f"group:{name}", name))
        item.setExpanded(True)
        return item

    def _fill(self, parent: QTreeWidgetItem, rows: Sequence[TreeRow]) -> None:
        wanted = {row.key for row in rows}
        for child in _children(parent):
            row = row_of(child)
            if row is None or row.key not in wanted:
                parent.removeChild(child)
                self._forget(child)
        for i, row in enumerate(rows):
            item = self._items.get(row.key)
            if item is None:
                item = QTreeWidgetItem()
                self._items[row.key] = item
                parent.insertChild(i, item)
                if row.kind == "run":
                    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                    policy = QTreeWidgetItem.ChildIndicatorPolicy
                    item.setChildIndicatorPolicy(policy.DontShowIndicatorWhenChildless)
            elif parent.child(i) is not item:
                parent.takeChild(parent.indexOfChild(item))
                parent.insertChild(i, item)
            self._show(item, row)

    def _show(self, item: QTreeWidgetItem, row: TreeRow) -> None:
        if item.data(0, ROW) == row:
            return
        old = row_of(item)
        item.setData(0, ROW, row)
        item.setToolTip(0, row.tip)
        item.setData(0, Qt.ItemDataRole.AccessibleTextRole, row.words)
        if row.key in self._pictures:
            item.setData(0, PICTURE, self._pictures[row.key])
        policy = QTreeWidgetItem.ChildIndicatorPolicy
        item.setChildIndicatorPolicy(
            policy.ShowIndicator if row.children else policy.DontShowIndicatorWhenChildless
        )
        if item.isExpanded() and (old is None or old.children != row.children):
            self._fill(item, row.children)

    def _forget(self, item: QTreeWidgetItem) -> None:
        for child in _children(item):
            item.removeChild(child)
            self._forget(child)
        row = row_of(item)
        if row is not None:
            self._items.pop(row.key, None)
            self._pictures.pop(row.key, None)

    def _expanded(self, item: QTreeWidgetItem) -> None:
        row = row_of(item)
        if row is not None and row.kind != "group":
            self._fill(item, row.children)
        self._timer.start()

    def _double_clicked(self, item: QTreeWidgetItem, _column: int) -> None:
        row = row_of(item)
        if row is not None and row.kind == "group":
            item.setExpanded(not item.isExpanded())
        elif row is not None:
            self.opened.emit(row.key)

    def _filter(self) -> None:
        wanted = self.search.text().lower().split()
        runs = self._groups["Runs"]
        for name in ("Runs", "Inputs"):
            for item in _children(self._groups[name]):
                row = row_of(item)
                fits = row is not None and all(word in row.haystack for word in wanted)
                if item.isHidden() == fits:
                    item.setHidden(not fits)
        none = not runs.childCount()
        self._empty.setText(NO_RUNS if none else NOT_FOUND)
        self._empty.setVisible(none or (bool(wanted) and not self.visible_runs()))
        self._timer.start()

    def _want_pictures(self) -> None:
        if not self.isVisible():
            return
        missing = [row.key for row in self._in_view() if row.picture and row.key not in self._pictures]
        if missing:
            self.pictures_wanted.emit(missing)

    def _in_view(self) -> Iterator[TreeRow]:
        """Rows that can be seen, from the top."""
        tree = self.tree
        index: QModelIndex = tree.indexAt(QPoint(4, 2))
        bottom = tree.viewport().height()
        while index.isValid() and tree.visualRect(index).top() < bottom:
            row = index.data(ROW)
            if isinstance(row, TreeRow):
                yield row
            index = tree.indexBelow(index)


def _children(item: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    found = (item.child(i) for i in range(item.childCount()))
    return [child for child in found if child is not None]


def row_of(item: QTreeWidgetItem | None) -> TreeRow | None:
    """The row that an item shows."""
    row = item.data(0, ROW) if item is not None else None
    return row if isinstance(row, TreeRow) else None
