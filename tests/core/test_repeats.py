"""Repeats: when a text goes round in circles."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.repeats import repeats
from engine.core.text import words

quick = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.mark.parametrize("times", [1, 4, 5, 40])
def test_a_run_of_six_is_counted(times: int) -> None:
    """Six words, and in Chinese six characters, as often as they stand there."""
    other = iter(range(1000))
    english = " ".join(f"one two three four five six {next(other)}" for _ in range(times))
    chinese = "".join(f"我们都在这里{next(other)}" for _ in range(times))
    assert repeats(words(english)) == repeats(words(chinese)) == times


def test_a_run_of_five_is_none() -> None:
    """Shorter runs may return as often as they like."""
    assert repeats(words(" ".join(f"one two three four five {n}" for n in range(50)))) == 1


def test_a_single_word_over_and_over() -> None:
    """Runs overlap: ten times the same word are five runs of six; fewer than six words are none."""
    assert [repeats(["no"] * count) for count in (0, 5, 6, 10)] == [0, 0, 1, 5]


@quick
@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 7))
def test_repeats_are_counted_like_slices(tokens: list[str], gram: int) -> None:
    """The most frequent run, by the plainest count; too few tokens have none."""
    runs = Counter(tuple(tokens[n : n + gram]) for n in range(len(tokens) - gram + 1))
    assert repeats(tokens, gram) == max(runs.values(), default=0)
