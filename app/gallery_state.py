"""The gallery besides choosing: selections under a name, and how it looks, kept with the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.features import Feature
from app.named_selections import NamedSelections

if TYPE_CHECKING:
    from app.main_window import MainWindow

MENU = "&Class averages"
_KEEP = "The images that are selected now can then be selected again by this name, under Select."


class GalleryState(Feature):
    """Connects the gallery with kept selections, and keeps how it looks with the session."""

    name = "gallery"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        modes = window.modes
        self.gallery, self.session = modes.gallery, modes.averages
        self.named = NamedSelections(self.session, self)
        self.named.changed.connect(self._show)
        self.gallery.keep_wanted.connect(self.keep)
        self.gallery.named_wanted.connect(self.do)
        window.commands.add(
            MENU, "&Keep this selection as…", self.keep, "Ctrl+Shift+K",
            tip="Keep which class averages are selected under a name, to take it up again later",
        )  # fmt: skip
        window.commands.add(
            MENU, "Re&verse the order", self.gallery.reverse, "Ctrl+Shift+R",
            tip="Class averages that were last come first",
        )  # fmt: skip
        self._show()

    @property
    def _can_change(self) -> bool:
        return self.session.loaded is not None and not self.window.monitor.running

    def keep(self) -> None:
        """Ask for a name, and keep the present selection under it."""
        if not self._can_change:
            return
        name = self.window.dialogs.new_name(
            "Keep this selection", "the selection", _KEEP, self.named.suggestion(), self.named.problem
        )
        if name:
            self.named.keep(name)
            self.window.say(f"Kept “{name}”: {self.named.words(name)}.")

    def do(self, name: str, deed: str) -> None:
        """Do something with a kept selection: a deed of :class:`app.panels.gallery_bars.NamedMenu`."""
        if not self._can_change or name not in self.named.names:
            return
        if deed == "rename":
            new = self.window.dialogs.new_name(
                "Rename the selection", "the selection", f"“{name}” gets another name.", name,
                lambda text: "" if text.strip() == name else self.named.problem(text),
            )  # fmt: skip
            if new and new != name:
                self.named.rename(name, new)
        elif deed == "delete":
            self.named.delete(name)
            self.window.say(f"Deleted the selection “{name}”. Undo brings it back.")
        elif deed == "keep":
            self.named.keep(name)
        else:
            self.named.use(name, deed)

    def _show(self) -> None:
        named = self.named
        loaded = self.session.loaded is not None
        self.gallery.set_named([(n, named.words(n)) for n in named.names] if loaded else [])

    # ---- the session ----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Kept selections, and how the gallery looks."""
        model, looking = self.gallery.model, self.gallery.looking
        key, descending = model.wanted_order
        return {
            "named": self.named.state(), "sort": key, "descending": descending,
            "captions": list(model.captions), "same_greys": model.common_greys,
            "side": looking.size_.value(), "brightness": looking.brightness.value(),
            "contrast": looking.contrast.value(),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to that; values that don't fit are passed over."""
        self.named.restore(state.get("named"))
        key, captions, looking = state.get("sort"), state.get("captions"), self.gallery.looking
        if isinstance(key, str):
            self.gallery.sort_by(key, state.get("descending") is True)
        if isinstance(captions, list) and all(isinstance(c, str) for c in captions):
            self.gallery.set_captions(captions[:20])
        self.gallery.use_common_greys(state.get("same_greys") is True)
        for name, slider in (
            ("side", looking.size_), ("brightness", looking.brightness), ("contrast", looking.contrast)
        ):  # fmt: skip
            if type(state.get(name)) is int and abs(state[name]) < 10_000:
                slider.setValue(state[name])
