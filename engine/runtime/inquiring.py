"""Inquiring: translation servers are asked which languages they have, before a run asks them for anything else.

A server that does not say is taken to have all of them: what it lacks, its answers will tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from engine.core.faults import Fault
from engine.core.language import Inquiry, Languages
from engine.runtime.lane import Lane
from engine.runtime.wire import Sender

PATIENCE = 10.0
"""Seconds for a server to tell its languages."""


async def inquire(lanes: Sequence[Lane], wire: Sender) -> dict[str, Languages]:
    """What each lane translates into what, by its vendor's list or its server's word, as far as either is known."""
    known = {lane.name: found for lane in lanes if isinstance(found := lane.provider.languages, Languages)}

    async def ask(lane: Lane, inquiry: Inquiry) -> None:
        try:
            known[lane.name] = inquiry.read(await wire.send(inquiry.request(lane.plan), PATIENCE))
        except Fault:
            pass  # nobody knows

    async with anyio.create_task_group() as tasks:
        for lane in lanes:
            if isinstance(inquiry := lane.provider.languages, Inquiry):
                tasks.start_soon(ask, lane, inquiry)
    return known
