"""Mailbox and Bell: how tasks of one loop hand things over and wake each other, without a stream or a task for each thing.

For the scheduler; single loop, no locks.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")

SLOW = 0.005
"""Seconds that one task may hold the loop."""


class Closed(Exception):
    """The mailbox takes nothing more: whoever read it is gone, or it was closed on purpose."""


class Bell:
    """Wakes everyone who waits now. Who is late waits for the next ring: check, then wait, without an await between."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        """What those wait for who wait now; mostly it rings for nobody."""

    def ring(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self, seconds: float = math.inf) -> None:
        """Until the next ring, at most `seconds`."""
        event = self._event = self._event or anyio.Event()
        if seconds == math.inf:
            await event.wait()
            return
        with anyio.move_on_after(max(seconds, 0.0)):
            await event.wait()


class Turn:
    """Lets other tasks of the loop run once the one that owns this has worked for `SLOW` seconds without waiting."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def end(self) -> None:
        """Call it between two pieces of work; mostly it does nothing."""
        if time.perf_counter() - self._since > SLOW:
            await anyio.lowlevel.checkpoint()
            self._since = time.perf_counter()


def nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Entry:
    """Journal lines on their way to the disk, and what may happen only once they last."""

    data: bytes
    then: Callable[[], None] = nothing


class Mailbox(Generic[T]):
    """A bounded queue with many writers and one reader, which takes all there is at once. A full one makes writers wait."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._items: deque[T] = deque()
        self._closed = False
        self._filled = Bell()
        self._drained = Bell()
        self._urgent = Bell()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        return len(self._items) >= self._bound

    @property
    def closed(self) -> bool:
        return self._closed

    async def put(self, item: T) -> None:
        """Raises `Closed` where nobody will read it."""
        while self.full and not self._closed:
            await self._drained.wait()
        if self._closed:
            raise Closed
        self._items.append(item)
        self._filled.ring()
        if self.full:
            self._urgent.ring()

    def offer(self, item: T) -> bool:
        """Put it in if there is room; whether there was."""
        if self.full or self._closed:
            return False
        self._items.append(item)
        self._filled.ring()
        return True

    async def take(self, linger: float = 0.0) -> list[T]:
        """Everything that waits, at least one; an empty list once the mailbox is closed and empty. `linger` is how many seconds
        the first one may wait for others; a mailbox that is full or closed waits for none."""
        while not self._items and not self._closed:
            await self._filled.wait()
        if linger and not self.full and not self._closed:
            await self._urgent.wait(linger)
        batch = list(self._items)
        self._items.clear()
        self._drained.ring()
        return batch

    def close(self) -> None:
        """Take nothing more; what waits can still be read."""
        self._closed = True
        self._filled.ring()
        self._urgent.ring()
        self._drained.ring()
