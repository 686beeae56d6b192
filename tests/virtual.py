"""Virtual time: an asyncio loop whose clock jumps to the next timer when nothing else can run.

A run of hours takes milliseconds and always goes the same way. Nothing ready and no timer is a deadlock, and raises.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")
TICK = 1e-6
"""Seconds that every turn of the loop takes: with a frozen clock aiolimiter would re-arm its timer for ever."""


class Deadlock(Exception):
    """Every task waits, and nothing will wake any of them."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a socket, moves the clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.turns += 1
        ready = super().select(0)
        if timeout is None and not ready:
            raise Deadlock
        self.loop.now += TICK if ready or not timeout else max(timeout, TICK)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at time 0 and counts its `turns`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run(function: Callable[[], Awaitable[T]]) -> T:
    """Run an async function in virtual time, from 0."""
    return anyio.run(function, backend_options={"loop_factory": VirtualLoop})


async def inline(function: Callable[[Any], T], argument: Any, /) -> T:
    """A worker that needs no thread: the virtual clock would take a thread's work for a deadlock."""
    result = function(argument)
    await anyio.lowlevel.checkpoint()
    return result
