"""Concurrency that is learnt: one cut an episode, growth only by calls that prove something."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.aimd import COOLDOWN, CUT, Aimd


def rounds(aimd: Aimd, count: int, now: float) -> None:
    """Rounds of answers: as each one ends, as many calls as may be are in flight again."""
    for _ in range(count):
        for _ in range(int(aimd.limit)):
            aimd.acquired(int(aimd.limit))
            aimd.succeeded(now)


def test_it_doubles_until_the_first_refusal_and_then_grows_by_one() -> None:
    """A lane of which nothing is known finds its place in a few rounds, and feels its way after that."""
    aimd = Aimd(8)
    rounds(aimd, 3, 0.0)
    assert aimd.limit == 64
    aimd.acquired(64)
    aimd.cut(10.0)
    assert aimd.limit == 64 * CUT
    rounds(aimd, 1, 10.0 + COOLDOWN)
    assert 64 * CUT < aimd.limit < 64 * CUT + 1.1


def test_one_cut_an_episode() -> None:
    """A hundred refusals of calls that were on their way cut once; the next episode cuts again; a hint makes it longer."""
    aimd = Aimd(100)
    aimd.acquired(100)
    for n in range(100):
        aimd.cut(n / 100)
    assert aimd.limit == 100 * CUT
    aimd.acquired(70)
    aimd.cut(COOLDOWN + 1.0, cooldown=60.0)
    assert aimd.limit == 100 * CUT * CUT
    aimd.cut(COOLDOWN + 50.0)
    assert aimd.limit == 100 * CUT * CUT


def test_calls_that_use_little_of_it_prove_nothing() -> None:
    """With few calls in flight, answers say nothing about more of them."""
    aimd = Aimd(100, most=1000)
    aimd.acquired(79)
    for _ in range(500):
        aimd.succeeded(0.0)
    assert aimd.limit == 100
    aimd.acquired(80)
    aimd.succeeded(0.0)
    assert aimd.limit == 101


def test_a_cut_starts_at_what_was_really_in_flight() -> None:
    """Where far fewer were in flight than allowed, the refusal is about those."""
    aimd = Aimd(4000, most=4000)
    aimd.acquired(50)
    aimd.cut(0.0)
    assert aimd.limit == 50 * CUT


@given(st.lists(st.tuples(st.sampled_from(["sent", "answered", "refused"]), st.integers(1, 60), st.floats(0, 10)), max_size=100))
def test_it_stays_within_its_bounds(events: list[tuple[str, int, float]]) -> None:
    """Whatever happens, at least one call may be in flight and never more than the most."""
    aimd, now = Aimd(8, most=40), 0.0
    for kind, number, seconds in events:
        now += seconds
        if kind == "sent":
            aimd.acquired(number)
        elif kind == "answered":
            aimd.succeeded(now)
        else:
            aimd.cut(now)
        assert 1 <= aimd.limit <= 40
