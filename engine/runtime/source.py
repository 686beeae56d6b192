"""Source: the user's documents, read lazily from their files in order, each under its record number; and what tells them apart.

Blocks on the disk: a run calls it in a worker thread, one call at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.core.documents import (
    UNDECODABLE,
    Document,
    Flaw,
    Form,
    InputPlan,
    JsonLine,
    Raw,
    Wanted,
    likely,
    made,
)
from engine.core.faults import PlanError
from engine.core.track import Frontier
from engine.runtime.reading import KNOWN, Records, Unreadable, faults, records, suffix

MIB = 1 << 20
FIRST, TOO_MANY, FEW = 1000, 0.05, 10
"""Documents that are looked at before a run; the share of them that may be undecodable; and how many of them may be in any case,
unless all are."""
MANY_FILES = 1000
"""Files that a run's identity names one by one."""
BATCH, LOOK = 8 * MIB, 64 * MIB
"""Bytes after which a batch is full, and after which a first look has seen enough."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the input; `name` is what the identity calls it, wherever it lies."""

    path: Path
    name: str


def paths(plan: InputPlan) -> tuple[str, ...]:
    return (plan.path,) if isinstance(plan.path, str) else plan.path


def found(plan: InputPlan) -> list[File]:
    """The files that `path` names, in the order in which they are read. Raises `PlanError` where one is missing."""
    files: list[File] = []
    for place in map(Path, paths(plan)):
        if place.is_dir():
            files += _within(place)
        elif place.exists():
            files.append(File(place, place.name))
        else:
            raise PlanError(f"the input {place} is not there: give [input] the path of a file or a folder, or a list of them")
    if not files:
        raise PlanError("[input] names no file: give it the path of a file or a folder, or a list of them")
    return files


def _within(folder: Path) -> list[File]:
    paths = [path for path in folder.rglob("*") if path.is_file() and suffix(path) in KNOWN]
    named = [(path.relative_to(folder), path) for path in paths]
    files = [File(path, name.as_posix()) for name, path in named if not any(part.startswith(".") for part in name.parts)]
    if not files:
        raise PlanError(
            f"the input folder {folder} has no file with one of the endings {', '.join(KNOWN)} (.gz or .zst may follow)"
        )
    return sorted(files, key=lambda file: file.name)


def identity(plan: InputPlan, files: Sequence[File]) -> dict[str, Any]:
    """What must not change between two lives of a run: each file's name, size, and sha256 of its first and last MiB."""
    marks = {f"{place} {file.name}": _mark(file) for place, file in enumerate(files)}
    if len(files) > MANY_FILES:
        whole = "\n".join(f"{name} {mark}" for name, mark in marks.items())
        marks = {f"all {len(files)}": sha256(whole.encode()).hexdigest()[:16]}
    return {
        "files": marks,
        "encoding": plan.encoding,
        "document": plan.document,
        "language": plan.language,
        "fields": dict(plan.fields),
    }


def _mark(file: File) -> str:
    with _readable(file):
        size = file.path.stat().st_size
        with file.path.open("rb") as opened:
            hash = sha256(opened.read(MIB))
            opened.seek(max(0, size - MIB))
            hash.update(opened.read(MIB))
    return f"{size} bytes, {hash.hexdigest()[:16]}"


@contextmanager
def _readable(file: File, record: int = 0) -> Iterator[None]:
    try:
        yield
    except faults() as error:
        beyond = f" beyond record {record}" if record else ""
        said = str(error) if isinstance(error, Unreadable) else getattr(error, "strerror", None) or str(error)
        raise PlanError(f"the input {file.path} cannot be read{beyond}: {said}") from error


class Reading:
    """One pass over the files. `wanted` says which records are given; all others are skipped without being looked at."""

    def __init__(self, files: Sequence[File], plan: InputPlan, form: Form, wanted: Wanted) -> None:
        self._files = iter(files)
        self._plan = plan
        self._form = form
        self._wanted = wanted
        self._file: File | None = None
        self._records: Records | None = None
        self._at = 0
        """The number of the next record that the files would give."""

    def take(self, most: int) -> list[Document]:
        """Up to so many documents more, fewer where they are large; none at the end. Raises `PlanError`."""
        batch: list[Document] = []
        size = 0
        while len(batch) < most and size < BATCH and (found := self.next()) is not None:
            number, raw = found
            batch.append(made(number, raw, self._form))
            size += _size(raw)
        return batch

    def next(self) -> tuple[int, Raw] | None:
        """The next wanted record with its number; `None` at the end. Raises `PlanError`."""
        number = self._wanted.after(self._at)
        while number is not None:
            if self._records is None and not self._open():
                return None
            assert self._records is not None and self._file is not None
            with _readable(self._file, self._at):
                self._at += self._records.skip(number - self._at)
                raw = self._records.next() if self._at == number else None
            if raw is not None:
                self._at += 1
                return number, raw
            self._records = None
        return None

    def pass_all(self) -> int:
        """Go to the end; returns how many records there are in all."""
        while self._records is not None or self._open():
            assert self._records is not None and self._file is not None
            with _readable(self._file, self._at):
                self._at += self._records.skip(1 << 62)
            self._records = None
        return self._at

    def _open(self) -> bool:
        self._file = next(self._files, None)
        if self._file is not None:
            with _readable(self._file):
                self._records = records(self._file.path, self._plan)
        return self._file is not None


def _size(raw: Raw) -> int:
    match raw:
        case bytes() | JsonLine():
            return len(raw if isinstance(raw, bytes) else raw.text)
        case Flaw():
            return 1
        case _:
            return sum(len(value) for value in raw.values() if isinstance(value, str))


class Source:
    """The documents of a plan."""

    def __init__(self, plan: InputPlan, files: Sequence[File], reads: tuple[str, ...]) -> None:
        self.plan = plan
        self.files = files
        self._form = Form(reads, plan.fields, plan.language, plan.encoding)

    def open(self, wanted: Wanted) -> Reading:
        return Reading(self.files, self.plan, self._form, wanted)

    def size(self) -> int:
        """Bytes of all files together, as they lie there: packed, where they are."""
        return sum(file.path.stat().st_size for file in self.files)

    def count(self) -> int:
        """How many records there are; reads every file through, at the speed of the disk."""
        return self.open(Wanted(Frontier())).pass_all()

    def look(self) -> Seen:
        """What the first thousand records are. Raises `PlanError` where they say that the plan means others than these: in
        another encoding, under other column names, or of another kind."""
        reading = self.open(Wanted(Frontier()))
        seen = Seen()
        while seen.records < FIRST and seen.size < LOOK and (found := reading.next()) is not None:
            seen.add(made(*found, self._form), found[1])
        self._check_encoding(seen)
        if not seen.good:
            raise PlanError(self._nothing(seen))
        return seen

    def _check_encoding(self, seen: Seen) -> None:
        """Bytes may decode, and be in another encoding all the same."""
        encoding, undecodable = self.plan.encoding, seen.flaws[UNDECODABLE]
        best = likely(seen.texts)
        failed = undecodable > TOO_MANY * seen.records and (undecodable >= FEW or undecodable == seen.records)
        if not failed and (best in (None, encoding) or len(seen.texts) < FEW):
            return
        what = f"{undecodable:,} of the first {seen.records:,} documents" if failed else "the first documents"
        remedy = f'they look like {best}: set encoding = "{best}" under [input]'
        if best in (None, encoding):
            remedy = "they are in none of utf-8, gb18030 and big5: convert them to UTF-8"
        verb = "do not decode" if failed else "hardly are what they seem"
        raise PlanError(f"{what} of {self.files[0].path} {verb} as {encoding}; {remedy}. Nothing was asked")

    def _nothing(self, seen: Seen) -> str:
        path = self.files[0].path
        if not seen.records:
            return f"the input {path} has no documents in it: there is nothing to ask about"
        reasons = ", ".join(f"{count:,} {flaw}" for flaw, count in seen.flaws.most_common())
        names = [self._form.fields.get(name, name) for name in self._form.reads]
        there = f" Their columns are {', '.join(sorted(seen.columns))}." if seen.columns else ""
        return (
            f"none of the first {seen.records:,} records of {path} can be asked about ({reasons}).{there} Texts are looked for "
            f'under {", ".join(names)}: say under [input] where they are, as fields = {{{self._form.reads[0]} = "COLUMN"}}'
        )


@dataclass(slots=True)
class Seen:
    """What a first look has found. `texts` are bytes that tell something of their encoding."""

    records: int = 0
    size: int = 0
    flaws: Counter[str] = field(default_factory=Counter)
    texts: list[bytes] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    good: list[Document] = field(default_factory=list)

    def add(self, document: Document, raw: Raw) -> None:
        self.records, self.size = self.records + 1, self.size + _size(raw)
        text = raw if isinstance(raw, bytes) else raw.text if isinstance(raw, JsonLine | Flaw) else b""
        if not text.isascii():
            self.texts.append(text)
        if document.flaw is None:
            self.good.append(document)
            return
        self.flaws[document.flaw] += 1
        self.columns |= set(document.item["columns"])
