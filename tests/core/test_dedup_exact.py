"""The index against rouge_score itself: 100,000 pairs and 2,000 streams, thresholds 0.3 to 1.0, lengths 0 to 200, any script."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from engine import seedfile
from engine.core import dedup
from engine.core.dedup import Index
from engine.core.text import words

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0)
ENGLISH = [f"{start}{end}" for start in ("work", "lis", "plan", "sing") for end in ("", "s", "er", "ing", "ed", "2")]
CHINESE = list("写一首关于春天的诗并解释其含义请将下面句子翻译成英文")
MIXED = [*ENGLISH[:8], *CHINESE[:8], "ＡＢＣ", "カ", "한"]


class Ours:
    def tokenize(self, text: str) -> list[str]:
        return words(text)


SCORER = RougeScorer(["rougeL"], tokenizer=Ours())


def rouge(a: str, b: str) -> float:
    return float(SCORER.score(a, b)["rougeL"].fmeasure)


def text(rng: Random, vocabulary: list[str], length: int) -> str:
    return " ".join(rng.choices(vocabulary, k=length))


def edited(rng: Random, original: str, vocabulary: list[str]) -> str:
    """The text with a few words replaced, inserted, left out or moved."""
    tokens = original.split(" ")
    for _ in range(rng.randint(0, 1 + len(tokens) // 3)):
        place = rng.randrange(len(tokens))
        match rng.randrange(4):
            case 0:
                tokens[place] = rng.choice(vocabulary)
            case 1:
                tokens.insert(place, rng.choice(vocabulary))
            case 2 if len(tokens) > 1:
                del tokens[place]
            case _:
                tokens.append(tokens.pop(place))
    return " ".join(tokens)


def boundary(rng: Random, threshold: float) -> tuple[str, str]:
    """Two texts whose true F is exactly the threshold: there the last bit of the float expression decides."""
    exact = Fraction(threshold).limit_denominator(100)
    while True:
        m, n = rng.randint(1, 20), rng.randint(1, 20)
        lcs = exact * (m + n) / 2
        if lcs.denominator == 1 and lcs <= min(m, n):
            common = [f"c{k}" for k in range(int(lcs))]
            one = common + [f"a{k}" for k in range(m - len(common))]
            other = common + [f"b{k}" for k in range(n - len(common))]
            return " ".join(one), " ".join(other)


def length(rng: Random) -> int:
    """Mostly that of an instruction, sometimes nothing, sometimes long."""
    return 0 if rng.random() < 0.03 else rng.randint(100, 200) if rng.random() < 0.003 else rng.randint(1, 9)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9))
def test_100_000_pairs_are_decided_as_rouge_score_decides(seed: int) -> None:
    """Of two texts, near or not, at the threshold or not, the index says what rouge_score says, to the last bit."""
    rng = Random(seed)
    for k in range(500):
        vocabulary = (ENGLISH, CHINESE, MIXED)[k % 3]
        threshold = rng.choice(THRESHOLDS)
        if k % 5 == 0:
            one, other = boundary(rng, threshold)
        else:
            one = text(rng, vocabulary, length(rng))
            other = edited(rng, one, vocabulary) if one and k % 2 else text(rng, vocabulary, length(rng))
        index = Index()
        index.add("one", one)
        score = rouge(one, other)
        match = index.near(other, threshold)
        if not words(other):
            assert (match is not None) == (one == other)
        else:
            assert (match.score if match else None) == (score if score > threshold else None)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(THRESHOLDS))
def test_2_000_streams_are_decided_as_rouge_score_decides(seed: int, threshold: float) -> None:
    """Offered in order, the same texts are taken in as by comparing each with all before it, and each match is the best one."""
    rng = Random(seed)
    for vocabulary in (ENGLISH, CHINESE, MIXED, ENGLISH, CHINESE, MIXED, ENGLISH, CHINESE, MIXED, MIXED):
        stream = [text(rng, vocabulary, rng.randint(1, 10))]
        while len(stream) < 9:
            near = rng.random() < 0.6
            stream.append(edited(rng, rng.choice(stream), vocabulary) if near else text(rng, vocabulary, rng.randint(1, 10)))
        matches = Index().offer([(str(n), each) for n, each in enumerate(stream)], threshold)
        pool: list[tuple[str, str]] = []
        for n, each in enumerate(stream):
            scores = [(rouge(other, each), id) for id, other in pool]
            best = max(scores, key=lambda pair: pair[0], default=(0.0, ""))
            if best[0] > threshold:
                assert matches[n] == dedup.Match(best[1], best[0])
            else:
                assert matches[n] is None
                pool.append((str(n), each))


def reworded(rng: Random, original: str) -> str:
    """A Chinese text with some of its characters replaced, inserted, left out or swapped, and Latin letters made full-width."""
    signs = list(original)
    for _ in range(rng.randint(1, 1 + len(signs) // 3)):
        place = rng.randrange(len(signs))
        match rng.randrange(4):
            case 0:
                signs[place] = rng.choice(CHINESE)
            case 1:
                signs.insert(place, rng.choice(["，", "请", *CHINESE]))
            case 2 if len(signs) > 1:
                del signs[place]
            case _:
                signs.append(signs.pop(place))
    return "".join(chr(ord(sign) + 0xFEE0) if "A" <= sign <= "z" and rng.random() < 0.5 else sign for sign in signs)


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_planted_chinese_near_duplicates_are_all_found(threshold: float) -> None:
    """Among our own Chinese seed tasks: every text that was planted above the threshold by brute force is found, no other, and
    each with its best match and the score to the last bit."""
    rng = Random(7)
    seeds, _ = seedfile.read(seedfile.folder() / "self_instruct.zh.jsonl")
    tasks = [seed["instruction"] for seed in seeds]
    index = Index()
    for n, task in enumerate(tasks):
        index.add(str(n), task)
    found = 0
    for original in rng.sample(tasks, 40):
        planted = reworded(rng, original)
        scores = [rouge(task, planted) for task in tasks]
        best = max(scores)
        assert index.near(planted, threshold) == (dedup.Match(str(scores.index(best)), best) if best > threshold else None)
        found += best > threshold
    assert 20 <= found < 40 if threshold == 0.7 else found >= 35


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_vocabularies_beyond_unicode_change_nothing(seed: int) -> None:
    """With more distinct tokens than there are characters, texts are kept as numbers, and decisions stay the same."""
    rng = Random(seed)
    stream = [text(rng, ENGLISH, rng.randint(1, 12)) for _ in range(12)]
    stream += [edited(rng, each, ENGLISH) for each in stream]
    offered = list(enumerate(stream))
    plain = Index().offer([(str(n), each) for n, each in offered], 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "_FIRST_SURROGATE", 5)
        patch.setattr(dedup, "LARGEST", 0x800 + 12)
        assert Index().offer([(str(n), each) for n, each in offered], 0.5) == plain


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        " ",
        "?!…",
        "\ud800",
        "a\udfff b",
        "\x00",
        "x" * 1_000_000,
        "word " * 200_000,
        "写" * 100_000,
        "e\u0301" * 1000,
        "\u202eabc",
    ],
    ids=["empty", "blank", "punctuation", "surrogate", "inside", "nul", "1MB", "1MBwords", "chinese", "combining", "rtl"],
)
def test_any_text_is_accepted(hostile: str) -> None:
    """Empty, hostile or huge: it is added, it finds itself, and it disturbs nobody."""
    index = Index()
    index.add("before", "Write a poem about spring.")
    assert index.near(hostile, 0.7) is None
    index.add("hostile", hostile)
    found = index.near(hostile, 0.7)
    assert found is not None
    assert found == dedup.Match("hostile", 1.0)
    assert index.near("Write a poem about the spring.", 0.7) == dedup.Match(
        "before", rouge("Write a poem about spring.", "Write a poem about the spring.")
    )
