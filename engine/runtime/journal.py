"""Journal: the run directory's only truth, JSONL lines that are appended in groups and never changed.

One writer a directory, held by a lock. What `append` has returned from is on the disk; a kill loses the last lines at most.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from engine.core import lines
from engine.core.faults import DiskError, JournalError
from engine.core.types import Paid, Settled

FOLDER = "journal"


class Store(Protocol):
    """The narrow door to the disk: files of one folder, by name. Tests pass a disk that forgets, fills up or fails."""

    def names(self) -> list[str]: ...
    def read(self, name: str) -> Iterator[bytes]:
        """The file's bytes in pieces of any size."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Write at the end, without a promise that it lasts."""
        ...

    def sync(self, name: str) -> None:
        """Everything appended to the file so far, and the file's own name, lasts from here on."""
        ...

    def truncate(self, name: str, size: int) -> None: ...


class Folder:
    """A folder of a real disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: dict[str, int] = {}

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []

    def read(self, name: str) -> Iterator[bytes]:
        with open(self.path / name, "rb") as file:
            while piece := file.read(1 << 20):
                yield piece

    def append(self, name: str, data: bytes) -> None:
        file = self._file(name)
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]

    def sync(self, name: str) -> None:
        os.fsync(self._file(name))

    def truncate(self, name: str, size: int) -> None:
        os.ftruncate(self._file(name), size)
        os.fsync(self._file(name))

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _file(self, name: str) -> int:
        if name not in self._open:
            self.path.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._open[name] = os.open(self.path / name, flags, 0o644)
            sync_folder(self.path)
        return self._open[name]


def sync_folder(path: Path) -> None:
    """A new or renamed file's name lasts only once its folder is synced."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a reader, and a crash, see the old one or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(aside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    sync_folder(path.parent)


class Journal:
    """The segments `00000.jsonl…` of one run. `header` opens every new segment."""

    def __init__(self, store: Store, header: dict[str, Any], where: str = FOLDER) -> None:
        self._store = store
        self._header = header
        self._where = where
        names = [name for name in store.names() if name.endswith(".jsonl")]
        self._name = names[-1] if names else "00000.jsonl"
        self._empty = not names
        self._failed: DiskError | None = None

    def replay(self) -> Iterator[Settled | Paid]:
        """Every line so far, oldest first. A last line without its newline was never acknowledged: it is cut off.

        Damage anywhere else raises `JournalError` with file, line and offset.
        """
        names = [name for name in self._store.names() if name.endswith(".jsonl")]
        for name in names:
            size = 0
            for line, offset, end in _lines(self._store.read(name), f"{self._where}/{name}"):
                size = end
                if isinstance(line, dict):
                    self._check_header(name, line)
                elif line is not None:
                    yield line
                elif name == names[-1]:
                    self._store.truncate(name, offset)
                    size = offset
                else:
                    raise JournalError(f"{self._where}/{name} ends in the middle of a line, at offset {offset}")
            self._empty = size == 0

    def append(self, data: bytes) -> None:
        """Add whole lines and make them last. Raises `DiskError`, after which the journal takes nothing more."""
        if self._failed is not None:
            raise self._failed
        try:
            if self._empty:
                data = lines.seal({"seeddrill": lines.FORMAT, **self._header}) + data
            self._store.append(self._name, data)
            self._store.sync(self._name)
            self._empty = False
        except OSError as error:
            self._failed = DiskError(
                f"{self._where}/{self._name} cannot be written: {error.strerror or error}. Every answer journaled before "
                "is safe; make room or mend the disk, then run the same command again"
            )
            raise self._failed from error

    def _check_header(self, name: str, header: dict[str, Any]) -> None:
        if header["seeddrill"] != lines.FORMAT:
            raise JournalError(
                f"{self._where}/{name} has line format {header['seeddrill']}, this version reads {lines.FORMAT}: "
                "use the version of seeddrill that wrote it"
            )
        if header.get("plan") != self._header.get("plan"):
            raise JournalError(f"{self._where}/{name} belongs to another plan than plan.json beside it")


def _lines(pieces: Iterator[bytes], name: str) -> Iterator[tuple[Settled | Paid | dict[str, Any] | None, int, int]]:
    """Each line, read, with the offsets of its start and end; `None` for a last one that has no newline."""
    rest, offset, number = b"", 0, 0
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            number += 1
            try:
                value = lines.read(line)
            except lines.Damaged as damage:
                raise JournalError(
                    f"{name} is damaged at line {number}, offset {offset}: {damage}. Nothing was changed; restore the "
                    "file from a copy"
                ) from damage
            yield value, offset, offset + len(line) + 1
            offset += len(line) + 1
    if rest:
        yield None, offset, offset


def read_only(folder: Path) -> Iterator[Settled | Paid]:
    """Every whole line of a run's journal, without a lock and without touching it: also while the run writes."""
    store = Folder(folder / FOLDER)
    for name in store.names():
        if name.endswith(".jsonl"):
            for line, _, _ in _lines(store.read(name), str(store.path / name)):
                if line is not None and not isinstance(line, dict):
                    yield line


class Lock:
    """The right to write into a run directory, for as long as this object is open. The kernel frees it when the process dies."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise JournalError(
                f"{folder} is in use by another run (process {holder}): wait for it, stop it, or choose another directory"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)
