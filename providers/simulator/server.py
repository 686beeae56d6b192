"""The simulator as a server on loopback, in real time: aiohttp in front of `World`.

Doors and tests may start it. It keeps the promises of the weather down to the socket: resets, cut bodies, slow drips.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiohttp import web

from providers.simulator import dialects, script
from providers.simulator.dialects import Talker
from providers.simulator.script import Script, ScriptError
from providers.simulator.world import Arrival, Break, Call, World

HOST = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: the peer gets a reset instead of an end."""
_LARGEST_BODY = 64 * 1024 * 1024


class Server:
    """A world and the moment when it began."""

    def __init__(self, script: Script, seed: int = 0) -> None:
        self.world = World(script, seed)
        self._began = 0.0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.on_startup.append(self._begin)
        app.router.add_get("/_books", self._books)
        app.router.add_get("/_truth", self._truth)
        app.router.add_post("/_reset", self._restart)
        app.router.add_route("*", "/{path:.*}", self._call)
        return app

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def _begin(self, app: web.Application) -> None:
        self._began = asyncio.get_running_loop().time()

    async def _books(self, request: web.Request) -> web.Response:
        return _json(self.world.books())

    async def _truth(self, request: web.Request) -> web.Response:
        return _json(self.world.truth())

    async def _restart(self, request: web.Request) -> web.Response:
        """Full quotas, empty books, and the script from its beginning."""
        self.world.reset()
        self._began = asyncio.get_running_loop().time()
        return _json({"reset": True})

    async def _call(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        world, began = self.world, asyncio.get_running_loop().time()
        arrival = world.arrive(_received(request, body), self._now())
        try:
            await _until(began + arrival.first_byte)
            if arrival.broken is Break.BEFORE_HEADERS:
                _reset(request)
                return web.Response()  # never arrives
            return await _sent(request, arrival, began)
        except ConnectionError:
            return web.Response()  # the client has hung up, which is its right
        finally:
            world.depart(arrival, self._now())


def _received(request: web.Request, body: bytes) -> Call:
    """The path without its escapes, the query with them: what is signed is what was sent."""
    return Call(request.method, request.path, request.headers, body, request.rel_url.raw_query_string)


async def _sent(request: web.Request, arrival: Arrival, began: float) -> web.StreamResponse:
    """Write the answer, as much of it and as slowly as it has been decided."""
    response = web.StreamResponse(status=arrival.status, headers=arrival.headers)
    if not arrival.stream:
        response.content_length = len(arrival.body)
    if arrival.broken is None and arrival.pieces == 1 and not arrival.stream:
        await _until(began + arrival.seconds)
    await response.prepare(request)
    if arrival.broken is Break.AFTER_HEADERS:
        _reset(request)
        return response
    for when, data in arrival.stream or _even(arrival):
        await _until(began + when)
        await response.write(data)
    if arrival.broken is Break.IN_BODY and request.transport is not None:
        request.transport.close()
        return response
    await response.write_eof()
    return response


def _even(arrival: Arrival) -> Iterator[tuple[float, bytes]]:
    """What goes out of a body whose length was told, in its pieces."""
    size = -(-arrival.sent // arrival.pieces) or 1
    for n in range(arrival.pieces):
        when = arrival.first_byte + (arrival.seconds - arrival.first_byte) * (n + 1) / arrival.pieces
        yield when, arrival.body[n * size : min((n + 1) * size, arrival.sent)]


async def _until(moment: float) -> None:
    """Come back at a time of the loop's clock."""
    if (rest := moment - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(rest)


def _reset(request: web.Request) -> None:
    if (transport := request.transport) is not None:
        if (peer := transport.get_extra_info("socket")) is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()


def _json(value: object) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


@asynccontextmanager
async def running(script: Script, port: int, seed: int = 0) -> AsyncIterator[str]:
    """The server while the block runs; gives its address. Port 0 is any that is free; `OSError` for one in use."""
    runner = web.AppRunner(Server(script, seed).app(), access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()


def load(path: Path) -> Script:
    """The script in a file; `ScriptError` where it is missing, unreadable or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScriptError(f"there is no script {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"the script {path} cannot be read: {error}") from error
    try:
        return script.read(text)
    except ScriptError as error:
        raise ScriptError(f"{path}: {error}") from error


def _say(line: str) -> None:
    print(line, flush=True)  # whoever started the server through a pipe waits for its address


def serve(script_path: Path, port: int, seed: int = 0, say: Callable[[str], None] = _say) -> None:
    """Play a script until interrupted. `ScriptError` for a bad script and for a port in use."""
    script = load(script_path)

    async def main() -> None:
        async with running(script, port, seed) as address:
            ended = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):  # by hand: a shell starts what is in its background deaf to SIGINT
                asyncio.get_running_loop().add_signal_handler(number, ended.set)
            for line in announced(script, address):
                say(line)
            await ended.wait()

    try:
        asyncio.run(main())
    except OverflowError:
        raise ScriptError(f"{port} is no port; they go from 0 to 65535") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ScriptError(f"port {port} is in use; choose another with --port, or 0 for any that is free") from error
        raise ScriptError(f"port {port} cannot be opened: {error.strerror}") from error


def announced(script: Script, address: str) -> list[str]:
    """Where to find each account."""
    lines = [f"simulator at {address}; its books are at {address}/_books"]
    for account in script.accounts:
        keys = ", ".join(account.keys) or "any key, or none"  # a name and a secret are two parts of one
        dialect = dialects.find(account.dialect)
        home = dialect.home if isinstance(dialect, Talker) else ""
        lines.append(f"  {account.name}: {account.dialect}, base_url = {address}{account.prefix}{home}, key: {keys}")
    return lines
