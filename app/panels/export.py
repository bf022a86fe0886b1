"""Asks how to export an ensemble, or volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.number_fields import ChoiceBox, FloatBox

LABELS = {"mmcif": "mmCIF", "cxc": "ChimeraX script", "star": "RELION STAR"}
PICKS = ("mrc", "cxc")  # formats of which the user says which volumes
WITH_B_FACTORS = ("mmcif", "pdb", "cxc")


@dataclass(frozen=True)
class ExportWish:
    """What to write and where.

    Resolution and voxel size (Å) matter for maps of point clouds only, ``which`` for volumes only,
    ``b_factors`` (a key of :data:`engine.io.point_values.MEANINGS`) for models.
    """

    path: Path
    format: str
    resolution_A: float | None = None
    voxel_size_A: float | None = None
    which: Any = None
    b_factors: str = "spread"


class ExportDialog(QDialog):
    """Format, file, and for maps the resolution.

    Parameters
    ----------
    formats : name -> (suffix, description), as ``engine.io.export.FORMATS``.
    folder : where the file dialog begins.
    stem : suggested file name.
    spacing_A : distance between the points, from which resolution and voxel size are suggested; None
        for what has a resolution of its own.
    choices : (words, ``which``) of the volumes that can be written; empty where there is no choice.
    values : (words, name) of what B-factors can hold; fewer than two leave no choice.
    """

    def __init__(
        self,
        formats: dict[str, tuple[str, str]],
        folder: Path,
        stem: str,
        spacing_A: float | None,
        parent: QWidget | None,
        *,
        title: str = "Export the ensemble",
        choices: Sequence[tuple[str, Any]] = (),
        values: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._sampled = spacing_A is not None
        spacing_A = spacing_A or 1.0
        self._formats, self._folder, self._stem = formats, folder, stem
        self._typed = False
        self._format = ChoiceBox()
        for name, (suffix, _description) in formats.items():
            label = LABELS.get(name, name.upper() if len(name) < 4 else name)
            self._format.addItem(f"{label} ({suffix})", name)
        self._description = QLabel()
        self._description.setObjectName("muted")
        self._description.setWordWrap(True)
        self._path = QLineEdit()
        self._path.setAccessibleName("File or folder to write")
        self._path.textEdited.connect(self._path_typed)
        browse = QPushButton("Browse…")
        browse.clicked.connect(self._browse)
        path_row = QHBoxLayout()
        path_row.addWidget(self._path, 1)
        path_row.addWidget(browse)
        self._resolution = _length(max(1.0, round(2 * spacing_A, 1)), "Finest detail of the map, Å.")
        self._voxel = _length(
            max(0.5, round(spacing_A / 2, 1)), "Edge of one voxel, Å: a third of the resolution or less."
        )
        self._which = ChoiceBox()
        for words, which in choices:
            self._which.addItem(words, which)
        self._b_factors = ChoiceBox()
        self._b_factors.setToolTip("What other programs show as B-factor of each point.")
        for words, value in values:
            self._b_factors.addItem(words, value)
        self._problem = QLabel()
        self._problem.setObjectName("error")
        self._problem.setWordWrap(True)
        self._rows = QFormLayout()
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.addRow("Format", self._format)
        self._rows.addRow(self._description)
        self._rows.addRow("Volumes", self._which)
        self._rows.addRow("B-factors", self._b_factors)
        self._rows.addRow("File", path_row)
        self._rows.addRow("Resolution", self._resolution)
        self._rows.addRow("Voxel size", self._voxel)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self._export = self._buttons.addButton("Export", QDialogButtonBox.ButtonRole.AcceptRole)
        self._export.setObjectName("primary")
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(self._rows)
        layout.addWidget(self._problem)
        layout.addWidget(self._buttons)
        self.setMinimumWidth(520)
        self._format.currentIndexChanged.connect(self._format_changed)
        self._format_changed()

    def wish(self) -> ExportWish:
        """What was asked for."""
        name = self._format.currentData()
        path = Path(self._path.text().strip()).expanduser()
        if self._which.count():
            return ExportWish(path, name, which=self._which.currentData() if name in PICKS else None)
        if name == "mrc" and self._sampled:
            return ExportWish(path, name, self._resolution.value(), self._voxel.value())
        if name in WITH_B_FACTORS and self._b_factors.count():
            return ExportWish(path, name, b_factors=self._b_factors.currentData())
        return ExportWish(path, name)

    @property
    def can_export(self) -> bool:
        """Whether the file can be written, as far as can be seen."""
        return self._export.isEnabled()

    def choose(self, name: str, path: Path) -> None:
        """Set format and file."""
        self._format.setCurrentIndex(self._format.findData(name))
        self._typed = True
        self._path.setText(str(path))
        self._check()

    def _format_changed(self, _index: int = 0) -> None:
        name = self._format.currentData()
        suffix, description = self._formats[name]
        self._description.setText(description)
        for field in (self._resolution, self._voxel):
            self._rows.setRowVisible(field, name == "mrc" and self._sampled)
        self._rows.setRowVisible(self._which, bool(self._which.count()) and name in PICKS)
        self._rows.setRowVisible(self._b_factors, self._b_factors.count() > 1 and name in WITH_B_FACTORS)
        current = Path(self._path.text()) if self._typed and self._path.text() else self._folder / self._stem
        known = {s for s, _ in self._formats.values()}
        bare = current.with_suffix("") if current.suffix in known else current
        self._path.setText(str(bare) + suffix)
        self._check()
        self.adjustSize()

    def _path_typed(self, _text: str) -> None:
        self._typed = True
        self._check()

    def _browse(self) -> None:
        suffix, _ = self._formats[self._format.currentData()]
        chosen, _ = QFileDialog.getSaveFileName(self, "Export to", self._path.text(), f"*{suffix}")
        if chosen:
            self._typed = True
            self._path.setText(chosen)
            self._check()

    def _check(self) -> None:
        text = self._path.text().strip()
        problem = "" if text else "Choose a file."
        if text and not Path(text).expanduser().parent.is_dir():
            problem = "That folder doesn't exist."
        self._problem.setText(problem)
        self._export.setEnabled(not problem)


def _length(value: float, tip: str) -> FloatBox:
    box = FloatBox()
    box.setRange(0.1, 200)
    box.setSuffix(" Å")
    box.setValue(value)
    box.setToolTip(tip)
    return box
