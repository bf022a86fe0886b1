"""The picture in the middle: welcome page, clouds with their controls, or another page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QImage, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.number_fields import ChoiceBox
from app.panels.elided import ElidedLabel
from app.panels.images_page import ImagesPage
from app.panels.late import Late
from app.panels.page import Page
from app.panels.view_drawer import PAGES as DRAWER_PAGES
from app.panels.view_drawer import ViewDrawer
from app.panels.volume_page import VolumePage
from app.style import LIGHT, Theme
from app.viewers.look import ALONG_Z

if TYPE_CHECKING:
    from app.viewers.points import PointsView

COLOURS = (("sample", "Colour by sample"), ("spread", "Colour by spread"))
OWN_PAGES = ("welcome", "points")  # under the controls of the point clouds
WELCOME = "Drop your projections here"
STEPS = (
    "1.  Drop an image stack and its STAR file — and, if you have them, a low-resolution "
    "map or a known part.\n"
    "2.  Check what Verglas has read, on the left.\n"
    "3.  Press Run and watch the point clouds form.\n\n"
    "No data at hand? File › Load the demo."
)


class ViewerPanel(QWidget):
    """Toolbar, welcome page and :class:`~app.viewers.points.PointsView`.

    Attributes
    ----------
    kept : page that the user looks at and that no picture of a run takes away; empty for none.
    held : whether an earlier picture of the run is looked at, so that newer ones wait.
    """

    by_spread_chosen = Signal(bool)
    colour_chosen = Signal(str)
    compare_wanted = Signal()
    page_shown = Signal(str)
    sample_chosen = Signal()
    screenshot_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kept, self.offered = "", ""
        self.held = False
        self._theme = LIGHT
        self.late_points = Late(self._make_points)
        self._sample = ChoiceBox()
        self._sample.setMaximumWidth(130)
        self._sample.setToolTip("Show all samples together, or one ([ and ])")
        self._sample.setAccessibleName("Sample shown")
        self._sample.currentIndexChanged.connect(self._sample_changed)
        self._colour = ChoiceBox()
        self._colour.setMaximumWidth(170)
        self._colour.setToolTip("What the colours mean (C). Spread: how far the samples disagree, Å")
        self.set_colours(())
        self._colour.setAccessibleName("Colouring")
        self._colour.currentIndexChanged.connect(self._colour_changed)
        self._caption = ElidedLabel()
        self._caption.setObjectName("muted")
        self._compare = self._button("Compare side by side (T)")
        self._compare.clicked.connect(self.compare_wanted)
        self._reset = self._button("Show everything, from the first direction (Home)")
        self._reset.clicked.connect(lambda: self.points.reset_view())
        self._shot = self._button("Save a picture (Ctrl+Shift+S)")
        self._shot.clicked.connect(self.screenshot_wanted)
        self._view = self._button("View settings: point size, background, clipping, what is laid over (V)")
        self._view.clicked.connect(self.toggle_drawer)
        self._bar = QWidget()
        bar = QHBoxLayout(self._bar)
        bar.setContentsMargins(4, 8, 4, 0)
        for part in (self._sample, self._colour):
            bar.addWidget(part)
        bar.addWidget(self._caption, 1)
        bar.addWidget(self._compare)
        bar.addWidget(self._view)
        bar.addWidget(self._reset)
        bar.addWidget(self._shot)
        self._stack = QStackedWidget()
        self._pages: dict[str, QWidget] = {}
        self.add_page("welcome", self._welcome_page())
        self.add_page("points", self.late_points)
        self.volume, self.images = VolumePage(), ImagesPage()
        self.add_page("volume", self.volume)
        self.add_page("images", self.images)
        for page in (self.volume, self.images):
            page.screenshot_wanted.connect(self.screenshot_wanted)
        self.volume.view_wanted.connect(self.toggle_drawer)
        self.volume.compare_wanted.connect(self.compare_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._bar)
        layout.addWidget(self._stack, 1)
        self.drawer = ViewDrawer(self)
        self.drawer.size_changed.connect(lambda factor: self.points.set_size_factor(factor))
        self.drawer.closed.connect(self.toggle_drawer)
        self._drawer_open = False
        self.set_samples(0)
        self.retint()

    @property
    def points(self) -> PointsView:
        """The point clouds; made when it is first asked for, since OpenGL takes its time."""
        return self.late_points.widget

    def _make_points(self) -> PointsView:
        from app.viewers.points import PointsView

        view = PointsView()
        view.set_theme(self._theme)
        view.set_sample(self._sample.currentData())
        view.set_by_spread(self.by_spread)
        return view

    def add_page(self, name: str, page: QWidget) -> None:
        """Add something that can fill the middle; it brings its own controls."""
        self._pages[name] = page
        self._stack.addWidget(page)

    def offer_page(self, name: str) -> None:
        """Show a page as :meth:`show_page`, unless one is kept: then it waits behind that one."""
        self.offered = name
        if not self.kept:
            self.show_page(name)

    def keep_page(self, name: str) -> None:
        """Show a page that stays until another one is asked for by name."""
        self.show_page(name)
        self.kept = name

    def show_page(self, name: str) -> None:
        """Fill the middle with ``welcome``, ``points``, or a page that was added."""
        if name != self.kept:
            self.kept = ""
        self._stack.setCurrentWidget(self._pages[name])
        self._bar.setVisible(name in OWN_PAGES)
        self._place_drawer()
        self.page_shown.emit(name)

    def toggle_drawer(self) -> None:
        """Show the view settings, or put them away."""
        self._drawer_open = not self._drawer_open
        self._place_drawer()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the view settings within the picture."""
        super().resizeEvent(event)
        self._place_drawer()

    def _place_drawer(self) -> None:
        page = self.page
        self.drawer.setVisible(self._drawer_open and page in DRAWER_PAGES)
        if self.drawer.isVisibleTo(self):
            self.drawer.set_page(page)
            canvas = self.points if page == "points" else self.volume.volume
            corner = canvas.mapTo(self, QPoint(8, 8))
            # Before the first layout the canvas doesn't know yet where it is.
            self.drawer.place(corner.x(), corner.y(), max(200, canvas.height() - 56))
            self.drawer.raise_()

    @property
    def page(self) -> str:
        """What fills the middle."""
        return next(n for n, page in self._pages.items() if page is self._stack.currentWidget())

    @property
    def shown(self) -> QWidget:
        """The page that fills the middle."""
        return self._pages[self.page]

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self._compare.setIcon(style.icon("tiles"))
        self._reset.setIcon(style.icon("reset"))
        self._shot.setIcon(style.icon("screenshot"))
        self._view.setIcon(style.icon("settings"))
        self.drawer.retint()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme
        if self.late_points.made is not None:
            self.points.set_theme(theme)
        for page in self._pages.values():
            if isinstance(page, Page):
                page.set_theme(theme)
        self.retint()

    def set_samples(self, count: int) -> None:
        """Offer this many samples; none shows the welcome page."""
        self.offer_page("points" if count else "welcome")
        for part in (self._sample, self._colour, self._compare, self._view, self._reset, self._shot):
            part.setEnabled(count > 0)
        if self._sample.count() == count + 1:
            return
        chosen = self._sample.currentData()
        self._sample.blockSignals(True)
        self._sample.clear()
        self._sample.addItem("All samples", None)
        for i in range(count):
            self._sample.addItem(f"Sample {i + 1}", i)
        self._sample.setCurrentIndex(chosen + 1 if chosen is not None and chosen < count else 0)
        self._sample.blockSignals(False)
        if self.late_points.made is not None:
            self.points.set_sample(self._sample.currentData())

    def set_spread_offered(self, on: bool) -> None:
        """Whether the samples are answers to one question, so that their spread means something."""
        self._colour.setVisible(on)
        if not on:
            self._colour.setCurrentIndex(0)

    def set_welcome(self, title: str = WELCOME, text: str = STEPS) -> None:
        """What the page says that is shown before there are clouds."""
        self._welcome.setText(title)
        self._steps.setText(text)

    def reset_view(self) -> None:
        """Show everything, from the first direction."""
        page = self._obeying()
        (page or self.points).reset_view()

    def look_along_z(self) -> None:
        """Look along z."""
        page = self._obeying()
        if page is None:
            self.points.look(ALONG_Z)
        else:
            page.look_along_z()

    def step_sample(self, step: int) -> None:
        """Go to the next or previous sample, through all; or to the next map."""
        page = self._obeying()
        if page is not None:
            page.step(step)
            return
        count = self._sample.count()
        if count > 1:
            self._sample.setCurrentIndex((self._sample.currentIndex() + step) % count)

    def toggle_colouring(self) -> None:
        """To the next meaning of the colours of points; or between plain and motion."""
        page = self._obeying()
        if page is not None:
            page.toggle_colouring()
            return
        if not self._colour.isHidden():
            self._colour.setCurrentIndex((self._colour.currentIndex() + 1) % self._colour.count())

    def set_colours(self, more: Sequence[tuple[str, str]]) -> None:
        """Offer further meanings (key, name) of the colours besides sample and spread."""
        entries = [*COLOURS, *more]
        if [self._colour.itemData(i) for i in range(self._colour.count())] == [k for k, _ in entries]:
            return
        chosen = self._colour.currentData()
        self._colour.blockSignals(True)
        self._colour.clear()
        for key, name in entries:
            self._colour.addItem(name, key)
        self._colour.setCurrentIndex(max(0, self._colour.findData(chosen)))
        self._colour.blockSignals(False)
        if self._colour.currentData() != chosen and chosen is not None:
            self._colour_changed(0)

    def choose_colour(self, key: str) -> None:
        """Colour by something that is offered."""
        if self._colour.findData(key) >= 0:
            self._colour.setCurrentIndex(self._colour.findData(key))

    @property
    def colour(self) -> str:
        """What the colours mean: ``sample``, ``spread``, or a key of what is offered besides."""
        return str(self._colour.currentData())

    @property
    def by_spread(self) -> bool:
        """Whether spread is shown."""
        return self.colour == "spread"

    def set_caption(self, text: str, tip: str = "") -> None:
        """A short line beside the controls."""
        self._caption.show_text(text, tip)

    def screenshot(self) -> QImage:
        """What the middle shows, with its scale bar."""
        page = self._obeying()
        return page.screenshot() if page is not None else self.points.screenshot()

    def release(self) -> None:
        """Give the canvases back."""
        if self.late_points.made is not None:
            self.points.release()
        for page in self._pages.values():
            if isinstance(page, Page):
                page.release()

    def _obeying(self) -> Page | None:
        """The page on top, if it is one that obeys the keys."""
        page = self._stack.currentWidget()
        return page if isinstance(page, Page) else None

    def _sample_changed(self, _index: int) -> None:
        self.points.set_sample(self._sample.currentData())
        self.sample_chosen.emit()

    def _colour_changed(self, _index: int) -> None:
        self.points.set_by_spread(self.by_spread)
        self.by_spread_chosen.emit(self.by_spread)
        self.colour_chosen.emit(self.colour)

    def _button(self, tip: str) -> QToolButton:
        button = QToolButton()
        button.setIconSize(QSize(20, 20))
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        return button

    def _welcome_page(self) -> QWidget:
        page = QWidget()
        page.setObjectName("page")
        self._welcome = title = QLabel(WELCOME)
        title.setObjectName("welcome")
        self._steps = steps = QLabel(STEPS)
        steps.setObjectName("muted")
        steps.setWordWrap(True)
        layout = QVBoxLayout(page)
        layout.addStretch(2)
        layout.addWidget(title, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(10)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(steps, 3)
        row.addStretch(1)
        layout.addLayout(row)
        layout.addStretch(3)
        return page
