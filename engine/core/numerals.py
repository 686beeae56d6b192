"""Numerals: the numbers that a text names, in digits and in words, so that two texts can be held against each other.

Pure. Numbers are compared by value: "30,000", "３万" and "thirty thousand" are the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from types import MappingProxyType

from engine.core.scripts import primary

_PLAIN = str.maketrans("０１２３４５６７８９．％", "0123456789.%") | {0xA0: ",", 0x2009: ",", 0x202F: ","}
_SWAPPED = str.maketrans(".,", ",.")
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_TIME = re.compile(r"(?<![\d.:])([01]?\d|2[0-4])[:：]([0-5]\d)(?![\d:])")
_HOUR = re.compile(r"(?<![\d.:])(\d{1,2})(?=[:：]\d\d|\s?(?:[点點时時]|o['’]clock|[ap]\.?m\b))")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_COMMA_DECIMALS = frozenset(
    re.findall(r"\w+", "bg ca cs da de el es et fi fr hr hu id is it lt lv mk nb nl no pl pt ro ru sk sl sr sv tr uk vi")
)
"""Languages that write 1.234,5 where English and Chinese write 1,234.5."""

_TIMES = re.compile(
    r"\s?(?:(?P<word>hundred|thousand|million|billion|trillion)\b|(?P<k>[kK])(?![A-Za-z])"
    r"|(?P<sign>百万|百萬|千万|千萬|[万萬亿億]|[百千](?![克米瓦卡赫帕焦伏安分字比升度]))(?P<more>[亿億]?))"
)
_SCALES = MappingProxyType({"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12})
_SIGNS = MappingProxyType({"百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8})


def _counted(words: str, start: int, step: int = 1) -> dict[str, int]:
    return {word: start + step * n for n, word in enumerate(words.split())}


_ENGLISH = MappingProxyType(
    _counted("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen", 0)
    | _counted("seventeen eighteen nineteen", 17)
    | _counted("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10)
    | _counted("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth", 1)
    | _counted("fifteenth sixteenth seventeenth eighteenth nineteenth twentieth", 15)
    | _counted("thirtieth fortieth fiftieth", 30, 10)
    | _counted("once twice", 1)
)
_CHINESE = MappingProxyType({sign: n for n, signs in enumerate(["零〇", "一", "二两兩", *"三四五六七八九"]) for sign in signs})
_IN_SIGNS = re.compile("[零〇一二两兩三四五六七八九十百千万萬亿億]{1,40}(?:点[零〇一二三四五六七八九]{1,40})?")
_WORDS = re.compile(r"[a-z]+")

KNOWN = ("en", "zh")
"""Languages whose number words are read."""

SPELLED = 12
"""In other languages numbers up to this one may have become words, which nobody can tell."""


def written(text: str, language: str) -> Counter[Decimal]:
    """The numbers that `text` gives in digits, with a scale that follows them ("3 million", "3万") multiplied in.

    Separators are read as the language has them. Digits in groups that are no number (dates, versions, hours and minutes) are
    single numbers; full hours have no minutes, so 3:00 is 3.
    """
    text = text.translate(_PLAIN)
    found: Counter[Decimal] = Counter()
    for hour, minute in _TIME.findall(text):
        found.update([Decimal(hour), Decimal(minute)] if int(minute) else [Decimal(hour)])
    text = _TIME.sub(" ", text)
    commas = primary(language) in _COMMA_DECIMALS
    for match in _DIGITS.finditer(text):
        token = match.group().translate(_SWAPPED) if commas else match.group()
        values = list(_values(token))
        if len(values) == 1 and (times := _TIMES.match(text, match.end())):
            values = [values[0] * _scale(times)]
        found.update(values)
    return found


def _values(token: str) -> Iterator[Decimal]:
    if _THOUSANDS.fullmatch(token):
        yield Decimal(token.replace(",", "")).normalize()
    elif token.count(".") == 1 and "," not in token:
        yield Decimal(token).normalize()
    else:
        yield from (Decimal(part).normalize() for part in re.split("[.,]", token))


def _scale(times: re.Match[str]) -> int:
    if times["word"]:
        return _SCALES.get(times["word"], 100)
    if times["k"]:
        return 1000
    scale = 1
    for sign in times["sign"] + times["more"]:
        scale *= _SIGNS[sign]
    return scale


def spelled(text: str, language: str) -> Counter[Decimal]:
    """The numbers that `text` gives in words, for the languages in `KNOWN`; of others, none."""
    match primary(language):
        case "en":
            return Counter(_english(text.lower()))
        case "zh":
            return Counter(_chinese(match.group()) for match in _IN_SIGNS.finditer(text))
        case _:
            return Counter()


def _english(text: str) -> Iterator[Decimal]:
    """Numbers in words: "two hundred and five" is one number, "three, four" are two."""
    number: tuple[int, int] | None = None  # whole thousands so far, and what is below them
    end = 0
    for match in _WORDS.finditer(text):
        word, near = match.group(), not text[end : match.start()].strip(" -\n")
        end = match.end()
        if number is not None and near and (word == "and" or (longer := _longer(*number, word)) is not None):
            number = number if word == "and" else longer
            continue
        if number is not None:
            yield Decimal(sum(number)).normalize()
        number = (0, _ENGLISH[word]) if word in _ENGLISH else _longer(0, 1, word)
    if number is not None:
        yield Decimal(sum(number)).normalize()


def _longer(whole: int, part: int, word: str) -> tuple[int, int] | None:
    """The number with another word to it; `None` where the word begins something new."""
    if word == "hundred":
        return whole, part * 100
    if word in _SCALES:
        return whole + part * _SCALES[word], 0
    value = _ENGLISH.get(word)
    return (whole, part + value) if value is not None and _fits(part, value) else None


def _fits(part: int, value: int) -> bool:
    """Whether `value` goes on the number so far: "twenty" "one", "hundred" "twelve", "thousand" "five"."""
    if part % 100 == 0:
        return value < 100
    return part % 10 == 0 and part % 100 >= 20 and 0 < value < 10


def _chinese(signs: str) -> Decimal:
    """The value of a number in Chinese signs; signs without a place value are digits in a row (二〇二四)."""
    signs, _, decimals = signs.partition("点")
    if not any(sign in "十百千万萬亿億" for sign in signs):
        value = Decimal("".join(str(_CHINESE[sign]) for sign in signs))
    else:
        value = Decimal(_placed(signs))
    if decimals:
        value += Decimal("0." + "".join(str(_CHINESE[sign]) for sign in decimals))
    return value.normalize()


def _placed(signs: str) -> int:
    for mark, scale in (("亿億", 10**8), ("万萬", 10**4)):
        at = max(signs.rfind(mark[0]), signs.rfind(mark[1]))
        if at >= 0:
            return (_placed(signs[:at]) if at else 1) * scale + _placed(signs[at + 1 :])
    total, digit = 0, 0
    for sign in signs:
        if sign in "十百千":
            total += (digit or 1) * 10 ** (1 + "十百千".index(sign))
            digit = 0
        else:
            digit = _CHINESE[sign]
    return total + digit


def _hours(text: str) -> set[Decimal]:
    return {Decimal(hour) for hour in _HOUR.findall(text.translate(_PLAIN))}


def changed(before: str, after: str, language: str) -> tuple[list[Decimal], list[Decimal]]:
    """Numbers in digits of `before` that `after` does not name, and those of `after` that `before` does not, smallest first.

    One may have become a word, or a word a number; an hour may have gone from 15 to 3 o'clock or back.
    """
    old, new = written(before, language), written(after, language)
    old_words, new_words = spelled(before, language), spelled(after, language)
    lost = old - new - (new_words - old_words)
    made = new - old - (old_words - new_words)
    if primary(language) not in KNOWN:
        lost = Counter({number: count for number, count in lost.items() if number > SPELLED})
        made = Counter({number: count for number, count in made.items() if number > SPELLED})
    old_hours, new_hours = _hours(before), _hours(after)
    for hour in old_hours & lost.keys():
        for other in (hour - 12, hour + 12):
            if other in new_hours and (both := min(lost[hour], made[other])):
                lost[hour] -= both
                made[other] -= both
    return sorted((+lost).elements()), sorted((+made).elements())
