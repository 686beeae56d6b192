"""The only outgoing socket: `HttpRequest` in, `HttpResponse` out, every foreign error turned into a `Fault` at this door.

Owned by one event loop. It never retries: that is the scheduler's.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio

from engine.core.faults import Fault, FaultKind
from engine.core.types import HttpRequest, HttpResponse
from engine.runtime.clock import BEAT, Clock

CONNECT = 10.0
"""Seconds for a connection to stand."""


class Sender(Protocol):
    """What the engine needs of the network; tests pass a fake."""

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """The whole answer within `timeout` seconds, whatever its status; raises `Fault` of kind NETWORK without one."""


class Deadlines:
    """Cuts off what takes too long, with one timer for all. Time in which this process did not run counts for nobody: what came
    meanwhile waits in the socket and has been paid for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int]] = []
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Raises `TimeoutError` if the block takes longer."""
        self._count += 1
        number = self._count
        with anyio.CancelScope() as scope:
            self._scopes[number] = scope
            heapq.heappush(self._due, (self._clock.awake() + seconds, number))
            if self._timer is None or seconds < BEAT:
                self._look()
            try:
                yield
            finally:
                del self._scopes[number]
        if scope.cancelled_caught:
            raise TimeoutError

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Cut off what is due, and look again in a `BEAT`, or sooner, while anything goes on."""
        self.close()
        now = self._clock.awake()
        while self._due and (self._due[0][0] <= now or self._due[0][1] not in self._scopes):
            if (scope := self._scopes.get(heapq.heappop(self._due)[1])) is not None:
                scope.cancel()
        later = min(BEAT, self._due[0][0] - now) if self._due else None
        self._timer = None if later is None else asyncio.get_running_loop().call_later(later, self._look)


class Wire:
    """A pool of connections, as many as calls at once: only the accounts hold calls back, and their limits may change while the
    run goes on."""

    def __init__(self, clock: Clock) -> None:
        self._deadlines = Deadlines(clock)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            # a total limit would kill long generations, and its timer costs 13% of a call: the deadline is ours
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # it would also take passwords from a .netrc, in place of the lane's key
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._deadlines.close()
        if self._session is not None:
            await self._session.close()

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        assert self._session is not None, "the wire is not open"
        started = anyio.current_time()
        try:
            with self._deadlines.within(timeout):
                async with self._session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                    proxy=proxy(request.url),
                ) as answer:
                    first_byte = anyio.current_time() - started
                    body = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Fault(FaultKind.NETWORK, f"cannot connect: {type(error).__name__} to {urlsplit(request.url).netloc}") from None
        except TimeoutError:
            raise Fault(FaultKind.NETWORK, f"no whole answer within {timeout:g} s", billed=True) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):  # its words may have a proxy's password in them
            raise Fault(FaultKind.AUTH, "base_url, or the proxy in the environment, is not a usable address") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Fault(FaultKind.NETWORK, f"the connection broke: {type(error).__name__}", billed=True) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return HttpResponse(answer.status, headers, body, anyio.current_time() - started, first_byte)


@cache
def _proxies() -> dict[str, str]:
    return getproxies()


def proxy(url: str) -> str | None:
    """The proxy that the environment names for an address (`https_proxy`, `http_proxy`, `all_proxy`, less `no_proxy`)."""
    proxies = _proxies()
    if not proxies:
        return None
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
