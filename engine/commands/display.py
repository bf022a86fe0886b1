"""Events on a terminal: a progress bar with the time that is left, notices, and the end in words."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from engine import events
from engine.events import Event

LINE_EVERY_S = 30.0  # where there is no terminal, e.g. in a batch job's log


def duration(seconds: float) -> str:
    """E.g. ``3 min 20 s``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class RunDisplay:
    """Shows a run's events on standard error. Use as a context manager; call it with each event.

    Attributes
    ----------
    results : finished files by their role, relative to the run directory.
    notices : what the user should know, in the order of its coming.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.results: dict[str, str] = {}
        self.notices: list[str] = []
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._note = ""
        self._last_line = 0.0

    def __enter__(self) -> RunDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, events.Started):
            self.say(f"Computing on {event.device}.")
        elif isinstance(event, events.Notice):
            self.notices.append(event.message)
            warning = event.level == "warning"
            self.say(
                f"Warning: {event.message}" if warning else event.message, "yellow" if warning else "dim"
            )
        elif isinstance(event, events.Progress):
            self._progress(event)
        elif isinstance(event, events.Energies) and event.values:
            mean = sum(event.values.values()) / len(event.values)
            self._note = f"misfit {mean**0.5:.2f} Å"
        elif isinstance(event, events.Metric):
            self._note = f"{event.name} {event.value:.4g}{' ' + event.unit if event.unit else ''}"
        elif isinstance(event, events.Result):
            self.results[event.role] = event.path

    def say(self, text: str, style: str = "") -> None:
        """One line above the progress bar."""
        self._bar.console.print(escape(text), style=style, soft_wrap=True)

    def _progress(self, event: events.Progress) -> None:
        left = f"{duration(event.eta_s)} left" if event.eta_s is not None and event.done < event.total else ""
        is_new = event.stage not in self._tasks
        if is_new:
            self._tasks[event.stage] = self._bar.add_task(
                escape(event.stage), total=event.total, left="", note=""
            )
        note = escape(self._note)
        self._bar.update(
            self._tasks[event.stage], completed=event.done, total=event.total, left=left, note=note
        )
        now = time.monotonic()
        if not self.console.is_terminal and (
            now - self._last_line > LINE_EVERY_S or event.done == event.total
        ):
            self._last_line = now
            parts = (f"{event.stage} {event.done}/{event.total}", left, self._note)
            self.say(", ".join(part for part in parts if part))
