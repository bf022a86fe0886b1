"""The mode in which a prior is trained, and the library of priors that all modes choose from."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.background import words
from app.denoiser_card import DenoiserCard, read_card
from app.panels.clouds import CloudsPanel
from app.panels.model_card import ModelCard
from app.panels.prior_choice import FILE, NOTHING
from app.panels.prior_run import PriorRunPanel
from app.prior_session import TRAINING, VALIDATION, PriorSession
from engine.io import prior_library
from engine.io.prior_library import PriorEntry
from engine.specs.components import NetworkPrior
from engine.specs.job import TrainPriorSpec

if TYPE_CHECKING:
    from app.main_window import MainWindow

KEEP, USE = "Keep this prior…", "Use for reconstruction"
STRUCTURE = "{name} is no folder. Drop the folder that holds the structures."
_STRUCTURES = (".pdb", ".cif", ".ent", ".mmcif", ".pdb1")


class PriorMode(QObject):
    """Owns the session and the panels of the mode.

    Parameters
    ----------
    window : whose dialogs, shelf of priors and points are used.
    """

    changed = Signal()
    mode_wanted = Signal(str)

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.session = PriorSession(window.background, self, history=window.history)
        self.panel = CloudsPanel()
        self.run_panel = PriorRunPanel()
        self._card: ModelCard | None = None
        self._folder: Path | None = None  # of the training whose prior can be kept
        self._title = ""
        self._kept = ""
        session, run = self.session, self.run_panel
        session.changed.connect(self._show)
        session.changed.connect(self.changed)
        session.loaded.connect(self._show_settings)
        self.panel.folder_wanted.connect(self._choose_folder)
        self.panel.file_wanted.connect(self.choose_file)
        self.panel.remove_wanted.connect(session.remove)
        run.settings_entered.connect(session.set_settings)
        run.start_entered.connect(session.set_start)
        run.start_chosen.connect(self._start_chosen)
        run.weights_wanted.connect(self._choose_weights)
        run.keep_wanted.connect(self.keep)
        run.next_wanted.connect(self.use)
        window.shelf.changed.connect(self._show_shelf)
        for signal in (run.card_wanted, window.run_panel.card_wanted):
            signal.connect(self.show_card)
        self._show_settings()
        self._show()
        self._show_shelf()

    # ---- showing --------------------------------------------------------------------------------

    def _show(self) -> None:
        for role in (TRAINING, VALIDATION):
            source = self.session.sources.get(role)
            if source is None:
                self.panel.show_source(role, "", "", (), "", "")
                continue
            found = source.checked
            title, notes = (found.title, found.notes) if found is not None else ("", ())
            self.panel.show_source(role, source.path.name, title, notes, source.problem, str(source.path))
        self._show_start()

    def _show_settings(self) -> None:
        self.run_panel.show_values(self.session.settings)
        self._show_start()

    def _show_start(self) -> None:
        path = self.session.start_from
        entry = self._window.shelf.entry(path) if path else None
        if entry is not None:
            self.run_panel.show_start(entry.weights, "")
        else:
            self.run_panel.show_start(FILE if path else NOTHING, path)

    def _show_shelf(self) -> None:
        items = [(entry.weights, _words_of(entry), str(entry.path)) for entry in self._window.shelf.usable]
        if items:
            self.run_panel.start.set_priors(items)
            self._window.run_panel.prior.set_priors(items)
        self._show_start()
        self.changed.emit()

    def set_enabled(self, on: bool) -> None:
        """While a job runs its clouds can't be changed."""
        self.panel.set_enabled(on)
        if not on:
            self._folder = None

    def retint(self) -> None:
        """Draw the icons in the present colours."""
        self.panel.retint()
        self.run_panel.retint()

    def show_card(self, weights: str) -> None:
        """Open the model card of a prior of the library, or of a file."""
        self._window.shelf.read_card(
            weights, self._card_found, lambda error: self._window.complain(words(error))
        )

    def _card_found(self, entry: PriorEntry) -> None:
        if self._card is None:
            self._card = ModelCard(self._window)
        self._card.show_entry(entry, prior_library.card_text(entry))

    # ---- files ----------------------------------------------------------------------------------

    def add_files(self, paths: Iterable[Path]) -> None:
        """Take what was dropped in this mode: folders of structures, clouds, a prior to start from."""
        # what is named as validation comes last, so that two files dropped together find their places
        ordered = sorted(paths, key=lambda p: "val" in p.stem.lower())
        several = self._window.history.step(f"add {len(ordered)} files")
        with several if len(ordered) > 1 else nullcontext():
            for path in ordered:
                self._add_file(path)

    def _add_file(self, path: Path) -> None:
        if path.is_dir():
            self.session.open(TRAINING, path)
        elif path.suffix.lower() == ".safetensors":
            self._window.in_background(partial(read_card, path), partial(self._weights, path))
        elif path.name.lower().removesuffix(".gz").endswith(_STRUCTURES):
            self._window.complain(STRUCTURE.format(name=path.name))
        elif TRAINING in self.session.sources and VALIDATION not in self.session.sources:
            self.session.open(VALIDATION, path)
            self._window.say(f"{path.name} is used to judge the prior by; it does not learn from it.")
        else:
            self.session.open(TRAINING, path)

    def _weights(self, path: Path, card: DenoiserCard | None) -> None:
        if card is not None:
            self._window.complain(f"{path.name} is a denoiser of images, not a prior.")
        else:
            self.session.set_start(str(path))
            self._window.say(f"The training starts from {path.name}.")

    def _choose_folder(self) -> None:
        window = self._window
        path = window.dialogs.folder("Folder of structures", window.settings.last_folder)
        if path is not None:
            window.settings.last_folder = str(path)
            self.session.open(TRAINING, path)

    def choose_file(self, role: str = TRAINING) -> None:
        """Ask for a file of clouds."""
        window = self._window
        title = "Clouds to learn from" if role == TRAINING else "Clouds to judge by"
        path = window.dialogs.clouds(window.settings.last_folder, title)
        if path is not None:
            window.settings.last_folder = str(path.parent)
            self.session.open(role, path)

    def _choose_weights(self) -> None:
        path = self._window.dialogs.weights(self._window.settings.last_folder)
        if path is not None:
            self.session.set_start(str(path))
        self._show_start()

    def _start_chosen(self, key: str) -> None:
        entry = self._window.shelf.entry(key)
        self.session.set_start("" if entry is None else str(entry.path))

    # ---- the next step --------------------------------------------------------------------------

    def offer(self, spec: Any, folder: Path) -> None:
        """Offer to keep and to use the prior of a training that has ended."""
        self._folder, self._kept = None, ""
        self.run_panel.offer_keeping("")
        self.run_panel.offer("")
        if isinstance(spec, TrainPriorSpec) and _weights_of(folder).is_file():
            self._folder = folder
            self._title = spec.title or Path(spec.clouds).stem
            self.run_panel.offer_keeping(KEEP)
            self.run_panel.offer(USE, "Prepares a reconstruction of points with this prior")

    def keep(self) -> None:
        """Ask for a name, and copy the trained prior into the library."""
        if self._folder is None:
            return
        name = self._window.dialogs.prior_name(suggested(self._title), prior_library.name_problem)
        if name:
            self._window.shelf.keep(
                _weights_of(self._folder), name, partial(self._was_kept, self._folder), self._not_kept
            )

    def _was_kept(self, folder: Path, entry: PriorEntry) -> None:
        self._window.say(f"Kept as “{entry.name}”. It can be chosen as a prior now.")
        if folder == self._folder:
            self._kept = entry.name
            self.run_panel.offer_keeping(f"Kept as “{entry.name}”", done=True)

    def _not_kept(self, error: Exception) -> None:
        self._window.complain(words(error))

    def use(self) -> None:
        """Prepare a reconstruction with the prior whose training is shown."""
        if self._folder is None:
            return
        weights = self._kept or str(_weights_of(self._folder))
        session = self._window.session
        with self._window.history.step(f"use the prior {self._kept or self._title or 'of this training'}"):
            self.mode_wanted.emit("dps")
            session.set_prior(NetworkPrior(weights=weights).model_dump())
            session.loaded.emit()


def suggested(title: str) -> str:
    """A name for the library that isn't taken, from a title."""
    plain = "".join(c if c.isalnum() or c in "._+ -" else "-" for c in title)[:50].strip(" ._+-") or "prior"
    numbered = (plain if i == 1 else f"{plain} {i}" for i in range(1, 100))
    return next((name for name in numbered if not prior_library.name_problem(name)), plain)


def _words_of(entry: PriorEntry) -> str:
    if entry.weights == "shipped":
        return f"Shipped prior ({entry.name})"
    return f"{entry.name} (shipped)" if entry.shipped else entry.name


def _weights_of(folder: Path) -> Path:
    return folder / "results" / "prior.safetensors"
