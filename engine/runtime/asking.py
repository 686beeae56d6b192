"""Asking: the pumps, one an account, and the calls that they start. What was heard goes to the settler's mailbox.

Part of the loop; owned by the scheduler, which says when to stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from structlog.typing import FilteringBoundLogger

from engine.core import budget, lines
from engine.core.faults import Fault, FaultKind
from engine.core.quota import Draft, Ticket
from engine.core.settler import Settler
from engine.core.till import Bill, Till
from engine.core.types import Heard, LaneView, Lease, Reply, Request, Usage, total
from engine.runtime.account import Account, Lane, view
from engine.runtime.clock import Clock
from engine.runtime.mailbox import Bell, Closed, Entry, Mailbox, Turn, nothing
from engine.runtime.wire import Sender


class Outside(Protocol):
    """The effects that asking needs."""

    @property
    def wire(self) -> Sender: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def log(self) -> FilteringBoundLogger: ...


@dataclass(frozen=True, slots=True)
class Boxes:
    """Where things go: what was heard to the settler, leases to the scribe. The bell rings when anything changed; `look` is for
    when there may be nothing left to ask, or nobody to ask it."""

    done: Mailbox[Heard]
    out: Mailbox[Entry]
    bell: Bell
    look: Callable[[], None] = nothing


class Asking:
    """All pumps and calls of a run. `timeout` is for one attempt, in seconds."""

    def __init__(
        self, accounts: Sequence[Account], settler: Settler, boxes: Boxes, outside: Outside, timeout: float, till: Till
    ) -> None:
        self._accounts = accounts
        self._lanes = [lane for account in accounts for lane in account.lanes]
        self._settler = settler
        self._agenda = settler.agenda
        self._done = boxes.done
        self._out = boxes.out
        self._bell = boxes.bell
        self._look = boxes.look
        self._till = till
        self._leases: list[Lease] = []
        """On their way to the disk."""
        self._outside = outside
        self._timeout = timeout
        self._open = True

    def stop(self) -> None:
        """Ask nothing more; `run` returns when the calls in flight have ended."""
        self._open = False
        self._bell.ring()

    async def run(self) -> None:
        """Until stopped. Cancelled, each call in flight hands over what it knows."""
        async with anyio.create_task_group() as tasks:
            for account in self._accounts:
                tasks.start_soon(self._pump, account, tasks)

    async def _pump(self, account: Account, calls: TaskGroup) -> None:
        """Ask the agenda whenever the account has room. A request in hand is given back if the run stops meanwhile."""
        turn = Turn()
        while self._open:
            now = anyio.current_time()
            wait = account.opening(now) if not self._done.full else math.inf
            if wait > 0:
                await self._bell.wait(wait)
            elif (chosen := self._choose(account, now)) is None:
                views = [self._view(lane) for lane in account.lanes if lane.closed is None]
                await self._bell.wait(min((self._agenda.due(lane) for lane in views), default=math.inf) - now)
            elif admitted := await self._admitted(account, *chosen):
                calls.start_soon(self._call, account, *chosen, *admitted)
                await turn.end()  # here and nowhere else: from the loop's condition to a wait for the bell there is no await

    def _view(self, lane: Lane) -> LaneView:
        return self._till.narrowed(view(lane, self._lanes))

    def _choose(self, account: Account, now: float) -> tuple[Lane, Request] | None:
        for lane in account.lanes:
            if lane.closed is None and (request := self._agenda.next(self._view(lane), now)) is not None:
                return lane, self._settler.composed(request, lane.style)
        return None

    async def _admitted(self, account: Account, lane: Lane, request: Request) -> tuple[Ticket, Bill] | None:
        """The charge for a request, as soon as the account has room for its real weight and there is money for its worst cost;
        `None` if it was given back."""
        usage = account.weigh(lane, request.calls[len(request.heard) :])
        bill = self._till.bill(lane.name, request.step, request.calls[len(request.heard) :], lane.provider.weigh)
        while self._open and lane.closed is None and self._till.serves(bill):
            if (wait := account.opening(anyio.current_time())) > 0:
                await self._bell.wait(wait)
                continue
            if account.ledger.lacks(usage):
                await self._draw(account, usage)
                continue
            if not await self._affordable(lane, bill):
                continue
            await account.space()
            if self._open and lane.closed is None and account.opening(anyio.current_time()) <= 0 and not self._till.short(bill):
                return account.ledger.charge(usage, anyio.current_time()), self._till.reserve(bill)
        self._agenda.give_back(request, anyio.current_time())
        self._bell.ring()  # the pump that can take it now may be waiting for nothing else
        self._look()
        return None

    async def _affordable(self, lane: Lane, bill: Bill) -> bool:
        """Whether there is money for a request. If not: has its leases written, waits for what may change that, or closes what
        has none left."""
        short = self._till.short(bill)
        drawn = self._till.draw(bill)
        for lease in drawn:
            await self._lease_money(lease)
        if short is None:
            return True
        if short.why is budget.Why.SPENT:
            reason = self._till.close(short, bill)
            self._outside.log.warning("budget_spent", measure=short.measure, reason=reason)
            if short.measure == budget.of_lane(lane.name):
                lane.close(reason)
        elif not drawn:
            await self._bell.wait()
        return False

    async def _draw(self, account: Account, usage: Usage) -> None:
        """Have the leases written that this call needs; wait where that is under way already."""
        drafts = account.ledger.draw(usage, anyio.current_time())
        if not drafts:
            await self._bell.wait()
        for draft in drafts:
            await self._lease_quota(account, draft)

    async def _lease_quota(self, account: Account, draft: Draft) -> None:
        t, first = self._outside.clock.utc(), account.lanes[0].name
        lease = Lease(measure=draft.measure, lane=first, amount=draft.amount, rest=draft.rest, t=t)
        await self._lease(lease, (lambda: account.ledger.grant(draft)) if draft.amount > 0 else nothing)

    async def _lease_money(self, drawn: budget.Lease) -> None:
        t = self._outside.clock.utc()
        lease = Lease(measure=drawn.measure, lane=drawn.lane, amount=drawn.amount, rest=drawn.rest, t=t)
        await self._lease(lease, lambda: self._till.grant(drawn))

    async def _lease(self, lease: Lease, grant: Callable[[], None]) -> None:
        """Have a lease written. Nothing is used of it before it lasts, when `grant` is called."""

        def lasts() -> None:
            self._leases.remove(lease)
            grant()
            self._bell.ring()

        self._leases.append(lease)
        try:
            await self._out.put(Entry(lines.write_lease(lease), lasts))
        except Closed:
            pass  # the scribe is gone, and its error ends the run

    async def give_leases_back(self) -> None:
        """At the end, when no call is in flight: what was drawn and not used is not lost."""
        with anyio.CancelScope(shield=True):
            while self._leases and not self._out.closed:
                await self._bell.wait()
            for account in self._accounts:
                for draft in account.ledger.returned():
                    await self._lease_quota(account, draft)
            for lease in self._till.give_back():
                await self._lease_money(lease)

    async def _call(self, account: Account, lane: Lane, request: Request, ticket: Ticket, bill: Bill) -> None:
        """The attempts of one request, one after the other, up to its first fault. What was heard is handed over in any case,
        and only then is the slot free: a settler that is behind holds back new calls."""
        clock = self._outside.clock
        began, t = clock.awake(), clock.utc()
        replies = list(request.heard)
        fault: Fault | None = Fault(FaultKind.NETWORK, "interrupted after it was sent", billed=True)
        try:
            for call in request.calls[len(replies) :]:
                outcome = await account.attempt(lane, call, self._outside.wire, self._timeout, clock.utc)
                self._learn(account, lane, outcome)
                if isinstance(outcome, Fault):
                    fault = outcome
                    break
                replies.append(outcome)
            else:
                fault = None
        finally:
            fresh = replies[len(request.heard) :]
            usage = total([reply.usage for reply in fresh]) if fault is None else None
            heard = Heard(
                request=replace(request, heard=tuple(replies)),
                lane=lane.name,
                t=t,
                replies=tuple(replies),
                fault=fault,
                seconds=clock.awake() - began,
                before=len(request.heard),
                cost=self._till.settle(bill, fresh, fault),
            )
            with anyio.CancelScope(shield=True):
                await self._hand_over(heard)
            account.ledger.settle(ticket, usage)

    def _learn(self, account: Account, lane: Lane, outcome: Reply | Fault) -> None:
        account.learn(lane, outcome, anyio.current_time())
        if isinstance(outcome, Fault):
            log = self._outside.log
            log.debug("fault", lane=lane.name, kind=outcome.kind, detail=outcome.detail, retry_after=outcome.retry_after)
            if lane.closed is not None:
                log.warning("lane_closed", lane=lane.name, reason=lane.closed)

    async def _hand_over(self, heard: Heard) -> None:
        try:
            await self._done.put(heard)
        except Closed:
            pass  # the settler is gone, and its error ends the run: this answer is asked for again in the next one
