"""What `run` and `train` share: carrying out a spec in this process, with Ctrl-C as a cancel."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands import summaries
from engine.commands.display import RunDisplay, duration
from engine.errors import InputError, RunError
from engine.events import Cancelled, Completed, Failed
from engine.jobs.run_dir import RunDir
from engine.specs.codec import input_files
from engine.specs.job import JobSpec

if TYPE_CHECKING:
    from engine.pipelines.context import RunContext

_BAD_INPUT = {"InputError", "SpecError", "PriorError", "DeviceError"}


class Interrupts:
    """Ctrl-C asks for a stop; a second one stops at once."""

    def __init__(self, display: RunDisplay) -> None:
        self._display = display
        self.asked = False

    def __call__(self, number: int, frame: object) -> None:
        """Handle a signal."""
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        self._display.say("Stopping after this step; what is finished is kept. (Ctrl-C again: at once.)")

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle Ctrl-C and the batch system's SIGTERM while the block runs."""
        before = {n: signal.signal(n, self) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def carry_out(
    spec: JobSpec,
    out: Path,
    *,
    as_json: bool,
    priority: int | None = 0,
    compute: Callable[[JobSpec, RunContext], None] | None = None,
) -> int:
    """Run a spec in this process and say how it went; the exit status.

    Parameters
    ----------
    priority : in the line of its device; None begins at once.
    compute : how, where it isn't as usual.

    Raises
    ------
    InputError
        If a file that the spec names is missing; nothing is written then.
    RunError
        If ``out`` can't take this run.
    """
    for key, value in input_files(spec).items():
        if not Path(value).exists():
            raise InputError(
                f"There is no such file (`{key}`).", "Check its name in the run description.", value
            )
    run = RunDir.create(out, spec)
    with RunDisplay() as display:
        interrupts = Interrupts(display)
        with interrupts.caught():
            display.say(f"Run directory: {run.path}")
            # Here, not above: it imports torch, and mistakes in the input should show before that.
            from engine.jobs import runner

            try:
                event = runner.run(
                    spec, run, display, lambda: interrupts.asked, priority=priority, compute=compute
                )
            except RunError as exc:  # its events can't be written: a full disk, mostly
                event = Failed(message=str(exc))
    metrics = _metrics(run)
    if as_json:
        _print_json(run, event, display, metrics)
    elif isinstance(event, Failed):
        sys.stderr.write(f"Error: {' '.join(event.message.split())}\n")
    else:
        _print_end(run, event, display, metrics)
    if isinstance(event, Completed):
        return 0
    if isinstance(event, Cancelled):
        return 130
    return 2 if event.cause in _BAD_INPUT else 1


def _metrics(run: RunDir) -> dict[str, Any] | None:
    try:
        content = json.loads((run.results / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _print_json(
    run: RunDir, event: Completed | Cancelled | Failed, display: RunDisplay, metrics: dict[str, Any] | None
) -> None:
    report = {
        "outcome": event.type,
        "folder": str(run.path),
        "seconds": None if isinstance(event, Failed) else round(event.seconds, 3),
        "message": event.message if isinstance(event, Failed) else None,
        "notices": display.notices,
        "results": {role: str(run.path / path) for role, path in display.results.items()},
        "metrics": metrics,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


def _print_end(
    run: RunDir, event: Completed | Cancelled, display: RunDisplay, metrics: dict[str, Any] | None
) -> None:
    done = "Finished" if isinstance(event, Completed) else "Cancelled"
    lines = [f"{done} after {duration(event.seconds)}."]
    if metrics is not None and "per_sample" in metrics:
        from engine.pipelines.evaluate import format_table

        lines += ["", format_table(metrics), ""]
    elif metrics is not None and metrics.get("kind") == "sds":
        lines += ["", *summaries.of_volumes(metrics), ""]
    elif metrics is not None and metrics.get("kind") == "known_poses":
        lines += ["", *summaries.of_known_poses(metrics), ""]
    elif metrics is not None and metrics.get("kind") == "train_denoiser":
        lines += ["", *summaries.of_denoiser(metrics), ""]
    lines += [f"{role}: {run.path / path}" for role, path in display.results.items()]
    step = summaries.next_step(metrics, run.path) if isinstance(event, Completed) else None
    if step is not None:
        lines.append(step)
    if isinstance(event, Cancelled):
        lines.append("The same command goes on with it.")
    sys.stdout.write("\n".join(lines) + "\n")
