"""Speech: stops and marks of reasoning are found however a text is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.speech import THINK, Speech

STOPS = ("\n\n", "\n17.", "abc", "b!")


def spoken(pieces: list[str], stops: tuple[str, ...] = STOPS, marks: tuple[str, str] | None = THINK) -> tuple[str, str, bool]:
    """Text, reasoning, and whether a stop came; what is said early is the start of the text."""
    speech = Speech(stops, marks)
    said = "".join([speech.add(piece) for piece in pieces]) + speech.end()
    assert speech.reasoning or said == speech.text
    return speech.text, speech.reasoning, speech.stopped


@pytest.mark.parametrize(
    ("whole", "text", "reasoning", "stopped"),
    [
        ("", "", "", False),
        ("The Wien.", "The Wien.", "", False),
        ("The Wien.\n\nThe Danube.", "The Wien.", "", True),
        ("\n\nThe Wien.", "", "", True),
        ("one\ntwo\n17. three", "one\ntwo", "", True),
        ("one\n1", "one\n1", "", False),
        ("xab!c", "xa", "", True),
        ("xabc", "x", "", True),
        ("<think>Vienna\n\nriver</think>\n\nThe Wien.", "The Wien.", "Vienna\n\nriver", False),
        ("\n <think>Vienna</think>The Wien.\n\nThe", "The Wien.", "Vienna", True),
        ("<think>Vienna, wh", "", "Vienna, wh", False),
        ("<think>Vienna</thi", "", "Vienna</thi", False),
        ("<think></think>", "", "", False),
        ("<thin ice", "<thin ice", "", False),
        ("  <thi", "  <thi", "", False),
        ("Vienna river</think>\nThe Wien.", "The Wien.", "Vienna river", False),
        ("<think>a</think>The </think> mark.", "The </think> mark.", "a", False),
        ("Write <think> here", "Write <think> here", "", False),
    ],
)
def test_text_is_told_from_reasoning_and_ends_at_a_stop(whole: str, text: str, reasoning: str, stopped: bool) -> None:
    """Marks count at the start of the text alone, and stops behind the reasoning alone; what is cut off inside a mark is what it
    was begun as."""
    assert spoken([whole]) == (text, reasoning, stopped)
    assert spoken(list(whole)) == (text, reasoning, stopped)


def test_without_marks_the_text_is_the_text() -> None:
    """A dialect that tells reasoning apart by itself lets a model say what it likes."""
    assert spoken(["<think>x</think>y"], marks=None) == ("<think>x</think>y", "", False)


def test_the_stop_that_is_complete_first_counts() -> None:
    """As in a model that writes letter by letter: a longer one that began earlier comes too late."""
    assert spoken(["xab!c"], ("ab!cd", "b!")) == ("xa", "", True)
    assert spoken(["xabc"], ("bc", "abc")) == ("x", "", True)


def test_certain_text_is_given_at_once() -> None:
    """Only what may be the start of a stop waits."""
    speech = Speech(("\n17.",))
    assert speech.add("one\n1") == "one"
    assert speech.add("6. two") == "\n16. two"
    assert speech.add("\n") == ""
    assert speech.end() == "\n"


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "th", "ink>", "\n", "\n1", "7.", "a", "b", "c", "!", " ", "水"]), max_size=30
    ),
    st.lists(st.integers(0, 200), max_size=10),
    st.booleans(),
)
def test_cuts_make_no_difference(parts: list[str], cuts: list[int], marked: bool) -> None:
    """Any text in any pieces is the same text, the same reasoning, and the same stop; no stop is left in it."""
    whole, marks = "".join(parts), THINK if marked else None
    at = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in pairwise(at)]
    result = spoken(pieces, marks=marks)
    assert result == spoken([whole], marks=marks)
    assert not any(stop in result[0] for stop in STOPS)
