"""Index: finds what a text resembles by ROUGE-L among all that were added, with exactly `rouge_score`'s decisions, fast.

Pure, synchronous, one owner. Adding never compares, so an index is rebuilt from a journal at reading speed. The algorithm, its
proof and its figures are in `docs/dedup.md`; the short of it stands at `Index._candidates`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from engine.core.score import f_measure
from engine.core.text import words

SLACK = 1e-9
"""At F equal to the threshold the float expression may round above it, so no bound may be strict: all of them are relaxed by this
share, far more than rounding takes and far less than one token."""

SCAN = 0.5
"""Share of all texts among the candidates from which on reading everything in order is cheaper than picking."""

FEW = 12
"""Up to so many texts are compared one by one; more go to one call that compares them together."""

MANY, MOST = 1000, 50_000
"""More texts than the first are entered into the postings together, at most the second: sorting takes a kilobyte for each."""

TABLED = 512
"""Tokens of the longest text for which bounds are looked up in tables."""

RECENT = 64
"""Texts whose tokens are remembered: the drafts of a few replies."""

LARGEST = 0x10FFFF
"""The last character. Texts with tokens numbered beyond it are kept as tuples of numbers, which rapidfuzz reads alike."""

_FIRST_SURROGATE, _SURROGATES = 0xD800, 0x800
_NEVER_SEEN = 0  # no token has this character
_BITS = 128
_HALF = (1 << 64) - 1

Code: TypeAlias = str | tuple[int, ...]
"""A text as one character a token, so that the longest common subsequence of two texts is rapidfuzz's bit-parallel search."""


class Match(NamedTuple):
    """A neighbour: its id and the ROUGE-L F1 against the text that was asked for. An exact copy without tokens scores 1.0."""

    id: str
    score: float


class Earlier(NamedTuple):
    """What an index held before a text was added to it: the best matches, best first, and the mean score against everything."""

    nearest: list[Match]
    mean: float


class Index:
    """All texts added so far.

    `tokens` says what a token is; `engine.core.text.words` by default. Texts without a token match nothing by ROUGE-L, as in
    `rouge_score`; exact copies of them are found all the same.
    """

    def __init__(self, tokens: Callable[[str], list[str]] = words) -> None:
        self._tokens = lru_cache(RECENT)(tokens)  # a text is asked about, and then added
        self._numbers: dict[str, int] = {}
        self._postings: list[array[int]] = [array("i")]
        self._counts = [0]
        """Lengths of the postings: how many texts have a token."""
        self._ids: list[str] = []
        self._codes: list[Code] = []
        self._first: dict[Code, int] = {}
        self._without_tokens: dict[str, str] = {}
        self._count = 0
        self._lengths = np.zeros(1024, dtype=np.int32)
        self._low = np.zeros(1024, dtype=np.uint64)
        self._high = np.zeros(1024, dtype=np.uint64)
        self._longest = 0
        self._tables: dict[tuple[int, float], NDArray[np.int32]] = {}
        self._unposted: list[list[int]] = []
        """Token numbers of the last texts, which are not in postings and bitmaps yet."""

    def __len__(self) -> int:
        return self._count

    def add(self, id: str, text: str) -> None:
        """Take `text` in under `id`, without looking at its neighbours."""
        tokens = self._tokens(text)
        self._count += 1
        if not tokens:
            self._without_tokens.setdefault(text, id)
            return
        place = len(self._ids)
        if place == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._low = np.concatenate([self._low, np.zeros_like(self._low)])
            self._high = np.concatenate([self._high, np.zeros_like(self._high)])
        known = self._numbers.get
        numbers = [known(token) or self._number(token) for token in tokens]
        code = _code(numbers)
        self._ids.append(id)
        self._codes.append(code)
        self._first.setdefault(code, place)
        self._lengths[place] = len(numbers)
        self._longest = max(self._longest, len(numbers))
        self._unposted.append(numbers)

    def near(self, text: str, above: float) -> Match | None:
        """The best match if its score is greater than `above`, the earliest of equals. `above` outside (0, 1]: `ValueError`."""
        if not 0 < above <= 1:
            raise ValueError(f"a threshold must be above 0 and at most 1, not {above}")
        tokens = self._tokens(text)
        if not tokens:
            return self._copy(text)
        self._post()
        numbers = self._known(tokens)
        code = _code(numbers)
        if (place := self._first.get(code)) is not None:
            return Match(self._ids[place], 1.0) if above < 1 else None
        best, score = self._best(code, self._candidates(numbers, above))
        return Match(self._ids[best], score) if score > above else None

    def nearest(self, text: str) -> Match | None:
        """The best match, the earliest of equals; `None` where nothing shares a token with `text`."""
        for above in (0.7, 0.4):  # a near one is found without reading everything
            if (match := self.near(text, above)) is not None:
                return match
        return next(iter(self.neighbours(text, 1)), None)

    def neighbours(self, text: str, k: int) -> list[Match]:
        """The `k` best matches with a score above 0, best first, earlier ones first among equals. Reads the whole index."""
        tokens = self._tokens(text)
        if not tokens:
            copy = self._copy(text)
            return [copy][:k] if copy is not None else []
        scores = _scores(_code(self._known(tokens)), self._codes, self._lengths[: len(self._codes)])
        return [Match(self._ids[place], float(scores[place])) for place in _top(scores, k)]

    def mean_score(self, text: str) -> float:
        """Mean ROUGE-L F1 against everything in the index, as the published rows carry it. Reads the whole index."""
        tokens = self._tokens(text)
        if not tokens or not len(self):
            return 0.0
        scores = _scores(_code(self._known(tokens)), self._codes, self._lengths[: len(self._codes)])
        return float(scores.sum()) / len(self)

    def offer(self, texts: Iterable[tuple[str, str]], above: float) -> list[Match | None]:
        """Check each `(id, text)` and add it if nothing is near: each sees those before it. A match says why one was left out."""
        matches: list[Match | None] = []
        for id, text in texts:
            match = self.near(text, above)
            if match is None:
                self.add(id, text)
            matches.append(match)
        return matches

    # Finding

    def _candidates(self, numbers: list[int], above: float) -> list[int]:
        """Places of all texts that could score above the threshold, and of few others.

        Let n and m be the lengths. F > t needs LCS >= t/2 (n + m), the LCS is at most the number of shared tokens, and these are
        at most m; so at least s = t n / (2 - t) of the n are shared, and every match has one of any n - s + 1 of them: the
        rarest, whose postings are the shortest. Of those texts, bitmaps tell an upper bound of what is shared.
        """
        postings, n = self._postings, len(numbers)
        rarest = set(sorted(numbers, key=self._counts.__getitem__)[: n - _ceil(above * n / (2 - above)) + 1])
        count, size = sum([self._counts[number] for number in rarest]), len(self._ids)
        if count <= FEW:  # comparing them costs less than telling which need no comparing
            return [place for number in rarest for place in postings[number]]
        places = None if count > SCAN * size else np.frombuffer(b"".join([postings[number] for number in rarest]), dtype=np.int32)
        if places is None:
            lengths, low, high = self._lengths[:size], self._low[:size], self._high[:size]
        else:
            lengths, low, high = self._lengths.take(places), self._low.take(places), self._high.take(places)
        bits = _bitmap(numbers)
        common = np.bitwise_count(low & np.uint64(bits & _HALF)) + np.bitwise_count(high & np.uint64(bits >> 64))
        # of tokens that fall on one bit the bitmap counts one: the others are taken to be shared
        hidden = n - numbers.count(_NEVER_SEEN) - bits.bit_count()
        enough = (common >= self._needed(n, above, lengths) - hidden).nonzero()[0]
        found: list[int] = (enough if places is None else places.take(enough)).tolist()
        return found

    def _needed(self, n: int, above: float, lengths: NDArray[np.int32]) -> NDArray[np.int32]:
        """`needed` of texts of these lengths, looked up in a table where all texts are short."""
        if n > TABLED or self._longest > TABLED:
            return needed(lengths, n, above)
        table = self._tables.get((n, above))
        if table is None:
            if len(self._tables) > TABLED:  # thresholds seldom change; who tries many of them shall not fill the memory
                self._tables.clear()
            table = self._tables[n, above] = needed(np.arange(TABLED + 1, dtype=np.int32), n, above)
        return table.take(lengths)

    def _best(self, code: Code, places: list[int]) -> tuple[int, float]:
        """Place and score of the best of these texts, the earliest of equals; a score of 0.0 where there is none."""
        best, score = 0, 0.0
        if len(places) > FEW:
            places = sorted(set(places))
            scores = _scores(code, [self._codes[place] for place in places], self._lengths[places])
            top = int(scores.argmax())
            return places[top], float(scores[top])
        for place in places:
            other = self._codes[place]
            this = f_measure(int(LCSseq.similarity(code, other)), len(other), len(code))
            if this > score or (this == score and place < best):
                best, score = place, this
        return best, score

    def _copy(self, text: str) -> Match | None:
        id = self._without_tokens.get(text)
        return Match(id, 1.0) if id is not None else None

    # Posting

    def _post(self) -> None:
        """Enter the texts that were added since the last question into postings and bitmaps: a few one by one, very many, as when
        a journal is read, many at once by sorting, which takes a third of the time."""
        if len(self._unposted) > MANY:
            for start in range(0, len(self._unposted), MOST):
                self._post_many(self._unposted[start : start + MOST], len(self._ids) - len(self._unposted) + start)
        else:
            for place, numbers in enumerate(self._unposted, len(self._ids) - len(self._unposted)):
                for number in set(numbers):
                    self._postings[number].append(place)
                    self._counts[number] += 1
                bits = _bitmap(numbers)
                self._low[place], self._high[place] = bits & _HALF, bits >> 64
        self._unposted.clear()

    def _post_many(self, texts: list[list[int]], first: int) -> None:
        places = slice(first, first + len(texts))
        self._low[places], self._high[places] = _bitmaps(texts, self._lengths[places])
        for number, posting in _postings(texts, first, self._lengths[places]):
            self._postings[number].frombytes(posting.tobytes())
            self._counts[number] += len(posting)

    # Numbering

    def _known(self, tokens: list[str]) -> list[int]:
        get = self._numbers.get
        return [get(token, _NEVER_SEEN) for token in tokens]

    def _number(self, token: str) -> int:
        """The token's number; a new token gets the next one, and an empty posting list."""
        number = self._numbers.setdefault(token, len(self._postings))
        if number == len(self._postings):
            self._postings.append(array("i"))
            self._counts.append(0)
        return number


def needed(lengths: NDArray[np.int32], n: int, above: float) -> NDArray[np.int32]:
    """How many tokens a text must share with one of `n` tokens to score above the threshold, by its own length; a number that is
    never reached where no text of that length can."""
    least: NDArray[np.int32] = np.ceil((lengths + n) * (above / 2 * (1 - SLACK))).astype(np.int32)
    least[least > np.minimum(lengths, n)] = np.iinfo(np.int32).max // 2
    return least


def _scores(code: Code, others: Sequence[Code], lengths: NDArray[np.int32]) -> NDArray[np.float64]:
    """`f_measure` against many texts: the same operations in the same order on doubles, hence the same bits."""
    return _measured(cdist([code], others, scorer=LCSseq.similarity, dtype=np.int32)[0], lengths, len(code))


def _measured(lcs: NDArray[np.int32], lengths: NDArray[np.int32], n: int) -> NDArray[np.float64]:
    precision, recall = lcs / lengths, lcs / n
    total = precision + recall
    scores: NDArray[np.float64] = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return scores


def _top(scores: NDArray[np.float64], k: int) -> list[int]:
    """Places of the `k` best scores above 0, best first, earlier ones first among equals."""
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= least)
    else:
        places = np.arange(len(scores))
    order: list[int] = places[np.argsort(-scores[places], kind="stable")][:k].tolist()
    return [place for place in order if scores[place] > 0]


def added(index: Index, texts: Sequence[tuple[str, str]], k: int) -> list[Earlier]:
    """Add each `(id, text)`; of each, the `k` best matches and the mean among all before it, those of `texts` included.

    The same figures as `Index.neighbours` and `Index.mean_score` before every single `add`, many times as fast: `texts` are
    compared together. It takes 4 bytes of memory for each text of the index and each of `texts`.
    """
    first, before = len(index._ids), len(index)
    earlier: list[Earlier] = []
    for id, text in texts:
        copy = index._copy(text)
        index.add(id, text)
        earlier.append(Earlier([copy][:k] if copy is not None else [], 0.0))
    if first == len(index._ids):
        return earlier
    lcs = cdist(index._codes[first:], index._codes, scorer=LCSseq.similarity, dtype=np.int32)
    place = first
    for n, (_, text) in enumerate(texts):
        if not index._tokens(text):
            continue
        scores = _measured(lcs[place - first, :place], index._lengths[:place], len(index._codes[place]))
        matches = [Match(index._ids[other], float(scores[other])) for other in _top(scores, k)]
        earlier[n] = Earlier(matches, float(scores.sum()) / (before + n) if before + n else 0.0)
        place += 1
    return earlier


def _bitmaps(texts: list[list[int]], lengths: NDArray[np.int32]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """`_bitmap` of many texts at once, in halves."""
    numbers = np.fromiter(chain.from_iterable(texts), dtype=np.uint64, count=int(lengths.sum()))
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    bits = np.uint64(1) << numbers % np.uint64(64)
    lower = numbers % np.uint64(_BITS) < 64
    low, high = (np.bitwise_or.reduceat(np.where(here, bits, np.uint64(0)), starts) for here in (lower, ~lower))
    return low, high


def _postings(texts: list[list[int]], first: int, lengths: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Each token of many texts with the places of those that have it, in order; `first` is the first text's place."""
    numbers = np.fromiter(chain.from_iterable(texts), dtype=np.int64, count=int(lengths.sum()))
    places = np.repeat(np.arange(first, first + len(texts), dtype=np.int64), lengths)
    pairs = np.unique(numbers << 32 | places)  # each token once a text
    tokens, starts = np.unique(pairs >> 32, return_index=True)
    posted = (pairs & 0xFFFFFFFF).astype(np.int32)
    for number, (start, end) in zip(tokens.tolist(), pairwise([*starts.tolist(), len(posted)]), strict=True):
        yield number, posted[start:end]


def nearest_among(text: str, others: list[tuple[str, str]], tokens: Callable[[str], list[str]] = words) -> Match | None:
    """The best match among a few `(id, text)` pairs, by the rules of `Index.nearest`: for the drafts of one reply."""
    if not others:
        return None
    index = Index(tokens)
    for id, other in others:
        index.add(id, other)
    return index.nearest(text)


def _code(numbers: list[int]) -> Code:
    """Number n is the n-th character, surrogates left out."""
    if (most := max(numbers)) < _FIRST_SURROGATE:
        return "".join(map(chr, numbers))
    points = [number if number < _FIRST_SURROGATE else number + _SURROGATES for number in numbers]
    return "".join(map(chr, points)) if most + _SURROGATES <= LARGEST else tuple(points)


def _bitmap(numbers: list[int]) -> int:
    """One bit of 128 for each token that was seen before."""
    bits = 0
    for number in numbers:
        if number:
            bits |= 1 << number % _BITS
    return bits


def _ceil(value: float) -> int:
    return math.ceil(value * (1 - SLACK))
