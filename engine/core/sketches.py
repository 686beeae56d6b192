"""Sketches: what can be said of numbers and texts without number, in memory that does not grow with them.

Pure; one owner each. A fold of a journal is made of these.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import Generic, TypeVar

from engine.core.rng import digest

T = TypeVar("T")


class Sample(Generic[T]):
    """The `size` things whose ids have the smallest hashes: an even sample, the same whatever the order, and for every reader."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, str, T]] = []
        """Greatest hash first, as its negative."""
        self.seen = 0

    def add(self, id: str, thing: T) -> None:
        """Each id is added once."""
        self.seen += 1
        entry = (-int(digest(id), 16), id, thing)
        if len(self._heap) < self._size:
            heappush(self._heap, entry)
        elif entry[0] > self._heap[0][0]:
            heappushpop(self._heap, entry)

    def __len__(self) -> int:
        return len(self._heap)

    def items(self) -> list[tuple[str, T]]:
        """Ids and things in the order of their hashes, which says nothing of them: the first few are a sample, too."""
        return [(id, thing) for _, id, thing in sorted(self._heap, key=lambda entry: (-entry[0], entry[1]))]


@dataclass(slots=True)
class Histogram:
    """Counts between edges: bin n holds `edges[n] <= value < edges[n + 1]`, the last one everything from the last edge on. Values
    below the first edge are in the first bin."""

    edges: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    count: int = 0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * len(self.edges)

    def add(self, value: float) -> None:
        self.counts[max(0, bisect_right(self.edges, value) - 1)] += 1
        self.count += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)

    def as_json(self) -> dict[str, object]:
        """`bins` by name: "[5,10)" from 5 to below 10. Mean, least and most are `None` where there was nothing."""
        ends = [*(f"{edge:g})" for edge in self.edges[1:]), "inf)"]
        return {
            "count": self.count,
            "mean": round(self.total / self.count, 4) if self.count else None,
            "least": round(self.least, 4) if self.count else None,
            "most": round(self.most, 4) if self.count else None,
            "bins": {f"[{edge:g},{end}": n for edge, end, n in zip(self.edges, ends, self.counts, strict=True)},
        }


STEP = math.log(1.02)
"""Width of a bin of durations: what is told of them is right to 1 %."""
PERCENTS = (50, 90, 95, 99)


class Durations:
    """Percentiles of durations in seconds, to 1 %."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self._most = 0.0

    def add(self, seconds: float) -> None:
        self._bins[round(math.log(max(seconds, 1e-4)) / STEP)] += 1
        self._most = max(self._most, seconds)

    def percentile(self, percent: float) -> float:
        """The smallest duration that `percent` of all do not exceed (nearest rank). Raises `ValueError` where there is none."""
        if not self._bins:
            raise ValueError("there is no duration")
        left = max(1, math.ceil(self._bins.total() * percent / 100))
        for place in sorted(self._bins):
            left -= self._bins[place]
            if left <= 0:
                return min(self._most, math.exp(place * STEP))
        return self._most

    def as_json(self) -> dict[str, float | int]:
        if not self._bins:
            return {"count": 0}
        told = {f"p{percent}": round(self.percentile(percent), 3) for percent in PERCENTS}
        return {"count": self._bins.total(), **told, "most": round(self._most, 3)}


SPANS = 120
"""A timeline has at most so many."""


class Timeline:
    """Named counts over time, in spans of equal length; spans double when there are too many. Times are UTC seconds."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self._spans: dict[int, Counter[str]] = {}

    def add(self, t: float, name: str, amount: int = 1) -> None:
        place = math.floor(t / self.seconds)
        span = self._spans.get(place)
        if span is None:
            span = self._spans[place] = Counter()
            while max(self._spans) - min(self._spans) >= SPANS:
                self._double()
            span = self._spans[math.floor(t / self.seconds)]
        span[name] += amount

    def _double(self) -> None:
        before, self._spans = self._spans, {}
        self.seconds *= 2
        for place, counts in before.items():
            self._spans.setdefault(place // 2, Counter()).update(counts)

    def as_json(self) -> dict[str, object]:
        """`spans` without gaps: `t` is where each begins; names that never came are left out."""
        places = range(min(self._spans), max(self._spans) + 1) if self._spans else range(0)
        names = sorted(set().union(*self._spans.values()))
        return {
            "seconds": self.seconds,
            "spans": [
                {"t": place * self.seconds, **{name: self._spans.get(place, Counter())[name] for name in names}}
                for place in places
            ],
        }


class Tops:
    """The most frequent of many names. Exact until there are `room` different ones; later ones are counted together."""

    def __init__(self, room: int = 20_000) -> None:
        self._room = room
        self._counts: Counter[str] = Counter()
        self.other = 0

    def add(self, name: str) -> None:
        if name in self._counts or len(self._counts) < self._room:
            self._counts[name] += 1
        else:
            self.other += 1

    def __len__(self) -> int:
        """How many different ones were told apart."""
        return len(self._counts)

    def most(self, count: int) -> dict[str, int]:
        ordered = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return dict(ordered[:count])
