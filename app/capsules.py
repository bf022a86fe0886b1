"""The capsule of the run that is shown: one zip for a paper, written in the background."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.background import words
from app.features import Feature
from app.panels.toast import Button
from app.toasts import open_folder
from engine.jobs.capsule import write_capsule
from engine.jobs.run_dir import RunDir

if TYPE_CHECKING:
    from app.main_window import MainWindow

TIP = (
    "One zip with settings, seeds, hashes and versions, figures, methods paragraph with references and a "
    "validation table; `verglas rerun` computes it again and compares"
)


class Capsules(Feature):
    """Writes capsules.

    Parameters
    ----------
    window : whose shown run they are of.
    """

    name = "capsules"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        commands = window.commands
        entries = commands.menu("&File").actions()
        after = entries.index(window.actions_.export) + 1
        self.action = commands.add(
            "&File", "Capsule for a pa&per…", self.write, tip=TIP, before=entries[after]
        )
        for signal in (window.run_view.run_shown, window.run_view.cleared):
            signal.connect(lambda *_run: self._offer())
        self._offer()

    def _source(self) -> Path | None:
        stored = self.window.run_view.stored
        ended = stored is not None and any(event.type == "completed" for event in stored.events[-1:])
        return stored.folder if stored is not None and ended else None

    def _offer(self) -> None:
        self.action.setEnabled(self._source() is not None)

    def write(self) -> None:
        """Ask where, and write the capsule of the run that is shown."""
        source, window = self._source(), self.window
        if source is None:
            return
        out = window.dialogs.save_as(
            "Capsule for a paper", str(source.parent / f"{source.name}.zip"), "Capsule (*.zip)"
        )
        if out is not None:
            out = out if out.suffix else out.with_suffix(".zip")
            window.statusBar().showMessage(f"Writing {out.name}…")
            window.background.submit(
                partial(_written, source, out), self._wrote, lambda error: self._failed(words(error))
            )

    def _wrote(self, out: Path) -> None:
        self.window.say(f"Wrote {out.name} to {out.parent}")
        self.window.features["toasts"].tell(
            "Capsule written",
            f"{out.name}: settings, figures, methods and validation of the run.",
            [Button("Open folder", partial(open_folder, out.parent))],
            level="good",
        )

    def _failed(self, reason: str) -> None:
        self.window.complain(reason)
        self.window.features["toasts"].tell("No capsule", reason, level="error")


def _written(source: Path, out: Path) -> Path:
    return write_capsule(RunDir.open(source), out)
