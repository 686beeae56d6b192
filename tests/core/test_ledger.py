"""The ledger beyond its windows: even pace, slices, habits, what servers say, what refusals teach."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.habits import ENOUGH, Habits
from engine.core.limits import Dimension, Reading
from engine.core.quota import Ledger, Ticket
from engine.core.types import Quota, Usage
from engine.core.window import GROWTH, PACE, Window

CALL = Usage(tokens_in=400, tokens_out=100)


def drive(ledger: Ledger, seconds: float, usage: Usage = CALL, start: float = 0.0) -> list[float]:
    """Send whenever the ledger lets; each call ends at once as it was estimated. Returns the times."""
    sent, now = [], start
    while now < start + seconds:
        if (wait := ledger.wait(usage, now)) > 0:
            now += wait
            continue
        ledger.settle(ledger.charge(usage, now), usage, now)
        sent.append(now)
    return sent


@pytest.mark.parametrize(
    "quota", [Quota(requests_per_minute=600), Quota(tokens_per_minute=300_000), Quota(requests_per_second=10)]
)
def test_the_whole_quota_is_used_evenly(quota: Quota) -> None:
    """Over minutes at least 97% of the quota is used, no minute passes it, and no second sees a burst of it."""
    sent = drive(Ledger(quota), 300)
    assert 0.97 * 3000 <= len(sent) <= 3000 + 10
    for t in sent[::50]:
        assert sum(t <= other < t + 60 for other in sent) <= 600
        assert sum(t <= other < t + 1 for other in sent) <= 10 * PACE + 4


def test_what_a_pause_missed_is_made_up_for() -> None:
    """After a pause the pace is a little above the mean until the window is full again."""
    ledger = Ledger(Quota(requests_per_minute=600))
    first = drive(ledger, 60)
    ledger.pause(66.0)
    second = drive(ledger, 120, start=60.0)
    assert len(first) + len(second) >= 0.97 * 1800 - 30


def test_slices_of_a_minute_are_kept() -> None:
    """Where the vendor checks each second, or ten of them, none sees more than its part, wherever in our rest it begins."""
    for slice in (1.0, 10.0):
        sent = drive(Ledger(Quota(requests_per_minute=600, slice=slice)), 120)
        assert len(sent) >= 0.97 * 1200
        for early in (0.001, 0.2, 0.39):
            assert max(Counter((t + early) // slice for t in sent).values()) <= 10 * slice


def test_headroom_is_left_to_others() -> None:
    """With 30% left to other users of the account, 70% is used."""
    sent = drive(Ledger(Quota(requests_per_minute=600, headroom=0.3)), 300)
    assert 0.96 * 2100 <= len(sent) <= 2110


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 10.0, 60.0]))
def test_no_window_is_passed_whatever_calls_turn_out_to_use(seed: int, slice: float) -> None:
    """A server that counts what was used, at the end, sees its own sliding minute kept, though calls are expected to use
    what they mostly do: passed by 1% at the most, where more than that comes all at once."""
    rng = Random(seed)
    ledger = Ledger(Quota(tokens_per_minute=50_000, slice=slice if slice < 60 else None))
    ends: list[tuple[float, float]] = []
    under_way: list[tuple[float, object, Usage]] = []
    now = 0.0
    for _ in range(400):
        if (wait := ledger.wait(CALL, now)) > 0:
            now += min(wait, 1.0)
        else:
            real = Usage(tokens_in=rng.randint(200, 400), tokens_out=rng.randint(1, 100))
            under_way.append((now + rng.uniform(0.2, 4.0), ledger.charge(CALL, now), real))
        for entry in [entry for entry in under_way if entry[0] <= now]:
            under_way.remove(entry)
            ledger.settle(entry[1], entry[2], now)  # type: ignore[arg-type]
            ends.append((now, entry[2].tokens))
    for t, _ in ends[::7]:
        assert sum(tokens for other, tokens in ends if t - 60 < other <= t) <= 50_500


def test_tokens_that_never_come_hold_no_quota() -> None:
    """Where the vendor counts what is used, calls that ask for 1,000 tokens and use 50 are soon expected to use about 50."""
    habits, asked = Habits(), Usage(tokens_in=500, tokens_out=1000)
    for n in range(300):
        assert habits.expected(asked).tokens_out == 1000 or n >= ENOUGH
        habits.learn(asked, Usage(tokens_in=300, tokens_out=50))
    expected = habits.expected(asked)
    assert 50 < expected.tokens_out < 65
    assert 300 <= expected.tokens_in < 350
    assert habits.expected(Usage(tokens_in=500, tokens_out=16)).tokens_out == 16, "another step has habits of its own"


def test_usage_that_was_guessed_teaches_nothing() -> None:
    """An upper bound that stands for unknown usage is no habit."""
    habits, asked = Habits(), Usage(tokens_in=10, tokens_out=10)
    for _ in range(100):
        habits.learn(asked, Usage(tokens_in=10, tokens_out=1, estimated=True))
    assert habits.expected(asked) == asked


def test_reserved_tokens_stay_reserved() -> None:
    """A vendor that admits by max_tokens counts those asked for, whatever came; of the prompt, what it really was."""
    ledger = Ledger(Quota(tokens_per_minute=10_000, counts="reserved"))
    ledger.settle(ledger.charge(CALL, 0.0), Usage(tokens_in=300, tokens_out=3), 1.0)
    assert ledger.wait(Usage(tokens_in=9_700), 59.0) > 0
    assert ledger.wait(Usage(tokens_in=9_500), 59.0) == 0.0


def reading(limit: int | None = 1000, remaining: int | None = None, reset: float | None = None) -> Reading:
    return Reading(Dimension.REQUESTS, limit, remaining, reset)


def test_headers_only_ever_lower() -> None:
    """A lower limit is taken over, a higher one is not."""
    ledger = Ledger(Quota(requests_per_minute=600))
    ticket = ledger.charge(CALL, 0.0)
    ledger.observe((reading(10_000),), ticket, 0.1)
    assert ledger.limits == {"requests_per_minute": 600}
    ledger.observe((reading(120),), ticket, 0.2)
    assert ledger.limits == {"requests_per_minute": 120}


def test_what_others_used_counts_as_ours() -> None:
    """Told that far less is left than we used, the ledger waits as if we had used it; told once more, it is not counted twice."""
    ledger = Ledger(Quota(requests_per_minute=600))
    tickets = [ledger.charge(CALL, n / 10) for n in range(50)]
    for _ in range(3):
        ledger.observe((reading(600, remaining=100, reset=50.0),), tickets[-1], 5.0)
    drive(ledger, 54.0, start=6.0)
    assert len(drive(ledger, 50.0, start=6.0)) <= 101


def test_calls_sent_since_are_not_taken_for_others() -> None:
    """What the headers of an older call could not know is ours."""
    ledger = Ledger(Quota(requests_per_minute=600))
    first = ledger.charge(CALL, 0.0)
    for n in range(200):
        ledger.charge(CALL, 1 + n / 100)
    ledger.observe((reading(600, remaining=599),), first, 4.0)
    assert ledger._meters["requests_per_minute"].window.used(4.0) == 201


def test_undeclared_limits_are_learnt_from_headers() -> None:
    """A lane that declares nothing takes over what its server says, unless it is a day's limit."""
    ledger = Ledger(Quota())
    ticket = ledger.charge(CALL, 0.0)
    ledger.observe((reading(200, remaining=100, reset=43_200.0),), ticket, 0.1)
    assert ledger.limits == {}
    ledger.observe((reading(60, remaining=59, reset=1.0),), ticket, 0.1)
    assert ledger.limits == {"requests_per_minute": 60}
    ledger.settle(ticket, CALL, 1.0)


def test_refusal_teaches_what_was_accepted_and_it_grows_back() -> None:
    """A plan that says twice the truth: refused after half of it, the account is believed to take what it took; once a period
    without refusals a little more, and more rarely after each time that it proved wrong."""
    ledger = Ledger(Quota(requests_per_minute=1200))
    sent = drive(ledger, 30.0)
    ticket = ledger.charge(CALL, 30.0)
    ledger.refused(ticket, (), 30.0)
    (believed,) = ledger.limits.values()
    assert believed == pytest.approx(len(sent), abs=1)
    window = ledger._meters["requests_per_minute"].window
    window.used(91.0)
    assert window.limit == pytest.approx(believed * GROWTH)
    window.refused(believed, 92.0)
    window.used(92.0 + 61.0)
    assert window.limit == pytest.approx(believed)
    window.used(92.0 + 121.0)
    assert window.limit == pytest.approx(believed * GROWTH)


def test_belief_grows_back_to_what_was_declared_and_no_further() -> None:
    """A passing shortage is forgotten in the end."""
    window = Window(1000, 60)
    window.refused(500, 0.0)
    for minute in range(1, 60):
        window.used(61.0 * minute)
    assert window.limit == 1000


def test_refusal_far_from_every_quota_is_about_calls_in_flight() -> None:
    """With hardly anything used of the minute, too many at once is what was refused."""
    ledger = Ledger(Quota(requests_per_minute=6000, concurrent=100))
    tickets = [ledger.charge(CALL, n / 100) for n in range(50)]
    ledger.refused(tickets[-1], (), 1.0)
    assert ledger.aimd.limit == 100, "the first time, seconds are suspected"
    ledger.refused(tickets[-1], (), 3.0)
    assert ledger.limits == {"requests_per_minute": 6000}
    assert ledger.aimd.limit < 50


def test_eased_pace_comes_back_within_a_minute() -> None:
    """A rise that was too steep is halved, and whole again a minute later."""
    ledger = Ledger(Quota(requests_per_minute=600))
    ledger.ease(0.0)
    first, second = drive(ledger, 10.0), drive(ledger, 10.0, start=70.0)
    assert len(first) < 0.65 * len(second)


def test_call_that_was_turned_away_gives_its_tokens_back() -> None:
    """A refused call used no tokens, and was a request."""
    ledger = Ledger(Quota(tokens_per_minute=1000, requests_per_minute=100))
    ledger.release(ledger.charge(CALL, 0.0), 0.1)
    assert ledger.in_flight == 0
    assert ledger._meters["tokens_per_minute"].window.used(0.2) == 0
    assert ledger._meters["requests_per_minute"].window.used(0.2) == 1


def test_retuned_ledger_remembers_what_was_sent() -> None:
    """Another limit from now on: lower, higher, gone or new; what the window holds stays."""
    ledger = Ledger(Quota(requests_per_minute=100, tokens_per_minute=1000))
    for n in range(40):
        ledger.settle(ledger.charge(Usage(), float(n)), Usage(), float(n))
    ledger.retune(Quota(requests_per_minute=40))
    assert ledger.wait(Usage(), 45.0) > 10
    assert ledger.limits == {"requests_per_minute": 40}
    ledger.retune(Quota(requests_per_minute=400, tokens_in_per_minute=50, concurrent=2))
    assert ledger.wait(Usage(), 45.0) == 0.0
    assert ledger.wait(Usage(tokens_in=60), 45.0) == 0.0, "an empty window takes anything once"
    ledger.charge(Usage(tokens_in=60), 45.0)
    assert ledger.wait(Usage(tokens_in=1), 50.0) > 50


def test_small_bucket_is_not_taken_for_others() -> None:
    """A bucket that holds one second of its limit is never told to have more than that left: nobody else used the rest, and all
    of it is used, a little below the rate at which it refills."""
    ledger, level, refused = Ledger(Quota(requests_per_minute=600)), 10.0, 0
    now = last = 0.0
    answers: list[tuple[float, Ticket, int]] = []
    sent = 0
    while now < 120:
        if (wait := ledger.wait(Usage(), now)) > 0:
            now = min(now + wait, answers[0][0] if answers else now + wait)
        else:
            level, last = min(10.0, level + 10 * (now - last)) - 1, now
            refused += level < 0
            sent += 1
            answers.append((now + 1.0, ledger.charge(Usage(), now), int(level)))
        while answers and answers[0][0] <= now:
            t, ticket, left = answers.pop(0)
            ledger.observe((reading(600, left, (10 - left) / 10),), ticket, t)
            ledger.settle(ticket, Usage(), t)
    assert refused == 0
    assert sent >= 0.97 * 1200


def test_others_in_a_window_that_is_nearly_over_are_not_taken_for_a_small_bucket() -> None:
    """What is left and the time until the reset shrink together there; others' use holds until the reset."""
    ledger = Ledger(Quota(requests_per_minute=600))
    for n in range(40):
        now = n / 10
        ticket = ledger.charge(Usage(), now)
        ledger.observe((reading(600, 60 - n, 5.0 - now),), ticket, now)
        ledger.settle(ticket, Usage(), now)
    ledger.observe((reading(600, 0, 1.0),), ledger.charge(Usage(), 4.0), 4.0)
    assert ledger.wait(Usage(), 4.0) == pytest.approx(1.0)


def test_pace_of_a_young_run_is_that_of_its_seconds() -> None:
    """Refused after three seconds, it is the rate of these three that was too much, and not that of ten."""
    window = Window(6000, 60)
    for n in range(60):
        window.charge(1, 100 + n / 20)
    assert window.pace(10, 103.0) == pytest.approx(1200, rel=0.05)
    for n in range(400):
        window.charge(1, 103 + n / 20)
    assert window.pace(10, 123.0) == pytest.approx(1200, rel=0.05)
