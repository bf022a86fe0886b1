"""Copies the present settings: as TOML, or as the command line that does the same."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QApplication

from app.features import Feature
from app.run_folders import new_run_folder
from engine.specs.codec import dump_toml, to_toml_text
from engine.specs.command_line import arguments, needs_file, quoted

if TYPE_CHECKING:
    from app.main_window import MainWindow


class Sharing(Feature):
    """Two commands of the Run menu.

    Parameters
    ----------
    window : whose settings are copied.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        add = window.commands.add
        add(
            "&Run", "Copy settings as &TOML", self.copy_toml, "Ctrl+Shift+C",
            tip="The run description as text, e.g. for a file, a colleague or a methods section",
        )  # fmt: skip
        add(
            "&Run", "Copy as command &line", self.copy_command, "Ctrl+Alt+C",
            tip="The command that does the same without a window, e.g. on another computer",
        )  # fmt: skip

    def copy_toml(self) -> None:
        """Put the run description on the clipboard."""
        spec = self._spec()
        if spec is not None:
            QApplication.clipboard().setText(to_toml_text(spec))
            self.window.say("The settings are on the clipboard as TOML.")

    def copy_command(self) -> None:
        """Put the command on the clipboard; what needs a file is saved first."""
        spec = self._spec()
        if spec is None:
            return
        window = self.window
        out = str(new_run_folder(window.session.runs_folder, spec.title))
        if not needs_file(spec):
            self._copied(arguments(spec, out), "")
            return
        suggestion = str(window.session.runs_folder / "run.toml")
        path = window.dialogs.save_as(
            "The command needs the settings in a file", suggestion, "Run description (*.toml)"
        )
        if path is not None:
            path = path.with_suffix(path.suffix or ".toml")
            window.in_background(
                partial(_write, spec, path),
                lambda _done: self._copied(arguments(spec, out, file=str(path)), path.name),
            )

    def _copied(self, words: list[str], saved: str) -> None:
        QApplication.clipboard().setText(quoted(words))
        self.window.say(f"{f'Saved {saved}. ' if saved else ''}The command is on the clipboard.")

    def _spec(self) -> Any:
        session = self.window.modes.session
        reason = session.missing()
        if reason:
            self.window.complain(f"The settings can't be copied yet: {reason}")
            return None
        return session.spec()


def _write(spec: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dump_toml(spec, path)
