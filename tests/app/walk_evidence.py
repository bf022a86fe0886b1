"""Second route: projections, a map and a known part → points → compare → flip the hand → export."""

from __future__ import annotations

from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
)

from app.main_window import MainWindow
from app.panels.evidence_card import EvidenceCard
from tests.app.walk_hands import Hands
from tests.app.walk_inputs import WalkInputs


class EvidenceRoute:
    """Each step does something with mouse or keyboard, looks, and takes a picture."""

    def __init__(self, window: MainWindow, hands: Hands, inputs: WalkInputs, out: Path) -> None:
        self.window, self.hands, self.inputs, self.out = window, hands, inputs, out
        self.outcomes: list[str] = []
        window.monitor.ended.connect(lambda outcome, _message: self.outcomes.append(outcome))

    def walk(self) -> None:
        """All steps."""
        self.open()
        self.prepare()
        self.run("Points are drawn", "With the known part: results")
        self.look()
        self.compare()
        self.hand_of_a_known_part()
        self.flip_and_undo()
        self.export()

    # ---- open -----------------------------------------------------------------------------------

    def open(self) -> None:
        hands, inputs = self.hands, self.inputs
        hands.shot("The window at the start")
        assert not self.run_button().isEnabled()
        hands.drop([inputs.images, inputs.poses])
        self.checked()
        assert [card for card in self.cards() if "rojections" in self.title(card)]
        hands.shot("Projections and their poses are one")
        hands.drop([inputs.coarse, inputs.part, inputs.truth])
        self.checked()
        hands.shot("A map and structures: what are they?")
        assert len(self.cards()) == 4
        assert not self.run_button().isEnabled()
        self.use_as(inputs.part, "Known part")
        self.use_as(inputs.truth, "Reference to judge")
        hands.wait(lambda: self.run_button().isEnabled(), "everything is ready")
        hands.shot("Everything has its use")

    def prepare(self) -> None:
        hands, inputs = self.hands, self.inputs
        hands.click(hands.find(QPushButton, "Preset Quick look"))
        self.enter("Samples", inputs.samples)
        if inputs.points:
            hands.click(hands.find(QCheckBox, "Show all settings", self.window.run_panel))
            self.enter("Points", inputs.points)
        self.enter("Steps", inputs.steps)
        hands.type_into(hands.find(QLineEdit, "Title"), "three views")
        hands.wait(lambda: self.run_button().isEnabled(), "it can run")
        hands.shot("The run, ready")

    def run(self, during: str, after: str) -> None:
        hands, window = self.hands, self.window
        before = len(self.outcomes)
        hands.click(self.run_button())
        hands.wait(lambda: window.monitor.running, "the run begins")
        hands.wait(lambda: window.viewer.points.drawn() or len(self.outcomes) > before, "points are drawn")
        hands.shot(during)
        folder = window.monitor.folder
        hands.wait(lambda: not window.monitor.running, "the run ends", 900)
        assert self.outcomes[-1] == "completed", window.messages.texts()
        hands.wait(
            lambda: window.run_view.stored is not None and window.run_view.stored.folder == folder,
            "its results are shown",
        )
        hands.wait(lambda: not window.background.busy, "its results are read")
        hands.shot(after)
        assert len(window.viewer.points.points_A) == self.inputs.samples

    # ---- look -----------------------------------------------------------------------------------

    def look(self) -> None:
        hands, window = self.hands, self.window
        table = {m.label: m for m in window.results.measures}
        assert "RMSD, points, aligned" in table, list(table)
        for index in range(window.results._plots.count()):
            if window.results._plots.isTabVisible(index):
                title = window.results._plots.tabText(index)
                page = hands.open_tab(window.results._plots, title)
                plot = page if isinstance(page, pg.PlotWidget) else page.findChild(pg.PlotWidget)
                assert plot is not None, f"{title} has no plot"
                assert plot.getPlotItem().items, f"the plot {title} is empty"
                hands.shot(f"Results: {title}")
        hands.open_tab(window.tabs, "Energies")
        hands.shot("Energies")
        colour = hands.find(QComboBox, "Colouring")
        hands.choose(colour, "Colour by spread")
        hands.shot("Coloured by spread")
        hands.choose(colour, "Colour by sample")
        hands.keys("]")
        assert hands.find(QComboBox, "Sample shown").currentText() == "Sample 1"
        hands.shot("One sample")
        hands.choose(hands.find(QComboBox, "Sample shown"), "All samples")

    def compare(self) -> None:
        hands, window = self.hands, self.window
        hands.keys("t")
        hands.wait(lambda: window.viewer.page == "compare", "the tiles")
        page = window.viewer._stack.currentWidget()
        assert len(page.tiles.tiles) == self.inputs.samples
        hands.shot("Samples side by side")
        hands.keys("]")
        assert page.tiles.marked == 0
        hands.shot("One of them marked")
        hands.click(hands.find(QPushButton, "Back"))
        assert window.viewer.page == "points"

    # ---- the hand -------------------------------------------------------------------------------

    def hand_of_a_known_part(self) -> None:
        """The known part fixes the hand: the window says so, and nothing is flipped."""
        hands, window = self.hands, self.window
        before = window.viewer.points.points_A.copy()
        hands.keys("shift+h")
        hands.wait(lambda: any("known part fixes" in t for t in window.messages.texts()), "the reason")
        np.testing.assert_array_equal(window.viewer.points.points_A, before)
        hands.shot("A known part fixes the hand")
        card = next(c for c in self.cards() if self.names(c) == self.inputs.part.name)
        hands.click(hands.find(QToolButton, "Remove", card))
        hands.wait(lambda: len(self.cards()) == 3 and self.run_button().isEnabled(), "the part is off")
        self.run("Without the known part", "Without the known part: results")

    def flip_and_undo(self) -> None:
        hands, window = self.hands, self.window
        before = window.viewer.points.points_A.copy()
        hands.menu_bar("View", "Flip hand", "The menu View")
        hands.wait(lambda: not np.array_equal(window.viewer.points.points_A, before), "it is flipped")
        hands.wait(lambda: not window.background.busy, "all is flipped")
        flipped = window.viewer.points.points_A.copy()
        hands.shot("The other hand")
        assert _handedness(before) * _handedness(flipped) < 0, "no mirror image"
        hands.keys("ctrl+z")
        hands.wait(lambda: np.allclose(window.viewer.points.points_A, before), "the flip is undone")
        hands.wait(lambda: not window.background.busy, "all is as it was")
        hands.shot("Undone: the hand as computed")

    # ---- export ---------------------------------------------------------------------------------

    def export(self) -> None:
        hands, window, inputs = self.hands, self.window, self.inputs
        points = window.run_view.stored.ensemble.points_A
        cif, pdb = self.out / "ensemble.cif", self.out / "ensemble.pdb"
        volume, table = self.out / "ensemble.mrc", self.out / "ensemble.csv"
        self.export_as("mmCIF", cif, "Export: format and file")
        self.export_as("PDB", pdb)
        for path in (cif, pdb):
            models = gemmi.read_structure(str(path))
            assert len(models) == inputs.samples
            atoms = np.array([a.atom.pos.tolist() for a in models[0].all()])
            np.testing.assert_allclose(atoms, points[0], atol=2e-3)
        self.export_as("MRC", volume, "Export: a map has a resolution")
        with mrcfile.open(volume) as stored:
            assert stored.voxel_size.x > 0
            dense = np.argwhere(stored.data > 0.5 * stored.data.max()).mean(0)[::-1]
            origin = np.array([stored.header.origin[axis] for axis in "xyz"], float)
            middle = dense * float(stored.voxel_size.x) + origin
        spread = float(np.linalg.norm(points.std((0, 1))))
        assert np.linalg.norm(middle - points.mean((0, 1))) < spread, "the map lies elsewhere"
        self.export_as("CSV", table)
        lines = table.read_text().splitlines()
        assert len(lines) >= points.shape[0] * points.shape[1]
        hands.shot("Exported")

    def export_as(self, form: str, path: Path, title: str = "") -> None:
        hands = self.hands

        def fill(dialog: QDialog) -> None:
            hands.choose(dialog.findChildren(QComboBox)[0], form)
            hands.type_into(hands.find(QLineEdit, "File or folder to write", dialog), str(path))
            if title:
                hands.shot(title)
            hands.click(hands.find(QPushButton, "Export", dialog))

        hands.in_dialog(lambda: hands.keys("ctrl+e"), fill)
        hands.wait(lambda: path.exists() and not self.window.background.busy, f"{path.name} is written")

    # ---- what is seen ---------------------------------------------------------------------------

    def run_button(self) -> QPushButton:
        return self.window.run_panel.run_button

    def cards(self) -> list[EvidenceCard]:
        return [c for c in self.window.inputs.findChildren(EvidenceCard) if c.isVisible()]

    def title(self, card: EvidenceCard) -> str:
        return card.findChildren(QLabel)[0].text()

    def names(self, card: EvidenceCard) -> str:
        return card.findChildren(QLabel)[1].text()

    def checked(self) -> None:
        self.hands.wait(lambda: not self.window.session.checking, "the files are checked")

    def use_as(self, path: Path, role: str) -> None:
        card = next(c for c in self.cards() if self.names(c) == path.name)
        self.hands.choose(self.hands.find(QComboBox, "Use this file as", card), role)

    def enter(self, name: str, value: int) -> None:
        fields = [w for w in self.hands.find_all(QSpinBox, name, self.window.run_panel)]
        assert len(fields) == 1, f"{len(fields)} fields are called {name}"
        self.hands.type_into(fields[0], str(value))


def _handedness(points_A: np.ndarray) -> float:
    """A number that a mirror image has with the other sign: triple product of third moments."""
    cloud = points_A[0] - points_A[0].mean(0)
    axes = [(cloud * (cloud[:, i : i + 1] ** 2)).mean(0) for i in range(3)]
    return float(np.linalg.det(np.stack(axes)))
