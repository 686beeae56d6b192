"""Quota: no sliding window ever holds more than its limit, and everything is admitted in the end."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.aimd import Breaker
from engine.core.quota import Ledger
from engine.core.types import Quota, Usage
from engine.core.window import MARGIN, Charge, Window, margin

quick = settings(max_examples=40, deadline=None, derandomize=True)


def arrivals(greatest_share: float) -> st.SearchStrategy[list[tuple[float, float, float]]]:
    """Bursts and lulls of calls: seconds after the one before, estimated weight, and the share of it that is really used."""
    gaps = st.just(0.0) | st.floats(0, 2) | st.floats(0, 100)
    weights = st.sampled_from([0.0, 1.0, 10.0, 100.0]) | st.floats(0, 130)
    return st.lists(st.tuples(gaps, weights, st.floats(0, greatest_share)), max_size=40)


starts = st.sampled_from([0.0, 1e-3, 12_345.678, 1.7e9])
"""Readings of the clock at which a run may begin."""


def admit(wait: Callable[[float], float], now: float) -> float:
    """When `wait` lets a call pass that comes at `now`; whoever waits as long as told need not ask often."""
    for _ in range(4):
        if not (seconds := wait(now)):
            return now
        now += seconds
    raise AssertionError("a call that waits as long as it is told is sent away again and again")


def run(window: Window, calls: list[tuple[float, float, float]], now: float) -> list[tuple[float, Charge]]:
    """Send all calls in order, each corrected when the next one comes. Whatever is admitted must fit by what is known then."""
    sent: list[tuple[float, Charge]] = []
    used = 0.0
    for gap, weight, share in calls:
        if sent:
            window.correct(sent[-1][1], used)
        now = admit(lambda now, weight=weight: window.wait(weight, now), now + gap)
        inside = [charge.weight for t, charge in sent if t > now - window.period]
        assert not inside or sum(inside) + weight <= window.limit + 1e-6
        sent.append((now, window.charge(weight, now)))
        used = weight * share
    return sent


@quick
@given(arrivals(greatest_share=1.0), starts, st.sampled_from([1.0, 60.0]))
def test_no_sliding_window_holds_more_than_the_limit(
    calls: list[tuple[float, float, float]], start: float, period: float
) -> None:
    """Estimates replaced by what was really used never let too much through, wherever the server's window begins."""
    sent = run(Window(100.0, period), calls, start)
    for t, _ in sent:
        inside = [charge.weight for other, charge in sent if t - period < other <= t]
        assert sum(inside) <= 100.0 + 1e-6 or len(inside) == 1


@quick
@given(arrivals(greatest_share=5.0), starts)
def test_calls_that_weigh_more_than_estimated_hold_up_the_next(calls: list[tuple[float, float, float]], start: float) -> None:
    """Too small an estimate cannot be undone, but nothing more is admitted on top of it."""
    run(Window(100.0, 60.0), calls, start)


def test_a_call_counts_for_its_period_and_a_margin() -> None:
    """A later call may be quicker to the server, so that a window frees a moment late, to the second told."""
    window = Window(10, 60)
    window.charge(4, 100.0)
    window.charge(6, 110.0)
    assert window.wait(1, 120.0) == pytest.approx(40 + MARGIN)
    assert window.wait(5, 120.0) == pytest.approx(50 + MARGIN)
    assert window.wait(4, 160.0 + MARGIN) == 0.0
    assert window.used(160.0 + MARGIN) == 6


def test_a_call_above_the_limit_waits_for_an_empty_window() -> None:
    """Nothing is too heavy to be sent at all; what follows it waits a whole period."""
    window = Window(10, 60)
    window.charge(4, 0.0)
    window.charge(1, 30.0)
    assert window.wait(25, 30.0) == 60 + MARGIN
    assert window.wait(25, 90.0 + MARGIN) == 0.0
    window.charge(25, 90.0 + MARGIN)
    assert window.wait(1, 90.0 + MARGIN) == 60 + MARGIN


def test_a_correction_that_comes_too_late_changes_nothing() -> None:
    """A call that took longer than the period left the window before its usage was known."""
    window = Window(10, 60)
    late = window.charge(5, 0.0)
    window.charge(3, 100.0)
    assert window.used(100.0) == 3
    window.correct(late, 10)
    assert window.used(100.0) == 3


CALL = Usage(requests=1, tokens_in=400, tokens_cached=100, tokens_out=30, tokens_reasoning=20, characters=2000)


@pytest.mark.parametrize(
    ("name", "period", "weight"),
    [
        ("requests_per_second", 1, 1),
        ("requests_per_minute", 60, 1),
        ("requests_per_day", 86_400, 1),
        ("tokens_per_minute", 60, 550),
        ("tokens_in_per_minute", 60, 500),
        ("tokens_out_per_minute", 60, 50),
        ("characters_per_minute", 60, 2000),
        ("characters_per_hour", 3600, 2000),
        ("characters_per_month", 30 * 86_400, 2000),
    ],
)
def test_each_quota_counts_its_own_measure(name: str, period: float, weight: int) -> None:
    """A call weighs by what the quota is about, for as long as its name says: two fit into twice the weight, not into less."""
    ledger = Ledger(Quota(**{name: 2 * weight}))
    ledger.charge(CALL, 10.0)
    assert ledger.wait(CALL, 10.0 + 0.52 * period) == 0.0, "the even row gives each half of the period"
    ledger = Ledger(Quota(**{name: 2 * weight - 0.5}))
    ledger.charge(CALL, 10.0)
    assert ledger.wait(CALL, 10.0) == pytest.approx(period + margin(period))


def test_a_ledger_without_quotas_never_waits() -> None:
    """What is not declared costs nothing."""
    ledger = Ledger(Quota())
    for _ in range(1000):
        ledger.charge(CALL, 0.0)
    assert ledger.wait(CALL, 0.0) == 0.0


@quick
@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 900), st.integers(0, 300)), max_size=40), starts)
def test_a_ledger_keeps_every_one_of_its_quotas(calls: list[tuple[float, int, int]], now: float) -> None:
    """With several quotas at once the strictest decides at each moment, and none is passed."""
    ledger = Ledger(Quota(requests_per_second=3, requests_per_minute=20, tokens_in_per_minute=1000, tokens_out_per_minute=300))
    sent: list[tuple[float, Usage]] = []
    for gap, tokens_in, tokens_out in calls:
        usage = Usage(tokens_in=tokens_in, tokens_out=tokens_out)
        now = admit(lambda now, usage=usage: ledger.wait(usage, now), now + gap)
        ledger.charge(usage, now)
        sent.append((now, usage))
        minute = [other for t, other in sent if now - 60 < t]
        assert sum(1 for t, _ in sent if now - 1 < t) <= 3
        assert len(minute) <= 20
        assert sum(other.tokens_in for other in minute) <= 1000
        assert sum(other.tokens_out for other in minute) <= 300


def test_a_full_ledger_waits_for_a_call_to_end() -> None:
    """How long that takes nobody knows: the wait is endless until a call is settled, with usage or without."""
    ledger = Ledger(Quota(concurrent=2))
    tickets = [ledger.charge(CALL, 0.0) for _ in range(2)]
    assert (ledger.in_flight, ledger.wait(CALL, 1e6)) == (2, math.inf)
    ledger.settle(tickets[0], None, 0.0)
    assert (ledger.in_flight, ledger.wait(CALL, 0.0)) == (1, 0.0)


@pytest.mark.parametrize(
    ("counts", "real", "room"),
    [("used", Usage(tokens_in=100), True), ("used", None, False), ("reserved", Usage(tokens_in=100), False)],
    ids=["used", "unknown", "reserved"],
)
def test_real_usage_replaces_the_estimate_where_it_counts(counts: str, real: Usage | None, room: bool) -> None:
    """A vendor that counts what is reserved, or a call whose usage is unknown, leaves the estimate charged."""
    ledger = Ledger(Quota(tokens_per_minute=600, counts=counts))
    ledger.settle(ledger.charge(CALL, 0.0), real, 1.0)
    assert (ledger.wait(Usage(tokens_in=500), 55.0) == 0.0) is room


def test_a_pause_ends_when_the_longest_one_does() -> None:
    """Nothing is sent before; a shorter pause after a longer one changes nothing."""
    ledger = Ledger(Quota(requests_per_second=1))
    ledger.pause(30.0)
    ledger.pause(20.0)
    assert (ledger.paused(29.0), ledger.wait(CALL, 29.0)) == (True, 1.0)
    assert (ledger.paused(30.0), ledger.wait(CALL, 30.0)) == (False, 0.0)


def failed(times: int, now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.failed(now)
    return breaker


def test_a_breaker_opens_after_failures_in_a_row() -> None:
    """Four failures are bad luck, five are a pattern; one success in between starts the count anew."""
    breaker = failed(4)
    assert breaker.closed
    breaker.succeeded()
    for _ in range(4):
        breaker.failed(0.0)
    assert breaker.closed
    assert breaker.wait(7, 0.0) == 0.0
    breaker.failed(0.0)
    assert not breaker.closed
    assert breaker.wait(0, 0.0) == 1.0


def test_an_open_breaker_lets_one_probe_through() -> None:
    """When the pause is over one call may start; while it is out, no other; its success lets all through."""
    breaker = failed(5, now=100.0)
    assert breaker.wait(0, 100.25) == 0.75
    assert breaker.wait(0, 101.0) == 0.0
    assert breaker.wait(1, 101.0) == math.inf
    breaker.succeeded()
    assert breaker.wait(1, 101.0) == 0.0


def test_each_failed_probe_doubles_the_pause_up_to_a_minute() -> None:
    """A provider that stays sick is asked ever more rarely, but at least once a minute."""
    breaker, pauses, now = failed(4), [], 0.0
    for _ in range(9):
        breaker.failed(now)
        breaker.failed(now)  # a call that was on its way when the breaker opened says nothing new
        pauses.append(breaker.wait(0, now))
        now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_thousands_of_calls_may_fail_at_once() -> None:
    """A provider that dies under full load opens its breaker for a minute at the most."""
    assert 0 < failed(5000).wait(0, 0.0) <= 60


def test_a_restart_does_not_empty_the_windows() -> None:
    """What an earlier life has sent still weighs, for as long as it would have."""
    ledger = Ledger(Quota(requests_per_day=2))
    for t in (-100.0, -50.0):
        ledger.remember("requests_per_day", 1, t)
    ledger.remember("tokens_per_minute", 500, -1.0)  # a quota that the plan has no more
    assert ledger.wait(Usage(), 0.0) == pytest.approx(86_400 - 100 + MARGIN)
