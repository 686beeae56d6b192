"""Score: ROUGE-L with rouge_score as the judge, chrF with sacrebleu, both equal to the last bit."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF

from engine.core.score import chrf, f_measure, rouge_l
from engine.core.text import words

quick = settings(max_examples=40, deadline=None, derandomize=True)

judge = RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=words))
english = st.sampled_from(["write", "a", "poem", "about", "the", "sea", "in", "NASA's", "style", "!"])
chinese = st.sampled_from("请写一首关于大海的诗。")
sentences = st.lists(english | chinese, max_size=25).map(" ".join)


@quick
@given(sentences, sentences)
def test_rouge_l_is_that_of_rouge_score(a: str, b: str) -> None:
    """English, Chinese and mixed texts get the very float that rouge_score computes."""
    assert rouge_l(words(a), words(b)) == judge.score(a, b)["rougeL"].fmeasure


@quick
@given(st.text(), st.text())
def test_rouge_l_is_that_of_rouge_score_for_any_text(a: str, b: str) -> None:
    """Nothing that can be typed makes the two disagree; texts without tokens score 0."""
    assert rouge_l(words(a), words(b)) == judge.score(a, b)["rougeL"].fmeasure


@quick
@given(st.integers(0, 400), st.integers(1, 400), st.integers(1, 400))
def test_the_measure_is_symmetric(lcs: int, m: int, n: int) -> None:
    """Which of two texts came first does not change a bit."""
    lcs = min(lcs, m, n)
    assert f_measure(lcs, m, n) == f_measure(lcs, n, m)


def test_the_last_bit_decides_at_the_threshold() -> None:
    """Of the 83 pairs of lengths below 60 at exactly 7/10, floats put 48 above 0.7 and 35 not, as in the published script."""
    lengths = [(m, n) for m in range(1, 60) for n in range(1, 60) if 7 * (m + n) % 20 == 0 and 7 * (m + n) <= 20 * min(m, n)]
    above = {(m, n) for m, n in lengths if f_measure(7 * (m + n) // 20, m, n) > 0.7}
    assert (len(lengths), len(above)) == (83, 48)
    assert (7, 13) in above
    assert (10, 10) not in above


sentence_chrf = CHRF()


@quick
@given(sentences, sentences)
def test_chrf_is_that_of_sacrebleu(a: str, b: str) -> None:
    """English, Chinese and mixed texts, with repeated words, get a hundredth of the very float that sacrebleu computes."""
    assert 100 * chrf(a, b) == sentence_chrf.sentence_score(a, [b]).score


@quick
@given(st.text(max_size=12), st.text(max_size=12))
def test_chrf_is_that_of_sacrebleu_for_any_text(a: str, b: str) -> None:
    """Nothing that can be typed makes the two disagree, and no text is too short."""
    assert 100 * chrf(a, b) == sentence_chrf.sentence_score(a, [b]).score


@quick
@given(st.text(alphabet="ab ", max_size=40), st.text(alphabet="ab\n", max_size=40))
def test_chrf_counts_what_repeats(a: str, b: str) -> None:
    """A text that says the same n-gram more often than the other is not paid for it twice."""
    assert 100 * chrf(a, b) == sentence_chrf.sentence_score(a, [b]).score


def test_chrf_of_lone_surrogates() -> None:
    """What a broken file may hold is a character like any other."""
    assert chrf("a\ud800b", "a\ud800b") == 1.0


def test_chrf_weighs_recall() -> None:
    """A text that lacks something scores less than one that says too much: the first is the hypothesis."""
    whole, part = "the boats come home in the evening", "the boats come home"
    assert chrf(part, whole) < chrf(whole, part) < 1.0
