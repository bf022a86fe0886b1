"""Kill runs at random moments, go on with them, and compare with undisturbed ones, to the last bit.

    python -m tests.benchmarks.kills --kills 200 --json FILE

Kinds: points (DPS), volumes of class averages (SDS), both trainings, exports. What is killed, with SIGKILL:
the process that computes, the one that started and follows it (as the window does), or both. After each kill
every file of the run must be whole, and a run without a living process must be told as failed when somebody
looks; then it goes on, perhaps to be killed again. At the end results must equal those of an undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from engine.events import TERMINAL, Completed, Failed, Started
from engine.jobs import device_queue, worker
from engine.jobs.run_dir import RunDir
from tests.benchmarks.kills_cases import KINDS, export_command, make_case
from tests.benchmarks.kills_files import contents, differences, unreadable

_START = (
    "import sys; from engine.jobs.worker import Worker, shutdown; from engine.specs import codec\n"
    "job = Worker(codec.load_spec(sys.argv[1]), sys.argv[2], lambda event: None)\n"
    "job.start(); job.join(); shutdown()"
)
_PATIENCE_S = 300.0
_AGAIN = 0.3  # share of runs that are killed once more before they end


@dataclass
class Tally:
    """What happened to one kind."""

    kills: Counter[str] = field(default_factory=Counter)
    completed: int = 0
    told_failed: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def start(spec: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A process that runs a spec as the window does."""
    return subprocess.Popen([sys.executable, "-c", _START, str(spec), str(folder)], stderr=subprocess.DEVNULL)


def until(true: Callable[[], bool], what: str) -> None:
    """Wait, but not for ever."""
    end = time.monotonic() + _PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain for: {what}")
        time.sleep(0.02)


def opened(folder: Path) -> RunDir | None:
    """The run, once its folder is there."""
    return RunDir.open(folder) if (folder / "spec.json").is_file() else None


def computing(folder: Path, starter: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that compute: who holds the run, else children of who started it."""
    run = opened(folder)
    holder = run.holder() if run is not None else None
    if holder is not None and holder.alive:
        return [psutil.Process(holder.pid)]
    try:
        return psutil.Process(starter.pid).children()
    except psutil.NoSuchProcess:
        return []


def kill(folder: Path, starter: subprocess.Popen[bytes], whom: str) -> None:
    """SIGKILL to the computing process, to the one that started it, or to both."""
    victims = computing(folder, starter) if whom != "window" else []
    for victim in victims:
        for process in [*victim.children(recursive=True), victim]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                pass
    if whom != "engine":
        starter.kill()


def disturb(case: str, spec: Path, folder: Path, length_s: float, dice: random.Random, tally: Tally) -> None:
    """One run to its end, killed at least once on the way unless it was quicker."""
    killed = 0
    while True:
        starter = start(spec, folder)
        whom = dice.choice(["engine", "window", "both"]) if killed == 0 or dice.random() < _AGAIN else ""
        if whom:
            _wait_a_while(folder, starter, length_s, dice)
            kill(folder, starter, whom)
            tally.kills[whom] += 1
            killed += 1
        starter.wait(_PATIENCE_S)
        run = opened(folder)
        if run is None:
            continue  # killed before there was a folder
        _wait_for_the_end(run, alone=whom == "window")
        tally.problems += [f"{case}: after a kill of {whom}: {problem}" for problem in unreadable(folder)]
        outcome = run.outcome()
        if isinstance(outcome, Completed):
            tally.completed += 1
            return
        if not whom:
            tally.problems.append(f"{case}: undisturbed, but {outcome}")
            return
        if outcome is None and run.events():
            told = look(run)
            tally.told_failed += isinstance(told, Failed)
            if not isinstance(told, Failed) or not told.message:
                tally.problems.append(f"{case}: a dead run was told as {told}")


def _wait_a_while(
    folder: Path, starter: subprocess.Popen[bytes], length_s: float, dice: random.Random
) -> None:
    if dice.random() < 0.2:  # also while it starts
        time.sleep(dice.uniform(0.05, 3.0))
        return
    until(lambda: _said(folder, Started) or starter.poll() is not None, "a start")
    time.sleep(dice.uniform(0.0, length_s))


def _wait_for_the_end(run: RunDir, *, alone: bool) -> None:
    if alone:
        # the run goes on without the window; a process that had not taken it up yet ends
        until(lambda: not run.running and not _orphans(run.path), "a run without its window")
    until(lambda: not run.running, "the end of the process")


def _said(folder: Path, kind: type) -> bool:
    run = opened(folder)
    return run is not None and any(isinstance(e, kind) for e in run.events())


def _orphans(folder: Path) -> bool:
    """Whether an engine process without a parent still has this folder's log open."""
    log = str((folder / "log.txt").resolve())
    for process in psutil.process_iter(["pid", "cmdline"]):
        if "engine.jobs.engine_process" in " ".join(process.info["cmdline"] or []):
            try:
                if any(os.path.realpath(f"/proc/{process.pid}/fd/{n}") == log for n in (1, 2)):
                    return True
            except OSError:
                continue
    return False


def look(run: RunDir) -> object:
    """What somebody who opens the run is told last."""
    heard: list[object] = []
    job = worker.Worker(run, None, heard.append)
    job.start()
    job.join(60)
    return heard[-1] if heard and isinstance(heard[-1], TERMINAL) else None


def disturb_export(source: Path, out: Path, length_s: float, dice: random.Random, tally: Tally) -> None:
    """An export that is killed; its file is there whole, or not at all; then exported again."""
    command = export_command(source, out)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(dice.uniform(0.5 * length_s, 1.05 * length_s))
    process.kill()
    process.wait()
    tally.kills["export"] += 1
    for problem in unreadable(out.parent):
        tally.problems.append(f"export: {problem}")
    if out.is_file():
        out.unlink()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tally.completed += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for runs that went wrong")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    tallies = {kind: Tally() for kind in options.kinds}
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        os.environ[device_queue.FOLDER_VARIABLE] = str(Path(name) / "state")
        for number, kind in enumerate(options.kinds):
            share = options.kills // len(options.kinds) + (number < options.kills % len(options.kinds))
            _kind(kind, share, Path(name) / kind, tallies[kind], options)
    _report(tallies, options)


def _kind(kind: str, kills: int, folder: Path, tally: Tally, options: argparse.Namespace) -> None:
    dice, begun = random.Random(f"{options.seed} {kind}"), time.monotonic()
    folder.mkdir()
    spec = make_case("dps" if kind == "export" else kind, folder)
    reference = folder / "undisturbed"
    start(spec, reference).wait(_PATIENCE_S)
    run = RunDir.open(reference)
    outcome = run.outcome()
    if not isinstance(outcome, Completed):
        tally.problems.append(f"{kind}: the undisturbed run ended with {outcome}")
        return
    count = 0
    if kind == "export":
        _exports(reference, folder, kills, dice, tally)
    while kind != "export" and sum(tally.kills.values()) < kills:
        count += 1
        one = folder / f"run_{count:03d}"
        before = len(tally.problems)
        try:
            disturb(kind, spec, one, outcome.seconds, dice, tally)
            found = differences(contents(reference), contents(one))
            tally.problems += [f"{kind}: {text}" for text in found]
        except TimeoutError as exc:
            tally.problems.append(f"{kind}: {exc}")
        if len(tally.problems) > before and options.keep is not None:
            shutil.copytree(one, options.keep / f"{kind}_{count:03d}", dirs_exist_ok=True)
        shutil.rmtree(one, ignore_errors=True)
        print(f"{kind}: {sum(tally.kills.values())} kills, {len(tally.problems)} problems", flush=True)
    tally.seconds = time.monotonic() - begun


def _exports(reference: Path, folder: Path, kills: int, dice: random.Random, tally: Tally) -> None:
    out = folder / "exported" / "ensemble.cif"
    out.parent.mkdir()
    begun = time.monotonic()
    subprocess.run(export_command(reference, out), check=True, stdout=subprocess.DEVNULL)
    length, whole = time.monotonic() - begun, out.read_bytes()
    for _ in range(kills):
        out.unlink()
        disturb_export(reference, out, length, dice, tally)
        if out.read_bytes() != whole:
            tally.problems.append("export: the file differs from the undisturbed one")


def _report(tallies: dict[str, Tally], options: argparse.Namespace) -> None:
    print("| kind | kills | of them engine / window / both | completed | told as failed | problems | s |")
    print("|-|-|-|-|-|-|-|")
    for kind, tally in tallies.items():
        who = " / ".join(str(tally.kills[w]) for w in ("engine", "window", "both"))
        print(
            f"| {kind} | {sum(tally.kills.values())} | {who} | {tally.completed} | "
            f"{tally.told_failed} | {len(tally.problems)} | {tally.seconds:.0f} |"
        )
    for tally in tallies.values():
        for problem in tally.problems[:20]:
            print(problem)
    content = {kind: tally.__dict__ | {"kills": dict(tally.kills)} for kind, tally in tallies.items()}
    options.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
