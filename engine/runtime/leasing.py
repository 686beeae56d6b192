"""Leasing: parts of quotas and of money are journaled before anything is used of them, so that a kill can waste but never exceed.

Part of the loop; the pumps call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import anyio
from structlog.typing import FilteringBoundLogger

from engine.core import budget, lines
from engine.core.bet import Peek
from engine.core.intake import Arrival
from engine.core.quota import Draft
from engine.core.till import Bill, Till
from engine.core.types import Heard, Lease, Usage
from engine.runtime.account import Account
from engine.runtime.clock import Clock
from engine.runtime.lane import Lane
from engine.runtime.mailbox import Bell, Closed, Entry, Mailbox, nothing
from engine.runtime.wire import Sender


class Outside(Protocol):
    """The effects that asking needs."""

    @property
    def wire(self) -> Sender: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def log(self) -> FilteringBoundLogger: ...


Post: TypeAlias = Heard | Peek | Arrival
"""What the settler is sent."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Where things go: what was heard, or is being heard, and documents to the settler, leases to the scribe. The bell rings when
    anything changed; `look` is for when there may be nothing left to ask, or nobody to ask it; `hungry` for when documents may be
    read."""

    done: Mailbox[Post]
    out: Mailbox[Entry]
    bell: Bell
    look: Callable[[], None] = nothing
    hungry: Bell = field(default_factory=Bell)


class Leasing:
    """All leases of a run on their way to the disk."""

    def __init__(self, boxes: Boxes, till: Till, outside: Outside) -> None:
        self._out = boxes.out
        self._bell = boxes.bell
        self._till = till
        self._outside = outside
        self._written: list[Lease] = []
        """Handed to the scribe, and not known to last yet."""

    async def draw(self, account: Account, usage: Usage) -> None:
        """Have the leases of quotas written that this call needs; wait where that is under way already."""
        drafts = account.ledger.draw(usage, self._outside.clock.now())
        if not drafts:
            await self._bell.wait()
        for draft in drafts:
            await self._quota(account, draft)

    async def afford(self, lane: Lane, bill: Bill) -> bool:
        """Whether there is money for a request, and no time has passed meanwhile. If not: has its leases written, waits for what
        may change that, or closes what has none left."""
        short = self._till.short(bill)
        drawn = self._till.draw(bill)
        for lease in drawn:
            await self._money(lease)
        if short is None:
            return not drawn
        if short.why is budget.Why.SPENT:
            reason = self._till.close(short, bill)
            self._outside.log.warning("budget_spent", measure=short.measure, reason=reason)
            if short.measure == budget.of_lane(lane.name):
                lane.close(reason)
        elif not drawn:  # with something drawn time may have passed, and the bell have rung
            await self._bell.wait()
        return False

    async def give_back(self, accounts: Iterable[Account]) -> None:
        """At the end, when no call is in flight: what was drawn and not used is not lost."""
        with anyio.CancelScope(shield=True):
            while self._written and not self._out.closed:
                await self._bell.wait()
            for account in accounts:
                for draft in account.ledger.returned():
                    await self._quota(account, draft)
            for lease in self._till.give_back():
                await self._money(lease)

    async def _quota(self, account: Account, draft: Draft) -> None:
        grant = (lambda: account.ledger.grant(draft)) if draft.amount > 0 else nothing
        await self._write(account.lanes[0].name, draft, grant)

    async def _money(self, drawn: budget.Lease) -> None:
        await self._write(drawn.lane, drawn, lambda: self._till.grant(drawn))

    async def _write(self, lane: str, drawn: Draft | budget.Lease, grant: Callable[[], None]) -> None:
        """Nothing is used of a lease before it lasts, when `grant` is called."""
        t = self._outside.clock.utc()
        lease = Lease(measure=drawn.measure, lane=lane, amount=drawn.amount, rest=drawn.rest, t=t)

        def lasts() -> None:
            self._written.remove(lease)
            grant()
            self._bell.ring()

        self._written.append(lease)
        try:
            await self._out.put(Entry(lines.write_lease(lease), lasts))
        except Closed:
            pass  # the scribe is gone, and its error ends the run
