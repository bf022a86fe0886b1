"""Presets of the user's own: a TOML file for each, in the user's data folder."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import tomlkit

from engine.errors import SpecError
from engine.io.atomic import write_text

_NAME = re.compile(r"[^\W_][\w .+-]{0,39}")
_LARGEST = 100_000


class OwnPresets:
    """The user's presets for each kind of run.

    Parameters
    ----------
    folder : holds one folder for each kind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, kind: str) -> list[str]:
        """Their names, in order."""
        return sorted((path.stem for path in (self.folder / kind).glob("*.toml")), key=str.lower)

    def problem(self, name: str, taken: tuple[str, ...] = ()) -> str:
        """Why a name can't be used, in words; empty if it can."""
        if not _NAME.fullmatch(name):
            return "A name has letters, digits, spaces and . + - _, and begins with a letter or digit."
        if name.lower() in taken:
            return f"“{name}” is a preset of Verglas's."
        return ""

    def keep(self, kind: str, name: str, values: dict[str, Any]) -> Path:
        """Write a preset, also over one of the same name. Values are plain; None is left out.

        Raises
        ------
        SpecError
            If the name can't be used.
        """
        problem = self.problem(name)
        if problem:
            raise SpecError(problem, "Choose another name.")
        path = self.folder / kind / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, tomlkit.dumps(_without_none(values)))
        return path

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """The values of a preset.

        Raises
        ------
        SpecError
            If it is missing or damaged.
        """
        path = self.folder / kind / f"{name}.toml"
        try:
            if path.stat().st_size > _LARGEST:
                raise ValueError("far too large")
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as exc:
            raise SpecError(f"The preset “{name}” can't be read ({exc}).", "Delete it.", path) from exc

    def delete(self, kind: str, name: str) -> None:
        """Delete a preset; one that is gone already is no error."""
        (self.folder / kind / f"{name}.toml").unlink(missing_ok=True)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value)
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, tuple)
        else value
        for key, value in values.items()
        if value is not None
    }
