"""Load tests in virtual time: servers that ban, hang or talk nonsense, caps held by the other side's books, our lateness."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from random import Random

import anyio
import pytest

from engine.core.caps import Caps
from engine.core.estimates import Measure
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.core.prober import Record
from engine.core.probing import What
from engine.core.shapes import SMALL
from engine.core.trials import Arrivals, Closed, Schedule, Trial, offsets
from engine.core.types import LanePlan
from engine.runtime.prober import Ended, Line, Shooter
from engine.runtime.wire import Ear, Late, Timeouts
from tests.fakes import FakeWire, answered, refused
from tests.probing import Drill, Drilled, simulated
from tests.simulated import HOME
from tests.virtual import VirtualLoop

EVERYTHING = frozenset(What)
BUSY = """
[accounts.a]
prefix = "/a"
keys = ["sk-ours"]
prices."*" = { tokens_in = 0.15, tokens_out = 0.6 }
[[accounts.a.limits]]
kind = "bucket"
limit = 240
burst = 20
[accounts.a.weather]
headers_missing = 1.0
"""


def steady(rate: float, seconds: float) -> Callable[[Record], Iterator[Trial]]:
    def program(record: Record) -> Iterator[Trial]:
        yield Schedule("steady", SMALL, offsets(Arrivals.CONSTANT, rate, seconds, Random(0)), 1 / rate)

    return program


def all_kept(done: Drilled) -> bool:
    """Every call that was sent is written down, once."""
    return sorted(line["n"] for line in done.lines) == list(range(done.prober.purse.requests))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda body, n: HttpResponse(200, {}, b"<html>Welcome</html>"), "does not answer, or answers nonsense"),
        (lambda body, n: Fault(FaultKind.NETWORK, "the connection broke", billed=True), "does not answer, or answers nonsense"),
        (lambda body, n: refused(401, "invalid_api_key"), "turns this key away (401)"),
        (lambda body, n: refused(403, "forbidden"), "turns this key away (403)"),
        (lambda body, n: refused(429, "insufficient_quota"), "quota is used up, or it is banned (429)"),
        (lambda body, n: refused(429, "rate_limit_exceeded", retry_after="3600"), "asks to wait for 3,600 s"),
        (lambda body, n: refused(400, "bad"), "calls the smallest request wrong (400)"),
        (lambda body, n: refused(503, "overloaded"), "is overloaded"),
    ],
)
def test_a_server_that_is_of_no_use_ends_the_test(answer: Callable[..., HttpResponse | Fault], said: str) -> None:
    """By the test's own rules, within a few calls, with the reason told and every attempt kept."""
    done = Drill(FakeWire(answer, lambda rng: 0.2), what=EVERYTHING).run()
    assert said in done.ended.reason
    assert not done.ended.interrupted
    assert all_kept(done)
    assert len(done.lines) <= 4


class Silent:
    """A server that takes every call and says nothing."""

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        await anyio.sleep(timeout)
        raise Late(FaultKind.NETWORK, f"no whole answer within {timeout:g} s", billed=True)

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        return await self.send(request, timeouts.whole)


def test_a_server_that_hangs_ends_the_test() -> None:
    """Open loop: calls go out while the first ones hang; when those are given up, the test is over, and none is forgotten. What
    may have been worked on is charged at its worst."""
    done = Drill(Silent(), program=steady(0.5, 600.0)).run()
    assert "does not answer" in done.ended.reason
    assert len(done.lines) == 33  # for 60 s and the two seconds in which three were given up, and those in flight then
    assert all_kept(done)
    assert done.prober.purse.spent == sum(line["cost_nano"] for line in done.lines) > 0


def test_a_ban_in_the_middle_ends_the_test() -> None:
    """A flood that gets the account banned stops at the first answer that says so; calls in flight are kept, too."""
    ban = BUSY + '[[accounts.a.limits]]\nkind = "ban"\nlimit = 30\n'
    dialect = ban.replace("[accounts.a]\n", '[accounts.a]\ndialect = "libretranslate"\n').replace(
        'prices."*" = { tokens_in = 0.15, tokens_out = 0.6 }\n', ""
    )
    world, wire = simulated(dialect)
    plan = LanePlan(provider="libretranslate", base_url=f"{HOME}/a")
    done = Drill(wire, prices=None, what=frozenset({What.RPM}), plan=plan).run()
    assert "or it is banned (403)" in done.ended.reason
    kinds = [line["kind"] for line in done.lines]
    first = kinds.index("quota")
    assert kinds[:first].count("rate") >= 29
    assert len(kinds) - first < 10
    assert all_kept(done)
    assert world.books()["accounts"]["a"]["calls"] == len(done.lines)  # type: ignore[index]


def test_a_limit_that_passes_nothing_for_three_minutes_ends_the_test() -> None:
    """Refused for good without saying so looks like a ban."""
    wire = FakeWire(lambda body, n: refused(429, "rate_limit_exceeded") if n > 20 else answered("ok"), lambda rng: 0.2)
    done = Drill(wire, program=steady(1.0, 3600.0)).run()
    assert done.ended.reason.startswith("nothing was accepted for 180 s")
    assert all_kept(done)


@pytest.mark.parametrize(
    "caps", [Caps(spend=2_000_000), Caps(requests=150), Caps(tokens=900), Caps(seconds=95.0), Caps(spend=400_000, requests=90)]
)
def test_no_cap_is_passed_by_the_books_of_the_other_side(caps: Caps) -> None:
    """Money, tokens, calls and time of an active test stay below their caps, as the simulator has charged them."""
    world, wire = simulated(BUSY)
    done = Drill(wire, caps=caps, what=EVERYTHING).run()
    book = world.books()["accounts"]["a"]  # type: ignore[index]
    used = [
        book["money_nano"] / (caps.spend or 10**12),
        book["calls"] / (caps.requests or 10**6),
        (book["tokens_in"] + book["tokens_out"]) / (caps.tokens or 10**9),
        max(line["sent"] for line in done.lines) / (caps.seconds or 10**6),
    ]
    assert 0.5 < max(used) <= 1.0
    assert all_kept(done)


def test_every_attempt_has_its_headers_and_no_secret() -> None:
    """Rate headers and request ids are kept as they came; the key and cookies are nowhere, even where the server echoes them."""
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-request-id": "sk-ours-1",
        "set-cookie": "a=b",
        "x-api-key-limit": "sk-ours",
    }
    body = answered("ok")
    wire = FakeWire(lambda _, n: HttpResponse(200, headers, body.body), lambda rng: 0.2)
    done = Drill(wire).run()
    assert [set(line["headers"]) for line in done.lines] == [{"x-ratelimit-limit-requests", "x-request-id"}] * 4
    assert done.lines[0]["headers"]["x-ratelimit-limit-requests"] == "500"
    assert "sk-ours" not in repr(done.lines)
    assert all(line["intended"] <= line["sent"] < line["ended"] for line in done.lines)


def test_the_first_signal_lets_calls_end_and_the_second_cuts_them_off() -> None:
    """Interrupted, nothing new is sent; cut off, calls in flight are written down as such and charged at their worst."""

    def once(shooter: Shooter) -> None:
        asyncio.get_running_loop().call_later(2.9, shooter.interrupt, "SIGINT")

    def twice(shooter: Shooter) -> None:
        once(shooter)
        asyncio.get_running_loop().call_later(3.0, shooter.interrupt, "SIGINT")

    def load(record: Record) -> Iterator[Trial]:
        yield Closed("five in flight", SMALL, 5, 60.0)

    slow = FakeWire(lambda body, n: answered("ok"), lambda rng: 1.0)
    done = Drill(slow, program=load, meanwhile=once).run()
    assert done.ended == Ended("stopped by SIGINT", interrupted=True)
    assert [line["kind"] for line in done.lines] == ["answered"] * 15

    slow = FakeWire(lambda body, n: answered("ok"), lambda rng: 1.9)
    done = Drill(slow, program=load, meanwhile=twice).run()
    assert done.ended.interrupted
    assert [line["kind"] for line in done.lines] == ["answered"] * 5 + ["network"] * 5
    assert {line["detail"] for line in done.lines[5:]} == {"cut off before its answer came"}
    assert all(line["cost_nano"] > 0 for line in done.lines)
    assert all_kept(done)


def test_a_full_disk_ends_the_test() -> None:
    """An attempt that cannot be written ends it, with the error of the disk and no other."""

    def full(line: Line) -> None:
        if line["n"] >= 2:
            raise OSError(errno.ENOSPC, "no space left on device")

    wire = FakeWire(lambda body, n: answered("ok"), lambda rng: 0.2)
    with pytest.raises(OSError, match="no space left"):
        Drill(wire, on_line=full).run()
    assert len(wire.sent) == 3


def test_trials_are_void_when_our_own_calls_are_late() -> None:
    """A process that stalls sends late: its trials are void, no figure comes from them, and the report says so."""

    def stalled(line: Line) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if line["sent"] > 60:  # through the look at the headers, and what is sent at once
            loop.now += 0.15

    _, wire = simulated(BUSY)
    done = Drill(wire, what=frozenset({What.RPM, What.TPM}), on_line=stalled).run()
    floods = [ran for ran in done.prober.record.trials if ran.title == "more requests than pass"]
    assert floods
    assert all(ran.void for ran in floods)
    assert Measure.REQUESTS not in done.probing.findings.estimates
    remarks = " ".join(done.probing.findings.remarks)
    assert "requests was not measured: our own calls were late" in remarks
    assert "tokens was not tried" in remarks


def test_one_late_flood_is_made_again_slower_and_measures() -> None:
    """A stall in one trial voids that one; what comes after it is measured."""

    def stalled(line: Line) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if 100 < line["sent"] < 106:
            loop.now += 0.15

    _, wire = simulated(BUSY)
    done = Drill(wire, what=frozenset({What.RPM}), on_line=stalled).run()
    floods = [ran.void for ran in done.prober.record.trials if ran.title == "more requests than pass"]
    assert floods[0]
    assert not all(floods)
    assert done.probing.findings.estimates[Measure.REQUESTS].limit == pytest.approx(240, rel=0.02)


def test_what_is_found_out_between_trials_makes_no_call_late() -> None:
    """A fit may take seconds; the trial after it begins when it is done, with its first calls in time."""

    def program(record: Record) -> Iterator[Trial]:
        yield from steady(5.0, 2.0)(record)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now += 3.0
        yield from steady(5.0, 2.0)(record)

    done = Drill(FakeWire(lambda body, n: answered("ok"), lambda rng: 0.2), program=program).run()
    first, second = done.prober.record.trials
    assert max(first.late, second.late) < 0.001
    assert second.began >= first.ended + 3.0
    assert len(done.lines) == 20
