"""The wire against a real server on loopback: what comes back whole, and what every way of breaking is called."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from aiohttp import web
from anyio.abc import SocketAttribute, SocketStream

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.runtime.clock import Clock
from engine.runtime.wire import Wire

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATIENT = 20.0


def real_clock() -> Clock:
    return Clock(anyio.current_time, time.time)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies of whoever runs the tests are not asked for a way to loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that answers every request with `handler`; its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def asked(url: str, **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, headers, b'{"prompt": "A river: "}')


def sent(handler: Handler, timeout: float = PATIENT, **headers: str) -> HttpResponse | Fault:
    """What one request to a server with this handler brings."""

    async def main() -> HttpResponse | Fault:
        async with serving(handler) as url, Wire(real_clock()) as wire:
            try:
                return await wire.send(asked(f"{url}/v1/completions", **headers), timeout)
            except Fault as fault:
                return fault

    return anyio.run(main)


def test_answer_comes_back_whole() -> None:
    """Method, path, headers and body arrive as they are; status, headers in lower case, body and times come back."""
    heard: list[tuple[str, str, str | None, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        heard.append((request.method, request.path, request.headers.get("Authorization"), await request.read()))
        return web.Response(body=b'{"text": "Wien"}', headers={"X-RateLimit-Remaining-Requests": "59"})

    response = sent(handler, Authorization="Bearer a-key")
    assert isinstance(response, HttpResponse)
    assert heard == [("POST", "/v1/completions", "Bearer a-key", b'{"prompt": "A river: "}')]
    assert (response.status, response.body) == (200, b'{"text": "Wien"}')
    assert response.headers["x-ratelimit-remaining-requests"] == "59"
    assert 0 < response.first_byte <= response.seconds


@pytest.mark.parametrize("status", [302, 400, 429, 500])
def test_every_status_is_an_answer(status: int) -> None:
    """An error is for the dialect to read, and a redirect is not followed: the key is for one address only."""
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, text="why", headers={"Location": "/elsewhere"})

    response = sent(handler)
    assert isinstance(response, HttpResponse)
    assert (response.status, response.body) == (status, b"why")
    assert paths == ["/v1/completions"]


def test_refused_connection_costs_nothing() -> None:
    """Where nobody listens nothing was sent, so nothing is billed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> Fault:
        async with Wire(real_clock()) as wire:
            with pytest.raises(Fault) as caught:
                await wire.send(asked(f"http://127.0.0.1:{port}/"), PATIENT)
            return caught.value

    fault = anyio.run(main)
    assert fault.kind is FaultKind.NETWORK
    assert not fault.billed


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "within the answer"])
def test_connection_that_breaks_may_have_cost_something(begun: bool) -> None:
    """Once the request is out, nobody knows how far it came: the attempt counts as billed."""

    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        if begun:
            await response.prepare(request)
            await response.write(b'{"text": ')
        assert request.transport is not None
        request.transport.abort()
        return response

    fault = sent(handler)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.NETWORK
    assert fault.billed


WHOLE = b'{"choices": []}'
"""A body of fifteen bytes."""
BROKEN = {
    "nothing at all": b"",
    "half a status line": b"HTTP/1.1 20",
    "no HTTP": b"220 mail.example.org ESMTP\r\n",
    "headers that never end": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
    "a header that is none": b"HTTP/1.1 200 OK\r\nContent Length\r\n\r\n",
    "no body": b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + WHOLE[:7],
    "a chunk that is cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + WHOLE[:7],
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + WHOLE + b"\r\n",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsize\r\n" + WHOLE + b"\r\n0\r\n\r\n",
    "no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" + WHOLE,
    "half an error": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 15\r\n\r\n" + WHOLE[:7],
}
"""What a server says before it hangs up."""


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN.keys())
def test_answer_that_is_not_whole_is_none(said: bytes) -> None:
    """However an answer breaks off, it is a fault of the network, which may have been billed, and never half an answer."""

    async def hang_up(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            if said:
                await stream.send(said)

    async def main() -> Fault:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, hang_up)
            port = listener.extra(SocketAttribute.local_port)
            async with Wire(real_clock()) as wire:
                with pytest.raises(Fault) as caught:
                    await wire.send(asked(f"http://127.0.0.1:{port}/"), PATIENT)
            tasks.cancel_scope.cancel()
            return caught.value

    fault = anyio.run(main)
    assert (fault.kind, fault.billed, fault.retry_after) == (FaultKind.NETWORK, True, None)
    assert fault.detail.startswith("the connection broke: ")
    assert fault.reached is ("is no HTTP" not in fault.detail)


def test_silence_ends_at_the_deadline() -> None:
    """A server that takes the request and never answers is given up after the timeout, and the attempt counts as billed."""

    async def handler(request: web.Request) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    fault = sent(handler, timeout=0.05)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.NETWORK
    assert fault.billed
    assert "0.05 s" in fault.detail


def test_as_many_calls_are_in_flight_as_were_asked_for() -> None:
    """More calls than an HTTP client's usual limit of 100 are with the server at the same moment."""
    wanted = 130
    waiting = 0

    async def main() -> list[int]:
        everybody = anyio.Event()
        statuses: list[int] = []

        async def handler(request: web.Request) -> web.Response:
            nonlocal waiting
            waiting += 1
            if waiting == wanted:
                everybody.set()
            await everybody.wait()
            return web.Response()

        async def call(wire: Wire, url: str) -> None:
            statuses.append((await wire.send(asked(url), PATIENT)).status)

        async with serving(handler) as url, Wire(real_clock()) as wire, anyio.create_task_group() as calls:
            for _ in range(wanted):
                calls.start_soon(call, wire, url)
        return statuses

    assert anyio.run(main) == [200] * wanted


@pytest.mark.parametrize("url", ["", "api.openai.com/v1", "ftp://127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1"])
def test_address_that_is_none_closes_the_lane(url: str) -> None:
    """No wait mends a wrong address: the fault is of the kind that ends a lane, and says what is wrong."""

    async def main() -> Fault:
        async with Wire(real_clock()) as wire:
            with pytest.raises(Fault) as caught:
                await wire.send(asked(url), PATIENT)
            return caught.value

    fault = anyio.run(main)
    assert fault.kind is FaultKind.AUTH
    assert "not a usable address" in fault.detail


def test_key_of_the_lane_goes_before_a_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the user's .netrc neither replaces a lane's key nor stops its calls, and no server gets it unasked."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login bob password swordfish\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    heard: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Authorization"))
        return web.Response()

    sent(handler, Authorization="Bearer a-key")
    sent(handler)
    assert heard == ["Bearer a-key", None]


def test_connection_that_its_server_had_closed_is_replaced() -> None:
    """A kept connection that breaks as soon as it is used again costs nothing: the request is sent once more, on another one."""
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b'"A river: "}')
        served.append(len(served))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await reader.read(1)  # the next request has begun to come
        writer.transport.abort()

    async def main() -> list[HttpResponse]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server, Wire(real_clock()) as wire:
            return [await wire.send(asked(url), PATIENT) for _ in range(3)]

    assert [answer.body for answer in anyio.run(main)] == [b"ok"] * 3
    assert len(served) == 3
