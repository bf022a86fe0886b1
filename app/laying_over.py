"""Lays a model, a map or points over what is shown: as its file places it, or aligned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.background import words
from app.features import Feature
from app.newest import Newest
from app.panels.view_drawer import NOTHING, OPEN_FILE
from app.panels.volume_page import FILE
from app.point_colours import PointColours
from app.run_files import StoredRun
from app.style import Theme
from app.superpose import STAY, Motion, superpose
from app.surfaces import EMPTY, Density, Surface, isosurface, profile_of
from engine.io.hand import flipped

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.references import Reference
    from app.viewers.scene import SceneWidget

FIRST_OPACITY = 0.6
SURFACE_VOXELS = 128**3
Sources = dict[str, tuple[str, Path, tuple[str, ...]]]


class LayingOver(Feature):
    """Controller of the reference in the 3D picture.

    Attributes
    ----------
    reference : what is laid over; None for nothing.
    motion : how it was moved from where its file places it.
    """

    name = "laid_over"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.reference: Reference | None = None
        self.motion: Motion = STAY
        self.aligned = self.either_hand = False
        self.opacity, self.share = FIRST_OPACITY, 0.01
        self.key = NOTHING
        self._of_run: Sources = {}
        self._files: Sources = {}
        self._chain_colours: Mapping[str, NDArray[np.float32]] | None = None
        self._reading, self._aligning = Newest(window.background), Newest(window.background)
        self._surfacing = Newest(window.background)
        self._surface = EMPTY
        self._drawer, self._page = window.viewer.drawer, window.viewer.volume
        drawer = self._drawer
        drawer.reference_chosen.connect(self.choose)
        drawer.aligned_chosen.connect(self.set_aligned)
        drawer.either_hand_chosen.connect(self._set_either_hand)
        drawer.reference_opacity_chosen.connect(self._set_opacity)
        drawer.level_chosen.connect(self._set_share)
        self._page.file_chosen.connect(self.choose)
        self.colours = PointColours(window, self)
        self.colours.chain_colours.connect(self.set_chain_colours)
        window.viewer.page_shown.connect(lambda _name: self._show())
        window.viewer.sample_chosen.connect(self._sample_chosen)
        window.run_view.run_shown.connect(self._run_shown)
        window.run_view.cleared.connect(self._cleared)
        window.commands.add("&View", "Lay a &file over…", lambda: self.choose(OPEN_FILE), "Ctrl+Shift+L",
                            tip="A model, a map or points in the same picture")  # fmt: skip
        self._offer()

    # ---- what the user chooses ------------------------------------------------------------------

    def choose(self, key: str) -> None:
        """Lay something over that is offered; :data:`OPEN_FILE` asks for a file, NOTHING takes it away."""
        if key == OPEN_FILE:
            path = self.window.dialogs.reference(self.window.settings.last_folder)
            if path is None:
                self._offer()
            else:
                self.window.settings.last_folder = str(path.parent)
                self.lay_over(path)
            return
        if key == self.key:
            return
        self._reading.drop()
        self._aligning.drop()
        if key not in self._sources:
            self._take_away()
            return
        self.key = key
        self._offer()
        _, path, chains = self._sources[key]
        self._drawer.say("Reading…")
        self._reading.ask(partial(_load, path, chains), partial(self._found, key), self._failed)

    def lay_over(self, path: Path) -> None:
        """Lay a file over what is shown."""
        key = FILE + str(path)
        if key not in self._of_run:
            self._files[key] = (path.name, path, ())
        # A file has a frame of its own; only next to points with known poses may it be the same.
        self.aligned = self.either_hand = self._on_maps
        self.choose(key)

    def set_aligned(self, on: bool) -> None:
        """Bring it onto what is shown, or leave it where its file places it."""
        self.aligned = on
        self._place()

    def set_chain_colours(self, colours: Mapping[str, NDArray[np.float32]] | None) -> None:
        """Draw each chain in a colour (4,) of its own, or all in one."""
        self._chain_colours = colours
        self._show()

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self._show()

    def state(self) -> dict[str, Any]:
        """The file and how it is shown."""
        path = self._sources[self.key][1] if self.key in self._sources else None
        return {
            "file": str(path) if path else "",
            "aligned": self.aligned,
            "either_hand": self.either_hand,
            "opacity": self.opacity,
            "share": self.share,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Lay the file of a state over, if it is still there."""
        for name in ("aligned", "either_hand"):
            if isinstance(state.get(name), bool):
                setattr(self, name, state[name])
        opacity, file = state.get("opacity"), state.get("file")
        if isinstance(opacity, float) and 0 < opacity <= 1:
            self.opacity = opacity
        if isinstance(file, str) and file and Path(file).is_file():
            aligned, either = self.aligned, self.either_hand
            self.lay_over(Path(file))
            self.aligned, self.either_hand = aligned, either
        elif file == "":
            self.choose(NOTHING)

    def close(self) -> None:
        """The window closes."""
        self.colours.close()
        for newest in (self._reading, self._aligning, self._surfacing):
            newest.drop()

    # ---- inside ---------------------------------------------------------------------------------

    @property
    def _sources(self) -> Sources:
        return {**self._of_run, **self._files}

    @property
    def _on_maps(self) -> bool:
        return self.window.viewer.page == "volume"

    @property
    def _view(self) -> SceneWidget:
        viewer = self.window.viewer
        return viewer.volume.volume if self._on_maps else viewer.points

    def _offer(self) -> None:
        entries = [(key, name) for key, (name, _, _) in self._sources.items()]
        self._drawer.offer_references(entries, self.key)
        files = [(key, name) for key, (name, _, _) in self._files.items()]
        self._page.set_files(files, self.key if self.key in self._files else NOTHING)

    def _run_shown(self, run: StoredRun) -> None:
        self._of_run = sources_of(run)
        if self.key and self.key not in self._sources:
            self._take_away()
        self._offer()
        self._show()

    def _cleared(self) -> None:
        self._of_run = {}
        self.choose(NOTHING)
        self._take_away()

    def _take_away(self) -> None:
        self.key, self.reference, self.motion, self._surface = NOTHING, None, STAY, EMPTY
        self._surfacing.drop()
        self._drawer.say("")
        self.colours.set_laid(None)
        self._offer()
        self._show()

    def _found(self, key: str, found: tuple[Reference, float]) -> None:
        if key != self.key:
            return
        self.reference, self.share = found
        self.motion = STAY
        for note in self.reference.notes:
            self.window.say(f"{self.reference.name}: {note}")
        self._make_surface()
        self._place()

    def _failed(self, error: Exception) -> None:
        self.window.complain(words(error))
        self._files.pop(self.key, None)
        self._take_away()

    def _sample_chosen(self) -> None:
        if self.aligned and self.reference is not None and not self._on_maps:
            self._place()

    def _target(self) -> Density | NDArray[np.floating] | None:
        if self._on_maps:
            return self.window.sds_view.maps.control.density
        points = self.window.viewer.points
        return points.points_A if points.sample is None else points.points_A[points.sample]

    def _place(self) -> None:
        reference, target = self.reference, self._target()
        self._aligning.drop()
        if reference is None:
            return
        if not self.aligned or target is None:
            self._placed(STAY)
            return
        self._drawer.say("Aligning…")
        work = partial(superpose, reference.shape, target, either_hand=self.either_hand)
        self._aligning.ask(work, self._placed, self._failed)

    def _placed(self, motion: Motion) -> None:
        self.motion = motion
        if self.reference is not None:
            text = f"Aligned: {motion.words(self.reference.centre_A)}." if motion is not STAY else ""
            self._drawer.say(text)
            self.colours.set_laid(_moved(self.reference, motion))
        self._show()

    def _make_surface(self) -> None:
        density = self.reference.density if self.reference is not None else None
        if density is None:
            self._surface = EMPTY
            return
        self._surfacing.ask(partial(_surface, density, self.share), self._surfaced, self._failed)

    def _surfaced(self, surface: Surface) -> None:
        self._surface = surface
        self._show()

    def _set_either_hand(self, on: bool) -> None:
        self.either_hand = on
        self._place()

    def _set_opacity(self, opacity: float) -> None:
        self.opacity = opacity
        self._show()

    def _set_share(self, share: float) -> None:
        self.share = share
        self._make_surface()

    def _show(self) -> None:
        viewer, reference, here = self.window.viewer, self.reference, self._view
        self._drawer.show_reference(
            placed=reference is not None,
            has_level=reference is not None and reference.density is not None,
            aligned=self.aligned,
            either_hand=self.either_hand,
            opacity=self.opacity,
            level=self.share,
        )
        for view in (viewer.points, viewer.volume.volume):
            if reference is None or view is not here:
                view.take_away_laid()
        if reference is None:
            return
        theme = here.look_.colours(here.theme)
        colour, laid = theme.series[1] if self._on_maps else theme.text, here.laid
        moved = self.motion
        laid.set_on_top(not self._on_maps)
        laid.set_colour(colour, self.opacity)
        laid.show_lines(moved(reference.ends_A), self._line_colours(reference))
        laid.show_atoms(reference.atoms_A[:0] if len(reference.ends_A) else moved(reference.atoms_A))
        turned = self._surface.normals @ moved.matrix.T
        laid.show_surface(
            Surface(
                np.ascontiguousarray(moved(self._surface.vertices), np.float32),
                np.ascontiguousarray(turned, np.float32),
                self._surface.faces if not moved.mirrored else self._surface.faces[:, ::-1].copy(),
            )
        )
        here.overlay.change(caption=reference.name, caption_colour=colour)
        here.aim_laid()
        here.canvas.update()

    def _line_colours(self, reference: Reference) -> NDArray[np.float32] | None:
        if self._chain_colours is None or not len(reference.ends_A):
            return None
        grey = np.array([0.6, 0.6, 0.6, 1.0], np.float32)
        table = np.array([self._chain_colours.get(n, grey) for n in reference.chain_names] + [grey])
        return np.asarray(table[reference.end_chains], np.float32)


def sources_of(run: StoredRun) -> Sources:
    """A run's density map, what it was judged by, and what it was given in 3D: by key, name, file, chains."""
    found: Sources = {}
    made = run.folder / "results" / "map.mrc"
    # the file stays in the hand in which it was computed
    if run.kind == "dps" and made.is_file() and not flipped(run.folder):
        found[FILE + str(made)] = ("Density map", made, ())
    spec: Any = run.spec
    truth = getattr(spec, "truth", None)
    if truth:
        found[FILE + str(truth)] = (f"Reference: {Path(truth).name}", Path(truth), ())
    for part in getattr(spec, "observations", ()):
        if part.kind == "subunit":
            path, title, chains = Path(part.file), "Known part", tuple(part.chains)
        elif part.kind in ("coarse_map", "coarse_points"):
            path, title, chains = Path(part.file), "Low resolution", ()
        else:
            continue
        found[FILE + str(path) + ",".join(chains)] = (f"{title}: {path.name}", path, chains)
    return found


def _moved(reference: Reference, motion: Motion) -> Reference:
    if motion is STAY or not len(reference.atoms_A):
        return reference
    return replace(reference, atoms_A=motion(reference.atoms_A).astype(np.float32))


def _load(path: Path, chains: tuple[str, ...]) -> tuple[Reference, float]:
    from app.references import first_level_share, load_reference

    reference = load_reference(path, chains)
    return reference, first_level_share(reference.density) if reference.density is not None else 0.01


def _surface(density: Density, share: float) -> Surface:
    step = max(1, int(np.ceil((density.values.size / SURFACE_VOXELS) ** (1 / 3) - 1e-9)))
    return isosurface(density, profile_of(density).level(share), step=step)
