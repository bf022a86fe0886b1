"""Compares samples of an ensemble, starts and volumes, or results of several runs, side by side."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.features import Feature
from app.maps_view import _load as load_key
from app.newest import Newest
from app.run_files import StoredRun, load_run
from app.sds_measures import agreement_of
from app.surfaces import Density, Surface, isosurface, profile_of, rough_step

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.panels.compare_page import ComparePage
    from app.viewers.tiles import Tile

MOST = 12
FIRST = 6
STEPS = 200
SMALLEST_SHARE, LARGEST_SHARE = 1e-4, 0.2
SIGMAS = (0.5, 8.0)


def share_at(place: int) -> float:
    """The share of the box that the slider's place encloses: most at its left end."""
    return float(LARGEST_SHARE * (SMALLEST_SHARE / LARGEST_SHARE) ** (place / STEPS))


def sigma_at(place: int) -> float:
    """Standard deviations above the mean at the slider's place."""
    return SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * place / STEPS


def level_of(density: Density, place: int, unit: str, reference_A3: float = 0.0) -> float:
    """Level of a map at the slider's place; equal volumes in boxes of different size if one is given."""
    values = density.values
    if unit == "sigma":
        return float(values.mean() + sigma_at(place) * values.std())
    box_A3 = values.size * density.voxel_A**3
    share = share_at(place) * (reference_A3 / box_A3 if reference_A3 > 0 and box_A3 > 0 else 1.0)
    return profile_of(density).level(min(0.9, share))


class Compare(Feature):
    """The page of tiles: what stands in them, and their common level."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.page: ComparePage | None = None
        self.runs: dict[Path, StoredRun] = {}
        self.keys: list[str] = []
        self.places: dict[str, int] = {}
        self.place, self.unit = 80, "volume"
        self._maps: dict[str, Density] = {}
        self._before = "points"
        self._surfaces: dict[str, Newest] = {}
        tip = "Show 2 to 12 samples, starts, volumes or runs side by side, with linked cameras"
        self.action = window.commands.add("&View", "&Tiles: compare side by side", self.toggle, "T", tip=tip)
        window.run_view.run_shown.connect(self._run_shown)
        window.run_view.cleared.connect(self._cleared)

    @property
    def shown(self) -> bool:
        """Whether the tiles fill the middle."""
        return self.page is not None and self.window.viewer.page == "compare"

    def toggle(self) -> None:
        """Show the tiles, or go back to one picture."""
        viewer = self.window.viewer
        if self.shown:
            viewer.show_page(self._before)
            return
        run = self.window.run_view.stored
        if run is None or not self.entries():
            self.window.complain("Nothing to compare yet: open or finish a run first.")
            return
        self._before = viewer.page
        self._make().back.setVisible(True)
        if not [k for k in self.keys if k in dict(self.entries())]:
            self.keys = [key for key, _ in self._first()]
        self._fill()
        viewer.show_page("compare")

    def add_run(self, folder: Path | None = None) -> None:
        """Offer the results of another run, too."""
        window = self.window
        folder = folder or window.dialogs.folder("Compare with a run", str(window.session.runs_folder))
        if folder is not None:
            window.in_background(partial(load_run, folder), self._added)

    def entries(self) -> list[tuple[str, str]]:
        """(key, name) of all that can be compared; a key is ``folder|what:number``."""
        found: list[tuple[str, str]] = []
        for folder, run in self.runs.items():
            prefix = f"{folder.name} · " if len(self.runs) > 1 else ""
            found += [(f"{folder}|{what}", prefix + name) for what, name in _parts(run)]
        return found

    def choose(self, keys: list[str]) -> None:
        """Compare these, the first dozen of them."""
        if len(keys) > MOST:
            self.window.complain(f"At most {MOST} are shown side by side.")
        self.keys = keys[:MOST]
        self._fill()

    def set_level(self, place: int, unit: str) -> None:
        """Move the level of all, or of the marked tile."""
        page = self._make()
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
        for newest in self._surfaces.values():
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
            page.level_moved.connect(self.set_level)
            page.level_released.connect(self.refine)
            page.add_wanted.connect(lambda: self.add_run())
            page.back_wanted.connect(self.toggle)
            self.window.viewer.add_page("compare", page)
        return self.page

    def _first(self) -> list[tuple[str, str]]:
        entries = self.entries()
        members = [e for e in entries if "|sample:" in e[0] or "|start:" in e[0]]
        return (members or entries)[:FIRST]

    def _run_shown(self, run: StoredRun) -> None:
        if run.exportable:
            self.runs[run.folder] = run
            self._maps.clear()
            if self.shown:
                self._fill()

    def _cleared(self) -> None:
        self.runs, self.keys = {}, []
        self._maps.clear()

    def _added(self, run: StoredRun) -> None:
        if not run.exportable:
            self.window.complain(f"{run.folder.name} has no results to compare yet.")
            return
        self.runs[run.folder] = run
        parts = _parts(run)
        self.keys = [*self.keys, *(f"{run.folder}|{what}" for what, _ in parts[:1])][:MOST]
        self._fill()

    def _fill(self) -> None:
        page, entries = self._make(), self.entries()
        names = dict(entries)
        self.keys = [k for k in self.keys if k in names]
        page.set_choices(entries, self.keys)
        tiles = [self._tile(key, names[key], number) for number, key in enumerate(self.keys)]
        page.tiles.set_tiles(tiles)
        page.set_words(f"{len(tiles)} of {len(entries)} shown")
        wanted = [k for k in self.keys if "|sample:" not in k]
        self._maps = {k: v for k, v in self._maps.items() if k in wanted}
        for key in wanted:
            if key in self._maps:
                self._draw(key)
            else:
                self._read(key)
        self._show_level(bool(wanted))

    def _tile(self, key: str, name: str, number: int) -> Tile:
        from app import style
        from app.viewers.tiles import Tile
        from app.viewers.volume import surface_colour

        theme = style.current_theme()
        run, what, at = self._split(key)
        if what == "sample" and run.ensemble is not None:
            points = run.ensemble.points_A
            centre = np.median(points.reshape(-1, 3), 0)
            away = points[int(at) - 1] - centre
            radius = float(np.percentile(np.linalg.norm(points - centre, axis=-1), 99))
            return Tile(
                key, name, _energy(run, int(at) - 1), points_A=np.asarray(away, np.float32), radius_A=radius,
                colour=theme.series[(int(at) - 1) % len(theme.series)],
            )  # fmt: skip
        caption, badge, state = _facts(run, what, at)
        density = self._maps.get(key)
        radius = 0.6 * density.half_A if density is not None else 1.0
        return Tile(key, name, caption, badge, state, radius_A=radius, colour=surface_colour(theme))

    def _split(self, key: str) -> tuple[StoredRun, str, str]:
        folder, _, part = key.rpartition("|")
        what, _, number = part.partition(":")
        return self.runs[Path(folder)], what, number

    def _read(self, key: str) -> None:
        run, what, number = self._split(key)
        if run.sds is not None:
            self.window.in_background(
                partial(load_key, run.sds, f"{what}:{number}"), lambda density: self._found(key, density)
            )

    def _found(self, key: str, density: Density) -> None:
        if key not in self.keys or self.page is None:
            return
        self._maps[key] = density
        tiles = self.page.tiles.tiles
        self.page.tiles.set_tiles(
            [replace(t, radius_A=0.6 * density.half_A) if t.key == key else t for t in tiles]
        )
        self._draw(key)
        self._show_level()

    def _draw(self, key: str, *, rough: bool = False) -> None:
        newest = self._surfaces.setdefault(key, Newest(self.window.background))
        first = next(iter(self._maps.values()))
        box_A3 = first.values.size * first.voxel_A**3
        newest.ask(
            partial(_surface, self._maps[key], self.places.get(key, self.place), self.unit, box_A3, rough),
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


def _surface(density: Density, place: int, unit: str, box_A3: float, rough: bool) -> Surface:
    level = level_of(density, place, unit, box_A3)
    return isosurface(density, level, step=rough_step(density) if rough else 1)


def _parts(run: StoredRun) -> list[tuple[str, str]]:
    if run.ensemble is not None:
        return [(f"sample:{i + 1}", f"Sample {i + 1}") for i in range(len(run.ensemble.points_A))]
    if run.sds is None:
        return []
    return [
        *((f"map:{name}", name) for name in run.sds.maps),
        *((f"start:{n}", f"Start {n}") for n in run.sds.starts),
        *((f"volume:{n}", f"Volume {n}") for n in run.sds.volumes),
    ]


def _energy(run: StoredRun, row: int) -> str:
    """Root mean square residual of a sample, Å, over its evidence."""
    ensemble = run.ensemble
    if ensemble is None or not ensemble.energies.size:
        return ""
    mean: NDArray[Any] = ensemble.energies[row].mean()
    return f"residual {float(np.sqrt(mean)) * ensemble.frame.scale_A:.2f} Å"


def _facts(run: StoredRun, what: str, number: str) -> tuple[str, str, str]:
    """Second line, badge and its state of a map of a run."""
    sds = run.sds
    if sds is None or not number.isdigit():
        return "", "", "muted"
    facts = (sds.starts if what == "start" else sds.volumes).get(int(number), {})
    if what == "volume":
        fit = facts.get("correlation")
        return (f"fits its average {fit:.2f}" if isinstance(fit, int | float) else ""), "", "muted"
    score = facts.get("score")
    caption = f"score {score:.3g}" if isinstance(score, int | float) else ""
    groups = sds.tournament.get("groups")
    if agreement_of(sds.tournament) is None or not isinstance(groups, list):
        return caption, "", "muted"
    size = next((len(g) for g in groups if isinstance(g, list) and int(number) in g), 1)
    total = len(sds.starts)
    return caption, f"{size} of {total} agree", "good" if 2 * size > total else "warning"
