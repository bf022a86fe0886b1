"""Presets, estimated cost and cautions of the run that is being prepared, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QDialog

from app import known_poses_words, preset_values
from app.background import words
from app.cautions import Seen, cautions
from app.estimates import past_runs, read_machine
from app.features import Feature
from app.history import Values
from app.newest import Newest
from app.own_presets import OwnPresets
from app.panels.keep_prior import KeepDialog
from app.panels.mode_switch import MODES
from app.seen_files import EvidenceSeen, read_evidence
from app.style import Theme
from engine.errors import VerglasError
from engine.specs import estimates
from engine.specs.estimates import Estimate, Facts, Machine, Past
from engine.specs.job import DpsSpec
from engine.specs.presets import BASIC, presets_of, with_preset

if TYPE_CHECKING:
    from app.main_window import MainWindow

_DELAY_MS = 120
KINDS = tuple(MODES)


class Planning(Feature):
    """Shows in each run panel which preset is set, what the run costs, and what to know before it.

    Attributes
    ----------
    machine : this computer; None until it has been looked at.
    """

    name = "presets"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.own = OwnPresets(window.settings.data_folder / "presets")
        self.machine: Machine | None = None
        self._past: list[Past] = []
        self._evidence = EvidenceSeen()
        self._asked: object = None
        self._chosen = dict.fromkeys(KINDS, "standard")
        self._looking = Newest(window.background)
        self._reading = Newest(window.background)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self.show)
        modes = window.modes
        for kind, panel in zip(KINDS, modes.run_panels, strict=True):
            presets = panel.presets
            presets.chosen.connect(partial(self._choose, kind))
            presets.own_chosen.connect(partial(self.use_own, kind))
            presets.delete_wanted.connect(partial(self.delete_own, kind))
            presets.save_wanted.connect(partial(self.keep_own, kind))
            presets.set_presets(presets_of(kind), self.own.names(kind))
        for kind, session in zip(KINDS, modes.sessions, strict=True):
            session.loaded.connect(partial(self._recognise, kind))  # type: ignore[attr-defined]
        window.history.keep("presets", self)
        for signal in (modes.changed, window.session.changed, window.session.loaded, window.shelf.changed):
            signal.connect(self._timer.start)
        window.monitor.ended.connect(lambda *_ended: self.look())
        self._timer.start()
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.timeout.connect(self.look)
        self._late.start(1500)

    def close(self) -> None:
        """Stop."""
        self._timer.stop()
        self._late.stop()
        self._looking.drop()
        self._reading.drop()

    def set_theme(self, theme: Theme) -> None:
        """Colours come from the style sheet."""

    def state(self) -> dict[str, Any]:
        """Which preset each mode was set to."""
        return dict(self._chosen)

    def snapshot(self) -> Values:
        """The same for the history."""
        return dict(self._chosen)

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`."""
        self._chosen |= values
        self._timer.start()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what each mode was set to."""
        for kind, name in state.items():
            if kind in KINDS and (name in presets_of(kind) or name in self.own.names(kind)):
                self._chosen[kind] = name
        self._timer.start()

    # ---- the computer ---------------------------------------------------------------------------

    def look(self) -> None:
        """Look at the computer and at finished runs again, in the background."""
        folder, runs = self.window.settings.folder, self.window.settings.recent_runs()
        self._looking.ask(partial(_look, folder, runs), self._looked)

    def _looked(self, found: tuple[Machine, list[Past]]) -> None:
        self.machine, self._past = found
        self.show()

    # ---- showing --------------------------------------------------------------------------------

    def show(self) -> None:
        """Show all of it for the present mode."""
        modes = self.window.modes
        panel, kind = modes.panel, modes.mode
        panel.presets.show_state(*self._state_of(kind))
        try:
            spec = None if modes.session.missing() else modes.session.spec()
        except ValueError:
            spec = None
        if spec is None or self.machine is None:
            panel.notes.show_cost("", "")
            panel.notes.show_cautions(())
            return
        if isinstance(spec, DpsSpec) and spec.observations != self._asked:
            self._asked = spec.observations
            self._reading.ask(partial(read_evidence, spec.observations), self._read)
        facts, seen = self._facts(spec), self._seen(spec)
        cost = estimates.estimate(spec, facts, self.machine, self._past)
        panel.notes.show_cost(estimates.sentence(cost, self.machine), self._tip(cost))
        panel.notes.show_cautions(cautions(spec, seen, facts, self.machine, cost, self._quick(spec, facts)))

    def _read(self, found: EvidenceSeen) -> None:
        self._evidence = found
        self.show()

    def _quick(self, spec: Any, facts: Facts) -> Estimate | None:
        assert self.machine is not None  # noqa: S101 - for the type checker
        try:
            return estimates.estimate(with_preset(spec, BASIC[0]), facts, self.machine, self._past)
        except VerglasError:
            return None

    def _facts(self, spec: Any) -> Facts:
        modes = self.window.modes
        if spec.kind == "dps":
            return Facts(views=self._evidence.views, others=self._evidence.others)
        if spec.kind == "train_prior":
            found = getattr(modes.prior.session.sources.get("training"), "checked", None)
            if found is None:
                return Facts()
            points = found.points or 1024
            return Facts(structures=found.count if found.is_folder else 0, cloud_points=points)
        if spec.kind == "known_poses":
            look = modes.known.session.look
            return (
                Facts() if look is None else Facts(images=look.count, box=look.working_box(spec.images.box))
            )
        return Facts(images=modes.averages.count, box=modes.averages.box)

    def _seen(self, spec: Any) -> Seen:
        modes, shelf = self.window.modes, self.window.shelf
        if spec.kind == "dps":
            entry = shelf.entry(spec.prior.weights) if spec.prior.kind == "network" else None
            points = entry.card.get("points") if entry is not None else 0
            known = points if isinstance(points, int) else 0
            found = self._evidence
            return Seen(found.rotations, found.pixel_sizes, found.map_shapes, prior_points=known)
        if spec.kind == "train_prior":
            checked = getattr(modes.prior.session.sources.get("training"), "checked", None)
            return Seen(clouds=checked.count if checked else 0, prior_points=checked.points if checked else 0)
        if spec.kind == "known_poses":
            look = modes.known.session.look
            if look is None:
                return Seen()
            warning = known_poses_words.unmeasured(modes.known.session.coverage)
            return Seen(look.rotations, side=look.side, pixel_size_A=look.pixel_size_A, coverage=warning)
        loaded = modes.averages.loaded
        if loaded is None:
            return Seen()
        finest = loaded.averages.resolutions_A
        best = 0.0
        if finest is not None:
            known_A = np.asarray(finest, float)[np.isfinite(finest)]
            best = float(known_A[known_A > 0].min(initial=np.inf))
        side = int(loaded.averages.images.shape[-1])
        shown = modes.averages.shown
        if shown is not None:
            side = int(shown.prepared.field_of_view_px)
        return Seen(
            side=side,
            pixel_size_A=modes.averages.pixel_size_A,
            finest_A=best if np.isfinite(best) else 0.0,
            coverage=modes.averages.coverage.warning() if modes.averages.coverage else "",
        )

    def _tip(self, cost: Estimate) -> str:
        basis = (
            f"From {cost.runs} of your finished runs of this kind, and from how much this one has to compute."
            if cost.runs
            else "From how much there is to compute and how fast this computer is. Your own finished runs "
            "will make it more exact."
        )
        poses = ""
        if self.window.modes.mode == "sds":
            poses = "Where no pose is clearly the best, several are followed: up to six times longer. "
        others = "The upper end counts with what else the computer does now."
        return f"{basis} {poses}{others} {self._origin()}".strip()

    def _origin(self) -> str:
        """Where values come from that were taken from the data."""
        averages = self.window.modes.averages
        shown = averages.shown
        if not self.window.modes.of_averages or shown is None or averages.loaded is None:
            return ""
        stack = shown.prepared.stack
        box, size = stack.images.shape[-1], stack.pixel_size_A
        side = averages.loaded.averages.images.shape[-1]
        parts = []
        if not averages.options["box"]:
            parts.append(
                f"Box {box} px of {size:.3g} Å: from images of {side} px at {averages.pixel_size_A:.3g} Å."
            )
        if averages.options["mask_diameter_A"] is None:
            parts.append(f"Mask {2 * shown.prepared.mask_radius_px * size:.0f} Å: measured on the particles.")
        return " ".join(parts)

    # ---- presets --------------------------------------------------------------------------------

    def _state_of(self, kind: str) -> tuple[str, list[str]]:
        """The preset that the settings are, or else that they came from, and what differs from it."""
        now, last = preset_values.present(self.window.modes), self._chosen[kind]
        try:
            changed = preset_values.differences(now, self._values(kind, last))
        except VerglasError:
            last, changed = "standard", []
        same = self._same(kind, now) if changed else ""
        return (same, []) if same else (last, changed)

    def _same(self, kind: str, now: dict[str, Any]) -> str:
        """The preset of Verglas's that these settings are; empty if they are none."""
        values = partial(preset_values.of_preset, self.window.modes)
        same = (name for name in presets_of(kind) if not preset_values.differences(now, values(name)))
        return next(same, "")

    def _recognise(self, kind: str) -> None:
        """Whole settings have been loaded: what is changed now is a change of the preset that they are."""
        if kind == self.window.modes.mode and not self.window.history.applying:
            name = self._state_of(kind)[0]
            if name != self._chosen[kind]:
                with self.window.history.step(f"preset “{name}”"):
                    self._chosen[kind] = name

    def _values(self, kind: str, name: str) -> dict[str, Any]:
        if name in presets_of(kind):
            return preset_values.of_preset(self.window.modes, name)
        return self.own.read(kind, name)

    def _choose(self, kind: str, name: str) -> None:
        modes = self.window.modes
        with self.window.history.step(f"preset “{name}”"):
            if kind in ("train_denoiser", "train_prior"):
                preset_values.apply(modes, preset_values.of_preset(modes, name), f"preset “{name}”")
            self._chosen[kind] = name
        self._timer.start()

    def use_own(self, kind: str, name: str) -> None:
        """Use one of the user's presets."""
        try:
            with self.window.history.step(f"preset “{name}”"):
                preset_values.apply(self.window.modes, self.own.read(kind, name), f"preset “{name}”")
                self._chosen[kind] = name
        except (VerglasError, ValidationError) as exc:
            said = words(exc) if isinstance(exc, VerglasError) else f"The preset “{name}” doesn't fit."
            self.window.complain(said)
            return
        self._timer.start()

    def keep_own(self, kind: str) -> None:
        """Ask for a name and keep the present settings under it."""
        taken = tuple(presets_of(kind))
        name = self.ask_name(lambda text: self.own.problem(text, taken))
        if not name:
            return
        try:
            self.own.keep(kind, name, preset_values.present(self.window.modes))
        except (VerglasError, OSError) as exc:
            self.window.complain(words(exc) if isinstance(exc, VerglasError) else str(exc))
            return
        with self.window.history.follow(None):  # the file stays whatever is undone
            self._chosen[kind] = name
        self._refill(kind)
        self.window.say(f"Kept as the preset “{name}”.")

    def ask_name(self, problem: Callable[[str], str]) -> str:
        """A name for a preset; empty if the user changed their mind. Replaced in tests."""
        dialog = KeepDialog(
            "", problem, self.window, title="Keep these settings", what="the preset",
            words="They can then be chosen by this name under More. Inputs are not kept with them.",
        )  # fmt: skip
        name = dialog.name.text().strip() if dialog.exec() == QDialog.DialogCode.Accepted else ""
        dialog.deleteLater()
        return name

    def delete_own(self, kind: str, name: str) -> None:
        """Delete one of the user's presets; settings stay."""
        self.own.delete(kind, name)
        if self._chosen[kind] == name:
            with self.window.history.follow(None):
                self._chosen[kind] = "standard"
        self._refill(kind)
        self.window.say(f"Deleted the preset “{name}”.")

    def _refill(self, kind: str) -> None:
        panel = self.window.modes.run_panels[KINDS.index(kind)]
        panel.presets.set_presets(presets_of(kind), self.own.names(kind))
        self.show()


def _look(folder: Path, runs: list[Path]) -> tuple[Machine, list[Past]]:
    machine = read_machine(folder)
    return machine, past_runs(runs, machine)
