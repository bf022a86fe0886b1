"""A real Slurm of the tests' own: munge, controller, one node on 127.0.0.1, as root, in a temporary folder.

    python -m tests.slurm.cluster            # starts it, prints the variables to set, runs until Ctrl-C

Two partitions share the node: jobs of `urgent` preempt those of `cheap`, which are requeued. A node daemon
that is killed is noticed within seconds. Nothing is left running at the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo", "scontrol")
_START_S = 30.0


def missing() -> str:
    """Why no cluster can be made here, with what to do; empty if it can."""
    lacking = [name for name in PROGRAMS if _program(name) is None]
    if lacking:
        advice = "On Debian: apt-get install --no-install-recommends slurm-wlm munge"
        return f"Slurm isn't installed ({', '.join(lacking)} missing). {advice}"
    if sys.platform != "linux" or os.geteuid() != 0:
        return "A Slurm of one's own needs root on Linux, as in a container."
    return ""


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """In a child: end when this process does, also if that is killed (Linux's PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Cluster:
    """One controller, one node. `environment` is what Slurm's commands need to reach it."""

    node = "here"

    def __init__(self, cores: int = 2) -> None:
        problem = missing()
        if problem:
            raise RuntimeError(problem)
        self.folder = Path(tempfile.mkdtemp(prefix="verglas-slurm-"))
        self.folder.chmod(0o755)
        self.cores = cores
        self.started: list[subprocess.Popen[bytes]] = []
        self.slurmd: subprocess.Popen[bytes] | None = None
        self.environment = dict(os.environ) | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self) -> Cluster:
        try:
            self._configure()
            files = {
                "socket": "socket",
                "key-file": "key",
                "pid-file": "pid",
                "log-file": "log",
                "seed-file": "seed",
            }
            options = [f"--{option}={self.folder}/munge.{suffix}" for option, suffix in files.items()]
            self._start("munged", "--foreground", "--force", *options)
            self._wait_for(lambda: (self.folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D", "-i")
            self.start_node()
            self._wait_for(lambda: self.node_state() == "idle", "the node")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *what: object) -> None:
        self.stop()

    def _configure(self) -> None:
        subprocess.run(
            [_program("mungekey") or "", "--create", f"--keyfile={self.folder}/munge.key"], check=True
        )
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        user, host = getpass.getuser(), socket.gethostname().split(".")[0]
        (self.folder / "slurm.conf").write_text(
            f"""ClusterName=verglas
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={_free_port()}
SlurmdPort={_free_port()}
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge.socket
CredType=cred/munge
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd.pid
SlurmctldLogFile={self.folder}/slurmctld.log
SlurmdLogFile={self.folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=5
KillWait=10
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=1
MaxArraySize=1001
NodeName={self.node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={self.cores} State=UNKNOWN
PartitionName=cheap Nodes={self.node} Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 State=UP
PartitionName=urgent Nodes={self.node} PriorityTier=10 PreemptMode=OFF State=UP
""",
            encoding="utf-8",
        )

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = open(self.folder / f"{name}.out", "ab")  # noqa: SIM115 - the child's
        process = subprocess.Popen(
            [_program(name) or name, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
        log.close()
        self.started.append(process)
        return process

    def _wait_for(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_S
        while not ready():
            dead = [p for p in self.started if p.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise RuntimeError(f"{what} doesn't start:\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """The end of every log."""
        files = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return "\n".join(f"--- {f.name}\n{f.read_text(errors='replace')[-3000:]}" for f in files)

    def call(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    def node_state(self) -> str:
        """The node's state in sinfo's words, e.g. ``idle``, ``down*``; empty while nobody answers."""
        try:
            return self.call("sinfo", "-h", "-N", "-p", "cheap", "-o", "%t")
        except subprocess.CalledProcessError:
            return ""

    def start_node(self) -> None:
        """Start the node's daemon (again)."""
        self.slurmd = self._start("slurmd", "-D", "-N", self.node)

    def kill_node(self, *, steps_too: bool = True) -> None:
        """Kill the node's daemon, and what it runs, as if the machine lost its power; or the daemon alone."""
        assert self.slurmd is not None
        victims = [self.slurmd.pid, *(p.pid for p in self._steps() if steps_too)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # first all stand still: none tells of another's end
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.slurmd.wait(10)
        self.started.remove(self.slurmd)
        self.slurmd = None

    def _steps(self) -> list[psutil.Process]:
        """Daemons of this cluster's job steps, and the jobs' own processes."""
        own = {p.pid for p in self.started} | {os.getpid()} | {p.pid for p in psutil.Process().parents()}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                variables = process.environ()
                ours = variables.get("SLURM_CONF") == self.environment["SLURM_CONF"]
                if ours and "SLURM_JOB_ID" in variables and process.pid not in own:
                    # a step's daemon writes its title over its variables, so it is found from below
                    found += [p for p in process.parents() if p.name().startswith("slurmstepd")]
                    found.append(process)
        return list(dict.fromkeys(found))

    def stop(self) -> None:
        """End everything and remove the folder."""
        for process in self._steps():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for daemon in reversed(self.started):
            daemon.terminate()
        for daemon in reversed(self.started):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.started.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> int:
    """Start a cluster by hand, until Ctrl-C."""
    problem = missing()
    if problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    with Cluster() as cluster:
        sys.stdout.write(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}\n")
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
