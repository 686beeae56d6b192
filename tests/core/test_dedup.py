"""Index: every answer equals that of a brute-force search with rouge_score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from bench import corpus
from engine.core import dedup
from engine.core.dedup import Earlier, Index, Match, added, nearest_among
from engine.core.score import rouge_l
from engine.core.text import reference_words, words

quick = settings(max_examples=30, deadline=None, derandomize=True)

judge = RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=words))
texts = st.lists(st.sampled_from(["write", "a", "short", "poem", "诗", "歌", "!"]), max_size=9).map(" ".join)
"""So few words that near-duplicates are everywhere; texts without any token occur too."""
streams = st.lists(texts, max_size=20)


def filled(stream: Sequence[str]) -> Index:
    index = Index()
    for n, text in enumerate(stream):
        index.add(str(n), text)
    return index


def by_force(stream: Sequence[str], query: str) -> list[Match]:
    """Everything that has a token in common with `query`, best first, earlier first among equals."""
    scores = [Match(str(n), judge.score(text, query)["rougeL"].fmeasure) for n, text in enumerate(stream)]
    return sorted((match for match in scores if match.score > 0), key=lambda match: -match.score)


@quick
@given(streams, texts, st.integers(1, 30))
def test_neighbours_are_those_of_a_brute_force_search(stream: list[str], query: str, k: int) -> None:
    """The same ids with the same floats in the same order, the earliest of equals first."""
    assume(words(query))
    assert filled(stream).neighbours(query, k) == by_force(stream, query)[:k]


@quick
@given(streams, streams, st.integers(1, 12))
def test_texts_added_together_are_told_what_was_there_before_each(stream: list[str], more: list[str], k: int) -> None:
    """The figures are those of asking the index before every single addition, to the last bit."""
    index, slow = filled(stream), filled(stream)
    found = added(index, [(f"more/{n}", text) for n, text in enumerate(more)], k)
    for n, (text, earlier) in enumerate(zip(more, found, strict=True)):
        assert earlier == Earlier(slow.neighbours(text, k), slow.mean_score(text))
        slow.add(f"more/{n}", text)
    assert len(index) == len(stream) + len(more)


@quick
@given(streams, texts)
def test_near_is_strictly_above_the_threshold(stream: list[str], query: str) -> None:
    """At every score that occurs, taken as the threshold, only a better match is near."""
    assume(words(query))
    index, ranked = filled(stream), by_force(stream, query)
    best = ranked[0] if ranked else None
    assert index.nearest(query) == best
    for threshold in {0.7, 1.0, *(match.score for match in ranked)}:
        assert index.near(query, threshold) == (best if best is not None and best.score > threshold else None)


def varied(rng: Random, vocabulary: int, longest: int) -> list[str]:
    """200 texts of frequent and rare words, two in three of them earlier ones with some words taken out or put in."""
    tokens = [f"w{n}" for n in range(vocabulary)]
    weights = [1 / (n + 1) for n in range(vocabulary)]
    stream: list[list[str]] = []
    for _ in range(200):
        text = rng.choices(tokens, weights, k=rng.randint(1, longest))
        if stream and rng.random() < 2 / 3:
            text = [token for token in rng.choice(stream) if rng.random() < 0.85] + text[: rng.randint(1, 3)]
        stream.append(text)
    return [" ".join(text) for text in stream]


@pytest.mark.parametrize(("vocabulary", "longest"), [(50, 8), (3000, 30), (400, 200)], ids=["few words", "sentences", "pages"])
def test_a_long_stream_is_judged_as_by_force(vocabulary: int, longest: int) -> None:
    """Whatever lengths and words a stream has, the match at every threshold is the best of all, to the last bit."""
    rng = Random(vocabulary)
    index = Index()
    before: list[list[str]] = []
    for n, text in enumerate(varied(rng, vocabulary, longest)):
        tokens = words(text)
        scores = [rouge_l(earlier, tokens) for earlier in before]
        best = Match(str(scores.index(max(scores))), max(scores)) if tokens and any(scores) else None
        assert index.nearest(text) == best
        for threshold in (0.7, rng.uniform(0.01, 1.0), best.score if best else 0.5):
            assert index.near(text, threshold) == (best if best and best.score > threshold else None)
        index.add(str(n), text)
        before.append(tokens)


def test_the_last_bit_decides_here_too() -> None:
    """Of all pairs below 60 tokens at exactly 7/10, those are near whose float is above 0.7, as rouge_score decides."""
    pairs = [(m, n) for m in range(1, 60) for n in range(1, 60) if 7 * (m + n) % 20 == 0 and 7 * (m + n) <= 20 * min(m, n)]
    above = 0
    for m, n in pairs:
        shared = [f"s{k}" for k in range(7 * (m + n) // 20)]
        text = shared + [f"m{k}" for k in range(m - len(shared))]
        query = shared + [f"n{k}" for k in range(n - len(shared))]
        score = rouge_l(text, query)
        match = filled(["a short poem"] * 9 + [" ".join(text)]).near(" ".join(query), 0.7)
        assert match == (Match("9", score) if score > 0.7 else None)
        above += score > 0.7
    assert (len(pairs), above) == (83, 48)


@pytest.mark.parametrize("copies", [1, 20])
@pytest.mark.parametrize("rare", [("yak", "zebra"), ("zebra", "yak")])
def test_the_earliest_of_equals_wins_whatever_its_words(rare: tuple[str, str], copies: int) -> None:
    """Neither how rare a shared word is nor when it was first seen changes which of many equal matches is found."""
    equals = [f"{word} drinks cold water" for word in rare for _ in range(copies)]
    score = rouge_l(["a", "b", "c", "d"], ["a", "x", "b", "c", "d"])
    for count in range(200, 208):
        index = filled(["yak zebra", *(f"filler number {n}" for n in range(count)), *equals])
        assert index.near("yak zebra drinks cold water", 0.7) == Match(str(count + 1), score)


def test_longer_texts_may_come_later() -> None:
    """What was worked out for short texts is not in the way when much longer ones are added."""
    index = filled(["write a poem"])
    for n in (10, 100, 1000):
        assert index.near("write a very short poem", 0.7) == Match("0", rouge_l(["a", "b", "c"], ["a", "b", "x", "x", "c"]))
        index.add(f"long/{n}", " ".join(["write a very", *(f"w{k}" for k in range(n)), "poem"]))


def test_a_text_may_be_as_long_as_a_book() -> None:
    """Tens of thousands of tokens are compared like a few."""
    book = [f"w{n}" for n in range(50_000)]
    index = filled(["a short poem", " ".join(book), " ".join(["w1"] * 50_000)])
    assert index.near(" ".join(book[:-5]), 0.7) == Match("1", rouge_l(book, book[:-5]))
    assert index.near(" ".join(["w1", "w2"] * 25_000), 0.7) is None


@quick
@given(streams, texts)
def test_the_mean_is_over_every_text_added(stream: list[str], query: str) -> None:
    """Texts without a common token, or without any, count as zeros, each as often as it was added."""
    index = filled(stream)
    total = sum(match.score for match in by_force(stream, query))
    assert len(index) == len(stream)
    assert index.mean_score(query) == pytest.approx(total / len(stream) if stream else 0.0, rel=1e-12)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.0000001, math.nan, math.inf])
def test_a_threshold_outside_its_range_is_an_error(threshold: float) -> None:
    """A threshold is above 0 and at most 1."""
    with pytest.raises(ValueError, match="threshold"):
        Index().near("write a poem", threshold)


def test_an_empty_index_knows_nothing() -> None:
    """Without texts there is no match, near or far."""
    index = Index()
    assert len(index) == 0
    assert index.nearest("write a poem") is None
    assert index.neighbours("write a poem", 10) == []
    assert index.mean_score("write a poem") == 0.0


def test_texts_without_tokens_match_exact_copies_only() -> None:
    """Where there is nothing to compare, only the same text again is a duplicate, of its first copy."""
    index = filled(["!!!", "???", "write a poem", "!!!"])
    assert index.near("!!!", 0.7) == index.nearest("!!!") == Match("0", 1.0)
    assert index.neighbours("!!!", 10) == [Match("0", 1.0)]
    assert index.near("!!", 0.7) is None


def test_the_tokens_are_a_choice() -> None:
    """Under the published tokenizer Chinese texts have no tokens, so that only exact copies match."""
    index = Index(reference_words)
    index.add("0", "请写一首关于大海的诗。")
    assert index.nearest("请写一首关于大海的诗") is None
    assert index.nearest("请写一首关于大海的诗。") == Match("0", 1.0)


def test_adding_compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is rebuilt without a single comparison."""
    monkeypatch.setattr("engine.core.dedup.cdist", None)
    monkeypatch.setattr("engine.core.dedup.LCSseq", None)
    assert len(filled(["write a poem", "write a poem", "写一首诗"])) == 3


def test_an_index_grows_without_bounds() -> None:
    """Thousands of texts later the first and the last one are still found."""
    index = filled([f"task number {n}" for n in range(2500)])
    assert index.nearest("task number 0") == Match("0", 1.0)
    assert index.nearest("task number 2499") == Match("2499", 1.0)


def test_many_equals_keep_their_order() -> None:
    """Among hundreds of copies the earliest come first."""
    index = filled(["write a poem", "write a short poem"] * 200)
    assert [match.id for match in index.neighbours("write a poem", 300)] == [
        str(n) for n in [*range(0, 400, 2), *range(1, 200, 2)]
    ]


def test_a_vocabulary_may_be_larger_than_the_basic_plane() -> None:
    """Tokens stay distinct where their numbers pass the code points that no character has."""
    pieces = [" ".join(f"w{n + m}" for m in range(5)) for n in range(0, 60_000, 5)]
    index = filled(pieces)
    for n in (0, 409, 11_058, 11_059, 11_060, 11_468, 11_469, 11_999):
        assert index.neighbours(pieces[n], 2) == [Match(str(n), 1.0)]


@quick
@given(streams, texts)
def test_drafts_of_one_reply_are_compared_by_the_same_rules(stream: list[str], query: str) -> None:
    """The nearest among a few texts is what an index of them would find."""
    assert nearest_among(query, [(str(n), text) for n, text in enumerate(stream)]) == filled(stream).nearest(query)


def test_texts_entered_together_are_found_like_those_entered_one_by_one() -> None:
    """An index that took in thousands of texts before its first question answers as one that was asked all along."""
    source = corpus.texts(seed=7)
    texts = [next(source) for _ in range(3000)]
    together, singly = Index(), Index()
    for n, text in enumerate(texts):
        together.add(str(n), text)
        singly.add(str(n), text)
        singly.near("w1 w2", 0.9)
    for above in (0.3, 0.5, 0.7):
        for text in [*texts[::30], *(next(source) for _ in range(50))]:
            assert together.near(text, above) == singly.near(text, above)
    together.add("last", "one two three four")
    assert together.near("one two three five", 0.5) == Match("last", 0.75)


def test_texts_that_are_entered_in_parts_are_found_like_those_entered_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last part is not whole, and others were there before the first."""
    source = corpus.texts(seed=3)
    stream, queries = [next(source) for _ in range(90)], [next(source) for _ in range(30)]
    alone = filled(stream)
    monkeypatch.setattr(dedup, "MANY", 4)
    monkeypatch.setattr(dedup, "MOST", 25)
    together = filled(stream[:3])
    assert together.near(stream[0], 0.5) == Match("0", 1.0)
    for n, text in enumerate(stream[3:], 3):
        together.add(str(n), text)
    for text in (*stream, *queries):
        assert together.near(text, 0.5) == alone.near(text, 0.5)
