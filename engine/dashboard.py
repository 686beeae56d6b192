"""`seeddrill dashboard`: the report of a run as a page that follows it, and its metrics.

Over journal and pulse alone: reads only. Works on a live, a finished and a crashed run alike. Listens on loopback, and asks for a
token, unless told otherwise.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import os
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from engine import metrics, page, rundir, status
from engine.core.faults import EngineError, PlanError
from engine.report import Reading
from engine.runtime.journal import tail
from engine.runtime.segments import FOLDER

PORTS = 50
"""So many are tried where one is in use."""
SLICE = 2.0
"""Seconds of reading between two states of the page, while a long journal is read for the first time."""
FORBIDDEN = "This page needs the address that 'seeddrill dashboard' printed, with its token.\n"
REST = 5.0
"""The page is made anew after at least so many times what making it took."""
_SAFE: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)


class Access(Enum):
    TOKEN = "token"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page is served. `port` 0 is any that is free."""

    host: str
    port: int
    access: Access


class Follower:
    """The page of a run as far as its journal has been read. One thread at a time calls `read`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reading = Reading(directory)
        self._lines = tail(directory)
        self._name = directory.resolve().name
        self._told = (-1, "")
        self._due = 0.0
        self.more = True
        """There are lines that were not read yet."""
        self.run = self._reading.run(self._name)
        self.body = page.body(self.run)
        self.stamp = ""

    def read(self) -> None:
        """Read on for a little while and make the page of it, where something is new and the last one is not too fresh. Raises
        `EngineError` where the run cannot be read; the next call begins again."""
        until = time.monotonic() + SLICE
        try:
            self._read(until)
        except EngineError:
            self._reading, self._lines = Reading(self._directory), tail(self._directory)
            raise
        state, reason, _ = status.state(self._directory)
        told = (self._reading.figures.lines, f"{state} {reason}")
        if told != self._told and time.monotonic() >= self._due:
            began = time.monotonic()
            self.run = self._reading.run(self._name)
            self.body, self._told = page.body(self.run), told
            self.stamp = secrets.token_hex(8)
            self._due = time.monotonic() + REST * (time.monotonic() - began)

    def _read(self, until: float) -> None:
        self.more = True
        while time.monotonic() < until:
            for _ in range(100):
                if (line := next(self._lines)) is None:
                    self.more = False
                    return
                self._reading.figures.line(line)

    @property
    def said(self) -> str:
        """How fresh the page is, in words."""
        lines = f"{self._reading.figures.lines:,} lines of the journal read"
        return f"{lines}, more to come" if self.more else f"{lines}; follows the run"


class Site:
    """The pages of one run."""

    def __init__(self, directory: Path, token: str | None) -> None:
        self._directory = directory
        self._token = token
        self._follower = Follower(directory)
        self._reader: asyncio.Task[None] | None = None
        self._error = ""

    def application(self) -> web.Application:
        made = web.Application(middlewares=[self._guard])
        made.router.add_get("/", self._page)
        made.router.add_get("/data", self._data)
        made.router.add_get("/metrics", self._metrics)
        return made

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Nobody without the token sees anything; a page of another site that has us by another name neither."""
        shown = request.query.get("token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._token is not None and not hmac.compare_digest(shown.encode("utf-8", "replace"), self._token.encode()):
            return web.Response(
                status=403, text="This page needs the address that 'seeddrill dashboard' printed, with its token.\n"
            )
        response = await handler(request)
        response.headers.update(_SAFE)
        return response

    async def _page(self, request: web.Request) -> web.Response:
        text = await asyncio.to_thread(page.live, self._follower.run)
        return web.Response(text=text, content_type="text/html")

    async def _data(self, request: web.Request) -> web.Response:
        """What is new since the caller's stamp. Reading goes on meanwhile, in the background, and never twice at once."""
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        await asyncio.wait([self._reader], timeout=SLICE)
        if self._error:
            return _json({"error": self._error}, 503)
        follower = self._follower
        fresh = request.query.get("since") != follower.stamp
        return _json({"stamp": follower.stamp, "said": follower.said, "body": follower.body if fresh else None})

    async def _read(self) -> None:
        try:
            await asyncio.to_thread(self._follower.read)
            self._error = ""
        except EngineError as error:
            self._error = str(error)

    async def _metrics(self, request: web.Request) -> web.Response:
        told = await asyncio.to_thread(last_pulse, self._directory)
        return web.Response(body=metrics.text(told), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _json(told: dict[str, Any], code: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(told), status=code, content_type="application/json")


def last_pulse(directory: Path) -> dict[str, Any]:
    """The last pulse, with the state as it is now; what the journal says where there is none, or where the run was killed: its
    last pulse may count what did not last."""
    state, reason, _ = status.state(directory)
    try:
        data = (directory / rundir.PULSE).read_bytes()
        pulse: dict[str, Any] = orjson.loads(data)
        if state != "killed":
            return {**pulse, "state": state, "reason": reason}
    except (OSError, ValueError, TypeError):
        data = b""
    return {**_journaled(directory, data, _shape(directory)), "state": state, "reason": reason}


def _shape(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, inodes and sizes of the journal's files: they change with whatever is written, repaired or folded anew."""
    try:
        with os.scandir(directory / FOLDER) as files:
            return tuple(sorted((file.name, file.inode(), file.stat().st_size) for file in files))
    except FileNotFoundError:  # nothing is written yet, or a repair changes places just now
        return ()


@lru_cache(maxsize=1)
def _journaled(directory: Path, pulse: bytes, shape: tuple[tuple[str, int, int], ...]) -> dict[str, Any]:
    """What the journal says. It stays so until there is another pulse, or the journal looks different."""
    figures = status.fold(directory)
    tally = {"steps": figures["steps"], "lanes": figures["lanes"]}
    return {"goal": figures["goal"], "records": figures["records"], "currency": figures["money"]["currency"], "tally": tally}


def serve(directory: Path, place: Place) -> None:
    """Serve the page until Ctrl-C, and say where. Raises `PlanError` where the directory is no run."""
    token = secrets.token_urlsafe(18) if place.access is Access.TOKEN else None
    site = Site(directory, token)
    listener = bound(place)
    with listener:
        port = listener.getsockname()[1]
        if place.port not in (0, port):
            print(f"seeddrill: port {place.port} is in use", file=sys.stderr)
        host = f"[{place.host}]" if ":" in place.host else place.host
        print(f"http://{host}:{port}/{'' if token is None else f'?token={token}'}", flush=True)
        print("Ctrl-C ends the page; the run does not notice.", file=sys.stderr)
        web.run_app(site.application(), sock=listener, print=None, access_log=None)


def bound(place: Place) -> socket.socket:
    """A listening socket at the place, or on the next port that is free."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    for port in range(place.port, min(place.port + PORTS, 65536)):
        try:
            return socket.create_server((place.host, port), family=family)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise PlanError(f"{place.host} is no address to listen on: {error.strerror or error}") from error
    raise PlanError(f"no port of {place.host} from {place.port} on is free: choose another one with --port")
