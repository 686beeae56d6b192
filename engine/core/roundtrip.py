"""Round trip: whether a text came back from another language as itself in other words, check by check.

Pure. Each check has its option in `Gate` and a name that the journal tells, with the score that it went by.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from engine.core.identification import Identify, foreign
from engine.core.names import without_names
from engine.core.numerals import changed
from engine.core.parts import sentences
from engine.core.repeats import repeats
from engine.core.score import chrf, rouge_l
from engine.core.scripts import letter, primary, scripts, share_of, traditional
from engine.core.text import words
from engine.core.verbatim import MARKS, marks, plain

Portion = Annotated[float, msgspec.Meta(ge=0, le=1)]
Ratio = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a round trip must keep. A limit at the end of its range turns its check off, and so does `false`."""

    chrf_min: Portion | None = None
    """`too_far`: chrF against the source below it. Default: 0.35, for scripts without spaces 0.15. Off: 0."""
    rouge_max: Portion = 0.95
    """`too_near`: ROUGE-L above it, so nothing was gained. Off: 1."""
    ratio_min: Ratio = 0.5
    """`too_little`: characters of the text that came back, for one of the source. Off: 0."""
    ratio_max: Ratio = 2.0
    """`too_much`: likewise. Off: a large number."""
    untranslated_max: Portion = 0.3
    """`untranslated`: share of the source's script among the letters of the pivot, where the languages have different ones; names
    that were kept do not count. Off: 1."""
    copied_max: Count | None = None
    """`copied`, `left`: words in a row that the pivot took over from the source, or the result from the pivot, those with a
    capital letter and short quotations not counted; in scripts without spaces, characters. Default: 2 words, 7 characters.
    Off: a large number."""
    language_max: Portion = 0.5
    """`language`, `pivot_language`: how sure it may be that a text is in another language than it should be. Off: 1."""
    script_max: Portion = 0.3
    """`script`: by how much the share of traditional Chinese characters may have changed, in the whole or in a sentence. A pivot
    is held against what its language tag says: `zh-TW`, `zh-HK` and `zh-Hant` are traditional. Off: 1."""
    repeats_max: Count = 4
    """`loop`: how often one run of six words (characters in Chinese) may stand in pivot or result, where the source repeats less.
    Off: a large number."""
    marked_max: Count = 0
    """`marked`: signs that a translator by rules puts before a word that it does not know (*) or has no form or translation of
    (#, @), in pivot or result, beyond those of the source. Off: a large number."""
    unfinished: bool = True
    """`unfinished`: the source ends as a sentence does, and pivot or result, no longer than the source, in the middle of one."""
    numbers: bool = True
    """`numbers`: a number lost or made up, whether in digits or in words."""
    links: bool = True
    addresses: bool = True
    """`addresses`: of e-mail."""
    code: bool = True
    """`code`: spans and blocks between back quotes."""
    placeholders: bool = True
    """`placeholders`: {name}, ${name}, %s, <tag>, [NAME] and the like."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A text, what a translator made of it, and what came back."""

    source: str
    pivot: str
    back: str
    language: str
    """Of source and result, a BCP-47 tag."""
    pivot_language: str


class Scores(NamedTuple):
    """What is measured of a trip. The record of the text carries it, rounded."""

    chrf: float
    rouge_l: float
    ratio: float
    untranslated: float
    copied: int
    left: int
    repeats: int
    """In pivot or result, 0 where the source repeats itself as often."""
    marked: int
    """Words with such a sign, beyond those of the source."""
    script: float
    """Largest change of the share of traditional characters, 0 where it cannot be told."""

    def rounded(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in self._asdict().items()}


def measure(trip: Trip) -> Scores:
    source, back = words(trip.source), words(trip.back)
    again = max(repeats(back), repeats(words(trip.pivot)))
    length = len("".join(trip.source.split()))
    return Scores(
        chrf=chrf(trip.back, trip.source),
        rouge_l=rouge_l(source, back),
        ratio=len("".join(trip.back.split())) / length if length else 0.0,
        untranslated=_untranslated(trip),
        copied=_taken_over(trip.source, trip.pivot, trip.language),
        left=_left(trip),
        repeats=again if again > repeats(source) else 0,
        marked=max(0, max(_marked(trip.pivot), _marked(trip.back)) - _marked(trip.source)),
        script=_script(trip),
    )


def _untranslated(trip: Trip) -> float:
    if scripts(trip.language) == scripts(trip.pivot_language):
        return 0.0
    return share_of(trip.language, without_names(plain(trip.pivot), trip.source, trip.pivot_language))


def _left(trip: Trip) -> int:
    """What stands untranslated in the result, unless it stood in the source, too: a quotation, a title."""
    found = _taken_over(trip.pivot, trip.back, trip.pivot_language)
    return found if found > _taken_over(trip.source, trip.back, trip.pivot_language) else 0


def _taken_over(before: str, after: str, language: str) -> int:
    """The longest run of words of `language` that a translation took over. What stands in quotation marks may well have to."""
    return _longest_run(_spoken(_QUOTED.sub(_GAP, before), language), _spoken(after, language))


_DENSE = ("Han", "Kana", "Hangul", "Thai")
"""Scripts of which few characters say much; most of them have no spaces between words."""

_GAP = "\0"
_WORD = re.compile(rf"[^\W\d_]+|{_GAP}")
_QUOTED = re.compile(r"[\"“][^\"“”\n]{1,40}[\"”]|「[^「」\n]{1,20}」|《[^《》\n]{1,40}》|(?<!\w)'[^'\n]{1,40}'(?!\w)")


def _spoken(text: str, language: str) -> list[str]:
    """The words of a text that are written as the language writes, as they stand there; characters where it has no spaces."""
    found, own = _WORD.findall(plain(text)), letter(language)
    if scripts(language)[0] in _DENSE:
        found = [sign for word in found for sign in word]
    return [word for word in found if word == _GAP or own.match(word)]


def _longest_run(a: list[str], b: list[str]) -> int:
    """Tokens in a row that stand in both lists, capitalised ones not counted: names stay as they are in a translation."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, token in enumerate(b):
        places[token].append(place)
    longest = 0
    before: dict[int, int] = {}
    for token in a:
        weight = 0 if token[0].isupper() else 1
        here = {place: before.get(place - 1, 0) + weight for place in places.get(token, ())}
        longest = max(longest, max(here.values(), default=0))
        before = here
    return longest


_MARK = re.compile(r"(?<![^\s(\[\"“'«¿¡—-])(?:[#@]|\*(?![^*\n]*\w\*))(?=[^\W\d_])")
"""Apertium's: `*` a word that it does not know, `@` one without a translation, `#` one without the form. A pair of stars is
emphasis, and a sign inside a word belongs to it."""


def _marked(text: str) -> int:
    return len(_MARK.findall(plain(text)))


def _script(trip: Trip) -> float:
    change = 0.0
    if primary(trip.language) == "zh" and (before := traditional(trip.source)) is not None:
        change = max(change, *(abs(after - before) for after in _shares(trip.back)), 0.0)
    if primary(trip.pivot_language) == "zh":
        expected = 1.0 if _TRADITIONAL.search(trip.pivot_language) else 0.0
        change = max(change, *(abs(after - expected) for after in _shares(trip.pivot)), 0.0)
    return change


_TRADITIONAL = re.compile(r"-(?:Hant|TW|HK|MO)\b", re.IGNORECASE)


def _shares(text: str) -> list[float]:
    """Shares of traditional characters, in the whole text and in each of its sentences, where they can be told."""
    found = [traditional(part) for part in (text, *sentences(text))]
    return [share for share in found if share is not None]


# The checks

Check: TypeAlias = Callable[[Trip, Scores, Gate], str | None]


def empty(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    return None if trip.pivot.strip() and trip.back.strip() else "empty"


def untranslated(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    return _told("untranslated", scores.untranslated) if scores.untranslated > gate.untranslated_max else None


def copied(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    if scores.copied > _run_max(trip.language, gate):
        return _told("copied", scores.copied)
    return _told("left", scores.left) if scores.left > _run_max(trip.pivot_language, gate) else None


def _run_max(language: str, gate: Gate) -> int:
    if gate.copied_max is not None:
        return gate.copied_max
    return 7 if scripts(language)[0] in _DENSE else 2


def loop(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    return _told("loop", scores.repeats) if scores.repeats > gate.repeats_max else None


def script(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    return _told("script", scores.script) if scores.script > gate.script_max else None


def marked(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    return _told("marked", scores.marked) if scores.marked > gate.marked_max else None


def ratio(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    if scores.ratio < gate.ratio_min:
        return _told("too_little", scores.ratio)
    return _told("too_much", scores.ratio) if scores.ratio > gate.ratio_max else None


_END = re.compile(r"[.!?。！？…；;:：][\"'”’」』）)\]*_`}]*\s*\Z")


def unfinished(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    if not gate.unfinished or not _END.search(trip.source):
        return None
    if not _END.search(trip.pivot):
        return "unfinished (pivot)"
    return None if scores.ratio >= 1 or _END.search(trip.back) else "unfinished (back)"


def too_far(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    least = gate.chrf_min if gate.chrf_min is not None else chrf_min(trip.language)
    return _told("too_far", scores.chrf) if scores.chrf < least else None


def too_near(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    return _told("too_near", scores.rouge_l) if scores.rouge_l > gate.rouge_max else None


def preserved(trip: Trip, scores: Scores, gate: Gate) -> str | None:
    """Code, links, addresses, placeholders, numbers: each as often as before."""
    (before, old), (after, new) = marks(trip.source), marks(trip.back)
    for kind in MARKS:
        if getattr(gate, kind) and (reason := _differ(kind, [*(before[kind] - after[kind])], [*(after[kind] - before[kind])])):
            return reason
    if not gate.numbers:
        return None
    lost, made = changed(old, new, trip.language)
    return _differ("numbers", [f"{number:f}" for number in lost], [f"{number:f}" for number in made])


def chrf_min(language: str) -> float:
    """The default of `Gate.chrf_min`: n-grams of ideographs meet far less often than those of letters."""
    return 0.15 if scripts(language)[0] in _DENSE else 0.35


CHECKS: tuple[Check, ...] = (empty, untranslated, copied, marked, loop, script, ratio, too_far, too_near, unfinished, preserved)


def fault(trip: Trip, scores: Scores, gate: Gate, identify: Identify) -> str | None:
    """Why a text that came back is of no use, with the score that says so; `None` where it is."""
    for text, language, name in ((trip.pivot, trip.pivot_language, "pivot_language"), (trip.back, trip.language, "language")):
        text = without_names(text, trip.source, language)
        if (guess := foreign(text, language, identify)) is not None and guess.share > gate.language_max:
            return f"{name} ({guess.language} {round(guess.share, 3)})"
    return next((reason for check in CHECKS if (reason := check(trip, scores, gate))), None)


def _told(name: str, score: float) -> str:
    return f"{name} ({round(score, 3)})"


def _differ(name: str, lost: list[str], made: list[str]) -> str | None:
    """The reason that names up to three things that went missing, or else that appeared."""
    if not lost and not made:
        return None
    what, first = ("lost", lost) if lost else ("new", made)
    return f"{name} ({what} {', '.join(thing[:60] for thing in first[:3])})"
