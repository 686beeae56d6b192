"""Control: the socket on which a running job takes commands from its owner: where it lies, the job's end, the command's end.

One line of JSON in, one out. It knows no command: what answers them is passed in. Nobody else may use the socket.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import orjson
from structlog.typing import FilteringBoundLogger

from engine.core.faults import EngineError, LaneError

NOTE = "control"
"""The file in a run directory that names the socket while the run goes on."""
LONGEST_PATH = 100
"""Bytes of a socket's path; Linux takes 107, macOS 103."""
LONGEST_LINE = 1 << 16
PATIENCE = 10.0
"""Seconds that either end waits for the other."""

Answer = Callable[[Any], str]
"""Does what a command (plain data, unchecked) says and tells what was done. It is called on the loop and must not wait. Raises
`EngineError` where the command is wrong."""


class Unheard(Exception):
    """Nobody listens, or what listened ended before it answered."""


def place(folder: Path) -> Path:
    """The socket's path for a run directory, in a directory that is made where there is none and is its owner's alone. Raises
    `LaneError` where there can be no such directory."""
    name = f"{hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()}.sock"
    failures: list[str] = []
    for room in _rooms():
        if len(os.fsencode(room / name)) > LONGEST_PATH:
            failures.append(f"{room} is too long a path")
            continue
        try:
            room.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except OSError as error:
            failures.append(f"{room} cannot be made: {error.strerror or error}")
            continue
        _refuse_open(room)
        return room / name
    raise LaneError("; ".join(failures))


def _rooms() -> Iterator[Path]:
    """Where sockets may be kept, the best first."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or ".")
    with suppress(OSError):
        if runtime.is_absolute() and runtime.stat().st_uid == os.geteuid():  # after a change of user it may be another's
            yield runtime / "seeddrill"
    for folder in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        yield Path(folder) / f"seeddrill-{os.geteuid()}"


def _refuse_open(room: Path) -> None:
    """Anybody can make a directory of that name under /tmp before us: whoever could enter it could command our runs."""
    found = os.lstat(room)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise LaneError(f"{room} is not a directory of yours: remove it, or set XDG_RUNTIME_DIR to one that is")
    if found.st_mode & 0o077:
        raise LaneError(f"{room} is open to others: 'chmod 700 {room}' closes it")


@asynccontextmanager
async def listening(folder: Path, answer: Answer, log: FilteringBoundLogger) -> AsyncIterator[None]:
    """While the block runs, commands to the run in `folder` (locked, so that what an earlier life left there is nobody's) are
    answered. Where that cannot be, the log says why, and the run goes on without."""
    clients: set[asyncio.Task[None]] = set()
    ended = anyio.Event()
    """For whoever was let in at the last moment."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        assert client is not None
        clients.add(client)
        try:
            if not ended.is_set():
                await _serve(reader, writer, answer)
        finally:
            clients.discard(client)
            writer.close()

    server = None
    try:
        path = place(folder)
        server = await asyncio.start_unix_server(serve, path, limit=LONGEST_LINE)
        path.chmod(0o600)
        _note(folder, path)
    except (OSError, LaneError) as error:
        log.warning("no_control", reason=str(error))
    try:
        yield
    finally:
        if server is not None:
            ended.set()
            server.close()
            for left in (folder / NOTE, path):
                with suppress(OSError):
                    left.unlink()
            for client in clients:
                client.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*clients, return_exceptions=True)


def _note(folder: Path, path: Path) -> None:
    aside = folder / f".{NOTE}"
    aside.write_bytes(os.fsencode(path) + b"\n")
    aside.replace(folder / NOTE)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    """One client, which has to be quick."""
    try:
        async with asyncio.timeout(PATIENCE):
            try:
                line = await reader.readline()
            except ValueError:
                line = b"longer than anything that can be meant"
            writer.write(orjson.dumps(_reply(line, answer)) + b"\n")
            await writer.drain()
    except (TimeoutError, ConnectionError):
        pass  # it hangs, or is gone: nobody is waited for


def _reply(line: bytes, answer: Answer) -> dict[str, str]:
    try:
        return {"said": answer(orjson.loads(line))}
    except orjson.JSONDecodeError:
        return {"error": "a command is one line of JSON"}
    except EngineError as error:
        return {"error": str(error)}


def command(folder: Path, order: Any) -> str:
    """Send a command to the run in a directory and wait for its answer. Raises `LaneError` with the run's words where it refuses,
    `Unheard` where nobody answers, `TimeoutError` where the run does not get to it."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE)
        try:
            line.connect((folder / NOTE).read_bytes().rstrip(b"\n"))
            line.sendall(orjson.dumps(order) + b"\n")
            said = line.makefile("rb").readline()
        except TimeoutError:
            raise
        except OSError as error:
            raise Unheard(error.strerror or str(error)) from None
    if not said.endswith(b"\n"):
        raise Unheard("the connection was closed")
    reply = orjson.loads(said)
    if "error" in reply:
        raise LaneError(reply["error"])
    return str(reply["said"])
