"""What has happened in a run so far: frozen dataclasses, one JSON line each in ``events.jsonl``.

Arrays travel as files, by path relative to the run directory. A run ends with exactly one terminal
event: :class:`Completed`, :class:`Cancelled` or :class:`Failed`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from types import NoneType
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class Event:
    """Base of all events; ``time`` is seconds since the epoch."""

    type: ClassVar[str] = ""
    time: float = field(default_factory=time.time, kw_only=True)


@dataclass(frozen=True)
class Started(Event):
    """The run began. ``device`` is what computes, in words, e.g. ``CPU (2 cores)``."""

    type: ClassVar[str] = "started"
    kind: str
    device: str
    version: str


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know: an assumption, a fall-back, a suspicious input."""

    type: ClassVar[str] = "notice"
    level: Literal["info", "warning"]
    message: str


@dataclass(frozen=True)
class Progress(Event):
    """``done`` of ``total`` steps of ``stage``; ``eta_s`` is None until it can be estimated."""

    type: ClassVar[str] = "progress"
    stage: str
    done: int
    total: int
    eta_s: float | None = None


@dataclass(frozen=True)
class Snapshot(Event):
    """The current points: ``path`` is an npy file, (n, points, 3) float32, Å, xyz."""

    type: ClassVar[str] = "snapshot"
    step: int
    total: int
    sigma: float
    path: str


@dataclass(frozen=True)
class MapSnapshot(Event):
    """The volume as it is now: ``path`` is an npy file, (z, y, x) float32.

    ``label`` says which, e.g. ``start 3 of 10`` or ``volume 37``; ``sigma`` is 0 where there is no noise.
    """

    type: ClassVar[str] = "map_snapshot"
    step: int
    total: int
    sigma: float
    path: str
    voxel_size_A: float
    label: str = ""


@dataclass(frozen=True)
class ImagesSnapshot(Event):
    """Images of the present state: ``path`` is an npy file, (n, y, x) float32.

    ``role`` says what they show: ``samples`` of a denoiser, ``projections`` of a volume, or
    ``residuals`` of projections against class averages.
    """

    type: ClassVar[str] = "images_snapshot"
    step: int
    role: str
    path: str


@dataclass(frozen=True)
class Energies(Event):
    """Mean over samples of each observation's energy at noise level ``sigma``.

    Keys are observation names; values are mean squared residuals per point, Å². ``stated`` holds for each
    the energy at which it is met to its stated error, Å²: values over these are 1 where points fit.
    """

    type: ClassVar[str] = "energies"
    step: int
    sigma: float
    values: dict[str, float]
    stated: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric(Event):
    """A named scalar, e.g. a training loss: ``unit`` is empty for pure numbers."""

    type: ClassVar[str] = "metric"
    name: str
    step: int
    value: float
    unit: str = ""


@dataclass(frozen=True)
class Result(Event):
    """A finished file of the run: ``role`` says what it is, e.g. ``ensemble`` or ``figure``."""

    type: ClassVar[str] = "result"
    role: str
    path: str


@dataclass(frozen=True)
class Completed(Event):
    """Terminal: all results are written."""

    type: ClassVar[str] = "completed"
    seconds: float


@dataclass(frozen=True)
class Cancelled(Event):
    """Terminal: stopped on request; what was finished is kept."""

    type: ClassVar[str] = "cancelled"
    seconds: float


@dataclass(frozen=True)
class Failed(Event):
    """Terminal: ``message`` says what is wrong and what to do; ``detail`` is for the log view.

    ``cause`` is the name of the :class:`~engine.errors.VerglasError` behind it, empty for a crash.
    """

    type: ClassVar[str] = "failed"
    message: str
    detail: str = ""
    cause: str = ""


TERMINAL = (Completed, Cancelled, Failed)
_BY_TYPE: dict[str, type[Event]] = {
    cls.type: cls
    for cls in (
        Started, Notice, Progress, Snapshot, MapSnapshot, ImagesSnapshot, Energies, Metric, Result,
        Completed, Cancelled, Failed,
    )
}  # fmt: skip

Emit = Callable[[Event], None]


def to_line(event: Event) -> str:
    """One JSON object without a newline."""
    return json.dumps({"type": event.type, **asdict(event)}, allow_nan=True)


def from_line(line: str) -> Event:
    """Inverse of :func:`to_line`.

    Raises ValueError for text that is not an event of this version: also for values of another type, and
    for paths that lead out of the run's folder, which may come from anybody.
    """
    try:
        payload: dict[str, Any] = json.loads(line)
        cls = _BY_TYPE[payload.pop("type")]
        known = _ALLOWED[cls.type]
        values = {k: v for k, v in payload.items() if k in known}
        if not all(_fits(name, value, known[name]) for name, value in values.items()):
            raise TypeError("a value of another type")
        return cls(**values)
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as exc:
        raise ValueError(f"not an event: {line[:120]!r}") from exc


def _allowed(cls: type[Event]) -> dict[str, tuple[type, ...]]:
    """What may stand in each field, as JSON has it."""
    kinds: dict[str, tuple[type, ...]] = {
        "int": (int, float),
        "float": (int, float),
        "float | None": (int, float, NoneType),
        "dict[str, float]": (dict,),
    }
    return {f.name: kinds.get(str(f.type), (str,)) for f in fields(cls)}


_ALLOWED = {name: _allowed(cls) for name, cls in _BY_TYPE.items()}


def _fits(name: str, value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    if name == "path" and isinstance(value, str):
        parts = value.replace("\\", "/").split("/")
        return not (value.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in value)
    return not isinstance(value, dict) or all(isinstance(v, int | float) for v in value.values())
