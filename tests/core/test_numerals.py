"""Numerals: numbers in digits and words, by value, and what changed between two texts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.numerals import changed, spelled, written

quick = settings(max_examples=80, deadline=None, derandomize=True)


def values(*numbers: str) -> list[Decimal]:
    return [Decimal(number) for number in numbers]


@pytest.mark.parametrize(
    ("text", "language", "numbers"),
    [
        ("1,234,567 and 3.50 and 1,2,3", "en", ["1", "2", "3", "3.5", "1234567"]),
        ("1.234.567 y 3,50", "es", ["3.5", "1234567"]),
        ("version 3.11.2 of 2023-05-01", "en", ["1", "2", "3", "5", "11", "2023"]),
        ("3 million, 2 thousand, 30k, 4 hundred", "en", ["400", "2000", "30000", "3000000"]),
        ("3万人、2.5亿、3千人、2百万", "zh", ["3000", "30000", "2000000", "250000000"]),
        ("5千克、3千米、30万", "zh", ["3", "5", "300000"]),
        ("３，４００元", "zh", ["3", "400"]),
        ("at 9:05, 14:00 and 3：30", "en", ["3", "5", "9", "14", "30"]),
        ("14:0 and 3:000", "en", ["0", "0", "3", "14"]),
        ("10\u00a0000 people", "en", ["10000"]),
        ("007 and 1.", "en", ["1", "7"]),
        ("no number", "en", []),
    ],
)
def test_numbers_in_digits(text: str, language: str, numbers: list[str]) -> None:
    """Separators, scales, full-width digits and hours are read as the language has them."""
    assert sorted(written(text, language).elements()) == values(*numbers)


@pytest.mark.parametrize(
    ("text", "language", "numbers"),
    [
        ("Two hundred and five, three; forty-two", "en", ["3", "42", "205"]),
        ("twenty-one thousand three hundred, one million", "en", ["1000000", "21300"]),
        ("twenty, thirty and the Second", "en", ["2", "20", "30"]),
        ("a hundred thousand", "en", ["100000"]),
        ("someone is often weighted", "en", []),
        ("三百零五、二〇二四年、十二", "zh", ["12", "305", "2024"]),
        ("一万两千、三点五、两亿三千万", "zh", ["3.5", "12000", "230000000"]),
        ("百分之五十", "zh", ["50", "100"]),
        ("tres", "es", []),
    ],
)
def test_numbers_in_words(text: str, language: str, numbers: list[str]) -> None:
    """English and Chinese number words are read, of other languages none."""
    assert sorted(spelled(text, language).elements()) == sorted(values(*numbers))


@quick
@given(st.integers(0, 10**12 - 1))
def test_any_whole_number_in_words_is_itself(number: int) -> None:
    """A number spelled out in English, and one in Chinese signs, come back as the number."""
    assert list(spelled(english(number), "en").elements()) == [Decimal(number).normalize()]
    assert list(spelled(chinese(number), "zh").elements()) == [Decimal(number).normalize()]


@quick
@given(st.integers(0, 10**15), st.sampled_from(["en", "es", "zh"]))
def test_any_whole_number_in_digits_is_itself(number: int, language: str) -> None:
    """With or without separators between thousands."""
    grouped = f"{number:,}".replace(",", "." if language == "es" else ",")
    for text in (str(number), grouped):
        assert list(written(f"x {text}!", language)) == [Decimal(number).normalize()]


@pytest.mark.parametrize(
    ("before", "after", "language", "lost", "made"),
    [
        ("It has 27 days.", "It has 27 days.", "en", [], []),
        ("It has 27 days.", "It has some days.", "en", ["27"], []),
        ("It has 27 days.", "It has 72 days.", "en", ["27"], ["72"]),
        ("3 eggs and 30000 hens", "three eggs and 30 thousand hens", "en", [], []),
        ("twelve hens", "12 hens", "en", [], []),
        ("3 and 3", "3", "en", ["3"], []),
        ("3", "3 and 3", "en", [], ["3"]),
        ("open until 21:30", "open until 9:30 p.m.", "en", [], []),
        ("open until 9:30", "open until 21:30", "en", [], []),
        ("13 hens", "1 hen", "en", ["13"], ["1"]),
        ("15点开门", "下午3点开门", "zh", [], []),
        ("from 15 to 20", "from 3 p.m. to 20", "en", ["15"], ["3"]),
        ("25 hens", "13 hens", "en", ["25"], ["13"]),
        ("3万人，1个苹果", "30000人，一个苹果", "zh", [], []),
        ("共1个，一个人", "共有，一个人", "zh", ["1"], []),
        ("12 gallinas", "doce gallinas", "es", [], []),
        ("13 gallinas", "trece gallinas", "es", ["13"], []),
        ("gallinas", "13 gallinas", "es", [], ["13"]),
    ],
)
def test_what_changed(before: str, after: str, language: str, lost: list[str], made: list[str]) -> None:
    """Digits may become words and hours be counted otherwise; a number that is gone or new is told, each as often as it is."""
    assert changed(before, after, language) == (values(*lost), values(*made))


@quick
@given(st.text())
def test_any_text_has_numbers_or_none(text: str) -> None:
    """Nothing that can be typed breaks the reading, and no text has changed against itself."""
    for language in ("en", "zh", "es"):
        assert changed(text, text, language) == ([], [])


UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
UNITS += " eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def english(number: int) -> str:
    for scale, word in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= scale:
            rest = number % scale
            return f"{english(number // scale)} {word}" + (f" {english(rest)}" if rest else "")
    if number < 20:
        return UNITS.split()[number]
    rest = number % 10
    return TENS.split()[number // 10 - 2] + (f"-{UNITS.split()[rest]}" if rest else "")


def chinese(number: int) -> str:
    signs = "零一二三四五六七八九"
    for scale, sign in ((10**8, "亿"), (10**4, "万"), (1000, "千"), (100, "百"), (10, "十")):
        if number >= scale:
            rest = number % scale
            gap = "零" if 0 < rest < scale // 10 else ""
            return chinese(number // scale) + sign + gap + (chinese(rest) if rest else "")
    return signs[number]
