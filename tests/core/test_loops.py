"""Loops are found soon after they begin, and what only looks like one is left alone."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.loops import ENOUGH, LONGEST, STEP, TIMES, Watch, looping

START = "Name three rivers of Europe and say where each of them ends. The answer should be a table.\n"
LINES = ["Write a poem about the sea.", "写一首关于大海的诗。", "the the the", "Output: yes\nInput: it rained\n"]


@pytest.mark.parametrize("unit", LINES)
@pytest.mark.parametrize("between", ["\n", " ", "\n\n", ""])
def test_same_words_again_and_again_are_a_loop(unit: str, between: str) -> None:
    """Whatever stands before it, a unit without change is a loop once it has filled enough, and not before its fourth time."""
    unit += between
    times = max(TIMES, -(-ENOUGH // len(unit)))
    assert looping(START + unit * (times + 1))
    assert not looping(START + unit * (TIMES - 2))


def test_numbered_list_of_one_item_is_a_loop() -> None:
    """A list that counts on and says the same each time is one; a list of different items is not."""
    assert looping(START + "".join(f"{n}. Write a poem about the sea.\n" for n in range(95, 110)))
    assert not looping(START + "".join(f"{n}. Write a poem about the {chr(97 + n)} sea.\n" for n in range(25)))


@pytest.mark.parametrize(
    "text",
    [
        "| " + "-" * 300 + " |",
        "0, " * 150,
        "".join(f"Student {n} has {n * 7 % 50 + 50} points in mathematics.\n" for n in range(30)),
        "".join(f"Example {n}\nInput: the number {n}\nOutput: {'even' if n % 2 == 0 else 'odd'}\n" for n in range(30)),
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream. " * 2,
        ", ".join(str(n * n) for n in range(200)),
    ],
    ids=["rule", "zeros", "rows", "examples", "song", "squares"],
)
def test_what_may_be_meant_is_no_loop(text: str) -> None:
    """Drawn lines, matrices, rows of a table with different values, a refrain sung twice."""
    assert not looping(START + text)


@given(st.text(st.sampled_from("abc de\n"), min_size=1, max_size=LONGEST), st.integers(TIMES + 1, 12))
def test_loop_is_found_wherever_it_is_cut(unit: str, times: int) -> None:
    """The text may end anywhere inside the unit: the unit is any rotation of it."""
    text = unit * max(times, 400 // len(unit) + 2)
    if any(map(str.isalpha, unit)):
        assert looping(text)
        assert looping(text[: len(text) - len(unit) // 2])


@given(st.lists(st.text(max_size=50), max_size=30))
def test_watch_agrees_with_a_look_at_the_whole(pieces: list[str]) -> None:
    """A watch never sees a loop where there is none, whatever pieces the text comes in."""
    watch = Watch()
    for n, piece in enumerate(pieces, 1):
        if watch.heard(piece):
            assert looping("".join(pieces[:n]))


def test_watch_is_prompt() -> None:
    """A loop is called within `STEP` characters of being one."""
    watch, unit = Watch(), "It is a good idea to write a poem about the sea. "
    heard = 0
    for character in START + unit * 50:
        heard += 1
        if watch.heard(character):
            break
    assert heard <= len(START) + max(TIMES, ENOUGH // len(unit) + 1) * len(unit) + STEP + len(unit)


def test_seeds_and_their_answers_are_no_loops() -> None:
    """None of the texts that people wrote for us would be cut."""
    for path in (Path(__file__).parents[2] / "seeds").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = orjson.loads(line)
            for text in [row.get("text", ""), *(one["output"] for one in row.get("instances", ()))]:
                assert not any(looping(text[:n]) for n in range(STEP, len(text) + STEP, STEP))
