"""Ways to break a file: bytes, text, JSON, npy headers, npz archives and gzip layers.

Every function takes a :class:`random.Random`, so that an input is known by its reader, seed and number.
"""

# ruff: noqa: E501 - tables of values
from __future__ import annotations

import copy
import gzip
import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutate = Callable[[Random, Sequence[bytes]], bytes]

LARGEST = 1 << 18
"""Bytes of an input before compression: what breaks a reader seldom needs more."""

WHOLE = (0, 1, 2, 3, 4, 7, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536, 1 << 20, 2**31 - 1, 2**31,
         2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -128, -32768, -(2**31), -(2**63))  # fmt: skip
REAL = (0.0, -0.0, 1.0, -1.0, 0.05, 100.0, 1e-45, 1e-300, 1e38, 3.5e38, 1e300, float("inf"), float("-inf"),
        float("nan"))  # fmt: skip
TOKENS = (
    "", " ", "0", "-0", "1", "-1", "2147483648", "9" * 30, "9" * 5000, "1e999", "-1e999", "1e-999", "nan", "inf",
    "-inf", "NaN", "0x10", "1_000", "1.5.2", "1,5", "٣", "½", "é", "日本", "\u202e", "\ufeff", "\U0001f600", "\x00",
    "\x1a", "\x0b", "\x85", "\u2028", "null", "None", "true", "?", ".", "-", "'", '"', "''", '"a b"', ";", "#",
    "\\", "/", "..", "../", "/etc/passwd", "../../../../outside.mrcs", "../../../../../../etc/passwd", "~",
    "C:\\x", "%s%n", "{}", "[]", "[" * 3000, "{" * 3000, "(" * 300, "data_", "loop_", "save_", "stop_", "global_",
    "A" * 300, "A" * 70000, "\n", "\r", "\r\n", "\t", ",", "=", "x", "y", "z", "__class__", "__import__('os')",
    "kind", "points",
)  # fmt: skip


def _number(rng: Random) -> bytes:
    order = rng.choice("<>")
    if rng.random() < 0.35:
        value = rng.choice(REAL)
        code = rng.choice("fd")
        if code == "f" and abs(value) > 3.4e38:
            value = float("inf")
        return struct.pack(order + code, value)
    code = rng.choice("bhiq")
    size = struct.calcsize(code)
    value = rng.choice(WHOLE) if rng.random() < 0.8 else rng.getrandbits(64)
    return struct.pack(order + code.upper(), value % (1 << (8 * size)))


def one_of_bytes(
    rng: Random, content: bytes, others: Sequence[bytes], tokens: Sequence[str] = TOKENS
) -> bytes:
    """One change of bytes."""
    data = bytearray(content) or bytearray(b"\x00")
    at = rng.randrange(len(data))
    # Headers decide more than data do.
    if rng.random() < 0.4:
        at = rng.randrange(min(len(data), 1100))
    span = 1 << rng.randrange(0, 9)
    kind = rng.randrange(10)
    if kind == 0:
        for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at : at + span] = rng.randbytes(span)
    elif kind in (2, 3):
        value = _number(rng)
        at -= at % len(value)
        data[at : at + len(value)] = value
    elif kind == 4:
        del data[at:]
    elif kind == 5:
        data += rng.choice((b"\x00", b"\xff", b"\n", rng.randbytes(4))) * span
    elif kind == 6:
        other = rng.choice(others)
        cut = rng.randrange(len(other) + 1)
        data[at:] = other[cut:]
    elif kind == 7:
        data[at:at] = bytes(data[at : at + span]) * rng.choice((1, 1, 2, 50))
    elif kind == 8:
        del data[at : at + span]
    else:
        data[at : at + rng.choice((0, span))] = rng.choice(tokens).encode("utf-8", "surrogatepass")
    return bytes(data[:LARGEST])


def times(rng: Random) -> int:
    """How many changes an input gets: mostly few, so that something of it is still understood."""
    return rng.choice((1, 1, 1, 1, 2, 2, 3, 5, 12))


def of_bytes(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes that know nothing of the format."""
    content = rng.choice(seeds)
    for _ in range(times(rng)):
        content = one_of_bytes(rng, content, seeds)
    return content


# ---- text -------------------------------------------------------------------------------------------


def of_text(words: Sequence[str] = ()) -> Mutate:
    """Changes of lines, columns and words; ``words`` mean something in the format."""
    vocabulary = (*TOKENS, *words, *words)

    def mutate(rng: Random, seeds: Sequence[bytes]) -> bytes:
        if rng.random() < 0.15:
            return of_bytes(rng, seeds)
        text = rng.choice(seeds).decode("utf-8", "replace")
        for _ in range(times(rng)):
            text = _one_of_text(rng, text, seeds, vocabulary)
        content = text.encode("utf-8", "surrogatepass")[:LARGEST]
        if rng.random() < 0.03:
            content = text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")), "replace")
        return content

    return mutate


def _one_of_text(rng: Random, text: str, seeds: Sequence[bytes], words: Sequence[str]) -> str:
    kind = rng.randrange(8)
    if kind <= 2:  # one word
        found = list(re.finditer(r"\S+", text))
        if not found:
            return rng.choice(words)
        word = rng.choice(found)
        new = rng.choice(words)
        if rng.random() < 0.2:
            new = word.group() + new
        return text[: word.start()] + new + text[word.end() :]
    if kind == 3:  # one column of digits, as in PDB
        found = list(re.finditer(r"[-+.\d]+", text))
        if not found:
            return text
        word = rng.choice(found)
        width = word.end() - word.start()
        return text[: word.start()] + rng.choice(words)[:width].rjust(width) + text[word.end() :]
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    if kind == 4:
        del lines[at : at + rng.choice((1, 1, 3, 20))]
    elif kind == 5:
        lines[at:at] = lines[at : at + rng.choice((1, 2, 10))] * rng.choice((1, 1, 2, 300))
    elif kind == 6:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines.insert(at, " ".join(rng.choice(words) for _ in range(rng.randrange(1, 6))))
    return "\n".join(lines)[:LARGEST]


# ---- JSON -------------------------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf"),
    float("-inf"), "", "x", "/etc/passwd", "../../../../outside.npy", "\x00", "\ud800", "é" * 100, "9" * 5000, [],
    {}, [[]], [None], [1, 2, 3], {"": 0}, {"x": {}}, "nan", "1", "shipped", "A" * 70000,
)  # fmt: skip


def change_json(rng: Random, value: Any) -> Any:
    """A copy with one place changed."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, item in items:
            places.append((node, key))
            walk(item)

    walk(value)
    if not places or rng.random() < 0.02:
        return rng.choice(_VALUES)
    node, key = rng.choice(places)
    small = len(places) < 200  # or copies of copies fill the memory
    kind = rng.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[rng.choice(TOKENS)[:400]] = node.pop(key)
    elif kind == 2 and small:
        other, name = rng.choice(places)
        node[key] = copy.deepcopy(other[name]) if other is not node or name != key else None
    elif kind == 3 and isinstance(node, list) and small:
        node.extend(copy.deepcopy(node) * rng.choice((1, 3, 40)))
    else:
        node[key] = rng.choice(_VALUES)
    return value


def json_text(rng: Random, value: Any) -> bytes:
    """The text of a JSON value, now and then with a part that is nested too deeply."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.7)
    if rng.random() < 0.03:
        depth = rng.choice((900, 5000, 100_000))
        deep = rng.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth))
        text = text.replace(rng.choice(("null", "0", "1", '""', "{", "true")), deep, 1)
    return text.encode("utf-8", "surrogatepass")


def of_json(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes of the values of a JSON file, or of its text."""
    if rng.random() < 0.25:
        return of_text()(rng, seeds)
    value = json.loads(rng.choice(seeds))
    for _ in range(times(rng)):
        value = change_json(rng, value)
    return json_text(rng, value)


def of_json_lines(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes of single lines of a file of JSON lines, or of its text."""
    if rng.random() < 0.3:
        return of_text()(rng, seeds)
    lines = rng.choice(seeds).splitlines()
    for _ in range(times(rng)):
        at = rng.randrange(len(lines))
        try:
            lines[at] = json_text(rng, change_json(rng, json.loads(lines[at])))
        except (ValueError, RecursionError):
            lines[at] = b"{}"
    return b"\n".join(lines) + rng.choice((b"\n", b"", b"\n\n"))


# ---- npy and npz ------------------------------------------------------------------------------------

_DESCRIPTIONS = (
    "'<f4'", "'>f8'", "'<i8'", "'|O'", "'|V0'", "'<U0'", "'<U9'", "'|S5'", "'<f2'", "'<c16'", "'<M8[s]'", "'|b1'",
    "[('a','<f4')]", "[('a','|O')]", "[('a','<f4',(0,))]", "[('a','<f4',(2,3))]", "[]", "'<f4'*9", "None", "'x'",
    "'<V2147483647'", "[('a','<f4'),('a','<f4')]", "{'names':['a'],'formats':['<f4']}", "__import__('os')",
    "lambda: 0", "'f,f,f'", "[('', '<f4')]", "[('é','<f4')]", "('<f4',(9999,9999))", "'<f16'", "'<U999999999'",
)  # fmt: skip
_SHAPES = (
    "()", "(0,)", "(1,)", "(3,)", "(-1,)", "(2147483648,)", "(4294967296,4294967296)", "(0,3)", "(3,0)", "(1,3)",
    "(3,3,3)", "(9223372036854775807,2)", "(100000,3)", "(1000000,3)", "None", "3", "[3]", "(3.0,)", "(True,3)",
    "('a',)", "(1,)*40", "(" + "1," * 40 + ")", "(" + "9" * 5000 + ",)", "((3,),)",
)  # fmt: skip


def change_npy(rng: Random, content: bytes) -> bytes:
    """One change of an npy file: of its version, of a key of its header, of the header's length or of bytes."""
    if len(content) < 12 or not content.startswith(b"\x93NUMPY") or rng.random() < 0.25:
        return one_of_bytes(rng, content, [content])
    length = struct.unpack("<H", content[8:10])[0]
    header, data = content[10 : 10 + length].decode("latin-1"), content[10 + length :]
    kind = rng.randrange(6)
    if kind in (0, 1):
        header = re.sub(r"'shape':\s*\([^)]*\)", lambda _: "'shape': " + rng.choice(_SHAPES), header)
    elif kind == 2:
        header = re.sub(
            r"'descr':\s*('[^']*'|\[.*?\])", lambda _: "'descr': " + rng.choice(_DESCRIPTIONS), header
        )
    elif kind == 3:
        old, new = rng.choice(
            (("False", "True"), ("descr", "x"), ("}", ", 'a': 1}"), ("{", "{" * 200), ("(", "(("))
        )
        header = header.replace(old, new, 1)
    elif kind == 4:
        header = _one_of_text(rng, header, [content], TOKENS)
    else:
        data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.5 else data * 2
    raw = header.encode("latin-1", "replace")[:65535]
    stated = len(raw) if rng.random() < 0.9 else rng.choice((0, 1, min(len(raw) + 1, 65535), 65535))
    version = (
        b"\x01\x00"
        if rng.random() < 0.93
        else rng.choice((b"\x02\x00", b"\x03\x00", b"\x00\x00", b"\x09\x01"))
    )
    size = (
        struct.pack("<H", stated) if version[0] == 1 else struct.pack("<I", rng.choice((stated, 2**32 - 1)))
    )
    return b"\x93NUMPY" + version + size + raw + data


def of_npy(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes of one array."""
    content = rng.choice(seeds)
    for _ in range(times(rng)):
        content = change_npy(rng, content)
    return content[:LARGEST]


def of_npz(rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Changes of the members of an archive, of their names, and of the archive itself."""
    raw = rng.choice(seeds)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(times(rng)):
        at = rng.randrange(len(members)) if members else 0
        kind = rng.randrange(12)
        if not members or kind == 0:
            members.append(
                (rng.choice(("x.npy", "points.npy", "../x.npy", "/x.npy", "a\x00b.npy", "")), b"\x93NUMPY")
            )
        elif kind == 1:
            del members[at]
        elif kind == 2:
            members[at] = (rng.choice((*TOKENS, "points.npy", "weights.npy"))[:300], members[at][1])
        elif kind == 3:
            members.insert(at, members[at])
        elif kind == 4:
            members[at] = (members[at][0], rng.choice(members)[1])
        else:
            members[at] = (members[at][0], change_npy(rng, members[at][1]))
    out = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name or "a", (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # names that come twice
                try:
                    archive.writestr(info, content)
                except (ValueError, UnicodeError):
                    continue
    content = out.getvalue()
    if rng.random() < 0.01:
        content = _bomb(rng, members[0][0] if members else "points.npy")
    while rng.random() < 0.3:
        content = one_of_bytes(rng, content, seeds)
    return content


def _bomb(rng: Random, name: str) -> bytes:
    """A small archive of a large array of zeros."""
    count = rng.choice((3_000_000, 30_000_000))
    out = io.BytesIO()
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({count // 3}, 3), }}".ljust(117) + "\n"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name or "a", "w") as member:
        member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for _ in range(count * 8 >> 20):
            member.write(bytes(1 << 20))
    return out.getvalue()


# ---- gzip -------------------------------------------------------------------------------------------


def gzipped(inner: Mutate) -> Mutate:
    """The same in a gzip file that may be broken, nested, joined from several, or far larger inside."""

    def mutate(rng: Random, seeds: Sequence[bytes]) -> bytes:
        content = inner(rng, seeds)
        kind = rng.randrange(20)
        if kind == 0:
            content = gzip.compress(content, 1, mtime=0)  # twice
        elif kind == 1:
            content += bytes(rng.choice((1 << 10, 1 << 22)))
        elif kind == 2 and rng.random() < 0.15:
            content += rng.choice((b"\x00", b" ", b"\n", b"0 ")) * rng.choice((20 << 20, 100 << 20))
        packed = gzip.compress(content, 1, mtime=0)
        if kind == 3:
            packed += packed
        elif kind == 4:
            packed += rng.choice((b"\x1f\x8b", b"\x00" * 9, b"junk"))
        elif kind == 5:
            packed = packed[:10] + zlib.compress(content)[2:]  # no length, no checksum
        elif kind in (6, 7, 8):
            packed = one_of_bytes(rng, packed, [packed])
        return packed

    return mutate
