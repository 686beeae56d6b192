"""Slots: tasks are used again, end when they are told to, and never keep a load that nobody carries."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from engine.runtime.slots import Slots
from tests import virtual


def test_a_task_carries_one_load_after_the_other() -> None:
    """As many tasks as there were loads at once; loads under way when it closes are carried to their end."""
    carried: list[int] = []
    tasks: set[object] = set()

    async def carry(load: int) -> None:
        tasks.add(asyncio.current_task())
        await anyio.sleep(1)
        carried.append(load)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            slots = Slots(group, carry)
            for load in range(6):
                slots.start(load)
                if load % 2:
                    await anyio.sleep(2)
            slots.start(6)
            slots.close()

    virtual.run(main)
    assert carried == list(range(7))
    assert len(tasks) == 2


def test_a_cancelled_task_takes_no_load() -> None:
    """A load that is started when all were cancelled has its own task, which hears of it at its first wait."""
    seen: list[str] = []

    async def carry(load: str) -> None:
        try:
            await anyio.sleep(1)
        except anyio.get_cancelled_exc_class():
            seen.append(load)
            raise

    async def main() -> None:
        async with anyio.create_task_group() as group:
            slots = Slots(group, carry)
            slots.start("first")
            await anyio.sleep(2)
            group.cancel_scope.cancel()
            slots.start("second")
            slots.close()

    virtual.run(main)
    assert seen == ["second"]


def test_an_error_of_a_load_ends_the_group() -> None:
    """Idle tasks end with it."""

    async def carry(load: int) -> None:
        await anyio.sleep(load)
        if load == 3:
            raise ValueError("a bug")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            slots = Slots(group, carry)
            for load in (1, 3):
                slots.start(load)

    with pytest.raises(ExceptionGroup) as raised:
        virtual.run(main)
    assert raised.group_contains(ValueError, match="a bug")
