"""The middle of the window for maps: surface or slices, with what is shown, laid over and coloured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout

from app import style
from app.number_fields import ChoiceBox
from app.panels.elided import ElidedLabel
from app.panels.late import Late
from app.panels.level_bar import LevelBar
from app.panels.page import Page
from app.projections import KINDS as PROJECTED
from app.style import LIGHT, Theme
from app.surfaces import EMPTY, Shown
from app.viewers.look import ALONG_Z
from app.viewers.slices import SlicesView

if TYPE_CHECKING:
    from app.viewers.volume import VolumeView

NOTHING = ""
MOTION, PRIOR = "motion", "prior"
OPEN_FILE = "open"
FILE = "file:"
KINDS = {"surface": "Surface", "slices": "Slices", **PROJECTED}


class VolumePage(Page):
    """Controls above, picture in the middle, level of the surface below. Setters and signals only."""

    map_chosen = Signal(str)
    other_chosen = Signal(str)
    colour_chosen = Signal(str)
    slices_wanted = Signal(bool)
    kind_chosen = Signal(str)
    file_chosen = Signal(str)
    compare_wanted = Signal()
    view_wanted = Signal()
    screenshot_wanted = Signal()

    def __init__(self, parent: Page | None = None) -> None:
        super().__init__(parent)
        self._theme = LIGHT
        self.late_volume = Late(_volume_view)
        self.late_volume.once_made(lambda view: view.set_theme(self._theme))
        self.slices = SlicesView()
        self.level = LevelBar()
        self._map = _choice("Map shown", "Which map is shown ([ and ])")
        self._map.activated.connect(lambda _i: self.map_chosen.emit(self._map.currentData()))
        self._other = _choice("Map laid over", "Lay another map over, transparent, at the same volume")
        self._other.activated.connect(self._other_activated)
        self._colour = _choice("Colouring", "What the colour of the surface means (C)")
        self._colour.activated.connect(lambda _i: self.colour_chosen.emit(self._colour.currentData()))
        self._kind = _choice(
            "Surface, slices or projection",
            "Surface in 3D, three slices (X), or the map seen through: its largest density, or its sum",
        )
        for key, name in KINDS.items():
            self._kind.addItem(name, key)
        self._kind.currentIndexChanged.connect(self._kind_changed)
        self._caption = ElidedLabel()
        self._caption.setObjectName("muted")
        self._compare = _button("Compare side by side (T)")
        self._compare.clicked.connect(self.compare_wanted)
        self._reset = _button("Show everything, from the first direction (Home)")
        self._reset.clicked.connect(self.reset_view)
        self._shot = _button("Save a picture (Ctrl+Shift+S)")
        self._shot.clicked.connect(self.screenshot_wanted)
        self._view = _button("View settings: background, light, clipping, what is laid over (V)")
        self._view.clicked.connect(self.view_wanted)
        self._files: list[tuple[str, str]] = []
        self._run_others: list[tuple[str, str]] = []
        first, second = QHBoxLayout(), QHBoxLayout()
        first.setContentsMargins(4, 8, 4, 0)
        second.setContentsMargins(4, 0, 4, 0)
        for part, stretch in (
            (self._kind, 0), (self._map, 2), (self._colour, 2), (self._compare, 0), (self._view, 0),
            (self._reset, 0), (self._shot, 0),
        ):  # fmt: skip
            first.addWidget(part, stretch)
        first.insertStretch(3, 0)
        second.addWidget(self._other, 2)
        second.addWidget(self._caption, 3)
        self._map.setPlaceholderText("In between")
        for box in (self._kind, self._map, self._colour, self._other):
            box.setMaximumWidth(240)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.late_volume)
        self._stack.addWidget(self.slices)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(first)
        layout.addLayout(second)
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.level)
        self.set_maps([])
        self.set_others([])
        self.set_colours(())
        self._retint()

    @property
    def volume(self) -> VolumeView:
        """The surface; made when it is first asked for, since OpenGL takes its time."""
        return self.late_volume.widget

    # ---- setters --------------------------------------------------------------------------------

    def set_maps(self, entries: Sequence[tuple[str, str]]) -> None:
        """Offer maps (key, name) to look at; what was chosen stays chosen if it is still there."""
        _fill(self._map, entries)
        self._map.setVisible(len(entries) > 0)

    def select_map(self, key: str) -> None:
        """Say which map is shown; nothing is emitted."""
        self._map.setCurrentIndex(self._map.findData(key))

    def set_others(self, entries: Sequence[tuple[str, str]]) -> None:
        """Offer maps (key, name) of the run to lay over."""
        self._run_others = list(entries)
        self._offer_others()

    def set_files(self, entries: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer files (key, name) that were laid over, and say which is; keys begin with :data:`FILE`."""
        self._files = list(entries)
        self._offer_others()
        if chosen or str(self._other.currentData()).startswith((FILE, OPEN_FILE)):
            self._other.setCurrentIndex(max(0, self._other.findData(chosen)))

    def set_colours(self, entries: Sequence[tuple[str, str]]) -> None:
        """Offer colourings (key, name) besides the plain one."""
        _fill(self._colour, [(NOTHING, "Plain colour"), *entries])
        self._colour.setVisible(bool(entries))

    def show_surface(self, shown: Shown) -> None:
        """Show a map that has been worked out."""
        self.volume.set_surfaces(shown.fine, shown.rough, radius_A=shown.density.half_A)
        density = shown.density
        box_A3 = density.values.size * density.voxel_A**3
        self.level.show_profile(shown.profile, shown.level, box_A3)

    def show_other(self, shown: Shown | None) -> None:
        """Lay the surface of another map over, or take it away."""
        if shown is None:
            self.volume.set_other(EMPTY)
        else:
            self.volume.set_other(shown.fine, shown.rough)

    def set_caption(self, text: str) -> None:
        """A short line beside the controls."""
        self._caption.show_text(text)

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme
        if self.late_volume.made is not None:
            self.volume.set_theme(theme)
        for part in (self.slices, self.level):
            part.set_theme(theme)
        self._retint()

    def clear(self) -> None:
        """Show nothing."""
        self.set_maps([])
        self.set_others([])
        self.set_colours(())
        if self.late_volume.made is not None:
            self.volume.clear()
        self.slices.clear()
        self.level.show_profile(None, 0.0)
        self.set_caption("")

    # ---- what the keys do -----------------------------------------------------------------------

    @property
    def in_slices(self) -> bool:
        """Whether slices are shown instead of the surface."""
        return self.kind == "slices"

    @property
    def kind(self) -> str:
        """A key of :data:`KINDS`."""
        return str(self._kind.currentData())

    def set_kind(self, kind: str) -> None:
        """Show the surface, slices or a projection."""
        self._kind.setCurrentIndex(max(0, self._kind.findData(kind)))

    def toggle_slices(self) -> None:
        """Between slices and the surface."""
        self.set_kind("surface" if self.in_slices else "slices")

    def reset_view(self) -> None:
        """Show everything again."""
        (self.slices if self.in_slices else self.volume).reset_view()

    def look_along_z(self) -> None:
        """Look along z."""
        self.volume.look(ALONG_Z)

    def step(self, step: int) -> None:
        """Show the next or previous map of the list."""
        count = self._map.count()
        if count > 1:
            self._map.setCurrentIndex((self._map.currentIndex() + step) % count)
            self.map_chosen.emit(self._map.currentData())

    def toggle_colouring(self) -> None:
        """From plain to the next colouring, and back."""
        if self._colour.count() > 1:
            self._colour.setCurrentIndex((self._colour.currentIndex() + 1) % self._colour.count())
            self.colour_chosen.emit(self._colour.currentData())

    def screenshot(self) -> QImage:
        """The picture with its scale bar."""
        return self.slices.grab().toImage() if self.in_slices else self.volume.screenshot()

    def release(self) -> None:
        """Give the canvas back."""
        if self.late_volume.made is not None:
            self.volume.release()

    # ---- inside ---------------------------------------------------------------------------------

    def _kind_changed(self, _index: int) -> None:
        self._stack.setCurrentIndex(int(self.in_slices))
        self.level.setVisible(self.kind == "surface")
        self.volume.set_projecting(self.kind in PROJECTED)
        self.slices_wanted.emit(self.in_slices)
        self.kind_chosen.emit(self.kind)

    def _offer_others(self) -> None:
        entries = [(k, f"With: {n}") for k, n in [*self._run_others, *self._files]]
        _fill(self._other, [(NOTHING, "Nothing laid over"), *entries, (OPEN_FILE, "A file…")])
        self._other.setVisible(bool(self._run_others or self._files))

    def _other_activated(self, _index: int) -> None:
        key = str(self._other.currentData())
        if key.startswith((FILE, OPEN_FILE)):
            self.other_chosen.emit(NOTHING)
            self.file_chosen.emit(key)
        else:
            self.file_chosen.emit(NOTHING)
            self.other_chosen.emit(key)

    def _retint(self) -> None:
        self._compare.setIcon(style.icon("tiles"))
        self._reset.setIcon(style.icon("reset"))
        self._shot.setIcon(style.icon("screenshot"))
        self._view.setIcon(style.icon("settings"))


def _volume_view() -> VolumeView:
    from app.viewers.volume import VolumeView

    return VolumeView()


def _choice(name: str, tip: str) -> ChoiceBox:
    box = ChoiceBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setMinimumWidth(90)
    box.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(9)
    return box


def _fill(box: ChoiceBox, entries: Sequence[tuple[str, str]]) -> None:
    chosen = box.currentData()
    if [box.itemData(i) for i in range(box.count())] == [key for key, _ in entries]:
        return
    box.blockSignals(True)
    box.clear()
    for key, name in entries:
        box.addItem(name, key)
    box.setCurrentIndex(max(0, box.findData(chosen)) if entries else -1)
    box.blockSignals(False)


def _button(tip: str) -> QToolButton:
    button = QToolButton()
    button.setIconSize(QSize(20, 20))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
