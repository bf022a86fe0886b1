"""What a user can do to what is prepared, at random; and what the window shows, read from its widgets."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLabel, QLineEdit, QWidget

from app import next_steps
from app.background import Ticket
from app.forms import ModelForm
from app.hand import is_flipped
from app.main_window import MainWindow
from app.panels.gallery_model import SELECTED
from app.panels.lasso import Group
from app.panels.mode_switch import MODES
from app.panels.plan import PlanNotes, PresetChoice
from engine.io.mrc import write_images
from engine.specs.codec import dump_toml
from engine.specs.components import CoarseMap, Subunit
from engine.specs.job import DpsSpec, TrainPriorSpec
from engine.specs.sds import ClassAveragesInput, SdsSpec, TrainDenoiserSpec
from engine.types import ImageStack
from tests.app import averages_phantom, phantom, prior_run, sds_run
from tests.app.test_sds_session import write_weights
from tests.app.undo_walk_known import KnownPosesHands, write_posed

Rng = random.Random


class LateBackground:
    """Works when told to, in an order that a generator draws: late answers without threads."""

    def __init__(self, *_threads_and_parent: object) -> None:
        self.held: list[tuple[Ticket, Callable[[], None]]] = []
        self.closed = False

    @property
    def busy(self) -> bool:
        return any(not ticket.dropped for ticket, _ in self.held)

    def submit(self, work: Callable[[], Any], done: Callable, failed: Callable) -> Ticket:
        ticket = Ticket(0)

        def go() -> None:
            try:
                result = work()
            except Exception as exc:  # noqa: BLE001 - as the real one does
                failed(exc)
            else:
                done(result)

        if self.closed:
            ticket.drop()
        else:
            self.held.append((ticket, go))
        return ticket

    def answer(self, rng: Rng) -> Ticket | None:
        """Give one answer that is waited for."""
        self.held = [entry for entry in self.held if not entry[0].dropped]
        if not self.held:
            return None
        ticket, go = self.held.pop(rng.randrange(len(self.held)))
        go()
        return ticket

    def close(self) -> None:
        self.closed = True
        self.held.clear()


def write_files(folder: Path) -> dict[str, list[Path]]:
    """Small files of every kind, by what they are for."""
    places = [folder / name for name in "abcd"]
    for place in places:
        place.mkdir(parents=True)
    pairs = [phantom.write_projections(place, 2) for place in places[:2]]
    unscaled = phantom.write_map(folder / "unscaled.mrc")
    data = bytearray(unscaled.read_bytes())
    data[40:52] = bytes(12)  # the cell, from which the voxel size follows
    unscaled.write_bytes(data)
    junk = folder / "junk.bin"
    junk.write_bytes(bytes(range(256)) * 9)
    (folder / "view.csv").write_text("\n".join(f"{x},{y}" for x, y in phantom.cloud(40)[:, :2]))
    bare = folder / "bare.mrcs"
    write_images(bare, ImageStack(averages_phantom.images(4), 4.0))
    stacks = [
        averages_phantom.write_stack(places[0], 5),
        averages_phantom.write_stack(places[1], 4, pixel_size_A=0.0),
        averages_phantom.write_classes(places[2], 4), averages_phantom.write_stack(places[3], 3),
    ]  # fmt: skip
    structure = phantom.write_structure(folder / "whole.pdb", 60)
    shape = phantom.write_map(folder / "shape.mrc")
    weights = [write_weights(folder / f"denoiser{box}.safetensors", box) for box in (32, 48)]
    prior = prior_run.write_weights(folder / "own.safetensors")
    clouds = [prior_run.write_clouds(folder / f"{n}.npz", 4, 16) for n in ("clouds", "more", "clouds-val")]
    averages = ClassAveragesInput(file=str(stacks[0]), select=(1, 3), box=32)
    truth = str(shape)
    specs = {
        "points": DpsSpec(
            title="loaded", samples=3, observations=(
                CoarseMap(file=truth), Subunit(file=str(structure), mass_fraction=0.5),
            ), truth=truth,
        ),
        "volumes": SdsSpec(averages=averages, volumes="each", truth=truth),
        "denoiser": TrainDenoiserSpec(averages=averages, minutes=3),
        "prior": TrainPriorSpec(clouds=str(clouds[0]), hours=0.5),
    }  # fmt: skip
    for name, spec in specs.items():
        dump_toml(spec, folder / f"{name}.toml")
    return {
        "evidence": [
            *pairs[0], *pairs[1], shape, unscaled, structure, junk, folder / "view.csv", bare,
            folder / "missing.mrc", prior,
        ],
        "averages": stacks,
        "weights": [*weights, prior], "truth": [shape, unscaled], "posed": write_posed(folder, stacks[3]),
        "clouds": [*clouds, prior_run.write_structures(folder / "structures")],
        "specs": [folder / f"{name}.toml" for name in specs],
        "run": [sds_run.write_sds(folder / "run", images=4, box=16, starts=2)],
    }  # fmt: skip


# ---- what is shown ----------------------------------------------------------------------------------


def _words(root: QWidget, *, labels: bool) -> list[tuple[str, str]] | None:
    """What stands in the fields of a panel that are seen, and in its labels; None if it can't be used."""
    found = []
    for part in root.findChildren(QWidget):
        if part.property("invalid"):
            return None  # typed, but not entered; also where it is not seen any more
        above = part.parentWidget()
        # costs come with timers; which preset it is, is found out for the mode that is shown
        if not part.isVisibleTo(root) or isinstance(above, PlanNotes if labels else PlanNotes | PresetChoice):
            continue
        name = part.accessibleName() or type(part).__name__
        if isinstance(part, QAbstractSpinBox):
            if isinstance(above, ModelForm):  # else it waits for a button
                found.append((name, part.text()))
        elif isinstance(part, QComboBox):
            found.append((name, part.currentText()))
        elif isinstance(part, QLineEdit) and not isinstance(part.parentWidget(), QAbstractSpinBox):
            found.append((name, f"{part.text()} ({part.placeholderText()})"))
        elif isinstance(part, QAbstractButton) and part.isCheckable():
            found.append((part.text() or name, str(part.isChecked())))
        elif labels and isinstance(part, QLabel):
            found.append(("", part.text()))
    return found


def displayed(window: MainWindow) -> dict[str, Any]:
    """What the window shows of what is prepared, read from its widgets.

    None for parts in which something is typed that can't be used: nobody has ever entered that.
    """
    modes, landscape = window.modes, window.sds_panels.landscape
    window.features["presets"].show()
    cards: list[Any] = []
    layout = window.inputs._list
    for i in range(layout.count()):
        card = layout.itemAt(i).widget()
        if card in window.inputs.cards.values():
            if card._settings.isVisibleTo(card):
                card._settings.setChecked(True)
            if card.form is not None:
                card.form.show_advanced(True)
            cards.append(_words(card, labels=True))
    gallery, panels = modes.gallery, zip(MODES, modes.run_panels, strict=True)
    model = gallery.model
    rows = [bool(model.index(i, 0).data(SELECTED)) for i in range(model.rowCount())]
    project = window.features["project"]
    run = window.run_view.stored
    shown = {
        "mode": (
            [button.isChecked() for button in modes.switch._buttons.values()],
            modes._inputs.currentIndex(), modes.run.currentIndex(),
        ),
        "evidence": cards,
        **{f"fields of {kind}": _words(panel, labels=False) for kind, panel in panels},
        "run panel": _words(modes.panel, labels=True),
        "class averages": _words(modes.averages_panel, labels=modes.of_averages),
        "gallery": modes.averages.loaded is not None and (rows, gallery._count.text(), gallery._marks.text()),
        "named": list(window.features["gallery"].named.state().items()),
        "clouds": _words(modes.prior.panel, labels=True), "posed": _words(modes.known.panel, labels=True),
        "names": (dict(project.project.content.names), dict(project.project.content.notes)),
        "groups": [(g.name, g.members) for g in landscape.groups],
        "hand": run is not None and is_flipped(run),
    }  # fmt: skip
    if None in shown.values() or None in cards:
        shown |= {"run panel": None, "gallery": None}  # they say why
    return shown


# ---- what can be done -------------------------------------------------------------------------------


class Hands(KnownPosesHands):
    """A user's hands: each deed draws what it needs from the generator that it is given."""

    def __init__(self, window: MainWindow, files: dict[str, list[Path]]) -> None:
        self.window, self.files, self.modes = window, files, window.modes
        window.dialogs.weights = lambda *_a: files["weights"][0]
        for panel in self.modes.run_panels:
            panel.advanced.setChecked(True)
        self.modes.averages_panel.form.show_advanced(True)

    def deeds(self) -> dict[str, Callable[[Rng], Any]]:
        """All that they can do, by name."""
        found = {n.removeprefix("do_"): getattr(self, n) for n in dir(self) if n.startswith("do_")}
        return dict(sorted(found.items()))

    # ---- fields ---------------------------------------------------------------------------------

    def edit(self, form: ModelForm, rng: Rng, only: tuple[str, ...] = ()) -> None:
        """Enter something in one of the fields of a form that are seen, now and then what can't be read."""
        names = [n for n in only or form.values_shown() if form.field(n).isVisibleTo(form)]
        field = form.field(rng.choice(names)) if names else None
        if isinstance(field, QComboBox):
            field.setCurrentIndex(rng.randrange(field.count()))
        elif isinstance(field, QAbstractButton):
            field.click()
        elif isinstance(field, QAbstractSpinBox):
            low, high = max(field.minimum(), -50), min(field.maximum(), 60)
            field.setValue(type(field.value())(rng.uniform(low, high)))
        elif isinstance(field, QLineEdit):
            text = rng.choice(("", "2", "3", "4", "2.5", "7", "1, 2", "A"))
            field.setText(text)
            field.textEdited.emit(text)

    def do_settings(self, rng: Rng) -> None:
        self.edit(self.modes.panel.settings_form, rng)

    def do_frame(self, rng: Rng) -> None:
        self.edit(self.window.run_panel.frame_form, rng)

    def do_sampler(self, rng: Rng) -> None:
        box = self.window.run_panel._sampler
        if rng.random() < 0.4:
            box.setCurrentIndex(rng.randrange(box.count()))
            box.activated.emit(box.currentIndex())
        else:
            self.edit(self.window.run_panel._sampler_forms[box.currentData()], rng)

    def do_prior(self, rng: Rng) -> None:
        panel = self.window.run_panel
        if rng.random() < 0.7:
            panel.prior.box.setCurrentIndex(rng.randrange(panel.prior.box.count()))
            panel.prior.box.activated.emit(panel.prior.box.currentIndex())
        elif panel._prior_form.isVisibleTo(panel):
            self.edit(panel._prior_form, rng)

    def do_denoiser(self, rng: Rng) -> None:
        box = self.modes.sds_panel._denoiser
        box.setCurrentIndex(rng.randrange(box.count()))
        box.activated.emit(box.currentIndex())

    def do_steps(self, rng: Rng) -> None:
        forms = (self.modes.sds_panel.distillation_form, self.modes.sds_panel._closed_form)
        self.edit(rng.choice(forms), rng)

    def do_start(self, rng: Rng) -> None:
        start = self.modes.prior.run_panel.start
        if rng.random() < 0.5:
            start.box.setCurrentIndex(rng.randrange(start.box.count()))
            start.box.activated.emit(start.box.currentIndex())
        else:
            self.modes.training_panel.show_weights(rng.choice(("", str(self.files["weights"][0]))))

    def do_preset(self, rng: Rng) -> None:
        presets = self.modes.panel.presets
        what = rng.random()
        if what < 0.6:
            rng.choice(list(presets.buttons.values())).click()
        elif what < 0.8:
            presets.chosen.emit(rng.choice(list(presets._descriptions)))
        else:
            presets._back("back")

    def do_mode(self, rng: Rng) -> None:
        rng.choice(list(self.modes.switch._buttons.values())).click()

    # ---- evidence -------------------------------------------------------------------------------

    def do_add(self, rng: Rng) -> None:
        kinds = ["evidence"] * 4 + ["averages", "weights", "clouds", "specs"]
        pool = self.files[rng.choice(kinds) if rng.random() < 0.5 else self._wanted()]
        self.modes.add_files(rng.sample(pool, rng.choice((1, 1, 2, 3))))

    def _wanted(self) -> str:
        pools = {"dps": "evidence", "train_prior": "clouds", "known_poses": "posed"}
        return pools.get(self.modes.mode, "averages")

    def do_load(self, rng: Rng) -> None:
        self.window.load_spec(rng.choice(self.files["specs"]))

    def _card(self, rng: Rng) -> Any:
        cards = self.window.inputs.cards
        return cards[rng.choice(sorted(cards))] if cards else None

    def do_remove(self, rng: Rng) -> None:
        card = self._card(rng)
        if card is not None:
            card._remove.click()

    def do_role(self, rng: Rng) -> None:
        card = self._card(rng)
        if card is not None and card._role.isVisibleTo(card):
            card._role.setCurrentIndex(rng.randrange(card._role.count()))
            card._role.activated.emit(card._role.currentIndex())

    def do_evidence_form(self, rng: Rng) -> None:
        for card in [c for c in self.window.inputs.cards.values() if c.form is not None][:3]:
            self.edit(card.form, rng)

    def do_evidence_size(self, rng: Rng) -> None:
        card = self._card(rng)
        if card is not None and card._size_button.isVisibleTo(card):
            card._size.setValue(rng.choice((3.0, 8.0)))
            card._size_button.click()

    def do_ab_initio(self, rng: Rng) -> None:
        card = self._card(rng)
        if card is not None and card._ab_initio.isVisibleTo(card) and rng.random() < 0.5:
            card._ab_initio.click()

    # ---- class averages -------------------------------------------------------------------------

    def do_averages_form(self, rng: Rng) -> None:
        panel = self.modes.averages_panel
        if panel._size_button.isVisibleTo(panel):
            panel._size.setValue(rng.choice((2.0, 5.0)))
            panel._size_button.click()
        elif panel.form.isVisibleTo(panel):
            self.edit(panel.form, rng)

    def do_averages_remove(self, rng: Rng) -> None:
        if rng.random() < 0.3:
            self.modes.averages_panel._remove.click()
        self.modes.averages_panel._truth_remove.click()

    def do_truth(self, rng: Rng) -> None:
        if self.modes.mode == "sds":
            self.modes.add_files([rng.choice(self.files["truth"])])

    def do_choose(self, rng: Rng) -> None:
        gallery, count = self.modes.gallery, self.modes.gallery.model.rowCount()
        if self.modes.averages.loaded is None or not count:
            return
        what = rng.randrange(5)
        if what == 0:
            gallery.view.toggle_wanted.emit(rng.randrange(count))
        elif what == 1:
            gallery.select_wanted.emit(np.array(rng.sample(range(count), 2)), bool(rng.randrange(2)))
        else:
            rng.choice((gallery.all_wanted, gallery.invert_wanted, gallery.unmark_wanted)).emit()

    def do_named(self, rng: Rng) -> None:
        named = self.window.features["gallery"].named
        if rng.random() < 0.5 or not named.names:
            named.keep(rng.choice(("best", "rest")))
        else:
            name = rng.choice(named.names)
            deeds = (
                partial(named.use, name), partial(named.use, name, "add"), partial(named.delete, name),
                partial(named.rename, name, f"{name[:4]}{rng.randrange(9)}"),
            )  # fmt: skip
            rng.choice(deeds)()

    # ---- clouds, runs ---------------------------------------------------------------------------

    def do_clouds_remove(self, rng: Rng) -> None:
        rng.choice(list(self.modes.prior.panel.cards.values())).remove_button.click()

    def do_next(self, rng: Rng) -> None:
        spec = SdsSpec(averages=ClassAveragesInput(file=str(self.files["averages"][2])))
        steps = [s for s in next_steps.steps_for(spec, self.files["run"][0]) if not s.reads and s.prepare]
        self.modes.next.follow(rng.choice(steps), spec, self.files["run"][0])

    def do_rename(self, rng: Rng) -> None:
        deeds, run = self.window.features["project"].deeds, self.files["run"][0]
        deeds.rename(str(run), rng.choice(("", "first", "second")))

    def do_group(self, rng: Rng) -> None:
        panel = self.window.sds_panels.landscape
        groups = [Group(f"group {i}", tuple(rng.sample(range(4), 2))) for i in range(rng.randrange(3))]
        panel.set_groups(tuple(groups))
        panel.grouped.emit()

    def do_flip(self, _rng: Rng) -> None:
        if self.modes.mode == "sds":
            next(a for _, a in self.window.commands.all() if a.text() == "&Flip hand").trigger()
