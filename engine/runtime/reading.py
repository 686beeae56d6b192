"""Reading: the records of one file of the user's, from its front: lines, blocks, whole files, JSON, Parquet; compressed or not.

Blocks on the disk, so it is called in a worker thread. Nothing larger than a record and a piece of the file is ever in memory.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import sys
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import orjson
import zstandard

from engine.core.documents import CODECS, LARGEST, NOT_JSON, TOO_LARGE, UNDECODABLE, Encoding, Flaw, InputPlan, JsonLine, Raw

PIECE = 1 << 20
PACKED = 1 << 13
"""Bytes of a compressed file that are unpacked together: what comes out may be a hundred times as many."""
FAR = 2000
"""From so many lines on, counting the line ends of a whole piece is quicker than finding them one by one."""
ROWS = 256
"""Rows of a Parquet file that are decoded together."""
BOMS = (codecs.BOM_UTF8, "\ufeff".encode("gb18030"))

TEXT_SUFFIXES = (".txt", ".text", ".md")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")
PACKERS = (".gz", ".zst")
_SPACE, _BETWEEN = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
KNOWN = (*TEXT_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES)


class Unreadable(Exception):
    """A file that is not what its name says; the text says how."""


def faults() -> tuple[type[Exception], ...]:
    """What reading a file may raise, the libraries' own errors included."""
    arrow = sys.modules.get("pyarrow")
    return (Unreadable, OSError, EOFError, zlib.error, zstandard.ZstdError, *((arrow.ArrowException,) if arrow else ()))


class Records(Protocol):
    """The records of a file in their order."""

    def skip(self, count: int) -> int:
        """Pass over so many records; returns how many there were, fewer where the file ends before."""
        ...

    def next(self) -> Raw | None:
        """The next record; `None` at the end."""
        ...


def suffix(path: Path) -> str:
    """What a file is by its name, how it is packed left aside."""
    name = path.name.lower()
    for packer in PACKERS:
        name = name.removesuffix(packer)
    return Path(name).suffix


def records(path: Path, plan: InputPlan) -> Records:
    """The records of a file. Making and using them raises `Unreadable`, or another one of `faults`."""
    kind = suffix(path)
    if kind in PARQUET_SUFFIXES:
        return Parquet(path)
    if kind in JSON_SUFFIXES:
        if kind == ".json" and _first(path) == b"[":
            return JsonList(pieces(path), plan.encoding)
        return JsonLines(Lines(pieces(path)))
    if plan.document == "file":
        return Whole(path)
    lines = Lines(pieces(path))
    return Blocks(lines) if plan.document == "block" else lines


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked, without a byte order mark. A plain file is read as long as it is now and no longer: what is
    appended later belongs to another input."""
    whole = _pieces(path)
    first = next(whole, b"")
    yield next((first.removeprefix(mark) for mark in BOMS if first.startswith(mark)), first)
    yield from whole


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as packed:
                while piece := packed.read(PIECE):
                    yield piece
        elif path.name.lower().endswith(".zst"):
            yield from _frames(iter(lambda: file.read(PACKED), b""))
        else:
            left = path.stat().st_size
            while left > 0 and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece


def _frames(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Zstandard frames, one after the other."""
    unpacker, whole = zstandard.ZstdDecompressor().decompressobj(), True
    for piece in packed:
        rest = piece
        while rest:
            if unpacker.eof:
                unpacker = zstandard.ZstdDecompressor().decompressobj()
            yield unpacker.decompress(rest)
            rest, whole = unpacker.unused_data, unpacker.eof
    if not whole:
        raise Unreadable("its compressed data ends too early")


def _first(path: Path) -> bytes:
    """The first byte that is no white space."""
    return next((piece.lstrip()[:1] for piece in pieces(path) if piece.strip()), b"")


class Lines:
    """Lines without their ends. Of one that is too large nothing is kept."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def _load(self) -> bool:
        """The next piece; false at the end."""
        self._piece, self._at = next((piece for piece in self._pieces if piece), b""), 0
        return bool(self._piece)

    def next(self) -> bytes | Flaw | None:
        parts: list[bytes] = []
        size = 0
        while True:
            end = self._piece.find(b"\n", self._at)
            part = self._piece[self._at : end if end >= 0 else None]
            size += len(part)
            if size <= LARGEST:
                parts.append(part)
            if end >= 0:
                self._at = end + 1
                break
            if not self._load():
                if not size:
                    return None
                break
        return b"".join(parts).removesuffix(b"\r") if size <= LARGEST else Flaw(TOO_LARGE)

    def skip(self, count: int) -> int:
        left, begun = count, False
        while left:
            passed = self._pass(left)
            left -= passed
            begun = self._at < len(self._piece) if passed else begun or self._at < len(self._piece)
            if left and not self._load():
                return count - left + int(begun)  # the last line has no end
        return count

    def _pass(self, most: int) -> int:
        """Go behind up to `most` line ends of the piece that is there; returns how many there were."""
        if most > FAR and (there := self._piece.count(b"\n", self._at)) <= most:
            self._at = self._piece.rfind(b"\n") + 1 if there else self._at
            return there
        for passed in range(most):
            end = self._piece.find(b"\n", self._at)
            if end < 0:
                return passed
            self._at = end + 1
        return most


class JsonLines:
    """Lines that hold JSON."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.skip = lines.skip

    def next(self) -> JsonLine | Flaw | None:
        line = self._lines.next()
        return JsonLine(line) if isinstance(line, bytes) else line


class Blocks:
    """Blocks of lines that blank lines separate."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def next(self) -> bytes | Flaw | None:
        block: list[bytes] = []
        size, there = 0, False
        while (line := self._lines.next()) is not None:
            if isinstance(line, bytes) and not line.strip():
                if there:
                    break
                continue
            there = True
            size += len(line) + 1 if isinstance(line, bytes) else LARGEST + 1
            if size <= LARGEST and isinstance(line, bytes):
                block.append(line)
        if not there:
            return None
        return b"\n".join(block) if size <= LARGEST else Flaw(TOO_LARGE)

    def skip(self, count: int) -> int:
        return next((passed for passed in range(count) if self.next() is None), count)


class Whole:
    """A file that is one record. It is not opened before it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path: Path | None = path

    def next(self) -> bytes | Flaw | None:
        if self._path is None:
            return None
        path, self._path = self._path, None
        parts: list[bytes] = []
        size = 0
        for piece in pieces(path):
            parts.append(piece)
            if (size := size + len(piece)) > LARGEST:
                return Flaw(TOO_LARGE)
        return b"".join(parts)

    def skip(self, count: int) -> int:
        there = self._path is not None and count > 0
        if there:
            self._path = None
        return int(there)


class JsonList:
    """The values of a JSON list, one by one."""

    def __init__(self, pieces: Iterator[bytes], encoding: Encoding) -> None:
        self._bytes = codecs.getincrementaldecoder(CODECS[encoding])("surrogateescape")
        self._encoding = CODECS[encoding]
        self._values = json.JSONDecoder()
        self._pieces: Iterator[bytes] | None = pieces
        self._text = ""
        self._at = 0
        self._begun = False

    def next(self) -> Raw | None:
        """Raises `Unreadable` where the list is not one, or has no end."""
        if self._go_to_value() == "]":
            return None
        value, end = self._value()
        text, self._at = self._text[self._at : end], end
        if any("\udc80" <= character <= "\udcff" for character in text):
            return Flaw(UNDECODABLE, text.encode(self._encoding, "surrogateescape"))
        try:
            orjson.dumps(value)
        except TypeError:  # escaped halves of characters, and integers of more than 64 bits, go into no journal
            return Flaw(NOT_JSON)
        return value if isinstance(value, dict) else Flaw(NOT_JSON)

    def skip(self, count: int) -> int:
        return next((passed for passed in range(count) if self.next() is None), count)

    def _value(self) -> tuple[Any, int]:
        """The value that begins here, and where it ends."""
        while True:
            try:
                value, end = self._values.raw_decode(self._text, self._at)
                if end < len(self._text) or not self._load():  # a number may go on in the next piece
                    return value, end
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LARGEST or not self._load():
                    start = self._text[self._at : self._at + 40]
                    raise Unreadable(f"its value that begins with {start!r} is no JSON ({error.msg})") from error

    def _go_to_value(self) -> str:
        """Go to the next value, or to the list's end; returns the character there."""
        while True:
            found = (_BETWEEN if self._begun else _SPACE).match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) and self._begun:
                return self._text[self._at]
            if self._at < len(self._text):
                self._begun, self._at = True, self._at + 1  # behind the bracket
            elif not self._load():
                raise Unreadable("the JSON list in it has no end")

    def _load(self) -> bool:
        """Have more of the text; false, and nothing changed, at the end."""
        piece = next(self._pieces, None) if self._pieces is not None else None
        if piece is None:
            self._pieces = None
            return False
        self._text, self._at = self._text[self._at :] + self._bytes.decode(piece), 0
        return True


class Parquet:
    """Rows of a Parquet file. Columns of bytes (images, sound) are not read."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow.parquet as parquet
            from pyarrow import types
        except ImportError as error:
            raise Unreadable(
                "it is a Parquet file, which takes pyarrow to read: pip install 'seeddrill[parquet]', or convert it to JSON lines"
            ) from error
        self._file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=PIECE)
        groups = self._file.metadata
        self._starts = [0, *accumulate(groups.row_group(n).num_rows for n in range(groups.num_row_groups))]
        self._total: int = groups.num_rows
        schema = self._file.schema_arrow
        raw = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
        self._columns = [field.name for field in schema if not any(test(field.type) for test in raw)]
        self._batches: Iterator[Any] | None = None
        self._batch: Any = None
        self._first = self._beyond = self._at = 0
        """Numbers: of the batch's first row, of the first one behind it, of the next one to be given."""

    def skip(self, count: int) -> int:
        passed = min(count, self._total - self._at)
        self._at += passed
        return passed

    def next(self) -> Raw | None:
        if self._at >= self._total:
            return None
        while self._at >= self._beyond:
            self._advance()
        place, self._at = self._at - self._first, self._at + 1
        try:
            (row,) = self._batch.slice(place, 1).to_pylist()
        except UnicodeDecodeError as error:
            return Flaw(UNDECODABLE, bytes(error.object))
        return {name: plain(value) for name, value in row.items()}

    def _advance(self) -> None:
        """To the next batch, or past whole row groups to the one that the next row is in."""
        group = bisect_right(self._starts, self._at) - 1
        if self._batches is None or self._starts[group] > self._beyond:
            groups = range(group, len(self._starts) - 1)
            self._batches, self._beyond = self._file.iter_batches(ROWS, groups, self._columns), self._starts[group]
        self._batch = next(self._batches)
        self._first, self._beyond = self._beyond, self._beyond + self._batch.num_rows


def plain(value: Any) -> Any:
    """A value as JSON has it; what JSON has no form for, as text."""
    match value:
        case None | bool() | str() | float():
            return value
        case int():
            return value if -(1 << 63) <= value < 1 << 64 else str(value)
        case list() | tuple():
            return [plain(one) for one in value]
        case dict():
            return {str(key): plain(one) for key, one in value.items()}
        case _:
            return str(value)
