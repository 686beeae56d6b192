"""Track: the requests of one step, by number; and the requests of all steps that wait for their next attempt.

Pure; the parts that the agenda is made of, and nobody else's.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from engine.core.recipe import GROW, INPUT, Step
from engine.core.types import Item, LaneView, Request, Settled

AVOID = 5.0
"""Seconds for which a retry waits for another lane than the one that failed it."""


def _due(due: float, request: Request, lane: LaneView) -> float:
    return due + AVOID if request.avoid == lane.name and not lane.alone else due


class Frontier:
    """A set of numbers that fills up from 0: the lowest missing one, and those above it."""

    def __init__(self, low: int = 0, above: Iterable[int] = ()) -> None:
        self.low = low
        self._above = set(above)

    def __len__(self) -> int:
        return self.low + len(self._above)

    def copy(self) -> Frontier:
        return Frontier(self.low, self._above)

    def __contains__(self, number: int) -> bool:
        return number < self.low or number in self._above

    def add(self, number: int) -> None:
        self._above.add(number)
        while self.low in self._above:
            self._above.remove(self.low)
            self.low += 1


class Queue:
    """Numbers that wait to be asked, the lowest first, apart by the engine that must not answer them."""

    def __init__(self) -> None:
        self._heaps: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def push(self, number: int, unlike: str) -> None:
        heapq.heappush(self._heaps.setdefault(unlike, []), number)

    def first(self, engine: str | None, settled: Frontier) -> tuple[int, str] | None:
        """The lowest number that the engine may answer (`None`: any), with who may not; what is settled is dropped."""
        best: tuple[int, str] | None = None
        for unlike, heap in self._heaps.items():
            while heap and heap[0] in settled:
                heapq.heappop(heap)
            if heap and (not unlike or unlike != engine) and (best is None or heap[0] < best[0]):
                best = heap[0], unlike
        return best

    def pop(self, unlike: str) -> None:
        heapq.heappop(self._heaps[unlike])

    def unlike(self) -> Iterator[str]:
        """Engines that must not answer something that waits."""
        return (unlike for unlike, heap in self._heaps.items() if unlike and heap)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is needed to ask again: the item that the question was about, the lane that failed it, how often it had been tried."""

    item: Item
    lane: str
    try_: int
    unlike: str


@dataclass(slots=True)
class Track:
    """One step's requests: which are settled, which items wait to be asked about."""

    step: Step
    depth: int
    apart: bool = False
    """Whether who answered the item's own step must not answer this one."""
    settled: Frontier = field(default_factory=Frontier)
    items: dict[int, Item] = field(default_factory=dict)
    """Unsettled items of the step that is asked about, by index; an item is freed when it settles."""
    count: int = 0
    """Items that have come so far: the index of the next one."""
    cursor: int = 0
    """Everything below was asked, or settled in an earlier life."""
    failed: dict[int, Failure] = field(default_factory=dict)
    """Requests that settled with a fault and may be asked again."""
    queue: Queue = field(default_factory=Queue)
    """In place of the cursor, where items wait in no order, or not for everybody."""
    unlike: dict[int, str] = field(default_factory=dict)
    """Engines that must not answer unsettled requests."""

    @property
    def grows(self) -> bool:
        return self.step.source is GROW

    @property
    def fed(self) -> bool:
        return self.step.source is INPUT

    def come(self, item: Item, index: int | None = None, unlike: str = "") -> None:
        """An item waits to be asked about, as the next one, or under its own number."""
        if index is None:
            index, self.count = self.count, self.count + 1
        self.items[index] = item
        if unlike:
            self.unlike[index] = unlike
        if self.fed or self.apart:
            self.queue.push(index, unlike)

    def settle(self, settled: Settled) -> Item:
        """Mark a request as settled; returns the item that it is about, which waits no longer. Raises `ValueError` where the
        answer is not one that this step waits for."""
        index, failure = settled.index, self.failed.pop(settled.index, None)
        if settled.again and failure is None:
            raise ValueError(f"{settled.step}/{index} was never settled with a fault")
        if index in self.settled and not settled.again:
            raise ValueError(f"{settled.step}/{index} is settled twice")
        item = self.about(index) if failure is None else failure.item
        if not item and self.fed:
            item = settled.item or {}
        if item.get("id") != settled.of:
            raise ValueError(f"{settled.step}/{index} is about {settled.of!r}, not {item.get('id')!r}")
        self.items.pop(index, None)
        self.settled.add(index)
        if self.apart:
            self.queue.first(None, self.settled)  # while a journal is read nobody else drops what is settled
        unlike = self.unlike.pop(index, "") if failure is None else failure.unlike
        if settled.fault is not None:
            self.failed[index] = Failure(item, settled.lane, settled.try_, unlike)
        return item

    def about(self, index: int) -> Item:
        """The item of a request that is unsettled, or failed; empty for a step that grows."""
        failure = self.failed.get(index)
        return failure.item if failure is not None else self.items.get(index, {})

    def busy(self, limit: int) -> bool:
        """Whether items below the limit wait for an answer."""
        if self.fed:
            return bool(self.items)
        return next(iter(self.items), self.count) < min(self.count, limit)

    def open(self, limit: int, engine: str | None = None) -> bool:
        """Whether there is an item below the limit that nobody asked about yet, and that the engine may be asked about."""
        if self.grows:
            return False
        if self.fed or self.apart:
            return self.queue.first(engine, self.settled) is not None
        limit = min(self.count, limit)
        while self.cursor < limit and self.cursor in self.settled:
            self.cursor += 1
        return self.cursor < limit

    def take(self, engine: str | None = None) -> Request:
        """The request whose turn it is; after `open`."""
        if self.fed or self.apart:
            first = self.queue.first(engine, self.settled)
            assert first is not None
            index, unlike = first
            self.queue.pop(unlike)
        else:
            while self.grows and self.cursor in self.settled:
                self.cursor += 1
            index, unlike = self.cursor, ""
            self.cursor += 1
        item = self.about(index)
        return Request(step=self.step.name, index=index, of=item.get("id"), item=item, unlike=unlike)

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
                unlike=failure.unlike,
            )
            for index, failure in self.failed.items()
        ]


class Retries:
    """Requests that wait for their next attempt, by role, step and who must not answer them, the first one due on top."""

    def __init__(self) -> None:
        self._heaps: defaultdict[tuple[str, str, str], list[tuple[float, int, Request]]] = defaultdict(list)
        self._order = 0

    def __bool__(self) -> bool:
        return any(self._heaps.values())

    def push(self, role: str, due: float, request: Request) -> None:
        self._order += 1
        heapq.heappush(self._heaps[role, request.step, request.unlike], (due, self._order, request))

    def pop(self, lane: LaneView, now: float) -> Request | None:
        """The first one that is due for this lane. One that should go elsewhere is in nobody's way for long: see `AVOID`."""
        for heap in self._mine(lane):
            if _due(heap[0][0], heap[0][2], lane) <= now:
                return heapq.heappop(heap)[2]
        return None

    def waits(self, roles: Set[str]) -> bool:
        """Whether there is one of these roles, due or not."""
        return any(heap for (role, _, _), heap in self._heaps.items() if role in roles)

    def drop(self, step: str) -> None:
        """Forget a step's requests."""
        for key in [key for key in self._heaps if key[1] == step]:
            del self._heaps[key]

    def due(self, lane: LaneView) -> float:
        """When the next one that this lane may take is due; `inf` without one."""
        return min((_due(heap[0][0], heap[0][2], lane) for heap in self._mine(lane)), default=math.inf)

    def unlike(self) -> Iterator[tuple[str, str]]:
        """Steps with the engines that must not answer something that waits."""
        return ((step, unlike) for (_, step, unlike), heap in self._heaps.items() if unlike and heap)

    def _mine(self, lane: LaneView) -> Iterator[list[tuple[float, int, Request]]]:
        for (role, step, unlike), heap in self._heaps.items():
            if heap and role in lane.roles and step not in lane.lacks and (not unlike or unlike != lane.engine):
                yield heap
