"""Answers: what a record's output takes from its input must still stand in the new input."""

from __future__ import annotations

import pytest

from engine.core.answers import lost_answers


@pytest.mark.parametrize(
    ("output", "before", "after", "language", "lost"),
    [
        ("negative", "Is it positive or negative?", "Is the tone positive or negative?", "en", []),
        ("Negative.", "Is it positive or negative?", "Is the tone good or bad?", "en", ["Negative."]),
        ("negative", "What is the tone?", "Which tone?", "en", []),
        ("She has 27 hens.", "Ann keeps 27 hens.", "Ann keeps some hens.", "en", ["27"]),
        ("She has 27 hens.", "Ann keeps 27 hens.", "Ann keeps twenty-seven hens.", "en", []),
        ("- red bag\n- blue hat", "a red bag and a blue hat", "a red purse and a blue hat", "en", ["red bag"]),
        ("red bag, blue hat", "a red bag and a blue hat", "a red bag and a cap", "en", ["blue hat"]),
        ("It is in New York, I think.", "The firm moved to New York.", "The firm moved away.", "en", ["New York"]),
        ("It was the Bank of Riga that paid.", "The Bank of Riga paid.", "A bank paid.", "en", ["Bank of Riga"]),
        ('He calls it "a small step".', "It is a small step for him.", "It is little.", "en", ["a small step"]),
        ("The answer is unknown.", "The sea is deep.", "Deep is the ocean.", "en", []),
        ("See https://a.org/x", "from https://a.org/x", "from https://a.org/y", "en", ["https://a.org/x"]),
        ("周一", "图书馆周一休息。", "图书馆星期一闭馆。", "zh", ["周一"]),
        ("周一", "图书馆周一休息。", "图书馆在周一闭馆。", "zh", []),
        ("8元。", "一碗面卖8元。", "一碗面卖八元。", "zh", ["8元。", "8元"]),
        ("地点：小会议室；时间：三点", "三点在小会议室开会", "三点在会议室开会", "zh", ["小会议室"]),
        ("", "anything", "nothing", "en", []),
    ],
)
def test_lost_answers(output: str, before: str, after: str, language: str, lost: list[str]) -> None:
    """Labels, numbers, phrases, quotations, names, links: only what stood in the old input can be lost from the new one."""
    found = lost_answers(output, before, after, language)
    assert bool(found) is bool(lost)
    assert set(lost) <= set(found)


def test_each_loss_is_told_once() -> None:
    """The whole output, its line and its phrase are one and the same here."""
    assert lost_answers("blue hat", "a blue hat", "a cap", "en") == ["blue hat"]
