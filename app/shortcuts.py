"""All keys and gestures of a window, read from what has them, so that the list can't be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtGui import QKeySequence

from app.matching import NO_MATCH, score

if TYPE_CHECKING:
    from app.main_window import MainWindow


class Shortcut(NamedTuple):
    """A key or gesture: where it belongs, what to press, what it does."""

    group: str
    keys: str
    what: str


GESTURES = (
    Shortcut("Picture", "Drag", "Turn"),
    Shortcut("Picture", "Wheel", "Zoom"),
    Shortcut("Picture", "Shift + drag", "Move"),
    Shortcut("Slices", "Click or drag", "Move the other two slices there"),
    Shortcut("Slices", "Wheel", "Move this slice"),
    Shortcut("Level of the surface", "Arrows, Page up, Page down, wheel", "Raise and lower"),
    Shortcut("Class averages", "Click, Space", "Use an image or leave it out"),
    Shortcut("Class averages", "Shift + click, Shift+Space", "Use or leave out all between"),
    Shortcut("Class averages", "Drag, Shift + arrows", "Span a block: treated as its first image"),
    Shortcut("Class averages", "Shift + drag, Insert, +", "Use the block, or the image"),
    Shortcut("Class averages", "Ctrl + drag, Delete, -", "Leave the block or the image out"),
    Shortcut("Class averages", "Ctrl + wheel", "Larger and smaller images"),
    Shortcut("Plots", "Right click", "Save as picture, drawing or table"),
    Shortcut("Window", "Drop files", "Add them; a run folder is opened"),
    Shortcut("Window", "Tab, Shift+Tab", "Next and previous control"),
)  # fmt: skip
"""What only the mouse can do, and keys that a panel takes itself."""


def shortcuts(window: MainWindow) -> list[Shortcut]:
    """The keys of all commands and modes, then the gestures; each group in one piece."""
    found = []
    for path, action in window.commands.all():
        keys = ", ".join(_words(key) for key in action.shortcuts())
        if keys:
            text = action.text().replace("&", "").rstrip("…").split(":")[0]
            found.append(Shortcut(path.split("/")[0], keys, text))
    for button in window.modes.switch.buttons():
        found.append(Shortcut("Modes", _words(button.shortcut()), button.accessibleName()))
    found += GESTURES
    order = list(dict.fromkeys(row.group for row in found))
    return sorted(found, key=lambda row: order.index(row.group))


def matching(rows: list[Shortcut], query: str) -> list[Shortcut]:
    """Those that fit what was typed, in their order."""
    return [row for row in rows if score(query, f"{row.what} {row.keys} {row.group}") != NO_MATCH]


def _words(key: QKeySequence) -> str:
    return key.toString(QKeySequence.SequenceFormat.NativeText)
