"""Track: the requests of one step, by number; and the requests of all steps that wait for their next attempt.

Pure; the parts that the agenda is made of, and nobody else's.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass, field

from engine.core.recipe import GROW, Step
from engine.core.types import Item, LaneView, Request, Settled

AVOID = 5.0
"""Seconds for which a retry waits for another lane than the one that failed it."""


def _due(due: float, request: Request, lane: LaneView) -> float:
    return due + AVOID if request.avoid == lane.name and not lane.alone else due


class Frontier:
    """A set of numbers that fills up from 0: the lowest missing one, and those above it."""

    def __init__(self) -> None:
        self.low = 0
        self._above: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number < self.low or number in self._above

    def add(self, number: int) -> None:
        self._above.add(number)
        while self.low in self._above:
            self._above.remove(self.low)
            self.low += 1


@dataclass(frozen=True, slots=True)
class Failure:
    """What is needed to ask again: the item that the question was about, the lane that failed it, how often it had been tried."""

    item: Item
    lane: str
    try_: int


@dataclass(slots=True)
class Track:
    """One step's requests: which are settled, which items wait to be asked about."""

    step: Step
    depth: int
    settled: Frontier = field(default_factory=Frontier)
    items: dict[int, Item] = field(default_factory=dict)
    """Unsettled items of the step that is asked about, by index; an item is freed when it settles."""
    count: int = 0
    """Items that have come so far: the index of the next one."""
    cursor: int = 0
    """Everything below was asked, or settled in an earlier life."""
    failed: dict[int, Failure] = field(default_factory=dict)
    """Requests that settled with a fault and may be asked again."""

    @property
    def grows(self) -> bool:
        return self.step.source is GROW

    def settle(self, settled: Settled) -> Item:
        """Mark a request as settled; returns the item that it is about, which waits no longer. Raises `ValueError` where the
        answer is not one that this step waits for."""
        index, failure = settled.index, self.failed.pop(settled.index, None)
        if settled.again and failure is None:
            raise ValueError(f"{settled.step}/{index} was never settled with a fault")
        if index in self.settled and not settled.again:
            raise ValueError(f"{settled.step}/{index} is settled twice")
        item = self.about(index) if failure is None else failure.item
        if item.get("id") != settled.of:
            raise ValueError(f"{settled.step}/{index} is about {settled.of!r}, not {item.get('id')!r}")
        self.items.pop(index, None)
        self.settled.add(index)
        if settled.fault is not None:
            self.failed[index] = Failure(item, settled.lane, settled.try_)
        return item

    def about(self, index: int) -> Item:
        """The item of a request that is unsettled, or failed; empty for a step that grows."""
        failure = self.failed.get(index)
        return failure.item if failure is not None else self.items.get(index, {})

    def busy(self, limit: int) -> bool:
        """Whether items below the limit wait for an answer."""
        return next(iter(self.items), self.count) < min(self.count, limit)

    def open(self, limit: int) -> bool:
        """Whether there is an item below the limit that nobody asked about yet."""
        if self.grows:
            return False
        limit = min(self.count, limit)
        while self.cursor < limit and self.cursor in self.settled:
            self.cursor += 1
        return self.cursor < limit

    def take(self) -> Request:
        """The request at the cursor, which moves on."""
        while self.grows and self.cursor in self.settled:
            self.cursor += 1
        index = self.cursor
        self.cursor += 1
        item = self.about(index)
        return Request(step=self.step.name, index=index, of=item.get("id"), item=item)

    def reopen(self) -> list[Request]:
        """The requests that failed, to be asked again, of another lane where there is one."""
        if not self.grows:
            again = {index: failure.item for index, failure in self.failed.items()}
            self.items = dict(sorted({**again, **self.items}.items()))
        return [
            Request(
                step=self.step.name,
                index=index,
                try_=failure.try_,
                of=failure.item.get("id"),
                item=failure.item,
                avoid=failure.lane,
                again=True,
            )
            for index, failure in self.failed.items()
        ]


class Retries:
    """Requests that wait for their next attempt, by role, the one that is due first on top."""

    def __init__(self) -> None:
        self._heaps: defaultdict[str, list[tuple[float, int, Request]]] = defaultdict(list)
        self._order = 0

    def __bool__(self) -> bool:
        return any(self._heaps.values())

    def push(self, role: str, due: float, request: Request) -> None:
        self._order += 1
        heapq.heappush(self._heaps[role], (due, self._order, request))

    def pop(self, lane: LaneView, now: float) -> Request | None:
        """The first one that is due for this lane. One that should go elsewhere is in nobody's way for long: see `AVOID`."""
        for role in lane.roles:
            heap = self._heaps.get(role)
            if heap and _due(heap[0][0], heap[0][2], lane) <= now:
                return heapq.heappop(heap)[2]
        return None

    def waits(self, roles: Set[str]) -> bool:
        """Whether there is one of these roles, due or not."""
        return any(heap for role, heap in self._heaps.items() if role in roles)

    def drop(self, role: str, step: str) -> None:
        """Forget a step's requests."""
        self._heaps[role] = [entry for entry in self._heaps[role] if entry[2].step != step]
        heapq.heapify(self._heaps[role])

    def due(self, lane: LaneView) -> float:
        """When the next one that this lane may take is due; `inf` without one."""
        heads = (heap[0] for role, heap in self._heaps.items() if role in lane.roles and heap)
        return min((_due(due, request, lane) for due, _, request in heads), default=math.inf)
