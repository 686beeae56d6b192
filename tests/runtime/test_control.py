"""The control socket, for real: whose it is, what it answers to nonsense, and that no client holds up a run."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
import structlog
from anyio.to_thread import run_sync
from structlog.testing import CapturingLogger

from engine.core.faults import LaneError, PlanError
from engine.runtime import control
from engine.runtime.control import NOTE, Answer, Unheard, command, listening, place


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of the user's own; pytest's paths are longer than a socket's may be."""
    folder = tempfile.mkdtemp(prefix="sd-", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield Path(folder)
    shutil.rmtree(folder)


def echo(order: Any) -> str:
    """Obeys, and refuses what is odd."""
    if order == "odd":
        raise PlanError("that is odd")
    return f"heard {order}"


@asynccontextmanager
async def opened(folder: Path, answer: Answer = echo) -> AsyncIterator[list[Any]]:
    """A socket that listens; gives the list of what it logs. Whatever hangs in it fails."""
    log = CapturingLogger()
    with anyio.fail_after(20):
        async with listening(folder, answer, structlog.wrap_logger(log, processors=[lambda _, __, event: ((), event)])):
            yield log.calls


def run(function: Callable[[], Awaitable[None]]) -> None:
    anyio.run(function)


def ask(folder: Path, order: Any) -> Awaitable[str]:
    return run_sync(partial(command, folder, order))


def raw(folder: Path, sent: bytes) -> bytes:
    """What comes back for these bytes, once no more are coming."""
    with connected(folder) as line:
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        return line.makefile("rb").read()


def connected(folder: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(20)
    line.connect((folder / NOTE).read_text().rstrip("\n"))
    return line


def test_command_is_answered(tmp_path: Path) -> None:
    """What the run says comes back, and what it refuses is an error with its words."""

    async def main() -> None:
        async with opened(tmp_path):
            assert await ask(tmp_path, {"do": "it"}) == "heard {'do': 'it'}"
            with pytest.raises(LaneError, match="that is odd"):
                await ask(tmp_path, "odd")

    run(main)


def test_socket_is_its_owners_and_ends_with_the_run(tmp_path: Path, runtime: Path) -> None:
    """Directory and socket are closed to others; socket and note are there while the run is, and nothing of them after it."""

    room = runtime / "seeddrill"

    def look() -> None:
        path = Path((tmp_path / NOTE).read_text().rstrip("\n"))
        assert path == place(tmp_path)
        assert path.parent == room
        assert stat.S_IMODE(room.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def main() -> None:
        async with opened(tmp_path) as logged:
            look()
        assert logged == []

    run(main)
    assert list(tmp_path.iterdir()) == list(room.iterdir()) == []


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"\n", b"one line of JSON"),
        (b"stop\n", b"one line of JSON"),
        (b"\xff\xfe\n", b"one line of JSON"),
        (b'{"do": "stop"', b"one line of JSON"),
        (b"[" * 5000 + b"\n", b"one line of JSON"),
        (b"[" * 5000 + b"]" * 5000 + b"\n", b""),
        (b'"' + b"x" * 300_000 + b'"\n', b""),
        (b'"odd"\n', b"that is odd"),
        (b"", b"one line of JSON"),
    ],
)
def test_nonsense_is_answered_and_harms_nobody(tmp_path: Path, sent: bytes, words: bytes) -> None:
    """Whatever comes, an error goes back, at most, and the next command is heard."""

    async def main() -> None:
        async with opened(tmp_path):
            try:
                reply = await run_sync(raw, tmp_path, sent)
            except ConnectionError:
                reply = b""  # it was cut off in the middle of what it had to say
            assert words in reply
            assert not reply or orjson.loads(reply).keys() <= {"said", "error"}
            assert await ask(tmp_path, 1) == "heard 1"

    run(main)


def test_client_that_hangs_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside clients that say nothing, or half of something, others are answered; they are cut off, and nobody waits for them."""

    async def main() -> None:
        async with opened(tmp_path):
            silent, half = await run_sync(connected, tmp_path), await run_sync(connected, tmp_path)
            half.sendall(b'{"do":')
            assert await ask(tmp_path, 1) == "heard 1"
            monkeypatch.setattr(control, "PATIENCE", 0.0)
            with await run_sync(connected, tmp_path) as late:
                assert await run_sync(late.recv, 100) == b"", "its patience is over"
        for line in (silent, half):
            assert await run_sync(line.recv, 100) == b"", "the run has ended"
            line.close()

    run(main)


def test_run_that_ends_while_a_client_waits(tmp_path: Path) -> None:
    """A client whose run ends before it is answered is told that nobody answers."""

    async def main() -> None:
        failures: list[Unheard] = []
        waiting, go_on = anyio.Event(), anyio.Event()

        async def client() -> None:
            line = await run_sync(connected, tmp_path)
            waiting.set()
            await go_on.wait()
            with line:
                assert await run_sync(line.recv, 100) == b""
            with pytest.raises(Unheard) as caught:
                await ask(tmp_path, 1)
            failures.append(caught.value)

        async with anyio.create_task_group() as clients:
            async with opened(tmp_path):
                clients.start_soon(client)
                await waiting.wait()
            go_on.set()
        assert len(failures) == 1

    run(main)


def test_two_commands_at_once(tmp_path: Path) -> None:
    """Commands that come together are answered each, one after the other."""

    async def main() -> None:
        said: list[str] = []

        async def one(number: int) -> None:
            said.append(await ask(tmp_path, number))

        async with opened(tmp_path), anyio.create_task_group() as clients:
            for number in range(8):
                clients.start_soon(one, number)
        assert sorted(said) == [f"heard {number}" for number in range(8)]

    run(main)


def test_what_a_killed_run_left_is_no_error(tmp_path: Path) -> None:
    """A socket that nobody listens on is told as nobody, and the next life takes its place."""
    path = place(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    (tmp_path / NOTE).write_text(f"{path}\n")
    with pytest.raises(Unheard, match="refused"):
        command(tmp_path, 1)

    async def main() -> None:
        async with opened(tmp_path):
            assert await ask(tmp_path, 1) == "heard 1"

    run(main)
    path.touch()  # a file that is no socket: somebody else's, and left alone

    async def again() -> None:
        async with opened(tmp_path) as logged:
            assert len(logged) == 1
        assert path.exists()

    run(again)


@pytest.mark.parametrize("note", [None, b"", b"/nowhere/at/all.sock\n", b"\x00\n", b"x" * 300])
def test_note_that_leads_nowhere(tmp_path: Path, note: bytes | None) -> None:
    """Without a note, or with one that is damaged or leads nowhere, nobody is there."""
    if note is not None:
        (tmp_path / NOTE).write_bytes(note)
    with pytest.raises(Unheard):
        command(tmp_path, 1)


def test_error_of_the_run_is_the_error(tmp_path: Path) -> None:
    """What ends a run goes through as it is, and the socket is taken away."""

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with opened(tmp_path):
                raise ZeroDivisionError

    run(main)
    assert list(tmp_path.iterdir()) == []


# Where it lies


def test_runs_have_a_socket_each(tmp_path: Path) -> None:
    """Two directories have two sockets, one directory has one, however it is written."""
    assert place(tmp_path / "a") != place(tmp_path / "b")
    assert place(tmp_path / "a") == place(tmp_path / "b" / ".." / "a")


@pytest.mark.parametrize("value", ["", "relative", "/nowhere/at/all", "/proc"])
def test_without_a_runtime_directory_it_lies_in_the_temporary_one(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A runtime directory that is not set, not there, or not to be written is not used."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    monkeypatch.setattr(tempfile, "tempdir", str(runtime))
    assert place(tmp_path).parent == runtime / f"seeddrill-{os.geteuid()}"
    assert stat.S_IMODE(place(tmp_path).parent.stat().st_mode) == 0o700


def test_path_is_short_enough_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep the run and the temporary directory lie, the socket's path is one that a socket can have."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert len(os.fsencode(place(deep))) <= 100
    monkeypatch.setattr(control, "LONGEST_PATH", 10)
    with pytest.raises(LaneError, match="too long a path"):
        place(deep)


def refused(tmp_path: Path) -> str:
    """Why a run goes on without a socket."""

    async def main() -> None:
        async with opened(tmp_path) as logged:
            assert not (tmp_path / NOTE).exists()
            reasons.extend(call.kwargs["reason"] for call in logged)

    reasons: list[str] = []
    run(main)
    (reason,) = reasons
    return reason


def test_directory_that_is_open_to_others_is_refused(tmp_path: Path, runtime: Path) -> None:
    """Who could enter the directory could command the run: there is no socket then, and the log says what to do."""
    (runtime / "seeddrill").mkdir(mode=0o700)
    (runtime / "seeddrill").chmod(0o750)
    assert f"chmod 700 {runtime / 'seeddrill'}" in refused(tmp_path)


def test_directory_that_is_not_ours_is_refused(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link, a file, or another user's directory under our name is no place for the socket."""
    place(tmp_path)
    room = runtime / "seeddrill"
    room.rmdir()
    room.symlink_to(tmp_path)
    assert "not a directory of yours" in refused(tmp_path)
    room.unlink()
    room.touch()
    assert "not a directory of yours" in refused(tmp_path)
    room.unlink()
    room.mkdir(mode=0o700)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    monkeypatch.setattr(tempfile, "tempdir", str(runtime))
    room.rename(runtime / f"seeddrill-{mine + 1}")
    assert "not a directory of yours" in refused(tmp_path)


def test_run_directory_that_cannot_be_written_costs_the_socket_only(tmp_path: Path) -> None:
    """Where the note cannot be written, nothing is left lying about, and the block runs."""
    assert "No such file" in refused(tmp_path / "gone")
    assert not place(tmp_path / "gone").exists()
