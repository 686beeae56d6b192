"""Filters: each named check keeps what it should keep and names the reason where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.core.faults import PlanError
from engine.core.filters import ALPACA_KEYWORDS, DEFAULT, FILTERS, KEYWORDS, REFERENCE, Rules, invalid, keyword_pattern, of_user
from engine.core.types import Item

ENGLISH = Rules.of("en", None, None, None)
CHINESE = Rules.of("zh", None, None, None)


def task(instruction: str) -> Item:
    return {"instruction": instruction}


def record(output: str, given: str = "", instruction: str = "Write a letter to the mayor.") -> Item:
    return {"instruction": instruction, "input": given, "output": output}


VERDICTS: list[tuple[str, Item, str | None]] = [
    ("empty", task("Write a poem."), None),
    ("empty", task(""), "empty"),
    ("length", task("one two three four"), None),
    ("length", task("word " * 150), None),
    ("length", task("one two three"), "too_short"),
    ("length", task("word " * 151), "too_long"),
    ("keywords", task("Describe the mapping of a roadmap to filed photographs."), None),
    ("keywords", task("Describe the Picture."), "keyword"),
    ("keywords", task("First go to the library."), "keyword"),
    ("program", task("Write a short program note."), None),
    ("program", task("write a program that sorts"), None),
    ("program", task("Write a program that sorts."), "program"),
    *[
        ("first_character", task(f"{first}rite"), None)
        for first in ("W", "É", "写", "ж", "7", '"', "'", "“", "«", "「", "(", "[")
    ],
    *[
        ("first_character", task(f"{first}rite"), "first_character")
        for first in ("-", "*", "#", ".", "。", "”", ")", "€", "🎉", "_")
    ],
    ("ascii_punctuation", task("Write"), None),
    ("ascii_punctuation", task("“Write"), None),
    ("ascii_punctuation", task('"Write'), "punctuation"),
    ("ascii_letter", task("Write"), None),
    ("ascii_letter", task("Écris"), "not_ascii"),
    ("output", record("Dear mayor,"), None),
    ("output", record(" \n"), "no_output"),
    ("refusal", record("Dear mayor, I am sorry, but I cannot come."), None),
    ("refusal", record("Sorry to hear that."), None),
    ("refusal", record("Unfortunately the shop is closed."), None),
    ("refusal", record("I'm sorry, but I can't help with that."), "refusal"),
    ("refusal", record("I’m sorry, I don't know."), "refusal"),
    ("refusal", record("Unfortunately, I cannot write letters."), "refusal"),
    ("refusal", record("I am unable to write letters."), "refusal"),
    ("refusal", record("很抱歉，我无法回答这个问题。"), "refusal"),
    ("as_an_ai", record("As an aide to the mayor, I agree."), None),
    ("as_an_ai", record("Well, as an AI language model I have no mayor."), "as_an_ai"),
    ("as_an_ai", record("作为一个人工智能，我没有市长。"), "as_an_ai"),
    ("echo", record("Write a letter to the mayor, please."), None),
    ("echo", record("write a letter - to the Mayor"), "echo"),
    ("placeholder", record("Dear [mayor], see [1] and <b>."), None),
    ("placeholder", record("Dear [Name],"), "placeholder"),
    ("placeholder", record("Dear <insert name here>,"), "placeholder"),
    ("placeholder", record("Dear {{mayor}},"), "placeholder"),
    ("placeholder", record("Dear [Name],", given="A template that says [Name]."), None),
]


@pytest.mark.parametrize(("name", "item", "reason"), VERDICTS)
def test_a_filter_keeps_or_says_why_not(name: str, item: Item, reason: str | None) -> None:
    """Each of these items stays or goes for the reason given."""
    assert FILTERS[name](item, ENGLISH) == reason


def test_every_filter_is_tried_both_ways() -> None:
    """The table above has an item that stays and one that goes for each filter there is; the lists name nothing else."""
    assert {name for name, _, reason in VERDICTS if reason is None} == set(FILTERS)
    assert {name for name, _, reason in VERDICTS if reason is not None} == set(FILTERS)
    assert {*DEFAULT, *REFERENCE} == set(FILTERS)


@pytest.mark.parametrize("keyword", ALPACA_KEYWORDS)
def test_keywords_are_whole_words_in_any_case(keyword: str) -> None:
    """A keyword is found at the ends, in capitals and beside punctuation, but not inside a longer word."""
    pattern = keyword_pattern((keyword,))
    assert pattern is not None
    for text in (keyword, f"Use the {keyword.upper()}.", f"({keyword}) first", f"a-{keyword}-b"):
        assert pattern.search(text)
    for text in (f"x{keyword}", f"{keyword}x", f"{keyword}2", f"_{keyword}_"):
        assert not pattern.search(text)


def test_the_published_keywords_are_complete() -> None:
    """Thirteen for the bootstrap script, five more for Alpaca."""
    assert (len(set(KEYWORDS)), len(set(ALPACA_KEYWORDS))) == (13, 18)


@pytest.mark.parametrize("keyword", ["C++", "C#", ".NET"])
def test_a_keyword_may_begin_or_end_with_a_sign(keyword: str) -> None:
    """Signs are part of a keyword, not pattern syntax."""
    rules = Rules.of("en", None, None, [keyword])
    assert FILTERS["keywords"](task(f"Write {keyword} code for me"), rules) == "keyword"
    assert FILTERS["keywords"](task("Write plain C code for the net"), rules) is None


def test_no_keywords_drop_nothing() -> None:
    """An empty list of one's own switches the check off."""
    assert FILTERS["keywords"](task("Draw a picture of a map."), Rules.of("en", None, None, ())) is None


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [("写一首", "too_short"), ("写一首诗", None), ("诗" * 300, None), ("诗" * 301, "too_long")],
    ids=["3", "4", "300", "301"],
)
def test_chinese_lengths_are_characters(instruction: str, reason: str | None) -> None:
    """Where words are not separated, 4 to 300 characters are right."""
    assert FILTERS["length"](task(instruction), CHINESE) == reason


def test_chinese_keywords_are_substrings() -> None:
    """A script without blanks has no whole words to look for."""
    assert FILTERS["keywords"](task("请描述这张图片的内容"), CHINESE) == "keyword"
    assert FILTERS["keywords"](task("请描述这个故事的内容"), CHINESE) is None


def test_lengths_are_a_choice() -> None:
    """A plan's own limits replace the language's."""
    rules = Rules.of("en", 2, 3, None)
    assert [FILTERS["length"](task("word " * n), rules) for n in (1, 2, 3, 4)] == ["too_short", None, None, "too_long"]


@pytest.mark.parametrize(
    ("given", "output", "reason"),
    [
        ("", "7", None),
        ("3 + 4:x", "7", None),
        ("", "", "no_output"),
        ("7", "7", "same_as_input"),
        ("3 + 4:", "7", "ends_with_colon"),
        ("3 + 4", "The sum is:", "ends_with_colon"),
    ],
)
def test_invalid_instances(given: str, output: str, reason: str | None) -> None:
    """The published rule for instances: no output, nothing new, or a text that breaks off at a colon."""
    assert invalid({"input": given, "output": output}) == reason


# a user's own filter


@pytest.mark.parametrize(("answer", "reason"), [(None, None), ("too\n dull", "too dull"), (" ", "my:check")])
def test_a_users_filter_answers_a_reason_or_none(answer: str | None, reason: str | None) -> None:
    """Its words become the reason, on one line; a reason without words is the filter's name."""
    check = of_user("my:check", lambda item: answer)
    assert check(task("Write a poem."), ENGLISH) == reason
    assert check.subject is None


@pytest.mark.parametrize("answer", [True, False, 0, 1.5, ["dull"]])
def test_a_users_filter_that_answers_something_else_is_an_error(answer: Any) -> None:
    """A filter that returns a bool would keep or drop everything by mistake; the error names it."""
    with pytest.raises(PlanError, match="my:check"):
        of_user("my:check", lambda item: answer)(task("Write a poem."), ENGLISH)


def test_a_users_filter_cannot_change_the_item() -> None:
    """It is given a copy."""
    item = task("Write a poem.")
    of_user("my:check", lambda copy: copy.clear())(item, ENGLISH)
    assert item == task("Write a poem.")


@pytest.mark.parametrize("text", ["-" * 10_000, "I'm sorry" + "." * 10_000, "[insert" * 2_000, "as an " * 2_000])
def test_an_output_that_got_stuck_is_judged_at_once(text: str) -> None:
    """Thousands of repeated characters take milliseconds to judge, not seconds: outputs are judged where the run waits for it."""
    for check in FILTERS.values():
        check(record(text), ENGLISH)


@pytest.mark.parametrize("check", [lambda item: item["nope"], lambda item: 1 / 0, lambda item: item.strip()])
def test_a_users_filter_that_fails_is_told_by_its_name(check: Callable[[Item], object]) -> None:
    """A mistake in it is the user's to mend: an error of the plan that names filter and mistake, and no traceback."""
    with pytest.raises(PlanError, match="the filter my:check failed on"):
        of_user("my:check", check)(task("Write a poem."), ENGLISH)
