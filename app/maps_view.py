"""Which of a run's maps fills the middle: reads them in the background and follows the page's choices."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.background import Background, words
from app.newest import Newest
from app.panels.volume_page import MOTION, PRIOR, VolumePage
from app.sds_files import SdsRun, between, load_map, load_member, load_start
from app.surfaces import MOST_FACES, MOST_FACES_CPU, Density, Shown
from app.viewers.colours import FROM_PRIOR, RAMP, value_range
from app.volume_control import VolumeControl

if TYPE_CHECKING:
    from app.viewers.volume import VolumeView

TITLES = {
    MOTION: "Density change (SD between volumes)",
    PRIOR: "Supplied by the prior: 0 measured, 1 not measured",
}
COLOURS = {MOTION: (MOTION, "By motion"), PRIOR: (PRIOR, "Prior share")}
CACHE_BYTES = 400_000_000


class Cache:
    """Maps that were read lately."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most = most_bytes
        self._maps: OrderedDict[str, Density] = OrderedDict()

    def get(self, key: str) -> Density | None:
        """A map that is still there."""
        if key in self._maps:
            self._maps.move_to_end(key)
        return self._maps.get(key)

    def put(self, key: str, density: Density) -> None:
        """Keep a map, and let go of the oldest ones."""
        self._maps[key] = density
        while sum(d.values.nbytes for d in self._maps.values()) > self._most and len(self._maps) > 1:
            self._maps.popitem(last=False)

    def clear(self) -> None:
        """Let go of all."""
        self._maps.clear()


class MapsView(QObject):
    """Connects the maps of a run with the page that shows them.

    A map is named by a key: ``map:Consensus``, ``start:3`` or ``volume:12``, counted from 1.
    """

    volume_shown = Signal(int)
    failed = Signal(str)

    def __init__(self, background: Background, page: VolumePage, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: SdsRun | None = None
        self.key = ""
        self.control = VolumeControl(background, self)
        self._page = page
        self._cache = Cache()
        self._reading, self._other_reading = Newest(background), Newest(background)
        self._caption = ""
        self._colouring, self._coloured = "", False
        page.late_volume.once_made(self._found_renderer)
        self.control.shown.connect(self._shown)
        self.control.other_shown.connect(page.show_other)
        self.control.failed.connect(self.failed)
        page.level.level_chosen.connect(self.control.set_level)
        page.level.released.connect(self.control.refine)
        page.map_chosen.connect(self.show_key)
        page.other_chosen.connect(self._lay_over)
        page.colour_chosen.connect(self._colour)
        page.slices_wanted.connect(lambda _on: self._show_slices())

    def _found_renderer(self, view: VolumeView) -> None:
        self.control.most_faces = MOST_FACES_CPU if view.detail.software else MOST_FACES

    # ---- what there is --------------------------------------------------------------------------

    def set_run(self, run: SdsRun) -> None:
        """Offer a run's maps; what is shown stays."""
        if self.run is not None and (run.results, run.flipped) != (self.run.results, self.run.flipped):
            self._cache.clear()
        self.run = run
        maps = [(f"map:{name}", name) for name in run.maps]
        starts = [(f"start:{n}", f"Start {n}") for n in run.starts]
        volumes = [(f"volume:{n}", f"Volume {n}") for n in run.volumes]
        order = {f"map:{run.main}": 0, "map:Reference": 2}
        self._page.set_maps([*sorted(maps, key=lambda m: order.get(m[0], 1)), *volumes, *starts])
        self._page.set_others(sorted(maps, key=lambda m: order.get(m[0], 1)))
        self._page.set_colours([COLOURS[key] for key, map_ in _colourings(run) if map_ is not None])
        self._page.select_map(self.key)

    def first_key(self) -> str:
        """What to show of a run that has just been opened; empty if there is nothing."""
        if self.run is None:
            return ""
        if self.run.main in self.run.maps:
            return f"map:{self.run.main}"
        if self.run.volumes:
            return f"volume:{max(self.run.volumes)}"
        return f"start:{max(self.run.starts)}" if self.run.starts else ""

    # ---- showing --------------------------------------------------------------------------------

    def show_live(self, density: Density, caption: str) -> None:
        """Show a map of a running job."""
        self.key, self._caption = "", caption
        self._reading.drop()
        self.control.set_live(True)
        self._page.select_map("")
        self.control.show(density)

    def show_key(self, key: str) -> None:
        """Show a map of the run."""
        run = self.run
        if run is None or not key:
            return
        self.key = key
        self._page.select_map(key)
        self._read(key, self._reading, partial(self._found, key))

    def show_between(self, point: NDArray[np.floating], caption: str) -> None:
        """Show the volume at a point of the landscape."""
        run = self.run
        if run is None or run.landscape is None:
            return

        def found(density: Density) -> None:
            self.key, self._caption = "", caption
            self._page.select_map("")
            self.control.show(density)

        self._reading.ask(partial(between, run.landscape, point, run.pixel_size_A), found, self._complain)

    def set_live(self, live: bool) -> None:
        """While maps arrive, large ones are drawn roughly."""
        self.control.set_live(live)

    def clear(self) -> None:
        """Forget the run."""
        self.run, self.key, self._caption, self._colouring = None, "", "", ""
        self._reading.drop()
        self._other_reading.drop()
        self._cache.clear()
        self.control.clear()
        self._page.clear()

    # ---- inside ---------------------------------------------------------------------------------

    def _read(self, key: str, newest: Newest, done: Callable[[Density], None]) -> None:
        run, known = self.run, self._cache.get(key)
        if run is None:
            return

        def found(density: Density) -> None:
            if self.run is not None and (self.run.results, self.run.flipped) == (run.results, run.flipped):
                self._cache.put(key, density)
                done(density)

        newest.ask((lambda: known) if known is not None else partial(_load, run, key), found, self._complain)

    def _found(self, key: str, density: Density) -> None:
        if key != self.key:
            return
        self._caption = self._caption_of(key)
        self.control.show(density)
        kind, _, number = key.partition(":")
        if kind == "volume":
            self.volume_shown.emit(int(number))

    def _caption_of(self, key: str) -> str:
        run = self.run
        kind, _, name = key.partition(":")
        if run is None or kind == "map":
            return name
        facts = (run.volumes if kind == "volume" else run.starts).get(int(name), {})
        fit, score = facts.get("correlation"), facts.get("score")
        if kind == "volume":
            text = f"Volume {name}"
            return f"{text} · fits its average {fit:.2f}" if isinstance(fit, int | float) else text
        return f"Start {name} · score {score:.3g}" if isinstance(score, int | float) else f"Start {name}"

    def _shown(self, shown: Shown) -> None:
        page = self._page
        if self.control.colour_by is not None and not self._coloured and shown.fine.values is not None:
            # The first surface decides, so that the colours of those that follow can be compared.
            self._coloured = True
            share = self.control.colour_by is not None and self._colouring == PRIOR
            ends = (0.0, 1.0) if share else value_range(shown.fine.values)
            page.volume.set_colour_range(ends, TITLES[self._colouring], FROM_PRIOR if share else RAMP)
        page.show_surface(shown)
        # Maps at known poses are in one frame: going from one to another must not move them.
        page.volume.held = not self.control.live and self.run is not None and self.run.kind == "known_poses"
        page.set_caption(self._caption)
        page.volume.set_names(shown.density.name, self.control.other.name if self.control.other else "")
        self._show_slices()

    def _show_slices(self) -> None:
        shown = self.control.current
        if self._page.in_slices and shown is not None:
            tint = self.control.colour_by if self._colouring == PRIOR else None
            self._page.slices.show_density(shown.density, shown.profile.contrast, tint=tint)

    def _lay_over(self, key: str) -> None:
        if not key:
            self._other_reading.drop()
            self.control.set_other(None)
            return
        self._read(key, self._other_reading, self._found_other)

    def _found_other(self, density: Density) -> None:
        self.control.set_other(density)
        if self.control.density is not None:
            self._page.volume.set_names(self.control.density.name, density.name)

    def _colour(self, what: str) -> None:
        by = dict(_colourings(self.run)).get(what) if self.run is not None else None
        self._colouring = what
        self._coloured = False
        self._page.volume.set_colour_range(None)
        self.control.set_colour_by(by)

    def _complain(self, error: Exception) -> None:
        gone = isinstance(error, FileNotFoundError)
        self.failed.emit("This map isn't there any more." if gone else words(error))


def _colourings(run: SdsRun) -> tuple[tuple[str, Density | None], ...]:
    """Maps whose values can colour a surface, by key."""
    return ((MOTION, run.motion), (PRIOR, run.prior_fraction))


def _load(run: SdsRun, key: str) -> Density:
    kind, _, name = key.partition(":")
    if kind == "volume":
        return load_member(run, int(name))
    if kind == "start":
        return load_start(run, int(name))
    return load_map(run.maps[name], name, flipped=run.flipped)
