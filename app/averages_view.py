"""Shows the class averages: connects their session with the left panel and the gallery."""

from __future__ import annotations

from PySide6.QtCore import QObject

from app.averages_session import MOST_PREPARED, AveragesSession
from app.averages_words import are_shares
from app.panels.averages import AveragesPanel
from app.panels.gallery import Gallery


class AveragesView(QObject):
    """Controller of the two panels that show class averages."""

    def __init__(
        self, session: AveragesSession, panel: AveragesPanel, gallery: Gallery, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._panel, self._gallery = session, panel, gallery
        session.read.connect(self._show_images)
        session.changed.connect(self._show_card)
        session.selection_changed.connect(self._show_selection)
        session.quality_changed.connect(self._show_quality)
        session.prepared_changed.connect(self._show_prepared)
        session.options_replaced.connect(self._show_options)
        session.history.indexChanged.connect(lambda _i: self._show_history())
        panel.options_entered.connect(self._options_entered)
        panel.remove_wanted.connect(session.close)
        gallery.toggle_wanted.connect(session.toggle)
        gallery.select_wanted.connect(lambda images, on: session.select(images, on=on))
        gallery.all_wanted.connect(session.select_all)
        gallery.none_wanted.connect(session.select_none)
        gallery.invert_wanted.connect(session.invert)
        gallery.unmark_wanted.connect(session.leave_out_marked)
        gallery.undo_wanted.connect(session.history.undo)
        gallery.redo_wanted.connect(session.history.redo)
        self._show_options()
        self._show_images()
        self._show_card()

    def _options_entered(self, values: dict[str, object], problem: str) -> None:
        self._session.set_options(values, problem)
        if "pixel_size_A" in values and len(values) == 1:
            self._show_options()  # it was entered beside the form

    def _show_options(self) -> None:
        self._panel.show_options(self._session.options)

    def _show_images(self) -> None:
        session, gallery = self._session, self._gallery
        name = session.path.name if session.path else ""
        if session.loaded is not None:
            gallery.set_images(session.loaded.names, session.loaded.thumbnails, session.loaded.columns)
            self._show_selection()
        elif session.state == "reading":
            gallery.set_welcome("Reading", name)
        elif session.state == "problem":
            gallery.set_welcome("These can't be used", session.problem)
        else:
            gallery.set_welcome()
        self._show_history()
        self._show_prepared()

    def _show_card(self) -> None:
        session, panel = self._session, self._panel
        name = session.path.name if session.path else ""
        if session.loaded is None:
            title = {"reading": "Being read…", "problem": "Can't be used"}.get(session.state, "")
            panel.show_file(title, name, (), (), session.problem)
        else:
            averages = session.loaded.averages
            count, height, width = averages.images.shape
            size = (
                f"Pixel size {session.pixel_size_A:.4g} Å" if session.pixel_size_A else "Pixel size unknown"
            )
            lines = [f"{width} × {height} pixels. {size}"]
            if averages.counts is not None and not are_shares(averages.counts):
                lines.append(f"{averages.counts.sum():,.0f} particles")
            # What is asked for below, or has been answered, need not be said above too.
            silent = session.asks_pixel_size or bool(session.options["pixel_size_A"])
            notes = [n for n in averages.notes if not silent or "pixel size" not in n.lower()]
            title = f"{count:,} class average{'s' if count != 1 else ''}"
            panel.show_file(title, name, lines, notes, session.preparation_problem)
        state = "problem" if session.state == "problem" or session.preparation_problem else "ready"
        asks = session.asks_pixel_size
        panel.show_state(
            "incomplete" if asks else state, asks_pixel_size=asks, editable=session.loaded is not None
        )

    def _show_quality(self) -> None:
        self._gallery.set_quality(self._session.quality)
        self._show_selection()

    def _show_selection(self) -> None:
        session = self._session
        marked = int((session.marked & session.selected).sum())
        self._gallery.set_selected(session.selected, session.selection_sentence(), marked=marked)

    def _show_prepared(self) -> None:
        session, shown = self._session, self._session.shown
        if shown is None:
            self._panel.show_measured(session.pixel_size_A, 0.0, 0)
            self._gallery.set_facts("", session.preparation_problem)
            return
        prepared = shown.prepared
        box, size = int(prepared.stack.images.shape[-1]), float(prepared.stack.pixel_size_A)
        share = 2 * prepared.mask_radius_px / box
        diameter = share * box * size
        self._gallery.set_prepared(shown.thumbnails, prepared.used, min(share, 1.0))
        own = session.loaded.averages.pixel_size_A if session.loaded else 0.0
        self._panel.show_measured(own, diameter, box)
        facts = [prepared.contrast, *prepared.notes, f"Working box: {box} px of {size:.3g} Å."]
        if session.count > MOST_PREPARED:
            facts.append(f"Found out from {MOST_PREPARED} of them.")
        self._gallery.set_facts(" ".join(facts), "")

    def _show_history(self) -> None:
        undo = self._session.history
        self._gallery.set_history(undo.undoText(), undo.redoText())
