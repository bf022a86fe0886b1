"""Shows which directions the selected images cover, once their poses are known or a run has found them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.coverage import PLANE_DEG, REACH_DEG, Coverage
from app.coverage_meter import CoverageMeter, Judged
from app.features import Feature
from app.newest import Newest
from app.panels.coverage import CoverageCard
from app.seen_files import EvidenceSeen, read_evidence
from engine.specs.sds import SdsSpec

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.run_files import StoredRun

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Known:
    """Poses of some of the images of a file.

    Attributes
    ----------
    file : absolute.
    images : (k,) which images, counted from 0 as in the file.
    rotations : (k, 3, 3), ``x_view = R x``.
    source : where they come from, in words.
    symmetry : that the run had; empty for what is being prepared.
    """

    file: Path
    images: NDArray[np.intp]
    rotations: Floats
    source: str
    symmetry: str = ""


class ViewCoverage(Feature):
    """The map of directions below the gallery, and the one below the evidence of points."""

    name = "coverage"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        modes = window.modes
        self.card, self.evidence_card = modes.gallery.coverage, CoverageCard(clickable=False)
        self.evidence_card.hide()
        column: Any = modes.inputs.layout()
        column.addWidget(self.evidence_card)
        self.evidence_card.setContentsMargins(10, 0, 8, 8)
        self._known: Known | None = None
        self._of_run: Known | None = None
        self._preview: NDArray[np.bool_] | None = None
        self._meter = CoverageMeter(window.background, self._judged)
        self._reading = Newest(window.background)
        self._asked: Any = ()
        self._evidence = EvidenceSeen()
        self._evidence_meter = CoverageMeter(window.background, self._evidence_judged)
        self._evidence_reading = Newest(window.background)
        averages = modes.averages
        averages.read.connect(self._look)
        averages.selection_changed.connect(self._selection_changed)
        modes.gallery.block_changed.connect(self._block_changed)
        modes.sds.changed.connect(self._look)
        window.run_view.run_shown.connect(self._run_shown)
        for signal in (window.session.changed, window.session.loaded, modes.changed):
            signal.connect(self._look_at_evidence)
        self.card.direction_clicked.connect(self._go_to)
        if window.run_view.stored is not None:
            self._run_shown(window.run_view.stored)
        self._look()
        self._look_at_evidence()

    def close(self) -> None:
        """Stop."""
        for part in (self._meter, self._evidence_meter, self._reading, self._evidence_reading):
            part.drop()

    # ---- class averages -------------------------------------------------------------------------

    def _run_shown(self, run: StoredRun) -> None:
        if run.kind == "sds" and not run.running and run.sds is not None:
            self._reading.ask(partial(_poses_of, run), self._run_read)

    def _run_read(self, found: Known | None) -> None:
        self._of_run = found or self._of_run
        self._look()

    def _look(self) -> None:
        """Find out whose poses are known: a run's go before the file's, which may be another map's."""
        session = self.window.modes.averages
        run, loaded = self._of_run, session.loaded
        found = None
        if loaded is not None and session.path is not None:
            if (
                run is not None
                and run.file == session.path
                and run.images.max(initial=-1) < len(loaded.names)
            ):
                found = run
            elif loaded.rotations is not None:
                old = self._known
                found = old if old is not None and old.rotations is loaded.rotations else None
                found = found or Known(
                    session.path, np.arange(len(loaded.names)), loaded.rotations, f"from {session.path.name}"
                )
        self._known = found
        if found is None:
            self._meter.drop()
            self.card.hide()
            session.set_coverage(None)
            return
        symmetry = found.symmetry or str(self.window.modes.sds.settings.get("symmetry") or "C1")
        self._meter.set_poses(found.rotations, symmetry, session.selected[found.images])

    def _selection_changed(self) -> None:
        session = self.window.modes.averages
        self._preview = None
        if self._known is not None and session.loaded is not None:
            self._meter.judge(session.selected[self._known.images])

    def _block_changed(self, images: Any, on: bool) -> None:
        """While a block is being spanned the map shows what it would give."""
        session = self.window.modes.averages
        if self._known is None or session.loaded is None:
            return
        wanted = session.selected.copy()
        wanted[np.asarray(images, int)] = on
        self._preview = wanted if len(images) else None
        self._meter.judge(wanted[self._known.images])

    def _judged(self, found: Judged) -> None:
        known, session = self._known, self.window.modes.averages
        if known is None or session.loaded is None:
            return
        chosen = session.selected if self._preview is None else self._preview
        without = int(np.count_nonzero(chosen)) - int(np.count_nonzero(chosen[known.images]))
        warning = found.coverage.warning()
        self.card.set_coverage(
            found.nearest_deg, found.views, words_of(found.coverage, without), warning, known.source
        )
        self.card.show()
        if self._preview is None:
            session.set_coverage(found.coverage)

    def _go_to(self, x: float, y: float, z: float) -> None:
        gallery, nearest = self.window.modes.gallery, self._meter.nearest_image(np.array([x, y, z]))
        if self._known is not None and nearest >= 0:
            index = gallery.model.index_of(int(self._known.images[nearest]))
            gallery.view.setCurrentIndex(index)
            gallery.view.scrollTo(index)
            gallery.view.setFocus()

    # ---- evidence of points ---------------------------------------------------------------------

    def _look_at_evidence(self) -> None:
        window = self.window
        if window.modes.mode != "dps":
            self.evidence_card.hide()
            return
        session = window.session
        observations: Any = ()
        if not session.missing():
            try:
                observations = session.spec().observations
            except ValueError:
                observations = ()
        if observations == self._asked:
            self._show_evidence()
            return
        self._asked = observations
        self._evidence_reading.ask(partial(read_evidence, observations), self._evidence_read)

    def _evidence_read(self, found: EvidenceSeen) -> None:
        self._evidence = found
        self._show_evidence()
        if len(found.rotations):
            self._evidence_meter.set_poses(found.rotations, "C1", np.ones(len(found.rotations), bool))
        else:
            self._evidence_meter.drop()

    def _show_evidence(self) -> None:
        shown = len(self._evidence.rotations) > 0 and self.window.modes.mode == "dps"
        self.evidence_card.setVisible(shown and bool(self.evidence_card.words))

    def _evidence_judged(self, found: Judged) -> None:
        # Few views are usual here, and the rest comes from the prior: facts, but no warning.
        self.evidence_card.set_coverage(
            found.nearest_deg, found.views, words_of(found.coverage, 0), "", "from the evidence"
        )
        self._show_evidence()


def words_of(coverage: Coverage, without: int) -> str:
    """What a selection covers, in words.

    Parameters
    ----------
    without : selected images whose pose is not known.
    """
    count = coverage.views
    if not count:
        text = "No selected image has a pose."
    else:
        text = (
            f"{count:,} view{'s' if count != 1 else ''} cover{'s' if count == 1 else ''} "
            f"{100 * coverage.fraction:.0f} % of the directions (to {REACH_DEG:.0f}°) and "
            f"{100 * coverage.fourier:.0f} % of Fourier space (to {PLANE_DEG:.0f}°)."
        )
    if without and count:
        text += f" {without:,} selected image{'s have' if without != 1 else ' has'} no pose."
    return text


def _poses_of(run: StoredRun) -> Known | None:
    """The poses that a run found for the images of its file; for background threads."""
    from engine.errors import VerglasError
    from engine.io.volumes import SdsResults

    spec = run.spec
    if not isinstance(spec, SdsSpec) or run.sds is None:
        return None
    try:
        table = SdsResults(run.sds.results, in_hand=True).poses()
    except (VerglasError, OSError):
        return None
    rows = [e.get("row") for e in run.sds.averages]
    prepared = np.asarray(table.poses.image_indices, np.intp)
    if prepared.max(initial=-1) >= len(rows) or not all(type(r) is int and r > 0 for r in rows):
        return None
    images = np.array(rows, np.intp)[prepared] - 1
    file = Path(spec.averages.file).absolute()
    rotations = np.asarray(table.poses.rotations, np.float64)
    return Known(file, images, rotations, f"found by the run {run.folder.name}", spec.symmetry)
