"""Seeds: reading seed tasks, finding the files that come with the product, and checking a file of tasks or of texts.

A door: reads files, prints nothing. Both formats are a JSON object a line. A seed task is the published one,
`{"id", "name", "instruction", "instances": [{"input", "output"}], "is_classification"}`; a text, which back-translation starts
from, is `{"id", "text", "language"}`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from engine.core.dedup import Index
from engine.core.faults import PlanError
from engine.core.text import collapse, has_cjk, words
from engine.core.types import Item

SIMILAR = 0.5
"""Two seeds above this ROUGE-L are one too many: each should open a direction of its own."""

SHORTEST, LONGEST = 20, 2_000
"""Characters of a text. Outside of them back-translation drops it, unless its plan says otherwise."""

LETTERS = 1_000
"""So many letters of a text are looked at to tell its script."""

_TAG = re.compile(r"([A-Za-z]{2,3})(-[A-Za-z0-9]{1,8})*")
"""The shape of a language tag (RFC 5646, section 2.1); no language has a subtag of four letters or more yet."""

_LATIN = "ca cs da de en es et fi fr hr hu id it lt lv ms nb nl nn no pl pt ro sk sl sq sv sw tl tr vi"
_SCRIPTS = MappingProxyType(
    {
        **dict.fromkeys(_LATIN.split(), ("LATIN",)),
        **dict.fromkeys(("be", "bg", "kk", "mk", "ru", "uk"), ("CYRILLIC",)),
        **dict.fromkeys(("ar", "fa", "ur"), ("ARABIC",)),
        **dict.fromkeys(("hi", "mr", "ne"), ("DEVANAGARI",)),
        "el": ("GREEK",),
        "he": ("HEBREW",),
        "th": ("THAI",),
        "ja": ("CJK", "HIRAGANA", "KATAKANA"),
        "ko": ("HANGUL",),
        "zh": ("CJK",),
    }
)
"""Scripts of a language, as Unicode's character names begin. A language that is not here may look like anything."""

_LEAST = MappingProxyType({"ja": 0.1, "ko": 0.1, "zh": 0.1})
"""Least share of letters in a language's own script, 0.3 for the others: where a character is a syllable or a word, a few names
and commands in Latin letters outnumber the text around them."""


@dataclass(frozen=True, slots=True)
class SeedFault:
    """A fault in a seed file; lines count from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Similar:
    """Two seeds that resemble each other, by line."""

    line: int
    earlier: int
    score: float


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What `seeds check` found. A warning is no fault: the line can be used."""

    kind: str
    """"tasks" or "texts"."""
    count: int
    """Lines without a fault."""
    faults: tuple[SeedFault, ...]
    warnings: tuple[SeedFault, ...]
    similar: tuple[Similar, ...]
    summary: dict[str, str]


def folder() -> Path:
    """Where the product's own seeds lie: in the wheel beside the engine, in a checkout at its top."""
    here = Path(__file__).resolve().parent
    return here / "seeds" if (here / "seeds").is_dir() else here.parent / "seeds"


def read(path: Path) -> tuple[list[Item], list[SeedFault]]:
    """The good seed tasks of a file, and what is wrong with the others. Raises `PlanError` where it cannot be read at all."""
    return parse(_bytes(path))


def parse(data: bytes) -> tuple[list[Item], list[SeedFault]]:
    """Likewise, of a file's bytes. Each seed also has its `line`."""
    values, faults = _values(data)
    seeds, more = _judged(values, wrong)
    return seeds, sorted(faults + more, key=_line)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PlanError(f"the seed file {path} cannot be read: {error.strerror or error}") from error


def _values(data: bytes) -> tuple[list[tuple[int, Any]], list[SeedFault]]:
    """What stands in each line, by its number, and the lines that are no JSON."""
    values: list[tuple[int, Any]] = []
    faults: list[SeedFault] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            values.append((number, orjson.loads(line)))
        except orjson.JSONDecodeError as error:
            faults.append(SeedFault(number, f"not JSON ({error})"))
    return values, faults


def _judged(values: Sequence[tuple[int, Any]], judge: Callable[[Any], list[str]]) -> tuple[list[Item], list[SeedFault]]:
    """The values that nothing is wrong with, each with its `line`, and what is wrong with the others."""
    judged = [(number, value, judge(value)) for number, value in values]
    good = [{**value, "line": number} for number, value, reasons in judged if not reasons]
    return good, [SeedFault(number, reason) for number, _, reasons in judged for reason in reasons]


def wrong(seed: Any) -> list[str]:
    """What is wrong with one seed, in words."""
    if not isinstance(seed, dict):
        return ["not a JSON object"]
    if "text" in seed and "instruction" not in seed:
        return ["a text, not a seed task: 'instruction' is missing"]
    reasons = [f"{key!r} is missing" for key in ("id", "instruction", "instances", "is_classification") if key not in seed]
    if reasons:
        return reasons
    if not isinstance(seed["instruction"], str) or not collapse(seed["instruction"]):
        reasons.append("'instruction' must be a text that says something")
    if not isinstance(seed["is_classification"], bool):
        reasons.append("'is_classification' must be true or false")
    instances = seed["instances"]
    if not isinstance(instances, list) or not instances:
        return [*reasons, "'instances' must be a list of at least one instance"]
    for n, instance in enumerate(instances, 1):
        if not isinstance(instance, dict) or not all(isinstance(instance.get(key), str) for key in ("input", "output")):
            reasons.append(f"instance {n} must have 'input' and 'output', both texts (the input may be empty)")
        elif not instance["output"].strip():
            reasons.append(f"instance {n} has no output")
        elif instance["input"].strip() == instance["output"].strip():
            reasons.append(f"instance {n} gives its input back as output")
    return reasons


def wrong_text(text: Any) -> list[str]:
    """What is wrong with one text, in words."""
    if not isinstance(text, dict):
        return ["not a JSON object"]
    if "instruction" in text and "text" not in text:
        return ["a seed task, not a text: 'text' is missing"]
    reasons = [f"{key!r} is missing" for key in ("id", "text", "language") if key not in text]
    if reasons:
        return reasons
    if type(text["id"]) not in (str, int) or not str(text["id"]).strip():
        reasons.append("'id' must be a text or a whole number")
    if not isinstance(text["text"], str) or not collapse(text["text"]):
        return [*reasons, "'text' must be a text that says something"]
    tag = _TAG.fullmatch(text["language"]) if isinstance(text["language"], str) else None
    if tag is None:
        return [*reasons, f"'language' must be a tag such as 'en' or 'zh', not {text['language']!r}"]
    language = tag[1].lower()
    share = script_share(text["text"], language)
    if share < _LEAST.get(language, 0.3):
        reasons.append(f"'language' says {text['language']!r}, but only {share:.0%} of its letters are of that language's script")
    return reasons


def script_share(text: str, language: str) -> float:
    """Which part of a text's letters belongs to a script of `language`; 1.0 where there are no letters or no script is known."""
    scripts = _SCRIPTS.get(language)
    letters = list(islice(filter(str.isalpha, text), LETTERS))
    if scripts is None or not letters:
        return 1.0
    return sum(unicodedata.name(letter, "").startswith(scripts) for letter in letters) / len(letters)


def doubts(text: Item) -> list[str]:
    """What may be wrong with one good text: its length."""
    length = len(text["text"].strip())
    if SHORTEST <= length <= LONGEST:
        return []
    side = f"fewer than {SHORTEST}" if length < SHORTEST else f"more than {LONGEST:,}"
    return [f"{length:,} characters, {side}: back-translation drops it unless the plan says otherwise"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of seed file: its name, the field that says what a line is about, and what is asked of it."""

    name: str
    field: str
    wrong: Callable[[Any], list[str]]
    doubts: Callable[[Item], list[str]]
    summary: Callable[[Sequence[Item]], dict[str, str]]


def check(path: Path) -> SeedReport:
    """Everything that can be said of a file of tasks or of texts without a model. Most of its lines decide which it is."""
    values, faults = _values(_bytes(path))
    kind = _kind(value for _, value in values)
    good, more = _judged(values, kind.wrong)
    faults = faults + more + [fault for key in ("id", kind.field) for fault in _repeated(good, key)]
    warnings = [SeedFault(one["line"], reason) for one in good for reason in kind.doubts(one)]
    index = Index()
    similar: list[Similar] = []
    for one in good:
        near = index.near(one[kind.field], SIMILAR)
        if near is not None:
            similar.append(Similar(one["line"], int(near.id), near.score))
        index.add(str(one["line"]), one[kind.field])
    faults.sort(key=_line)
    return SeedReport(kind.name, len(good), tuple(faults), tuple(warnings), tuple(similar), kind.summary(good))


def _kind(values: Iterable[Any]) -> _Kind:
    """What most lines look like; tasks where there is a tie or nothing."""
    texts = tasks = 0
    for value in values:
        if isinstance(value, dict):
            tasks += "instruction" in value
            texts += "text" in value and "instruction" not in value
    return TEXTS if texts > tasks else TASKS


def _repeated(good: Sequence[Item], key: str) -> list[SeedFault]:
    """A fault for each line whose value of `key` stood in an earlier one."""
    first: dict[str, int] = {}
    faults = []
    for one in good:
        value = str(one[key])
        if (earlier := first.setdefault(value, one["line"])) != one["line"]:
            faults.append(SeedFault(one["line"], f"the {key} {value[:60]!r} stands in line {earlier} already"))
    return faults


def summary(seeds: Sequence[Item]) -> dict[str, str]:
    """The table under `seeds check` of tasks: counts, and lengths in words; in characters where most of what is asked is Chinese,
    whose first two characters stand for a first word."""
    if not seeds:
        return {}
    instances = [instance for seed in seeds for instance in seed["instances"]]
    asked = [words(seed["instruction"]) for seed in seeds]
    chinese = 2 * sum(has_cjk(token) for tokens in asked for token in tokens) > sum(map(len, asked))
    unit, first = ("characters", 2) if chinese else ("words", 1)
    openings = Counter("".join(tokens[:first]) for tokens in asked if tokens)
    return {
        "instances": str(len(instances)),
        "classification": _share(sum(seed["is_classification"] for seed in seeds), len(seeds)),
        "without input": _share(sum(not instance["input"].strip() for instance in instances), len(instances)),
        f"{unit} an instruction": _spread([len(tokens) for tokens in asked]),
        f"{unit} an input": _spread([len(words(instance["input"])) for instance in instances if instance["input"].strip()]),
        f"{unit} an output": _spread([len(words(instance["output"])) for instance in instances]),
        "first words": f"{len(openings)} different; most often "
        + ", ".join(f"{word} ({count})" for word, count in openings.most_common(5)),
    }


def text_summary(texts: Sequence[Item]) -> dict[str, str]:
    """Likewise of texts: languages and lengths."""
    if not texts:
        return {}
    languages = Counter(text["language"] for text in texts)
    return {
        "languages": ", ".join(f"{language} ({count})" for language, count in languages.most_common()),
        "tokens a text": _spread([len(words(text["text"])) for text in texts]),
        "characters a text": _spread([len(text["text"].strip()) for text in texts]),
    }


TASKS = _Kind("tasks", "instruction", wrong, lambda _: [], summary)
TEXTS = _Kind("texts", "text", wrong_text, doubts, text_summary)


def _line(fault: SeedFault) -> int:
    return fault.line


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})"


def _spread(counts: list[int]) -> str:
    if not counts:
        return "none"
    counts = sorted(counts)
    return f"{counts[0]} to {counts[-1]}, median {counts[len(counts) // 2]}"


def as_text(report: SeedReport) -> str:
    """What `seeds check` prints."""
    found = [f"{report.count} {report.kind}", _count(len(report.faults), "fault")]
    if report.warnings:
        found.append(_count(len(report.warnings), "warning"))
    lines = [", ".join(found)]
    lines += [f"  {fault}" for fault in report.faults]
    lines += [f"  {warning} (warning)" for warning in report.warnings]
    if report.similar:
        lines.append(f"{_count(len(report.similar), 'pair')} above ROUGE-L {SIMILAR}:")
        lines += [f"  lines {pair.earlier} and {pair.line}: {pair.score:.3f}" for pair in report.similar]
    else:
        lines.append(f"no pair above ROUGE-L {SIMILAR}")
    width = max((len(name) for name in report.summary), default=0)
    lines += [f"  {name:<{width}}  {value}" for name, value in report.summary.items()]
    return "\n".join(lines)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
