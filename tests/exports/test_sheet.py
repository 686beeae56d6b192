"""The review sheet: cells that no spreadsheet runs, cuts or garbles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.exports.sheet import LONGEST, cell, review
from tests.exports.examples import HOSTILE, LONG, example, quick, setting


def test_sheet_asks_the_three_questions() -> None:
    """The record's columns, then the questions and remarks with nothing in them; in Chinese for a Chinese record."""
    row = review(example(input="x"), setting())
    assert list(row.values()) == ["instance/0.0", "Name river number 0.", "x", "River 0.", "", "", "", ""]
    assert list(row)[4:7] == ["is the instruction valid?", "does the input fit?", "is the output right?"]
    assert list(review(example(language="zh-Hant"), setting()))[4:7] == ["指令是否有效？", "输入是否合适？", "输出是否正确？"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "＝1", "－1", '=HYPERLINK("http://x")'])
def test_formulas_are_texts(text: str) -> None:
    """A cell that a spreadsheet would compute begins with an apostrophe."""
    assert cell(text).startswith("'")
    assert cell(text)[1:] == text.replace("\r", "\n")


@quick
@given(st.text() | st.sampled_from([*HOSTILE, LONG]))
def test_no_cell_is_dangerous(text: str) -> None:
    """No formula, no control characters but line ends, one kind of line end, and never more than a cell can hold."""
    shown = cell(text)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\n"))
    assert not {char for char in shown if ord(char) < 32 or ord(char) == 127} - {"\n", "\t"}
    assert len(shown.encode("utf-16-le")) // 2 <= LONGEST


def test_ordinary_texts_stay_as_they_are() -> None:
    """Quotes, Chinese, emoji and line ends are for the format to bear; the longest text that fits is whole."""
    for text in ('"a", b', "中文，标点", "👩‍👩‍👧", "a\nb", "a = b", "x" * LONGEST, ""):
        assert cell(text) == text


def test_text_that_does_not_fit_says_so() -> None:
    """It is cut, with its length and where to see it; characters that count as two are counted as such."""
    shown = cell("x" * (LONGEST + 1))
    assert "32,768 characters in all" in shown
    assert len(shown) < LONGEST
    assert len(cell("𝒳" * LONGEST).encode("utf-16-le")) // 2 <= LONGEST
