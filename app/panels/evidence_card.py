"""One row of the list of evidence: what it is, what was assumed, what is missing, its settings."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic_core import PydanticUndefined
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage, QMouseEvent, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout

from app import style
from app.evidence import MODELS, PATH_FIELDS, ROLE_WORDS, SIZE_FIELDS, Evidence
from app.forms import ModelForm
from app.number_fields import ChoiceBox, PixelSizeBox

THUMBNAIL = 44
MOST_THUMBNAILS = 6


class EvidenceCard(QFrame):
    """Shows an :class:`~app.evidence.Evidence`; tells what the user wants through signals."""

    role_chosen = Signal(str)
    options_entered = Signal(dict)
    remove_wanted = Signal()
    ab_initio_wanted = Signal()
    image_clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.form: ModelForm | None = None
        self._form_role = ""
        self._filled: dict[str, Any] = {}  # what the form was last given
        self._title = QLabel()
        self._title.setObjectName("title")
        self._title.setWordWrap(True)
        self._title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._names = _wrapped("muted")
        self._lines = _wrapped("")
        self._notes = _wrapped("warning")
        self._problem = _wrapped("error")
        self._thumbnails = _Thumbnails()
        self._thumbnails.clicked.connect(self.image_clicked)
        self._thumbnails.setToolTip(
            "The first projections, with contrast as Verglas sees it: density is bright. "
            "Click one to see how it fits the result."
        )
        self._role = ChoiceBox()
        self._role.setToolTip("What Verglas uses this file as.")
        self._role.setAccessibleName("Use this file as")
        self._role.activated.connect(self._role_activated)
        self._settings = QToolButton()
        self._settings.setIconSize(QSize(16, 16))
        self._settings.setCheckable(True)
        self._settings.setToolTip("Settings of this evidence")
        self._settings.setAccessibleName("Settings of this evidence")
        self._settings.toggled.connect(self._show_form)
        self._remove = QToolButton()
        self._remove.setIconSize(QSize(16, 16))
        self._remove.setToolTip("Take it off the list (the file itself stays)")
        self._remove.setAccessibleName("Remove")
        self._remove.clicked.connect(self.remove_wanted)
        self._size = PixelSizeBox()
        self._size.setToolTip(
            "Edge length of one pixel in the specimen, Å. It is on the microscope's log sheet."
        )
        self._size_button = QPushButton("Use this pixel size")
        self._size_button.clicked.connect(self._size_entered)
        self._size_button.setEnabled(False)
        self._size.known.connect(self._size_button.setEnabled)
        self._ab_initio = QPushButton("Reconstruct them without poses")
        self._ab_initio.setToolTip(
            "Images without poses, such as class averages: make volumes from them ab initio (SDS)"
        )
        self._ab_initio.clicked.connect(self.ab_initio_wanted)
        self._evidence: Evidence | None = None
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self._settings, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self._remove, 0, Qt.AlignmentFlag.AlignTop)
        size_row = QHBoxLayout()
        size_row.addWidget(self._size, 1)
        size_row.addWidget(self._size_button)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(10, 8, 8, 10)
        self._layout.setSpacing(4)
        self._layout.addLayout(top)
        for part in (self._names, self._thumbnails, self._lines, self._notes, self._problem, self._role):
            self._layout.addWidget(part)
        self._layout.addLayout(size_row)
        self._layout.addWidget(self._ab_initio)
        self.retint()

    def retint(self) -> None:
        """Draw the icons in the present text colour."""
        self._settings.setIcon(style.icon("settings"))
        self._remove.setIcon(style.icon("remove"))

    def show_evidence(self, evidence: Evidence) -> None:
        """Show a row as it is now."""
        self._evidence = evidence
        checked = evidence.checked
        waiting = "Being checked…" if evidence.state == "checking" else "Can't be used"
        self._title.setText(checked.title if checked else waiting)
        self._names.setText(evidence.names)
        self._names.setToolTip("\n".join(map(str, evidence.paths)))
        _say(self._lines, "\n".join(checked.lines if checked else ()))
        _say(self._notes, "\n".join(checked.notes if checked else ()))
        _say(self._problem, evidence.problem)
        self._problem.setObjectName("error" if evidence.state == "problem" else "warning")
        self._show_roles(evidence)
        self._show_thumbnails(checked.thumbnails if checked else None)
        asks = evidence.asks_pixel_size
        self._size.setVisible(asks)
        self._size_button.setVisible(asks)
        self._ab_initio.setVisible(evidence.kind == "images")
        editable = (
            evidence.role in MODELS and evidence.kind not in ("images", "poses") and checked is not None
        )
        self._settings.setVisible(editable)
        if not editable:
            self._settings.setChecked(False)
        if self.form is not None and self._form_role != evidence.role:
            self._drop_form()
            self._show_form(self._settings.isChecked())
        elif self.form is not None:
            self._fill_form()
        if evidence.role == "projection_points" and "rotation" not in evidence.options and editable:
            self._settings.setChecked(True)
        if self.property("state") != evidence.state:
            self.setProperty("state", evidence.state)
        for part in (self, self._problem):
            part.style().unpolish(part)
            part.style().polish(part)

    def _show_roles(self, evidence: Evidence) -> None:
        self._role.setVisible(len(evidence.roles) > 1)
        wanted = [*evidence.roles] if evidence.role else [None, *evidence.roles]
        if [self._role.itemData(i) for i in range(self._role.count())] != wanted:
            self._role.clear()
            for role in wanted:
                self._role.addItem(ROLE_WORDS[role] if role else "Use this as…", role)
        self._role.setCurrentIndex(self._role.findData(evidence.role) if evidence.role else 0)

    def _show_thumbnails(self, thumbnails: Any) -> None:
        count = 0 if thumbnails is None else min(len(thumbnails), MOST_THUMBNAILS)
        self._thumbnails.setVisible(count > 0)
        if not count:
            return
        gap = np.full((thumbnails.shape[1], 3), 0, np.uint8)
        alpha_gap = np.zeros_like(gap)
        grey = np.concatenate([part for t in thumbnails[:count] for part in (t, gap)], 1)
        alpha = np.concatenate(
            [part for t in thumbnails[:count] for part in (np.full_like(t, 255), alpha_gap)], 1
        )
        rgba = np.ascontiguousarray(np.stack([grey, grey, grey, alpha], -1))
        image = QImage(rgba.data, rgba.shape[1], rgba.shape[0], QImage.Format.Format_RGBA8888).copy()
        ratio = self.devicePixelRatioF()
        picture = QPixmap.fromImage(image).scaledToHeight(
            round(THUMBNAIL * ratio), Qt.TransformationMode.SmoothTransformation
        )
        picture.setDevicePixelRatio(ratio)
        self._thumbnails.setPixmap(picture)
        self._thumbnails.width_each = picture.deviceIndependentSize().width() / count

    def _show_form(self, shown: bool) -> None:
        if shown and self.form is None and self._evidence is not None and self._evidence.role in MODELS:
            role = self._evidence.role
            self._form_role = role
            self.form = ModelForm(MODELS[role], exclude=PATH_FIELDS[role])
            self._fill_form()
            self.form.changed.connect(self._form_edited)
            chains = self._evidence.checked.chains if self._evidence.checked else ()
            if role == "subunit" and chains:
                names = ", ".join(chains[:60]) + ("…" if len(chains) > 60 else "")
                self.form.field("chains").setToolTip(
                    f"Chains to use, separated by commas. The file has: {names}."
                )
            self._layout.addWidget(self.form)
        if self.form is not None:
            self.form.setVisible(shown)

    def _fill_form(self) -> None:
        """Show the row's options, and defaults for those that it hasn't; what is typed stays if it is so."""
        form, evidence = self.form, self._evidence
        if form is None or evidence is None:
            return
        wanted = {}
        for name in form.values_shown():
            default = form.default(name)
            wanted[name] = evidence.options.get(name, None if default is PydanticUndefined else default)
        entered = None if form.check() else form.values()
        if entered is None and wanted == self._filled:
            return  # something is typed that can't be used: it stays until the options change
        self._filled = wanted
        form.set_values({n: v for n, v in wanted.items() if entered is None or entered[n] != v})

    def _drop_form(self) -> None:
        if self.form is not None:
            self._layout.removeWidget(self.form)
            self.form.hide()  # at once, not only when it is deleted
            self.form.deleteLater()
            self.form = None
            self._form_role = ""

    def _form_edited(self) -> None:
        if self.form is None or self.form.check():
            return
        self.options_entered.emit(self.form.values())

    def _role_activated(self, index: int) -> None:
        role = self._role.itemData(index)
        if role:
            self.role_chosen.emit(role)

    def _size_entered(self) -> None:
        if self._evidence is not None and self._evidence.role in SIZE_FIELDS:
            self._size.interpretText()
            self.options_entered.emit({SIZE_FIELDS[self._evidence.role]: self._size.value()})


class _Thumbnails(QLabel):
    """Pictures side by side; ``clicked`` counts from 0."""

    clicked = Signal(int)
    width_each = 1.0

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Say which picture was clicked."""
        left = self.contentsRect().left()
        number = int((event.position().x() - left) // self.width_each)
        if (
            event.button() == Qt.MouseButton.LeftButton
            and event.position().x() < left + self.pixmap().width()
        ):
            self.clicked.emit(max(0, number))


def _wrapped(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _say(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))
