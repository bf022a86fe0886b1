"""Volumes from class averages, being prepared: denoiser, steps, symmetry, reference. No widgets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from app.averages_session import AveragesSession
from app.background import Background, words
from app.denoiser_card import DenoiserCard, read_card
from app.forms import first_problem
from app.history import Step, Values, below, prefixed, put_items
from engine.specs.presets import SDS_PRESETS
from engine.specs.sds import FEWEST_FOR_MOTION, ClosedFormDenoiser, Distillation, SdsSpec, TrainedDenoiser

SETTINGS = (
    "title", "volumes", "symmetry", "restarts", "refine_rounds", "motion_rounds", "half_sets", "only",
    "start", "motion_components", "neighbours", "seed", "device",
)  # fmt: skip
_OWN = frozenset({"title", "seed", "device", "symmetry"})  # the user's or the particle's: presets leave them


class SdsSession(QObject):
    """A run of score distillation being prepared.

    Parameters
    ----------
    averages : the class averages, shared with training.
    background : where files are looked at.

    Attributes
    ----------
    settings, denoiser, distillation : as in :class:`engine.specs.sds.SdsSpec`.
    card : what the chosen weights say about themselves; None while unknown.
    truth : the reference map, or None.
    """

    kind = "sds"
    changed = Signal()
    loaded = Signal()
    said = Signal(str)

    def __init__(
        self, averages: AveragesSession, background: Background, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.averages = averages
        self._background = background
        self.settings: dict[str, Any] = {name: SdsSpec.model_fields[name].default for name in SETTINGS}
        self.denoiser: dict[str, Any] = ClosedFormDenoiser().model_dump()
        self.distillation: dict[str, Any] = Distillation().model_dump()
        self.form_problem = ""
        self.truth: Path | None = None
        self.card: DenoiserCard | None = None
        self.card_problem = ""
        averages.changed.connect(self.changed)
        self._cards: dict[str, tuple[DenoiserCard | None, str]] = {}  # what weights turned out to be
        self.history = averages.history
        self.history.keep(self.kind, self)

    # ---- settings -------------------------------------------------------------------------------

    def set_settings(self, values: dict[str, Any], problem: str = "") -> None:
        """Take what was entered; ``problem`` says what can't be read."""
        with self.history.step(merge=True):
            self.settings |= {k: v for k, v in values.items() if k in SETTINGS}
            self.form_problem = problem
            self.changed.emit()

    def set_distillation(self, values: dict[str, Any]) -> None:
        """The steps as a spec dictionary."""
        with self.history.step(merge=True):
            self.distillation = values
            self.changed.emit()

    def set_denoiser(self, values: dict[str, Any]) -> None:
        """The denoiser as a spec dictionary; weights are looked at in the background."""
        before = self.denoiser.get("weights")
        with self.history.step(merge=True):
            self.denoiser = values
            weights = values.get("weights")
            if not weights:
                self.card, self.card_problem = None, ""
            elif weights != before:
                self._read_card(weights)
            self.changed.emit()

    def _read_card(self, weights: str) -> None:
        self.card, self.card_problem = None, ""
        cause = self.history.cause
        self._background.submit(
            partial(read_card, Path(weights)),
            lambda card: self._card_read(weights, card, "", cause),
            lambda error: self._card_read(weights, None, words(error), cause),
        )

    def use_weights(self, path: Path) -> None:
        """Use a trained denoiser."""
        with self.history.step(f"use the denoiser {path.name}"):
            self.set_denoiser(TrainedDenoiser(weights=str(path)).model_dump())
            self.loaded.emit()

    def _card_read(self, weights: str, card: DenoiserCard | None, problem: str, cause: Step | None) -> None:
        if card is None and not problem:
            problem = "These weights are no 2D denoiser. Choose a file that a denoiser training wrote."
        self._cards[weights] = card, problem
        if self.denoiser.get("weights") != weights:
            return
        self.card, self.card_problem = card, problem
        if card is not None:
            with self.history.follow(cause):
                self._fit_images(card)
        self.changed.emit()

    def _fit_images(self, card: DenoiserCard) -> None:
        """Prepare the images as the denoiser knows them, where the user has left it open."""
        options = self.averages.options
        wanted: dict[str, Any] = {} if options["box"] else {"box": card.box}
        if options["mask_diameter_A"] is None:
            wanted["mask_diameter_A"] = round(card.mask_diameter_A, 2)
        if wanted and self.averages.loaded is not None and self._misfit(card):
            self.averages.set_options(wanted)
            self.averages.options_replaced.emit()
            self.said.emit("Working box and mask were set to those that the denoiser knows.")

    def set_truth(self, path: Path | None) -> None:
        """The reference map to judge the result by, or none."""
        with self.history.step(f"reference {path.name}" if path else "remove the reference"):
            self.truth = path
            self.changed.emit()

    def apply_preset(self, name: str) -> None:
        """Fill in what a preset says; images, reference, symmetry and the run's name stay."""
        preset = SDS_PRESETS[name]
        wanted = preset.settings
        trained = {"kind": "trained", "weights": ""}
        with self.history.step(f"preset “{name}”"):
            for field in SETTINGS:
                if field not in _OWN:
                    self.settings[field] = wanted.get(field, SdsSpec.model_fields[field].default)
            self.form_problem = ""
            self.distillation = wanted.get("distillation", Distillation()).model_dump()
            if preset.trained != (self.denoiser["kind"] == "trained"):
                self.set_denoiser(trained if preset.trained else ClosedFormDenoiser().model_dump())
            self.averages.set_options({"box": preset.box})
            self.averages.options_replaced.emit()
            self.loaded.emit()
            self.changed.emit()

    # ---- the run --------------------------------------------------------------------------------

    def missing(self) -> str:
        """Why it can't run yet, in words; empty if it can."""
        reason = self.averages.missing() or self.form_problem or self._denoiser_problem()
        if reason:
            return reason
        try:
            self.spec()
        except ValueError as exc:
            return str(exc)
        return ""

    def _denoiser_problem(self) -> str:
        if self.denoiser["kind"] != "trained":
            return ""
        if not self.denoiser.get("weights"):
            return "Choose the file of the trained denoiser, or train one on these averages first."
        if self.card_problem or self.card is None:
            return self.card_problem
        return self._misfit(self.card)

    def _misfit(self, card: DenoiserCard) -> str:
        if self.averages.shown is None:
            return ""
        prepared = self.averages.shown.prepared
        return card.misfit(
            prepared.stack.images.shape[-1], prepared.stack.pixel_size_A, prepared.mask_radius_px
        )

    def spec(self) -> SdsSpec:
        """The run as a spec. Raises ValueError in words if something doesn't fit."""
        averages = self.averages.spec()
        try:
            return SdsSpec.model_validate(
                {
                    **self.settings,
                    "averages": averages.model_dump(),
                    "denoiser": self.denoiser,
                    "distillation": self.distillation,
                    "truth": None if self.truth is None else str(self.truth),
                }
            )
        except ValidationError as exc:
            raise ValueError(first_problem(exc)) from None

    def sentence(self) -> str:
        """What Run will do."""
        try:
            spec = self.spec()
        except ValueError:
            return ""
        count, box = self.averages.count, self.averages.box
        with_what = (
            "the closed-form denoiser, without training"
            if spec.denoiser.kind == "closed_form"
            else f"the denoiser {Path(spec.denoiser.weights).name}"
        )
        size = f" at {box} px" if box else ""
        source = f"{count} class averages{size}"
        steps = f"{spec.distillation.steps} steps"
        symmetry = "" if spec.symmetry == "C1" else f", symmetry {spec.symmetry}"
        if spec.volumes == "each" and spec.start == "nothing":
            text = f"Makes a volume for each of {source} with {with_what}, from nothing"
            return f"{text} in {steps} each{symmetry}."
        starts = f"{spec.restarts} start{'s' if spec.restarts != 1 else ''}"
        if spec.refine_rounds:
            rounds = f"{spec.refine_rounds} round{'s' if spec.refine_rounds != 1 else ''}"
            # poses are searched for explicitly: no denoiser has a say in this part
            text = f"Reconstructs one volume from {source} by pose search, without training: {starts}"
            text += f" from random poses{symmetry}, then {rounds} of refinement"
        else:
            text = f"Reconstructs one volume from {source} with {with_what}: {starts} of {steps}{symmetry}"
        if spec.volumes == "each":
            many = len(spec.only) or count
            if spec.motion_rounds and count >= FEWEST_FOR_MOTION:
                text += (
                    f", then {spec.motion_rounds} rounds that tell which of them show similar conformations"
                )
            text += f", then a volume of its own for {'each' if many == count else f'{many}'} of them"
            text += f" with {with_what}, in {steps}" if spec.refine_rounds else ""
        elif spec.refine_rounds and spec.denoiser.kind == "trained":
            text += f"; {with_what} is only used for a volume of each class average"
        return text + "."

    def load(self, spec: SdsSpec) -> None:
        """Show a spec: replaces everything."""
        with self.history.step("load settings"):
            self.settings = {name: getattr(spec, name) for name in SETTINGS}
            self.distillation, self.form_problem = spec.distillation.model_dump(), ""
            self.truth = Path(spec.truth) if spec.truth else None
            self.set_denoiser(spec.denoiser.model_dump())
            self.averages.load(spec.averages)
            self.loaded.emit()
            self.changed.emit()

    # ---- the history ----------------------------------------------------------------------------

    def snapshot(self) -> Values:
        """What the user has given, but for the class averages."""
        return {
            **prefixed("settings", self.settings),
            "denoiser": dict(self.denoiser),
            "distillation": dict(self.distillation),
            "truth": self.truth,
        }

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`; weights that are known are not looked at again."""
        put_items(self.settings, below("settings", values))
        self.truth = values.get("truth", self.truth)
        self.distillation = dict(values.get("distillation", self.distillation))
        self.denoiser = dict(values.get("denoiser", self.denoiser))
        self.form_problem = ""
        weights = self.denoiser.get("weights")
        if weights and weights not in self._cards:
            self._read_card(weights)
        else:
            self.card, self.card_problem = self._cards[weights] if weights else (None, "")
        self.loaded.emit()
        self.changed.emit()
