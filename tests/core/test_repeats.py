"""Repeats: when a text goes round in circles."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.repeats import loops, repeats
from engine.core.text import words

quick = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.mark.parametrize(("times", "expected"), [(4, False), (5, True), (40, True)])
def test_a_run_of_six_more_than_four_times_is_a_loop(times: int, expected: bool) -> None:
    """Four times is emphasis, five is a loop; in Chinese the run is of characters."""
    other = iter(range(1000))
    english = " ".join(f"one two three four five six {next(other)}" for _ in range(times))
    chinese = "".join(f"我们都在这里{next(other)}" for _ in range(times))
    assert loops(words(english)) is expected
    assert loops(words(chinese)) is expected


def test_a_run_of_five_is_none() -> None:
    """Shorter runs may return as often as they like."""
    text = " ".join(f"one two three four five {n}" for n in range(50))
    assert repeats(words(text)) == 1
    assert not loops(words(text))


def test_a_single_word_over_and_over_is_a_loop() -> None:
    """Runs overlap: ten times the same word are five runs of six."""
    assert not loops(["no"] * 9)
    assert loops(["no"] * 10)


@quick
@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 7))
def test_repeats_are_counted_like_slices(tokens: list[str], gram: int) -> None:
    """The most frequent run, by the plainest count; too few tokens have none."""
    runs = Counter(tuple(tokens[n : n + gram]) for n in range(len(tokens) - gram + 1))
    assert repeats(tokens, gram) == max(runs.values(), default=0)
    assert loops(tokens, gram, 2) is (max(runs.values(), default=0) > 2)
