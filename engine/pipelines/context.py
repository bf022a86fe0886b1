"""What a pipeline is given by whoever runs it: a folder, a device, a way to speak and to be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.errors import Cancelled
from engine.events import Emit, Notice, Result


@dataclass(frozen=True)
class RunContext:
    """The surroundings of one run.

    Attributes
    ----------
    folder : the run directory; results go into ``results/``, snapshots into ``snapshots/``.
    emit : takes events; thread-safe.
    cancelled : polled at every step.
    device : where to compute.
    device_words : the same, for people.
    """

    folder: Path
    emit: Emit
    cancelled: Callable[[], bool]
    device: torch.device
    device_words: str

    def check(self) -> None:
        """Raise :class:`~engine.errors.Cancelled` if the run was asked to stop."""
        if self.cancelled():
            raise Cancelled

    def result(self, role: str, path: Path) -> None:
        """Announce a finished file."""
        self.emit(Result(role=role, path=path.relative_to(self.folder).as_posix()))

    def notice(self, message: str, *, warning: bool = False) -> None:
        """Tell the user something that they should know."""
        self.emit(Notice(level="warning" if warning else "info", message=message))
