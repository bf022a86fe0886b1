"""Beside the settings of a run: presets, what it costs, what to know before. Setters and signals only."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from app.cautions import Caution
from app.panels.words import Words
from engine.specs.presets import BASIC

_SHOWN = 3
SAVE, BACK = "save", "back"


class PresetChoice(QWidget):
    """Quick look, Standard, Thorough as buttons; the other presets and the user's own in a menu.

    Attributes
    ----------
    chosen : told of the name of a preset of Verglas's.
    own_chosen, delete_wanted : of the name of one of the user's own.
    save_wanted : the present settings are to be kept as one.
    """

    chosen = Signal(str)
    own_chosen = Signal(str)
    delete_wanted = Signal(str)
    save_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._descriptions: dict[str, str] = {}
        self._own: tuple[str, ...] = ()
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(4)
        for name in BASIC:
            button = QPushButton(_title(name))
            button.setObjectName("mode")
            button.setCheckable(True)
            button.setAccessibleName(f"Preset {_title(name)}")
            button.clicked.connect(lambda _on, name=name: self._clicked(name))
            self.buttons[name] = button
            row.addWidget(button, 1)
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.more = QToolButton()
        self.more.setText("More ▾")
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.more.setToolTip("More presets, your own, and keeping the present settings as one")
        self.more.setAccessibleName("More presets")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self.menu)
        row.addWidget(self.more)
        self._words = Words("muted")
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._words.linkActivated.connect(self._back)
        self._now = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 6, 2)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self._words)

    def set_presets(self, descriptions: Mapping[str, str], own: Sequence[str] = ()) -> None:
        """Offer these; ``own`` are the user's."""
        self._descriptions, self._own = dict(descriptions), tuple(own)
        for name, button in self.buttons.items():
            button.setVisible(name in descriptions)
            button.setToolTip(descriptions.get(name, ""))
        self._fill()

    def show_state(self, name: str, changed: Sequence[str]) -> None:
        """Say which preset the settings are, or came from, and the fields that differ from it."""
        self._now = name
        for key, button in self.buttons.items():
            button.setChecked(key == name)
        title = html.escape(_title(name))
        if changed:
            fields = html.escape(", ".join(changed[:5]) + ("…" if len(changed) > 5 else ""))
            self._words.setText(f'Changed from {title}: {fields}. <a href="{BACK}">Set back</a>')
        elif name in self._own:
            self._words.setText(f"{title}: one of your own presets.")
        else:
            words = self._descriptions.get(name, "")
            self._words.setText(html.escape(words if name in BASIC else f"{_title(name)}: {words}"))

    @property
    def words(self) -> str:
        """What is said below the buttons."""
        return self._words.text()

    def _fill(self) -> None:
        self.menu.clear()
        for name, words in self._descriptions.items():
            if name not in BASIC:
                self.menu.addAction(_title(name), partial(self._clicked, name)).setToolTip(words)
        if self._own:
            self.menu.addSection("Your own")
        for name in self._own:
            self.menu.addAction(name, partial(self.own_chosen.emit, name))
        self.menu.addSeparator()
        self.menu.addAction("Keep these settings as a preset…", self.save_wanted.emit)
        if self._own:
            delete = self.menu.addMenu("Delete one of your own")
            for name in self._own:
                delete.addAction(name, partial(self.delete_wanted.emit, name))

    def _clicked(self, name: str) -> None:
        for key, button in self.buttons.items():
            button.setChecked(key == name)
        self.chosen.emit(name)

    def _back(self, _link: str) -> None:
        (self.own_chosen if self._now in self._own else self.chosen).emit(self._now)


class PlanNotes(QWidget):
    """What a run costs, and what to know before it; each caution opens to its reason and advice."""

    def __init__(self) -> None:
        super().__init__()
        self._cost, self._list = Words("muted"), Words("warning")
        self._list.setTextFormat(Qt.TextFormat.RichText)
        self._list.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._list.setAccessibleName("What to know before the run")
        self._list.linkActivated.connect(self._open)
        self.cautions: Sequence[Caution] = ()
        self._opened: set[str] = set()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self._cost)
        layout.addWidget(self._list)
        self.show_cost("", "")
        self.show_cautions(())

    @property
    def cost(self) -> str:
        """What is said of time and memory."""
        return self._cost.text()

    @property
    def text(self) -> str:
        """The list as it is shown, as HTML."""
        return self._list.text()

    def show_cost(self, words: str, tip: str) -> None:
        """Say what the run costs; empty hides it."""
        self._cost.setText(words)
        self._cost.setToolTip(tip)
        self._cost.setVisible(bool(words))

    def show_cautions(self, cautions: Sequence[Caution]) -> None:
        """Show the list; empty hides it."""
        self.cautions = cautions
        lines = []
        for caution in cautions if "all" in self._opened else cautions[:_SHOWN]:
            open_ = caution.key in self._opened
            link = f'<a href="{caution.key}">{"less" if open_ else "what to do"}</a>'
            line = f"⚠ {html.escape(caution.text)} {link}"
            if open_:
                line += f"<br>{html.escape(caution.why)} <b>{html.escape(caution.advice)}</b>"
            lines.append(line)
        rest = len(cautions) - len(lines)
        if rest > 0:
            lines.append(f'<a href="all">{rest} more</a>')
        self._list.setText("<br>".join(lines))
        self._list.setToolTip("\n".join(f"{c.text} {c.why} {c.advice}" for c in cautions))
        self._list.setVisible(bool(cautions))

    def _open(self, key: str) -> None:
        (self._opened.remove if key in self._opened else self._opened.add)(key)
        self.show_cautions(self.cautions)


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]
