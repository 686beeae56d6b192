"""Feeding: the user's documents on their way from the disk to the settler, read in batches off the loop, a bounded number ahead.

Part of the loop; owned by the scheduler, which ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from engine.core.agenda import Agenda
from engine.core.documents import Document
from engine.core.faults import EngineError
from engine.core.intake import Arrival, Intake
from engine.runtime.clock import Clock
from engine.runtime.judging import Worker
from engine.runtime.leasing import Boxes
from engine.runtime.mailbox import Closed

Read: TypeAlias = Callable[[int], list[Document]]
"""Up to so many documents more, none at the end; blocks on the disk, and raises `PlanError`."""


class Library(Protocol):
    """The effects that feeding needs. `documents` is `None` where nothing is to be read."""

    @property
    def documents(self) -> Read | None: ...
    @property
    def worker(self) -> Worker: ...
    @property
    def clock(self) -> Clock: ...


class Feeding:
    """One reader. Whoever takes or settles documents rings `boxes.hungry`; `fail` is told of an input that cannot be read on."""

    def __init__(self, agenda: Agenda, library: Library, boxes: Boxes, fail: Callable[[EngineError], None]) -> None:
        self._agenda = agenda
        self._library = library
        self._boxes = boxes
        self._fail = fail

    async def run(self) -> None:
        """Until every document is read."""
        intake, read = self._agenda.intake, self._library.documents
        if intake is None or read is None:
            return
        try:
            while not intake.exhausted:
                if (room := intake.room(self._agenda.in_flight)) <= 0:
                    await self._boxes.hungry.wait()
                    continue
                await self._pass_on(intake, await self._library.worker(read, room))
        except EngineError as error:
            self._fail(error)
        except Closed:
            return  # the settler is gone, and its error ends the run
        self._boxes.look()
        self._boxes.bell.ring()

    async def _pass_on(self, intake: Intake, documents: list[Document]) -> None:
        intake.expect(len(documents))
        for document in documents:
            await self._boxes.done.put(Arrival(document, self._library.clock.utc()))
