"""An archive on this computer that misbehaves on request, and a clock that needs no waiting."""

from __future__ import annotations

import gzip
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from engine.io.remote import FetchSettings


def structure(size: int = 300_000, seed: int = 0) -> bytes:
    """A gzipped mmCIF file of about ``size`` bytes that doesn't compress well."""
    text = b"data_TEST\nloop_\n_atom_site.id\n" + np.random.default_rng(seed).bytes(size // 2).hex().encode()
    return gzip.compress(text, mtime=0)


def density(edge: int = 24) -> bytes:
    """A gzipped map of noise."""
    header = bytearray(1024)
    header[:16] = struct.pack("<4i", edge, edge, edge, 2)
    header[28:40] = struct.pack("<3i", edge, edge, edge)
    header[40:64] = struct.pack("<6f", edge, edge, edge, 90, 90, 90)
    header[64:76] = struct.pack("<3i", 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\x00\x00"
    voxels = np.random.default_rng(1).normal(size=edge**3).astype("<f4").tobytes()
    return gzip.compress(bytes(header) + voxels, mtime=0)


class Clock:
    """The real time and what was slept away without waiting."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


class Handler(BaseHTTPRequestHandler):
    """Answers as the archive's script says; what it has no script for isn't there."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        answers = self.server.script.get(self.path, [status(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            answer(self)
        except ConnectionError:  # the other side had enough
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def begin(self, code: int, **headers: object) -> None:
        """Send the head of an answer."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def cut(self) -> None:
        """Close the connection after this answer, whatever was announced."""
        self.close_connection = True


Answer = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """With a script of answers for each path (the last one stays) and a record of requests."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def settings(self, **more: object) -> FetchSettings:
        """Settings that name this server for everything."""
        given = {
            "rcsb": f"{self.base}/rcsb", "pdbe": f"{self.base}/pdbe", "emdb": f"{self.base}/emdb",
            "connect_s": 2.0, "stall_s": 5.0,
        }  # fmt: skip
        return FetchSettings(**{**given, **more})

    def asked(self, part: str = "") -> list[str]:
        """Paths of the requests so far that contain ``part``."""
        return [path for path, _ in self.requests if part in path]


@contextmanager
def serving() -> Iterator[Server]:
    """A server while the block runs; all its threads have ended afterwards."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
        assert not thread.is_alive()


# ---- answers -------------------------------------------------------------------------------------


def status(code: int, body: bytes = b"", **headers: object) -> Answer:
    """An answer with a status and perhaps something to read."""

    def answer(handler: Handler) -> None:
        handler.begin(code, **{"Content_Length": len(body), **headers})
        handler.wfile.write(body)

    return answer


def whole(body: bytes, **headers: object) -> Answer:
    """The file, whatever range was asked for."""
    return status(200, body, **headers)


def ranged(body: bytes, etag: str = '"v1"') -> Answer:
    """The file from where it was asked for, if If-Range still holds: as a good server does."""

    def answer(handler: Handler) -> None:
        wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if wanted is None or condition != etag:
            whole(body, ETag=etag)(handler)
            return
        first = int(wanted.removeprefix("bytes=").rstrip("-"))
        if first >= len(body):
            status(416, Content_Range=f"bytes */{len(body)}")(handler)
            return
        place = f"bytes {first}-{len(body) - 1}/{len(body)}"
        status(206, body[first:], ETag=etag, Content_Range=place)(handler)

    return answer


def broken_off(body: bytes, at: int, *, announced: int | None = None, **headers: object) -> Answer:
    """The file, until the connection breaks after ``at`` bytes."""

    def answer(handler: Handler) -> None:
        headers.setdefault("ETag", '"v1"')
        handler.begin(200, Content_Length=len(body) if announced is None else announced, **headers)
        handler.wfile.write(body[:at])
        handler.cut()

    return answer


def silent(body: bytes, at: int) -> Answer:
    """The file, until nothing more comes though the connection stays."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(body), ETag='"v1"')
        handler.wfile.write(body[:at])
        handler.server.closing.wait(20)
        handler.cut()

    return answer


def crawling(body: bytes) -> Answer:
    """A byte now and then."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Content_Length=len(body), ETag='"v1"')
        for i in range(len(body)):
            handler.wfile.write(body[i : i + 1])
            if handler.server.closing.wait(0.01):
                break
        handler.cut()

    return answer


def endless(start: bytes) -> Answer:
    """Chunks without end and without a length."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Transfer_Encoding="chunked")
        piece = start
        while not handler.server.closing.is_set():
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            piece = b"\0" * 65536

    return answer


def chunked(body: bytes, at: int | None = None) -> Answer:
    """The file in chunks, without a length; broken off after ``at`` bytes if given."""

    def answer(handler: Handler) -> None:
        handler.begin(200, Transfer_Encoding="chunked")
        piece = body[:at]
        handler.wfile.write(f"{len(body):x}\r\n".encode() + piece)
        if at is None:
            handler.wfile.write(b"\r\n0\r\n\r\n")
        else:
            handler.cut()

    return answer


def moved(to: str) -> Answer:
    """A redirect."""
    return status(302, Location=to)
