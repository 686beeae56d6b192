"""Asking: the pumps, one an account, and the calls that they start. What was heard goes to the settler's mailbox.

Part of the loop; owned by the scheduler, which says when to stop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from engine.core.faults import Fault, FaultKind
from engine.core.quota import Ticket
from engine.core.settler import Settler
from engine.core.till import Bill, Till
from engine.core.types import Heard, LaneView, Request, Usage, total
from engine.runtime.account import Account, Lane, view
from engine.runtime.leasing import Boxes, Leasing, Outside
from engine.runtime.listening import Listener, OnLine, nothing
from engine.runtime.mailbox import Closed, Turn
from engine.runtime.wire import Timeouts

TURNED_AWAY = (FaultKind.RATE, FaultKind.BURST, FaultKind.QUOTA, FaultKind.AUTH, FaultKind.BAD, FaultKind.TOO_BIG)
"""Faults of calls that used no tokens."""


class Asking:
    """All pumps and calls of a run. `timeouts` are for one attempt."""

    def __init__(
        self, accounts: Sequence[Account], settler: Settler, boxes: Boxes, outside: Outside, timeouts: Timeouts, till: Till
    ) -> None:
        self._accounts = accounts
        self._homes = [(account, lane) for account in accounts for lane in account.lanes]
        self._settler = settler
        self._agenda = settler.agenda
        self._done = boxes.done
        self._bell = boxes.bell
        self._hungry = boxes.hungry
        self._look = boxes.look
        self._till = till
        self._leasing = Leasing(boxes, till, outside)
        self._outside = outside
        self._timeouts = timeouts
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
                views = [self._view(lane, now) for lane in account.lanes if lane.working]
                await self._bell.wait(min((self._agenda.due(lane) for lane in views), default=math.inf) - now)
            elif isinstance(chosen, Heard):
                await self._hand_over(chosen)
                await turn.end()
            elif admitted := await self._admitted(account, *chosen):
                calls.start_soon(self._call, account, *chosen, *admitted)
                self._pass_on(account)
                await turn.end()  # here and nowhere else: from the loop's condition to a wait for the bell there is no await

    def _view(self, lane: Lane, now: float) -> LaneView:
        return self._till.narrowed(view(lane, self._homes, now))

    def _choose(self, account: Account, now: float) -> tuple[Lane, Request] | Heard | None:
        """What the account is to ask, and on which of its lanes; or what needs no call, as it is turned away before."""
        for lane in sorted(account.lanes, key=lambda lane: lane.rank):
            if lane.working and (request := self._agenda.next(self._view(lane, now), now)) is not None:
                self._hungry.ring()
                if (reason := self._settler.turned_away(request)) is not None:
                    return Heard(request, "", self._outside.clock.utc(), skipped=reason)
                return lane, self._settler.composed(request, lane.style)
        return None

    def _pass_on(self, account: Account) -> None:
        """Whoever left new work to this account may take it now that it has no room."""
        if len(self._accounts) > 1 and not account.has_room(anyio.current_time()):
            self._bell.ring()

    async def _admitted(self, account: Account, lane: Lane, request: Request) -> tuple[Ticket, Bill] | None:
        """The charge for a request, as soon as the account has room for its real weight and there is money for its worst cost;
        `None` if it was given back."""
        calls = request.calls[len(request.heard) :]
        usage = account.weigh(lane, calls)
        bill = self._till.bill(lane.name, request.step, calls, lane.provider.weigh)
        account.holding = True
        self._pass_on(account)
        try:
            ticket = await self._charged(account, lane, usage, bill)
        finally:
            account.holding = False
        if ticket is None:
            self._agenda.give_back(request, anyio.current_time())
            self._bell.ring()  # the pump that can take it now may be waiting for nothing else
            self._look()
            return None
        return ticket, bill

    async def _charged(self, account: Account, lane: Lane, usage: Usage, bill: Bill) -> Ticket | None:
        """`None` once the run stops, the account closes or parks, or its money is spent: others may have room."""
        while self._open and lane.working and self._till.serves(bill) and anyio.current_time() >= account.parked_until:
            if (wait := account.opening(anyio.current_time(), usage)) > 0:
                await self._bell.wait(wait)
                continue
            if account.ledger.lacks(usage):
                await self._leasing.draw(account, usage)
                continue
            if not await self._leasing.afford(lane, bill):
                continue
            await account.space()
            now = anyio.current_time()
            if self._open and lane.working and account.opening(now, usage) <= 0 and self._till.short(bill) is None:
                self._till.reserve(bill)
                return account.ledger.charge(usage, now)
        return None

    async def give_leases_back(self) -> None:
        """At the end, when no call is in flight: what was drawn and not used is not lost."""
        await self._leasing.give_back(self._accounts)

    async def _call(self, account: Account, lane: Lane, request: Request, ticket: Ticket, bill: Bill) -> None:
        """The attempts of one request, one after the other, up to its first fault. What was heard is handed over in any case,
        and only then is the slot free: a settler that is behind holds back new calls."""
        clock = self._outside.clock
        began, t = clock.awake(), clock.utc()
        replies = list(request.heard)
        on_line = self._peeking(request) if lane.plan.stream else nothing
        used: Usage | None = None
        fault: Fault | None = Fault(FaultKind.NETWORK, "interrupted after it was sent", billed=True)
        try:
            for call in request.calls[len(replies) :]:
                attempted = await account.attempt(lane, call, self._outside.wire, self._timeouts, clock.utc, on_line)
                account.learn(lane, attempted, ticket, anyio.current_time())
                if isinstance(attempted.outcome, Fault):
                    fault, used = attempted.outcome, attempted.used
                    self._log(account, lane, fault)
                    break
                replies.append(attempted.outcome)
            else:
                fault = None
        finally:
            fresh = replies[len(request.heard) :]
            heard = Heard(
                request=replace(request, heard=tuple(replies)),
                lane=lane.name,
                t=t,
                replies=tuple(replies),
                fault=fault,
                seconds=clock.awake() - began,
                before=len(request.heard),
                cost=self._till.settle(bill, fresh, fault, used),
                used=used,
                engine=lane.engine,
            )
            with anyio.CancelScope(shield=True):
                await self._hand_over(heard)
            if fault is not None and fault.kind in TURNED_AWAY and not heard.replies:
                account.ledger.release(ticket, anyio.current_time())
            else:
                usage = total([reply.usage for reply in fresh]) if fault is None else None
                account.ledger.settle(ticket, usage, anyio.current_time())

    def _peeking(self, request: Request) -> OnLine:
        """Has the settler look at an answer line by line, where that may be worth it, and cuts it off when the rest is not."""
        peek = self._settler.place(request)

        def on_line(listener: Listener) -> None:
            assert peek is not None
            listener.cut = peek.lost
            peek.text = listener.text
            if not peek.lost and not peek.waits:
                peek.waits = self._done.offer(peek)

        return nothing if peek is None else on_line

    def _log(self, account: Account, lane: Lane, fault: Fault) -> None:
        log = self._outside.log
        log.debug("fault", lane=lane.name, kind=fault.kind, detail=fault.detail, retry_after=fault.retry_after)
        if lane.closed is not None:
            log.warning("lane_closed", lane=lane.name, reason=lane.closed)
        if account.parked and (seconds := account.parked_until - anyio.current_time()) > 0:
            log.warning("account_parked", account=account.name, seconds=round(seconds), reason=account.parked)

    async def _hand_over(self, heard: Heard) -> None:
        try:
            await self._done.put(heard)
        except Closed:
            pass  # the settler is gone, and its error ends the run: this answer is asked for again in the next one
