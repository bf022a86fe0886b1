"""Settings of the 3D pictures in a card over their corner: it stays open while one turns the object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import style
from app.number_fields import ChoiceBox
from app.panels.scrolled import scrolled
from app.viewers.look import BACKGROUNDS, LIGHTS, PLANES, Look

NOTHING, OPEN_FILE = "", "open"
WIDTH = 268
PAGES = ("points", "volume")  # that have these settings


class ViewDrawer(QFrame):
    """Setters and signals only.

    ``look_changed`` tells of a new :class:`Look`; ``reference_chosen`` of a key, :data:`OPEN_FILE` to ask
    for a file; shares of levels are those of the box that a surface encloses.
    """

    look_changed = Signal(object)
    size_changed = Signal(float)
    reference_chosen = Signal(str)
    aligned_chosen = Signal(bool)
    either_hand_chosen = Signal(bool)
    reference_opacity_chosen = Signal(float)
    level_chosen = Signal(float)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.setAccessibleName("View settings")
        self.setAutoFillBackground(True)
        self._look = Look()
        self._page = ""
        self._inside = inside = QWidget()
        inside.setObjectName("drawer")
        form = QFormLayout(inside)
        form.setContentsMargins(10, 4, 10, 10)
        form.setVerticalSpacing(5)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form = form
        self.point_size = _slider(
            "Size of the points", "% of their share of the object's volume", 25, 200, 100
        )
        self.background = _choice("Background", "Transparent: pictures are saved without one", BACKGROUNDS)
        self.light = _choice("Light", "How surfaces and points are lit", LIGHTS)
        self.axes = _check("Axes", "x, y and z in the corner")
        self.fading = _check("Depth cue", "What lies further back fades")
        self.opacity = _slider("Opacity of the surface", "%", 10, 100, 100)
        self.clip = _choice("Clipping plane", "Cuts away what lies in front of a plane", PLANES)
        self.clip_at = _slider(
            "Position of the clipping plane", "% of the object that is cut away", 0, 100, 50
        )
        self.clip_flipped = _check("Other side", "Cut away what lies behind the plane")
        self.reference = _choice(
            "Laid over", "A model, map or points in the same picture", {NOTHING: "Nothing"}
        )
        self.aligned = _choice("Place", "", {"placed": "As placed", "aligned": "Aligned"})
        self.aligned.setToolTip("Where the file puts it, or brought rigidly onto what is shown")
        self.either_hand = _check("Mirror image allowed", "Also try the other hand when aligning")
        self.reference_opacity = _slider("Opacity of what is laid over", "%", 5, 100, 60)
        self.level = _slider("Level of the map laid over", "share of its box that it encloses", 0, 200, 100)
        self.said = QLabel()
        self.said.setObjectName("muted")
        self.said.setWordWrap(True)
        self._rows = {
            "size": self.point_size, "background": self.background, "light": self.light,
            "opacity": self.opacity,
            "clip": self.clip, "clip_at": self.clip_at, "reference": self.reference,
            "aligned": self.aligned, "reference_opacity": self.reference_opacity, "level": self.level,
        }  # fmt: skip
        form.addRow("Point size", self.point_size)
        form.addRow("Opacity", self.opacity)
        form.addRow("Background", self.background)
        form.addRow("Light", self.light)
        form.addRow(_pair(self.axes, self.fading))
        form.addRow("Clip", self.clip)
        form.addRow("Position", self.clip_at)
        form.addRow("", self.clip_flipped)
        form.addRow("Laid over", self.reference)
        form.addRow("Place", self.aligned)
        form.addRow("", self.either_hand)
        form.addRow("Opacity", self.reference_opacity)
        form.addRow("Level", self.level)
        form.addRow(self.said)
        title = QLabel("View")
        title.setObjectName("title")
        reset = QPushButton("Reset")
        reset.setToolTip("All of these as at first; what is laid over stays")
        reset.clicked.connect(self._reset)
        self._close = QToolButton()
        self._close.setToolTip("Close (V)")
        self._close.setAccessibleName("Close the view settings")
        self._close.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.setContentsMargins(10, 6, 6, 0)
        head.addWidget(title, 1)
        head.addWidget(reset)
        head.addWidget(self._close)
        self._scroll = scroll = scrolled(inside)
        scroll.setStyleSheet("QScrollArea, QWidget#drawer { background: transparent; }")
        scroll.viewport().setAutoFillBackground(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(head)
        layout.addWidget(scroll)
        self._connect()
        self.show_look(self._look)
        self.show_reference(has_level=False, placed=False)
        self.retint()
        self.hide()

    # ---- setters --------------------------------------------------------------------------------

    def show_look(self, look: Look) -> None:
        """Show settings; nothing is emitted."""
        self._look = look
        with _quiet(self._parts()):
            for box, value in ((self.background, look.background), (self.light, look.light),
                               (self.clip, look.clip)):  # fmt: skip
                box.setCurrentIndex(box.findData(value))
            self.axes.setChecked(look.axes)
            self.fading.setChecked(look.depth_cue)
            self.opacity.setValue(round(100 * look.opacity))
            self.clip_at.setValue(round(100 * look.clip_at))
            self.clip_flipped.setChecked(look.clip_flipped)
        self._arrange()

    def show_size(self, factor: float) -> None:
        """Show the size of the points; nothing is emitted."""
        with _quiet([self.point_size]):
            self.point_size.setValue(round(100 * factor))

    def set_page(self, page: str) -> None:
        """Offer what concerns ``points`` or ``volume``."""
        self._page = page
        self._arrange()

    def offer_references(self, entries: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer (key, name) to lay over, and say which is."""
        with _quiet([self.reference]):
            self.reference.clear()
            self.reference.addItem("Nothing", NOTHING)
            for key, name in entries:
                self.reference.addItem(name, key)
                self.reference.setItemData(self.reference.count() - 1, name, Qt.ItemDataRole.ToolTipRole)
            self.reference.addItem("A file…", OPEN_FILE)
            self.reference.setCurrentIndex(max(0, self.reference.findData(chosen)))

    def show_reference(
        self,
        *,
        placed: bool,
        has_level: bool,
        aligned: bool = False,
        either_hand: bool = False,
        opacity: float = 0.6,
        level: float = 0.01,
    ) -> None:
        """Say what is known of the reference; ``placed`` is whether there is one. Nothing is emitted."""
        with _quiet(self._parts()):
            self.aligned.setCurrentIndex(int(aligned))
            self.either_hand.setChecked(either_hand)
            self.reference_opacity.setValue(round(100 * opacity))
            self.level.setValue(level_to_slider(level))
        self._placed, self._has_level = placed, has_level
        self._arrange()

    def say(self, text: str) -> None:
        """A sentence about the reference."""
        self.said.setText(text)
        self._arrange()

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self._close.setIcon(style.icon("remove"))

    def place(self, left: int, top: int, room: int) -> None:
        """Stand at a corner, no higher than the room."""
        self._at = (left, top, room)
        self._arrange()

    # ---- inside ---------------------------------------------------------------------------------

    def _parts(self) -> list[Any]:
        return [self.axes, self.fading, self.clip_flipped, self.either_hand, *self._rows.values()]

    def _connect(self) -> None:
        self.point_size.valueChanged.connect(lambda v: self.size_changed.emit(v / 100))
        for box, key in ((self.background, "background"), (self.light, "light"), (self.clip, "clip")):
            box.currentIndexChanged.connect(lambda _i, b=box, k=key: self._change(**{k: b.currentData()}))
        for check, key in (
            (self.axes, "axes"),
            (self.fading, "depth_cue"),
            (self.clip_flipped, "clip_flipped"),
        ):
            check.toggled.connect(lambda on, k=key: self._change(**{k: on}))
        for slider, key in ((self.opacity, "opacity"), (self.clip_at, "clip_at")):
            slider.valueChanged.connect(lambda v, k=key: self._change(**{k: v / 100}))
        self.reference.activated.connect(lambda _i: self.reference_chosen.emit(self.reference.currentData()))
        self.aligned.activated.connect(lambda i: self.aligned_chosen.emit(i == 1))
        self.either_hand.toggled.connect(self.either_hand_chosen)
        self.reference_opacity.valueChanged.connect(lambda v: self.reference_opacity_chosen.emit(v / 100))
        self.level.valueChanged.connect(lambda v: self.level_chosen.emit(slider_to_level(v)))

    def _change(self, **values: Any) -> None:
        self._look = replace(self._look, **values)
        self._arrange()
        self.look_changed.emit(self._look)

    def _reset(self) -> None:
        self.show_look(Look())
        self.show_size(1.0)
        self.size_changed.emit(1.0)
        self.look_changed.emit(self._look)

    _placed = _has_level = False
    _at = (8, 8, 600)

    def _arrange(self) -> None:
        form, clipped = self._form, bool(self._look.clip)
        shown: dict[QWidget, bool] = {
            self.point_size: self._page == "points",
            self.opacity: self._page == "volume",
            self.clip_at: clipped,
            self.clip_flipped: clipped,
            self.aligned: self._placed,
            self.either_hand: self._placed and self.aligned.currentIndex() == 1,
            self.reference_opacity: self._placed,
            self.level: self._placed and self._has_level,
            self.said: bool(self.said.text()),
        }
        for part, on in shown.items():
            form.setRowVisible(part, on)
        left, top, room = self._at
        form.activate()
        head = 44
        wanted = form.totalHeightForWidth(WIDTH - 2) if form.hasHeightForWidth() else form.sizeHint().height()
        self.setGeometry(left, top, WIDTH, max(120, min(room, wanted + head)))


def level_to_slider(share: float) -> int:
    """0.0001 to 0.3 of the box on a logarithmic scale of 0 to 200."""
    import math

    return round(200 * math.log(max(1e-4, min(0.3, share)) / 1e-4) / math.log(3000))


def slider_to_level(value: int) -> float:
    """The other way round."""
    return float(1e-4 * 3000 ** (value / 200))


class _quiet:
    """While this lasts, the parts emit nothing."""

    def __init__(self, parts: Sequence[QWidget]) -> None:
        self._parts = parts

    def __enter__(self) -> None:
        self._before = [part.blockSignals(True) for part in self._parts]

    def __exit__(self, *_: object) -> None:
        for part, before in zip(self._parts, self._before, strict=True):
            part.blockSignals(before)


def _choice(name: str, tip: str, entries: Mapping[str, str]) -> ChoiceBox:
    box = ChoiceBox()
    box.setMinimumContentsLength(8)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    for key, text in entries.items():
        box.addItem(text, key)
    return box


def _check(name: str, tip: str) -> QCheckBox:
    box = QCheckBox(name)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    return box


def _slider(name: str, unit: str, low: int, high: int, value: int) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setValue(value)
    slider.setAccessibleName(name)
    slider.setToolTip(f"{name}, {unit}")
    slider.setMinimumHeight(24)
    return slider


def _pair(left: QWidget, right: QWidget) -> QWidget:
    both = QWidget()
    row = QHBoxLayout(both)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(left)
    row.addWidget(right)
    return both
