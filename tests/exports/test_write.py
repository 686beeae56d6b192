"""Writing: whole or not at all, and never over what is somebody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from engine.core.faults import DiskError, PlanError
from engine.exports.write import SUMS, Existing, Target, sums, write


def folder(place: Path, *contents: tuple[str, str]) -> None:
    """An export as a folder at `place`, replacing one."""
    target = Target(place, True, ("train.jsonl",))
    target.check(Existing.REPLACE)
    with target.aside() as aside:
        hashes = {name: write(aside / name, [text.encode()]) for name, text in contents}
        write(aside / SUMS, [sums(hashes)])
        target.place(aside)


def tree(place: Path) -> dict[str, str]:
    return {path.relative_to(place).as_posix(): path.read_text() for path in sorted(place.rglob("*")) if path.is_file()}


def test_written_file_has_its_sum(tmp_path: Path) -> None:
    """The sum is that of the bytes, and the sums read as `sha256sum` writes them."""
    assert write(tmp_path / "a", iter([b"one", b"two"])) == sha256(b"onetwo").hexdigest()
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    assert sums({"b": "2", "a": "1"}) == b"1  a\n2  b\n"


def test_folder_replaces_a_folder(tmp_path: Path) -> None:
    """The new export is there with nothing of the old one, and nothing is left beside it."""
    folder(tmp_path / "data", ("train.jsonl", "1"), ("validation.jsonl", "2"))
    folder(tmp_path / "data", ("train.jsonl", "3"))
    assert tree(tmp_path / "data") == {"train.jsonl": "3", SUMS: (tmp_path / "data" / SUMS).read_text()}
    assert os.listdir(tmp_path) == ["data"]


def test_folder_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    """Neither one that is no export, nor an export into which somebody has put something."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    with pytest.raises(PlanError, match="is no export"):
        folder(tmp_path / "thesis", ("train.jsonl", "1"))
    folder(tmp_path / "data", ("train.jsonl", "1"))
    (tmp_path / "data" / "notes.txt").write_text("precious")
    before = tree(tmp_path)
    with pytest.raises(PlanError, match=r"'notes.txt' in it is not of an export"):
        folder(tmp_path / "data", ("train.jsonl", "2"))
    assert tree(tmp_path) == before


def test_folder_that_cannot_be_placed_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second rename fails, the first is undone."""
    folder(tmp_path / "data", ("train.jsonl", "1"))
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(DiskError, match="Input/output error"):
        folder(tmp_path / "data", ("train.jsonl", "2"))
    assert tree(tmp_path / "data")["train.jsonl"] == "1"
    assert os.listdir(tmp_path) == ["data"]


def test_what_is_in_the_way_is_refused(tmp_path: Path) -> None:
    """A file, either of two files, a folder, and a link that leads nowhere."""
    (tmp_path / "b.validation.json").write_text("precious")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "data").mkdir()
    for target in (
        Target(tmp_path / "b.json", False, ("b.json", "b.validation.json")),
        Target(tmp_path / "link.json", False, ("link.json",)),
        Target(tmp_path / "data", True, ("train.json",)),
    ):
        with pytest.raises(PlanError, match="exists: choose another name, or replace it with --force"):
            target.check(Existing.REFUSE)


def test_every_byte_lasts_before_it_is_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are synced, then their folder, then they are renamed, then the folder that they are in now."""
    done: list[str] = []
    sync, rename, replace = os.fsync, Path.rename, Path.replace

    def fsync(number: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{number}')).name}")
        sync(number)

    def renamed(self: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return rename(self, target)

    def replaced(self: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(Path, "replace", replaced)
    folder(tmp_path / "data", ("train.jsonl", "1"))
    assert done[0] == "sync train.jsonl"
    assert done[1] == f"sync {SUMS}"
    assert done[2].endswith(".part")
    assert done[3:] == ["rename to data", f"sync {tmp_path.name}"]
    done.clear()
    target = Target(tmp_path / "b.json", False, ("b.json", "b.validation.json"))
    with target.aside() as aside:
        for name in target.names:
            write(aside / name, [b"x"])
        target.place(aside)
    last = ["rename to b.validation.json", "rename to b.json", f"sync {tmp_path.name}"]
    assert done == ["sync b.json", "sync b.validation.json", *last]


def test_full_disk_is_told_and_nothing_stays(tmp_path: Path) -> None:
    """Trouble while writing ends with the code for disks; the place beside the target is empty again."""

    def full() -> Iterator[bytes]:
        yield b"x"
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(DiskError, match="No space left on device"),
        Target(tmp_path / "a.json", False, ("a.json",)).aside() as aside,
    ):
        write(aside / "a.json", full())
    assert os.listdir(tmp_path) == []
