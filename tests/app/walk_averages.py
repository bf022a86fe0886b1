"""First route: class averages → select → train → volumes → FSC → export."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pyqtgraph as pg
import starfile
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QWidget,
)

from app.main_window import MainWindow
from app.panels.gallery_view import GalleryView
from tests.app.walk_hands import Hands
from tests.app.walk_inputs import WalkInputs


class AveragesRoute:
    """Each step does something with mouse or keyboard, looks, and takes a picture."""

    def __init__(self, window: MainWindow, hands: Hands, inputs: WalkInputs, out: Path) -> None:
        self.window, self.hands, self.inputs, self.out = window, hands, inputs, out
        self.outcomes: list[str] = []
        window.monitor.ended.connect(lambda outcome, _message: self.outcomes.append(outcome))

    def walk(self) -> None:
        """All steps."""
        self.open()
        self.select()
        self.train()
        self.make_volumes()
        self.look_at_results()
        self.save_curves()
        self.export()

    # ---- open and select ------------------------------------------------------------------------

    def open(self) -> None:
        hands, inputs = self.hands, self.inputs
        hands.shot("The window at the start")
        hands.click(hands.find(QPushButton, "Volumes from class averages (SDS)"))
        hands.shot("Volumes from class averages: nothing yet")
        assert not self.run_button().isEnabled()
        hands.type_file(lambda: hands.keys("ctrl+o"), inputs.averages, "Ctrl+O asks for files")
        hands.wait(lambda: self.gallery().model().rowCount(), "the images are shown")
        hands.shot("Class averages without a pixel size")
        assert "pixel" in self.said_below()
        size = hands.find(QDoubleSpinBox, "Pixel size in Å")
        hands.type_into(size, f"{inputs.pixel_size_A:g}")
        hands.click(hands.find(QPushButton, "Use this pixel size"))
        hands.wait(lambda: self.run_button().isEnabled(), "the images are prepared")
        hands.wait(
            lambda: hands.find(QComboBox, "Sort the images by").findText("Sorted by quality") >= 0, "ranks"
        )
        hands.shot("Ready with all class averages")

    def select(self) -> None:
        hands, view = self.hands, self.gallery()
        count = view.model().rowCount()
        assert self.counted().startswith(f"Selected {count} of {count}")
        hands.click_row(view, 1)
        hands.click_row(view, 3)
        assert self.counted().startswith(f"Selected {count - 2} of {count}")
        hands.shot("Two images left out by clicking")
        hands.keys("ctrl+z")
        assert self.counted().startswith(f"Selected {count - 1} of {count}")
        hands.keys("right")
        hands.keys("space")
        assert self.counted().startswith(f"Selected {count - 2} of {count}")
        hands.click(hands.find(QPushButton, "As prepared"))
        hands.wait(lambda: not self.window.background.busy, "the images are prepared")
        hands.shot("As prepared: centred and masked")
        hands.click(hands.find(QPushButton, "As read"))
        hands.drop([self.inputs.reference])
        hands.wait(lambda: self.has_label(self.inputs.reference.name), "the reference is taken")
        hands.shot("A reference dropped on the window")

    # ---- train ----------------------------------------------------------------------------------

    def train(self) -> None:
        hands, inputs = self.hands, self.inputs
        self.enter("Working box", inputs.box, QSpinBox)
        hands.keys("alt+3")
        hands.wait(lambda: hands.find(QPushButton, "Train a 2D denoiser").isChecked(), "the other mode")
        hands.click(hands.find(QPushButton, "Preset Quick look"))
        self.enter("Most steps", inputs.training_steps, QSpinBox)
        self.enter("Title", "denoiser", QLineEdit)
        hands.wait(lambda: hands.find(QPushButton, "Train").isEnabled(), "the training can begin")
        hands.shot("A short training, ready")
        hands.click(self.run_button())
        hands.wait(lambda: self.window.monitor.running, "the training begins")
        hands.shot("The training has begun", 1.5)
        self.to_the_end("Use this denoiser for volumes")
        hands.shot("The denoiser is trained")
        loss, errors = self.curves("Training")
        assert loss[0] >= 1, "no loss was drawn"
        assert errors[0] == 2, "the errors of the network and of the closed form"
        assert errors[1] >= 3

    # ---- volumes --------------------------------------------------------------------------------

    def make_volumes(self) -> None:
        hands, inputs = self.hands, self.inputs
        hands.click(hands.find(QPushButton, "Use this denoiser for volumes"))
        hands.wait(lambda: self.has_field("Independent starts"), "the volumes are prepared")
        assert hands.find(QPushButton, "Volumes from class averages (SDS)").isChecked()
        assert hands.find(QLineEdit, "Weights of the denoiser").text() == "denoiser.safetensors"
        hands.shot("The next run, filled in")
        hands.click(hands.find(QCheckBox, "Show all settings"))
        if inputs.symmetry != "C1":
            self.enter("Symmetry", inputs.symmetry, QLineEdit)
        self.enter("Independent starts", inputs.restarts, QSpinBox)
        self.enter("Only these images", "1, 2, 4", QLineEdit)
        self.enter("Motion rounds", 0, QSpinBox)
        self.enter("Refinement rounds", inputs.rounds, QSpinBox)
        self.enter("Steps", inputs.distillation_steps, QSpinBox)
        self.enter("Title", "volumes", QLineEdit)
        hands.shot("Every setting of the volumes")
        hands.wait(lambda: self.run_button().isEnabled(), "the run can begin")
        hands.click(self.run_button())
        hands.wait(lambda: self.window.viewer.volume.volume.drawn() or self.ended(), "a volume forms")
        hands.shot("A volume forms")
        self.to_the_end("")
        hands.shot("The volumes are finished")

    def look_at_results(self) -> None:
        hands, window = self.hands, self.window
        assert window.viewer.volume.volume.drawn() > 50, "no surface is drawn"
        (fsc,) = self.curves("Results")
        assert fsc[0] >= 2, "there should be half sets and the reference"
        assert fsc[1] >= 5, "the FSC has hardly any points"
        for title in ("Landscape", "Images", "Starts", "Messages"):
            hands.open_tab(window.tabs, title)
            hands.shot(f"The tab {title}")
        hands.open_tab(window.tabs, "Results")
        before = window.sds_view.maps.key
        hands.keys("]")
        hands.wait(lambda: window.sds_view.maps.key != before and not window.background.busy, "the next map")
        hands.shot("The next map")
        hands.keys("x")
        hands.shot("Slices of it")
        hands.keys("x")
        hands.keys("t")
        hands.wait(lambda: window.viewer.page == "compare", "the tiles")
        hands.wait(lambda: not window.background.busy, "the surfaces of the tiles")
        hands.shot("Starts side by side")
        hands.click(hands.find(QPushButton, "Back"))
        assert window.viewer.page == "volume"

    # ---- files ----------------------------------------------------------------------------------

    def save_curves(self) -> None:
        """The FSC as a table, through the menu of the plot."""
        hands, path = self.hands, self.out / "fsc.csv"
        plot = self.window.tabs.currentWidget().findChild(pg.PlotWidget).parent()
        button = hands.find(QToolButton, "Save this plot", plot)

        def asks() -> None:
            hands.menu_of(lambda: hands.click(button), "Save Values", "The menu of a plot")

        hands.type_file(asks, path)
        hands.wait(path.is_file, "the table is written")
        rows = path.read_text().splitlines()
        assert rows[0] == "curve,frequency_per_A,fsc"
        values = np.array([row.rsplit(",", 2)[1:] for row in rows[1:]], float)
        assert np.isfinite(values).all()
        assert np.abs(values[:, 1]).max() <= 1.001

    def export(self) -> None:
        hands = self.hands
        consensus, star = self.out / "consensus.mrc", self.out / "poses.star"
        self.export_as("MRC", consensus, "Export: which map, and where")
        with mrcfile.open(consensus) as stored:
            assert stored.data.shape == (self.inputs.box,) * 3
            assert np.ptp(stored.data) > 0
            size = float(stored.voxel_size.x)
        extent, whole = size * self.inputs.box, self.original_extent_A()
        assert 0.4 * whole < extent < 1.02 * whole, f"the map is {extent:g} Å wide, the images {whole:g} Å"
        hands.shot("Exported")
        self.export_as("STAR", star)
        tables = starfile.read(star, always_dict=True)
        assert len(tables["particles"]) == self.gallery_count() - 2
        assert star.with_suffix(".mrcs").is_file()

    def export_as(self, form: str, path: Path, title: str = "") -> None:
        hands = self.hands

        def fill(dialog: QDialog) -> None:
            choice = dialog.findChildren(QComboBox)[0]
            hands.choose(choice, form)
            hands.type_into(hands.find(QLineEdit, "File or folder to write", dialog), str(path))
            if title:
                hands.shot(title)
            hands.click(hands.find(QPushButton, "Export", dialog))

        hands.in_dialog(lambda: hands.keys("ctrl+e"), fill)
        hands.wait(lambda: path.exists() and not self.window.background.busy, f"{path.name} is written")

    # ---- what is seen ---------------------------------------------------------------------------

    def gallery(self) -> GalleryView:
        return self.window.modes.gallery.view

    def gallery_count(self) -> int:
        return self.gallery().model().rowCount()

    def original_extent_A(self) -> float:
        with mrcfile.open(self.inputs.averages, permissive=True) as stored:
            return float(stored.data.shape[-1] * self.inputs.pixel_size_A)

    def run_button(self) -> QPushButton:
        return self.window.modes.panel.run_button

    def said_below(self) -> str:
        """What stands above the Run button."""
        return " ".join(w.text() for w in self.window.modes.panel.findChildren(QLabel) if w.isVisible())

    def counted(self) -> str:
        return self.hands.find(QLabel, "Selected").text()

    def has_label(self, text: str) -> bool:
        return any(w.isVisible() and w.text() == text for w in self.window.findChildren(QLabel))

    def has_field(self, name: str) -> bool:
        return any(w.isVisible() and w.accessibleName() == name for w in self.window.findChildren(QWidget))

    def enter(self, name: str, value: object, kind: type[QWidget]) -> None:
        """Fill in a field of the left column, which may have a unit in its name."""
        fields = [
            w
            for w in self.window.findChildren(kind)
            if w.isVisible() and w.accessibleName().removesuffix(" in px") == name
        ]
        assert len(fields) == 1, f"{len(fields)} fields are called {name}"
        self.hands.type_into(fields[0], str(value))

    def ended(self) -> bool:
        return not self.window.monitor.running

    def to_the_end(self, next_step: str) -> None:
        """Wait for the end of a run, for its results, and for what it offers next."""
        hands, window = self.hands, self.window
        folder = window.monitor.folder
        hands.wait(self.ended, "the run ends", 600)
        assert self.outcomes[-1] == "completed", window.messages.texts()
        hands.wait(
            lambda: window.run_view.stored is not None and window.run_view.stored.folder == folder,
            f"its results are shown: {window.messages.texts()[-2:]}",
        )
        hands.wait(lambda: not window.background.busy, "its results are read")
        if next_step:
            hands.wait(lambda: hands.find(QPushButton, next_step), "the next step is offered")

    def curves(self, tab: str) -> list[tuple[int, int]]:
        """Of each plot that is in sight: how many curves, and points of the longest."""
        hands, window = self.hands, self.window
        page = hands.open_tab(window.tabs, tab)
        found = []
        for plot in page.findChildren(pg.PlotWidget):
            if plot.isVisible():
                sizes = [len(c.xData) for c in plot.getPlotItem().listDataItems() if c.xData is not None]
                found.append((len([s for s in sizes if s]), max(sizes, default=0)))
        return found
