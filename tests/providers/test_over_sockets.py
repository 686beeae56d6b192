"""Every language model's dialect over a real socket, in a storm: nothing is lost, and what was paid for is known."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import anyio
import orjson
import pytest

import providers
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Reply, Stop, Usage
from engine.runtime.clock import Clock
from engine.runtime.listening import Listener, nothing
from engine.runtime.wire import Timeouts, Wire
from providers.simulator import dialects, script, server

VENDORS = [name for name in dialects.names() if name in providers.names() and Chat in providers.find(name).accepts]
CALLS = 40
TRIES = 40
"""Of one question; a refusal because others are in flight is none, as nothing here waits before it asks again."""
CHAOS = """
[answers]
refused = 0.05
truncated = 0.1
reasoned = 0.3
[accounts.a]
dialect = "{vendor}"
prefix = "/a"
keys = ["sk-a"]
cached = 0.25
[[accounts.a.limits]]
kind = "concurrent"
limit = 7
[accounts.a.weather]
first_byte = 0
tokens_per_second = 1e9
refusal_seconds = 0
drip_seconds = 0.05
rate_without_reason = 0.05
errors = {{ 500 = 0.05, 503 = 0.05 }}
reset_before_headers = 0.05
reset_after_headers = 0.05
cut_body = 0.05
slow_drip = 0.1
malformed_json = 0.05
stream_error = 0.05
stream_without_end = 0.05
usage_missing = 0.1
crlf = 0.3
ragged = 0.3
kept_alive = 0.5
"""
LOST = {FaultKind.AUTH, FaultKind.BAD, FaultKind.QUOTA, FaultKind.TOO_BIG}
"""Kinds of fault that none of this weather is."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies of whoever runs the tests are not asked for a way to loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def asking(vendor: str, n: int) -> Call:
    """The question of that number: chats, and every third a completion where the vendor has them."""
    decoding = Decoding(max_tokens=400, temperature=0.5, seed=n, stop=("###",))
    if n % 3 == 0 and Completion in providers.find(vendor).accepts:
        return Completion(f"Tasks {n}:\n1. Name a river.\n2.", decoding)
    return Chat((Message("system", "Be brief."), Message("user", f"What is the name of river {n}?")), decoding)


async def attempt(wire: Wire, lane: LanePlan, call: Call) -> tuple[Reply | Fault, Usage]:
    """One attempt as an account makes it, and what it cost as far as we know."""
    it = providers.find(lane.provider)
    request = it.encode((call,), lane, Stamp(0.0, "", "sk-a"))
    if not lane.stream:
        try:
            (outcome,) = it.decode((call,), await wire.send(request, 30.0))
        except Fault as fault:
            outcome = fault
    else:
        reader = it.reader(call)
        assert reader is not None
        streamed = await Listener(reader, nothing).listen(wire, request, Timeouts(30.0, 30.0, 30.0), it.weigh(call))
        if streamed.outcome is not None:
            paid = streamed.outcome.billed if isinstance(streamed.outcome, Fault) else False
            used = streamed.used or (it.weigh(call) if paid else Usage())
            return streamed.outcome, streamed.outcome.usage if isinstance(streamed.outcome, Reply) else used
        assert streamed.response is not None
        (outcome,) = it.decode((call,), streamed.response)
    if isinstance(outcome, Reply):
        return outcome, outcome.usage
    return outcome, it.weigh(call) if outcome.billed else Usage()


@pytest.mark.parametrize("vendor", VENDORS)
def test_nothing_is_lost_in_a_storm(vendor: str) -> None:
    """Forty questions, whole and streamed, ten at once, are asked until each has a whole answer. No fault is taken for one that
    asking again cannot mend; the tokens that we think we paid for are at least those that the stranger charged."""
    home = getattr(dialects.find(vendor), "home", "")
    model = {"anthropic": "claude-haiku-4-5"}.get(vendor, "m")
    whole: dict[int, Reply] = {}
    kinds: Counter[str] = Counter()
    paid: list[Usage] = []

    async def ask(wire: Wire, address: str, n: int, room: anyio.CapacityLimiter) -> None:
        plan = LanePlan(provider=vendor, model=model, base_url=f"{address}/a{home}", stream=n % 2 == 0)
        tries = 0
        while tries < TRIES:
            async with room:
                outcome, used = await attempt(wire, plan, asking(vendor, n))
            paid.append(used)
            tries += not (isinstance(outcome, Fault) and outcome.kind is FaultKind.RATE)
            if isinstance(outcome, Reply):
                kinds[outcome.stop] += 1
                if outcome.stop is not Stop.BROKEN:
                    whole[n] = outcome
                    return
            else:
                kinds[outcome.kind] += 1
                assert outcome.kind not in LOST, outcome

    async def main() -> Any:
        async with server.running(script.read(CHAOS.format(vendor=vendor)), 0, seed=5) as address:
            async with Wire(Clock(anyio.current_time, time.time)) as wire:
                room = anyio.CapacityLimiter(10)
                async with anyio.create_task_group() as tasks:
                    for n in range(CALLS):
                        tasks.start_soon(ask, wire, address, n, room)
                response = await wire.send(HttpRequest("GET", f"{address}/_books", {}, b""), 30.0)
        return response.body

    book = orjson.loads(anyio.run(main))["accounts"]["a"]
    assert sorted(whole) == list(range(CALLS)), kinds
    assert all(reply.text or reply.stop is not Stop.END for reply in whole.values())
    assert book["in_flight"] == 0
    assert {"rate", "overload", "network"} <= set(kinds), kinds
    assert sum(used.prompt for used in paid) >= book["tokens_in"] * 0.99
    assert sum(used.answer for used in paid) >= book["tokens_out"] * 0.99
