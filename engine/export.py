"""Exports: a run's records as a file that a trainer can read. Reads the journal, writes one file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import orjson

from engine import rundir
from engine.core.faults import DiskError, PlanError
from engine.rundir import Record


class Existing(Enum):
    """What to do where the file is there already."""

    REFUSE = "refuse"
    REPLACE = "replace"


def alpaca(records: Iterable[Record]) -> Iterator[bytes]:
    """A JSON list of `{"instruction", "input", "output"}`, as the published Alpaca data lies."""
    comma = b""
    yield b"["
    for record in records:
        yield comma + b"\n" + orjson.dumps(record.fields, option=orjson.OPT_INDENT_2)
        comma = b","
    yield b"\n]\n"


def jsonl(records: Iterable[Record]) -> Iterator[bytes]:
    """A JSON object a line: the record, its id, which lane and model gave each step's answer, and what the recipe tells of it."""
    for record in records:
        provenance = {"lanes": record.lanes, "models": record.models, **record.provenance}
        yield orjson.dumps({"id": record.id, **record.fields, "provenance": provenance}) + b"\n"


FORMATS: Mapping[str, Callable[[Iterable[Record]], Iterator[bytes]]] = MappingProxyType({"alpaca": alpaca, "jsonl": jsonl})


def export(directory: Path, out: Path, format: str, existing: Existing) -> int:
    """Write the records of a run and return how many there were; `out` appears whole, or stays as it was."""
    if format not in FORMATS:
        raise PlanError(f"there is no format {format!r}; the formats are {', '.join(FORMATS)}")
    if existing is Existing.REFUSE and out.exists():
        raise PlanError(f"{out} exists: choose another name, or replace it with --force")
    if not out.parent.is_dir():
        raise PlanError(f"{out} cannot be written: {out.parent} is not a folder; make it first, or choose another place")
    count = 0

    def counted() -> Iterator[Record]:
        nonlocal count
        for record in rundir.records(directory):
            count += 1
            yield record

    aside = out.with_name(f".{out.name}.part")
    pieces = FORMATS[format](counted())
    try:
        with aside.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        aside.replace(out)
    except OSError as error:
        raise DiskError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return count
