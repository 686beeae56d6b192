"""Filters: each named check keeps what it should keep and names the reason where it does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from engine.core.faults import PlanError
from engine.core.filters import (
    ALPACA_KEYWORDS,
    DEFAULT,
    FILTERS,
    KEYWORDS,
    KEYWORDS_ZH,
    REFERENCE,
    Keywords,
    Rules,
    invalid,
    of_user,
)
from engine.core.text import CJK
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
    one = Keywords((keyword,))
    for text in (keyword, f"Use the {keyword.upper()}.", f"({keyword}) first", f"a-{keyword}-b", f"你好{keyword}"):
        assert one.among(text)
    for text in (f"x{keyword}", f"{keyword}x", f"{keyword}2", f"_{keyword}_", f"é{keyword}"):
        assert not one.among(text)


@given(
    keywords=st.lists(st.text("mapMAP go图片ſK+", min_size=1, max_size=4), max_size=4),
    text=st.text("mapMAP go,图片ſKé+_", max_size=12),
)
def test_keywords_are_found_as_an_expression_alone_finds_them(keywords: list[str], text: str) -> None:
    """Whatever is looked at first: each keyword by itself, in any text, as the plain expression of whole words finds it."""
    letter = rf"[^\W{CJK}]"
    found = any(
        re.search(rf"(?<!{letter}){re.escape(one)}(?!{letter})" if one.isascii() else re.escape(one), text, re.IGNORECASE)
        for one in keywords
    )
    assert Keywords(keywords).among(text) == found


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


@pytest.mark.parametrize("keyword", KEYWORDS_ZH)
def test_chinese_keywords_are_found_anywhere(keyword: str) -> None:
    """Each of them, wherever it stands."""
    assert FILTERS["keywords"](task(f"请说说{keyword}里的内容"), CHINESE) == "keyword"


@pytest.mark.parametrize("instruction", ["动画一共有几集？", "写一段关于春游计划一类的话"])
def test_words_that_look_like_keywords_stay(instruction: str) -> None:
    """Drawing is meant, not a word that has its character."""
    assert FILTERS["keywords"](task(instruction), CHINESE) is None


def test_a_keyword_of_ones_own_is_found_between_chinese_characters() -> None:
    """Latin words are whole there without blanks."""
    rules = Rules.of("zh", None, None, ("map",))
    assert FILTERS["keywords"](task("用map函数求平方"), rules) == "keyword"
    assert FILTERS["keywords"](task("用mapper函数求平方"), rules) is None
    assert FILTERS["keywords"](task("请描述这张图片的内容"), rules) is None, "the list is one's own"


@pytest.mark.parametrize(
    ("name", "instruction", "reason"),
    [
        ("length", "Say hello to him", None),
        ("length", "Say hello", "too_short"),
        ("length", "word " * 300, None),
        ("length", "word " * 301, "too_long"),
        ("length", "词" * 300, None),
        ("keywords", "Describe the picture.", "keyword"),
        ("keywords", "Explain the music of bees.", "keyword"),
        ("keywords", "解释 Python 的 map 和 filter", None),
        ("program", "Write a program that sorts.", "program"),
    ],
)
def test_a_task_without_chinese_among_chinese_ones(name: str, instruction: str, reason: str | None) -> None:
    """It is counted in words and has the English keywords; one with Latin words in it is a Chinese one all the same."""
    assert FILTERS[name](task(instruction), CHINESE) == reason


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("写一个程序，计算阶乘。", "program"),
        ("请帮我编写一段简单的程序。", "program"),
        ("请设计一个小程序，统计字数。", "program"),
        ("写一个 Python 函数，计算阶乘。", None),
        ("写出程序的输出。", None),
        ("解释这个程序。", None),
    ],
)
def test_programs_in_chinese(instruction: str, reason: str | None) -> None:
    """To ask for "a program" is what models fall back on; a function or an explanation is something to do."""
    assert FILTERS["program"](task(instruction), CHINESE) == reason
    assert FILTERS["program"](task(instruction), ENGLISH) is None


@pytest.mark.parametrize(
    "output",
    [
        "很抱歉，我无法回答这个问题。",
        "对不起，但我不能提供这类信息。",
        "非常抱歉，作为一个人工智能，我没有感情。",
        "抱歉，目前无法访问网页。",
        "我无法直接为您生成图表。",
        "不好意思，我没有能力判断。",
        "很遗憾，我们暂时不能满足您的要求。",
        "“对不起，我无法完成这个任务。”",
    ],
)
def test_refusals_in_chinese(output: str) -> None:
    """However polite, it declines to answer."""
    assert FILTERS["refusal"](record(output), CHINESE) == "refusal"


@pytest.mark.parametrize(
    "output",
    [
        "对不起，昨晚我太吵了，以后一定注意。",
        "很抱歉，您的包裹晚到了两天。",
        "对不起，我不能去参加你的婚礼了。",
        "我不能想象没有书的日子。",
        "无法提供发票的，不予报销。",
        "抱歉打扰您，请问图书馆怎么走？",
        "我会尽快回答您的问题。",
    ],
)
def test_apologies_in_chinese_are_no_refusals(output: str) -> None:
    """A letter that says sorry, a rule that says cannot."""
    assert FILTERS["refusal"](record(output), CHINESE) is None


@pytest.mark.parametrize(
    ("name", "output", "reason"),
    [
        ("as_an_ai", "作为一款大型语言模型，我建议早睡。", "as_an_ai"),
        ("as_an_ai", "我只是一个AI，没有味觉。", "as_an_ai"),
        ("as_an_ai", "人工智能作为一门学科，始于1956年。", None),
        ("placeholder", "尊敬的[客户姓名]：", None),
        ("placeholder", "尊敬的【您的姓名】：", "placeholder"),
        ("placeholder", "日期：[日期]", "placeholder"),
        ("placeholder", "我毕业于XX大学。", "placeholder"),
        ("placeholder", "××公司", "placeholder"),
        ("placeholder", "（此处填写理由）", "placeholder"),
        ("placeholder", "女性的性染色体是XX，5××6是错的。", None),
        ("placeholder", "地点：礼堂（地址：中山路5号）", None),
        ("placeholder", "（您的订单明天送到）", None),
    ],
)
def test_talk_of_itself_and_blanks_in_chinese(name: str, output: str, reason: str | None) -> None:
    """A model that speaks of itself, and what is left to be filled in."""
    assert FILTERS[name](record(output), CHINESE) == reason


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
