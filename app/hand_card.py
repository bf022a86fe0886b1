"""The card about the hand: the result beside its mirror image, and what speaks for each of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from app.hand_evidence import Clue, clues, mirrored, mirrored_vertices, shape_of_run, verdict
from app.newest import Newest
from app.run_files import StoredRun
from app.surfaces import Density, Surface, isosurface, profile_of

if TYPE_CHECKING:
    from app.hand import Hand
    from app.panels.hand_page import HandPage

KEYS = ("this", "mirror")
AS_COMPUTED, AS_MIRROR = "as it was computed", "mirror image of what was computed"


class HandCard:
    """Shows the page of the two hands.

    Parameters
    ----------
    hand : flips, and knows what can be flipped.
    """

    def __init__(self, hand: Hand) -> None:
        self._hand, self.window = hand, hand.window
        self.page: HandPage | None = None
        self._before = "points"
        self._drawing = Newest(self.window.background)
        self._weighing = Newest(self.window.background)

    @property
    def shown(self) -> bool:
        """Whether it fills the middle."""
        return self.page is not None and self.window.viewer.page == "hand"

    def toggle(self) -> None:
        """Show the card, or go back."""
        window, run = self.window, self.window.run_view.stored
        if self.shown:
            window.viewer.show_page(self._before)
            return
        if run is None or not run.exportable or shape_of_run(run) is None:
            window.complain("No result is shown.")
            return
        self._before = window.viewer.page
        self._make()
        self.fill(run)
        window.viewer.show_page("hand")

    def fill(self, run: StoredRun) -> None:
        """Show a run."""
        from app.hand import is_flipped, why_not
        from app.panels.hand_page import READING

        page, shape = self._make(), shape_of_run(run)
        if shape is None:
            return
        states = (AS_COMPUTED, AS_MIRROR) if not is_flipped(run) else (AS_MIRROR, AS_COMPUTED)
        page.show_state(f"This hand: {states[0]}", why_not(run))
        page.show_clues([], READING)
        page.tiles.set_tiles(self._tiles(shape, states))
        if isinstance(shape, Density):
            control = self.window.sds_view.maps.control
            share = control.share if control.density is not None else None
            self._drawing.ask(partial(_surfaces, shape, share), self._drawn)
        self._weighing.ask(partial(clues, run), self._weighed, self._failed)

    def close(self) -> None:
        """Want no more."""
        self._drawing.drop()
        self._weighing.drop()

    # ---- inside ---------------------------------------------------------------------------------

    def _make(self) -> HandPage:
        if self.page is None:
            from app import style
            from app.panels.hand_page import HandPage
            from app.viewers.look import START

            self.page = page = HandPage()
            page.set_theme(style.current_theme())
            # Seen from the side the mirror image stands on its head, and is known again as such.
            page.tiles.set_tiles(self._tiles(np.zeros((4, 3), np.float32), ("", "")))
            page.tiles.look(START["azimuth"], 0.0)
            page.flip_wanted.connect(self._hand.flip)
            page.back_wanted.connect(self.toggle)
            self.window.viewer.add_page("hand", page)
        return self.page

    def _tiles(self, shape: Any, states: tuple[str, str]) -> list[Any]:
        from app import style
        from app.viewers.tiles import Tile
        from app.viewers.volume import surface_colour

        theme = style.current_theme()
        tiles = [
            Tile(key, name, state, colour=surface_colour(theme))
            for key, name, state in zip(KEYS, ("This hand", "Mirror image"), states, strict=True)
        ]
        if isinstance(shape, Density):
            return [replace(tile, radius_A=0.6 * shape.half_A) for tile in tiles]
        away = np.asarray(shape - np.median(shape, 0), np.float32)
        radius = float(np.percentile(np.linalg.norm(away, axis=-1), 99))
        # Depth is what tells the hands apart to the eye: one colour, shaded.
        both = (away, np.asarray(mirrored(away), np.float32))
        return [
            replace(tile, points_A=points, radius_A=radius, colour=theme.series[0])
            for tile, points in zip(tiles, both, strict=True)
        ]

    def _drawn(self, surfaces: tuple[Surface, Surface]) -> None:
        if self.page is None:
            return
        tiles = self.page.tiles
        if len(surfaces[0].vertices):
            some = surfaces[0].vertices[:: max(1, len(surfaces[0].vertices) // 4000)]
            radius = float(np.percentile(np.linalg.norm(some, axis=1), 99.5))
            tiles.set_tiles([replace(tile, radius_A=radius) for tile in tiles.tiles])
        for key, surface in zip(KEYS, surfaces, strict=True):
            tiles.set_surface(key, surface)

    def _weighed(self, found: list[Clue]) -> None:
        if self.page is not None:
            self.page.show_clues(found, verdict(found))

    def _failed(self, error: Exception) -> None:
        from app.background import words

        if self.page is not None:
            self.page.show_clues([], words(error))


def _surfaces(density: Density, share: float | None) -> tuple[Surface, Surface]:
    profile = profile_of(density)
    surface = isosurface(density, profile.level(profile.first_share() if share is None else share))
    return surface, replace(
        surface,
        vertices=mirrored_vertices(surface.vertices),
        normals=mirrored_vertices(surface.normals),
    )
