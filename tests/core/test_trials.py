"""Trials are schedules in absolute time, and a flood presses no harder than it has to."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.faults import FaultKind
from engine.core.shapes import SMALL
from engine.core.trials import Arrivals, Burst, Closed, Due, Flood, Pace, Pause, Schedule, Shot, Singles, Trial, grouped, offsets


def shot(number: int, sent: float, *, refused: bool = False, seconds: float = 0.1) -> Shot:
    fault = FaultKind.RATE if refused else None
    return Shot(number=number, trial=1, shape=SMALL, intended=sent, sent=sent, ended=sent + seconds, fault=fault)


@settings(deadline=None)
@given(st.floats(0.2, 400), st.floats(1, 60))
def test_constant_arrivals_keep_their_rate(rate: float, seconds: float) -> None:
    """So many a second for so long, none of them early, however they are grouped."""
    due = list(offsets(Arrivals.CONSTANT, rate, seconds, Random(0)))
    assert len(due) == pytest.approx(rate * seconds, abs=1 + 0.02 * rate)
    assert due == sorted(due)
    assert all(t <= n / rate + 1e-6 for n, t in enumerate(due))
    assert all(n / rate - t <= 0.02 + 1e-6 for n, t in enumerate(due))


def test_poisson_arrivals_differ_as_they_should() -> None:
    """Gaps of a Poisson process have the mean of its rate, and spread as much."""
    due = list(offsets(Arrivals.POISSON, 50.0, 400.0, Random(1)))
    gaps = [after - before for before, after in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.02, rel=0.03)
    assert math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) == pytest.approx(mean, rel=0.05)


def test_ramp_rises_evenly() -> None:
    """By a quarter of the time a sixteenth of a ramp has been sent, by the half a quarter."""
    due = list(offsets(Arrivals.RAMP, 40.0, 60.0, Random(0)))
    assert len(due) == 1200
    assert sum(t <= 15 for t in due) == pytest.approx(1200 / 16, abs=1)
    assert sum(t <= 30 for t in due) == pytest.approx(1200 / 4, abs=1)


def test_fast_calls_go_in_groups() -> None:
    """Above fifty a second calls share the moments that a loop's timer can keep."""
    assert [grouped(n, 200.0) for n in range(9)] == pytest.approx([0, 0, 0, 0, 0.02, 0.02, 0.02, 0.02, 0.04])
    assert [grouped(n, 10.0) for n in range(3)] == pytest.approx([0, 0.1, 0.2])


def due(trial: Trial, now: float, inside: int = 0) -> float | None:
    found = trial.next(now, inside)
    return found.at if found is not None else None


def test_a_schedule_does_not_wait_for_answers() -> None:
    """The second call is due when it is due, with the first one still in flight, and a late call moves no other."""
    trial = Schedule("s", SMALL, iter((0.0, 1.0, 2.0)), 1.0)
    assert due(trial, 10.0) == 10.0
    trial.fired(10.4)
    assert due(trial, 10.5, inside=1) == 11.0
    trial.fired(13.0)
    assert due(trial, 13.0, inside=2) == 12.0
    trial.fired(13.0)
    assert trial.next(13.0, 3) is None


def test_a_schedule_that_is_held_passes_calls_over() -> None:
    """Calls that are due while too many are in flight are left out, not sent later."""
    trial = Schedule("s", SMALL, iter((0.0, 1.0, 2.0)), 1.0, inside=1)
    assert due(trial, 0.0) == 0.0
    trial.fired(0.0)
    assert due(trial, 1.5, inside=1) == 2.0
    assert trial.passed_over == 1


def test_singles_wait_for_each_other() -> None:
    """The next call comes a gap after the last one ended, and no other comes once it is enough."""
    trial = Singles("s", [SMALL] * 3, 2.0, enough=lambda one: one.refused)
    assert due(trial, 0.0) == 0.0
    trial.fired(0.0)
    assert due(trial, 0.1, inside=1) == math.inf
    trial.heard(shot(0, 0.0, seconds=0.5))
    assert due(trial, 0.6) == 2.5
    trial.fired(2.5)
    trial.heard(shot(1, 2.5, refused=True))
    assert trial.next(3.0, 0) is None


def test_a_burst_is_due_at_one_moment() -> None:
    """All calls of a burst are due when it begins."""
    trial = Burst("b", SMALL, 3)
    for now in (5.0, 5.01, 5.02):
        assert due(trial, now) == 5.0
        trial.fired(now)
    assert trial.next(5.03, 3) is None


def test_a_pause_sends_nothing() -> None:
    """A pause has no call that is ever due, and ends."""
    trial = Pause("p", 60.0, SMALL)
    found = trial.next(1.0, 0)
    assert isinstance(found, Due)
    assert found.at > 61.0
    assert trial.next(61.0, 0) is None


def test_closed_load_keeps_so_many_in_flight() -> None:
    """With room the next call is due at once, without it when an answer comes, and none after the end."""
    trial = Closed("c", SMALL, 4, 60.0)
    assert due(trial, 0.0) == 0.0
    assert due(trial, 1.0, inside=3) == 1.0
    assert due(trial, 1.0, inside=4) == math.inf
    assert trial.next(60.0, 2) is None


def played(flood: Flood, limit: float, seconds: float, latency: float = 0.1) -> list[Shot]:
    """A flood against a bucket without a burst, by the clock."""
    now, free, sent, flying = 0.0, 0.0, list[Shot](), list[Shot]()
    while now < seconds:
        for one in [one for one in flying if one.ended <= now]:
            flying.remove(one)
            flood.heard(one)
        found = flood.next(now, len(flying))
        if found is None:
            break
        if found.at <= now:
            passed = now >= free
            free = max(free, now) + 1 / limit if passed else free
            flying.append(shot(len(sent), now, refused=not passed, seconds=latency))
            sent.append(flying[-1])
            flood.fired(now)
        else:
            now = min(found.at, min((one.ended for one in flying), default=math.inf))
    return sent


def rate(shots: list[Shot], start: float, end: float) -> float:
    return sum(start <= one.sent < end for one in shots) / (end - start)


def test_a_flood_climbs_until_it_is_refused() -> None:
    """From one call a second it doubles every two seconds, and ends so many seconds after the first refusal."""
    shots = played(Flood("f", SMALL, Pace(guess=None, most=100.0, after=30.0, patience=40.0, calls=10**6)), 10.0, 300.0)
    assert [rate(shots, t, t + 2) for t in (0, 2, 4)] == pytest.approx([1, 2, 4], abs=0.51)
    first = next(one for one in shots if one.refused)
    assert 6 <= first.sent <= 10
    assert shots[-1].sent == pytest.approx(first.ended + 30, abs=1)


def test_a_flood_presses_four_times_what_passes() -> None:
    """Once a limit is known it is asked for four times as much, never for more than the fastest."""
    pace = Pace(guess=5.0, most=100.0, after=60.0, patience=40.0, calls=10**6)
    assert rate(played(Flood("f", SMALL, pace), 5.0, 300.0), 5, 60) == pytest.approx(20, rel=0.05)
    slow = Pace(guess=5.0, most=8.0, after=60.0, patience=40.0, calls=10**6)
    assert rate(played(Flood("f", SMALL, slow), 5.0, 300.0), 5, 60) == pytest.approx(8, rel=0.05)


def test_a_flood_against_nothing_ends() -> None:
    """Where nothing is refused it ends by its patience, or by its calls, and never passes the fastest rate."""
    shots = played(Flood("f", SMALL, Pace(guess=None, most=20.0, after=30.0, patience=40.0, calls=10**6)), 10**9, 300.0)
    assert shots[-1].sent == pytest.approx(40.0, abs=0.1)
    assert rate(shots, 20, 40) == pytest.approx(20, rel=0.05)
    few = played(Flood("f", SMALL, Pace(guess=None, most=20.0, after=30.0, patience=40.0, calls=50)), 10**9, 300.0)
    assert len(few) == 50


def test_a_flood_is_sparse_while_nothing_passes() -> None:
    """While all is refused it asks about as often as the limit refills, not four times as often; nor is it hurried by a window
    that lets its minute's worth pass at once."""
    flood = Flood("f", SMALL, Pace(guess=2.0, most=100.0, after=60.0, patience=40.0, calls=10**6))
    now, sent = 0.0, list[Shot]()
    while (found := flood.next(now, 0)) is not None:
        if found.at <= now:
            sent.append(shot(len(sent), now, refused=now > 5))
            flood.fired(now)
            flood.heard(sent[-1])
        else:
            now = found.at
    assert rate(sent, 0, 5) == pytest.approx(8, rel=0.2)
    assert rate(sent, 20, 60) < 2.5


def test_a_guess_that_is_too_low_is_outgrown() -> None:
    """Where headers claim a tenth of the limit, the flood still comes to press it."""
    pace = Pace(guess=1.0, most=100.0, after=40.0, patience=60.0, calls=10**6)
    shots = played(Flood("f", SMALL, pace), 10.0, 300.0)
    assert any(one.refused for one in shots)
    assert rate(shots, shots[-1].sent - 10, shots[-1].sent) > 15
