"""Bad disks and directories: each is told in a paragraph, with what is safe and what to type, and nothing else is changed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import pytest

from engine import rundir
from engine.core.lines import seal
from engine.core.types import Settled
from engine.runtime.segments import FOLDER, MANIFEST
from tests import runs, test_cli, test_kill
from tests.test_cli import Command, Said, mendable

seeddrill = test_cli.seeddrill  # the command in this process, for which a run that begins is an error
plan = test_cli.plan

LIMITED = """\
import resource, runpy, sys
if limit := int(sys.argv.pop(1)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("engine", run_name="__main__", alter_sys=True)
"""
SEGMENTS = ("00000.jsonl", "00001.jsonl", "00002.jsonl", "00003.jsonl")
"""Files of the journal of `run`; all but the last are sealed."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the usual run, so that `run` copies it: the same answers in several segments."""
    made = runs.make(tmp_path_factory.mktemp("runs") / "run", segment=3)
    assert tuple(sorted(os.listdir(made / FOLDER))) == SEGMENTS
    return made


@pytest.fixture(autouse=True)
def nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal, whatever the tests are started from."""
    monkeypatch.setattr("sys.stdin", StringIO())


def process(*arguments: object, room: int = 0) -> Said:
    """The command as a process of its own, which may run; with `room`, no file may become longer than that."""
    command = [sys.executable, "-c", LIMITED, str(room), *map(str, arguments)]
    environment = {**os.environ, "SEEDDRILL_TEST_KEY": test_cli.KEY, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    return Said(ended.returncode, ended.stdout, ended.stderr)


def answered(server: test_kill.Server, plan: Path, run: Path, *more: str, room: int = 0) -> Said:
    """A real run, or its resumption, that a server answers."""
    address = f"lanes.main.base_url=http://127.0.0.1:{server.server_port}/v1"
    return process("run", plan, run, "--quiet", "--set", address, *more, room=room)


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, but for the lock, which says nothing once its process has ended."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found.pop("lock", b"") == b""
    return found


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Whatever the block does, nothing in the folder is changed, added or removed by it."""
    before = files(folder)
    yield
    assert files(folder) == before


def settled(run: Path) -> Counter[tuple[str, int]]:
    return Counter((line.step, line.index) for line in rundir.journal(run) if isinstance(line, Settled))


def edited(path: Path, number: int, **changes: Any) -> None:
    """Change keys of a line, by somebody who knows the format: its checksum is made to fit."""
    lines = path.read_bytes().splitlines(keepends=True)
    body = orjson.loads(lines[number])
    del body["c"]
    lines[number] = seal({**body, **changes})
    path.write_bytes(b"".join(lines))


def advice(run: Path) -> str:
    return (
        f"Nothing was changed. 'seeddrill repair {run}' shows what can be saved before it changes anything; restoring the file "
        "from a copy loses less"
    )


# The disk


def test_disk_that_fills_up(run: Path, plan: Path) -> None:
    """A write that finds room for half a line ends the run with code 7; with room, the same command goes on from there."""
    last = run / FOLDER / SEGMENTS[-1]
    before, known, room = files(run), settled(run), (run / rundir.PLAN).stat().st_size + 500
    with test_kill.serving() as server:
        full = answered(server, plan, run, "--set", "goal=20", room=room)
        assert (full.code, full.out, full.err.count("\n")) == (7, "", 1)
        assert full.err == (
            f"seeddrill: {run} cannot be written: File too large. Every answer journaled before is safe; make room or mend the "
            "disk, then run the same command again\n"
        )
        assert last.stat().st_size == room, "the line was not torn"
        after = files(run)
        assert after[f"{FOLDER}/{last.name}"].startswith(before[f"{FOLDER}/{last.name}"])
        assert all(after[name] == data for name, data in before.items() if name not in (rundir.PLAN, f"{FOLDER}/{last.name}"))
        assert known <= (kept := settled(run))
        assert answered(server, plan, run, "--set", "goal=20").code == 0
    assert kept < settled(run)
    assert set(settled(run).values()) == {1}
    assert process("verify", run).code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_for_a_run_at_all(seeddrill: Command, plan: Path, tmp_path: Path) -> None:
    """A run that cannot even be prepared asks nothing, and what it left of itself hinders no later one."""
    run = tmp_path / "run"
    mendable(
        process("run", plan, run, room=1000),
        f"the run directory {run} cannot be written: File too large",
        "make it writable (or make room), or choose another directory",
    )
    assert not (run / rundir.PLAN).exists()
    with pytest.raises(AssertionError, match="this would have been a run"):
        seeddrill("run", plan, run, "--quiet")


@pytest.fixture
def read_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run on a disk that is mounted to be read; modes would not stop whoever runs these tests as root."""
    real = os.open

    def refusing(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and Path(path).is_relative_to(run):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", refusing)
    return run


def test_read_only_directory(seeddrill: Command, plan: Path, read_only: Path) -> None:
    """A run in a directory that cannot be written, and a repair, are refused with the reason; verbs that only read work there."""
    with untouched(read_only):
        mendable(
            seeddrill("run", plan, read_only),
            f"the run directory {read_only} cannot be written: Read-only file system. Nothing in it was changed",
            "make it writable (or make room), or choose another directory",
        )
        said = seeddrill("repair", read_only, "--yes")
        assert (said.code, said.out) == (7, "")
        assert f"{read_only} cannot be mended: Read-only file system. The journal was not changed" in said.err
        assert seeddrill("verify", read_only).code == 0
        assert seeddrill("refold", read_only, read_only.parent / "new").code == 0
        assert "3 of 3 instructions" in seeddrill("status", read_only).out


def test_directory_that_may_not_be_made(seeddrill: Command, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run's directory cannot be made, the reason is the system's, and the advice ours."""

    def refusing(path: Any, *_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "mkdir", refusing)
    run = tmp_path / "run"
    mendable(seeddrill("run", plan, run), f"{run} cannot be written: Permission denied", "choose another directory")


# The directory


def test_directory_of_another_plan(seeddrill: Command, plan: Path, run: Path) -> None:
    """What must not change is named, old and new; the three ways out are told, a command among them."""
    with untouched(run):
        mendable(
            seeddrill("run", plan, run, "--set", "options.rouge_max=0.6"),
            f"{run} belongs to another plan, and these cannot change within a run: options.rouge_max: 0.7 -> 0.6",
            "Nothing in it was changed. Go back to them, choose a new directory, or fold its answers again under the new plan",
            f"seeddrill refold {run} NEW --set KEY=VALUE",
        )


def test_two_processes_at_once(seeddrill: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process asks, a second run, a repair and a refold into its directory are refused, and the first is named; readers
    are not, and the first goes on to its end as if nothing had been."""
    asked, go, answer = Event(), Event(), test_kill.Handler.do_POST

    def held(handler: test_kill.Handler) -> None:
        asked.set()
        assert go.wait(60)
        answer(handler)

    monkeypatch.setattr(test_kill.Handler, "do_POST", held)
    run, plan = tmp_path / "run", tmp_path / "plan.toml"
    with test_kill.serving() as server:
        plan.write_text(test_kill.PLAN.format(port=server.server_port).replace("goal = 50", "goal = 3"))
        first = test_kill.start("run", str(plan), str(run), "--quiet")
        try:
            assert asked.wait(60)
            for command in (["run", plan, run], ["repair", run, "--yes"]):
                mendable(
                    seeddrill(*command),
                    f"{run} is in use by another run (process {first.pid} on",
                    "which is not disturbed: wait for it, stop it, or choose another directory",
                    f"'seeddrill status {run}' tells how far it is",
                )
            mendable(seeddrill("refold", run, run), f"{run} is in use, and was left alone", "choose another name")
            assert seeddrill("status", run).code == 0
        finally:
            go.set()
            _, errors = first.communicate(timeout=60)
    assert (first.returncode, errors) == (0, b"")
    assert seeddrill("verify", run).code == 0


def test_file_where_a_directory_should_be(seeddrill: Command, plan: Path, run: Path, tmp_path: Path) -> None:
    """A file in the place of a run, above one, or in the place of a refold, is named and left alone."""
    path = tmp_path / "file"
    path.write_text("precious")
    for place in (path, path / "run"):
        mendable(
            seeddrill("run", plan, place),
            f"{place} is a file, or lies in one, and was left alone: choose a directory for the run",
        )
        for verb in ("verify", "repair"):
            mendable(seeddrill(verb, place), f"{place} is not a run directory", "seeddrill run PLAN DIR")
    mendable(seeddrill("refold", run, path), f"{path} is in use, and was left alone: a refold makes a new directory")
    assert path.read_text() == "precious"


def test_file_where_the_journal_should_be(seeddrill: Command, plan: Path, run: Path) -> None:
    """With a file in the place of the journal's folder nothing is asked, and the file stays."""
    shutil.rmtree(run / FOLDER)
    (run / FOLDER).write_text("precious")
    with untouched(run):
        mendable(seeddrill("run", plan, run), "the journal cannot be read", f"{run}/{FOLDER}", "Nothing was changed")


# The journal


def by_hand(run: Path) -> str:
    """A word of a line, by an editor that knows nothing of checksums."""
    path = run / FOLDER / SEGMENTS[1]
    offset = len(path.read_bytes().splitlines(keepends=True)[0])
    path.write_bytes(path.read_bytes().replace(b'"lane":"main"', b'"lane":"mine"', 1))
    return f"{path} is damaged at line 2, offset {offset}: its checksum does not fit. {advice(run)}"


def by_a_skilled_hand(run: Path) -> str:
    """The same with a checksum that fits."""
    path = run / FOLDER / SEGMENTS[1]
    size = path.stat().st_size
    edited(path, 1, lane="another")
    return f"{path} has 4 lines in {size + 3} bytes, and {MANIFEST} says 4 in {size}: it was cut short or changed. {advice(run)}"


def a_missing_segment(run: Path) -> str:
    (run / FOLDER / SEGMENTS[1]).unlink()
    return f"{run}/{FOLDER}/{SEGMENTS[1]} is missing. {advice(run)}"


def a_damaged_manifest(run: Path) -> str:
    path = run / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"lines":4', b'"lines":5', 1))
    return f"{path} is damaged: its checksum does not fit. {advice(run)}"


DAMAGES = (by_hand, by_a_skilled_hand, a_missing_segment, a_damaged_manifest)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_journal(seeddrill: Command, plan: Path, run: Path, damage: Callable[[Path], str]) -> None:
    """Whatever is wrong with a journal is refused by `run` with file, place and the command that mends; `verify` ends with 8;
    `repair` shows what would go and drops nothing without a yes, and with one it mends and keeps the old journal."""
    words = damage(run)
    damaged = {name: data for name, data in files(run).items() if name.startswith((FOLDER, MANIFEST))}
    with untouched(run):
        mendable(seeddrill("run", plan, run), words)
        checked = seeddrill("verify", run)
        assert (checked.code, checked.err) == (8, "")
        assert f"DIFFERENCE: {words}" in checked.out
        assert checked.out.endswith("\n1 differences.\n")
        asked = seeddrill("repair", run)
        assert (asked.code, asked.err) == (2, "")
        assert asked.out.startswith(f"What is wrong: {words.partition(' Nothing was changed')[0]}")
        assert "answers can be read;" in asked.out
        assert asked.out.endswith(f"The journal as it is now would be kept in {run}/damaged-1.\nNothing was changed.\n")
    mended = seeddrill("repair", run, "--yes")
    assert (mended.code, mended.err) == (0, "")
    assert mended.out.startswith(asked.out.removesuffix("Nothing was changed.\n")), "it did something else than it had shown"
    assert f"{run} is mended; the damaged journal is kept in {run}/damaged-1 (delete it when you like)" in mended.out
    assert f"'seeddrill verify {run}' checks what is there; 'seeddrill run PLAN {run}' asks what is missing." in mended.out
    assert files(run / "damaged-1") == damaged
    assert seeddrill("verify", run).code == 0
    assert "is not damaged: every line is whole" in seeddrill("repair", run, "--yes").out


def test_repair_shows_what_would_be_dropped(seeddrill: Command, run: Path) -> None:
    """Lines that cannot be read are listed with file, line, offset and reason; so is how many answers hang on them."""
    words = by_hand(run)
    offset = words.partition("offset ")[2].partition(":")[0]
    out = seeddrill("repair", run).out
    assert (
        f"Cannot be read, and would be dropped:\n  journal/00001.jsonl, line 2, offset {offset}: its checksum does not fit" in out
    )
    assert "\n8 answers can be read; 7 of them stay.\n" in out
    assert "\n1 would be dropped, because what they are about is lost (their cost stays in the books).\n" in out


def test_edit_that_keeps_length_and_checksum_is_found_by_verify(seeddrill: Command, run: Path) -> None:
    """What `run` cannot see, since it counts and does not hash, `verify` tells by the segment's sha256."""
    path = run / FOLDER / SEGMENTS[0]
    edited(path, 1, lane="mine")
    with untouched(run):
        said = seeddrill("verify", run)
    assert (said.code, said.err) == (8, "")
    assert f"DIFFERENCE: {path} has the sha256 " in said.out
    assert f", and {MANIFEST} says " in said.out
    assert f": it was changed. {advice(run)}" in said.out


@pytest.mark.parametrize("name", [SEGMENTS[0], SEGMENTS[-1]])
def test_foreign_format_version(seeddrill: Command, plan: Path, run: Path, name: str) -> None:
    """Lines of another format are not guessed at: both formats are named, and the version that wrote them."""
    edited(run / FOLDER / name, 0, seeddrill=2, engine="9.9.9")
    words = (
        f"{run / FOLDER / name} has line format 2, and this version of seeddrill reads 1. Nothing was changed; use the version "
        "that wrote it (9.9.9)"
    )
    with untouched(run):
        mendable(seeddrill("run", plan, run), words)
        mendable(seeddrill("status", run), words)
        assert seeddrill("verify", run).code == 8


def test_torn_tail_is_no_error(seeddrill: Command, plan: Path, run: Path) -> None:
    """A last line that is not whole is what a kill leaves: readers pass over it, `verify` says so and ends with 0, and the run
    goes on and asks that one question again."""
    path = run / FOLDER / SEGMENTS[-1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with untouched(run):
        said = seeddrill("verify", run)
        assert (said.code, said.err) == (0, "")
        offset = whole[:-1].rindex(b"\n") + 1
        note = f"Note: the last line of {path.name}, at offset {offset}, is not whole: a run is writing it, or was killed."
        assert f"{note} The run cuts it off when it goes on.\n" in said.out
        assert ("instance", 2) not in settled(run)
        assert "is not damaged" in seeddrill("repair", run).out
    with test_kill.serving() as server:
        said = answered(server, plan, run)
        assert (said.code, said.err, server.requests) == (0, "", 1)
    assert seeddrill("verify", run).code == 0


def test_good_run_is_verified_in_words(seeddrill: Command, run: Path) -> None:
    """`verify` prints what it has checked, one count a line, and ends with 0; it writes nothing."""
    with untouched(run):
        said = seeddrill("verify", run, "--all")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{run}: checked\n")
    for line in (
        "4 segments",
        "3 of them sealed, sha256 compared",
        "9 prompts built again, hash compared",
        "9 settled answers, each once, each after what it is about",
        "1 copies scored again by rouge_score",
    ):
        assert f" {line}\n" in said.out
    assert said.out.endswith("\nNo difference.\n")
