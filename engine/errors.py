"""Errors that a user can act on.

Every error that reaches a user is a :class:`VerglasError`: it says what is wrong, in which file or
field, and what to do about it. Anything else that escapes is a bug.
"""

from __future__ import annotations

from pathlib import Path


class VerglasError(Exception):
    """An error with advice.

    Parameters
    ----------
    problem : what is wrong, one sentence.
    advice : what the user can do about it, one sentence; may be empty.
    path : the file concerned, if there is one.
    """

    def __init__(self, problem: str, advice: str = "", path: str | Path | None = None) -> None:
        self.problem = problem
        self.advice = advice
        self.path = None if path is None else Path(path)
        where = f"{self.path}: " if self.path is not None else ""
        super().__init__(f"{where}{problem}" + (f" {advice}" if advice else ""))


class InputError(VerglasError):
    """A file that can't be used: missing, broken, of the wrong kind, or too large."""


class SpecError(VerglasError):
    """A run description that can't be carried out: unknown key, bad value, contradiction."""


class PriorError(VerglasError):
    """Weights that are missing, damaged, or of another architecture."""


class DeviceError(VerglasError):
    """A compute device that was asked for and can't be used."""


class RunError(VerglasError):
    """A run directory that is damaged, locked or of another version."""


class SamplingError(VerglasError):
    """A sampler that left the finite numbers or was given evidence it can't use."""


class Cancelled(VerglasError):  # noqa: N818 - an outcome, not a fault
    """Raised inside the engine when the run was asked to stop."""

    def __init__(self) -> None:
        super().__init__("The run was cancelled.")
