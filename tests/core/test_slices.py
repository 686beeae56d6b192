"""Slices of a minute: kept whatever the server's beat, found out where no plan says them, used to the last call, forgotten."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.limits import Dimension, Reading
from engine.core.quota import Ledger
from engine.core.slices import Arc, Log, Sent, Slices, rest
from engine.core.slicing import FORGET, OFTEN
from engine.core.types import Quota, Usage

MINUTE = 600


def requests(rng: Random) -> Usage:
    return Usage()


def heavy(rng: Random) -> Usage:
    """An eighth of a second's tokens, more or less."""
    return Usage(tokens_in=rng.randint(50, 300), tokens_out=rng.randint(200, 300))


@dataclass
class Server:
    """Counts a quota in slices from a beat of its own, whole units. What it counts late it counts at the end of a call."""

    share: int
    seconds: float
    beat: float
    weigh: Callable[[Usage], int]
    late: Callable[[Usage], int] = lambda usage: 0
    counted: dict[int, int] = field(default_factory=dict)
    refused: list[float] = field(default_factory=list)

    def _slice(self, t: float) -> int:
        return math.floor((t - self.beat) / self.seconds)

    def admits(self, usage: Usage, t: float) -> bool:
        now = self._slice(t)
        if self.counted.get(now, 0) + self.weigh(usage) > self.share:
            self.refused.append(t)
            return False
        self.counted[now] = self.counted.get(now, 0) + self.weigh(usage)
        return True

    def ends(self, usage: Usage, t: float) -> None:
        now = self._slice(t)
        self.counted[now] = self.counted.get(now, 0) + self.late(usage)

    def used(self, start: float, end: float) -> float:
        """Share of what its slices between two times could have counted."""
        slices = range(self._slice(start) + 1, self._slice(end))
        return sum(self.counted.get(n, 0) for n in slices) / (self.share * len(slices))


def drive(ledger: Ledger, server: Server, seconds: float, draw: Callable[[Random], Usage], seed: int = 0) -> None:
    """Send whenever the ledger lets; calls take up to 50 ms more or less to the server and back, and seconds there. A refusal
    asks to wait for a second, as servers do that count whole seconds."""
    rng, now = Random(seed), 0.0
    events: list[tuple[float, int, Callable[[float], None]]] = []
    count = itertools.count()

    def later(t: float, happens: Callable[[float], None]) -> None:
        heapq.heappush(events, (t, next(count), happens))

    def send(usage: Usage) -> None:
        ticket = ledger.charge(usage, now)

        def comes(t: float) -> None:
            if server.admits(usage, t):
                later(t + rng.uniform(0.5, 3.0), ends)
            else:
                later(t + rng.uniform(0.01, 0.06), refused)

        def ends(t: float) -> None:
            server.ends(usage, t)
            later(t + rng.uniform(0.01, 0.06), lambda t: ledger.settle(ticket, usage, t))

        def refused(t: float) -> None:
            if not ledger.paused(t):
                ledger.refused(ticket, (), t)
                ledger.pause(t + 1.0 + rng.uniform(0.0, 0.2))
            ledger.release(ticket, t)

        later(now + rng.uniform(0.01, 0.06), comes)

    usage = draw(rng)
    while now < seconds:
        while events and events[0][0] <= now:
            t, _, happens = heapq.heappop(events)
            happens(t)
        if (wait := ledger.wait(usage, now)) > 0:
            now = min(now + wait, events[0][0] if events else math.inf)
            continue
        send(usage)
        usage = draw(rng)


BEATS = [0.0, 0.23, 0.5, 0.71, 0.98]


@pytest.mark.parametrize("beat", BEATS)
@pytest.mark.parametrize(("slice", "said"), [(1.0, 1.0), (1.0, None), (10.0, 10.0), (10.0, None)])
def test_slices_are_found_and_used_up(slice: float, said: float | None, beat: float) -> None:
    """Requests: whether the plan says them or not, a few refusals find where they begin, and then every one of them is full."""
    server = Server(round(MINUTE * slice / 60), slice, beat * slice, lambda usage: 1)
    ledger = Ledger(Quota(requests_per_minute=MINUTE, slice=said))
    drive(ledger, server, 300, requests)
    assert len(server.refused) <= 4
    assert not [t for t in server.refused if t > 60]
    assert server.used(60, 300) >= 0.99
    assert ledger.slice == slice


@pytest.mark.parametrize("beat", BEATS)
@pytest.mark.parametrize("said", [1.0, None])
def test_calls_that_do_not_fit_like_sand_fill_slices_as_far_as_they_go(said: float | None, beat: float) -> None:
    """Tokens that are counted as reserved: each second takes as many whole calls as it can."""
    server = Server(3333, 1.0, beat, lambda usage: usage.tokens)
    ledger = Ledger(Quota(tokens_per_minute=200_000, slice=said, counts="reserved"))
    drive(ledger, server, 300, heavy)
    assert len(server.refused) <= 5
    assert server.used(30, 300) >= 0.93


@pytest.mark.parametrize("beat", BEATS)
def test_what_is_counted_late_fills_slices_too(beat: float) -> None:
    """Where tokens of an answer count in the second in which it ends, prompts leave room for them."""
    server = Server(3333, 1.0, beat, lambda usage: usage.prompt, lambda usage: usage.answer)
    ledger = Ledger(Quota(tokens_per_minute=200_000, slice=1.0, counts="used"))
    drive(ledger, server, 300, heavy)
    assert len(server.refused) <= 0.01 * 8 * 300
    assert server.used(30, 300) >= 0.9


def test_slices_that_no_plan_says_are_forgotten_and_met_again() -> None:
    """After ten minutes the even row is tried again; met once more, they are minded for twenty."""
    ledger = Ledger(Quota(requests_per_minute=MINUTE))
    for met, patience in ((0.0, FORGET), (2000.0, 2 * FORGET), (10_000.0, 4 * FORGET)):
        ledger.refused(ledger.charge(Usage(), met), (), met)
        assert ledger.slice == 1.0
        ledger.pause(met + 1)
        ledger.charge(Usage(), met + patience - 1)
        assert ledger.slice == 1.0
        ledger.charge(Usage(), met + patience)
        assert ledger.slice is None
        ledger.pause(met + patience + 1)


def test_declared_slices_are_never_forgotten() -> None:
    """What the plan says stays."""
    ledger = Ledger(Quota(requests_per_minute=MINUTE, slice=1.0))
    ledger.refused(ledger.charge(Usage(), 0.0), (), 0.0)
    ledger.charge(Usage(), 100 * FORGET)
    assert ledger.slice == 1.0


def test_retuned_slices_are_minded_at_once() -> None:
    """A slice may be tuned like any quota: another one, none, and one where none was."""
    ledger = Ledger(Quota(requests_per_minute=MINUTE, slice=10.0))
    for slice, apart in ((1.0, 0.05), (None, 0.0), (10.0, 0.09)):
        ledger.retune(Quota(requests_per_minute=MINUTE, slice=slice))
        ledger.charge(Usage(), 1000.0)
        assert ledger.slice == slice
        assert ledger.wait(Usage(), 1000.0) == pytest.approx(apart)


def told(remaining: int) -> tuple[Reading, ...]:
    return (Reading(Dimension.REQUESTS, MINUTE, remaining, 6.0, 60.0),)


def test_refusal_with_the_minute_used_up_is_about_the_minute() -> None:
    """What the server says is left decides, not what we think: only with room left is a slice suspected, however full we are."""
    ledger = Ledger(Quota(requests_per_minute=MINUTE))
    tickets = [ledger.charge(Usage(), n / 10) for n in range(500)]
    ledger.refused(tickets[-1], told(0), 50.0)
    assert ledger.slice is None
    ledger.refused(tickets[-1], told(90), 50.0)
    assert ledger.slice == 10.0, "it was fast for many seconds before"


def test_refusals_that_fit_no_beat_are_about_something_else() -> None:
    """Each a third of a second later than the one before: no server's slices begin like that, so fewer calls are in flight."""
    ledger = Ledger(Quota(requests_per_minute=MINUTE, slice=1.0, concurrent=100))
    taught = 0
    for n in range(12):
        start = 10.0 * n
        sent = [ledger.charge(Usage(), start + k / 10 + n / 3) for k in range(25)]
        before = (ledger.aimd.limit, ledger.limits)
        ledger.refused(sent[-1], told(300), start + 3 + n / 3)
        taught += (ledger.aimd.limit, ledger.limits) != before
    assert 0 < taught <= 12 / OFTEN


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.floats(0.1, 0.99), st.sampled_from([1.0, 10.0]), st.lists(st.floats(0.1, 30), min_size=1, max_size=60))
def test_slices_rest_and_keep_their_share(beat: float, seconds: float, weights: list[float]) -> None:
    """Whatever calls weigh, a slice sends no more than its share, or one call above it, nothing in the end of its rest, and all
    is sent in the end."""
    log, now = Log(), 1000.0 + beat
    slices = Slices(seconds, log)
    sent: dict[int, list[float]] = {}
    for weight in weights:
        while (wait := slices.wait(weight, 40.0, now)) > 0:
            now += wait
        assert (now - 1000.0 - beat) % seconds <= seconds - 0.5 * rest(seconds) or math.isclose(
            (now - 1000.0 - beat) % seconds, seconds
        )
        slices.charge(weight, now)
        log.add(Sent(now, weight))
        sent.setdefault(round(slices.begin(now) / seconds), []).append(weight)
    assert all(sum(calls) <= 40.0 + 1e-6 or len(calls) == 1 for calls in sent.values())


def test_refusal_says_where_the_servers_slice_began() -> None:
    """Ten calls filled it before the one that was refused: it began no later than the first of them, less than a second ago."""
    log = Log()
    slices = Slices(1.0, log)
    for n in range(30):
        log.add(Sent(n / 10.5, 1.0))
    arc = slices.refusal(1.0, 10.0, 30 / 10.5)
    assert arc is not None
    assert arc.latest == pytest.approx(20 / 10.5)
    assert arc.earliest == pytest.approx(30 / 10.5 - 1, abs=0.06)
    assert slices.refusal(1.0, 50.0, 30 / 10.5) is None, "so little fills no slice of fifty"


def test_arcs_narrow_down_where_a_slice_begins() -> None:
    """Two arcs some slices apart have in common what both leave; arcs that exclude each other have nothing."""
    first, second = Arc(0.2, 0.7), Arc(10.5, 10.9)
    moved = first.near(second, 1.0)
    assert (moved.earliest, moved.latest) == pytest.approx((10.2, 10.7))
    assert second.within(moved) == pytest.approx((10.5, 10.7))
    assert Arc(10.8, 10.9).within(moved) is None


def test_seconds_are_suspected_unless_many_were_used_in_full() -> None:
    """Refused in the midst of calls that are few, it is a second that had too many; at full pace for long, it is ten of them."""
    for apart, slice in ((0.3, 1.0), (0.1, 10.0)):
        ledger = Ledger(Quota(requests_per_minute=MINUTE))
        tickets = [ledger.charge(Usage(), 1000.0 + n * apart) for n in range(100)]
        ledger.refused(tickets[-1], told(300), tickets[-1].t + 0.1)
        assert ledger.slice == slice


def test_long_slices_that_were_not_full_give_way_to_short_ones() -> None:
    """Refused again after a few calls, ten seconds cannot have been full: a second was."""
    ledger = Ledger(Quota(requests_per_minute=MINUTE))
    tickets = [ledger.charge(Usage(), 1000.0 + n / 10) for n in range(100)]
    ledger.refused(tickets[-1], told(300), 1010.0)
    assert ledger.slice == 10.0
    tickets = [ledger.charge(Usage(), 1030.0 + n / 20) for n in range(12)]
    ledger.refused(tickets[-1], told(300), 1030.7)
    assert ledger.slice == 1.0
    assert ledger.limits == {"requests_per_minute": MINUTE}
