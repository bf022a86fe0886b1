"""Which images fit what is shown, which don't, and what they say about a place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import Slot

from app.features import Feature
from app.newest import Newest
from app.style import Theme
from engine.io.volumes import OF_VOLUMES

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.place_support import Support
    from app.run_files import StoredRun
    from app.view_fits import Fits, Floats, Views

MOST_PICTURES = 12


class Forensics(Feature):
    """Compares the images of the run that is shown with the map or cloud in the middle.

    It works only while its tab is open; what has changed meanwhile is worked out when it opens.
    """

    name = "forensics"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.views: Views | None = None
        self.fits: Fits | None = None
        self.support: Support | None = None
        self.panel = window.sds_panels.matches
        self._run: StoredRun | None = None
        self._stale = False
        self._open = False  # the user wants this tab
        self._place: Floats | None = None
        self._energies: Floats = np.zeros(0)
        self._leaving: Sequence[int] = ()
        background = window.background
        self._reading, self._comparing, self._asking = (Newest(background) for _ in range(3))
        window.run_view.run_shown.connect(self._run_shown)
        window.run_view.cleared.connect(self.clear)
        window.sds_view.maps.control.shown.connect(lambda _shown: self._changed())
        window.viewer.sample_chosen.connect(self._changed)
        window.sds_view.kind_shown.connect(lambda _kind: self._show_tab())
        window.modes.changed.connect(self._show_tab)
        window.tabs.currentChanged.connect(lambda _i: self._work())
        window.tabs.tabBarClicked.connect(lambda i: self._clicked(i))
        panel = self.panel
        panel.image_chosen.connect(lambda _n: self._show_image())
        panel.table.leave_out_wanted.connect(self.leave_out)
        panel.place.place_entered.connect(self.ask)
        for viewer in (window.viewer.points, window.viewer.volume.volume):
            viewer.picked.connect(self.picked)
        window.inputs.image_clicked.connect(self._evidence_clicked)
        window.modes.gallery.view.selectionModel().currentChanged.connect(lambda now, _old: self._moved(now))
        window.commands.add(
            "&View", "Images that support a &place", self.open_place, "Ctrl+Shift+I",
            tip="Which images speak for the density at the place that was clicked, and which against",
        )  # fmt: skip

    def set_theme(self, theme: Theme) -> None:
        """The panel hears of it from the others of its kind."""

    @Slot()
    def clear(self) -> None:
        """Forget the run."""
        for newest in (self._reading, self._comparing, self._asking):
            newest.drop()
        self.views = self.fits = self.support = self._run = self._place = None
        self._stale = False

    # ---- what is compared -----------------------------------------------------------------------

    @Slot(object)
    def _run_shown(self, run: StoredRun) -> None:
        if run.kind not in ("dps", *OF_VOLUMES) or run.running:
            return
        from app.forensics_files import load_views

        self.views = self.fits = self.support = None
        self._run = run
        self._reading.ask(partial(load_views, run), partial(self._read, run), lambda _error: None)

    def _read(self, run: StoredRun, views: Views | None) -> None:
        if run is not self._run or views is None:
            return
        self.views = views
        if run.kind == "dps":
            self.panel.set_run(len(views.images), None, None, has_volumes=False, noun=views.noun)
        self.panel.fits.set_label("bottom", views.noun.capitalize())
        self._show_tab()
        self._changed()

    @Slot()
    def _show_tab(self) -> None:
        """Runs of points have the tab, too, once there are images to compare."""
        window, index = self.window, self.window.tabs.indexOf(self.panel)
        if self.views is not None and self._run is not None and self._run.kind == window.modes.mode == "dps":
            window.tabs.setTabVisible(index, True)
            if self._open:
                window.tabs.setCurrentIndex(index)

    def _clicked(self, index: int) -> None:
        if index >= 0:
            self._open = self.window.tabs.widget(index) is self.panel

    @property
    def visible(self) -> bool:
        """Whether the tab is open."""
        return self.window.tabs.currentWidget() is self.panel

    @Slot()
    def _changed(self) -> None:
        self._stale = self.views is not None
        self._work()

    def _work(self) -> None:
        if self._stale and self.visible and self.views is not None:
            work = self._comparison(self.views)
            if work is not None:
                self._stale = False
                self._comparing.ask(work, partial(self._compared, self._run), self._complain)

    def _comparison(self, views: Views) -> Any:
        from app.forensics_files import compare_cloud, compare_map

        run, viewer = self._run, self.window.viewer
        if run is None:
            return None
        if run.kind in OF_VOLUMES:
            maps = self.window.sds_view.maps
            density = maps.control.density
            # A start is in a frame of its own; the poses are the consensus's.
            if maps.key.startswith("start:") or density is None:
                density = run.sds.consensus if run.sds is not None else None
            return None if density is None else partial(compare_map, views, density)
        points = viewer.points.points_A
        if not points.size:
            return None
        sample = viewer.points.sample
        chosen = points if sample is None else points[sample : sample + 1]
        name = f"all {len(points)} samples" if sample is None else f"sample {sample + 1}"
        return partial(compare_cloud, views, chosen, name)

    def _compared(self, run: StoredRun | None, fits: Fits) -> None:
        from app.forensics_files import energies_A

        if run is not self._run or run is None or self.views is None:
            return
        self.fits, self.support = fits, None
        sample = self.window.viewer.points.sample
        self._energies = (
            energies_A(run, self.views.names, sample)
            if run.kind == "dps"
            else np.full(len(self.views.images), np.nan)
        )
        panel = self.panel
        panel.set_comparable(True)
        panel.set_fits(fits.correlation)
        voxel = getattr(fits.model, "voxel_A", 0.0) or 1.5 * getattr(fits.model, "sigma_A", 3.0)
        if self._place is None:
            panel.place.set_radius(max(5.0, round(3 * voxel)))
        self._show_table()
        self._show_image()
        if self._place is not None:
            self._ask_again()

    def _show_table(self) -> None:
        from app.forensics_words import columns_of

        if self.views is not None and self.fits is not None:
            columns = columns_of(self.views, self.fits, self._energies, self.support)
            self.panel.table.set_columns(columns, [int(i) for i in self.fits.outliers()])

    def _show_image(self) -> None:
        from app.forensics_words import dots_of, facts_of

        views, fits, image = self.views, self.fits, self.panel.image - 1
        if views is None or fits is None or not 0 <= image < len(views.images):
            return
        deviation = fits.deviation[image]
        self.panel.show_comparison(
            image + 1,
            views.images[image] / deviation,
            fits.seen(image) / deviation * _disc(views),
            facts_of(views, fits, image, self._energies, self._more(image)),
            name=views.noun.capitalize(),
            dots=dots_of(views, fits, image),
        )

    def _more(self, image: int) -> str:
        """What a run of class averages says about one, counted from 0."""
        entries = self._run.sds.averages if self._run is not None and self._run.sds is not None else ()
        entry = entries[image] if image < len(entries) else {}
        parts = []
        if isinstance(entry.get("count"), int | float):
            parts.append(f"{entry['count']:,.0f} particles.")
        if entry.get("junk") is True:
            parts.append("Looks like junk.")
        if isinstance(entry.get("duplicate_of"), int):
            parts.append(f"Resembles image {entry['duplicate_of']}.")
        return " ".join(parts)

    def show_image(self, image: int) -> None:
        """Open the tab at an image, counted from 1."""
        self._open = True
        window = self.window
        if self.views is None or not 1 <= image <= len(self.views.images):
            window.say("There is no result yet to compare this image with. Run, or open a run.")
            return
        window.tabs.setCurrentWidget(self.panel)
        self.panel.select_image(image)
        self._show_image()

    def show_row(self, row: int) -> None:
        """Open the tab at the class average of this row of its file, counted from 1."""
        rows = [] if self.views is None else list(self.views.rows)
        self.show_image(rows.index(row) + 1 if row in rows else 0)

    def _moved(self, index: Any) -> None:
        """While the tab is open it follows the gallery's current image."""
        averages, run = self.window.modes.averages, self._run
        spec = getattr(run.spec, "averages", None) if run is not None else None
        if (
            not self.visible
            or spec is None
            or averages.path != Path(spec.file).absolute()
            or not index.isValid()
        ):
            return
        row = self.window.modes.gallery.model.image_of(index) + 1
        if self.views is not None and row in self.views.rows:
            self.panel.select_image(list(self.views.rows).index(row) + 1)

    @Slot(int, int)
    def _evidence_clicked(self, number: int, image: int) -> None:
        """A thumbnail of a piece of evidence, counted from 0."""
        from app.forensics_files import paths_of

        row, views, run = self.window.session.evidence.get(number), self.views, self._run
        if row is None:
            return
        if views is not None and run is not None and run.kind == "dps" and views.sources is not None:
            for source in np.unique(views.sources):
                if paths_of(run, int(source)) == row.paths:
                    chosen = row.options.get("select") or ()
                    wanted = chosen[image] if image < len(chosen) else image + 1
                    here = np.flatnonzero((views.sources == source) & (views.rows == wanted))
                    self.show_image(int(here[0]) + 1 if len(here) else 0)
                    return
        self.show_image(0)

    # ---- a place --------------------------------------------------------------------------------

    @Slot(object)
    def picked(self, point_A: Any) -> None:
        """A place of what is shown was clicked; asked about at once while its page is open."""
        self._place = np.asarray(point_A, np.float64).reshape(3)
        self.panel.place.show_place([float(v) for v in self._place])
        if self.visible and self.panel.more.currentWidget() is self.panel.place:
            self._ask_again()

    def open_place(self) -> None:
        """Open the page about places, and ask about the last one that was clicked."""
        if self.views is None:
            self.window.say("Open a run with images first: its images are asked about the place.")
            return
        self._open = True
        self.window.tabs.setCurrentWidget(self.panel)
        self.panel.set_comparable(True)
        self.panel.more.setCurrentWidget(self.panel.place)
        self._ask_again()

    def ask(self, point_A: Any, radius_A: float) -> None:
        """Ask all images about a place (3,), Å."""
        from app import place_support

        self._place = np.asarray(point_A, np.float64).reshape(3)
        if self.views is not None and self.fits is not None:
            views, fits = self.views, self.fits
            self._asking.ask(
                partial(place_support.support, self._place, radius_A, views, fits),
                partial(self._answered, fits),
                self._complain,
            )

    def _ask_again(self) -> None:
        if self._place is not None:
            self.ask(self._place, self.panel.place.radius_A)

    def _answered(self, fits: Fits, support: Support) -> None:
        from app.forensics_words import place_words, rings_of

        views = self.views
        if views is None or fits is not self.fits:
            return
        self.support = support
        order = [int(i) for i in support.order()]
        if len(order) > MOST_PICTURES:  # those most for it and those most against it
            half = MOST_PICTURES // 2
            order = order[:half] + order[-half:]
        words, tip = place_words(views, support)
        self.panel.place.show_support(
            words,
            tip,
            [i + 1 for i in order],
            [views.images[i] for i in order],
            [f"{i + 1}: {support.deviations[i]:+.1f}" for i in order],
            rings_of(views, support, order),
        )
        self._show_table()

    # ---- leaving out ----------------------------------------------------------------------------

    def leave_out(self, images: Sequence[int]) -> None:
        """Leave images, counted from 0, out of what is prepared for the next run; undo brings them back."""
        views, run, window = self.views, self._run, self.window
        if views is None or run is None or not images:
            return
        if window.monitor.running:
            window.complain("A run is going on. Wait for it before changing what the next one uses.")
            return
        if run.kind == "dps":
            self._leave_out_views(views, run, images)
            return
        if run.kind == "known_poses":
            window.modes.known.leave_out(run.spec, [int(r) for r in views.rows], images)
            return
        spec, averages = getattr(run.spec, "averages", None), window.modes.averages
        rows = [int(views.rows[i]) - 1 for i in images]
        if spec is None:
            return
        if averages.loaded is None or averages.path != Path(spec.file).absolute():
            self._leaving = rows
            averages.read.connect(self._averages_read)
            averages.load(spec)
            return
        averages.select(rows, on=False)
        self._said(len(rows), views.noun)

    @Slot()
    def _averages_read(self) -> None:
        averages, rows = self.window.modes.averages, self._leaving
        if averages.state == "reading":
            return
        averages.read.disconnect(self._averages_read)
        self._leaving = ()
        if averages.loaded is not None and rows:
            averages.select(rows, on=False)
            self._said(len(rows), "class average")

    def _leave_out_views(self, views: Views, run: StoredRun, images: Sequence[int]) -> None:
        from app.forensics_files import paths_of

        window, left = self.window, 0
        for source in np.unique(views.sources[np.asarray(images)]):  # type: ignore[index]
            paths = paths_of(run, int(source))
            row = next((r for r in window.session.evidence.values() if r.paths == paths), None)
            of_source = np.flatnonzero(views.sources == source)
            out = {int(views.rows[i]) for i in images if i in of_source}
            if row is None:
                window.complain(f"{paths[0].name} is not among the evidence. Load the run's settings first.")
                return
            if len(paths) == 1:
                window.session.remove(row.number)
            else:
                present = row.options.get("select") or tuple(int(r) for r in views.rows[of_source])
                kept = tuple(r for r in present if r not in out)
                if not kept:
                    window.session.remove(row.number)
                else:
                    window.session.set_options(row.number, {"select": kept})
            left += len(out)
        self._said(left, views.noun)

    def _said(self, count: int, noun: str) -> None:
        plural = "s" if count != 1 else ""
        self.window.say(f"Left out {count} {noun}{plural} of the next run. Undo brings them back.")

    def _complain(self, error: Exception) -> None:
        from app.background import words

        self.window.say(words(error))


def _disc(views: Views) -> Any:
    """Nothing is said about what lies outside the mask of images as used; projections are shown whole."""
    return views.mask() if views.noun != "view" else 1.0
