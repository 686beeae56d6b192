"""Every translator's dialect over a real socket: the engine's own wire and account against the simulator's server."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import anyio
import pytest

from engine.core.faults import Fault, FaultKind
from engine.core.quota import Ledger
from engine.core.types import LanePlan, Quota, Reply
from engine.runtime.account import Account, Attempted
from engine.runtime.clock import Clock
from engine.runtime.keys import Key
from engine.runtime.lane import Lane
from engine.runtime.wire import Timeouts, Wire
from providers.simulator import script, server
from providers.simulator.cipher import translated
from tests.translators import UNITS, calls, texts
from tests.vendors import VENDORS, Vendor, ask, played

LIMITS = "limits = [{ kind = 'fixed', limit = 2, period = 'hour' }]"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies of whoever runs the tests are not asked for a way to loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def attempted(wire: Wire, vendor: Vendor, address: str) -> Attempted:
    """One call of a lane, as an account makes it: the parts of the key on lines of their own."""
    plan = LanePlan(provider=vendor.name, base_url=f"{address}/{vendor.name}")
    lane = Lane("main", plan, vendor.provider, frozenset({"translate"}), "chat", key=Key(None, vendor.key.replace(" ", "\n")))
    account = Account("account", [lane], Ledger(Quota(concurrent=8)), None)
    return await account.attempt(lane, calls("One.", target="es")[0], wire, Timeouts(), time.time)


async def batched(wire: Wire, vendor: Vendor, address: str) -> list[str | FaultKind]:
    """Several texts in one request, where the vendor takes them."""
    asked = calls(*(UNITS, "Two & 2 = ?", "三。")[: vendor.provider.texts], target="es")
    response = await wire.send(vendor.request(address, asked, time.time()), 30.0)
    return texts(vendor.provider.decode(asked, response))


def test_every_vendor_is_asked_over_a_socket() -> None:
    """A call, a batch, and a third request that the quota refuses in the vendor's own way; the books have it all."""

    async def main() -> None:
        played = script.read("\n".join(vendor.account(more=LIMITS) for vendor in VENDORS))
        async with server.running(played, 0) as address, Wire(Clock(anyio.current_time, time.time)) as wire:
            for vendor in VENDORS:
                outcome = (await attempted(wire, vendor, address)).outcome
                assert isinstance(outcome, Reply), (vendor.name, outcome)
                assert outcome.text == translated("One.", "es")
                wanted = [translated(text, "es") for text in (UNITS, "Two & 2 = ?", "三。")]
                assert await batched(wire, vendor, address) == wanted[: vendor.provider.texts]
                fault = (await attempted(wire, vendor, address)).outcome
                assert isinstance(fault, Fault), vendor.name
                assert fault.kind is (FaultKind.OVERLOAD if vendor.name == "apertium" else FaultKind.RATE)
                assert not any(part in str(fault) for part in vendor.key.split())
            async with aiohttp.ClientSession() as session, session.get(f"{address}/_books") as response:
                books: dict[str, Any] = (await response.json())["accounts"]
            for vendor in VENDORS:
                page = books[vendor.name]
                sent = ("One.", *(UNITS, "Two & 2 = ?", "三。")[: vendor.provider.texts])
                breaks = len(sent) - 2 if vendor.name == "baidu" else 0
                assert (page["answered"], sum(page["refused"].values())) == (2, 1)
                assert page["characters"] == sum(map(vendor.unit, sent)) + breaks

    anyio.run(main)


def test_amazon_throttles_by_bytes_and_bills_code_points() -> None:
    """Fifteen bytes fit into thirty twice, and not once more; the book has nine characters of each."""
    vendor = next(vendor for vendor in VENDORS if vendor.name == "amazon_translate")
    limit = "[[accounts.amazon_translate.limits]]\nkind = 'sliding'\nof = 'bytes'\nlimit = 30\nperiod = 10\n"
    world = played(vendor.account() + limit)
    outcomes = [ask(world, vendor, calls(UNITS), now)[1][0] for now in (0.0, 1.0, 2.0, 10.5)]
    assert texts(outcomes)[2] is FaultKind.RATE
    replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    assert len(replies) == 3
    page = world.books()["accounts"]["amazon_translate"]  # type: ignore[index]
    assert page["characters"] == sum(reply.usage.characters for reply in replies) == 27
    assert page["limits"][0]["accepted"] == sum(reply.usage.bytes for reply in replies) == 45
