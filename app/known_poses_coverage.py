"""Shows from which directions a volume at known poses was seen: of what is prepared, and of a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.coverage_meter import CoverageMeter, Judged
from app.features import Feature
from app.newest import Newest
from app.view_coverage import words_of

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.run_files import StoredRun

Floats = NDArray[np.float64]


class KnownPosesCoverage(Feature):
    """The map of directions among the inputs, and the one beside the shells of Fourier space."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.session = window.modes.known.session
        self.card = window.modes.known.panel.coverage
        self.panel = window.sds_panels.coverage
        self._meter = CoverageMeter(window.background, self._judged)
        self._of_run = CoverageMeter(window.background, self._run_judged)
        self._reading = Newest(window.background)
        self._source = ""
        for signal in (self.session.looked, self.session.changed, self.session.loaded):
            signal.connect(self._look)
        window.run_view.run_shown.connect(self._run_shown)
        window.run_view.cleared.connect(self._clear)
        self._look()
        if window.run_view.stored is not None:
            self._run_shown(window.run_view.stored)

    def close(self) -> None:
        """Stop."""
        for part in (self._meter, self._of_run, self._reading):
            part.drop()

    # ---- what is prepared -----------------------------------------------------------------------

    def _look(self) -> None:
        look = self.session.look
        if look is None or not look.count:
            self._meter.drop()
            self.card.hide()
            self.session.coverage = None
            return
        symmetry = str(self.session.settings.get("symmetry") or "C1")
        self._meter.set_poses(look.rotations, symmetry, np.ones(look.count, bool))

    def _judged(self, found: Judged) -> None:
        poses = self.session.files.get("poses")
        if poses is None or self.session.look is None:
            return
        changed = self.session.coverage != found.coverage
        self.session.coverage = found.coverage
        # Few views are usual here, and what they leave open is the denoiser's: facts, but no warning.
        self.card.set_coverage(
            found.nearest_deg, found.views, words_of(found.coverage, 0), "", f"from {poses.name}"
        )
        self.card.show()
        if changed:
            self.session.changed.emit()

    # ---- a run ----------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._reading.drop()
        self._of_run.drop()

    def _run_shown(self, run: StoredRun) -> None:
        if run.kind == "known_poses" and run.sds is not None:
            self._source = f"of the run {run.folder.name}"
            self._reading.ask(partial(_poses_of, run), partial(self._run_read, run))

    def _run_read(self, run: StoredRun, rotations: Floats | None) -> None:
        if rotations is None or not len(rotations):
            self.panel.show_directions(False)
            return
        symmetry = str(getattr(run.spec, "symmetry", "") or "C1")
        self._of_run.set_poses(rotations, symmetry, np.ones(len(rotations), bool))

    def _run_judged(self, found: Judged) -> None:
        self.panel.card.set_coverage(
            found.nearest_deg, found.views, words_of(found.coverage, 0), "", self._source
        )
        self.panel.show_directions(True)


def _poses_of(run: StoredRun) -> Floats | None:
    """(n, 3, 3) of the images of a run, in the hand that is shown; for background threads."""
    from engine.errors import VerglasError
    from engine.io.volumes import SdsResults

    assert run.sds is not None  # noqa: S101 - for the type checker
    try:
        table = SdsResults(run.sds.results, in_hand=True).poses()
    except (VerglasError, OSError):
        return None
    return np.asarray(table.poses.rotations, np.float64)
