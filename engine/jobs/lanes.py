"""Lanes: how jobs are handed to a batch system, as shell files that people edit.

A lane is a plain Slurm batch script, ``NAME.sh``, in the user's folder of lanes. Words in double braces,
such as ``{{command}}``, are filled in; all else is the shell's, also ``${variables}`` and single braces.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from engine.errors import InputError, SpecError
from engine.io.atomic import write_text

FOLDER_VARIABLE: Final = "VERGLAS_LANES"
SUFFIX: Final = ".sh"
PLACEHOLDERS: Final = {
    "command": "what computes, quoted for the shell (must be there)",
    "name": "the job's name: that of the run's folder and of the stage",
    "log": "where the job's output goes",
    "folder": "the run's folder",
}
_LARGEST_BYTES = 200_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]+)\s*\}\}")
# What `verglas submit` gives on sbatch's command line: a lane's own value would be without effect.
_OURS = ("--array", "-a", "--dependency", "-d", "--parsable", "--wrap", "--chdir", "-D", "--wait", "-W")

_TEMPLATE = """\
#!/bin/bash
# A lane of Verglas: `verglas submit SPEC.toml --lane {name} --out DIR` hands jobs to Slurm with this script.
# Edit it as you need. Lines that begin with `#SBATCH` are options of sbatch, up to the first command;
# with two ## they are asleep. Filled in are words in double braces: command, name, log and folder.
# All else is the shell's. Arrays and dependencies between jobs are Verglas's business.

#SBATCH --job-name={{{{name}}}}
#SBATCH --output={{{{log}}}}
#SBATCH --open-mode=append

# Where: ask your facility for its partitions and accounts (`sinfo` lists partitions).
##SBATCH --partition=normal
##SBATCH --account=my-group

# What one job gets: an array task computes its volumes or samples one after another.
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cores}
#SBATCH --mem=8G
{gpu}

# A job that is preempted, or whose node fails, is queued again and goes on where it was. A minute before its
# time is up it is told, so that it ends cleanly; it then queues itself again.
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60

# What the shell needs first, such as modules.
# module load cuda

export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"

# `exec`, so that Slurm's signals reach Verglas itself.
exec {{{{command}}}}
"""


@dataclass(frozen=True)
class Lane:
    """A batch script to be filled in.

    Attributes
    ----------
    name : of the lane; its file's without the suffix.
    path : the file.
    text : its content.
    """

    name: str
    path: Path
    text: str

    @property
    def options(self) -> tuple[str, ...]:
        """What its ``#SBATCH`` lines say, in their order."""
        return tuple(options for _, options in _sbatch_lines(self.text))

    @property
    def summary(self) -> str:
        """Partition, time and the like in one line."""
        words = [w for line in self.options for w in line.split()]
        wanted = ("--partition", "-p", "--account", "--time", "--gres", "--gpus", "--cpus-per-task", "--mem")
        return " ".join(w for w in words if w.split("=")[0] in wanted)

    def script(self, *, command: list[str], name: str, log: str, folder: Path) -> str:
        """The batch script of one job.

        Parameters
        ----------
        command : program and arguments, not yet quoted.
        log : a path, which may hold Slurm's own ``%A`` and ``%a``.
        """
        values = {
            "command": shlex.join(command),
            "name": name,
            "log": log,
            "folder": shlex.quote(str(folder)),
        }
        return _filled(self.text, values)


def folder() -> Path:
    """Where lanes are kept; it need not exist yet."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    return Path(platformdirs.user_config_dir("verglas", appauthor=False)) / "lanes"


def names() -> list[str]:
    """The lanes that there are, also those that can't be used."""
    try:
        files = [p for p in folder().iterdir() if p.suffix == SUFFIX and _NAME.fullmatch(p.stem)]
    except OSError:  # not made yet, or closed to this user
        return []
    return sorted(p.stem for p in files)


def find(name: str) -> Lane:
    """The lane of this name, checked.

    Raises
    ------
    InputError
        If there is none, or it can't be read.
    SpecError
        If it is no batch script, or has a placeholder that there isn't.
    """
    path = _path(name)
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError("The file is far too large for a lane.", "A lane is a short shell script.", path)
        text = path.read_bytes().decode()
    except FileNotFoundError as exc:
        known = ", ".join(names())
        advice = f"Known are: {known}." if known else f"`verglas lanes new {name}` makes one to be edited."
        raise InputError(f"There is no lane named `{name}`.", advice, path) from exc
    except UnicodeDecodeError as exc:
        raise InputError("This is a binary file, not a lane.", "A lane is a shell script.", path) from exc
    except OSError as exc:
        raise InputError(
            f"The lane can't be read ({exc.strerror or exc}).", "Check its rights.", path
        ) from exc
    _check(text, path)
    return Lane(name, path, text)


def new(name: str, *, gpu: bool = False) -> Path:
    """Write a commented lane to be edited.

    Raises
    ------
    InputError
        If the name can't be used or is taken.
    VerglasError
        If it can't be written.
    """
    path = _path(name)
    if path.exists():
        raise InputError("This lane is there already.", "Edit it, delete it, or take another name.", path)
    line = "#SBATCH --gres=gpu:1" if gpu else "##SBATCH --gres=gpu:1"
    write_text(path, _TEMPLATE.format(name=name, cores=4, gpu=line))
    return path


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"`{name}` can't be a lane's name.",
            "Take letters, digits and . _ -, beginning with a letter or a digit, at most 60.",
        )
    return folder() / f"{name}{SUFFIX}"


def _sbatch_lines(text: str) -> list[tuple[int, str]]:
    """Lines that sbatch reads: those before the first command; with their numbers."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#SBATCH"):
            found.append((number, line.removeprefix("#SBATCH").strip()))
        elif line.strip() and not line.startswith("#"):
            break
    return found


def _check(text: str, path: Path) -> None:
    lines = text.splitlines()
    if not lines or not lines[0].startswith("#!"):
        raise SpecError("The lane's first line names no shell.", "It begins with `#!/bin/bash`.", path)
    if "\r" in text:
        raise SpecError("The lane has a Windows program's line ends.", "Write it with Unix ones.", path)
    for number, line in enumerate(lines, 1):
        for match in _PLACEHOLDER.finditer(line):
            if match[1] not in PLACEHOLDERS:
                raise SpecError(
                    f"Line {number} has an unknown placeholder, `{match[0]}`.",
                    f"There are {', '.join('{{' + p + '}}' for p in PLACEHOLDERS)}.",
                    path,
                )
    commands = [line for line in lines if not line.lstrip().startswith("#")]
    if not any(m[1] == "command" for line in commands for m in _PLACEHOLDER.finditer(line)):
        raise SpecError(
            "The lane runs nothing: `{{command}}` is missing.",
            "End it with the line `exec {{command}}`.",
            path,
        )
    begun = {number for number, _ in _sbatch_lines(text)}
    for number, line in enumerate(lines, 1):
        if line.startswith("#SBATCH") and number not in begun:
            raise SpecError(
                f"Line {number} comes after a command, so that sbatch passes it over.",
                "Move `#SBATCH` lines to the top.",
                path,
            )
    for number, options in _sbatch_lines(text):
        for word in options.split():
            if word.split("=")[0] in _OURS:
                raise SpecError(
                    f"Line {number} sets `{word}`, which `verglas submit` sets itself.", "Take it out.", path
                )


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
