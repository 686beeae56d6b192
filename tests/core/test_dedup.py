"""Index: every answer equals that of a brute-force search with rouge_score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from engine.core.dedup import Index, Match, nearest_among
from engine.core.text import reference_words, words

quick = settings(max_examples=40, deadline=None, derandomize=True)

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
@given(streams, texts)
def test_near_is_strictly_above_the_threshold(stream: list[str], query: str) -> None:
    """At every score that occurs, taken as the threshold, only a better match is near."""
    assume(words(query))
    index, ranked = filled(stream), by_force(stream, query)
    best = ranked[0] if ranked else None
    assert index.nearest(query) == best
    for threshold in {0.7, 1.0, *(match.score for match in ranked)}:
        assert index.near(query, threshold) == (best if best is not None and best.score > threshold else None)


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


def test_a_vocabulary_may_be_larger_than_the_basic_plane() -> None:
    """Tokens stay distinct where their numbers pass the code points that no character has."""
    vocabulary = [f"w{n}" for n in range(60_000)]
    pieces = [" ".join(vocabulary[n : n + 5]) for n in range(55_000, 60_000, 5)]
    index = filled([" ".join(vocabulary), *pieces])
    for n in (1, 58, 59, 60, 61, 1000):
        assert index.nearest(pieces[n - 1]) == Match(str(n), 1.0)


@quick
@given(streams, texts)
def test_drafts_of_one_reply_are_compared_by_the_same_rules(stream: list[str], query: str) -> None:
    """The nearest among a few texts is what an index of them would find."""
    assert nearest_among(query, [(str(n), text) for n, text in enumerate(stream)]) == filled(stream).nearest(query)
