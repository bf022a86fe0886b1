"""Third route: poses with their stack → library → methods → what was measured → export."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
from PySide6.QtWidgets import QComboBox, QDialog, QDoubleSpinBox, QPushButton, QSpinBox, QWidget

from app.main_window import MainWindow
from tests.app.walk_hands import Hands
from tests.app.walk_inputs import WalkInputs


class KnownPosesRoute:
    """Each step does something with mouse or keyboard, looks, and takes a picture."""

    def __init__(self, window: MainWindow, hands: Hands, inputs: WalkInputs, out: Path) -> None:
        self.window, self.hands, self.inputs, self.out = window, hands, inputs, out
        self.outcomes: list[str] = []
        window.monitor.ended.connect(lambda outcome, _message: self.outcomes.append(outcome))

    def walk(self) -> None:
        """All steps."""
        self.open()
        self.least_squares()
        self.with_a_denoiser()
        self.look()
        self.export()

    def open(self) -> None:
        hands, inputs = self.hands, self.inputs
        hands.keys("alt+5")
        hands.wait(
            lambda: hands.find(QPushButton, "Volume from known poses (IPSM)").isChecked(), "the mode is on"
        )
        hands.shot("Volume from known poses: nothing yet")
        assert not self.run_button().isEnabled()
        hands.drop([inputs.poses, inputs.images])
        hands.wait(self.window.modes.known.panel.coverage.isVisible, "the directions of view are shown")
        hands.wait(lambda: self.run_button().isEnabled(), "the run can begin")
        hands.shot("Images, and from where they look")

    def least_squares(self) -> None:
        hands = self.hands
        hands.click(hands.find(QPushButton, "Preset Quick look"))
        hands.wait(lambda: hands.find(QComboBox, "Method").currentData() == "wiener", "least squares")
        assert not self.seen("Denoiser")
        hands.shot("Least squares alone: no denoiser is asked")
        self.run_to_the_end()
        hands.shot("What the images themselves say")
        (row,) = (row for row in self.window.sds_panels.results.rows if row.label == "Supplied by the prior")
        assert row.value.endswith("% of the map's power")

    def with_a_denoiser(self) -> None:
        hands, inputs = self.hands, self.inputs
        hands.click(hands.find(QPushButton, "Preset Standard"))
        hands.wait(lambda: self.seen("Denoiser"), "the denoiser is offered")
        hands.drop([inputs.averages])
        hands.wait(lambda: self.window.modes.known.session.library is not None, "the library is looked at")
        assert "pixel" in self.window.modes.session.missing()
        size = self.window.modes.known.panel.library_form.field("pixel_size_A")
        hands.type_into(size, f"{inputs.pixel_size_A:g}")
        hands.wait(lambda: self.run_button().isEnabled(), "the library is complete")
        form = self.window.modes.known.run_panel.method_form
        for name, value in (("steps", 3), ("views", 4)):
            field = form.field(name)
            assert isinstance(field, QSpinBox)
            hands.type_into(field, str(value))
        hands.shot("A denoiser made of class averages")
        self.run_to_the_end()
        hands.shot("The volume, and how well it fits")

    def look(self) -> None:
        hands, window = self.hands, self.window
        page = window.viewer.volume
        hands.choose(hands.find(QComboBox, "Colouring"), "Prior share")
        hands.wait(lambda: page.volume.overlay.state.colour_range == (0.0, 1.0), "the surface is coloured")
        hands.shot("Grey was measured, orange comes from the prior")
        hands.choose(hands.find(QComboBox, "Map shown"), "Least squares")
        hands.wait(lambda: window.sds_view.maps.key == "map:Least squares", "another map")
        hands.shot("Least squares in the same camera")
        hands.choose(hands.find(QComboBox, "Surface, slices or projection"), "Slices")
        hands.shot("Slices of it")
        hands.choose(hands.find(QComboBox, "Surface, slices or projection"), "Surface")
        hands.open_tab(window.tabs, "Coverage")
        plot = window.sds_panels.coverage.plot
        hands.wait(lambda: len(plot.item.listDataItems()) >= 2, "the shells are drawn")
        hands.shot("What was measured, by direction and by resolution")
        hands.open_tab(window.tabs, "Images")
        hands.shot("An image beside the map's projection")

    def export(self) -> None:
        hands = self.hands
        target = self.out / "volume.mrc"
        hands.open_tab(self.window.tabs, "Results")

        def fill(dialog: QDialog) -> None:
            dialog.choose("mrc", target)  # type: ignore[attr-defined]
            hands.shot("Exporting the volume")
            dialog.accept()

        hands.in_dialog(lambda: hands.keys("ctrl+e"), fill)
        hands.wait(target.exists, "the map is written")
        with mrcfile.open(target) as stored:
            assert np.isfinite(stored.data).all()

    # ---- what is seen -------------------------------------------------------------------------------

    def run_button(self) -> QPushButton:
        return self.window.modes.panel.run_button

    def seen(self, name: str) -> bool:
        """Whether a field of that name is shown."""
        return any(
            w.isVisible() and w.accessibleName() == name
            for kind in (QComboBox, QDoubleSpinBox)
            for w in self.window.modes.panel.findChildren(kind)
            if isinstance(w, QWidget)
        )

    def run_to_the_end(self) -> None:
        hands, window, before = self.hands, self.window, len(self.outcomes)
        hands.click(self.run_button())
        hands.wait(lambda: len(self.outcomes) > before, "the run ends", 600)
        assert self.outcomes[-1] == "completed", window.messages.texts()
        folder = window.monitor.folder
        hands.wait(
            lambda: window.run_view.stored is not None and window.run_view.stored.folder == folder,
            "its results are shown",
        )
        hands.wait(lambda: not window.background.busy, "its results are read")
