"""Where files go that are dropped or added: into the session of the mode that can use them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.denoiser_card import DenoiserCard, read_card
from app.posed_files import has_poses, kind_of

if TYPE_CHECKING:
    from app.main_window import MainWindow
    from app.modes import Modes

AVERAGES = 0  # the page of the middle
AB_INITIO = "Images without poses: their volumes are reconstructed ab initio."
NOT_USED = "{name} is of no use here: drop class averages, a 2D denoiser, or a reference map."


class ModeFiles:
    """Sends what is dropped to the right session.

    Parameters
    ----------
    window : whose sessions and background are used.
    modes : of that window.
    """

    def __init__(self, window: MainWindow, modes: Modes) -> None:
        self._window, self._modes = window, modes

    def add_files(self, paths: Iterable[Path]) -> None:
        """Take files or folders, whatever they are."""
        evidence: list[Path] = []
        clouds: list[Path] = []
        posed: list[Path] = []
        mode = self._modes.mode
        paths = [Path(path).absolute() for path in paths]
        project = next((path for path in paths if (path / "project.json").is_file()), None)
        if project is not None:
            self._window.features["project"].open(project)
            return
        for path in paths:
            is_run = path.is_dir() and (path / "spec.json").exists()
            settings = path.suffix.lower() in (".toml", ".json")
            if mode == "train_prior" and not is_run and not settings:
                clouds.append(path)
            elif mode == "known_poses" and not settings and (not is_run or has_poses(path)):
                posed.append(path)
            elif path.is_dir() and not is_run:
                self.open_averages(path)
            elif path.suffix.lower() == ".safetensors":
                self._window.in_background(partial(read_card, path), partial(self._weights_dropped, path))
            elif mode == "dps" or path.is_dir() or settings:
                evidence.append(path)
            else:
                self._window.in_background(partial(kind_of, path), partial(self._dropped, path))
        self._window.session.add_files(evidence)
        self._modes.prior.add_files(clouds)
        self._modes.known.add_files(posed)

    def open_averages(self, path: Path) -> None:
        """Use a file or folder of class averages."""
        with self._window.history.step(f"open {path.name}"):
            if not self._modes.of_averages:
                self._modes.set_mode("sds")
                self._window.say(AB_INITIO)
            self._modes.middle.setCurrentIndex(AVERAGES)
            self._modes.averages.open(path)

    def ab_initio(self, number: int) -> None:
        """Take images off the evidence and reconstruct them without poses."""
        row = self._window.session.evidence.get(number)
        if row is not None:
            path, size = row.paths[0], row.pixel_size_A
            with self._window.history.step(f"reconstruct {path.name} without poses"):
                self._window.session.remove(number)
                self.open_averages(path)
                if size:
                    self._modes.averages.set_options({"pixel_size_A": size})
                    self._modes.averages.options_replaced.emit()

    def _dropped(self, path: Path, kind: str) -> None:
        window = self._window
        if kind in ("images", "class_averages", "poses"):
            self.open_averages(path)
        elif kind == "volume" and self._modes.mode == "sds":
            self._modes.sds.set_truth(path)
            window.say(f"{path.name} is the reference to judge by. If it holds images, rename it to .mrcs.")
        elif kind == "volume unscaled" and self._modes.mode == "sds":
            window.complain(f"The voxel size of {path.name} is unknown, so it can't be compared with.")
        elif kind == "ensemble":
            window.open_run(path)
        else:
            window.complain(NOT_USED.format(name=path.name))

    def _weights_dropped(self, path: Path, card: DenoiserCard | None) -> None:
        if card is None:
            if self._modes.mode == "dps":
                self._window.session.add_files([path])
            else:
                self._window.complain(f"{path.name} is a prior of point clouds, not a 2D denoiser.")
        elif self._modes.mode == "train_denoiser":
            self._modes.training_panel.show_weights(str(path))
            self._window.say(f"The training starts from {path.name}.")
        else:
            with self._window.history.step(f"use the denoiser {path.name}"):
                self._modes.set_mode("sds")
                self._modes.sds.use_weights(path)
            self._window.say(f"{path.name} is used as the denoiser.")
