"""The command line that does the same as a run description."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence

from engine.specs.components import Model
from engine.specs.job import JobSpec, TrainPriorSpec
from engine.specs.sds import TrainDenoiserSpec


def needs_file(spec: JobSpec) -> bool:
    """Whether only a file can say it all: reconstructions have tables that no options stand for."""
    return not isinstance(spec, TrainPriorSpec | TrainDenoiserSpec)


def arguments(spec: JobSpec, out: str, *, file: str = "") -> list[str]:
    """Words of the command line, the program's name first.

    Parameters
    ----------
    out : folder of the run.
    file : where the description is saved, for those that :func:`needs_file` says need one.
    """
    if isinstance(spec, TrainPriorSpec):
        words = ["verglas", "train", "prior", spec.clouds, "--out", out]
        return words + _options(spec, ("clouds",))
    if isinstance(spec, TrainDenoiserSpec):
        words = ["verglas", "train", "denoiser", spec.averages.file, "--out", out]
        return words + _options(spec.averages, ("file",)) + _options(spec, ("averages",))
    return ["verglas", "run", file, "--out", out]


def quoted(words: Sequence[str]) -> str:
    """One line for the shell of this system."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def flag_of(name: str) -> str:
    """The option that stands for a field: units in names are the specs', not the command line's."""
    return "--" + name.removesuffix("_A").removesuffix("_s").replace("_", "-")


def _options(model: Model, leave_out: tuple[str, ...]) -> list[str]:
    """Options for the fields that differ from their defaults."""
    words: list[str] = []
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if name in ("kind", "schema_version", *leave_out) or value == info.default or value is None:
            continue
        flag = flag_of(name)
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, tuple):
            words.append(f"{flag}={_ranges(value)}")
        else:
            # one word, so that a value that begins with a dash is no option
            words.append(f"{flag}={value!r}" if isinstance(value, float) else f"{flag}={value}")
    return words


def _ranges(numbers: Sequence[int]) -> str:
    """``(1, 2, 3, 7)`` as ``1-3,7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
