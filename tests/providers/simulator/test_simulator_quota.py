"""Each law of the simulator against a plain log of what it admitted: never more than the law says, never less without need."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.simulator.calls import SECOND
from providers.simulator.quota import Ban, Bucket, Concurrent, Fixed, Growth, Limiter, Money, Sliding, Subwindow

PERIOD = 60
"""Nanoseconds: a minute in small, so that every boundary is hit."""
LIMITS = st.integers(1, 12)
ARRIVALS = st.lists(st.tuples(st.integers(0, 45), st.integers(1, 5)), max_size=60)
"""Gaps and weights."""


class Seen(NamedTuple):
    t: int
    weight: int
    wait: int | None


def played(limiter: Limiter, arrivals: list[tuple[int, int]]) -> list[Seen]:
    """What the limiter said to each arrival; those that need not wait are taken."""
    seen, now = [], 0
    for gap, weight in arrivals:
        now += gap
        wait = limiter.wait(weight, now)
        if wait == 0:
            limiter.take(weight, now)
        seen.append(Seen(now, weight, wait))
    return seen


def admitted(seen: list[Seen]) -> list[Seen]:
    return [one for one in seen if one.wait == 0]


def windows(seen: list[Seen], period: int) -> Counter[int]:
    """What was admitted in each aligned window."""
    count: Counter[int] = Counter()
    for one in admitted(seen):
        count[one.t // period] += one.weight
    return count


@given(LIMITS, LIMITS, ARRIVALS)
def test_bucket_fits_its_line(limit: int, burst: int, arrivals: list[tuple[int, int]]) -> None:
    """Between any two admitted calls no more passes than the burst and what is refilled in between; no refusal was needless."""
    seen = played(Bucket(limit, PERIOD, burst), arrivals)
    passed = admitted(seen)
    for n, first in enumerate(passed):
        total = 0
        for last in passed[n:]:
            total += last.weight
            assert total * PERIOD <= burst * PERIOD + limit * (last.t - first.t)
    level, at = burst * PERIOD, 0
    for t, weight, wait in seen:
        level, at = min(burst * PERIOD, level + limit * (t - at)), t
        assert (wait == 0) == (weight * PERIOD <= level)
        level -= weight * PERIOD * (wait == 0)


@given(LIMITS, ARRIVALS)
def test_fixed_windows_are_exact(limit: int, arrivals: list[tuple[int, int]]) -> None:
    """A window takes its limit and no more, and refuses only what would exceed it."""
    seen = played(Fixed(limit, PERIOD), arrivals)
    count: Counter[int] = Counter()
    for t, weight, wait in seen:
        assert (wait == 0) == (count[t // PERIOD] + weight <= limit)
        count[t // PERIOD] += weight * (wait == 0)
    assert all(total <= limit for total in windows(seen, PERIOD).values())


@given(LIMITS, ARRIVALS)
def test_sliding_log_is_exact(limit: int, arrivals: list[tuple[int, int]]) -> None:
    """A call passes exactly if it and all that passed less than a period before weigh no more than the limit."""
    passed: list[Seen] = []
    for one in played(Sliding(limit, PERIOD), arrivals):
        recent = sum(other.weight for other in passed if other.t > one.t - PERIOD)
        assert (one.wait == 0) == (recent + one.weight <= limit)
        if one.wait == 0:
            passed.append(one)


@given(LIMITS, st.sampled_from([5, 10, 30]), ARRIVALS)
def test_slices_take_their_share(limit: int, slice_: int, arrivals: list[tuple[int, int]]) -> None:
    """No slice takes more than its share, unless one call alone is heavier, and no period more than its limit."""
    seen = played(Subwindow(limit, PERIOD, slice_), arrivals)
    share = max(1, limit * slice_ // PERIOD)
    heaviest: Counter[int] = Counter()
    for one in admitted(seen):
        heaviest[one.t // slice_] = max(heaviest[one.t // slice_], one.weight)
    assert all(total <= max(share, heaviest[n]) for n, total in windows(seen, slice_).items())
    assert all(total <= limit for total in windows(seen, PERIOD).values())


@given(LIMITS, st.sampled_from([1.0, 1.5, 2.0]), ARRIVALS)
def test_growth_is_bounded_by_the_window_before(limit: int, factor: float, arrivals: list[tuple[int, int]]) -> None:
    """A window takes `factor` times the one before at the most, or the limit where that is more; no refusal was needless."""
    seen = played(Growth(limit, PERIOD, factor), arrivals)
    count: Counter[int] = Counter()
    for t, weight, wait in seen:
        window = t // PERIOD
        assert (wait == 0) == (count[window] + weight <= max(limit, int(count[window - 1] * factor)))
        count[window] += weight * (wait == 0)


LIMITERS = {
    "bucket": lambda limit: Bucket(limit, PERIOD, limit),
    "small bucket": lambda limit: Bucket(limit, PERIOD, max(1, limit // 2)),
    "fixed": lambda limit: Fixed(limit, PERIOD),
    "sliding": lambda limit: Sliding(limit, PERIOD),
    "subwindow": lambda limit: Subwindow(limit, PERIOD, 10),
    "growth": lambda limit: Growth(limit, PERIOD, 2.0),
    "ban": lambda limit: Ban(limit, PERIOD),
}


@pytest.mark.parametrize("name", LIMITERS)
@given(limit=LIMITS, arrivals=ARRIVALS, weight=st.integers(1, 5))
def test_the_wait_is_neither_too_long_nor_too_short(name: str, limit: int, arrivals: list[tuple[int, int]], weight: int) -> None:
    """After the wait that it names, if nothing else came, a call passes; a nanosecond earlier it does not."""
    now = sum(gap for gap, _ in arrivals)

    def at(moment: int) -> int | None:
        limiter = LIMITERS[name](limit)
        played(limiter, arrivals)
        return limiter.wait(weight, moment)

    wait = at(now)
    if wait is None:
        assert at(now + 1_000 * PERIOD) is None
    elif wait:
        assert at(now + wait) == 0
        assert at(now + wait - 1) != 0


@pytest.mark.parametrize("name", ["bucket", "small bucket", "fixed", "sliding", "subwindow"])
@given(limit=LIMITS, arrivals=ARRIVALS)
def test_what_remains_can_be_had_and_comes_back(name: str, limit: int, arrivals: list[tuple[int, int]]) -> None:
    """What is said to remain is never more than what was free at the start, and after the reset all of it is free again."""
    limiter = LIMITERS[name](limit)
    fresh = limiter.remaining(0)
    seen = played(limiter, arrivals)
    now = seen[-1].t if seen else 0
    assert 0 <= limiter.remaining(now) <= fresh
    assert limiter.remaining(now + limiter.reset(now)) == fresh
    assert limiter.reset(now + limiter.reset(now)) == 0


@pytest.mark.parametrize("name", ["bucket", "small bucket", "fixed", "sliding", "subwindow"])
@given(limit=LIMITS, arrivals=ARRIVALS)
def test_no_more_is_admitted_than_the_most(name: str, limit: int, arrivals: list[tuple[int, int]]) -> None:
    """`most` bounds what passes from the first to the last admitted call."""
    limiter = LIMITERS[name](limit)
    passed = admitted(played(limiter, arrivals))
    if passed:
        most = limiter.most(passed[-1].t - passed[0].t)
        assert most is not None
        assert sum(one.weight for one in passed) <= most


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=50))
def test_so_many_calls_at_once(limit: int, comings: list[bool]) -> None:
    """A call passes exactly if fewer than the limit are inside; one that leaves makes room."""
    door, inside = Concurrent(limit), 0
    for comes in comings:
        if comes:
            assert (door.wait(1, 0) == 0) == (inside < limit)
            if inside < limit:
                door.take(1, 0)
                inside += 1
        elif inside:
            door.leave(1)
            inside -= 1
        assert door.remaining(0) == limit - inside


def test_credit_is_spent_and_may_be_overdrawn_by_calls_under_way() -> None:
    """While anything is left a call passes; once it is spent, none ever does."""
    money = Money(100)
    money.take(99, 0)
    assert money.wait(1, 0) == 0
    money.take(50, 0)
    assert money.wait(1, SECOND) is None
    assert money.remaining(0) == 0


def test_a_ban_lasts_until_enough_refusals_are_old() -> None:
    """Three refusals a minute ban; a minute after the first of them the ban ends."""
    ban = Ban(3, 60 * SECOND)
    for t in (0, 10, 20):
        assert ban.wait(1, t * SECOND) == 0
        ban.take_refused(1, t * SECOND)
    assert ban.wait(1, 25 * SECOND) == 35 * SECOND
    assert ban.wait(1, 60 * SECOND) == 0


def test_asking_over_and_over_keeps_a_bucket_empty_without_debt() -> None:
    """Where refused calls count, hammering never gets through, and silence for one refill does."""
    bucket = Bucket(60, 60 * SECOND, 60)
    bucket.take(60, 0)
    for tenth in range(1, 100):
        assert bucket.wait(1, tenth * SECOND // 10) != 0
        bucket.take_refused(1, tenth * SECOND // 10)
    assert bucket.wait(1, 99 * SECOND // 10 + SECOND) == 0


@pytest.mark.parametrize("name", ["bucket", "fixed", "sliding", "subwindow"])
def test_a_clock_that_runs_backwards_gives_nothing(name: str) -> None:
    """Time stands still rather than refill twice."""
    limiter = LIMITERS[name](3)
    limiter.take(3, 50)
    assert limiter.wait(1, 10) != 0
    assert limiter.wait(1, 50) != 0
