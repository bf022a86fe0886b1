"""What the window is about to run: evidence, prior, sampler, output. No widgets; the panels show it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from app.background import Background, Ticket, words
from app.checking import Checked, check_row
from app.evidence import MODELS, ROLE_WORDS, TRUTH, Evidence, Facts, from_spec, pairable
from app.history import ABSENT, History, Step, Values, below, prefixed, put_items
from app.prior_shelf import PriorShelf
from app.run_folders import new_run_folder
from app.run_settings import SETTINGS
from app.run_words import sentence
from engine.specs.components import NetworkPrior
from engine.specs.job import DpsSpec, FrameSpec
from engine.specs.presets import PRESETS


class Session(QObject):
    """The run being prepared.

    Parameters
    ----------
    background : where files are checked.
    runs_folder : where run folders are made unless the user says otherwise.
    shelf : the priors that can be chosen by name.
    history : where changes are kept, so that they can be taken back; one of its own by default.
    """

    kind = "dps"
    added = Signal(int)
    updated = Signal(int)
    removed = Signal(int)
    changed = Signal()
    loaded = Signal()
    run_dropped = Signal(object)
    averages_dropped = Signal(object)
    spec_dropped = Signal(object)
    said = Signal(str)

    def __init__(
        self,
        background: Background,
        runs_folder: Path,
        parent: QObject | None = None,
        *,
        shelf: PriorShelf | None = None,
        history: History | None = None,
    ) -> None:
        super().__init__(parent)
        self.history = history or History(self)
        self.runs_folder = runs_folder
        self.evidence: dict[int, Evidence] = {}
        self.settings: dict[str, Any] = {name: DpsSpec.model_fields[name].default for name in SETTINGS}
        self.prior: dict[str, Any] = NetworkPrior().model_dump()
        self.sampler: dict[str, Any] = DpsSpec.model_fields["sampler"].default.model_dump()
        self.frame: dict[str, Any] = FrameSpec().model_dump()
        self.form_problem = ""
        self.shelf = shelf
        self._background = background
        self._numbers = itertools.count(1)
        self._tickets: dict[int, Ticket] = {}
        self._known: dict[Facts, Checked | str] = {}  # what files turned out to be, or what is wrong
        self.history.keep(self.kind, self)

    # ---- evidence -------------------------------------------------------------------------------

    def add_files(self, paths: Iterable[Path]) -> None:
        """Take files or run folders that were dropped or opened, and check each."""
        files = []
        for path in (Path(p).absolute() for p in paths):
            if path.is_dir():
                self.run_dropped.emit(path)
            elif path.suffix.lower() in (".toml", ".json"):
                self.spec_dropped.emit(path)
            else:
                files.append(path)
        with self.history.step("add " + (files[0].name if len(files) == 1 else f"{len(files)} files")):
            for path in files:
                if any(path in row.paths for row in self.evidence.values()):
                    self.said.emit(f"{path.name} is already in the list.")
                else:
                    self._insert(Evidence(next(self._numbers), (path,)))

    def add_row(self, paths: Iterable[Path], role: str | None, options: dict[str, Any]) -> None:
        """Put a row on the list as it was before, and check its files."""
        row = Evidence(next(self._numbers), tuple(paths), role=role, options=dict(options))
        with self.history.step(f"add {row.names}"):
            self._insert(row)

    def remove(self, number: int) -> None:
        """Take a row off the list."""
        if number in self.evidence:
            with self.history.step(f"remove {self.evidence[number].names}"):
                self._take_off(number)

    def _take_off(self, number: int) -> None:
        if self.evidence.pop(number, None) is not None:
            self._drop_check(number)
            self.removed.emit(number)
            self.changed.emit()

    def set_role(self, number: int, role: str) -> None:
        """Say what a row is to be used as. Only one row can be the reference."""
        row = self.evidence[number]
        if role not in row.roles:
            raise ValueError(role)
        words = ROLE_WORDS[role].partition(",")[0]
        with self.history.step(f"{row.names} as {words[:1].lower()}{words[1:]}"):
            if role == TRUTH:
                for other in self.evidence.values():
                    if other.role == TRUTH and other is not row:
                        self._use(other, None)
            self._use(row, role)

    def _use(self, row: Evidence, role: str | None) -> None:
        before = row.facts
        row.use_as(role)
        # a size that was typed counts in its own role only
        (self._know if row.facts != before else self._judge)(row)

    def set_options(self, number: int, options: dict[str, Any]) -> None:
        """Take the entered settings of a row; a new pixel size or choice of images is checked again."""
        row = self.evidence[number]
        before, fields = row.facts, MODELS[row.role].model_fields if row.role in MODELS else {}
        with self.history.step(of=row.names, merge=True):
            for name, value in options.items():  # forms give every field, also those left as they were
                if name in row.options or name not in fields or value != fields[name].default:
                    row.options[name] = value
            if row.facts != before and row.state != "checking":
                self._check(row)
            self._judge(row)

    @property
    def checking(self) -> bool:
        """Whether any file is still being checked."""
        return any(row.state == "checking" for row in self.evidence.values()) or bool(self._tickets)

    def observations(self) -> list[Evidence]:
        """Rows that are used as evidence."""
        return [row for row in self.evidence.values() if row.role != TRUTH]

    def _insert(self, row: Evidence) -> None:
        self.evidence[row.number] = row
        self.added.emit(row.number)
        self._check(row)
        self.changed.emit()

    def _check(self, row: Evidence) -> None:
        self._drop_check(row.number)
        number, facts, cause = row.number, row.facts, self.history.cause
        self._tickets[number] = self._background.submit(
            partial(check_row, *facts),
            lambda found: self._found(number, found, facts, cause),
            lambda error: self._found(number, words(error), facts, cause),
        )

    def _drop_check(self, number: int) -> None:
        ticket = self._tickets.pop(number, None)
        if ticket is not None:
            ticket.drop()

    def _found(self, number: int, found: Checked | str, facts: Facts, cause: Step | None) -> None:
        self._tickets.pop(number, None)
        self._known[facts] = found
        row = self.evidence.get(number)
        if row is not None:
            with self.history.follow(cause):
                if isinstance(found, str):
                    row.checked, row.state, row.problem = None, "problem", found
                    self.updated.emit(number)
                    self.changed.emit()
                else:
                    self._take_in(row, found)
                self._pair()  # also after a problem: others may have waited for this row

    def _take_in(self, row: Evidence, found: Checked) -> None:
        number = row.number
        if found.kind == "prior":
            self.remove(number)
            self.set_prior(NetworkPrior(weights=str(found.paths[0])).model_dump())
            self.loaded.emit()
            self.said.emit(f"{found.paths[0].name} is used as the prior.")
            return
        if found.kind == "class_averages":
            self.remove(number)
            self.averages_dropped.emit(found.paths[0])
            return
        if found.kind == "ensemble":
            self.remove(number)
            self.run_dropped.emit(found.paths[0])
            return
        row.checked = found
        if row.role not in row.roles:
            row.role = (
                row.roles[0] if len(row.roles) == 1 else ("coarse_map" if found.kind == "volume" else None)
            )
        self._judge(row)

    def _judge(self, row: Evidence) -> None:
        row.judge()
        self.updated.emit(row.number)
        self.changed.emit()

    def _pair(self) -> None:
        """Put image stacks and their STAR files together; fetch the stack that a STAR file names."""
        rows = list(self.evidence.values())
        stacks = [r for r in rows if r.kind == "images"]
        stars = [r for r in rows if r.kind == "poses"]
        pending = any(r.state == "checking" for r in rows)
        only_ones = len(stacks) == 1 and len(stars) == 1 and not pending
        for poses in stars:
            for images in stacks:
                if images.number in self.evidence and pairable(images, poses, only_ones=only_ones):
                    options = images.options | poses.options
                    for old in (images.number, poses.number):
                        self.remove(old)
                    pair = (images.paths[0], poses.paths[0])
                    self._insert(
                        Evidence(next(self._numbers), pair, role="projection_images", options=options)
                    )
                    return self._pair()
        known = {p.name for r in rows for p in r.paths}
        for poses in stars if not pending else ():
            names = poses.checked.image_files if poses.checked else ()
            found = [poses.paths[0].parent / Path(n).name for n in names if Path(n).name not in known]
            self.add_files([p for p in found[:1] if p.is_file()])
        return None

    # ---- settings -------------------------------------------------------------------------------

    def set_settings(self, values: dict[str, Any], problem: str = "") -> None:
        """Title, samples, seed and device as entered; ``problem`` says what can't be read."""
        with self.history.step(merge=True):
            self.settings |= values
            self.form_problem = problem
            self.changed.emit()

    def set_prior(self, values: dict[str, Any]) -> None:
        """The prior as a spec dictionary."""
        with self.history.step(merge=True):
            self.prior = values
            self.changed.emit()

    def set_sampler(self, values: dict[str, Any]) -> None:
        """The sampler as a spec dictionary."""
        with self.history.step(merge=True):
            self.sampler = values
            self.changed.emit()

    def set_frame(self, values: dict[str, Any]) -> None:
        """Centre and size as a spec dictionary."""
        with self.history.step(merge=True):
            self.frame = values
            self.changed.emit()

    def apply_preset(self, name: str) -> None:
        """Fill in what a preset says; evidence stays."""
        rows = [row for row in self.observations() if row.state == "ready"]
        settings = PRESETS[name].settings([row.spec() for row in rows])  # type: ignore[misc]
        with self.history.step(f"preset “{name}”"):
            self.sampler = settings.get("sampler", DpsSpec.model_fields["sampler"].default).model_dump()
            self.prior = settings["prior"].model_dump() if "prior" in settings else self._network_prior()
            self.settings |= {k: v for k, v in settings.items() if k in ("samples", "points", "batch")}
            self.loaded.emit()
            self.changed.emit()

    def _network_prior(self) -> dict[str, Any]:
        return self.prior if self.prior.get("kind") == "network" else NetworkPrior().model_dump()

    def truth(self) -> Path | None:
        """The reference file, if one was given."""
        return next(
            (r.paths[0] for r in self.evidence.values() if r.role == TRUTH and r.state == "ready"), None
        )

    # ---- the run --------------------------------------------------------------------------------

    def missing(self) -> str:
        """Why it can't run yet, in words; empty if it can."""
        if self.form_problem:
            return self.form_problem
        for row in self.evidence.values():
            if row.state != "ready":
                return row.hindrance
        if not self.observations() and self.sampler.get("kind") != "unconditional":
            return "Add evidence first: projections with poses, a low-resolution map, or a known part."
        if self.prior.get("kind") == "network" and not self.prior.get("weights"):
            return "Choose the file with the prior's weights."
        if self.shelf is not None and self.prior.get("kind") == "network":
            problem = self.shelf.problem(str(self.prior["weights"]))
            if problem:
                return problem
        try:
            self.spec()
        except ValueError as exc:
            return str(exc)
        return ""

    def spec(self) -> DpsSpec:
        """The run as a spec. Raises ValueError in words if something doesn't fit."""
        truth = self.truth()
        try:
            return DpsSpec.model_validate(
                {
                    **self.settings,
                    "observations": [row.spec().model_dump() for row in self.observations()],
                    "prior": self.prior,
                    "sampler": self.sampler,
                    "frame": self.frame,
                    "truth": None if truth is None else str(truth),
                }
            )
        except ValidationError as exc:
            first = exc.errors()[0]
            where = " ".join(str(part) for part in first["loc"] if not isinstance(part, int))
            raise ValueError(f"{where}: {first['msg']}." if where else f"{first['msg']}.") from None

    def sentence(self) -> str:
        """What Run will do."""
        try:
            return sentence(self.spec(), self.observations())
        except ValueError:
            return ""

    def new_run_folder(self) -> Path:
        """A folder name that isn't taken, from the title and the time."""
        return new_run_folder(self.runs_folder, str(self.settings.get("title") or ""))

    def load(self, spec: DpsSpec) -> None:
        """Show a spec: replaces everything."""
        with self.history.step("load settings"):
            for number in list(self.evidence):
                self.remove(number)
            self.settings = {name: getattr(spec, name) for name in SETTINGS}
            self.prior, self.sampler = spec.prior.model_dump(), spec.sampler.model_dump()
            self.frame, self.form_problem = spec.frame.model_dump(), ""
            for observation in spec.observations:
                self._insert(from_spec(next(self._numbers), observation))
            if spec.truth:
                self._insert(Evidence(next(self._numbers), (Path(spec.truth),), role=TRUTH))
            self.loaded.emit()
            self.changed.emit()

    # ---- the history ----------------------------------------------------------------------------

    def snapshot(self) -> Values:
        """What the user has given; not what files turned out to be."""
        return {
            **prefixed("settings", self.settings),
            "prior": dict(self.prior),
            "sampler": dict(self.sampler),
            "frame": dict(self.frame),
            **{f"row.{number}": row.given() for number, row in self.evidence.items()},
        }

    def put(self, values: Values) -> None:
        """Go back to values of :meth:`snapshot`; files that are known are not read again."""
        rows = {int(name): value for name, value in below("row", values).items()}
        put_items(self.settings, below("settings", values))
        for name in ("prior", "sampler", "frame"):
            setattr(self, name, dict(values.get(name, getattr(self, name))))
        if len(values) > len(rows):
            self.form_problem = ""  # the forms are filled anew
            self.loaded.emit()
        for number, value in rows.items():
            if value is ABSENT:
                self._take_off(number)
            else:
                self._put_row(number, value)
        self.changed.emit()

    def _put_row(self, number: int, value: dict[str, Any]) -> None:
        row = self.evidence.get(number)
        if row is None:
            row = self.evidence[number] = Evidence(number, value["paths"])
            self.evidence = dict(sorted(self.evidence.items()))
            self.added.emit(number)
        row.role, row.options = value["role"], dict(value["options"])
        self._know(row)

    def _know(self, row: Evidence) -> None:
        """Show what is known of a row as it is now; what isn't is found out."""
        known = self._known.get(row.facts)
        if known is None:
            self._check(row)
        else:
            self._drop_check(row.number)
            row.checked = None if isinstance(known, str) else known
            row.state, row.problem = "problem", known if isinstance(known, str) else ""
        self._judge(row)
