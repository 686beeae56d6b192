"""Files that appear whole or not at all: written beside their place, synced, and only then renamed into it.

An export is one file (and a second one for validation), or a folder: a data set with its card and its sums.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path

from engine.core.faults import DiskError, PlanError

SUMS = "SHA256SUMS"
FILES = (".json", ".jsonl", ".ndjson", ".csv", ".parquet")
"""How a name ends that stands for a file; every other one stands for a folder."""


class Existing(Enum):
    """What to do where the file is there already."""

    REFUSE = "refuse"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Target:
    """Where an export goes: the folder `path`, or files beside each other of which `path` is the first."""

    path: Path
    is_folder: bool
    names: tuple[str, ...]
    """Of the files with rows in them."""

    def check(self, existing: Existing) -> None:
        """Raises `PlanError` where something is in the way, or there is no place. Touches nothing."""
        above = next((place for place in self.path.parents if os.path.lexists(place)), self.path.parent)
        if not above.is_dir():
            raise PlanError(f"{self.path} cannot be written: {above} is not a folder; choose another place")
        for path in [self.path] if self.is_folder else [self.path.with_name(name) for name in self.names]:
            if not os.path.lexists(path):
                continue
            if existing is Existing.REFUSE:
                raise PlanError(f"{path} exists: choose another name, or replace it with --force")
            if self.is_folder:
                self._check_ours()
            elif path.is_dir():
                raise PlanError(f"{path} cannot be written: it is a folder; choose another name")

    def _check_ours(self) -> None:
        try:
            sums = (self.path / SUMS).read_text(encoding="utf-8").splitlines()
            names = {SUMS, *(line.partition("  ")[2] for line in sums)}
            strange = sorted(set(os.listdir(self.path)) - names)
        except (OSError, ValueError):
            raise PlanError(
                f"{self.path} cannot be written: it is there, and is no export (it has no {SUMS}); choose another name"
            ) from None
        if strange:
            raise PlanError(f"{self.path} cannot be replaced: {strange[0]!r} in it is not of an export; move it away first")

    @contextmanager
    def aside(self) -> Iterator[Path]:
        """A new folder beside the target for its files; gone afterwards. Missing folders above are made. Trouble with the
        disk is a `DiskError`."""
        folder = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
        try:
            folder.mkdir(parents=True)
            yield folder
        except OSError as error:
            raise DiskError(f"{self.path} cannot be written: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                shutil.rmtree(folder)

    def place(self, folder: Path) -> None:
        """Let what lies in `folder` take its place."""
        if self.is_folder:
            _sync(folder)
            self._swap(folder)
        else:
            for name in reversed(self.names):
                (folder / name).replace(self.path.with_name(name))
        _sync(self.path.parent)

    def _swap(self, folder: Path) -> None:
        """Two renames where an older export is there: a reader sees the old one, for an instant none, then the new one."""
        if not os.path.lexists(self.path):
            folder.rename(self.path)
            return
        old = folder.with_suffix(".old")
        self.path.rename(old)
        try:
            folder.rename(self.path)
        except OSError:
            old.rename(self.path)
            raise
        shutil.rmtree(old)


def write(path: Path, pieces: Iterable[bytes]) -> str:
    """Write a file and make it last; its sha256."""
    digest = sha256()
    with path.open("xb") as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def sums(hashes: dict[str, str]) -> bytes:
    """As `sha256sum --check` reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items())).encode()


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
