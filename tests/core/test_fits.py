"""The laws of limiters are told apart, and their sizes found, from nothing but what was accepted and refused."""

from __future__ import annotations

from random import Random

import pytest

from engine.core.fits import fits
from engine.core.laws import Attempt, Fit, Law
from providers.simulator.quota import SECOND, Bucket, Fixed, Limiter, Sliding


def pressed(limiter: Limiter, rng: Random, rate: float, seconds: float = 80.0, others: float = 0.0) -> list[Attempt]:
    """A minute and a half of calls at four times what passes, ten seconds of a slow start, beside others' calls, if any; each is
    10 to 60 ms on its way."""
    ours: list[float] = []
    t = 0.0
    while t < seconds + 10:
        ours.append(t)
        t += 1 / (rate * (4 if t > 10 else 0.5 + 0.35 * t))
    events = [(t + 0.01 + 0.05 * rng.random(), t) for t in ours]
    t = -60.0
    while others and t < seconds + 10:
        t += rng.expovariate(others)
        events.append((t, -1.0))
    phase = 100 + rng.uniform(0, 60)
    made = []
    for came, sent in sorted(events):
        now = round((came + phase) * SECOND)
        if passed := limiter.wait(1, now) == 0:
            limiter.take(1, now)
        if sent >= 0:
            made.append(Attempt(t=sent + 0.045, end=sent + 0.5, weight=1.0, accepted=passed))
    return made


def best(limiter: Limiter, seed: int, rate: float, others: float = 0.0) -> Fit:
    return fits(pressed(limiter, Random(seed), rate, others=others))[0]


@pytest.mark.parametrize("seed", range(3))
def test_bucket_is_found_with_its_burst(seed: int) -> None:
    """A bucket's refill and its burst are found to a part in fifty."""
    limit, burst = 180 + 97 * seed, 40 + 31 * seed
    found = best(Bucket(limit, 60 * SECOND, burst), seed, limit / 60)
    assert found.law is Law.BUCKET
    assert found.rate * 60 == pytest.approx(limit, rel=0.02)
    assert found.size == pytest.approx(burst, abs=2)


@pytest.mark.parametrize("seed", range(3))
def test_fixed_window_is_found_with_its_phase(seed: int) -> None:
    """A window that turns by the clock is no window that slides, and its limit is found to the last call."""
    limit = 150 + 111 * seed
    found = best(Fixed(limit, 60 * SECOND), seed, limit / 60)
    assert (found.law, found.window, int(found.size + 0.05)) == (Law.FIXED, 60.0, limit)


@pytest.mark.parametrize("seed", range(3))
def test_sliding_window_is_found(seed: int) -> None:
    """A window that slides is found to the last call, or the one after it: calls overtake each other on their ways."""
    limit = 130 + 120 * seed
    found = best(Sliding(limit, 60 * SECOND), seed, limit / 60)
    assert (found.law, found.window) == (Law.SLIDING, 60.0)
    assert found.size == pytest.approx(limit + 0.5, abs=1.1)


@pytest.mark.parametrize(("seconds", "share"), [(1, 4), (10, 31)])
def test_slices_of_a_minute_are_found(seconds: int, share: int) -> None:
    """A limit that holds for a second, or for ten, is not taken for one of a minute."""
    found = best(Fixed(share, seconds * SECOND), 1, share / seconds)
    assert (found.law, found.window) == (Law.FIXED, seconds)
    assert int(found.size + 0.05) == share


def test_calls_at_once_are_no_rate() -> None:
    """Calls of very different lengths, sent at random, are bound by how many are in flight, and by no rate."""
    rng, inside, made, t = Random(5), list[float](), list[Attempt](), 0.0
    for _ in range(300):
        t += rng.expovariate(14.0)
        inside = [end for end in inside if end > t]
        end = t + rng.choice((0.3, 2.5)) * (0.5 + rng.random())
        passed = len(inside) < 9
        if passed:
            inside.append(end)
        made.append(Attempt(t, end if passed else t + 0.05, 1.0, passed))
    found = fits(made)[0]
    assert found.law is Law.CONCURRENT
    assert found.size == pytest.approx(9.5, abs=0.6)


@pytest.mark.parametrize(
    ("limiter", "law"),
    [
        (Bucket(300, 60 * SECOND, 120), Law.BUCKET),
        (Fixed(300, 60 * SECOND), Law.FIXED),
        (Sliding(300, 60 * SECOND), Law.SLIDING),
    ],
)
def test_others_on_the_account_are_seen_through(limiter: Limiter, law: Law) -> None:
    """With a tenth of the limit taken by others, at times of their own, the law is still named, and its size within a part in
    twenty: pressed hard enough, the limiter leaves them little."""
    found = fits(pressed(limiter, Random(2), 5.0, 145.0, others=0.5))[0]
    assert (found.law, found.window) == (law, 0.0 if law is Law.BUCKET else 60.0)
    assert found.rate * 60 == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize(
    ("law", "limiter"), [(Law.BUCKET, Bucket(300, 60 * SECOND, 120)), (Law.SLIDING, Sliding(300, 60 * SECOND))]
)
def test_others_blur_the_edge(law: Law, limiter: Limiter) -> None:
    """Refusals that our own calls do not explain are told of, and there are none where nobody else is."""
    blurred = fits(pressed(limiter, Random(2), 5.0, others=1.0))[0]
    assert 0.4 < blurred.others < 2.5 if law is Law.BUCKET else blurred.blur > 1.0
    alone = fits(pressed(type(limiter)(*_numbers(limiter)), Random(2), 5.0))[0]
    assert (alone.law, alone.blur < 0.5, alone.others) == (law, True, 0.0)


def _numbers(limiter: Limiter) -> tuple[int, ...]:
    """What a new limiter of the same kind and size is made of."""
    return (300, 60 * SECOND, 120) if isinstance(limiter, Bucket) else (300, 60 * SECOND)


def test_a_window_that_was_shut_does_not_open_before_it_turns() -> None:
    """What passes now and then after refusals is no window by the clock, however well its counts would fit one."""
    found = fits(pressed(Sliding(300, 60 * SECOND), Random(0), 5.0, 145.0, others=0.5))
    likelihoods = {(fit.law, fit.window): fit.likelihood for fit in found}
    assert likelihoods[Law.SLIDING, 60.0] > likelihoods[Law.FIXED, 60.0]


def test_a_window_that_is_shut_to_heavy_calls_has_room_for_light_ones() -> None:
    """A light call that passes after heavy ones were refused is nothing strange: the window by the clock is told from one that
    slides by the call that passes when it turns, not a minute after the first."""
    limiter, made = Fixed(61_971, 60 * SECOND), list[Attempt]()
    heavy = [(n / 16, 2013.0) for n in range(300)]
    light = [(19 + n * 0.15, 627.0) for n in range(200)]
    for t, weight in [*heavy, *light, *((50.0 + n, 627.0) for n in range(6))]:
        now = round((t + 126.3) * SECOND)  # the window turns at 53.7
        if passed := limiter.wait(int(weight), now) == 0:
            limiter.take(int(weight), now)
        made.append(Attempt(t, t + 0.5, weight, passed))
    best, next_one, *_ = fits(made)
    assert (best.law, best.window) == (Law.FIXED, 60.0)
    assert best.size == pytest.approx(61_971, rel=0.01)
    assert best.likelihood > next_one.likelihood + 4


def test_weights_are_told_apart_from_calls() -> None:
    """Of calls that differ in weight, the limit of their weight is found between them."""
    limiter, rng, made, t = Sliding(60_000, 60 * SECOND), Random(4), list[Attempt](), 0.0
    while t < 100:
        weight = rng.randint(200, 900)
        now = round((t + 200) * SECOND)
        if passed := limiter.wait(weight, now) == 0:
            limiter.take(weight, now)
        made.append(Attempt(t, t + 0.5, float(weight), passed))
        t += 0.13
    found = fits(made)[0]
    assert found.law is Law.SLIDING
    assert found.size == pytest.approx(60_000, rel=0.01)


def test_what_is_not_scored_still_fills() -> None:
    """Calls before the trial fill the limiter, and their own verdicts need no explanation."""
    rows = pressed(Sliding(100, 60 * SECOND), Random(1), 100 / 60)
    early = [Attempt(row.t, row.end, 1.0, row.accepted, scored=row.t > 40) for row in rows]
    found = fits(early)[0]
    assert found.law is Law.SLIDING
    assert found.size == pytest.approx(100.5, abs=1.1)


@pytest.mark.parametrize("accepted", [True, False])
def test_nothing_is_said_of_one_kind_of_verdict(accepted: bool) -> None:
    """Where nothing was refused, or nothing accepted, there is no limit to speak of."""
    assert fits([Attempt(float(n), n + 0.5, 1.0, accepted) for n in range(20)]) == []
    assert fits([]) == []


class Strict(Sliding):
    """A window that counts calls that it has refused, too."""

    def wait(self, weight: int, now: int) -> int | None:
        wait = super().wait(weight, now)
        if wait:
            self.take_refused(weight, now)
        return wait


@pytest.mark.parametrize("limiter", [Strict(300, 60 * SECOND), Sliding(300, 60 * SECOND)])
def test_refused_calls_that_count_are_seen(limiter: Sliding) -> None:
    """Then the limit is that of all that is sent; else nobody is told so."""
    found = best(limiter, 3, 5.0)
    assert (found.law, found.refusals) == (Law.SLIDING, isinstance(limiter, Strict))
    assert found.size == pytest.approx(300, abs=4)
