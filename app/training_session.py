"""The training of a 2D denoiser, being prepared. No widgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from app.averages_session import AveragesSession
from app.forms import first_problem
from app.history import Values, below, prefixed, put_items
from engine.specs.sds import TrainDenoiserSpec

SETTINGS = (
    "title", "architecture", "minutes", "max_steps", "batch", "learning_rate", "seed", "device", "warmup",
    "ema_decay", "p_mean", "p_std", "shift", "held_out", "checkpoint_minutes",
)  # fmt: skip


class TrainingSession(QObject):
    """A training of a 2D denoiser being prepared.

    Parameters
    ----------
    averages : the class averages, shared with score distillation.

    Attributes
    ----------
    settings : as in :class:`engine.specs.sds.TrainDenoiserSpec`.
    start_from : weights to start from; empty for none.
    """

    kind = "train_denoiser"
    changed = Signal()
    loaded = Signal()

    def __init__(self, averages: AveragesSession, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.averages = averages
        self.settings: dict[str, Any] = {
            name: TrainDenoiserSpec.model_fields[name].default for name in SETTINGS
        }
        self.start_from = ""
        self.form_problem = ""
        averages.changed.connect(self.changed)
        self.history = averages.history
        self.history.keep(self.kind, self)

    def set_settings(self, values: dict[str, Any], problem: str = "") -> None:
        """Take what was entered; ``problem`` says what can't be read."""
        with self.history.step(merge=True):
            self.settings |= {k: v for k, v in values.items() if k in SETTINGS}
            self.form_problem = problem
            self.changed.emit()

    def set_start(self, path: str) -> None:
        """Start from these weights; empty starts afresh."""
        with self.history.step():
            self.start_from = path
            self.changed.emit()

    def missing(self) -> str:
        """Why it can't run yet, in words; empty if it can."""
        reason = self.averages.missing() or self.form_problem
        if reason:
            return reason
        try:
            self.spec()
        except ValueError as exc:
            return str(exc)
        return ""

    def spec(self) -> TrainDenoiserSpec:
        """The training as a spec. Raises ValueError in words if something doesn't fit."""
        averages = self.averages.spec()
        try:
            return TrainDenoiserSpec.model_validate(
                {**self.settings, "averages": averages.model_dump(), "start_from": self.start_from or None}
            )
        except ValidationError as exc:
            raise ValueError(first_problem(exc)) from None

    def sentence(self) -> str:
        """What Run will do."""
        try:
            spec = self.spec()
        except ValueError:
            return ""
        box = f" at {self.averages.box} px" if self.averages.box else ""
        unit = "minute" if spec.minutes == 1 else "minutes"
        start = f", from {Path(self.start_from).name}" if self.start_from else ""
        return (
            f"Trains the {spec.architecture} network on {self.averages.count} class averages{box}{start}, "
            f"for {spec.minutes:g} {unit} or {spec.max_steps:,} steps, whichever is first."
        )

    def load(self, spec: TrainDenoiserSpec) -> None:
        """Show a spec: replaces everything."""
        with self.history.step("load settings"):
            self.settings = {name: getattr(spec, name) for name in SETTINGS}
            self.start_from, self.form_problem = spec.start_from or "", ""
            self.averages.load(spec.averages)
            self.loaded.emit()
            self.changed.emit()

    def snapshot(self) -> Values:
        """What the user has given."""
        return {**prefixed("settings", self.settings), "start_from": self.start_from}

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`."""
        put_items(self.settings, below("settings", values))
        self.start_from, self.form_problem = values.get("start_from", self.start_from), ""
        self.loaded.emit()
        self.changed.emit()
