"""Plants errors into round trips: one function a class of error, so that a gate's catches and misses can be counted.

Pure, but for OpenCC's tables. A planter takes a triple and an `rng` and returns the triple with one error in it, or `None` where
the text offers no place for it. It knows nothing of the gate, and what it plants differs in kind, size and leg: an error of the
way there stands in pivot and back, one of the way back in the back text alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import NamedTuple

from opencc import OpenCC

from tests.triples import Triple

Planter = Callable[[Triple, Random], Triple | None]

CODE = re.compile(r"```.*?```|`[^`\n]+`", re.S)
URL = re.compile(r"https?://[\w./{}?=&%#~-]*[A-Za-z0-9/}]", re.A)
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.A)
PLACEHOLDER = re.compile(r"\{\{?\w+\}?\}|%[sd]")
NUMBER = re.compile(r"(?<![A-Za-z0-9_.])\d+(?:[.,:]\d+)*")
MARKER = re.compile(r"^[ \t]*\d+[.)、][ \t]", re.M)
"""The number of an item of a list: that it is lost is no error of translation."""

SENTENCE = re.compile(r"\s*(?:\d+[.)、]\s)?(?:[^\n.!?。！？]|[.!?](?=[^\s\"”]))+[.!?。！？]*[\"”’]?")
SIGNS = str.maketrans("()-_.:;*/=", "（）－＿。：；＊／＝")
THERE_AND_BACK, BACK = "there and back", "back"

VAGUE = {
    "en": {"<url>": "our website", "<email>": "our office", "<placeholder>": "{customer}", "<answer>": "it"},
    "zh": {"<url>": "我们的网站", "<email>": "我们的邮箱", "<placeholder>": "{客户}", "<answer>": "它"},
}
"""What a careless translator writes in place of something exact."""

STRANGERS = (
    "El panadero se levanta a las tres, enciende el horno y amasa hasta el amanecer. Cuando el pueblo despierta, el pan ya está "
    "en la mesa. Dice que el secreto no está en la harina, sino en la paciencia, y que por eso nunca ha tenido prisa.",
    "Le marché ouvre à sept heures sur la place de l'église. On y trouve des légumes, du fromage de chèvre et, au printemps, les "
    "premières fraises. Vers midi, les marchands baissent leurs prix, car personne ne veut remporter sa marchandise.",
    "Der Fluss ist im Sommer so flach, dass Kinder ihn zu Fuß durchqueren. Im März dagegen steht das Wasser bis an die Mauern, "
    "und wer am Ufer wohnt, trägt seine Möbel in den ersten Stock. Beschwert hat sich noch niemand.",
    "駅前の小さな本屋は、夜の九時まで開いています。店の奥には椅子が一つあり、だれでも座って本を読むことができます。店主は何も言い"
    "ませんが、雨の日には温かいお茶を出してくれます。",
    "Зимой озеро замерзает, и почтальон ездит через него на лыжах. Дорога становится вдвое короче, но письма приходят холодными. "
    "Весной он снова садится на велосипед и объезжает берег.",
)
"""Texts in languages that are neither of the pair."""


class Span(NamedTuple):
    """A place in a text."""

    start: int
    end: int


# Finding


def exact(text: str) -> list[Span]:
    """Everything that is no prose: code, addresses, placeholders."""
    return [Span(*found.span()) for pattern in (CODE, URL, EMAIL, PLACEHOLDER) for found in pattern.finditer(text)]


def found(pattern: re.Pattern[str], text: str, outside: Sequence[re.Pattern[str]]) -> list[re.Match[str]]:
    """All matches that do not lie within a match of a pattern in `outside`."""
    taken = [other.span() for one in outside for other in one.finditer(text)]
    return [match for match in pattern.finditer(text) if not any(start <= match.start() < end for start, end in taken)]


def numbers(text: str) -> list[re.Match[str]]:
    """Numbers in digits, those of list items and within code, addresses and placeholders apart."""
    return found(NUMBER, text, (CODE, URL, EMAIL, PLACEHOLDER, MARKER))


def sentences(text: str) -> list[Span]:
    """Sentences in order, each with the white space before it."""
    return [Span(*match.span()) for match in SENTENCE.finditer(text) if match.group().strip()]


def letters(text: str) -> str:
    """The letters of a text's prose."""
    for start, end in sorted(exact(text), reverse=True):
        text = text[:start] + text[end:]
    return "".join(filter(str.isalpha, text))


# Changing


def put(text: str, span: tuple[int, int], new: str) -> str:
    """`text` with `new` in place of the span; if nothing is put there, without the blank that is left over."""
    start, end = span
    if not new and start and text[start - 1] == " " and (end == len(text) or not text[end].isalnum()):
        start -= 1
    return text[:start] + new + text[end:]


def leg(rng: Random) -> str:
    """On which way an error happens."""
    return rng.choice((THERE_AND_BACK, BACK))


def lost(triple: Triple, rng: Random, old: str, ways: Sequence[str]) -> Triple:
    """One occurrence of `old` becomes one of `ways` in the back text; if it happens on the way there, in the pivot, too.

    A way that names an entry of `VAGUE` stands for its words in each text's language.
    """
    way = rng.choice(ways)
    back, pivot = (VAGUE[language].get(way, way) for language in (triple.language, triple.pivot_language))
    return replace(
        triple,
        pivot=_one(triple.pivot, rng, old, pivot) if leg(rng) == THERE_AND_BACK else triple.pivot,
        back=_one(triple.back, rng, old, back),
    )


def _one(text: str, rng: Random, old: str, new: str) -> str:
    at = [match.span() for match in re.finditer(re.escape(old), text)]
    return put(text, rng.choice(at), new) if at else text


# Numbers


def _loseable(triple: Triple) -> list[str]:
    """Numbers of the source that the back text has no more often, so that one less is one too few."""
    mine, theirs = Counter(map(_value, numbers(triple.source))), Counter(map(_value, numbers(triple.back)))
    return [value for value in mine if 0 < theirs[value] <= mine[value]]


def _value(match: re.Match[str]) -> str:
    return match.group()


def _renumbered(triple: Triple, rng: Random, old: str, new: str) -> Triple:
    def change(text: str) -> str:
        at = [match.span() for match in numbers(text) if match.group() == old]
        return put(text, rng.choice(at), new) if at else text

    pivot = change(triple.pivot) if leg(rng) == THERE_AND_BACK else triple.pivot
    return replace(triple, pivot=pivot, back=change(triple.back))


def dropped_number(triple: Triple, rng: Random) -> Triple | None:
    """A number is gone."""
    values = _loseable(triple)
    return _renumbered(triple, rng, rng.choice(values), "") if values else None


def changed_number(triple: Triple, rng: Random) -> Triple | None:
    """A number is another: a digit is wrong, two have changed places, a zero is gone or one too many."""
    values = _loseable(triple)
    if not values:
        return None
    old = rng.choice(values)
    return _renumbered(triple, rng, old, rng.choice(_other_numbers(old, rng)))


def _other_numbers(old: str, rng: Random) -> list[str]:
    digits = [place for place, sign in enumerate(old) if sign.isdigit()]
    place = rng.choice(digits)
    wrong = rng.choice([digit for digit in "123456789" if digit != old[place]])
    others = [old[:place] + wrong + old[place + 1 :], old + "0"]
    if old.endswith("0") and len(old) > 1 and old[-2].isdigit():
        others.append(old[:-1])
    others += [
        old[:n] + old[n + 1] + old[n] + old[n + 2 :] for n in digits if n + 1 in digits and old[n + 1] not in ("0", old[n])
    ]
    return [other for other in others if _amount(other) != _amount(old)]


def _amount(number: str) -> str:
    """A number without what does not change it: "1,030.50" and "01030.5" are one."""
    plain = number.replace(",", "")
    return (plain.rstrip("0").rstrip(".") if plain.count(".") == 1 else plain).lstrip("0")


# What must stay as it is


def lost_url(triple: Triple, rng: Random) -> Triple | None:
    """A web address is gone, cut short, torn apart, misspelt, or has become words."""
    urls = _shared(URL, triple, ())
    if not urls:
        return None
    url = rng.choice(urls)
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    ways = ["", "<url>", f"{scheme}://{_misspelt(host, rng)}{slash}{path}", f"{scheme}: // {rest}"]
    if path:
        ways += [f"{scheme}://{host}", f"{scheme}://{host} / {path}"]
    return lost(triple, rng, url, ways)


def lost_email(triple: Triple, rng: Random) -> Triple | None:
    """An e-mail address is gone, torn apart, misspelt, or has become words."""
    addresses = _shared(EMAIL, triple, ())
    if not addresses:
        return None
    address = rng.choice(addresses)
    name, _, host = address.partition("@")
    ways = ("", "<email>", f"{name} @ {host}", f"{name} at {host}", f"{_misspelt(name, rng)}@{host}")
    return lost(triple, rng, address, ways)


def lost_code(triple: Triple, rng: Random) -> Triple | None:
    """A code span is gone, in other capitals, with full-width signs, or without its end."""
    spans = _shared(CODE, triple, ())
    if not spans:
        return None
    span = rng.choice(spans)
    inner = span.strip("`")
    recast = inner.lower() if inner.isupper() else inner.upper()
    ways = ["", *(f"`{new}`" for new in (recast, inner.translate(SIGNS), inner[: len(inner) // 2].rstrip()))]
    return lost(triple, rng, span, [way for way in ways if way not in (span, "``")])


def lost_placeholder(triple: Triple, rng: Random) -> Triple | None:
    """A placeholder is gone, without its braces, with full-width ones, or translated."""
    spans = _shared(PLACEHOLDER, triple, (CODE, URL))
    if not spans:
        return None
    span = rng.choice(spans)
    ways = [""]
    if span.startswith("{"):
        ways += [span.strip("{}"), f"｛{span.strip('{}')}｝", "<placeholder>"]
    return lost(triple, rng, span, ways)


def _shared(pattern: re.Pattern[str], triple: Triple, outside: Sequence[re.Pattern[str]]) -> list[str]:
    """Matches in the source that the back text has no more often."""
    mine = Counter(match.group() for match in found(pattern, triple.source, outside))
    theirs = Counter(match.group() for match in found(pattern, triple.back, outside))
    return [value for value in mine if 0 < theirs[value] <= mine[value]]


def _misspelt(name: str, rng: Random) -> str:
    """Two neighbouring letters have changed places."""
    places = [n for n in range(len(name) - 1) if name[n] != name[n + 1] and name[n : n + 2].isalnum()]
    n = rng.choice(places)
    return name[:n] + name[n + 1] + name[n] + name[n + 2 :]


# Languages and scripts


def untranslated(triple: Triple, rng: Random) -> Triple | None:
    """A sentence, or all from one on, stands in the pivot as in the source, and therefore in the back text, too."""
    parts = [sentences(text) for text in (triple.source, triple.pivot, triple.back)]
    count = len(parts[0])
    if len({len(part) for part in parts}) > 1:
        return None
    long = [n for n, (start, end) in enumerate(parts[0]) if len(letters(triple.source[start:end])) >= _LONG[triple.language]]
    if not long:
        return None
    first = rng.choice(long)
    last = rng.choice((first, count - 1))
    if first == 0 and last == count - 1 and count > 1:
        last = 0
    left = triple.source[parts[0][first].start : parts[0][last].end].strip()

    def leave(text: str, part: list[Span]) -> str:
        start, end = part[first].start, part[last].end
        margin = len(text[start:end]) - len(text[start:end].lstrip())
        return text[: start + margin] + left + text[end:]

    return replace(triple, pivot=leave(triple.pivot, parts[1]), back=leave(triple.back, parts[2]))


_LONG = {"en": 20, "zh": 8}
"""Letters from which on a sentence counts as one."""


def script_switched(triple: Triple, rng: Random) -> Triple | None:
    """The Chinese text, or a sentence of it, has changed between Simplified and Traditional.

    It is the back text of a Chinese source, and the pivot of another.
    """
    side = "back" if triple.language == "zh" else "pivot"
    text: str = getattr(triple, side)
    way = rng.choice(("s2t", "s2tw", "s2hk")) if convert("s2t", text) != text else rng.choice(("t2s", "tw2s"))
    places = [Span(0, len(text)), *sentences(text)]
    switched = [(start, end, convert(way, text[start:end])) for start, end in places]
    enough = [one for one in switched if sum(a != b for a, b in zip(text[one[0] : one[1]], one[2], strict=False)) >= 3]
    if not enough:
        return None
    start, end, new = rng.choice((enough[0], rng.choice(enough)))
    return replace(triple, **{side: text[:start] + new + text[end:]})


@cache
def _converter(way: str) -> OpenCC:
    return OpenCC(way)


def convert(way: str, text: str) -> str:
    """Text in another Chinese script, code and addresses left alone: "s2t" makes Traditional, "t2s" Simplified characters."""
    pieces, at = [], 0
    for start, end in sorted(exact(text)):
        if start >= at:
            pieces += [_converter(way).convert(text[at:start]), text[start:end]]
            at = end
    return "".join([*pieces, _converter(way).convert(text[at:])])


def wrong_language(triple: Triple, rng: Random) -> Triple | None:
    """The back text is in another language: the pivot's, the pivot's from some sentence on, or one that nobody asked for."""
    way = rng.choice(("pivot", "pivot", "half", "stranger"))
    if way == "stranger":
        return replace(triple, back=rng.choice(STRANGERS))
    pivot, back = sentences(triple.pivot), sentences(triple.back)
    if way == "half" and len(pivot) == len(back) > 1:
        middle = len(pivot) // 2
        return replace(triple, back=triple.back[: back[middle].start] + triple.pivot[pivot[middle].start :])
    return replace(triple, back=triple.pivot)


# Whole texts


def repetition(triple: Triple, rng: Random) -> Triple | None:
    """A word, a phrase or a sentence is said over and over, until the end."""
    back = looped(triple.back, triple.language, rng)
    pivot = looped(triple.pivot, triple.pivot_language, rng) if leg(rng) == THERE_AND_BACK else triple.pivot
    return replace(triple, pivot=pivot, back=back)


def looped(text: str, language: str, rng: Random) -> str:
    """`text` up to a place, and then its last 1 to 15 tokens so often that some run of 6 tokens stands in it at least 5 times."""
    tokens = list(_TOKEN.finditer(text))
    last = rng.randrange(len(tokens) // 2, len(tokens))
    many = rng.randint(1, min(15, last + 1))
    phrase = text[tokens[last - many + 1].start() : tokens[last].end()]
    times = 5 + -(-6 // many) + rng.randrange(12)
    gap = " " if language == "en" else rng.choice(("", "，"))
    return text[: tokens[last].end()] + gap + gap.join([phrase] * times)


_TOKEN = re.compile(r"[A-Za-z0-9]+|[\u4e00-\u9fff]")


def truncated(triple: Triple, rng: Random) -> Triple | None:
    """The text ends in the middle of a sentence, after 20 to 75% of it."""
    share = rng.uniform(0.2, 0.75)
    back = _cut(triple.back, share)
    pivot = _cut(triple.pivot, share) if leg(rng) == THERE_AND_BACK else triple.pivot
    return replace(triple, pivot=pivot, back=back)


def _cut(text: str, share: float) -> str:
    """`text` up to the last token that ends within this share of it and no sentence."""
    ends = [match.end() for match in _TOKEN.finditer(text) if match.end() <= share * len(text)]
    inner = [end for end in ends if text[end : end + 1] not in tuple(".!?。！？\n")]
    return text[: (inner or [_TOKEN.search(text).end()])[-1]]  # type: ignore[union-attr]


def copied(triple: Triple, rng: Random) -> Triple | None:
    """The back text is the source, letter for letter, or but for white space, capitals or its last sign."""
    text = triple.source
    recast, open_ended, one_line = (
        text[:1].swapcase() + text[1:],
        re.sub(r"[.。！？!?]\s*\Z", "", text),
        re.sub(r"\s+", " ", text),
    )
    return replace(triple, back=rng.choice((text, text, f"{text}\n", recast, open_ended, one_line)))


def swapped_among(others: Sequence[Triple]) -> Planter:
    """A planter that gives a text the translation of another one of `others`, of about its length if there is one."""

    def swapped(triple: Triple, rng: Random) -> Triple | None:
        """The back text, or pivot and back text, belong to another item of the batch."""
        rest = [other for other in others if other.language == triple.language and other.id != triple.id]
        near = [other for other in rest if 2 / 3 <= len(other.back) / len(triple.back) <= 3 / 2]
        if not rest:
            return None
        other = rng.choice(near or rest)
        return replace(triple, pivot=other.pivot if leg(rng) == THERE_AND_BACK else triple.pivot, back=other.back)

    return swapped


def lost_answer(triple: Triple, rng: Random) -> Triple | None:
    """What the record answers no longer stands in its input: gone, vague, or in part."""
    answer = triple.answer
    if not answer or answer not in triple.source or answer not in triple.back:
        return None
    ways = ["", VAGUE[triple.language]["<answer>"]]
    if digits := NUMBER.search(answer):
        ways.append(put(answer, digits.span(), rng.choice(_other_numbers(digits.group(), rng))))
    if " " in answer.strip("`"):
        ways.append(answer.strip("`").split()[-1])
    ways = [way for way in ways if answer not in way]
    back = triple.back.replace(answer, rng.choice(ways))
    return None if answer in back else replace(triple, back=back)


# All of them


def planters(others: Sequence[Triple]) -> dict[str, Planter]:
    """Every class by its name; `others` are the texts that items can be swapped with."""
    return {
        "dropped_number": dropped_number,
        "changed_number": changed_number,
        "lost_url": lost_url,
        "lost_email": lost_email,
        "lost_code": lost_code,
        "lost_placeholder": lost_placeholder,
        "untranslated": untranslated,
        "script_switched": script_switched,
        "wrong_language": wrong_language,
        "repetition": repetition,
        "truncated": truncated,
        "copied": copied,
        "swapped": swapped_among(others),
        "lost_answer": lost_answer,
    }


def plant(planter: Planter, triples: Sequence[Triple], rng: Random, count: int) -> list[tuple[Triple, Triple]]:
    """`count` different errors of a class, each with the clean triple it was planted in; fewer where the texts offer no more."""
    pairs: dict[Triple, Triple] = {}
    for _ in range(_ROUNDS):
        for triple in rng.sample(triples, len(triples)):
            if (bad := planter(triple, rng)) is not None:
                pairs.setdefault(bad, triple)
            if len(pairs) == count:
                return [(triple, bad) for bad, triple in pairs.items()]
    return [(triple, bad) for bad, triple in pairs.items()]


_ROUNDS = 20
"""How often all texts are tried: those with a single place for an error give a few different ones each."""
