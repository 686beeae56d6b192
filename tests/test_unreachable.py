"""Lanes that nobody answers at: what went wrong is told, and a run that has no other lane ends instead of waiting for ever."""

from __future__ import annotations

import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from aiohttp import web

import providers
from engine import app, context
from engine.core.faults import Fault, FaultKind
from engine.core.http import MOVED, HttpRequest, HttpResponse, Route
from engine.core.reach import TRYING
from engine.core.types import Chat, Decoding, Message, Translation, Usage
from engine.plan import from_data
from engine.runtime.account import Account, Attempted
from engine.runtime.pulse import EXIT_CODES, RunState
from engine.runtime.wire import Wire
from tests import brain
from tests.drive import LANE, Drive
from tests.runtime.test_wire import no_proxy, real_clock, serving  # noqa: F401

DOWN = Fault(FaultKind.NETWORK, "cannot connect to nowhere.example:443: Connection refused", reached=False)
SPEC = {**LANE, "provider": "openai", "model": "m", "style": "completion"}


def down(body: dict[str, Any], count: int) -> HttpResponse | Fault:
    return DOWN


# The run, in virtual time


def test_a_run_whose_only_lane_was_never_reached_ends() -> None:
    """About a minute of trying, then exit code 4 with the lane, what was tried and what went wrong; nothing has settled, and the
    same command goes on once the address is right."""
    drive = Drive(answer=down)
    pulse = drive.start()
    assert EXIT_CODES[pulse.state] == 4
    assert "main: " in pulse.reason
    assert "attempts in " in pulse.reason
    assert DOWN.detail in pulse.reason
    assert TRYING <= pulse.seconds < 2.5 * TRYING
    assert len(drive.wire.sent) < 40, "the breaker spaces the attempts"
    assert drive.settled() == drive.paid() == []
    assert Drive(disk=drive.disk).start().state is RunState.DONE


def test_work_of_a_lane_that_was_never_reached_flows_on() -> None:
    """The other lane of its roles does all of it."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return DOWN if body["model"] == "wrong" else brain.answer(body, count)

    lanes = {"wrong": {**SPEC, "model": "wrong", "base_url": "http://nowhere.example/v1"}, "right": {**SPEC, "concurrent": 1}}
    drive = Drive(goal=60, answer=answer, lanes=lanes)
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    closed = {lane.name: lane.closed for lane in pulse.lanes}
    assert closed["right"] is None
    assert "and no connection" in (closed["wrong"] or "")
    assert {line["lane"] for line in drive.settled()} == {"right"}
    assert set(drive.keys().values()) == {1}


def test_an_outage_after_the_first_answer_is_waited_for() -> None:
    """An hour in which nothing connects loses nothing and closes nothing, also for a lane whose own first question comes in it
    and whose address another lane has reached."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if 4 < anyio.current_time() < 3604:
            return DOWN
        return brain.answer(body, count)

    lanes = {"first": {**SPEC, "role": "propose"}, "second": {**SPEC, "model": "n", "role": ["classify", "answer"]}}
    drive = Drive(goal=20, answer=answer, lanes=lanes)
    drive.delay = lambda rng: 3.5
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.seconds > 3604
    assert [lane.closed for lane in pulse.lanes] == [None, None]
    assert not any("fault" in line for line in drive.settled())


def test_a_certificate_that_is_not_trusted_ends_the_run_at_once() -> None:
    """Nobody waits a minute for a certificate to become good; of a server that answered before, it is an outage."""
    wrong = Fault(FaultKind.AUTH, "the certificate of a.example is not trusted", reached=False)
    pulse = Drive(answer=lambda body, count: wrong).start()
    assert pulse.state is RunState.NO_LANE
    assert pulse.seconds < 10

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return wrong if 20 < anyio.current_time() < 920 else brain.answer(body, count)

    drive = Drive(goal=80, answer=answer)
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.seconds > 920
    assert len([t for t in drive.wire.times if 120 < t < 920]) <= 16, "one probe a minute at the most"
    assert set(drive.keys().values()) == {1}


def test_lanes_of_one_address_share_what_is_known_of_it() -> None:
    """Those of another address, or on another way, do not."""
    lanes = {
        "a": SPEC,
        "b": {**SPEC, "model": "n"},
        "c": {**SPEC, "base_url": "http://127.0.0.1:8/v1"},
        "d": {**SPEC, "proxy": ""},
    }
    a, b, c, d = app.lanes(context.load(from_data({"recipe": "self_instruct", "goal": 1, "lanes": lanes})))
    assert a.reach is b.reach
    assert len({id(lane.reach) for lane in (a, c, d)}) == 3


@pytest.mark.parametrize("kind", FaultKind)
def test_an_answer_of_any_kind_is_a_connection(kind: FaultKind) -> None:
    """A server that is overloaded, or refuses, was reached."""
    (lane,) = app.lanes(Drive().load())
    account = Account("one", [lane], app.ledger(lane.plan.quota, lane.plan.quota), None)
    ticket = account.ledger.charge(Usage(), 0.0)
    account.learn(lane, Attempted(DOWN, ()), ticket, 0.0)
    assert not lane.reach.reached
    account.learn(lane, Attempted(Fault(kind, "x"), ()), ticket, 0.0)
    assert lane.reach.reached


# What goes wrong, over real sockets


def closed_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_closed_port_and_an_unknown_host_are_named() -> None:
    """Not reached, not billed, with host, port and the system's words; never a name and password that stand in an address."""
    port = closed_port()
    refused = anyio.run(met, f"http://user:hush-hush@127.0.0.1:{port}/v1/x")
    assert (refused.kind, refused.reached, refused.billed) == (FaultKind.NETWORK, False, False)
    assert refused.detail == f"cannot connect to 127.0.0.1:{port}: Connection refused"
    unknown = anyio.run(met, "http://no-such-host.invalid/v1/x")
    assert (unknown.kind, unknown.reached, unknown.billed) == (FaultKind.NETWORK, False, False)
    assert unknown.detail.startswith("cannot connect to no-such-host.invalid: ")
    proxied = anyio.run(met, "http://far.invalid/v1/x", Route(proxy=f"http://me:hush-hush@127.0.0.1:{port}"))
    assert (proxied.kind, proxied.reached, proxied.billed) == (FaultKind.NETWORK, False, False)
    assert proxied.detail == "cannot connect to the proxy on the way to far.invalid: Connection refused"
    assert "hush" not in repr(refused) + repr(proxied)


@asynccontextmanager
async def secured() -> AsyncIterator[str]:
    """A server whose certificate nobody knows; its address."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def met(url: str, route: Route = Route()) -> Fault:  # noqa: B008
    async with Wire(real_clock()) as wire:
        with pytest.raises(Fault) as caught:
            await wire.send(HttpRequest("POST", url, {}, b"{}", route), 20.0)
        return caught.value


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


def test_a_proxy_that_refuses_is_named() -> None:
    """Nothing was sent through it: nothing is billed. This one knows no tunnels."""

    async def main() -> Fault:
        async with serving(hello) as url:
            return await met("https://far.invalid/v1", Route(proxy=url))

    fault = anyio.run(main)
    assert (fault.kind, fault.reached, fault.billed) == (FaultKind.NETWORK, False, False)
    assert fault.detail == "the proxy on the way to far.invalid answers 404"


def test_wrong_tls_is_no_key_problem_and_is_told() -> None:
    """A certificate that nobody knows, and a port that speaks no TLS at all."""

    async def main() -> tuple[Fault, Fault]:
        async with secured() as strange, serving(hello) as plain:
            return await met(strange), await met(plain.replace("http:", "https:"))

    untrusted, plain = anyio.run(main)
    assert (untrusted.kind, untrusted.reached) == (plain.kind, plain.reached) == (FaultKind.AUTH, False)
    assert "ca_bundle" in untrusted.detail
    assert plain.detail.startswith("no TLS with 127.0.0.1:")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama", "deepl", "apertium"])
def test_a_redirect_is_a_wrong_address(provider: str, status: int) -> None:
    """The key is not sent on to where no plan says: the lane closes with advice instead of failing each request."""
    dialect = providers.find(provider)
    chat = Chat((Message("user", "Hello"),), Decoding(max_tokens=5))
    call = chat if Chat in dialect.accepts else Translation("Hello", "en", "es")
    (fault,) = dialect.decode((call,), HttpResponse(status, {"location": "https://elsewhere.example/v1"}, b""))
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.detail) == (FaultKind.AUTH, f"HTTP {status} {MOVED}")


def test_the_command_ends_with_4(tmp_path: Path) -> None:
    """From the plan to the exit code: which lane, what was tried, and what went wrong."""

    async def main() -> tuple[int, str]:
        async with secured() as url:
            lane = f'provider = "openai"\nmodel = "m"\nbase_url = "{url}/v1"\n'
            plan = tmp_path / "plan.toml"
            plan.write_text(f'recipe = "self_instruct"\ngoal = 2\n[lanes.mine]\n{lane}')
            command = [sys.executable, "-m", "engine", "run", str(plan), str(tmp_path / "run")]
            ended = await anyio.run_process(command, check=False, cwd=Path(__file__).parent.parent)
            return ended.returncode, (ended.stdout + ended.stderr).decode()

    code, said = anyio.run(main)
    assert code == 4
    assert re.search(r"mine: auth: the certificate of 127\.0\.0\.1:\d+ is not trusted", " ".join(said.split()))
