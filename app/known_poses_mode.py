"""The mode in which a volume is made from images at known poses: its session, its panels, its files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app import known_poses_words
from app.known_poses_session import KnownPosesSession
from app.panels.known_poses_run import KnownPosesPanel
from app.panels.posed_inputs import PosedInputsPanel
from app.posed_files import has_poses, in_words, kind_at_known_poses
from app.style import Theme
from engine.errors import VerglasError
from engine.specs.presets import presets_of

if TYPE_CHECKING:
    from app.main_window import MainWindow

NOT_USED = (
    "{name} is of no use here: drop poses with their images, class averages for the library, a 2D "
    "denoiser, or a reference map."
)
NO_POSES = "{name} holds no poses of images. Choose the folder of a finished run that made volumes."
TITLES = {
    "images": "Image stack", "library": "Class averages for the denoiser", "truth": "Reference map",
    "start": "Map to begin with",
}  # fmt: skip


class KnownPosesMode(QObject):
    """Owns the session and the panels of the mode.

    Parameters
    ----------
    window : whose dialogs, history and background are used.
    """

    changed = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.session = KnownPosesSession(window.background, self, history=window.history)
        self.panel = PosedInputsPanel()
        self.run_panel = KnownPosesPanel(presets_of("known_poses"))
        session, panel, run = self.session, self.panel, self.run_panel
        session.changed.connect(self.changed)
        session.looked.connect(self._show_files)
        session.loaded.connect(self._show)
        panel.add_wanted.connect(window.add_files)
        panel.file_wanted.connect(self.choose)
        panel.run_wanted.connect(self.choose_run)
        panel.remove_wanted.connect(self._remove)
        panel.options_entered.connect(session.set_options)
        panel.library_entered.connect(session.set_library_options)
        session.changed.connect(self._show_files)
        run.preset_chosen.connect(session.apply_preset)
        run.settings_entered.connect(session.set_settings)
        run.part_entered.connect(session.set_part)
        run.weights_wanted.connect(self._choose_weights)
        run.start_wanted.connect(lambda: self.choose("start"))
        run.start_cleared.connect(lambda: session.set_file("start", None))
        self._show()

    # ---- showing --------------------------------------------------------------------------------

    def _show(self) -> None:
        session = self.session
        start = session.files.get("start")
        self.run_panel.show_values(session.settings, session.parts, str(start or ""))
        self.panel.show_options(session.options, session.library_options)
        self._show_files()

    def _show_files(self) -> None:
        session, panel = self.session, self.panel
        poses, stack = session.files.get("poses") or session.files.get("images"), session.files.get("images")
        look, library = session.look, session.library
        reading = "Being read…" if session.files.get("poses") and look is None else ""
        problem = look.problem if look is not None and not look.asks_pixel_size else ""
        panel.show_file(
            "poses", _name_of(poses), str(poses or ""),
            reading or (look.sentence if look is not None else "Now add their poses."),
            look.notes if look is not None else (), problem,
        )  # fmt: skip
        panel.show_stack(stack.name if stack is not None else "", str(stack or ""))
        panel.show_pictures(None if look is None or look.problem else look.pictures)
        panel.ask_pixel_size(look is not None and look.asks_pixel_size)
        panel.show_measured(look.pixel_size_A if look is not None else 0.0)
        path = session.files.get("library")
        panel.show_file(
            "library", path.name if path is not None else "", str(path or ""),
            library.sentence if library is not None else "Being read…",
            [*filter(None, (known_poses_words.sizes_differ(look, library),)),
             *(library.notes if library is not None else ())],
            library.problem if library is not None else "",
        )  # fmt: skip
        path = session.files.get("truth")
        panel.show_file("truth", path.name if path is not None else "", str(path or ""), "", (), "")

    def set_theme(self, theme: Theme) -> None:
        """Use a theme's colours."""
        self.panel.set_theme(theme)
        self.run_panel.retint()

    # ---- files ----------------------------------------------------------------------------------

    def add_files(self, paths: Iterable[Path]) -> None:
        """Take what was dropped in this mode, whatever it is."""
        given = list(paths)
        if given:
            self._window.in_background(partial(_kinds_of, given), self._found)

    def _found(self, found: Sequence[tuple[Path, str, str]]) -> None:
        # poses come first: a stack beside them is theirs
        order = {"poses": 0, "images": 1}
        session, window = self.session, self._window
        fresh = any(kind == "poses" for _, kind, _ in found)
        with window.history.step(f"add {len(found)} files" if len(found) > 1 else f"add {found[0][0].name}"):
            for path, kind, problem in sorted(found, key=lambda item: order.get(item[1], 2)):
                role = self._role_of(kind, fresh=fresh)
                fresh = fresh and role != "images"
                if problem:
                    window.complain(problem)
                elif role == "denoiser":
                    session.use_weights(path)
                elif role:
                    session.set_file(role, path)
                else:
                    window.complain(NOT_USED.format(name=path.name))
                if role == "library":
                    window.say(f"{path.name} is the library that the denoiser is made of.")
                elif role == "truth":
                    window.say(f"{path.name} is the reference to judge by, in the frame of the poses.")

    def _role_of(self, kind: str, *, fresh: bool) -> str:
        """What a file of a kind is used as; ``fresh``: its poses came with it, and no stack so far."""
        session = self.session
        if kind == "images":
            wanting = session.look is None or bool(session.look.problem)
            alone = "images" not in session.files
            return "images" if fresh or "poses" not in session.files or (wanting and alone) else "library"
        roles = {"poses": "poses", "class_averages": "library", "image_denoiser": "denoiser"}
        return roles.get(kind, "truth" if kind.startswith("volume") else "")

    def leave_out(self, spec: Any, rows: Sequence[int], images: Sequence[int]) -> None:
        """Leave images of a run out of the next one.

        Parameters
        ----------
        spec : of the run.
        rows : of all its images in the file of poses, counted from 1.
        images : places among these, counted from 0.
        """
        session, window = self.session, self._window
        kept = tuple(row for i, row in enumerate(rows) if i not in set(images))
        if not kept:
            window.complain("No image would be left.")
            return
        with window.history.step(f"leave out {len(images)} image{'s' if len(images) != 1 else ''}"):
            if session.files.get("poses") != Path(spec.images.poses).absolute():
                window.modes.load(spec)
            session.set_options({"select": kept})
            session.loaded.emit()
        window.say(f"Left out {len(images)} of {len(rows)} images of the next run. Undo brings them back.")

    def _remove(self, role: str) -> None:
        with self._window.history.step("remove the images" if role == "poses" else ""):
            for each in ("poses", "images") if role == "poses" else (role,):
                if each in self.session.files:
                    self.session.set_file(each, None)

    def choose(self, role: str) -> None:
        """Ask for one of the files."""
        window = self._window
        path = window.dialogs.one_input(window.settings.last_folder, TITLES[role])
        if path is not None:
            window.settings.last_folder = str(path.parent)
            self.session.set_file(role, path)

    def choose_run(self) -> None:
        """Ask for the run whose images and poses are used."""
        window = self._window
        path = window.dialogs.folder("Run whose poses are used", str(window.session.runs_folder))
        if path is None:
            return
        if has_poses(path):
            self.session.set_file("poses", path)
        else:
            window.complain(NO_POSES.format(name=path.name))

    def _choose_weights(self) -> None:
        path = self._window.dialogs.weights(self._window.settings.last_folder, "Weights of a 2D denoiser")
        if path is not None:
            self.run_panel.show_weights(str(path))


def _name_of(path: Path | None) -> str:
    """A file by its name, the folder of a run as one; empty for none."""
    if path is None:
        return ""
    return path.name if path.suffix else f"Run {path.name}"


def _kinds_of(paths: Sequence[Path]) -> list[tuple[Path, str, str]]:
    """Each file with its kind, or why it can't be used."""
    found: list[tuple[Path, str, str]] = []
    for path in paths:
        try:
            found.append((path, kind_at_known_poses(path), ""))
        except (VerglasError, OSError) as exc:
            found.append((path, "", in_words(exc, str(path))))
    return found
