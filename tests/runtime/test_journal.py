"""The journal: what was appended comes back, a torn end is cut, other damage is refused, one writer at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.core.faults import DiskError, Fault, FaultKind, JournalError
from engine.core.lines import seal, write_paid, write_settled
from engine.core.types import Paid, Reply, Settled, Stop, Usage
from engine.runtime.disk import Directory, Disk, replace
from engine.runtime.journal import Journal, Lock, read_only
from engine.runtime.segments import MANIFEST
from tests.fakes import FakeDisk

HEADER = {"plan": "00c0ffee00c0ffee"}
NAME = "journal/00000.jsonl"


def settled(index: int, text: str = "Grüße, 世界 🌾\n\x00\u2028") -> Settled:
    usage = Usage(tokens_in=90, tokens_cached=10, tokens_out=5)
    return Settled(
        step="instruct",
        index=index,
        of=None,
        try_=0,
        t=1_767_225_600.25,
        shown=("seed/1", "instruct/0.0"),
        style="chat",
        q="0123456789abcdef",
        lane="main",
        replies=(Reply(text=text, stop=Stop.LENGTH, usage=usage, model="m", seconds=1.5, first_byte=0.25),),
        kept=((0, {"instruction": "Name a river."}), (2, {"instruction": text})),
        dropped=((1, {"instruction": "No."}, "too_short"),),
    )


def paid(index: int) -> Paid:
    return Paid(step="classify", index=index, try_=1, t=0.5, lane="main", why="malformed unclear", usage=Usage(estimated=True))


def journal(disk: Disk, plan: str = HEADER["plan"], **settings: Any) -> Journal:
    return Journal(disk, {"plan": plan}, "run", **settings)


def opened(disk: Disk, **settings: Any) -> Journal:
    """A journal that was read to its end, ready to be appended to."""
    one = journal(disk, **settings)
    deque(one.replay(), maxlen=0)
    return one


def filled(count: int = 3, **settings: Any) -> FakeDisk:
    """A disk with a journal of that many lines, each appended by itself."""
    disk = FakeDisk()
    writer = opened(disk, **settings)
    for index in range(count):
        writer.append(write_paid(paid(index)))
    return disk


def indices(disk: Disk, **settings: Any) -> list[int]:
    return [line.index for line in journal(disk, **settings).replay() if isinstance(line, Paid)]


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    """Settled answers, faults and paid attempts written by one process are read equal by the next, which goes on after them."""
    fault = Settled(
        step="instance",
        index=7,
        of="classify/7.0",
        try_=0,
        t=3.0,
        shown=(),
        style="completion",
        q="f" * 16,
        lane="b",
        fault=Fault(FaultKind.REFUSED, "HTTP 400 content_filter"),
    )
    disk = Directory(tmp_path)
    first = opened(disk)
    first.append(write_settled(settled(0)) + write_paid(paid(0)))
    first.append(write_settled(fault))
    disk.close()

    disk = Directory(tmp_path)
    second = journal(disk)
    one, two, three = second.replay()
    assert (one, two) == (settled(0), paid(0))
    assert isinstance(three, Settled)
    assert str(three.fault) == "refused: HTTP 400 content_filter"
    second.append(write_settled(settled(1)))
    disk.close()
    assert [line.index for line in read_only(tmp_path) if isinstance(line, Settled | Paid)] == [0, 0, 7, 1]
    assert (tmp_path / NAME).read_bytes().count(b'"seeddrill"') == 1, "one header a segment"


def test_append_lasts_when_it_returns() -> None:
    """Nothing that `append` has returned from is lost with what the disk had not synced."""
    disk = filled(3)
    assert disk.synced == disk.files


def test_torn_end_is_cut_wherever_it_tore(tmp_path: Path) -> None:
    """A last line without its newline, torn at any byte, was never acknowledged: it goes, and the next one takes its place."""
    whole = filled(3).files[NAME]
    start = whole[:-1].rindex(b"\n") + 1
    path = tmp_path / NAME
    path.parent.mkdir()
    for cut in range(start + 1, len(whole)):
        path.write_bytes(whole[:cut])
        disk = Directory(tmp_path)
        reopened = journal(disk)
        assert [line.index for line in reopened.replay() if isinstance(line, Paid)] == [0, 1]
        assert path.read_bytes() == whole[:start]
        reopened.append(write_paid(paid(2)))
        disk.close()
        assert path.read_bytes() == whole


def test_torn_header_is_written_again() -> None:
    """A kill within the very first line leaves a journal that begins anew, with its header."""
    whole = filled(1).files[NAME]
    for cut in range(whole.index(b"\n") + 1):
        disk = FakeDisk({NAME: whole[:cut]})
        reopened = opened(disk)
        reopened.append(write_paid(paid(0)))
        assert disk.files[NAME] == whole


def test_damage_elsewhere_is_refused_and_left_alone() -> None:
    """Any changed byte of an earlier line is reported with file, line and offset, and nothing is mended by guessing."""
    whole = filled(3).files[NAME]
    ends = [n + 1 for n, byte in enumerate(whole) if byte == ord("\n")]
    for number, (start, end) in enumerate(pairwise([0, *ends]), 1):
        for place in range(start, end - 1):
            damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            disk = FakeDisk({NAME: damaged})
            with pytest.raises(JournalError, match=rf"run/{NAME} .*line {number}, offset {start}\b"):
                list(journal(disk).replay())
            assert disk.files[NAME] == damaged


def test_missing_newline_between_lines_is_damage() -> None:
    """Two lines that ran together are not taken for a torn end."""
    whole = filled(3).files[NAME]
    second = whole.index(b"\n") + 1
    third = whole.index(b"\n", second)
    with pytest.raises(JournalError, match=f"line 2, offset {second}"):
        list(journal(FakeDisk({NAME: whole[:third] + b" " + whole[third + 1 :]})).replay())


def test_only_the_last_segment_may_be_torn() -> None:
    """An earlier segment was finished before the next began: an end without newline there is damage, listed or not."""
    for manifest in (True, False):
        files = filled(5, segment=2).files
        files["journal/00001.jsonl"] = files["journal/00001.jsonl"][:-5]
        if not manifest:
            del files[MANIFEST]
        with pytest.raises(
            JournalError, match=r"run/journal/00001.jsonl ends in the middle of line 3, at offset .*seeddrill repair run"
        ):
            indices(FakeDisk(files))


def test_journal_of_another_plan_is_refused() -> None:
    """A journal whose header carries another plan's fingerprint is not read into this one."""
    with pytest.raises(JournalError, match="another plan"):
        opened(filled(), plan="another")


def test_foreign_format_is_refused() -> None:
    """A later version's lines are not guessed at: the error names both formats."""
    disk = FakeDisk({NAME: seal({"seeddrill": 2, **HEADER})})
    with pytest.raises(JournalError, match="line format 2, and this version of seeddrill reads 1"):
        list(journal(disk).replay())


def test_line_of_an_unknown_kind_is_damage() -> None:
    """A sealed line that says nothing we know, or lacks a key, is refused like any other damage."""
    whole = filled(1).files[NAME]
    for body in ({"later": 1}, {"s": "instruct"}, {"paid": "x", "usage": {"colour": 1}}):
        with pytest.raises(JournalError, match="line 3"):
            list(journal(FakeDisk({NAME: whole + seal(body) + seal({"later": 1})})).replay())


def test_reading_touches_nothing(tmp_path: Path) -> None:
    """A reader beside the writer sees the whole lines and leaves a half-written one for its writer to finish."""
    torn = filled(3).files[NAME][:-5]
    (tmp_path / "journal").mkdir()
    (tmp_path / NAME).write_bytes(torn)
    assert [line.index for line in read_only(tmp_path) if isinstance(line, Paid)] == [0, 1]
    assert (tmp_path / NAME).read_bytes() == torn


def test_full_disk_ends_the_run_with_its_own_code() -> None:
    """A write that finds no room is a `DiskError`, exit code 7, and all that was journaled before it is valid."""
    disk = filled(2)
    writer = opened(disk)
    disk.room = 10
    with pytest.raises(
        DiskError, match=r"run cannot be written: No space left on device. Every answer journaled before"
    ) as caught:
        writer.append(write_paid(paid(2)))
    assert caught.value.exit_code == 7
    assert indices(disk) == [0, 1]


def test_nothing_is_written_after_a_failed_write() -> None:
    """A torn line stays the last one even where there is room again: appending behind it would make it damage."""
    disk = filled(2)
    writer = opened(disk)
    disk.room = 10
    with pytest.raises(DiskError):
        writer.append(write_paid(paid(2)))
    disk.room = None
    with pytest.raises(DiskError):
        writer.append(write_paid(paid(3)))
    assert indices(disk) == [0, 1]


def test_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the moment of replacing the old file stands, and after it the new one, with nothing beside it."""
    path = tmp_path / "plan.json"
    disk = Directory(tmp_path)
    (tmp_path / ".plan.json.part").write_bytes(b"half of what an earlier life wro")
    replace(disk, "plan.json", b"old")
    seen: list[bytes] = []
    rename = os.replace

    def look(aside: Path, target: Path) -> None:
        seen.extend((target.read_bytes(), aside.read_bytes()))
        rename(aside, target)

    monkeypatch.setattr(os, "replace", look)
    replace(disk, "plan.json", b"new")
    assert seen == [b"old", b"new"]
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_lock_has_one_holder(tmp_path: Path) -> None:
    """A second writer in the same process is refused by the first one's number, until the first is done."""
    with Lock(tmp_path):
        with pytest.raises(JournalError, match=rf"in use .*process {os.getpid()}\b"):
            Lock(tmp_path)
    with Lock(tmp_path):
        pass


def test_lock_holds_across_processes_and_dies_with_its_holder(tmp_path: Path) -> None:
    """Another process that holds the directory is named; killed, it leaves the directory free."""
    code = "import sys, pathlib; from engine.runtime.journal import Lock\n"
    code += "with Lock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(JournalError, match=rf"process {holder.pid}\b"):
            Lock(tmp_path)
        holder.kill()
    with Lock(tmp_path):
        pass
