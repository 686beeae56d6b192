"""Asking: the pumps, one an account, which say what is asked when, and start the calls.

Part of the loop; owned by the scheduler, which says when to stop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio
from msgspec import structs

from engine.core.quota import Ticket, weight
from engine.core.settler import Settler
from engine.core.till import Bill, Till
from engine.core.types import Call, Heard, LaneView, Request, Usage, total
from engine.runtime.account import BURST, Account, view
from engine.runtime.calling import Calling, Load, Part, attempts, fits, left
from engine.runtime.lane import Lane
from engine.runtime.leasing import Boxes, Leasing, Outside
from engine.runtime.mailbox import Turn
from engine.runtime.slots import Slots
from engine.runtime.wire import Timeouts

SHARE = 0.1
"""Of a quota, that requests which travel together may weigh: what is sent stays even, and never more than is allowed."""
ONE = ("requests_per_second", "requests_per_minute", "requests_per_day")
"""Quotas on which they weigh as much as one."""


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
        self._calling = Calling(settler, boxes, outside, timeouts, till)
        self._bell = boxes.bell
        self._hungry = boxes.hungry
        self._look = boxes.look
        self._till = till
        self._leasing = Leasing(boxes, till, outside)
        self._outside = outside
        self._open = True

    def stop(self) -> None:
        """Ask nothing more; `run` returns when the calls in flight have ended."""
        self._open = False
        self._bell.ring()

    async def run(self) -> None:
        """Until stopped. Cancelled, each call in flight hands over what it knows."""
        async with anyio.create_task_group() as tasks:
            slots = Slots(tasks, self._calling.run)
            try:
                async with anyio.create_task_group() as pumps:
                    for account in self._accounts:
                        pumps.start_soon(self._pump, account, slots)
            finally:
                slots.close()

    async def _pump(self, account: Account, slots: Slots[Account, Lane, Load]) -> None:
        """Ask the agenda whenever the account has room. A request in hand is given back if the run stops meanwhile."""
        turn = Turn()
        while self._open:
            now = self._outside.clock.now()
            wait = account.opening(now) if not self._done.full else math.inf
            if wait > 0:
                await self._bell.wait(wait)
            elif (chosen := self._choose(account, now)) is None:
                account.pressed = None
                await self._bell.wait(self._due(account, now) - now)
            elif isinstance(chosen, Heard):
                await self._calling.put(chosen)
                await turn.end()
            elif load := await self._admitted(account, *chosen):
                slots.start(account, chosen[0], load)
                self._pass_on(account)
                await turn.end()  # here and nowhere else: from the loop's condition to a wait for the bell there is no await

    def _view(self, lane: Lane, now: float) -> LaneView:
        return self._till.narrowed(view(lane, self._homes, now))

    def _choose(self, account: Account, now: float) -> tuple[Lane, list[Request]] | Heard | None:
        """What the account is to ask, and on which of its lanes; or what needs no call, as it is turned away before."""
        for lane in account.lanes if len(account.lanes) == 1 else sorted(account.lanes, key=lambda lane: lane.rank):
            if lane.working and (request := self._agenda.next(self._view(lane, now), now)) is not None:
                self._hungry.ring()
                if (reason := self._settler.turned_away(request)) is not None:
                    return Heard(request, "", self._outside.clock.utc(), skipped=reason)
                return lane, self._gathered(account, lane, self._settler.composed(request, lane.style), now)
        return None

    def _due(self, account: Account, now: float) -> float:
        """When a retry is due that the account may take, or new work that is left to others until they prove too slow."""
        retries = [self._agenda.due(self._view(lane, now)) for lane in account.lanes if lane.working]
        bursts = [one.pressed + BURST for one in self._accounts if one is not account and one.pressed is not None]
        return min((moment for moment in (*retries, *bursts) if moment > now), default=math.inf)

    def _gathered(self, account: Account, lane: Lane, first: Request, now: float) -> list[Request]:
        """The request, with others of its step that the same HTTP requests can carry, as long as there is room and money for all
        of them at this moment. Nobody waits for others to come."""
        load = [first]
        if lane.provider.texts == 1 or first.alone or first.pair is None:
            return load
        others = frozenset(step.name for step in self._agenda.recipe.steps) - {first.step}
        alike = structs.replace(self._view(lane, now), lacks=others)
        while len(load) < lane.provider.texts and (more := self._agenda.next(alike, now)) is not None:
            more = self._settler.composed(more, lane.style)
            if more.alone or more.pair != first.pair or not self._carries(account, lane, [*load, more], now):
                self._agenda.give_back(more, now)
                break
            load.append(more)
        return load

    def _carries(self, account: Account, lane: Lane, load: list[Request], now: float) -> bool:
        if not fits(load, lane.provider):
            return False
        calls = [call for request in load for call in left(request)]
        usage = structs.replace(total([lane.weigh(call) for call in calls]), requests=attempts(load))
        bill = self._bill(lane, calls, load[0].step)
        small = all(weight(usage, name) <= SHARE * limit for name, limit in account.ledger.limits.items() if name not in ONE)
        room = small and account.opening(now, usage) <= 0 and not account.ledger.lacks(usage)
        return room and self._till.short(bill) is None

    def _bill(self, lane: Lane, calls: Sequence[Call], step: str) -> Bill:
        return self._till.bill(lane.name, step, calls, lane.weigh)

    def _pass_on(self, account: Account) -> None:
        """Whoever left new work to this account may take it now that it has no room."""
        if len(self._accounts) > 1 and not account.has_room(self._outside.clock.now()):
            self._bell.ring()

    async def _admitted(self, account: Account, lane: Lane, requests: list[Request]) -> Load | None:
        """The requests with their charge, as soon as the account has room for their real weight and there is money for their
        worst cost; `None` if they were given back."""
        usage = account.weigh(lane, tuple(call for one in requests for call in left(one)), attempts(requests))
        parts = [Part(one, self._bill(lane, left(one), one.step), list(one.heard)) for one in requests]
        account.holding = True
        account.pressed = self._outside.clock.now() if account.pressed is None else account.pressed
        self._pass_on(account)
        try:
            ticket = await self._charged(account, lane, usage, parts)
        finally:
            account.holding = False
        if ticket is None:
            for request in requests:
                self._agenda.give_back(request, self._outside.clock.now())
            self._bell.ring()  # the pump that can take it now may be waiting for nothing else
            self._look()
            return None
        return Load(parts, ticket)

    async def _charged(self, account: Account, lane: Lane, usage: Usage, parts: list[Part]) -> Ticket | None:
        """`None` once the run stops, the account closes or parks, or its money is spent: others may have room."""
        bill = parts[0].bill
        if len(parts) > 1:
            bill = Bill(lane.name, bill.role, tuple(most for part in parts for most in part.bill.worst))
        while self._open and lane.working and self._till.serves(bill) and self._outside.clock.now() >= account.parked_until:
            now = self._outside.clock.now()
            if (wait := account.opening(now, usage)) > 0:
                await self._bell.wait(wait)
                continue
            if account.ledger.lacks(usage):
                await self._leasing.draw(account, usage)
                continue
            if not await self._leasing.afford(lane, bill):
                continue
            waited = await account.space()
            now = self._outside.clock.now()
            if not waited or self._still(account, lane, usage, bill):
                for part in parts:
                    self._till.reserve(part.bill)
                return account.ledger.charge(usage, now)
        return None

    def _still(self, account: Account, lane: Lane, usage: Usage, bill: Bill) -> bool:
        """Whether the request may still be sent after a wait."""
        room = account.opening(self._outside.clock.now(), usage) <= 0
        return self._open and lane.working and room and self._till.short(bill) is None

    async def give_leases_back(self) -> None:
        """At the end, when no call is in flight: what was drawn and not used is not lost."""
        await self._leasing.give_back(self._accounts)
