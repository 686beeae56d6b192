"""Calling: requests on their way through one slot of an account, attempt by attempt, and what was heard to the settler's mailbox.

Part of the loop; the pumps start it. Where a vendor takes several texts a request, one attempt carries a call of each of several
requests: every one of them succeeds, or is asked again, by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import anyio
from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.quota import Ticket
from engine.core.settler import Settler
from engine.core.till import Bill, Till
from engine.core.types import Call, Heard, Reply, Request, Usage, total
from engine.runtime.account import Account
from engine.runtime.lane import Lane
from engine.runtime.leasing import Boxes, Outside
from engine.runtime.listening import Listener, OnText, nothing
from engine.runtime.mailbox import Closed
from engine.runtime.wire import Timeouts
from providers import Provider

TURNED_AWAY = (FaultKind.RATE, FaultKind.BURST, FaultKind.QUOTA, FaultKind.AUTH, FaultKind.BAD, FaultKind.TOO_BIG)
"""Faults of calls that used no tokens."""
OF_ONE = (FaultKind.BAD, FaultKind.TOO_BIG, FaultKind.REFUSED, FaultKind.MALFORMED)
"""Faults that may be about one text of several, and that all have when the vendor answers them as one."""


@dataclass(slots=True)
class Part:
    """One request on its way, as far as it has come."""

    request: Request
    bill: Bill
    replies: list[Reply]
    fault: Fault | None = None
    used: Usage | None = None
    handed_over: bool = False

    def next(self) -> Call:
        return self.request.calls[len(self.replies)]

    @property
    def done(self) -> bool:
        return self.fault is not None or len(self.replies) == len(self.request.calls)


@dataclass(slots=True)
class Load:
    """What one slot carries: requests of one step, in as many attempts as the longest of them has calls."""

    parts: list[Part]
    ticket: Ticket
    heard: list[Reply] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def left(request: Request) -> tuple[Call, ...]:
    """The calls of a request that are still to be made."""
    return request.calls[len(request.heard) :]


def fits(requests: Sequence[Request], provider: Provider) -> bool:
    """Whether one HTTP request after the other can carry the calls of all of these, one of each."""
    if len(requests) > provider.texts:
        return False
    turns = zip_longest(*map(left, requests)) if provider.request_limit is not None else ()
    sizes = (sum(provider.weigh(call).size for call in calls if call is not None) for calls in turns)
    return all(size <= (provider.request_limit or size) for size in sizes)


def attempts(requests: Sequence[Request]) -> int:
    """HTTP requests that carry all of these: to the vendor, each is one request, however many texts it carries."""
    return max(len(left(request)) for request in requests)


class Calling:
    """Every call of a run. `timeouts` are for one attempt."""

    def __init__(self, settler: Settler, boxes: Boxes, outside: Outside, timeouts: Timeouts, till: Till) -> None:
        self._settler = settler
        self._done = boxes.done
        self._outside = outside
        self._timeouts = timeouts
        self._till = till

    async def run(self, account: Account, lane: Lane, load: Load) -> None:
        """The attempts, one after the other. What was heard of a request is handed over in any case, and only when all is, is the
        slot free: a settler that is behind holds back new calls."""
        clock = self._outside.clock
        began, t = clock.awake(), clock.utc()
        try:
            while open_ := [part for part in load.parts if not part.done]:
                await self._attempt(account, lane, load, open_)
                for part in open_:
                    if part.done:
                        await self._hand_over(part, lane, t, clock.awake() - began)
        finally:
            for part in load.parts:
                if not part.handed_over:
                    if not part.done:
                        part.fault = Fault(FaultKind.NETWORK, "interrupted after it was sent", billed=True)
                        load.faults.append(part.fault)
                    with anyio.CancelScope(shield=True):
                        await self._hand_over(part, lane, t, clock.awake() - began)
            self._settle(account, load)

    async def _attempt(self, account: Account, lane: Lane, load: Load, parts: list[Part]) -> None:
        """One attempt, which takes each of the parts a call further, or to its fault."""
        calls = tuple(part.next() for part in parts)
        wire, utc = self._outside.wire, self._outside.clock.utc
        if len(parts) == 1:
            on_text = self._peeking(parts[0].request) if lane.plan.stream else nothing
            attempted = await account.attempt(lane, calls[0], wire, self._timeouts, utc, on_text)
            outcomes: Sequence[Reply | Fault] = (attempted.outcome,)
        else:
            attempted, outcomes = await account.carry(lane, calls, wire, self._timeouts, utc)
        account.learn(lane, attempted, load.ticket, self._outside.clock.now())
        if isinstance(attempted.outcome, Fault):
            self._log(account, lane, attempted.outcome)
        whole = len(parts) > 1 and isinstance(attempted.outcome, Fault)
        for place, (part, outcome) in enumerate(zip(parts, outcomes, strict=True)):
            if isinstance(outcome, Reply):
                part.replies.append(outcome)
                load.heard.append(outcome)
                continue
            load.faults.append(outcome)
            part.fault, part.used = outcome, attempted.used
            if len(parts) > 1:
                _alone(part, lane, whole, place)

    def _settle(self, account: Account, load: Load) -> None:
        """The ledger learns what it really was; of what is not known the estimate stays."""
        now = self._outside.clock.now()
        if load.faults and not load.heard and all(fault.kind in TURNED_AWAY for fault in load.faults):
            account.ledger.release(load.ticket, now)
        else:
            usage = total([reply.usage for reply in load.heard]) if not load.faults else None
            account.ledger.settle(load.ticket, usage, now)

    async def _hand_over(self, part: Part, lane: Lane, t: float, seconds: float) -> None:
        part.handed_over = True
        before = len(part.request.heard)
        heard = Heard(
            request=structs.replace(part.request, heard=tuple(part.replies)),
            lane=lane.name,
            t=t,
            replies=tuple(part.replies),
            fault=part.fault,
            seconds=seconds,
            before=before,
            cost=self._till.settle(part.bill, part.replies[before:], part.fault, part.used),
            used=part.used,
            engine=lane.engine,
        )
        if not self._done.offer(heard):
            with anyio.CancelScope(shield=True):
                await self.put(heard)

    async def put(self, heard: Heard) -> None:
        try:
            await self._done.put(heard)
        except Closed:
            pass  # the settler is gone, and its error ends the run: this answer is asked for again in the next one

    def _peeking(self, request: Request) -> OnText:
        """Has the settler look at an answer item by item, where that may be worth it, and cuts it off when the rest is not."""
        peek = self._settler.place(request)

        def on_text(listener: Listener, begun: bool) -> None:
            assert peek is not None
            listener.cut = peek.lost
            if begun and not peek.lost:
                peek.text = listener.text
                peek.waits = peek.waits or self._done.offer(peek)

        return nothing if peek is None else on_text

    def _log(self, account: Account, lane: Lane, fault: Fault) -> None:
        log = self._outside.log
        log.debug("fault", lane=lane.name, kind=fault.kind, detail=fault.detail, retry_after=fault.retry_after)
        if lane.closed is not None:
            log.warning("lane_closed", lane=lane.name, reason=lane.closed)
        if account.parked and (seconds := account.parked_until - self._outside.clock.now()) > 0:
            log.warning("account_parked", account=account.name, seconds=round(seconds), reason=account.parked)


def _alone(part: Part, lane: Lane, whole: bool, place: int) -> None:
    """After a fault that it had in company, a request whose own it may be goes alone. Where all had it as one, nobody knows whose
    it was: none is blamed."""
    fault = part.fault
    assert fault is not None
    if fault.billed and place:  # the vendor counts the request once
        part.used = structs.replace(lane.weigh(part.next()), requests=0, estimated=True)
    if fault.kind not in OF_ONE:
        return
    part.request = structs.replace(part.request, alone=True)
    if whole:
        detail = f"several texts together: {fault.kind}, {fault.detail}"
        part.fault = Fault(FaultKind.OVERLOAD, detail, 0.0, billed=fault.billed)
