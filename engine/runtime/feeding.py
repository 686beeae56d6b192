"""Feeding: the user's documents on their way from the disk to the settler, read in batches off the loop, a bounded number ahead.

Part of the loop; owned by the scheduler, which ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from engine.core.agenda import Agenda
from engine.core.documents import Document
from engine.core.intake import Arrival
from engine.runtime.clock import Clock
from engine.runtime.judging import Worker
from engine.runtime.leasing import Boxes
from engine.runtime.mailbox import Closed

Read: TypeAlias = Callable[[int], list[Document]]
"""Up to so many documents more, none at the end; blocks on the disk, and raises `PlanError`."""


class Feeding:
    """One reader. Whoever takes a document rings `boxes.hungry`; a document that is settled rings the bell like all else."""

    def __init__(self, agenda: Agenda, read: Read, boxes: Boxes, worker: Worker, clock: Clock) -> None:
        self._agenda = agenda
        self._read = read
        self._boxes = boxes
        self._worker = worker
        self._clock = clock

    async def run(self) -> None:
        """Until every document is read. Raises `PlanError` where the input cannot be read on."""
        intake = self._agenda.intake
        assert intake is not None, "only a recipe that asks about documents is fed"
        while not intake.exhausted:
            if (room := intake.room(self._agenda.in_flight)) <= 0:
                await self._boxes.hungry.wait()
                continue
            documents = await self._worker(self._read, room)
            intake.expect(len(documents))
            try:
                for document in documents:
                    await self._boxes.done.put(Arrival(document, self._clock.utc()))
            except Closed:
                return  # the settler is gone, and its error ends the run
        self._boxes.look()
        self._boxes.bell.ring()
