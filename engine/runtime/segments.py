"""Segments: how a journal lies on the disk. Files of lines in order, which of them are sealed, and the errors of reading them.

Reads only. The journal (its one writer) and all readers go through here, so that they see the same lines and the same faults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import zstandard

from engine.core import lines
from engine.core.faults import ForeignJournal, JournalError
from engine.core.types import Line
from engine.runtime.disk import Disk

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

FOLDER, MANIFEST = "journal", "manifest.json"

_FILE = re.compile(r"(\d{5,})\.jsonl(\.zst)?")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the manifest says of a sealed segment. `bytes` and `sha256` are of its lines, also where the file is compressed."""

    number: int
    lines: int
    bytes: int
    sha256: str


class Read(NamedTuple):
    """One line of a segment. `value` is `None` for a last one that has no newline."""

    value: Line | dict[str, Any] | None
    text: bytes
    number: int
    offset: int


@dataclass(slots=True)
class Count:
    """What is in a segment so far; `hash` is left out where nobody asks for it. `torn` is the number and offset of a last line
    without its newline."""

    lines: int = 0
    size: int = 0
    hash: HASH | None = field(default_factory=sha256)
    torn: tuple[int, int] | None = None
    headers: list[dict[str, Any]] = field(default_factory=list)

    def add(self, *lines: bytes) -> None:
        """Lines without their newlines."""
        self.lines += len(lines)
        for line in lines:
            self.size += len(line) + 1
            if self.hash is not None:
                self.hash.update(line + b"\n")

    def sealed(self, number: int) -> Sealed:
        assert self.hash is not None
        return Sealed(number, self.lines, self.size, self.hash.hexdigest())


def title(number: int) -> str:
    """The file name of a segment; where it is compressed, `.zst` follows."""
    return f"{number:05}.jsonl"


def on_disk(disk: Disk) -> dict[int, str]:
    """The segments that are there: number and file name, in order. Where a kill has left both forms, the plain one."""
    found: dict[int, str] = {}
    try:
        names = disk.names(FOLDER)
    except OSError as error:
        raise JournalError(f"the journal cannot be read: {error}. Nothing was changed; restore the folder {FOLDER}") from error
    for name in names:
        if match := _FILE.fullmatch(name):
            found.setdefault(int(match[1]), name)  # "00000.jsonl" comes before "00000.jsonl.zst"
    return dict(sorted(found.items()))


def pieces(disk: Disk, file: str) -> Iterator[bytes]:
    """The bytes of a segment's lines. Raises `Damaged` where compressed data is not what was written."""
    if not file.endswith(".zst"):
        yield from disk.read(f"{FOLDER}/{file}")
        return
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    try:
        for piece in disk.read(f"{FOLDER}/{file}"):
            yield unpacker.decompress(piece)
    except zstandard.ZstdError as error:
        raise lines.Damaged(f"it cannot be decompressed ({error})") from error
    if not unpacker.eof:
        raise lines.Damaged("its compressed data ends too early")


def split(data: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Lines without their newline, each with whether it had one."""
    rest = b""
    for piece in data:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line, True
    if rest:
        yield rest, False


def read(disk: Disk, where: str, file: str) -> Iterator[Read]:
    """The lines of a segment. `where` is the run directory, for errors. Raises `JournalError` with file, line and offset."""
    number, offset = 1, 0
    try:
        for text, whole in split(pieces(disk, file)):
            yield Read(lines.read(text) if whole else None, text, number, offset)
            number, offset = number + 1, offset + len(text) + 1
    except lines.Damaged as damage:
        raise JournalError(
            f"{where}/{FOLDER}/{file} is damaged at line {number}, offset {offset}: {damage}. {advice(where)}"
        ) from damage
    except OSError as error:
        raise JournalError(
            f"{where}/{FOLDER}/{file} cannot be read beyond line {number - 1}, offset {offset}: {error.strerror or error}. "
            f"{advice(where)}"
        ) from error


def walk(disk: Disk, where: str, file: str, expected: Expected, count: Count) -> Iterator[Line]:
    """The lines of a segment, headers checked and left out, everything counted. Raises `JournalError`."""
    for one in read(disk, where, file):
        if one.value is None:
            count.torn = (one.number, one.offset)
            return
        count.add(one.text)
        if isinstance(one.value, dict):
            count.headers.append(one.value)
            check_header(one.value, expected, where, file)
        else:
            yield one.value


@dataclass(slots=True)
class Check:
    """What `checked` has seen so far."""

    plan: str
    """Fingerprint that every segment should carry."""
    segments: int = 0
    sealed: int = 0
    headers: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def checked(disk: Disk, where: str, check: Check) -> Iterator[Line]:
    """Every line of a journal that is held against its manifest, sha256 included. Raises `JournalError` at the first fault."""
    sealed, files, before, earlier = manifest(disk, where), on_disk(disk), 0, ""
    check_whole(sealed, files, where)
    for number, file in files.items():
        count = Count(headers=check.headers)
        yield from walk(disk, where, file, Expected(check.plan, before, earlier), count)
        check.segments += 1
        before, earlier = before + max(0, count.lines - 1), count.sealed(number).sha256
        if number < len(sealed):
            check_sealed(sealed[number], count, where, file)
            check.sealed += 1
        elif number < len(files) - 1:
            check.notes.append(f"Note: {file} is full and not in {MANIFEST}: this is a copy that was made while the run went on.")
        if count.torn is not None:
            if number < max(len(sealed), len(files) - 1) or file.endswith(".zst"):
                raise cut_short(where, file, *count.torn)
            check.notes.append(
                f"Note: the last line of {file}, at offset {count.torn[1]}, is not whole: a run is writing it, or was killed. "
                "The run cuts it off when it goes on."
            )


@dataclass(frozen=True, slots=True)
class Loss:
    """A part of a journal that cannot be read: one line, or (`rest`) everything from there to the segment's end."""

    file: str
    number: int
    offset: int
    why: str
    rest: bool

    def __str__(self) -> str:
        what = "everything from line" if self.rest else "line"
        return f"{FOLDER}/{self.file}, {what} {self.number}, offset {self.offset}: {self.why}"


def salvage(disk: Disk) -> Iterator[Line | Loss]:
    """Whatever can be read of a damaged journal, in order, and what cannot. A torn end is no loss: it was never acknowledged."""
    files = on_disk(disk)
    for number in range(max(files, default=-1) + 1):
        file = files.get(number)
        if file is None:
            yield Loss(title(number), 1, 0, "the segment is missing", rest=True)
            continue
        count, offset = 1, 0
        try:
            for text, whole in split(pieces(disk, file)):
                try:
                    value = lines.read(text) if whole else None
                    if value is not None and not isinstance(value, dict):
                        yield value
                except lines.Damaged as damage:
                    yield Loss(file, count, offset, str(damage), rest=False)
                count, offset = count + 1, offset + len(text) + 1
        except lines.Damaged as damage:
            yield Loss(file, count, offset, str(damage), rest=True)
        except OSError as error:
            yield Loss(file, count, offset, error.strerror or str(error), rest=True)


def manifest(disk: Disk, where: str) -> list[Sealed]:
    """What the manifest says, in order; nothing where there is none yet. Raises `JournalError` where it is damaged."""
    if MANIFEST not in disk.names():
        return []
    try:
        body = lines.unseal(b"".join(disk.read(MANIFEST)).rstrip(b"\n"))
        sealed = [Sealed(**entry) for entry in body["segments"]]
        if [entry.number for entry in sealed] != list(range(len(sealed))):
            raise lines.Damaged("its segments are not in order")
    except (lines.Damaged, KeyError, TypeError) as error:
        raise JournalError(f"{where}/{MANIFEST} is damaged: {error}. {advice(where)}") from error
    except OSError as error:
        raise JournalError(f"{where}/{MANIFEST} cannot be read: {error.strerror or error}. {advice(where)}") from error
    return sealed


def write_manifest(sealed: list[Sealed]) -> bytes:
    """The manifest as bytes: one line with a checksum."""
    return lines.seal({"segments": [{name: getattr(entry, name) for name in Sealed.__dataclass_fields__} for entry in sealed]})


@dataclass(frozen=True, slots=True)
class Expected:
    """What a segment's header should say: the plan's fingerprint (`None`: any), how many lines are before it, and the sha256 of
    the segment before it ("": not known)."""

    plan: str | None
    before: int
    earlier: str = ""


def check_header(header: Mapping[str, Any], expected: Expected, where: str, file: str) -> None:
    """Raises `ForeignJournal` where a segment has another format or plan, `JournalError` where it does not follow the last."""
    if header["seeddrill"] != lines.FORMAT:
        raise ForeignJournal(
            f"{where}/{FOLDER}/{file} has line format {header['seeddrill']}, and this version of seeddrill reads {lines.FORMAT}. "
            f"Nothing was changed; use the version that wrote it ({header.get('engine', 'unknown')})"
        )
    if expected.plan is not None and header.get("plan") != expected.plan:
        raise ForeignJournal(
            f"{where}/{FOLDER}/{file} belongs to another plan than plan.json beside it. Nothing was changed; restore the one "
            "that it was written under, or take another directory"
        )
    if header.get("before", 0) != expected.before:
        raise JournalError(
            f"{where}/{FOLDER}/{file} follows line {header.get('before', 0)} of the journal, and {expected.before} lines are "
            f"there before it: the segment before it was cut short, or is another one. {advice(where)}"
        )
    if expected.earlier and header.get("earlier", "") not in ("", expected.earlier):
        raise JournalError(
            f"{where}/{FOLDER}/{file} follows another segment than the one before it (its sha256 should be {header['earlier']}, "
            f"and is {expected.earlier}). {advice(where)}"
        )


def check_whole(sealed: list[Sealed], found: Mapping[int, str], where: str) -> None:
    """Raises `JournalError` where a segment is missing."""
    wanted = max([*found, len(sealed) - 1], default=-1) + 1
    for number in range(wanted):
        if number not in found:
            raise missing(where, number)


def missing(where: str, number: int) -> JournalError:
    """The error of a segment that is gone."""
    return JournalError(f"{where}/{FOLDER}/{title(number)} is missing. {advice(where)}")


def check_sealed(entry: Sealed, count: Count, where: str, file: str) -> None:
    """Raises `JournalError` where a segment has not the lines that the manifest says, by their hash where that was counted."""
    if (count.lines, count.size) != (entry.lines, entry.bytes):
        raise JournalError(
            f"{where}/{FOLDER}/{file} has {count.lines} lines in {count.size} bytes, and {MANIFEST} says {entry.lines} in "
            f"{entry.bytes}: it was cut short or changed. {advice(where)}"
        )
    if count.hash is not None and count.hash.hexdigest() != entry.sha256:
        raise JournalError(
            f"{where}/{FOLDER}/{file} has the sha256 {count.hash.hexdigest()}, and {MANIFEST} says {entry.sha256}: it was "
            f"changed. {advice(where)}"
        )


def cut_short(where: str, file: str, line: int, offset: int) -> JournalError:
    """The error of a segment that was complete once and is not any more."""
    return JournalError(
        f"{where}/{FOLDER}/{file} ends in the middle of line {line}, at offset {offset}, and was complete once. {advice(where)}"
    )


def advice(where: str) -> str:
    return (
        f"Nothing was changed. 'seeddrill repair {where}' shows what can be saved before it changes anything; restoring the "
        "file from a copy loses less"
    )
