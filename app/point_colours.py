"""Further meanings of the colours of points: chain, stated error, prior against data, fit to the evidence."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.background import words
from app.newest import Newest
from app.run_files import StoredRun
from app.snapshots import read_npy
from app.viewers.colours import value_range
from app.viewers.paint import NO_CHAIN, Names, Numbers, Paint

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.references import Reference

CHAIN = "chain"
ARRAYS = {
    # key: file in the results, entry, title of the colour bar
    "error": ("error.npy", "Colour by error", "Stated error: 90 % lie nearer to the truth (Å)"),
    "gauge": ("gauge.npy", "Colour by prior", "Share of the prior (0: evidence alone)"),
    "fit": ("point_misfit.npy", "Colour by misfit", "Misfit to the evidence (Å)"),
}
ENDS = {"gauge": (0.0, 1.0)}  # of the colour bar; others take them from the values
MODELS = (".pdb", ".cif", ".ent", ".pdb1", ".mmcif")


class PointColours(QObject):
    """Offers what a run's results and references hold, and paints the points.

    ``chain_colours`` tells each chain's colour (4,) by name while that is what the colours mean, else None.

    Parameters
    ----------
    window : whose points are painted.
    """

    chain_colours = Signal(object)

    def __init__(self, window: MainWindow, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._viewer = window, window.viewer
        self._arrays: dict[str, NDArray[np.float32]] = {}
        self._of_run: tuple[Path, tuple[str, ...]] | None = None
        self._laid: Reference | None = None
        self._reading, self._finding = Newest(window.background), Newest(window.background)
        window.run_view.run_shown.connect(self._run_shown)
        window.run_view.cleared.connect(self._cleared)
        self._viewer.colour_chosen.connect(lambda _key: self.apply())

    def set_laid(self, reference: Reference | None) -> None:
        """Take the chains from what is laid over, where it lies now; None goes back to the run's own."""
        self._laid = reference if reference is not None and any(reference.chain_names) else None
        self._offer()
        if self._viewer.colour == CHAIN:
            self.apply()

    def apply(self) -> None:
        """Paint the points in the colours that are chosen."""
        key, points = self._viewer.colour, self._viewer.points.points_A
        self._finding.drop()
        if key != CHAIN:
            self.chain_colours.emit(None)
        if key in self._arrays:
            values = np.broadcast_to(self._arrays[key], points.shape[:2])
            ends = ENDS.get(key) or value_range(values)
            self._viewer.points.set_paint(Numbers(values, ends, ARRAYS[key][2]))
        elif key == CHAIN and len(points):
            source = self._laid if self._laid is not None else self._of_run
            if source is not None:
                self._finding.ask(partial(_paint, source, points), partial(self._found, points), self._failed)
        else:
            self._viewer.points.set_paint(None)

    def close(self) -> None:
        """Want nothing any more."""
        self._reading.drop()
        self._finding.drop()

    def _run_shown(self, run: StoredRun) -> None:
        from app.laying_over import sources_of

        models = [s for s in sources_of(run).values() if s[1].suffixes and _is_model(s[1])]
        self._of_run = (models[0][1], models[0][2]) if models else None
        shape = run.ensemble.points_A.shape[:2] if run.ensemble is not None else (0, 0)
        results = run.folder / "results"
        self._reading.ask(partial(_arrays, results, shape), self._read, self._failed)

    def _read(self, arrays: dict[str, NDArray[np.float32]]) -> None:
        self._arrays = arrays
        self._offer()
        self.apply()

    def _offer(self) -> None:
        entries = [(key, ARRAYS[key][1]) for key in ARRAYS if key in self._arrays]
        if self._laid is not None or self._of_run is not None:
            entries.insert(0, (CHAIN, "Colour by chain"))
        self._viewer.set_colours(entries)

    def _found(self, points: NDArray[np.float32], paint: Names) -> None:
        if self._viewer.colour != CHAIN or self._viewer.points.points_A is not points:
            return
        self._viewer.points.set_paint(paint)
        look, theme = self._viewer.points.look_, self._viewer.points.theme
        table = paint.table(look.colours(theme))
        self.chain_colours.emit(dict(zip(paint.names, table, strict=False)))

    def _failed(self, error: Exception) -> None:
        self._window.complain(words(error))

    def _cleared(self) -> None:
        self._arrays, self._of_run = {}, None
        self._reading.drop()
        self._finding.drop()
        self._offer()


def _is_model(path: Path) -> bool:
    return any(suffix.lower() in MODELS for suffix in path.suffixes)


def _arrays(results: Path, shape: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
    """What of :data:`ARRAYS` a run has written, for points of this shape."""
    found = {}
    for key, (name, _, _) in ARRAYS.items():
        try:
            values = np.asarray(read_npy(results / name), np.float32)
        except (OSError, ValueError, EOFError):
            continue
        if values.shape in (shape, shape[1:]) and values.size:
            found[key] = values
    return found


def _paint(source: Reference | tuple[Path, tuple[str, ...]], points: NDArray[np.float32]) -> Paint:
    from app.references import FAR_A, chain_of_each, load_reference

    reference = load_reference(*source) if isinstance(source, tuple) else source
    index = chain_of_each(reference, points)
    counts = np.bincount(index[index >= 0], minlength=len(reference.chain_names))
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    renumber = np.full(len(reference.chain_names) + 1, NO_CHAIN, np.int32)
    renumber[order] = np.arange(len(order))
    names = tuple(reference.chain_names[i] for i in order)
    return Names(renumber[index], names, "Nearest chain", f"None within {FAR_A:g} Å")
