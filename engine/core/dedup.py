"""Index: finds the nearest text by ROUGE-L among all that were added, with exactly `rouge_score`'s decisions.

Pure, synchronous, one owner. Adding never compares, so an index is rebuilt from a journal at reading speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from engine.core.text import words

_FIRST_SURROGATE, _AFTER_SURROGATES = 0xD800, 0xE000


class Match(NamedTuple):
    """A neighbour: its id and the ROUGE-L F1 against the text that was asked for. An exact copy without tokens scores 1.0."""

    id: str
    score: float


class Index:
    """All texts seen so far, each as a string with one character a token, so that the longest common subsequence of two
    texts is a bit-parallel search (Hyyrö 2004, as rapidfuzz does it).

    `tokens` says what a token is; `engine.core.text.words` by default.
    """

    def __init__(self, tokens: Callable[[str], list[str]] = words) -> None:
        self._tokens = tokens
        self._alphabet: dict[str, int] = {}
        self._ids: list[str] = []
        self._codes: list[str] = []
        self._lengths = np.zeros(1024, dtype=np.float64)
        self._without_tokens: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._ids) + len(self._without_tokens)

    def add(self, id: str, text: str) -> None:
        """Take `text` in under `id`, without looking at its neighbours."""
        tokens = self._tokens(text)
        if not tokens:
            self._without_tokens.setdefault(text, id)
            return
        size = len(self._ids)
        if size == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros(size, dtype=np.float64)])
        self._lengths[size] = len(tokens)
        self._ids.append(id)
        self._codes.append(self._encode(tokens, self._learn))

    def nearest(self, text: str) -> Match | None:
        """The best match, the earliest of equals; `None` where nothing shares a token with `text`."""
        tokens = self._tokens(text)
        if not tokens:
            copy = self._without_tokens.get(text)
            return Match(copy, 1.0) if copy is not None else None
        if not self._ids:
            return None
        scores = self._scores(tokens)
        best = int(scores.argmax())
        return Match(self._ids[best], float(scores[best])) if scores[best] > 0 else None

    def near(self, text: str, above: float) -> Match | None:
        """The best match if its score is greater than `above`. `above` outside (0, 1]: `ValueError`."""
        if not 0 < above <= 1:
            raise ValueError(f"a threshold must be above 0 and at most 1, not {above}")
        match = self.nearest(text)
        return match if match is not None and (match.score > above or not self._tokens(text)) else None

    def neighbours(self, text: str, k: int) -> list[Match]:
        """The `k` best matches with a score above 0, best first, earlier ones first among equals."""
        tokens = self._tokens(text)
        if not tokens or not self._ids:
            match = self.nearest(text)
            return [match][:k] if match else []
        scores = self._scores(tokens)
        order = np.argsort(-scores, kind="stable")[:k]
        return [Match(self._ids[i], float(scores[i])) for i in order if scores[i] > 0]

    def mean_score(self, text: str) -> float:
        """Mean ROUGE-L F1 against everything in the index, as the published rows carry it."""
        tokens = self._tokens(text)
        return float(self._scores(tokens).sum()) / len(self) if tokens and len(self) else 0.0

    def _scores(self, tokens: list[str]) -> NDArray[np.float64]:
        query = self._encode(tokens, lambda token: self._alphabet.get(token, -1))
        lcs = cdist([query], self._codes, scorer=LCSseq.similarity, dtype=np.int32)[0].astype(np.float64)
        return _f_measures(lcs, self._lengths[: len(self._codes)], len(tokens))

    def _learn(self, token: str) -> int:
        return self._alphabet.setdefault(token, len(self._alphabet))

    @staticmethod
    def _encode(tokens: list[str], number: Callable[[str], int]) -> str:
        """One character a token. Numbers from 0 up, surrogates left out; -1 (never seen) is a character that no text has."""
        codes = (number(token) + 1 for token in tokens)
        return "".join(chr(c if c < _FIRST_SURROGATE else c - _FIRST_SURROGATE + _AFTER_SURROGATES) for c in codes)


def _f_measures(lcs: NDArray[np.float64], lengths: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """`f_measure` of many pairs at once: the same operations in the same order on doubles, hence the same bits."""
    precision, recall = lcs / lengths, lcs / length
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)


def nearest_among(text: str, others: list[tuple[str, str]], tokens: Callable[[str], list[str]] = words) -> Match | None:
    """The best match among a few `(id, text)` pairs, by the rules of `Index.nearest`: for the drafts of one reply."""
    index = Index(tokens)
    for id, other in others:
        index.add(id, other)
    return index.nearest(text)
