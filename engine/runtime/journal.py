"""Journal: the run directory's only truth, JSONL lines that are appended in groups and never changed.

One writer a directory, held by a lock. What `append` has returned from lasts; a kill loses the last lines at most. The order of
writes, syncs and renames in here is what `docs/guarantees.md` promises, and what the simulated crashes prove.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zstandard

from engine.core import lines
from engine.core.faults import DiskError, JournalError
from engine.core.types import Line
from engine.runtime import segments
from engine.runtime.disk import Directory, Disk, replace
from engine.runtime.segments import FOLDER, MANIFEST, Count, Expected, Sealed, title

SEGMENT = 5000
"""Lines of a segment, header apart, after which it is sealed."""


class Journal:
    """The segments `journal/00000.jsonl…` of one run, in the directory `where`. `header` opens every new one.

    First `replay`, to its end; then `append`. `compress` says whether segments are compressed (zstd) when they are sealed.
    """

    def __init__(self, disk: Disk, header: dict[str, Any], where: str, *, compress: bool = False, segment: int = SEGMENT) -> None:
        self._disk = disk
        self._header = header
        self._where = where
        self._compress = compress
        self._segment = segment
        self._sealed: list[Sealed] = []
        self._before = 0
        """Lines in all segments before the one that is written, headers apart."""
        self._number: int | None = None
        self._count = Count()
        self._failed: DiskError | None = None

    def replay(self) -> Iterator[Line]:
        """Every line so far, oldest first. A last line without its newline was never acknowledged: it is cut off.

        Damage anywhere else raises `JournalError` with file, line and offset, and changes nothing.
        """
        self._sealed = segments.manifest(self._disk, self._where)
        files = segments.on_disk(self._disk)
        segments.check_whole(self._sealed, files, self._where)
        known = len(self._sealed)
        for number, file in files.items():
            listed, last = number < known, number == len(files) - 1
            self._number, self._count = number, Count(hash=None) if listed else Count()
            expected = Expected(self._header.get("plan"), self._before, self._sealed[number - 1].sha256 if number else "")
            yield from segments.walk(self._disk, self._where, file, expected, self._count)
            if self._count.torn is not None:
                if listed or not last or file.endswith(".zst"):
                    raise segments.cut_short(self._where, file, *self._count.torn)
                self._cut(file, self._count.torn[1])
            if listed:
                segments.check_sealed(self._sealed[number], self._count, self._where, file)
            elif not last or file.endswith(".zst"):
                self._sealed.append(self._count.sealed(number))  # a copy, made while the run went on, has an older manifest
            if number < len(self._sealed):
                self._next()
        self._number = self._number or 0
        with self._safely():
            self._tidy(known)

    def append(self, data: bytes) -> None:
        """Add whole lines and make them last; seal the segment where they fill it. Raises `DiskError`, after which the journal
        takes nothing more."""
        assert self._number is not None, "replay first"
        file = f"{FOLDER}/{title(self._number)}"
        with self._safely():
            fresh = self._count.lines == 0
            if fresh:
                data = lines.seal(self._opening()) + data
            self._disk.append(file, data)
            self._disk.sync(file)
            if fresh:
                self._disk.sync_names(FOLDER)
            self._count.add(*data.split(b"\n")[:-1])
            if self._count.lines > self._segment:
                self._seal()

    def seal(self) -> None:
        """Seal what there is, full or not: the run is finished, and its last segment is a shard like the others."""
        assert self._number is not None, "replay first"
        with self._safely():
            if self._count.lines > 1:
                self._seal()
            elif title(self._number) in self._disk.names(FOLDER):  # begun, and cut off before its first line
                self._disk.remove(f"{FOLDER}/{title(self._number)}")
                self._disk.sync_names(FOLDER)
                self._count = Count()

    def _opening(self) -> dict[str, Any]:
        earlier = self._sealed[-1].sha256 if self._sealed else ""
        return {"seeddrill": lines.FORMAT, **self._header, "before": self._before, "earlier": earlier}

    def _cut(self, file: str, offset: int) -> None:
        with self._safely():
            self._disk.truncate(f"{FOLDER}/{file}", offset)
            self._disk.sync(f"{FOLDER}/{file}")

    def _tidy(self, known: int) -> None:
        """What a kill may have left: lines that were written and not synced, a second form of a segment, half a file."""
        active = title(self._number or 0)
        self._disk.append(f"{FOLDER}/{active}", b"")  # a disk that takes nothing is found before anything is paid for
        self._disk.sync(f"{FOLDER}/{active}")  # from here on, what was read is relied upon
        self._disk.sync_names(FOLDER)
        names = self._disk.names(FOLDER)
        if len(self._sealed) > known:
            replace(self._disk, MANIFEST, segments.write_manifest(self._sealed))
        for name in names:
            if name.endswith(".zst") and name.removesuffix(".zst") in names:
                listed = int(name.partition(".")[0]) < known
                self._disk.remove(f"{FOLDER}/{name.removesuffix('.zst') if listed else name}")
            elif name.endswith(".part"):
                self._disk.remove(f"{FOLDER}/{name}")
        if self._count.lines > self._segment:
            self._seal()

    def _seal(self) -> None:
        """Its lines last already. First its other form, then its entry in the manifest, and only then the next one may begin and
        the plain form may go: a kill at any point leaves every line in a file that a reader finds."""
        assert self._number is not None
        file = title(self._number)
        if self._compress:
            self._pack(file)
        self._sealed.append(self._count.sealed(self._number))
        replace(self._disk, MANIFEST, segments.write_manifest(self._sealed))
        if self._compress:
            self._disk.remove(f"{FOLDER}/{file}")
        self._next()

    def _pack(self, file: str) -> None:
        aside = f"{FOLDER}/.{file}.zst.part"
        packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
        for piece in self._disk.read(f"{FOLDER}/{file}"):
            self._disk.append(aside, packer.compress(piece))
        self._disk.append(aside, packer.flush())
        self._disk.sync(aside)
        self._disk.rename(aside, f"{FOLDER}/{file}.zst")
        self._disk.sync_names(FOLDER)

    def _next(self) -> None:
        assert self._number is not None
        self._before += self._count.lines - 1
        self._number, self._count = self._number + 1, Count()

    @contextmanager
    def _safely(self) -> Iterator[None]:
        """A write that failed is the last one: behind a torn line or an unsynced group nothing may be written."""
        if self._failed is not None:
            raise self._failed
        try:
            yield
        except OSError as error:
            self._failed = DiskError(
                f"{self._where} cannot be written: {error.strerror or error}. Every answer journaled before is safe; make room "
                "or mend the disk, then run the same command again"
            )
            raise self._failed from error


def read_only(directory: Path) -> Iterator[Line]:
    """Every whole line of a run's journal, without a lock and without touching it: also while the run writes."""
    return following(Directory(directory), str(directory))


def following(disk: Disk, where: str) -> Iterator[Line]:
    """`read_only` through a disk."""
    for line in tailing(disk, where):
        if line is None:
            return
        yield line


def tail(directory: Path) -> Iterator[Line | None]:
    """Likewise without an end: `None` where nothing more is written yet; asked again, it goes on with what has come since."""
    return tailing(Directory(directory), str(directory))


def tailing(disk: Disk, where: str) -> Iterator[Line | None]:
    """`tail` through a disk. The run may seal a segment, compress it and begin the next one at any moment."""
    number, before, done = 0, 0, 0
    while True:
        if (file := _next_file(disk, where, number)) is None:
            yield None
            continue
        ended = number + 1 in segments.on_disk(disk)  # asked before reading: then all of this one's lines are there
        try:
            for read in segments.read(disk, where, file):
                if read.number <= done or read.value is None:
                    continue
                done = read.number
                if isinstance(read.value, dict):
                    segments.check_header(read.value, Expected(None, before), where, file)
                else:
                    yield read.value
        except JournalError as error:
            if not isinstance(error.__cause__, FileNotFoundError) or file.endswith(".zst"):
                raise
            continue  # it was compressed meanwhile
        if ended:
            number, before, done = number + 1, before + max(0, done - 1), 0
        elif _next_file(disk, where, number + 1) is None:
            yield None


def _next_file(disk: Disk, where: str, number: int) -> str | None:
    """The file of a segment, `None` where the journal ends before it. Raises `JournalError` where it is missing."""
    if (file := segments.on_disk(disk).get(number)) is not None:
        return file
    known = len(segments.manifest(disk, where))
    found = segments.on_disk(disk)  # again: the run may have sealed it just now
    if number not in found and number <= max([known - 1, *found], default=-1):
        raise segments.missing(where, number)
    return found.get(number)


class Lock:
    """The right to write into a run directory, for as long as this object is open. The kernel frees it when the process dies."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 300).decode("ascii", "replace").split()
            os.close(self._file)
            named = f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "process unknown"
            raise JournalError(
                f"{folder} is in use by another run ({named}), which is not disturbed: wait for it, stop it, or choose another "
                f"directory; 'seeddrill status {folder}' tells how far it is"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)
