"""Offers what usually follows the run that has ended or is shown, and prepares it when that is wanted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app import next_steps
from app.next_steps import NextStep
from engine.specs.job import JobSpec
from engine.specs.sds import SdsSpec

if TYPE_CHECKING:
    from app.main_window import MainWindow


class NextOffers(QObject):
    """The button under the settings of each mode, and the way of every hint into its mode.

    Parameters
    ----------
    window : whose modes show the next run.

    Attributes
    ----------
    followed : told the folder and the hint's key when the next run has been prepared.
    """

    followed = Signal(object, str)

    def __init__(self, window: MainWindow, parent: QObject) -> None:
        super().__init__(parent)
        self._window = window
        self._offered: dict[str, tuple[NextStep, Any, Path]] = {}

    def clear(self) -> None:
        """A run begins: what was offered is over."""
        self._offered.clear()

    def offer(self, spec: Any, folder: Path) -> None:
        """Offer the most usual next step of a run in the panel of its mode."""
        modes = self._window.modes
        modes.prior.offer(spec, folder)
        panels = {"sds": modes.sds_panel, "train_denoiser": modes.training_panel}
        panel = (panels | {"known_poses": modes.known.run_panel}).get(spec.kind)
        steps = [step for step in next_steps.steps_for(spec, folder) if step.prepare is not None]
        if panel is None:
            return
        if steps:
            self._offered[spec.kind] = (steps[0], spec, folder)
            panel.offer(steps[0].title, steps[0].tip)
        else:
            self._offered.pop(spec.kind, None)
            panel.offer("")

    def follow_offer(self, kind: str) -> None:
        """Do what the button of a mode offers."""
        if kind in self._offered:
            self.follow(*self._offered[kind])

    def follow(self, step: NextStep, spec: Any, folder: Path) -> None:
        """Prepare a next step: its files in the background, then its settings in its mode."""
        if step.prepare is None or self._window.monitor.running:
            return
        if not step.reads:
            self._prepared(step, folder, step.prepare(spec, folder))
            return
        self._window.in_background(
            partial(step.prepare, spec, folder), lambda found: self._prepared(step, folder, found)
        )

    def _prepared(self, step: NextStep, folder: Path, spec: JobSpec) -> None:
        window = self._window
        if window.monitor.running:
            return
        with window.history.step(f"{step.title[:1].lower()}{step.title[1:]}"):
            window.modes.load(self._with_particle(spec))
        self.followed.emit(folder, step.key)

    def _with_particle(self, spec: JobSpec) -> JobSpec:
        """Keep what the user has said about the particle, where the class averages are the same."""
        modes = self._window.modes
        if not isinstance(spec, SdsSpec) or modes.averages.path != Path(spec.averages.file):
            return spec
        truth = spec.truth or (str(modes.sds.truth) if modes.sds.truth else None)
        symmetry = spec.symmetry if spec.symmetry != "C1" else str(modes.sds.settings["symmetry"])
        try:
            return SdsSpec.model_validate(spec.model_dump() | {"truth": truth, "symmetry": symmetry})
        except ValueError:
            return spec  # the symmetry that stands in the form is none
