"""The simulator behind a real socket: our own dialect talks to it, and its weather reaches the client."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import pytest

from engine.core.http import HttpResponse, Stamp
from engine.core.types import Chat, Decoding, LanePlan, Message, Reply, Stop
from providers.openai import PROVIDER
from providers.simulator import __main__ as door
from providers.simulator import data, script, server
from providers.simulator.script import ScriptError

T = TypeVar("T")
QUICK = "first_byte = 0\ntokens_per_second = 1e9\nrefusal_seconds = 0\n"
CHAT = Chat((Message("user", "Name a river."),), Decoding(max_tokens=50))


def with_server(text: str, use: Callable[[aiohttp.ClientSession, str], Awaitable[T]]) -> T:
    """Run `use` with a client and the address of a server that plays the script."""

    async def main() -> T:
        async with server.running(script.read(text), 0) as address, aiohttp.ClientSession() as session:
            return await use(session, address)

    return asyncio.run(main())


def account(weather: str = "", more: str = "") -> str:
    return f"[accounts.a]\nprefix = '/a'\nkeys = ['sk-a']\n{more}\n[accounts.a.weather]\n{QUICK}{weather}"


async def posted(session: aiohttp.ClientSession, address: str, key: str = "sk-a") -> HttpResponse:
    """The engine's own request, sent by hand."""
    lane = LanePlan(provider="openai", model="m", base_url=f"{address}/a/v1")
    request = PROVIDER.encode((CHAT,), lane, Stamp(0.0, "", key))
    async with session.post(request.url, headers=request.headers, data=request.body) as response:
        return HttpResponse(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())


def test_our_dialect_is_answered() -> None:
    """A call, the list of models, the books, the truth and a reset, over the wire."""

    async def use(session: aiohttp.ClientSession, address: str) -> None:
        (reply,) = PROVIDER.decode((CHAT,), await posted(session, address))
        assert isinstance(reply, Reply)
        assert reply.text
        async with session.get(f"{address}/a/v1/models", headers={"Authorization": "Bearer sk-a"}) as response:
            assert (await response.json())["object"] == "list"
        async with session.get(f"{address}/_books") as response:
            assert (await response.json())["accounts"]["a"]["keys"]["sk-a"]["answered"] == 1
        async with session.get(f"{address}/_truth") as response:
            assert (await response.json())["accounts"][0]["name"] == "a"
        async with session.post(f"{address}/_reset") as response:
            assert response.status == 200
        async with session.get(f"{address}/_books") as response:
            assert (await response.json())["calls"] == 0

    with_server(account(), use)


def test_refusals_and_strangers() -> None:
    """429 with its headers when the quota is used up, 401 for a key that is not known, 404 for a path that is not there."""

    async def use(session: aiohttp.ClientSession, address: str) -> list[int]:
        seen = [await posted(session, address) for _ in range(2)]
        assert seen[1].headers["x-ratelimit-remaining-requests"] == "0"
        async with session.get(f"{address}/nowhere") as response:
            return [*(one.status for one in seen), (await posted(session, address, "sk-x")).status, response.status]

    limit = "limits = [{ kind = 'fixed', limit = 1, period = 86_400 }]"
    assert with_server(account(more=limit), use) == [200, 429, 401, 404]


def test_a_translator_is_served_beside_it() -> None:
    """Its own path, without a prefix."""

    async def use(session: aiohttp.ClientSession, address: str) -> object:
        async with session.post(f"{address}/translate", json={"q": "Hi", "source": "en", "target": "zh"}) as response:
            return (await response.json())["translatedText"]

    libre = f"[accounts.b]\ndialect = 'libretranslate'\n[accounts.b.weather]\n{QUICK}"
    assert len(str(with_server(f"{account()}\n{libre}", use))) == 2


@pytest.mark.parametrize(
    ("weather", "error"),
    [
        ("reset_before_headers = 1.0", aiohttp.ClientOSError),
        ("reset_after_headers = 1.0", aiohttp.ClientError),
        ("cut_body = 1.0", aiohttp.ClientPayloadError),
    ],
)
def test_connections_really_break(weather: str, error: type[Exception]) -> None:
    """The client sees a broken connection, and the call has left the books' gauge."""

    async def use(session: aiohttp.ClientSession, address: str) -> None:
        with pytest.raises(error):
            await posted(session, address)
        async with session.get(f"{address}/_books") as response:
            book = (await response.json())["accounts"]["a"]
            assert (book["in_flight"], book["answered"], sum(book["broken"].values())) == (0, 0, 1)

    with_server(account(weather), use)


def test_a_drip_is_whole_in_the_end() -> None:
    """Twenty pieces make the same body."""

    async def use(session: aiohttp.ClientSession, address: str) -> None:
        (reply,) = PROVIDER.decode((CHAT,), await posted(session, address))
        assert isinstance(reply, Reply)

    with_server(account("slow_drip = 1.0\ndrip_seconds = 0.001"), use)


# Streams


async def opened(session: aiohttp.ClientSession, address: str) -> aiohttp.ClientResponse:
    """A stream, of which nothing has been read."""
    lane = LanePlan(provider="openai", model="m", base_url=f"{address}/a/v1", stream=True)
    request = PROVIDER.encode((CHAT,), lane, Stamp(0.0, "", "sk-a"))
    return await session.post(request.url, headers=request.headers, data=request.body)


async def book(session: aiohttp.ClientSession, address: str) -> Any:
    async with session.get(f"{address}/_books") as response:
        return (await response.json())["accounts"]["a"]


def test_streams_come_in_pieces() -> None:
    """Without a length, under their own type, and to the end; the connection serves the next call."""

    async def use(session: aiohttp.ClientSession, address: str) -> None:
        for _ in range(2):
            async with await opened(session, address) as response:
                assert response.headers["Content-Type"] == "text/event-stream"
                assert response.headers["Transfer-Encoding"] == "chunked"
                reader = PROVIDER.reader(CHAT)
                pieces = [piece async for piece in response.content.iter_any()]
                for piece in pieces:
                    reader.feed(piece)
                assert len(pieces) > 3
                assert (reader.close().stop, reader.ended) == (Stop.LENGTH, True)
        assert (await book(session, address))["answered"] == 2
        assert len(session.connector._conns) <= 1  # type: ignore[union-attr]

    with_server(account("ragged = 1.0"), use)


def test_a_stream_that_is_cut_is_a_broken_connection() -> None:
    """The client hears so, as it would of a body that is too short."""

    async def use(session: aiohttp.ClientSession, address: str) -> None:
        async with await opened(session, address) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    with_server(account("cut_body = 1.0"), use)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_frees_its_place_and_no_more(caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    """In the middle of a stream, or while it waits for an answer: the place is free at once, what was made is charged, and no
    traceback is shown."""
    errors: list[object] = []
    weather = "tokens_per_second = 20" if stream else "first_byte = 3600"
    limit = "limits = [{ kind = 'concurrent', limit = 1 }]"

    async def use(session: aiohttp.ClientSession, address: str) -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        if stream:
            response = await opened(session, address)
            await response.content.readany()
            response.close()
        else:
            waiting = asyncio.ensure_future(posted(session, address))
            while not (await book(session, address))["in_flight"]:
                pass
            waiting.cancel()
        while (told := await book(session, address))["in_flight"]:
            pass
        return told

    text = f"[accounts.a]\nprefix = '/a'\nkeys = ['sk-a']\n{limit}\n[accounts.a.weather]\nfirst_byte = 0\n{weather}"
    if not stream:
        text = text.replace("first_byte = 0\n", "")
    told = with_server(text, use)
    assert not errors
    assert not caplog.records
    assert told["admitted"] == 1
    if stream:
        assert told["broken"] == {"left": 1}
        assert told["tokens_out"] < 50


# The door


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and what was said on standard error."""
    code = door.main(arguments)
    return code, capsys.readouterr().err


def test_a_port_in_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    (tmp_path / "s.toml").write_text("[accounts.a]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = run(capsys, str(tmp_path / "s.toml"), "--port", str(port))
    assert (code, said) == (2, f"simulator: port {port} is in use; choose another with --port, or 0 for any that is free\n")


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, (), "there is no script"),
        (b"[acounts.a]", (), "line 1: acounts is not a key (did you mean 'accounts'?)"),
        (b"\xff\xfe", (), "cannot be read"),
        (b"[accounts.a]", ("--port", "70000"), "70000 is no port; they go from 0 to 65535"),
        (b"[accounts.a]", ("--port", "-1"), "-1 is no port; they go from 0 to 65535"),
    ],
)
def test_what_the_user_can_mend_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, arguments: tuple[str, ...], message: str
) -> None:
    """One line and exit code 2 for a missing or a bad script and for an impossible port."""
    if content is not None:
        (tmp_path / "s.toml").write_bytes(content)
    code, said = run(capsys, str(tmp_path / "s.toml"), *arguments)
    assert code == 2
    assert message in said
    assert said.count("\n") == 1


def test_a_folder_is_no_script(tmp_path: Path) -> None:
    """Told like a missing one."""
    with pytest.raises(ScriptError, match="cannot be read"):
        server.load(tmp_path)


def test_another_error_of_the_port_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that needs more rights says so."""
    (tmp_path / "s.toml").write_text("[accounts.a]")

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(server.web.TCPSite, "start", refuse)
    with pytest.raises(ScriptError, match="port 80 cannot be opened: Permission denied"):
        server.serve(tmp_path / "s.toml", 80)


def test_the_example_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As it ships."""
    assert door.main(["--example"]) == 0
    assert capsys.readouterr().out == data.example()


def test_addresses_are_announced() -> None:
    """Each account with the address that a plan needs, and its keys."""
    lines = server.announced(script.read(data.example()), "http://127.0.0.1:8080")
    assert "base_url = http://127.0.0.1:8080/a/v1, key: sk-one, sk-two" in lines[1]
    assert "base_url = http://127.0.0.1:8080, key: any key, or none" in lines[3]


@pytest.mark.parametrize("within", [False, True], ids=["before the answer", "within the answer"])
def test_client_that_hangs_up_early_is_no_error(within: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever leaves before the answer or in the midst of it is booked, and nothing is said about it."""

    async def use(session: aiohttp.ClientSession, address: str) -> int:
        lane = LanePlan(provider="openai", model="m", base_url=f"{address}/a/v1")
        request = PROVIDER.encode((CHAT,), lane, Stamp(0.0, "", "sk-a"))
        host, port = urlsplit(address).netloc.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = [f"POST {urlsplit(request.url).path} HTTP/1.1", "Host: a", f"Content-Length: {len(request.body)}"]
        head += [f"{name}: {value}" for name, value in request.headers.items()]
        writer.write("\r\n".join([*head, "", ""]).encode() + request.body)
        await writer.drain()
        if within:
            await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        while True:
            async with session.get(f"{address}/_books") as response:
                book = (await response.json())["accounts"]["a"]
            if book["in_flight"] == 0 and book["calls"] == 1:
                return int(book["admitted"])

    weather = "slow_drip = 1.0\ndrip_seconds = 1" if within else ""
    assert with_server(account(weather).replace("first_byte = 0\n", "first_byte = 0.05\n"), use) == 1
    assert not caplog.records
