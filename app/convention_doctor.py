"""Finds out with which conventions images and poses were written, and puts them right if wanted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QVBoxLayout

from app.background import words
from app.evidence import TRUTH, Evidence
from app.features import Feature
from app.newest import Newest
from app.panels.convention_doctor import ConventionCaution, ConventionPanel
from app.style import LIGHT, Theme

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from engine.io.convention_check import Findings
    from engine.io.convention_files import Reference

FILE, RESULT = "file", "result"
FOLDER = "corrected"  # beside the runs
QUICK_IMAGES, QUICK_BYTES, QUICK_MS = 6, 200_000_000, 700
ROWS = 10
LEVELS = {"given": "good", "other": "warning", "none": "error"}


class ConventionDoctor(Feature):
    """Checks on demand, and quickly by itself where a reference is among the evidence."""

    name = "conventions"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.panel: ConventionPanel | None = None
        self.found: Findings | None = None
        self._reference: Reference | None = None
        self._rows: list[Any] = []
        self._number = 0
        self._file: Path | None = None
        self._quick_key: object = None
        self._theme = LIGHT
        self._checking, self._picturing, self._quick = (Newest(window.background) for _ in range(3))
        self.caution = ConventionCaution()
        self.caution.check_wanted.connect(self.open)
        # Below the heading, above the cards.
        layout = window.inputs.layout()
        if isinstance(layout, QVBoxLayout):
            layout.insertWidget(1, self.caution)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(QUICK_MS)
        self._timer.timeout.connect(self._check_quickly)
        window.session.changed.connect(self._timer.start)
        self._timer.stop()
        window.commands.add(
            "&Run", "Check &conventions…", self.open,
            tip="With which conventions of angles, shifts, hand and contrast were images and poses written?",
        )  # fmt: skip

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._theme = theme
        if self.panel is not None:
            self.panel.set_theme(theme)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.stop()

    # ---- what there is --------------------------------------------------------------------------

    def projections(self) -> list[Evidence]:
        """Rows of images with poses that can be used."""
        rows = self.window.session.evidence.values()
        return [r for r in rows if r.role == "projection_images" and r.state == "ready" and len(r.paths) == 2]

    def references(self) -> list[Evidence]:
        """Rows to compare with: the reference first, then maps and shapes."""
        rows = [r for r in self.window.session.evidence.values() if r.state == "ready"]
        order = (TRUTH, "coarse_map", "coarse_points")
        usable = [r for r in rows if r.role in order]
        return sorted(usable, key=lambda r: order.index(str(r.role)))

    def open(self) -> None:
        """Show the window, and check at once if there is something to compare."""
        if self.panel is None:
            self.panel = ConventionPanel(self.window)
            self.panel.set_theme(self._theme)
            self.panel.check_wanted.connect(self.check)
            self.panel.row_chosen.connect(self._show_pictures)
            self.panel.use_wanted.connect(self.use)
        self._offer()
        self.panel.show()
        self.panel.raise_()
        if not self.projections():
            self.panel.complain("Add images with their poses first: a stack and its STAR file.")
        elif self.panel.reference != FILE:
            self.check()

    def _offer(self) -> None:
        assert self.panel is not None  # noqa: S101 - for the type checker
        references: list[tuple[object, str]] = [(r.number, r.names) for r in self.references()]
        window = self.window
        if window.viewer.points.points_A.size and window.run_view.stored is not None:
            references.append((RESULT, "The clouds that are shown"))
        elif window.sds_view.maps.control.density is not None:
            references.append((RESULT, "The map that is shown"))
        references.append((FILE, "Choose a file…" if self._file is None else self._file.name))
        self.panel.set_choices([(r.number, r.names) for r in self.projections()], references)

    # ---- checking -------------------------------------------------------------------------------

    @Slot()
    def check(self) -> None:
        """Try all conventions on the images that are chosen."""
        panel = self.panel
        row = next((r for r in self.projections() if panel is not None and r.number == panel.images), None)
        if panel is None or row is None:
            return
        read = self._reader(panel.reference)
        if read is None:
            return
        self._number = row.number
        panel.set_busy("Comparing…")
        work = partial(_check, _images_of(row), read, 0)
        self._checking.ask(work, self._checked, lambda error: panel.complain(words(error)))

    def _reader(self, key: object) -> Any:
        """What gives the reference, in a thread; None if the user chose none."""
        window = self.window
        if key == FILE:
            path = self._file or next(iter(window.dialogs.input_files(window.settings.last_folder)), None)
            if path is None:
                return None
            self._file = Path(path)
            return partial(_read_reference, self._file, None)
        if key == RESULT:
            points = window.viewer.points.points_A
            if points.size:
                return partial(_cloud_reference, points[window.viewer.points.sample or 0])
            density = window.sds_view.maps.control.density
            return None if density is None else partial(_map_reference, density)
        row = next((r for r in self.references() if r.number == key), None)
        return None if row is None else partial(_read_reference, row.paths[0], row.pixel_size_A)

    def _checked(self, answer: tuple[Findings, Reference, tuple[str, ...]]) -> None:
        found, self._reference, notes = answer
        self.found, panel = found, self.panel
        if panel is None:
            return
        self._rows = list(found.ranked[:ROWS])
        if found.given not in self._rows:
            self._rows.append(found.given)
        given = self._rows.index(found.given)
        listed = ", ".join(str(int(r) + 1) for r in found.rows)
        panel.show_findings(
            found.sentence(),
            LEVELS[found.verdict],
            [(s.convention.words(found.pixel_A), s.mean, s.spread) for s in self._rows],
            given=given,
            usable=[i for i in range(len(self._rows)) if i != given],
            notes=" ".join((f"Images {listed}.", *notes)),
        )

    def _show_pictures(self, row: int) -> None:
        found, reference, panel = self.found, self._reference, self.panel
        if found is None or reference is None or panel is None or not 0 <= row < len(self._rows):
            return
        self._picturing.ask(
            partial(_pictures, found, reference, self._rows[row].convention),
            lambda pair: panel.show_pictures(*pair),
        )

    # ---- putting right --------------------------------------------------------------------------

    def use(self, row: int) -> None:
        """Use a convention, a row of the table: as settings where these can say it, else by new files."""
        window, found = self.window, self.found
        evidence = window.session.evidence.get(self._number)
        if found is None or evidence is None or not 0 <= row < len(self._rows) or window.monitor.running:
            return
        convention = self._rows[row].convention
        if not (convention.angles or convention.mirrored or convention.flip or convention.shifts):
            options: dict[str, Any] = {}
            if convention.scale != 1:
                options["pixel_size_A"] = round(found.pixel_A * convention.scale, 4)
            if convention.inverted:
                options["contrast"] = _opposite(evidence)
            window.session.set_options(evidence.number, options)
            self._used(convention.words(found.pixel_A), "")
            return
        folder = window.session.runs_folder / FOLDER
        work = partial(_write, folder, evidence.paths[1].name, _images_of(evidence, select=False), convention)
        window.in_background(work, partial(self._written, evidence.number, convention.words(found.pixel_A)))

    def _written(self, number: int, what: str, paths: tuple[Path, Path]) -> None:
        session = self.window.session
        old = session.evidence.get(number)
        if old is None:
            return
        # The files say the rest, and say it rightly.
        options = {k: v for k, v in old.options.items() if k not in ("pixel_size_A", "contrast")}
        with session.history.step("use another convention"):
            session.remove(number)
            session.add_row(paths, "projection_images", options | {"contrast": "white"})
        self._used(what, f" {paths[0].name} and {paths[1].name} were written to {paths[0].parent}.")

    def _used(self, what: str, more: str) -> None:
        self.window.say(f"Convention used: {what[:1].lower()}{what[1:]}.{more}")
        self.caution.show_text("")
        if self.panel is not None:
            self.panel.close()

    # ---- by itself ------------------------------------------------------------------------------

    @Slot()
    def _check_quickly(self) -> None:
        """Once for each pair of images and reference, if they aren't large."""
        images, references = self.projections(), [r for r in self.references() if r.role != "coarse_points"]
        if not images or not references or self.window.monitor.running:
            self._quick_key = None
            self.caution.show_text("")
            return
        row, reference = images[0], references[0]
        key = (row.paths, str(sorted(row.options.items(), key=str)), reference.paths, reference.pixel_size_A)
        if key == self._quick_key or _bytes(row.paths[0]) + _bytes(reference.paths[0]) > QUICK_BYTES:
            return
        self._quick_key = key
        self.caution.show_text("")
        read = partial(_read_reference, reference.paths[0], reference.pixel_size_A)
        self._quick.ask(
            partial(_check, _images_of(row), read, QUICK_IMAGES), partial(self._quickly_checked, key)
        )

    def _quickly_checked(self, key: object, answer: tuple[Findings, Reference, tuple[str, ...]]) -> None:
        found = answer[0]
        if key == self._quick_key and found.verdict == "other":
            self.caution.show_text(
                f"The poses may be of another convention: {found.best.convention.words(found.pixel_A)} "
                f"scores {found.best.mean:.2f}, what was read {found.given.mean:.2f}."
            )


def _images_of(row: Evidence, *, select: bool = True) -> Any:
    """What reads a row's images and poses, in a thread."""
    return partial(
        _read_posed,
        row.paths,
        row.pixel_size_A,
        row.options.get("contrast") or "auto",
        tuple(row.options.get("select") or ()) if select else (),
    )


def _read_posed(
    paths: tuple[Path, ...], pixel_A: float | None, contrast: Any, select: tuple[int, ...]
) -> Any:
    from engine.io.convention_files import read_posed

    return read_posed(paths[0], paths[1], pixel_size_A=pixel_A, contrast=contrast, select=select)


def _read_reference(path: Path, voxel_A: float | None) -> Any:
    from engine.io.convention_files import read_reference

    return read_reference(path, voxel_size_A=voxel_A)


def _cloud_reference(points_A: Any) -> Any:
    from engine.io.convention_files import points_reference

    return points_reference(points_A, "the cloud that is shown")


def _map_reference(density: Any) -> Any:
    from engine.io.convention_files import Reference
    from engine.io.reprojection import transform_of

    return Reference(transform_of(density.values, density.voxel_A), density.name)


def _check(read_images: Any, read_reference: Any, most: int) -> Any:
    from engine.io.convention_files import check_reference

    posed, _ = read_images()
    found, reference = check_reference(posed, read_reference(), most)
    return found, reference, reference.notes


def _pictures(found: Findings, reference: Reference, convention: Any) -> Any:
    from engine.io.convention_check import pictures

    assert found.posed is not None  # noqa: S101 - for the type checker
    return pictures(found.posed.some(found.rows), reference.transform, convention)


def _write(folder: Path, name: str, read_images: Any, convention: Any) -> tuple[Path, Path]:
    from engine.io.convention_files import write_corrected

    posed, _ = read_images()
    stem = name.removesuffix(".gz").removesuffix(".star")
    return write_corrected(folder, f"{stem}-corrected", posed, convention)


def _opposite(row: Evidence) -> str:
    """The other contrast than the one that was used."""
    given = row.options.get("contrast")
    if given in ("white", "black"):
        return "black" if given == "white" else "white"
    notes = " ".join(row.checked.notes if row.checked is not None else ())
    return "white" if "particles are black" in notes else "black"


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
