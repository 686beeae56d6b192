"""The journal: what was appended comes back, a torn end is cut, other damage is refused, one writer at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from engine.core.faults import DiskError, Fault, FaultKind, JournalError
from engine.core.lines import seal, write_paid, write_settled
from engine.core.types import Paid, Reply, Settled, Stop, Usage
from engine.runtime import segments
from engine.runtime.disk import Directory, Disk, networked, replace
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


def changed(disk: FakeDisk, **files: bytes | None) -> FakeDisk:
    """The same files with some of them changed, or gone; names are those of the journal's folder."""
    made = disk.files
    for name, data in files.items():
        path = MANIFEST if name == "manifest" else f"journal/{name.removeprefix('s')}.jsonl"
        made[path] = data if data is not None else b""
        if data is None:
            del made[path]
    return FakeDisk(made)


def refusal(disk: FakeDisk, **settings: Any) -> str:
    """Why a journal is not read. Nothing on the disk has changed by then."""
    before = disk.files
    with pytest.raises(JournalError) as caught:
        indices(disk, **settings)
    assert disk.files == before
    return str(caught.value)


def test_full_segments_are_sealed_with_their_hash() -> None:
    """Each full segment is in the manifest by its lines, size and sha256, and the next one's header tells what it follows."""
    disk = filled(7, segment=3)
    assert disk.names("journal") == ["00000.jsonl", "00001.jsonl", "00002.jsonl"]
    sealed = segments.manifest(disk, "run")
    assert [(entry.lines, entry.bytes) for entry in sealed] == [
        (4, len(disk.files["journal/00000.jsonl"])),
        (4, len(disk.files["journal/00001.jsonl"])),
    ]
    assert sealed[1].sha256 == sha256(disk.files["journal/00001.jsonl"]).hexdigest()
    header = orjson.loads(disk.files["journal/00002.jsonl"].split(b"\n")[0])
    assert (header["before"], header["earlier"]) == (6, sealed[1].sha256)
    assert indices(disk, segment=3) == list(range(7))


def test_compressed_segments_say_the_same() -> None:
    """With compression the sealed segments are zstd files of the very same lines, and either setting reads either form."""
    plain, packed = filled(7, segment=3), filled(7, segment=3, compress=True)
    assert packed.names("journal") == ["00000.jsonl.zst", "00001.jsonl.zst", "00002.jsonl"]
    assert segments.manifest(packed, "run") == segments.manifest(plain, "run")
    data = zstandard.ZstdDecompressor().stream_reader(packed.files["journal/00000.jsonl.zst"]).read()
    assert data == plain.files["journal/00000.jsonl"]
    assert indices(packed, segment=3) == indices(plain, segment=3, compress=True) == list(range(7))


def test_seal_closes_a_finished_run() -> None:
    """The last segment of a finished run is sealed though it is not full; a run that goes on begins the next one."""
    disk = FakeDisk()
    writer = opened(disk)
    writer.append(write_paid(paid(0)))
    writer.seal()
    writer.seal()
    assert len(segments.manifest(disk, "run")) == 1
    writer.append(write_paid(paid(1)))
    assert disk.names("journal") == ["00000.jsonl", "00001.jsonl"]
    assert indices(disk) == [0, 1]


def test_missing_segment_is_refused() -> None:
    """A segment that is gone is named, be it in the middle or the last one that the manifest knows."""
    disk = filled(7, segment=3)
    for name in ("00000", "00001"):
        text = refusal(changed(disk, **{f"s{name}": None}), segment=3)
        assert text.startswith(
            f"run/journal/{name}.jsonl is missing. Nothing was changed. 'seeddrill repair run' shows what can be saved"
        )


def test_segment_cut_at_a_line_is_refused() -> None:
    """A sealed segment that lost whole lines has sound checksums, and is found by the manifest; one that the manifest of a copy
    does not know yet, by the segment after it."""
    disk = filled(7, segment=3)
    short = disk.files["journal/00001.jsonl"].rpartition(b"\n{")[0] + b"\n"
    text = refusal(changed(disk, s00001=short), segment=3)
    assert f"journal/00001.jsonl has 3 lines in {len(short)} bytes, and manifest.json says 4 in" in text
    text = refusal(changed(disk, s00001=short, manifest=None), segment=3)
    assert "journal/00002.jsonl follows line 6 of the journal, and 5 lines are there before it" in text


def test_exchanged_segment_is_refused() -> None:
    """A segment with as many lines as the one that belongs there is told by its hash in the next one's header."""
    disk = filled(7, segment=3)
    other = disk.files["journal/00000.jsonl"]
    assert "follows line 0" in refusal(changed(disk, s00001=other, manifest=None), segment=3)
    edited = disk.files["journal/00001.jsonl"].split(b"\n")
    edited[1] = write_paid(paid(99))[:-1]
    text = refusal(changed(disk, s00001=b"\n".join(edited), manifest=None), segment=3)
    assert "journal/00002.jsonl follows another segment than the one before it" in text


def test_damaged_manifest_is_refused() -> None:
    """A manifest with a flipped bit, or one that is none, is refused by name; the lines themselves may be whole."""
    disk = filled(7, segment=3)
    whole = disk.files[MANIFEST]
    assert "run/manifest.json is damaged: its checksum does not fit" in refusal(
        changed(disk, manifest=whole.replace(b"4", b"5", 1))
    )
    assert "run/manifest.json is damaged: it does not end with a checksum" in refusal(changed(disk, manifest=b"{}"))
    wrong = segments.write_manifest(segments.manifest(disk, "run")[1:])
    assert "its segments are not in order" in refusal(changed(disk, manifest=wrong))


def test_damaged_compressed_segment_is_refused() -> None:
    """A flipped bit in a compressed segment, and one that was cut short, are told with line and offset."""
    disk = filled(7, segment=3, compress=True)
    name = "journal/00000.jsonl.zst"
    whole = disk.files[name]
    flipped = FakeDisk({**disk.files, name: whole[:-3] + bytes([whole[-3] ^ 4]) + whole[-2:]})
    assert "00000.jsonl.zst is damaged at line" in refusal(flipped, segment=3)
    assert "its compressed data ends too early" in refusal(FakeDisk({**disk.files, name: whole[:-8]}), segment=3)


def test_copy_with_an_older_manifest_opens() -> None:
    """A copy made while the run went on has the manifest of a moment before, and a torn end: it opens, and its own manifest
    catches up."""
    disk = filled(8, segment=3)
    whole = disk.files["journal/00002.jsonl"]
    older = segments.write_manifest(segments.manifest(disk, "run")[:1])
    copy = changed(disk, s00002=whole[:-7], manifest=older)
    assert indices(copy, segment=3) == list(range(7))
    assert segments.manifest(copy, "run") == segments.manifest(disk, "run")
    assert copy.files["journal/00002.jsonl"] == whole[: whole[:-1].rindex(b"\n") + 1]


def test_what_a_kill_leaves_beside_a_segment_is_tidied() -> None:
    """Both forms of a segment, or half of one, are what a kill while packing leaves: one form stays."""
    disk = filled(4, segment=3, compress=True)
    packed = disk.files["journal/00000.jsonl.zst"]
    plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
    listed = FakeDisk({**disk.files, "journal/00000.jsonl": plain, "journal/.00000.jsonl.zst.part": b"half"})
    assert indices(listed, segment=3, compress=True) == [0, 1, 2, 3]
    assert listed.names("journal") == ["00000.jsonl.zst", "00001.jsonl"]
    unlisted = FakeDisk({"journal/00000.jsonl": plain, "journal/00000.jsonl.zst": packed})
    assert indices(unlisted, segment=9) == [0, 1, 2]
    assert unlisted.names("journal") == ["00000.jsonl"]


def test_disk_that_cannot_be_read_is_told() -> None:
    """An I/O error while reading names the file and where it struck."""

    class Unreadable(FakeDisk):
        def read(self, name: str) -> Iterator[bytes]:
            yield self.files[name][:200]
            raise OSError(errno.EIO, "Input/output error")

    text = refusal(Unreadable(filled(3).files))
    assert "run/journal/00000.jsonl cannot be read beyond line 1, offset" in text
    assert "Input/output error. Nothing was changed" in text


def test_reader_follows_a_writer_that_seals_and_packs(tmp_path: Path) -> None:
    """A reader that is in the middle of a segment when it is packed and removed goes on in the other form, each line once."""
    disk = Directory(tmp_path)
    writer = opened(disk, segment=3, compress=True)
    writer.append(write_paid(paid(0)) + write_paid(paid(1)))
    reader = read_only(tmp_path)
    seen = [next(reader)]
    for index in range(2, 9):
        writer.append(write_paid(paid(index)))
        seen.append(next(reader))
    seen += reader
    assert [line.index for line in seen if isinstance(line, Paid)] == list(range(9))
    disk.close()


def test_network_file_systems_are_known_by_their_mounts() -> None:
    """The longest mount point above a directory tells; blanks in it are written as octal numbers."""
    mounts = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:2 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/local rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/my\\040share rw - cifs //server/share rw
no mount at all
"""
    assert networked(Path("/home/ann/runs/a"), mounts) == "nfs4"
    assert networked(Path("/mnt/my share/a"), mounts) == "cifs"
    for path in ("/home/local/a", "/srv/a", "/homework"):
        assert networked(Path(path), mounts) is None


def test_reader_does_not_pass_over_what_is_missing(tmp_path: Path) -> None:
    """Status, export and refold are told of a missing segment too, also where it is the last one that the manifest knows."""
    disk = Directory(tmp_path)
    writer = opened(disk, segment=3)
    for index in range(7):
        writer.append(write_paid(paid(index)))
    disk.close()
    for name in ("00002", "00001", "00000"):
        (tmp_path / f"journal/{name}.jsonl").unlink()
        if name == "00002":
            assert len(list(read_only(tmp_path))) == 6, "the last one may not have been begun"
        else:
            with pytest.raises(JournalError, match=f"journal/{name}.jsonl is missing"):
                list(read_only(tmp_path))


def test_disk_that_takes_nothing_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    """A journal that cannot be written is a `DiskError` when it is opened, not after the first answers were paid for."""
    disk = FakeDisk()
    disk.fail_at = 0
    with pytest.raises(DiskError, match="Input/output error"):
        opened(disk)
