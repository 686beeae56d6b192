"""The only outgoing socket: `HttpRequest` in, `HttpResponse` out, every foreign error turned into a `Fault` at this door.

Owned by one event loop. It never retries: that is the scheduler's.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio

from engine.core.faults import Fault, FaultKind, LaneError
from engine.core.http import HttpRequest, HttpResponse
from engine.runtime.clock import BEAT, Clock

CONNECT = 10.0
"""Seconds for a connection to stand."""


AT_ONCE = 0.5
"""Seconds within which a connection fails that its server had closed already."""
JSON = "application/json"
TAIL = 1.0
"""Seconds for the end of a body whose stream has said that it ended: then the connection can serve another call."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for one attempt: for all of it; of a stream, until the model begins, and between two pieces after that."""

    whole: float = 600.0
    first: float = 300.0
    idle: float = 60.0


class Heed(Enum):
    """Whether to listen on."""

    MORE = "more"
    ENDED = "ended"
    CUT = "cut"


class Ear(Protocol):
    """Who hears a stream."""

    @property
    def began(self) -> bool:
        """Whether the answer has begun."""

    def hear(self, chunk: bytes) -> Heed:
        """The next bytes of the body; may raise a `Fault` that was in them."""


class Expired(Exception):
    """A deadline has passed."""


class Late(Fault):
    """No answer, or no more of it, within its time."""


class Sender(Protocol):
    """What the engine needs of the network; tests pass a fake."""

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """The whole answer within `timeout` seconds, whatever its status; raises `Fault` of kind NETWORK without one."""

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        """The answer's head, its body having gone to `ear`; an answer that is no stream has its body and is not heard. Raises
        `Fault` where it breaks, `Late` where it takes too long, and what `ear` raises."""


@dataclass(slots=True)
class Deadline:
    """When a block has to be done, in seconds of the clock."""

    number: int
    due: float
    listed: float
    """When it will be looked at next."""
    scope: anyio.CancelScope


@dataclass(frozen=True, slots=True)
class Span:
    """How long a stream may go on: its deadline, the last one that it may have, and the seconds between two pieces."""

    deadline: Deadline
    last: float
    idle: float


class Deadlines:
    """Cuts off what takes too long, with one timer for all. Time in which this process did not run counts for nobody: what came
    meanwhile waits in the socket and has been paid for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int]] = []
        self._open: dict[int, Deadline] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[Deadline]:
        """Raises `Expired` if the block takes longer, or longer than `move` has allowed it meanwhile."""
        self._count += 1
        number = self._count
        with anyio.CancelScope() as scope:
            due = self._clock.awake() + seconds
            deadline = self._open[number] = Deadline(number, due, due, scope)
            heapq.heappush(self._due, (due, number))
            if self._timer is None or seconds < BEAT:
                self._look()
            try:
                yield deadline
            finally:
                del self._open[number]
        if scope.cancelled_caught:
            raise Expired

    def now(self) -> float:
        return self._clock.awake()

    def move(self, deadline: Deadline, due: float) -> None:
        """Another time for a block that goes on; where it is sooner than before, it is kept to within a `BEAT`."""
        deadline.due = due
        if due < deadline.listed:
            deadline.listed = due
            heapq.heappush(self._due, (due, deadline.number))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Cut off what is due, and look again in a `BEAT`, or sooner, while anything goes on."""
        self.close()
        now = self._clock.awake()
        while self._due and (self._due[0][0] <= now or self._due[0][1] not in self._open):
            _, number = heapq.heappop(self._due)
            if (deadline := self._open.get(number)) is None:
                continue
            if deadline.due <= now:
                deadline.scope.cancel()
            else:
                deadline.listed = math.inf
                self.move(deadline, deadline.due)
        later = min(BEAT, self._due[0][0] - now) if self._due else None
        self._timer = None if later is None else asyncio.get_running_loop().call_later(later, self._look)


class Wire:
    """A pool of connections, as many as calls at once: only the accounts hold calls back, and their limits may change while the
    run goes on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
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
        started = self._clock.now()
        with _faults(request.url):
            try:
                with self._deadlines.within(timeout):
                    async with await self._asked(request) as answer:
                        first_byte = self._clock.now() - started
                        body = await answer.read()
            except Expired:
                raise Late(FaultKind.NETWORK, f"no whole answer within {timeout:g} s", billed=True) from None
        return _response(answer, body, self._clock.now() - started, first_byte)

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        started = self._clock.now()
        with _faults(request.url):
            try:
                with self._deadlines.within(min(timeouts.whole, timeouts.first)) as deadline:
                    last = self._deadlines.now() + timeouts.whole
                    async with await self._asked(request) as answer:
                        first_byte = self._clock.now() - started
                        opening, due = b"", deadline.due
                        if answer.status != 200 or answer.content_type == JSON:
                            self._deadlines.move(deadline, last)
                            opening = await _opening(answer)
                            if answer.status != 200 or opening.lstrip()[:1] in (b"", b"{", b"["):
                                body = opening + await answer.read()
                                return _response(answer, body, self._clock.now() - started, first_byte)
                            self._deadlines.move(deadline, due)  # a stream all the same, whatever a proxy calls it
                        await self._hear_out(answer, ear, Span(deadline, last, timeouts.idle), opening)
            except Expired:
                silent = f"nothing more within {timeouts.idle:g} s" if ear.began else f"no beginning within {timeouts.first:g} s"
                over = self._clock.now() - started >= timeouts.whole
                detail = f"no whole answer within {timeouts.whole:g} s" if over else silent
                raise Late(FaultKind.NETWORK, detail, billed=True) from None
        return _response(answer, b"", self._clock.now() - started, first_byte)

    async def _hear_out(self, answer: aiohttp.ClientResponse, ear: Ear, span: Span, opening: bytes) -> None:
        """Give all that comes to `ear`, behind what has come. A connection on which an answer was cut off is closed: that is what
        tells its server."""
        chunk = opening or await answer.content.readany()
        while chunk and (heed := ear.hear(chunk)) is Heed.MORE:
            if ear.began:
                self._deadlines.move(span.deadline, min(span.last, self._deadlines.now() + span.idle))
            chunk = await answer.content.readany()
        if chunk:
            if heed is Heed.ENDED and not answer.content.at_eof():
                with suppress(Expired), self._deadlines.within(TAIL):
                    await answer.read()
            if heed is Heed.CUT or not answer.content.at_eof():
                answer.close()

    async def _asked(self, request: HttpRequest) -> aiohttp.ClientResponse:
        """The head of the answer. A server may close a connection that it kept just when we use it again (llama.cpp does, after a
        stream): such a request was never read, and is sent once more, which no other layer knows."""
        started = self._clock.now()
        try:
            return await self._sent(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if self._clock.now() - started > AT_ONCE:
                raise
        return await self._sent(request)

    async def _sent(self, request: HttpRequest) -> aiohttp.ClientResponse:
        assert self._session is not None, "the wire is not open"
        return await self._session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            proxy=proxy(request.url) if request.route.proxy is None else request.route.proxy or None,
            ssl=trust(request.route.ca_bundle),
        )


async def _opening(answer: aiohttp.ClientResponse) -> bytes:
    """The body as far as it has come when its first character that is not blank has: some servers send blank lines while a
    question waits."""
    opening = b""
    while not opening.strip() and (chunk := await answer.content.readany()):
        opening += chunk
    return opening


def _response(answer: aiohttp.ClientResponse, body: bytes, seconds: float, first_byte: float) -> HttpResponse:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return HttpResponse(answer.status, headers, body, seconds, first_byte)


@cache
def trust(ca_bundle: str | None) -> ssl.SSLContext:
    """Whose certificates count: those in the file, else those in the file that the environment names, else the system's. Raises
    `LaneError` for a file that cannot be used."""
    named = ca_bundle or os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    try:
        return ssl.create_default_context(cafile=str(Path(named).expanduser()) if named else None)
    except (OSError, ValueError, RuntimeError) as error:
        raise LaneError(f"the file of certificates {named} cannot be used: {type(error).__name__}; it should be PEM") from None


@contextmanager
def _faults(url: str) -> Iterator[None]:
    """Errors of the network and of its library as what they mean."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
        detail = f"the certificate of {_place(url)} is not trusted ({why}): ca_bundle names a file of those that are"
        raise Fault(FaultKind.AUTH, detail, reached=False) from None
    except aiohttp.ClientConnectorSSLError as error:
        why = getattr(error.os_error, "reason", None) or type(error.os_error).__name__
        raise Fault(FaultKind.AUTH, f"no TLS with {_place(url)} ({why}): is its port one for https?", reached=False) from None
    except aiohttp.ClientConnectorError as error:
        whose = "the proxy on the way to " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        raise Fault(FaultKind.NETWORK, f"cannot connect to {whose}{_place(url)}: {_why(error)}", reached=False) from None
    except aiohttp.ConnectionTimeoutError:
        detail = f"cannot connect to {_place(url)}: no answer within {CONNECT:g} s"
        raise Fault(FaultKind.NETWORK, detail, reached=False) from None
    except aiohttp.ClientHttpProxyError as error:
        detail = f"the proxy on the way to {_place(url)} answers {error.status}"
        raise Fault(FaultKind.NETWORK, detail, reached=False) from None
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):  # its words may have a proxy's password in them
        detail = "base_url, or the proxy in the environment, is not a usable address"
        raise Fault(FaultKind.AUTH, detail, reached=False) from None
    except aiohttp.ClientResponseError:
        detail = f"the connection broke: what {_place(url)} says is no HTTP"
        raise Fault(FaultKind.NETWORK, detail, billed=True, reached=False) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Fault(FaultKind.NETWORK, f"the connection broke: {type(error).__name__}", billed=True) from None


def _place(url: str) -> str:
    """Host and port of an address, without a name and a password that may stand before them."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _why(error: aiohttp.ClientConnectorError) -> str:
    """The system's words; a name that is not found has a number below zero, or none."""
    number = error.os_error.errno
    return os.strerror(number) if number is not None and number > 0 else error.os_error.strerror or type(error).__name__


@cache
def _proxies() -> dict[str, str]:
    return getproxies()


def environment_proxies() -> list[str]:
    """Addresses of all proxies that the environment names."""
    return list(_proxies().values())


def proxy(url: str) -> str | None:
    """The proxy that the environment names for an address (`https_proxy`, `http_proxy`, `all_proxy`, less `no_proxy`)."""
    proxies = _proxies()
    if not proxies:
        return None
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
