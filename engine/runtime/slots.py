"""Slots: tasks that carry one load of calls after the other. A new task for each would cost more.

Part of the loop; owned by the asking, whose pumps start the loads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVarTuple

from anyio.abc import TaskGroup

T = TypeVarTuple("T")


class Slots(Generic[*T]):
    """As many tasks of a group as there were loads at once. The group does not end before `close`. One loop, no locks."""

    def __init__(self, tasks: TaskGroup, carry: Callable[[*T], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._carry = carry
        self._idle: list[asyncio.Future[tuple[*T] | None]] = []
        self._open = True

    def start(self, *load: *T) -> None:
        """Carry a load, in a task that is idle, or in a new one."""
        while self._idle:
            if not (idle := self._idle.pop()).done():  # one that was cancelled takes nothing more
                idle.set_result(load)
                return
        self._tasks.start_soon(self._work, load)

    def close(self) -> None:
        """Tasks end as soon as they have nothing to carry."""
        self._open = False
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)

    async def _work(self, first: tuple[*T]) -> None:
        load: tuple[*T] | None = first
        while load is not None:
            await self._carry(*load)
            if not self._open:
                return
            idle: asyncio.Future[tuple[*T] | None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            load = await idle
