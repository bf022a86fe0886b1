"""Inputs read in processes of their own, which are watched: what they open and run, memory, time."""

from __future__ import annotations

import mmap
import os
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import VerglasError
from tests.fuzz.readers import WHERE, Reader

SECONDS = 5.0
"""The longest that reading may take, of the processor."""
MEMORY = 200 << 20
"""Bytes that reading may take besides four times the file's size."""
PER_WORKER = 2000
_BACKSTOP = 3 << 30  # of address space: a reader that goes astray must not take the machine with it
_STUCK_SECONDS = 60.0
_SLOT = struct.Struct("<qddqq")  # number, wall clock and processor at its start, accepted, refused
_NO_INPUT = -(1 << 40)
_PAGE = os.sysconf("SC_PAGE_SIZE")
_REPOSITORY = Path(__file__).resolve().parents[2]
_LIBRARIES = tuple(
    {
        os.path.realpath(p) + os.sep
        for p in (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), _REPOSITORY)
    }
)
_SYSTEM = (
    "/proc/self/",
    f"/proc/{os.getpid()}/",
    "/sys/",
    "/dev/urandom",
    "/usr/lib",
    "/usr/share",
    "/etc/localtime",
)
_FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "pickle.find_class",
    "ctypes.dlopen",
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
    "marshal.loads",
    "webbrowser.open",
    "ftplib.connect",
    "urllib.Request",
    "os.putenv",
    "os.kill",
)
_IN_FOLDER = ("os.remove", "os.rmdir", "os.mkdir", "os.chmod")


@dataclass(frozen=True)
class Violation:
    """An input that a reader didn't treat as it must.

    Attributes
    ----------
    kind : ``exception``, ``crash``, ``hang``, ``slow``, ``memory``, ``path`` or ``code``.
    number : of the input.
    key : what is the same for inputs that fail alike.
    detail : the traceback, the path, …
    """

    kind: str
    number: int
    key: str
    detail: str


@dataclass
class Tally:
    """What became of a reader's inputs."""

    accepted: int = 0
    refused: int = 0
    violations: list[Violation] = field(default_factory=list)


class _Watch:
    """An audit hook: notes what reading opens and runs, while it is switched on."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self.on = False
        self.found: list[tuple[str, str]] = []
        self._allowed = tuple(os.path.realpath(p) for p in allowed)
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            self._open(args)
        elif event == "exec":
            name = getattr(args[0], "co_filename", "?")
            if not (name.startswith("<frozen") or os.path.realpath(name).startswith(_LIBRARIES)):
                self.found.append(("code", f"exec {name}"))
        elif event in _FORBIDDEN:
            if event not in ("marshal.loads", "ctypes.dlopen") or not _importing():
                self.found.append(("code", f"{event} {str(args)[:200]}"))
        elif event.startswith(("os.", "shutil.")) and event not in ("os.putenv", "os.unsetenv"):
            folders = [a for a in args if isinstance(a, int) and not isinstance(a, bool) and a > 2]
            for path in args:
                if isinstance(path, str | bytes | os.PathLike):
                    if (
                        folders and not os.path.isabs(path) and event in _IN_FOLDER
                    ):  # relative to an open folder
                        path = os.path.join(os.readlink(f"/proc/self/fd/{folders[0]}"), os.fsdecode(path))
                    self._path(event, path, write=event not in ("os.listdir", "os.scandir"))

    def _open(self, args: tuple[Any, ...]) -> None:
        path, mode, flags = args
        if isinstance(path, str | bytes | os.PathLike):
            writes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            self._path(
                "open", path, write=writes or (isinstance(mode, str) and any(c in mode for c in "wax+"))
            )

    def _path(self, event: str, path: Any, *, write: bool) -> None:
        try:
            real = os.path.realpath(os.fsdecode(path))
        except ValueError:
            return  # a name that no file can have
        if real.startswith(self._allowed) or (not write and real.startswith((*_LIBRARIES, *_SYSTEM))):
            return
        if not write and re.fullmatch(r"/proc/\d+/stat", real):
            return  # whether the process of a lock lives
        self.found.append(("path", f"{event} {real}{' to write' if write else ''}"))


def _importing() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _resident() -> int:
    with open("/proc/self/statm", "rb") as handle:
        return int(handle.read().split()[1]) * _PAGE


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _key(exc: BaseException) -> str:
    """Type of an exception and the last line of ours that it went through."""
    frames = traceback.extract_tb(exc.__traceback__)
    ours = [
        f for f in frames if f"{os.sep}engine{os.sep}" in f.filename or f"{os.sep}app{os.sep}" in f.filename
    ]
    last = ours[-1] if ours else frames[-1]
    return f"{type(exc).__name__} in {Path(last.filename).name}:{last.lineno} {last.name}"


def _size(content: bytes) -> int:
    """Bytes of a file; of a map in gzip, which may hold little but zeros, those that come out."""
    if not content.startswith(b"\x1f\x8b"):
        return len(content)
    try:
        return max(len(content), len(zlib.decompressobj(31).decompress(content, 1 << 28)))
    except zlib.error:
        return len(content)


class _Worker:
    """The side that reads; lives in the forked process."""

    def __init__(self, reader: Reader, root: Path, slot: mmap.mmap, pipe: int) -> None:
        self.reader, self.slot, self.pipe = reader, slot, pipe
        self.project, scratch = root / "a" / "b" / "project", root / "scratch"
        scratch.mkdir()
        tempfile.tempdir = str(scratch)
        self.path = self.project / WHERE / reader.file
        self.path.parent.mkdir(parents=True)
        (root / "outside.mrcs").write_bytes(b"\x00" * 2048)
        self._lay_out()
        for content in reader.seeds():  # everything is imported and as large as it gets before it is watched
            self.path.write_bytes(content)
            self._read()
        self._lay_out()
        self.watch = _Watch([str(root / "a"), str(scratch)])
        used = int(Path("/proc/self/statm").read_bytes().split()[0]) * _PAGE
        resource.setrlimit(resource.RLIMIT_AS, (used + _BACKSTOP, resource.RLIM_INFINITY))

    def _lay_out(self) -> None:
        for name, content in self.reader.beside().items():
            place = self.project / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def _read(self) -> tuple[bool, Exception | None]:
        """Whether a call accepts the input, and an error that is none of ours."""
        accepted, failed = False, None
        for read in self.reader.reads:
            try:
                read(self.path)
                accepted = True
            except VerglasError:
                pass
            except Exception as exc:
                failed = exc
        return accepted, failed

    def one(self, number: int, content: bytes) -> bool:
        """Read one input; whether the process is still good for more."""
        self.path.write_bytes(content)
        _, _, _, accepted, refused = _SLOT.unpack_from(self.slot)
        before, peak = _resident(), _peak()
        started = time.process_time()
        _SLOT.pack_into(self.slot, 0, number, time.monotonic(), started, accepted, refused)
        self.watch.found, self.watch.on = [], True
        try:
            fine, failed = self._read()
        finally:
            self.watch.on = False
        seconds, after = time.process_time() - started, _peak()
        accepted, refused = accepted + fine, refused + (not fine)
        _SLOT.pack_into(self.slot, 0, number, 0.0, 0.0, accepted, refused)
        if failed is not None:
            words = "".join(traceback.format_exception(failed))[-3000:]
            self._tell(Violation("exception", number, _key(failed), words))
        for kind, what in dict.fromkeys(self.watch.found):
            self._tell(Violation(kind, number, f"{kind} {what[:60]}", what))
        if seconds > SECONDS:
            self._tell(Violation("slow", number, "slow", f"{seconds:.1f} s"))
        grown = after - before
        if after > peak and grown > 4 * _size(content) + MEMORY:
            self._tell(Violation("memory", number, "memory", f"{grown >> 20} MiB for {len(content):,} bytes"))
            return False  # the peak never falls again
        return True

    def _tell(self, violation: Violation) -> None:
        text = "\x1f".join((violation.kind, str(violation.number), violation.key, violation.detail))
        os.write(self.pipe, text.encode("utf-8", "replace")[:3500].replace(b"\x1e", b"") + b"\x1e")


def _in_child(
    reader: Reader, inputs: Iterable[tuple[int, bytes]], root: Path, slot: mmap.mmap, pipe: int
) -> None:
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):  # libraries speak; nobody listens
            os.dup2(null, stream)
        os.chdir(root)
        import gc
        import warnings

        gc.freeze()
        warnings.simplefilter("ignore")
        worker = _Worker(reader, root, slot, pipe)
        code = 0
        parent = os.getppid()
        for number, content in inputs:
            if os.getppid() != parent:
                break  # whoever watched is gone
            if not worker.one(number, content):
                code = 3
                break
    except BaseException:
        os.write(pipe, f"broken\x1f-1\x1fthe fuzzer itself\x1f{traceback.format_exc()[-3000:]}\x1e".encode())
    finally:
        os._exit(code)


def run(reader: Reader, numbers: Sequence[int], seed: int, known: Sequence[bytes] = ()) -> Tally:
    """Read inputs in watched processes, one after the other.

    Parameters
    ----------
    numbers : of the inputs; those below zero count ``known`` from its end, others are made from the seed.
    """
    tally, done = Tally(), 0
    while done < len(numbers):
        batch = numbers[done : done + PER_WORKER]
        inputs = ((n, reader.make(seed, n) if n >= 0 else known[n]) for n in batch)
        last, violations = _one_process(reader, inputs, tally)
        tally.violations += violations
        if any(v.kind == "broken" for v in violations):
            return tally
        done += len(batch) if last is None else batch.index(last) + 1
    return tally


def _one_process(
    reader: Reader, inputs: Iterable[tuple[int, bytes]], tally: Tally
) -> tuple[int | None, list[Violation]]:
    """The number of the input at which the process ended early, or None; what was found."""
    root = Path(tempfile.mkdtemp(prefix="verglas-fuzz-"))
    slot = mmap.mmap(-1, _SLOT.size)
    _SLOT.pack_into(slot, 0, _NO_INPUT, 0.0, 0.0, 0, 0)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _in_child(reader, inputs, root, slot, write_end)
    os.close(write_end)
    os.set_blocking(read_end, False)
    told, ended = bytearray(), None
    try:
        while ended is None:
            told += _available(read_end)
            finished, status = os.waitpid(pid, os.WNOHANG)
            if finished:
                ended = status
            elif _hangs(pid, slot):
                os.kill(pid, signal.SIGKILL)
                _, ended = os.waitpid(pid, 0)
            else:
                time.sleep(0.02)
        told += _available(read_end)
    finally:
        os.close(read_end)
        shutil.rmtree(root, ignore_errors=True)
    number, started, _, accepted, refused = _SLOT.unpack_from(slot)
    tally.accepted, tally.refused = tally.accepted + accepted, tally.refused + refused
    found = []
    for line in bytes(told).split(b"\x1e")[:-1]:
        kind, at, key, detail = line.decode("utf-8", "replace").split("\x1f", 3)
        found.append(Violation(kind, int(at), key, detail))
    if os.WIFSIGNALED(ended):
        kind = "hang" if os.WTERMSIG(ended) == signal.SIGKILL and started else "crash"
        name = signal.Signals(os.WTERMSIG(ended)).name
        found.append(Violation(kind if number > _NO_INPUT else "broken", number, f"{kind} {name}", name))
        return number, found
    return (number if os.WEXITSTATUS(ended) == 3 else None), found


def _available(pipe: int) -> bytes:
    out = bytearray()
    while True:
        try:
            block = os.read(pipe, 1 << 16)
        except BlockingIOError:
            break
        if not block:
            break
        out += block
    return bytes(out)


def _hangs(pid: int, slot: mmap.mmap) -> bool:
    """Whether an input takes too long: of the processor, which others may share, or waiting for something."""
    _, started, used, _, _ = _SLOT.unpack_from(slot)
    if not started or time.monotonic() - started < SECONDS:
        return False
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds - used > 2 * SECONDS or time.monotonic() - started > _STUCK_SECONDS
