"""Compares samples of an ensemble, starts and volumes, or results of several runs, side by side.

While a run is being computed its members stand in the tiles and grow.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.compare_level import first_place, share_at, sigma_at, surface_at
from app.compare_sources import LIVE, entries_of, parts_of, read_map, split
from app.features import Feature
from app.live_members import LiveMember, LiveMembers
from app.newest import Newest
from app.run_files import StoredRun, load_run
from app.superpose import STAY, Motion
from app.surfaces import Density, Surface
from app.tile_alignment import TileAlignment, Wish
from app.tile_words import TileWords

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.main_window import MainWindow
    from app.panels.compare_page import ComparePage
    from app.viewers.tiles import Tile

MOST = 12
FIRST = 6
WAITING = "The members appear here as soon as the first has begun."


class Compare(Feature):
    """The page of tiles: what stands in them, how it is brought together, and their common level."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.page: ComparePage | None = None
        self.runs: dict[Path, StoredRun] = {}
        self.keys: list[str] = []
        self.places: dict[str, int] = {}
        self.place, self.unit = 80, "volume"
        self._placing: Newest | None = Newest(window.background)  # until the level is known or chosen
        self.aligned = True
        self.live = LiveMembers(window.monitor, window.background, self)
        self.alignment = TileAlignment(window.background, self)
        self.words = TileWords(self)
        self._maps: dict[str, Density] = {}
        self._before = "points"
        self._chosen = False  # whether the user has said what is compared
        self._surfaces: dict[str, Newest] = {}
        tip = "Show 2 to 12 samples, starts, volumes or runs side by side, with linked cameras"
        self.action = window.commands.add("&View", "&Tiles: compare side by side", self.toggle, "T", tip=tip)
        window.viewer.compare_wanted.connect(self.toggle)
        window.run_view.run_shown.connect(self._run_shown)
        window.run_view.cleared.connect(self._cleared)
        self.live.changed.connect(self._grown)
        self.alignment.found.connect(self._moved)

    @property
    def shown(self) -> bool:
        """Whether the tiles fill the middle."""
        return self.page is not None and self.window.viewer.page == "compare"

    @property
    def is_live(self) -> bool:
        """Whether the members of a run that is being computed are compared."""
        return not self.runs and (self.window.monitor.running or bool(self.live.members))

    def toggle(self) -> None:
        """Show the tiles, or go back to one picture."""
        viewer = self.window.viewer
        if self.shown:
            viewer.show_page(viewer.offered or self._before)
            return
        if not self.entries() and not self.window.monitor.running:
            self.window.complain("Nothing to compare yet: open or finish a run first.")
            return
        self._before = viewer.page
        viewer.offered = ""
        self._make().back.setVisible(True)
        if not [k for k in self.keys if k in dict(self.entries())]:
            self._choose_first()
        self._fill()
        viewer.keep_page("compare")

    def add_run(self, folder: Path | None = None) -> None:
        """Offer the results of another run, too."""
        window = self.window
        folder = folder or window.dialogs.folder("Compare with a run", str(window.session.runs_folder))
        if folder is not None:
            window.in_background(partial(load_run, folder), self._added)

    def entries(self) -> list[tuple[str, str]]:
        """(key, name) of all that can be compared; a key is ``folder|what:number``."""
        if self.is_live:
            return [(f"{LIVE}|{what}", member.name) for what, member in self.live.members.items()]
        return entries_of(self.runs)

    def choose(self, keys: list[str]) -> None:
        """Compare these, the first dozen of them."""
        if len(keys) > MOST:
            self.window.complain(f"At most {MOST} are shown side by side.")
        self.keys, self._chosen = keys[:MOST], True
        self._fill()

    def set_aligned(self, on: bool) -> None:
        """Bring all onto the first, or show them as their files have them."""
        self.aligned = on
        self._fill()

    def set_level(self, place: int, unit: str) -> None:
        """Move the level of all, or of the marked tile."""
        page, self._placing = self._make(), None
        marked = page.tiles.marked
        if page.alone.isChecked() and marked is not None and unit == self.unit:
            self.places[page.tiles.tiles[marked].key] = place
        else:
            self.place, self.unit, self.places = place, unit, {}
        self._show_level()
        for key in self._maps:
            self._draw(key, rough=True)

    def refine(self) -> None:
        """Draw the surfaces in full."""
        for key in self._maps:
            self._draw(key)

    def close(self) -> None:
        """Want no more surfaces."""
        self.live.clear()
        self.alignment.clear()
        for newest in (*self._surfaces.values(), *((self._placing,) if self._placing else ())):
            newest.drop()

    # ---- inside ---------------------------------------------------------------------------------

    def _make(self) -> ComparePage:
        if self.page is None:
            # Made when first wanted: a canvas costs start-up time.
            from app import style
            from app.panels.compare_page import ComparePage

            self.page = page = ComparePage()
            page.set_theme(style.current_theme())
            page.chosen.connect(self.choose)
            page.aligned_chosen.connect(self.set_aligned)
            page.level_moved.connect(self.set_level)
            page.level_released.connect(self.refine)
            page.add_wanted.connect(lambda: self.add_run())
            page.back_wanted.connect(self.toggle)
            self.window.viewer.add_page("compare", page)
        return self.page

    def _choose_first(self) -> None:
        """What is compared until the user says otherwise."""
        entries = [key for key, _ in self.entries()]
        members = [key for key in entries if split(key)[1] in ("sample", "start")]
        self.keys = entries[-MOST:] if self.is_live else (members or entries)[:FIRST]
        self._chosen = False

    def _run_shown(self, run: StoredRun) -> None:
        if not run.exportable:
            return
        # The members that grew in the tiles stay there, now with what the run has left of them.
        self.keys = [
            k.replace(f"{LIVE}|", f"{run.folder}|", 1) if split(k)[0] == LIVE else k for k in self.keys
        ]
        self.live.clear()
        self.runs[run.folder] = run
        self._maps.clear()
        if self.shown:
            if not [k for k in self.keys if k in dict(self.entries())]:
                self._choose_first()
            self._fill()

    def _cleared(self) -> None:
        self.runs, self.keys, self._chosen = {}, [], False
        self._placing = self._placing or Newest(self.window.background)
        self.live.clear()
        self.alignment.clear()
        self._maps.clear()
        if not self.shown:
            return
        if self.window.monitor.running:
            self._fill()  # the tiles wait for the members of the run that has begun
        else:
            self.window.viewer.show_page("welcome")

    def _added(self, run: StoredRun) -> None:
        if not run.exportable:
            self.window.complain(f"{run.folder.name} has no results to compare yet.")
            return
        self.runs[run.folder] = run
        parts = parts_of(run)
        self.keys = [*self.keys, *(f"{run.folder}|{what}" for what, _ in parts[:1])][:MOST]
        self._fill()

    def _grown(self, changed: set[str]) -> None:
        """Members of the run that is being computed have changed."""
        if not self.is_live or not self.shown:
            return
        if not self._chosen:
            self._choose_first()
        self._fill({f"{LIVE}|{what}" for what in changed})

    def _fill(self, changed: set[str] | None = None) -> None:
        """Show what is chosen; of a run that is going on only draw what has changed."""
        page, entries = self._make(), self.entries()
        names = dict(entries)
        self.keys = [k for k in self.keys if k in names]
        page.set_choices(entries, self.keys)
        wanted = [k for k in self.keys if split(k)[1] != "sample"]
        self._maps = {k: v for k, v in self._maps.items() if k in wanted}
        for key in wanted:
            member = self.growing(key)
            if member is not None and isinstance(member.shape, Density):
                self._maps[key] = member.shape
                if member.growing:
                    self._place_first(member.shape)
        self._align()
        page.tiles.set_tiles([self._tile(key, names[key]) for key in self.keys])
        self._say()
        for key in wanted:
            if key not in self._maps:
                self._read(key)
            elif changed is None or key in changed:
                self._draw(key)
        self._show_level(bool(wanted))

    def growing(self, key: str) -> LiveMember | None:
        """The member of the run that is being computed behind a key."""
        folder, what, number = split(key)
        return self.live.members.get(f"{what}:{number}") if folder == LIVE else None

    def run_of(self, key: str) -> StoredRun | None:
        """The run behind a key; None for one that is being computed."""
        return self.runs.get(Path(split(key)[0]))

    def _points(self, key: str) -> NDArray[np.float32] | None:
        """Points (n, 3) of a tile, Å; None for a map."""
        member, run = self.growing(key), self.run_of(key)
        if member is not None:
            return None if isinstance(member.shape, Density) else member.shape
        if run is None or run.ensemble is None or split(key)[1] != "sample":
            return None
        return np.asarray(run.ensemble.points_A[int(split(key)[2]) - 1])

    def _tile(self, key: str, name: str) -> Tile:
        from app import style
        from app.viewers.tiles import Tile
        from app.viewers.volume import surface_colour

        theme = style.current_theme()
        member, points, number = self.growing(key), self._points(key), split(key)[2]
        caption, badge, state, tip = self.words.of(key)
        if points is not None:
            colour = theme.series[(int(number) - 1) % len(theme.series)]
            first = self._points(self.keys[0]) if self.keys else points
            centre = np.median(points if first is None or member is not None else first, 0)
            away = np.asarray(self._motion(key)(points) - centre, np.float32)
            # The clouds of a running job shrink all the time: the frame follows in steps.
            radius = float(np.nanpercentile(np.linalg.norm(away, axis=-1), 99))
            radius = (
                1.15 ** np.ceil(np.log(max(radius, 1e-3)) / np.log(1.15)) if member is not None else radius
            )
            return Tile(
                key, name, caption, badge, state, points_A=away, radius_A=radius, colour=colour, tip=tip
            )
        density = self._maps.get(key)
        radius = 0.75 * density.half_A if density is not None else 1.0
        return Tile(key, name, caption, badge, state, radius_A=radius, colour=surface_colour(theme), tip=tip)

    def _say(self) -> None:
        waiting = WAITING if self.window.monitor.running else ""
        self._make().set_words(self.words.line(len(self.entries())) if self.keys else waiting)

    # ---- bringing together ----------------------------------------------------------------------

    def _wishes(self) -> list[Wish]:
        """What is to be brought onto the first tile; members that still grow are left out."""
        found: list[Wish] = []
        for key in self.keys:
            member = self.growing(key)
            if member is not None and member.growing:
                continue
            points = self._points(key)
            shape = self._maps.get(key) if points is None else points
            if shape is None:
                continue
            folder, what, _ = split(key)
            first = split(found[0].key) if found else split(key)
            # Volumes of a run share a frame; its starts don't, nor do several runs.
            same = folder == first[0] and "start" not in (what, first[1]) and what != "sample"
            found.append(Wish(key, shape, turns=not same, either_hand=points is None))
        return found

    def _align(self) -> None:
        wishes = self._wishes()
        if len(wishes) > 1:
            self.alignment.ask(wishes)
        elif not self.is_live:
            self.alignment.clear()

    def _motion(self, key: str) -> Motion:
        return self.alignment.motion(key) if self.aligned else STAY

    def _moved(self, key: str) -> None:
        """It is known how a tile comes onto the first."""
        if self.page is None or key not in self.keys:
            return
        names = dict(self.entries())
        done = self.alignment.complete
        tiles = {t.key: t for t in self.page.tiles.tiles}
        self.page.tiles.set_tiles(
            [self._tile(k, names[k]) if done or k == key else tiles[k] for k in self.keys if k in tiles]
        )
        self._say()
        if key in self._maps and self._motion(key) is not STAY:
            self._draw(key)

    # ---- maps -----------------------------------------------------------------------------------

    def _read(self, key: str) -> None:
        run = self.run_of(key)
        if run is not None and run.sds is not None:
            _, what, number = split(key)
            self.window.in_background(
                partial(read_map, run, what, number), lambda density: self._found(key, density)
            )

    def _found(self, key: str, density: Density) -> None:
        if key not in self.keys or self.page is None:
            return
        self._maps[key] = density
        tiles = self.page.tiles.tiles
        self.page.tiles.set_tiles(
            [replace(t, radius_A=0.75 * density.half_A) if t.key == key else t for t in tiles]
        )
        if key == self.keys[0]:
            self._place_first(density)
        self._draw(key)
        self._show_level()
        if all(k in self._maps for k in self.keys if split(k)[1] != "sample"):
            self._align()
            self._say()

    def _place_first(self, density: Density) -> None:
        """Begin with a level that shows the object; a growing map's is found anew with each picture."""
        if self._placing is not None and self.unit == "volume":
            self._placing.ask(partial(first_place, density), self._placed)

    def _placed(self, place: int) -> None:
        if self._placing is None:
            return
        if not self.is_live:
            self._placing = None
        if abs(place - self.place) > 4:
            self.place = place
            self._show_level(bool(self._maps))
            self.refine()

    def _draw(self, key: str, *, rough: bool = False) -> None:
        newest = self._surfaces.setdefault(key, Newest(self.window.background))
        first = next(iter(self._maps.values()))
        box_A3 = first.values.size * first.voxel_A**3
        place, motion = self.places.get(key, self.place), self._motion(key)
        newest.ask(
            partial(surface_at, self._maps[key], place, self.unit, box_A3, rough, motion),
            partial(self._drawn, key),
        )

    def _drawn(self, key: str, surface: Surface) -> None:
        if self.page is not None:
            self.page.tiles.set_surface(key, surface)

    def _show_level(self, on: bool = True) -> None:
        page = self._make()
        if not on:
            page.show_level(None, "")
            return
        first = next(iter(self._maps.values()), None)
        if self.unit == "sigma":
            text = f"{sigma_at(self.place):.2g} σ"
        elif first is not None:
            text = f"{share_at(self.place) * first.values.size * (first.voxel_A / 10) ** 3:.3g} nm³"
        else:
            text = ""
        page.show_level(self.place, text)
