"""Planted errors: the texts they are planted in are clean, and each planter plants what it says, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from random import Random

import orjson
import pytest

from engine import seedfile
from engine.core.score import rouge_l
from engine.core.text import words
from tests.planted import STRANGERS, Planter, convert, plant, planters, truncated
from tests.triples import DATA, Triple, load

LANGUAGES = ("en", "zh")
EVERYTHING = {language: [*load(language, "tune"), *load(language, "test")] for language in LANGUAGES}
CLASSES = tuple(planters(()))
ENOUGH = 30
"""Errors of a class, a language and a set that a gate is judged by."""


def planted(name: str, language: str, which: str = "tune", seed: int = 0) -> list[tuple[Triple, Triple]]:
    triples = load(language, which)
    return plant(planters(triples)[name], triples, Random(seed), ENOUGH)


def planter(name: str) -> Planter:
    return planters(EVERYTHING["en"] + EVERYTHING["zh"])[name]


def prose(text: str) -> str:
    """`text` without code, addresses, placeholders and the numbers of list items."""
    text = re.sub(r"(?m)^\s*\d+[.)] ", "", text)
    return re.sub(r"```.*?```|`[^`\n]+`|https?://[\w./{}-]+|[\w.]+@[\w.]+\w|\{\w+\}", " ", text, flags=re.S | re.A)


def digits(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+(?:[.,:]\d+)*", prose(text)))


def spans(text: str) -> Counter[str]:
    """Code, addresses and placeholders."""
    pattern = r"```.*?```|`[^`\n]+`|https?://[\w./{}-]*[\w/}]|[\w.]+@[\w.]+\w|\{\w+\}"
    return Counter(re.findall(pattern, text, flags=re.S | re.A))


def han(text: str) -> float:
    """Share of Chinese characters among the letters of a text's prose."""
    found = [sign for sign in prose(text) if sign.isalpha()]
    return sum("\u4e00" <= sign <= "\u9fff" for sign in found) / len(found)


def most_often(text: str) -> int:
    """How often the most frequent run of 6 tokens stands in a text."""
    tokens = words(text)
    return max(Counter(tuple(tokens[n : n + 6]) for n in range(len(tokens) - 5)).values(), default=0)


# The clean triples


@pytest.mark.parametrize("language", LANGUAGES)
def test_triples_are_of_our_own_texts(language: str) -> None:
    """40 different sources stand in `seeds/`, 20 in each set, and pivot and back are in the right languages."""
    path = seedfile.folder() / f"texts.{language}.jsonl"
    ours = {row["id"]: row["text"] for row in map(orjson.loads, path.read_bytes().splitlines())}
    triples = EVERYTHING[language]
    assert [len(load(language, which)) for which in ("tune", "test")] == [20, 20]
    assert len({triple.id for triple in triples}) == 40
    assert all(triple.source == ours[triple.id] for triple in triples)
    for triple in triples:
        chinese, other = (triple.source + triple.back, triple.pivot)
        if language == "en":
            chinese, other = other, chinese
        assert han(chinese) > 0.85 and han(other) < 0.01, triple.id


@pytest.mark.parametrize("triple", EVERYTHING["en"] + EVERYTHING["zh"], ids=lambda triple: triple.id)
def test_clean_triples_are_clean(triple: Triple) -> None:
    """A back text has the numbers, code, addresses, placeholders and the answer of its source, and says it in other words."""
    assert digits(triple.back) == digits(triple.source)
    assert spans(triple.back) == spans(triple.pivot) == spans(triple.source)
    assert triple.answer and triple.answer in triple.source and triple.answer in triple.back
    assert 0.3 < rouge_l(words(triple.source), words(triple.back)) < 0.8
    assert 0.8 < len(triple.back) / len(triple.source) < 1.5
    assert max(map(most_often, (triple.source, triple.pivot, triple.back))) <= 2
    for text in (triple.pivot if triple.language == "en" else triple.source, triple.back):
        assert convert("t2s", text) == text, "the Chinese texts are in Simplified characters"


# The real ones


def test_real_triples_are_split_by_their_sources() -> None:
    """Which of them judge depends on nothing but the source; each came back in other words than it left."""
    rows = [orjson.loads(line) for line in (DATA / "real.jsonl").read_bytes().splitlines()]
    assert len({(row["by"], row["source"]) for row in rows}) == len(rows)
    assert [row["set"] for row in rows] == [("tune", "test")[sha256(row["source"].encode()).digest()[0] % 2] for row in rows]
    assert all(rouge_l(words(row["source"]), words(row["back"])) <= 0.95 for row in rows)
    found = Counter((row["by"], row["language"]) for row in rows)
    assert found == {("apertium", "en"): 86, ("gemma3-270m", "zh"): 5, ("gemma3-270m", "en"): 2}


# Every planter


@pytest.mark.parametrize("which", ["tune", "test"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", CLASSES)
def test_there_are_enough_errors_of_every_class(name: str, language: str, which: str) -> None:
    """30 different ones a class, language and set, in three texts or more; each differs from its clean triple only in pivot or
    back, and in the back text, or in the pivot where only that is Chinese."""
    pairs = planted(name, language, which)
    assert len({bad for _, bad in pairs}) == ENOUGH
    assert len({clean.id for clean, _ in pairs}) >= 3
    for clean, bad in pairs:
        assert replace(bad, pivot=clean.pivot, back=clean.back) == clean
        assert bad.pivot != clean.pivot if (name, language) == ("script_switched", "en") else bad.back != clean.back


@pytest.mark.parametrize("name", CLASSES)
def test_the_same_seed_plants_the_same(name: str) -> None:
    """What is planted depends on the texts and the seed alone."""
    assert planted(name, "zh", seed=1) == planted(name, "zh", seed=1)
    assert planted(name, "zh", seed=1) != planted(name, "zh", seed=2)


@pytest.mark.parametrize("name", ["dropped_number", "changed_number", "lost_url", "lost_email", "lost_code", "lost_placeholder"])
def test_nothing_is_lost_where_there_is_nothing(name: str) -> None:
    """A text without numbers, addresses, code or placeholders has no such error, nor one whose numbers only count its items."""
    plain = Triple(
        "x", "1. Boil the water.\n2. Wait.", "1. 把水烧开。\n2. 等一下。", "1. Bring water to a boil.\n2. Wait.", "en", "zh"
    )
    assert planter(name)(plain, Random(0)) is None


@pytest.mark.parametrize(("name", "lacks"), [("untranslated", "Wait."), ("script_switched", "一二"), ("lost_answer", "Wait.")])
def test_some_texts_offer_no_place(name: str, lacks: str) -> None:
    """Too short a sentence, too few characters that differ between the scripts, and no answer: nothing is planted."""
    assert planter(name)(Triple("x", "Wait.", "一二", lacks, "en", "zh"), Random(0)) is None


def test_a_single_text_cannot_be_swapped() -> None:
    """There has to be another text in its language."""
    triple = EVERYTHING["en"][0]
    assert planters([triple, *EVERYTHING["zh"]])["swapped"](triple, Random(0)) is None


# What each of them plants


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_is_dropped(language: str) -> None:
    """The back text has one number less, and no other; where the error happened on the way there, the pivot lacks it too."""
    pairs = planted("dropped_number", language)
    for clean, bad in pairs:
        (gone,) = (digits(clean.back) - digits(bad.back)).elements()
        assert not digits(bad.back) - digits(clean.back)
        assert digits(bad.back)[gone] < digits(clean.source)[gone]
        assert spans(bad.back) == spans(clean.back)
    legs = {bad.pivot == clean.pivot for clean, bad in pairs}
    assert legs == {True, False}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_number_is_changed(language: str) -> None:
    """One number of the back text is another, of another value."""
    for clean, bad in planted("changed_number", language):
        (old,) = (digits(clean.back) - digits(bad.back)).elements()
        (new,) = (digits(bad.back) - digits(clean.back)).elements()
        assert re.sub(r"\D", "", old).lstrip("0") != re.sub(r"\D", "", new).lstrip("0")
        assert digits(bad.back)[old] < digits(clean.source)[old]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "looks"),
    [("lost_url", r"https?://"), ("lost_email", r"\S+@"), ("lost_code", r"`"), ("lost_placeholder", r"\{\w+\}")],
)
def test_something_exact_is_lost(name: str, looks: str, language: str) -> None:
    """One address, code span or placeholder of the source no longer stands in the back text as it was; all others do."""
    legs, ways = set(), set()
    for clean, bad in planted(name, language):
        (gone,) = (spans(clean.source) - spans(bad.back)).elements()
        assert re.match(looks, gone)
        legs.add(bad.pivot == clean.pivot)
        ways.add(len(bad.back) - len(clean.back))
    assert legs == {True, False}
    assert len(ways) >= 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sentence_is_left_untranslated(language: str) -> None:
    """A run of the source of 8 letters or more stands in pivot and back word for word; the rest of the pivot is as it was."""
    for clean, bad in planted("untranslated", language):
        before = _common(clean.pivot, bad.pivot)
        after = _common(clean.pivot[::-1], bad.pivot[::-1])
        left = bad.pivot[before : len(bad.pivot) - after].strip()
        assert left in clean.source and left in bad.back
        assert len(prose(left).replace(" ", "")) >= 8
        assert (han(bad.pivot) > han(clean.pivot)) == (language == "zh")


def _common(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_script_is_switched(language: str) -> None:
    """At least three characters are Traditional now; turned back, the text is what it was, and code and addresses stayed."""
    for clean, bad in planted("script_switched", language):
        old, new = (clean.back, bad.back) if language == "zh" else (clean.pivot, bad.pivot)
        assert sum(a != b for a, b in zip(old, new, strict=True)) >= 3
        simplified = convert("t2s", new)
        assert sum(a != b for a, b in zip(old, simplified, strict=True)) <= 1
        assert spans(new) == spans(old)


def test_traditional_texts_become_simplified() -> None:
    """A source in Traditional characters is switched the other way."""
    plain = next(triple for triple in EVERYTHING["zh"] if triple.id == "zh-008")
    other = replace(plain, source=convert("s2t", plain.source), back=convert("s2t", plain.back))
    backs = {bad.back for _, bad in plant(planter("script_switched"), [other], Random(0), 3)}
    assert plain.back in backs
    assert all(convert("t2s", back) == plain.back for back in backs)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_back_text_is_in_another_language(language: str) -> None:
    """All of it is the pivot, or its end is the pivot's end, or it is in a language of neither side."""
    kinds = set()
    for clean, bad in planted("wrong_language", language):
        if bad.back in STRANGERS:
            kinds.add("stranger")
        elif bad.back == clean.pivot:
            kinds.add("pivot")
        else:
            kinds.add("half")
            tail = _common(clean.pivot[::-1], bad.back[::-1])
            assert tail > len(clean.pivot) / 4
            assert clean.back.startswith(bad.back[: len(bad.back) - tail])
    assert kinds == {"stranger", "pivot", "half"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_something_is_repeated(language: str) -> None:
    """A run of six tokens stands in the back text at least five times, and in the pivot, if it loops, as well."""
    for clean, bad in planted("repetition", language):
        assert most_often(bad.back) >= 5
        assert bad.pivot == clean.pivot or most_often(bad.pivot) >= 5
        assert _common(clean.back, bad.back) > len(clean.back) / 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_text_is_truncated(language: str) -> None:
    """The back text is a beginning of the clean one, at most three quarters long, that ends in the middle of a sentence."""
    shares = []
    for clean, bad in planted("truncated", language):
        assert clean.back.startswith(bad.back)
        assert clean.pivot.startswith(bad.pivot)
        assert bad.back[-1].isalnum() and clean.back[len(bad.back)] not in ".!?。！？\n"
        shares.append(len(bad.back) / len(clean.back))
    assert max(shares) <= 0.75
    assert min(shares) < 0.35 and max(shares) > 0.6


def test_a_very_short_text_keeps_a_word_when_truncated() -> None:
    """Something is left of it, even where a fifth of it has no word."""
    triple = Triple("x", "s", "p", "Extraordinarily simple.", "en", "zh")
    bad = truncated(triple, Random(0))
    assert bad is not None
    assert bad.back == "Extraordinarily"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_source_is_copied(language: str) -> None:
    """The back text has exactly the tokens of the source."""
    for clean, bad in planted("copied", language):
        assert words(bad.back) == words(clean.source)
        assert bad.pivot == clean.pivot


@pytest.mark.parametrize("language", LANGUAGES)
def test_items_are_swapped(language: str) -> None:
    """The back text is another item's, alone or with its pivot, and mostly not much longer or shorter."""
    others = {triple.back: triple for triple in EVERYTHING[language]}
    for clean, bad in planted("swapped", language):
        other = others[bad.back]
        assert other.id != clean.id
        assert bad.pivot in (clean.pivot, other.pivot)
    ratios = [len(bad.back) / len(clean.back) for clean, bad in planted("swapped", language)]
    assert sum(0.5 < ratio < 2 for ratio in ratios) > 0.8 * len(ratios)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_is_lost(language: str) -> None:
    """The answer stood in the source and does not stand in the back text, most of which is as it was."""
    for clean, bad in planted("lost_answer", language):
        assert clean.answer in clean.source and clean.answer not in bad.back
        assert rouge_l(words(clean.back), words(bad.back)) > 0.8
