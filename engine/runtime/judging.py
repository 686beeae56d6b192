"""Judging: the heavy part of settling an answer or a document, on the loop while it is quick, and off it once it is not.

For the scheduler's settling task, which judges one thing at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio

from engine.core.bet import Peek
from engine.core.intake import Arrival
from engine.core.settler import Judgement, Settler
from engine.core.types import Heard
from engine.runtime.mailbox import SLOW

A = TypeVar("A")
B = TypeVar("B")


class Worker(Protocol):
    """Runs a blocking function off the loop; tests run it inline."""

    async def __call__(self, function: Callable[[A], B], argument: A, /) -> B: ...


async def in_thread(function: Callable[[A], B], argument: A, /) -> B:
    return await anyio.to_thread.run_sync(function, argument)


class Judging:
    """One owner: the settling task."""

    def __init__(self, settler: Settler, worker: Worker) -> None:
        self._settler = settler
        self._worker = worker
        self.took = 0.0
        """Seconds that judging one takes, a running mean."""

    async def verdict(self, arrival: Heard | Arrival) -> Judgement:
        """On the loop while that is quick; in a thread once the index is so large, or texts are so long, that it is not."""
        verdict, took = await self._worker(self._timed, arrival) if self.took > SLOW else self._timed(arrival)
        self.took += 0.1 * (took - self.took)
        return verdict

    async def look(self, peek: Peek) -> None:
        """Judge what has come of an answer that is still coming."""
        if self.took > SLOW:
            await self._worker(self._settler.look, peek)
        else:
            self._settler.look(peek)
        peek.waits = False

    def _timed(self, arrival: Heard | Arrival) -> tuple[Judgement, float]:
        began = time.perf_counter()
        verdict = self._settler.judge(arrival)
        return verdict, time.perf_counter() - began
