"""Settling: one thing after the other that was sent to the settler becomes lines on their way to the scribe.

Part of the loop; owned by the scheduler. It is the only task that touches agenda and index but for the pumps' `next`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from engine.core.bet import Peek
from engine.core.faults import EngineError
from engine.core.settler import Settler
from engine.runtime.judging import Judging, Worker
from engine.runtime.leasing import Boxes, Post
from engine.runtime.mailbox import Closed, Entry, Turn


class Settling:
    """`fail` is told of a mistake of the user's, which ends the run in order."""

    def __init__(self, settler: Settler, worker: Worker, boxes: Boxes, fail: Callable[[EngineError], None]) -> None:
        self._settler = settler
        self._judging = Judging(settler, worker)
        self._boxes = boxes
        self._fail = fail

    async def run(self) -> None:
        """Until nothing more can be sent here, and all of it is settled."""
        boxes, intake = self._boxes, self._settler.agenda.intake
        with anyio.CancelScope(shield=True):
            turn = Turn()
            try:
                while batch := await boxes.done.take():
                    waiting = deque(batch)
                    while waiting:
                        await turn.end()
                        await self._settle(waiting.popleft())
                        if intake is not None:
                            waiting.extendleft(reversed(intake.released()))
                    boxes.look()
                    boxes.bell.ring()
                    boxes.hungry.ring()
            except Closed:
                pass  # the scribe is gone, and its error ends the run
            finally:
                boxes.done.close()
                boxes.out.close()

    async def _settle(self, post: Post) -> None:
        if isinstance(post, Peek):
            await self._judging.look(post)
            return
        try:
            judgement = await self._judging.verdict(post)
        except EngineError as error:  # a filter of the user's: what else has arrived is settled first
            self._fail(error)
            return
        for line in self._settler.decide(post, judgement, anyio.current_time()):
            await self._boxes.out.put(Entry(line))
