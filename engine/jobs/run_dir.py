"""A run directory: everything about one run, in one folder that can be copied, watched and resumed.

``spec.json`` what was asked · ``manifest.json`` with what · ``events.jsonl`` what has happened ·
``checkpoints/`` ``snapshots/`` ``results/`` arrays · ``log.txt`` what was printed · ``lock`` who
computes · ``cancel`` and ``pause`` requests, as files, so that they work across nodes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import RunError
from engine.events import Cancelled, Completed, Event, Failed
from engine.io.atomic import unfinished, write_text
from engine.jobs import event_log, run_lock
from engine.jobs.event_log import EventWriter, Tail
from engine.specs import codec
from engine.specs.job import JobSpec

_FOLDERS = ("checkpoints", "snapshots", "results")
# Settings that change how long or where, not what: a run may go on with other values of them.
_TRAINING_FREE = {"title", "device", "checkpoint_minutes"}
_FREE = {
    "dps": {"title", "device", "batch"},
    "train_prior": _TRAINING_FREE,
    "sds": {"title", "device"},
    "known_poses": {"title", "device"},
    "train_denoiser": _TRAINING_FREE,
}
_BUDGET = {"train_prior": {"hours", "max_steps"}, "train_denoiser": {"minutes", "max_steps"}}
_LETS_GO_WITHIN_S = 2.0


class RunDir:
    """One run's folder. Make it with :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # ---- making -------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | Path, spec: JobSpec) -> RunDir:
        """Prepare a folder for a run, or for going on with the same run.

        An interrupted, cancelled or failed run of the same spec goes on in its folder: its
        checkpoints stay, its old events move aside. Training also goes on after it has finished,
        when it is given more time.

        Raises
        ------
        RunError
            If the folder holds a finished run, another run, a running one, or other files.
        """
        path = Path(path).absolute()
        run = cls(path)
        spec = codec.resolve_paths(spec, Path.cwd())
        try:
            if path.exists() and not path.is_dir():
                raise RunError("This is a file, but a run needs a folder.", "Choose another name.", path)
            if (path / "spec.json").exists():
                run._reopen(spec)
            elif path.is_dir() and _holds_others(path):
                raise RunError(
                    "The folder is not empty and holds no run.", "Choose a new or empty folder.", path
                )
            for name in _FOLDERS:
                (path / name).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise RunError(
                f"The run directory can't be made ({exc.strerror or exc}).",
                "Choose a folder that you may write to, on a disk with free space.",
                path,
            ) from exc
        run.request_resume()
        run.cancel_file.unlink(missing_ok=True)
        write_text(path / "spec.json", codec.to_json(spec))
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDir:
        """An existing run.

        Raises
        ------
        RunError
            If the folder is missing or holds no run.
        """
        path = Path(path).absolute()
        if not (path / "spec.json").is_file():
            raise RunError(
                "This folder holds no Verglas run." if path.is_dir() else "There is no such folder.",
                "Choose a folder made by `verglas run`, with a file `spec.json` in it.",
                path,
            )
        return cls(path)

    def _reopen(self, spec: JobSpec) -> None:
        deadline = time.monotonic() + _LETS_GO_WITHIN_S
        while self.running and self.outcome() is not None and time.monotonic() < deadline:
            time.sleep(0.01)  # it has said its last word and is about to let go
        holder = self.holder()
        if holder is not None and holder.alive:
            raise RunError(
                f"This run is being computed by process {holder.pid} on {holder.host}.",
                "Wait for it, cancel it, or choose another folder.",
                self.path,
            )
        old = self.spec()
        new_values, old_values = spec.model_dump(), old.model_dump()
        changed = {k for k in new_values | old_values if new_values.get(k) != old_values.get(k)}
        budget = _BUDGET.get(spec.kind, set()) if spec.kind == old.kind else set()
        if not changed <= _FREE[spec.kind] | budget:
            raise RunError(
                f"The folder holds another run (different: {', '.join(sorted(changed - _FREE[spec.kind]))}).",
                "Choose another folder, or delete this one.",
                self.path,
            )
        more = any(new_values[k] > old_values[k] for k in changed & budget)
        if isinstance(self.outcome(), Completed) and not more:
            advice = "Choose another folder, or delete this one to compute it again."
            if budget:
                unit = "hours" if "hours" in budget else "minutes"
                advice = f"Give it more time (`--{unit}`) to go on, or choose another folder."
            raise RunError("The folder holds a finished run.", advice, self.path)
        self._set_events_aside()

    def _set_events_aside(self) -> None:
        if self.events_file.exists() and self.events_file.stat().st_size:
            number = len(self._earlier_events()) + 1
            self.events_file.rename(self.events_file.with_name(f"events.{number:03d}.jsonl"))

    def _earlier_events(self) -> list[Path]:
        return sorted(self.events_file.parent.glob("events.*.jsonl"))

    # ---- files --------------------------------------------------------------------------------

    @property
    def events_file(self) -> Path:
        """Events of the current attempt."""
        return self.path / "events.jsonl"

    @property
    def log_file(self) -> Path:
        """What the run printed, for people."""
        return self.path / "log.txt"

    @property
    def lock_file(self) -> Path:
        """Names the process that computes."""
        return self.path / "lock"

    @property
    def attempts(self) -> int:
        """How often it was begun."""
        return len(self._earlier_events()) + self.events_file.exists()

    @property
    def cancel_file(self) -> Path:
        """Exists from the moment somebody asks the run to stop."""
        return self.path / "cancel"

    @property
    def pause_file(self) -> Path:
        """Exists while the run is asked to wait."""
        return self.path / "pause"

    @property
    def results(self) -> Path:
        """Folder of finished files."""
        return self.path / "results"

    def spec(self) -> JobSpec:
        """What was asked.

        Raises
        ------
        SpecError
            If ``spec.json`` is damaged or of another version.
        RunError
            If it can't be read.
        """
        file = self.path / "spec.json"
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise RunError(f"The run's spec can't be read ({exc}).", "", file) from exc
        return codec.from_json(text, file)

    def manifest(self) -> dict[str, Any] | None:
        """Versions, device, seeds and hashes; None before the run began."""
        try:
            content = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as exc:
            raise RunError(f"The manifest is damaged ({exc}).", "", self.path / "manifest.json") from exc
        return content if isinstance(content, dict) else None

    def sweep(self) -> None:
        """Remove files that a killed process left half-written; for the holder of the lock."""
        parts = (run_lock.read_holder(lock) for lock in self.path.glob("parts/*/lock"))
        if any(part is not None and part.alive for part in parts):
            return  # what they write now is not left over
        for path in self.path.rglob(".*"):
            if unfinished(path) and path.is_file():
                with suppress(OSError):
                    path.unlink()

    # ---- events -------------------------------------------------------------------------------

    def writer(self) -> EventWriter:
        """Appends to ``events.jsonl``; only the holder of the lock may do so."""
        return EventWriter(self.events_file)

    def events(self) -> tuple[Event, ...]:
        """All events of the current attempt so far."""
        return event_log.follow(self.events_file).events

    def history(self) -> tuple[Event, ...]:
        """Events of all attempts, oldest first."""
        return tuple(
            e for file in [*self._earlier_events(), self.events_file] for e in event_log.follow(file).events
        )

    def follow(self, offset: int = 0) -> Tail:
        """Events beyond a byte offset, and the offset for the next call."""
        return event_log.follow(self.events_file, offset)

    def outcome(self) -> Completed | Cancelled | Failed | None:
        """The terminal event of the current attempt, or None."""
        event = event_log.terminal_event(self.events_file)
        return event if isinstance(event, Completed | Cancelled | Failed) else None

    def end_unfinished(self, event: Cancelled | Failed) -> Completed | Cancelled | Failed:
        """Give a run whose process is gone its terminal event, unless it has one.

        Returns
        -------
        The terminal event that the run has now.

        Raises
        ------
        RunError
            If a living process computes the run, or the event can't be written.
        """
        with self.locked():
            outcome = self.outcome()
            if outcome is not None:
                return outcome
            with self.writer() as writer:
                writer.write(event)
        return event

    # ---- holder and requests ------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[run_lock.Holder]:
        """Hold the run. Raises RunError if another living process does."""
        with run_lock.held(self.lock_file) as holder:
            yield holder

    def holder(self) -> run_lock.Holder | None:
        """The process that computes, dead or alive; None if none does."""
        return run_lock.read_holder(self.lock_file)

    @property
    def there(self) -> bool:
        """Whether the folder is still where it was."""
        return (self.path / "spec.json").is_file()

    @property
    def running(self) -> bool:
        """Whether a living process computes it (another machine's counts as living)."""
        holder = self.holder()
        return holder is not None and holder.alive

    def request_cancel(self) -> None:
        """Ask the run to stop; every step polls for it, on whatever machine it is."""
        self._request(self.cancel_file)

    def _request(self, file: Path) -> None:
        try:
            file.touch()
        except OSError as exc:
            raise RunError(
                f"The run can't be reached ({exc.strerror or exc}).",
                "Check that its folder is still there.",
                file,
            ) from exc

    def cancel_requested(self) -> bool:
        """Whether somebody asked the run to stop."""
        return self.cancel_file.exists()

    def request_pause(self) -> None:
        """Ask the run to wait after its current step."""
        self._request(self.pause_file)

    def request_resume(self) -> None:
        """Let a waiting run go on."""
        self.pause_file.unlink(missing_ok=True)

    def pause_requested(self) -> bool:
        """Whether the run is asked to wait."""
        return self.pause_file.exists()

    # ---- log ----------------------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Append text to ``log.txt`` with the time before it."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with open(self.log_file, "a", encoding="utf-8") as handle:
            handle.write(f"[{stamp}] {text.rstrip()}\n")

    def last_log_lines(self, count: int = 20) -> str:
        """The end of ``log.txt``."""
        try:
            with open(self.log_file, "rb") as handle:
                handle.seek(max(0, self.log_file.stat().st_size - 20_000))
                lines = handle.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-count:])


def _holds_others(folder: Path) -> bool:
    """Whether there is more than an attempt to make a run left that was cut off."""
    for path in folder.iterdir():
        ours = path.is_dir() and path.name in _FOLDERS and not any(path.iterdir())
        if not ours and not unfinished(path):
            return True
    return False
