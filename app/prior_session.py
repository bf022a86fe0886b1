"""The training of a prior, being prepared: clouds, validation clouds, settings. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from app.background import Background, words
from app.forms import first_problem
from app.history import History, Values, below, prefixed, put_items
from app.prior_files import CheckedClouds, check_clouds
from engine.specs.job import TrainPriorSpec

TRAINING, VALIDATION = "training", "validation"
SETTINGS = (
    "title", "architecture", "hours", "batch", "augment", "device", "seed", "max_steps", "learning_rate",
    "width", "layers", "precision", "accumulate", "compile", "warmup", "min_points", "ema_decay", "p_mean",
    "p_std", "high_noise", "second_phase", "checkpoint_minutes",
)  # fmt: skip
ADDED = {TRAINING: "learn from", VALIDATION: "judge by"}
FEWEST = 10  # clouds of which some can be held out
FILES_WANTED = "Add what to learn from: a folder of structures (PDB, mmCIF), or a file of clouds (npz)."


@dataclass(eq=False)
class CloudSource:
    """A folder or file as the user gave it, and what it turned out to be.

    Attributes
    ----------
    checked : what it holds; None while it is being read or can't be used.
    problem : why it can't be used, in words.
    """

    path: Path
    checked: CheckedClouds | None = None
    problem: str = ""

    @property
    def state(self) -> str:
        """``reading``, ``problem`` or ``ready``."""
        return "ready" if self.checked is not None else "problem" if self.problem else "reading"


class PriorSession(QObject):
    """A training of a prior being prepared.

    Parameters
    ----------
    background : where files are checked.
    history : where changes are kept, so that they can be taken back; one of its own by default.

    Attributes
    ----------
    sources : what is learnt from (:data:`TRAINING`), and what it is judged by (:data:`VALIDATION`); each
        may be missing.
    settings : as in :class:`engine.specs.job.TrainPriorSpec`.
    start_from : weights to start from; empty for none.
    """

    kind = "train_prior"
    changed = Signal()
    loaded = Signal()

    def __init__(
        self, background: Background, parent: QObject | None = None, *, history: History | None = None
    ) -> None:
        super().__init__(parent)
        self.history = history or History(self)
        self._background = background
        self.sources: dict[str, CloudSource] = {}
        self.settings: dict[str, Any] = {name: TrainPriorSpec.model_fields[name].default for name in SETTINGS}
        self.start_from = ""
        self.form_problem = ""
        self.history.keep(self.kind, self)

    # ---- files ----------------------------------------------------------------------------------

    def open(self, role: str, path: Path) -> None:
        """Use a folder or file, and find out what it holds."""
        path = Path(path).absolute()
        with self.history.step(f"{ADDED[role]} {path.name}"):
            source = self.sources[role] = CloudSource(path)
            self._background.submit(
                partial(check_clouds, path),
                lambda found: self._found(role, source, found, ""),
                lambda error: self._found(role, source, None, words(error)),
            )
            self.changed.emit()

    def remove(self, role: str) -> None:
        """Take a folder or file off."""
        source = self.sources.get(role)
        with self.history.step(f"remove {source.path.name}" if source else ""):
            self.sources.pop(role, None)
            self.changed.emit()

    def _found(self, role: str, source: CloudSource, found: CheckedClouds | None, problem: str) -> None:
        # Also of a source that has been taken off meanwhile: it may come back.
        source.checked, source.problem = found, problem
        if role == VALIDATION and found is not None and found.is_folder:
            source.checked = None
            source.problem = (
                "A folder of structures can't validate. Build a file of clouds from it with "
                "`verglas data build`, or leave this empty: a tenth of the clouds is then held out."
            )
        self.changed.emit()

    # ---- settings -------------------------------------------------------------------------------

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

    # ---- the run --------------------------------------------------------------------------------

    def missing(self) -> str:
        """Why it can't run yet, in words; empty if it can."""
        training = self.sources.get(TRAINING)
        if training is None:
            return FILES_WANTED
        for source in self.sources.values():
            if source.state == "reading":
                return f"{source.path.name} is being read."
            if source.state == "problem":
                return f"{source.path.name} can't be used. Remove it or replace it."
        if self.form_problem:
            return self.form_problem
        found = training.checked
        if found is not None and found.count < FEWEST and VALIDATION not in self.sources:
            return (
                f"{found.title} {'is' if found.count == 1 else 'are'} too few to hold some out. Give at "
                f"least {FEWEST}, or validation clouds."
            )
        try:
            self.spec()
        except ValueError as exc:
            return str(exc)
        return ""

    def spec(self) -> TrainPriorSpec:
        """The training as a spec. Raises ValueError in words if something doesn't fit."""
        training, validation = self.sources.get(TRAINING), self.sources.get(VALIDATION)
        if training is None:
            raise ValueError(FILES_WANTED)
        try:
            return TrainPriorSpec.model_validate({
                **self.settings,
                "clouds": str(training.path),
                "validation": None if validation is None else str(validation.path),
                "start_from": self.start_from or None,
            })  # fmt: skip
        except ValidationError as exc:
            raise ValueError(first_problem(exc)) from None

    def sentence(self) -> str:
        """What Run will do."""
        training = self.sources.get(TRAINING)
        try:
            spec = self.spec()
        except ValueError:
            return ""
        found = training.checked if training is not None else None
        if found is None:
            return ""
        unit = "hour" if spec.hours == 1 else "hours"
        start = f", from {Path(self.start_from).name}" if self.start_from else ""
        what = f"on {found.title}" if not found.is_folder else "on them"
        build = f"Builds clouds from {found.title}, then trains" if found.is_folder else "Trains"
        judge = "" if spec.validation else " A tenth of the clouds is held out to judge it by."
        return (
            f"{build} the {spec.architecture} network {what}{start}, for {spec.hours:g} {unit}"
            f"{f' or {spec.max_steps:,} steps' if spec.max_steps < 100_000_000 else ''}.{judge}"
        )

    def load(self, spec: TrainPriorSpec) -> None:
        """Show a spec: replaces everything."""
        with self.history.step("load settings"):
            self.settings = {name: getattr(spec, name) for name in SETTINGS}
            self.start_from, self.form_problem = spec.start_from or "", ""
            for role, path in ((TRAINING, spec.clouds), (VALIDATION, spec.validation)):
                if path:
                    self.open(role, Path(path))
                else:
                    self.remove(role)
            self.loaded.emit()
            self.changed.emit()

    # ---- the history ----------------------------------------------------------------------------

    def snapshot(self) -> Values:
        """What the user has given."""
        return {
            **prefixed("settings", self.settings),
            **prefixed("source", self.sources),
            "start_from": self.start_from,
        }

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`; files that are known are not read again."""
        put_items(self.settings, below("settings", values))
        put_items(self.sources, below("source", values))
        self.start_from, self.form_problem = values.get("start_from", self.start_from), ""
        self.loaded.emit()
        self.changed.emit()
