"""The line of runs on this machine: what computes, what waits, who goes first, and adding to it.

The waiting itself is done by the engine processes (:mod:`engine.jobs.device_queue`); this looks on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QAction

from app.features import Feature
from app.newest import Newest
from app.panels.run_rows import TreeRow
from app.panels.toast import Button
from engine.jobs import device_queue
from engine.jobs.device_queue import GPU, PRIORITIES, Waiting
from engine.jobs.run_dir import RunDir
from engine.specs.job import JobSpec

if TYPE_CHECKING:
    from app.main_window import MainWindow

LOOK_MS = 1500  # while something computes or waits
IDLE_MS = 8000  # runs may be started by other windows and in terminals
NEXT_WITHIN_S = 30.0  # after a run has ended: what begins then is the next one
MENU = "Pro&ject"
WHERE = {"cpu": "the CPU", "gpu": "the GPU"}
Line = tuple[tuple[Waiting, bool], ...]
"""Runs in their order, and whether each is asked to pause."""


def look(auto: str) -> tuple[Line, str, int]:
    """The line, which device ``auto`` means (given unless empty), and how many GPUs there are; a thread's."""
    entries = device_queue.line()
    found = tuple((e, e.paused) for e in entries)
    return found, auto or device_queue.device_of("auto"), max(1, device_queue.gpus()) if not auto else 0


class Queue(Feature):
    """Shows the line in the tree, adds to it, and changes it.

    Parameters
    ----------
    window : whose tree, monitor and run panels are used.

    Attributes
    ----------
    line : as read last.
    """

    name = "queue"

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.line: Line = ()
        self._auto, self._gpus = "", 1
        self._next_until = 0.0
        self._closed = False
        self._project = window.features["project"]
        self._reading = Newest(window.background)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.look)
        self._add_commands()
        for panel in window.modes.run_panels:
            panel.other_wanted.connect(self.prepare_another)
        monitor = window.monitor
        monitor.began.connect(lambda _folder: self._began())
        monitor.ended.connect(self._ended)
        self._project.list.changed.connect(self._listed)
        self._project.panel.selection_changed.connect(self._offer)
        for changed in (window.modes.changed, window.session.changed):
            changed.connect(self._say_whether_it_waits)
        self._offer()
        self.look()

    def _add_commands(self) -> None:
        window = self.window
        self.other = window.commands.add(
            "&Run", "Prepare a&nother run", self.prepare_another, "Ctrl+Shift+N",
            tip="Leave the run that is watched going; the next one waits in the queue until it has ended",
        )  # fmt: skip
        self.other.setEnabled(window.monitor.running)
        add = partial(window.commands.add, MENU)
        window.commands.menu(MENU).addSeparator()
        self._watch = add("&Watch", self._watch_chosen, tip="Follow a run that computes or waits (Enter)")
        self._pause = add("Pause or &go on", self._pause_chosen, tip="A paused run lets others go first")
        self._earlier = add("&Earlier in the queue", partial(self._move, 1), tip="Priority up by one, to 9")
        self._later = add("&Later in the queue", partial(self._move, -1), tip="Priority down by one, to -9")
        self._remove = add(
            "Cancel, or take off the &queue", self._cancel_chosen, tip="What is finished is kept"
        )
        own: tuple[QAction, ...] = (self._watch, self._pause, self._earlier, self._later, self._remove)
        self._project.actions.more.extend(own)

    def close(self) -> None:
        """The window closes."""
        self._closed = True
        self._timer.stop()
        self._reading.drop()

    # ---- looking --------------------------------------------------------------------------------

    def look(self) -> None:
        """Read the line in the background, and again while there is something in it."""
        if not self._closed:
            self._reading.ask(partial(look, self._auto), self._found)

    def _found(self, found: tuple[Line, str, int]) -> None:
        if self._closed:
            return
        line, self._auto, gpus = found
        self._gpus = gpus or self._gpus
        changed, self.line = line != self.line, line
        lively = line or self.window.monitor.running or time.monotonic() < self._next_until
        self._timer.start(LOOK_MS if lively else IDLE_MS)
        if changed:
            self._project.panel.set_queue(self.rows())
            self._offer()
            self._project.list.refresh_soon()
        self._say_whether_it_waits()
        self._offer_next()

    def _listed(self) -> None:
        self._project.panel.set_queue(self.rows())  # names may have become known
        self.look()

    def rows(self) -> list[TreeRow]:
        """What the tree shows: nothing where it would only repeat the run that is watched."""
        if all(e.running and e.folder == self.window.monitor.folder for e, _paused in self.line):
            return []
        rows, places = [], dict.fromkeys(WHERE, 0)
        for entry, paused in self.line:
            where = WHERE.get(entry.device, entry.device)
            if entry.running and not paused:
                state, words = "running", f"· on {where}"
            elif paused:
                state, words = "paused", f"· {where}"
            else:
                places[entry.device] = places.get(entry.device, 0) + 1
                state, words = "waiting", f"· {_ordinal(places[entry.device])} for {where}"
            if entry.priority:
                words += f" · priority {entry.priority:+d}"
            mine = entry.folder.parent == self._project.project.runs
            name = self._project.list.name_of(entry.folder)
            tip = f"{name}\n{entry.folder}\nProcess {entry.holder.pid}"
            if not mine:
                tip += "\nOf another project"
            rows.append(TreeRow(f"queue:{entry.folder}", name, (words,), state, tip=tip))
        return rows

    def busy(self, device: str) -> bool:
        """Whether a run for this device (as a spec names it) would have to wait, as far as is known."""
        own, ahead = self._before(device)
        return ahead >= (self._gpus if own == GPU else 1)

    def _before(self, device: str) -> tuple[str, int]:
        """The line of a device that a spec names, and how many runs compute or wait in it."""
        own = ("cpu" if device == "cpu" else GPU) if device != "auto" else self._auto
        return own, sum(entry.device == own and not paused for entry, paused in self.line)

    def _say_whether_it_waits(self) -> None:
        modes = self.window.modes
        sessions: tuple[Any, ...] = modes.sessions
        for panel, session in zip(modes.run_panels, sessions, strict=True):
            panel.set_queueing(self.busy(str(session.settings.get("device", "auto"))))

    # ---- adding and watching --------------------------------------------------------------------

    def take(self, spec: JobSpec, folder: Path) -> bool:
        """Add a run to the line without watching it; False if it would begin at once."""
        if self._auto:
            self.line = look(self._auto)[0]  # a few small files: what was read before may be over by now
        if not self.busy(spec.device):
            return False
        name, (_own, ahead) = spec.title or folder.name, self._before(spec.device)
        self.window.monitor.start_unwatched(spec, folder, lambda: self._added(folder, name, ahead))
        return True

    def _added(self, folder: Path, name: str, ahead: int) -> None:
        self._project.run_began(folder)
        self._project.list.refresh_soon()
        self._timer.start(LOOK_MS // 3)
        self.window.features["toasts"].tell(
            "Added to the queue",
            f"{name} begins by itself when the device is free; {ahead} before it.",
            [Button("Watch", partial(self.watch, folder))],
        )

    def prepare_another(self) -> None:
        """Leave the run that is watched going, and let another be prepared."""
        monitor = self.window.monitor
        if monitor.starting:
            self.window.say("The run is just being started. Try again in a moment.")
        elif monitor.running:
            monitor.leave_going()
            self._project.show_preparation()
            self.look()

    def watch(self, folder: Path) -> None:
        """Show a run and follow it; one that is watched now goes on by itself."""
        monitor = self.window.monitor
        if monitor.running and monitor.folder == folder:
            return
        if monitor.starting:
            self.window.say("A run is just being started. Try again in a moment.")
            return
        if monitor.running:
            monitor.leave_going()
        self.window.open_run(folder)

    def _began(self) -> None:
        self.other.setEnabled(True)
        self._next_until = 0.0
        self._project.panel.set_queue(self.rows())
        self._timer.start(LOOK_MS // 3)

    def _ended(self, outcome: str, _message: str) -> None:
        self.other.setEnabled(False)
        if outcome != "left":
            self._next_until = time.monotonic() + NEXT_WITHIN_S
        self.look()

    def _offer_next(self) -> None:
        """After the run that was watched: offer to watch the next one of this project."""
        monitor = self.window.monitor
        if time.monotonic() >= self._next_until or monitor.running:
            return
        for entry, paused in self.line:
            mine = entry.folder.parent == self._project.project.runs and entry.folder != monitor.folder
            if mine and entry.running and not paused:
                self._next_until = 0.0
                self.window.features["toasts"].tell(
                    "Next in the queue",
                    f"{self._project.list.name_of(entry.folder)} computes now.",
                    [Button("Watch", partial(self.watch, entry.folder))],
                )
                return

    # ---- changing -------------------------------------------------------------------------------

    def _chosen(self) -> list[tuple[Path, Waiting | None, bool]]:
        """Live runs that are chosen in the tree: folder, place in the line if they have one, paused."""
        known = {entry.folder: (entry, paused) for entry, paused in self.line}
        found = []
        for row in self._project.panel.selected():
            folder = Path(row.target)
            live = row.kind == "queue" or (row.kind == "run" and self._project.list.is_live(folder))
            if live:
                entry, paused = known.get(folder, (None, row.state == "paused"))
                found.append((folder, entry, paused))
        return found

    def _offer(self) -> None:
        chosen = self._chosen()
        waits = [e for _f, e, _p in chosen if e is not None and not e.running]
        self._watch.setEnabled(len(chosen) == 1 and not self._is_watched(chosen[0][0]))
        self._pause.setEnabled(bool(chosen))
        self._pause.setText("Let &go on" if chosen and all(p for _f, _e, p in chosen) else "Pa&use")
        self._earlier.setEnabled(any(e.priority < PRIORITIES[1] for e in waits))
        self._later.setEnabled(any(e.priority > PRIORITIES[0] for e in waits))
        self._remove.setEnabled(bool(chosen))

    def _is_watched(self, folder: Path) -> bool:
        return self.window.monitor.running and self.window.monitor.folder == folder

    def _watch_chosen(self) -> None:
        for folder, _entry, _paused in self._chosen()[:1]:
            self.watch(folder)

    def _move(self, by: int) -> None:
        low, high = PRIORITIES
        new = {
            folder: max(low, min(high, entry.priority + by))
            for folder, entry, _paused in self._chosen()
            if entry is not None and not entry.running
        }
        self._change([partial(device_queue.set_priority, folder, n) for folder, n in new.items()])

    def _pause_chosen(self) -> None:
        chosen = self._chosen()
        goes_on = all(paused for _folder, _entry, paused in chosen)
        monitor = self.window.monitor
        wishes: list[Any] = []
        for folder, _entry, _paused in chosen:
            if self._is_watched(folder):
                (monitor.go_on if goes_on else monitor.ask_pause)()
            else:
                run = RunDir(folder)
                wishes.append(run.request_resume if goes_on else run.request_pause)
        self._change(wishes)

    def _cancel_chosen(self) -> None:
        wishes: list[Any] = []
        for folder, _entry, _paused in self._chosen():
            if self._is_watched(folder):
                self.window.cancel_run()
            else:
                wishes.append(RunDir(folder).request_cancel)
        self._change(wishes)

    def _change(self, wishes: Sequence[Any]) -> None:
        def carry_out() -> None:
            for wish in wishes:
                wish()

        self.window.in_background(carry_out, lambda _r: self._changed())

    def _changed(self) -> None:
        self._project.list.refresh_soon()
        self.look()


def _ordinal(number: int) -> str:
    return {1: "next", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
