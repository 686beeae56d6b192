"""The narrow door to the disk: a run directory as files by name, and the few operations whose order makes things last.

For the journal and whoever prepares a run directory. Tests pass a disk that tears, forgets, fills up or fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

PIECE = 1 << 20

NETWORKED = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "afs", "ceph", "9p", "ncpfs", "lustre", "gfs2", "fuse.sshfs", "fuse.s3fs")
)
"""File systems on which another machine holds the files, so that locks and syncs may promise less than they say."""


class Disk(Protocol):
    """Files of one directory; names may have one folder in them, `journal/00000.jsonl`. All of it raises `OSError`.

    Nothing lasts by itself: what is in a file lasts after `sync`, that a file is there under its name after `sync_names`.
    """

    def names(self, folder: str = "") -> list[str]:
        """Names of what is in a folder, sorted; nothing where there is no folder."""
        ...

    def size(self, name: str) -> int: ...

    def read(self, name: str) -> Iterator[bytes]:
        """The file's bytes, in pieces of any size."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Write at the end; makes the file, and its folder, where there is none."""
        ...

    def truncate(self, name: str, size: int) -> None: ...

    def sync(self, name: str) -> None:
        """The file's contents last from here on."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Within one folder; takes the place of a file that has the new name."""
        ...

    def remove(self, name: str) -> None: ...

    def sync_names(self, folder: str = "") -> None:
        """Files made, renamed and removed in the folder stay so from here on."""
        ...


class Directory:
    """A directory of a real disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: dict[str, int] = {}

    def names(self, folder: str = "") -> list[str]:
        place = self.path / folder
        return sorted(os.listdir(place)) if place.exists() else []

    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def read(self, name: str) -> Iterator[bytes]:
        with open(self.path / name, "rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def append(self, name: str, data: bytes) -> None:
        file = self._file(name)
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]

    def truncate(self, name: str, size: int) -> None:
        os.ftruncate(self._file(name), size)

    def sync(self, name: str) -> None:
        os.fsync(self._file(name))

    def rename(self, old: str, new: str) -> None:
        self._close(old)
        self._close(new)
        os.replace(self.path / old, self.path / new)

    def remove(self, name: str) -> None:
        self._close(name)
        os.unlink(self.path / name)

    def sync_names(self, folder: str = "") -> None:
        _sync_folder(self.path / folder)

    def close(self) -> None:
        for name in list(self._open):
            self._close(name)

    def _file(self, name: str) -> int:
        if name not in self._open:
            place = self.path / name
            if not place.parent.is_dir():
                place.parent.mkdir(parents=True)
                _sync_folder(place.parent.parent)
            self._open[name] = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        return self._open[name]

    def _close(self, name: str) -> None:
        if name in self._open:
            os.close(self._open.pop(name))


def replace(disk: Disk, name: str, data: bytes) -> None:
    """Write a file whole or not at all: a reader, and a crash, see the old one or the new one."""
    folder, slash, base = name.rpartition("/")
    aside = f"{folder}{slash}.{base}.part"
    if aside.rpartition("/")[2] in disk.names(folder):
        disk.remove(aside)  # a crash left it
    disk.append(aside, data)
    disk.sync(aside)
    disk.rename(aside, name)
    disk.sync_names(folder)


def networked(path: Path, mounts: str) -> str | None:
    """The kind of network file system that `path` (absolute) lies on, `None` on a disk of this machine.

    `mounts` is the text of Linux's `/proc/self/mountinfo`: fields are separated by blanks, the fifth is where it is mounted, and
    the kind follows a lone hyphen (proc(5)).
    """
    longest, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= longest:
            longest, kind = len(point.parts), kinds[0]
    return kind if kind in NETWORKED else None


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
