"""Rows as the bytes of a file, piece by piece: a JSON list, JSON lines, CSV, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import ModuleType
from typing import Any, TypeAlias

import orjson

from engine.core.faults import PlanError
from engine.exports.example import FIELDS
from engine.exports.rows import Row

Encode: TypeAlias = Callable[[Callable[[], Iterable[Row]]], Iterator[bytes]]
"""Given what makes the rows, as often as it is called, the file's bytes."""

ROW_GROUP = 1000
"""Rows that Parquet holds together."""
PIP = "pip install 'seeddrill[parquet]'"
_BREAKS = tuple((char.encode(), f"\\u{ord(char):04x}".encode()) for char in "\x85\u2028\u2029")
"""Line breaks of Unicode that JSON lets stand as they are, and at which careless readers of JSON lines cut."""


def json_list(rows: Callable[[], Iterable[Row]]) -> Iterator[bytes]:
    comma = b""
    yield b"["
    for row in rows():
        yield comma + b"\n" + _dumped(row, orjson.OPT_INDENT_2)
        comma = b","
    yield b"\n]\n"


def json_lines(rows: Callable[[], Iterable[Row]]) -> Iterator[bytes]:
    for row in rows():
        yield _dumped(row, orjson.OPT_APPEND_NEWLINE)


def _dumped(row: Row, option: int) -> bytes:
    text = orjson.dumps(row, option=option)
    if not text.isascii():
        for char, escape in _BREAKS:
            text = text.replace(char, escape)
    return text


def spreadsheet(rows: Callable[[], Iterable[Row]]) -> Iterator[bytes]:
    """CSV as Excel opens it by a double click, Chinese too: a byte order mark, CRLF, every cell in quotes (RFC 4180). Columns are
    named by the first row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    yield b"\xef\xbb\xbf"
    for n, row in enumerate(rows()):
        if n == 0:
            writer.writerow(row)
        writer.writerow(row.values())
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def parquet(rows: Callable[[], Iterable[Row]]) -> Iterator[bytes]:
    """Parquet with zstd inside. Rows are made twice: first for the types of their columns."""
    arrow, files = _pyarrow()
    schema = _schema(arrow, rows())
    sink = _Pieces()
    with files.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in _batches(rows()):
            writer.write_table(arrow.Table.from_pylist(batch, schema=schema))
            yield from sink.taken()
    yield from sink.taken()


class _Pieces(io.RawIOBase):
    """A file to write into whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._waiting.append(piece)
        self._size += len(piece)
        return len(piece)

    def taken(self) -> list[bytes]:
        pieces, self._waiting = self._waiting, []
        return pieces


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise PlanError(f"the format parquet needs pyarrow, which is not installed; to get it: {PIP}") from error
    return pyarrow, pyarrow.parquet


def _schema(arrow: ModuleType, rows: Iterable[Row]) -> Any:
    """The columns of all rows together. What is always empty is left out: Parquet has no type for it."""
    try:
        found = [arrow.Table.from_pylist(batch).schema for batch in _batches(rows)]
        whole = arrow.unify_schemas(found or [_nothing(arrow)], promote_options="permissive")
    except arrow.ArrowException as error:
        raise PlanError(
            f"these records do not fit into columns, a field has another type here than there ({error}): choose the format jsonl"
        ) from error
    return arrow.schema([kept for column in whole if (kept := _solid(arrow, column)) is not None])


def _nothing(arrow: ModuleType) -> Any:
    return arrow.schema([(name, arrow.string()) for name in ("id", *FIELDS)])


def _solid(arrow: ModuleType, column: Any) -> Any:
    """The column without parts that hold nothing; `None` where nothing is left of it."""
    kind = column.type
    if arrow.types.is_null(kind):
        return None
    if arrow.types.is_struct(kind):
        parts = [kept for part in kind if (kept := _solid(arrow, part)) is not None]
        return arrow.field(column.name, arrow.struct(parts)) if parts else None
    if arrow.types.is_list(kind):
        inner = _solid(arrow, kind.value_field)
        return arrow.field(column.name, arrow.list_(inner)) if inner is not None else None
    return column


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    waiting = iter(rows)
    while batch := list(islice(waiting, ROW_GROUP)):
        yield batch
