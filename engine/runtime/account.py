"""Account: one Ledger with the lanes that share it, and the attempt itself: encode, send, decode.

Owned by its pump in the scheduler; nobody else waits on its ledger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random
from secrets import token_hex
from typing import NamedTuple

import anyio
from aiolimiter import AsyncLimiter
from msgspec import structs

from engine.core.aimd import Breaker
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse, Stamp
from engine.core.limits import Reading, readings
from engine.core.quota import Ledger, Ticket
from engine.core.settler import PARK_AFTER, PATIENT
from engine.core.slices import rest
from engine.core.types import Call, LaneView, Quota, Reply, Usage, total
from engine.core.window import PACE
from engine.runtime.keys import without
from engine.runtime.lane import Lane
from engine.runtime.listening import Listener, OnText, nothing
from engine.runtime.wire import Sender, Timeouts

UNDECLARED = 8
"""Calls in flight for an account whose plan declares no quota at all."""
UNRATED, MOST = 1000, 4000
"""Calls in flight for an account with a quota that says nothing of them: without a rate of requests; and at the most for five
minutes of that rate."""
LONGEST_PAUSE = 60.0
BURST = 2.0
"""Seconds for which a cheaper lane may have more to do than it can at once, before dearer ones help."""
LATELY = 16
"""Calls of which the lightest is what the next one is taken to weigh: a heavier one then waits in hand, while a light one would
have waited for the room of a heavy one."""
LATE = 0.05
"""Seconds by which timers come late, now and then."""


class LaneState(Enum):
    OPEN = "open"
    PAUSED = "paused"
    PARKED = "parked"
    CLOSED = "closed"


class Attempted(NamedTuple):
    """What an attempt brought, and what the server said of its limits beside it."""

    outcome: Reply | Fault
    readings: tuple[Reading, ...]
    used: Usage | None = None
    """What a failed call used, where its stream told as much."""
    renewals: int = 0
    """Of the lane's key, before it."""


class Lately:
    """What the lightest of the last calls weighed, by each measure: of `LATELY` of them at the most."""

    def __init__(self) -> None:
        self.lightest = Usage()
        self._before: Usage | None = None
        self._since: Usage | None = None
        self._count = 0

    def add(self, usage: Usage) -> None:
        self._since = usage if self._since is None else _lighter(usage, self._since)
        self.lightest = self._since if self._before is None else _lighter(self._before, self._since)
        self._count += 1
        if self._count % (LATELY // 2) == 0:
            self._before, self._since = self._since, None


def _lighter(one: Usage, other: Usage) -> Usage:
    """The less of each measure."""
    return Usage(
        requests=min(one.requests, other.requests),
        tokens_in=min(one.tokens_in, other.tokens_in),
        tokens_out=min(one.tokens_out, other.tokens_out),
        characters=min(one.characters, other.characters),
        bytes=min(one.bytes, other.bytes),
    )


@dataclass(slots=True)
class Account:
    """What one quota belongs to. `opening` and the attempts are used by its pump and the calls it started."""

    name: str
    lanes: list[Lane]
    ledger: Ledger
    spacing: AsyncLimiter | None
    breaker: Breaker = field(default_factory=Breaker)
    park_after: float = PARK_AFTER
    parked: str = ""
    """Why it is parked; how long is `parked_until`."""
    parked_until: float = -math.inf
    holding: bool = False
    """Its pump has a request in hand that waits for room."""
    pressed: float | None = None
    """Since when it has had work all the time."""
    _rng: Random = field(default_factory=Random, repr=False)
    _refusals: int = 0
    _taught: bool = False
    """A refusal was learnt from, and no answer has come since."""
    _lately: Lately = field(default_factory=Lately, repr=False)
    _place: anyio.CancelScope | None = field(default=None, repr=False)
    """The last wait for a place in the row."""

    def secrets(self) -> list[str]:
        """What must be told nowhere, of all its lanes as they are now."""
        return [secret for lane in self.lanes for secret in lane.secrets()]

    def lane_state(self, lane: Lane, now: float) -> LaneState:
        if lane.closed is not None:
            return LaneState.CLOSED
        resting = self._rest(now)[0] > 0
        waiting = lane.held is not None or self.breaker.wait(self.ledger.in_flight, now) > 0 or self.ledger.paused(now)
        return LaneState.PARKED if resting else LaneState.PAUSED if waiting else LaneState.OPEN

    def opening(self, now: float, usage: Usage | None = None) -> float:
        """Seconds until a call may start that weighs so much, or no more than any of late; `inf` until a call in flight ends."""
        wait = self.ledger.wait(self._lately.lightest if usage is None else usage, now)
        return max(wait, self.breaker.wait(self.ledger.in_flight, now), self.parked_until - now)

    def has_room(self, now: float) -> bool:
        """Whether it would take new work at this moment."""
        return not self.holding and self.opening(now) <= 0

    def keeps_up(self, now: float) -> bool:
        """Whether it takes new work at this moment, or is about to: a burst is no reason to pay a dearer lane, and lasting
        pressure is."""
        if self.has_room(now):
            return True
        return self.pressed is not None and now < self.pressed + BURST and self.opening(now) < BURST

    def park(self, seconds: float, reason: str, now: float) -> None:
        """Send nothing for long: nobody sleeps over it, other lanes take the work."""
        self.parked, self.parked_until = reason, max(self.parked_until, now + seconds)

    def notice(self, now: float) -> str | None:
        """Why it is parked, and for how long; `None` while it is not."""
        (left, why), names = self._rest(now), " and ".join(lane.name for lane in self.lanes)
        return f"{names} for {left / 60:.0f} more minutes ({why})" if left > 0 else None

    def _rest(self, now: float) -> tuple[float, str]:
        """Seconds of a long rest, and why: its server asks for it, or a quota of an hour or more is used up. 0 for none."""
        asked, own = self.parked_until - now, self.ledger.wait(self._lately.lightest, now)
        if asked > 0:
            return asked, self.parked
        return (own, "what the plan allows is used up") if max(60.0, self.park_after) < own < math.inf else (0.0, "")

    async def space(self) -> bool:
        """Wait for this request's place in the even row that the quota's mean rate makes; whether any time has passed."""
        waited = False
        while (row := self.spacing) is not None:
            if row.has_capacity():
                await row.acquire()
                break
            waited = True
            with anyio.CancelScope() as self._place:
                await row.acquire()
                break
        return waited

    def retune(self, quota: Quota) -> None:
        """Go by another quota at once, as a plan would say it; whoever waits for a place in the row gets one in the new row."""
        for lane in self.lanes:
            lane.plan = replace(lane.plan, quota=quota)
        self.ledger.retune(declared(quota))
        self._respace()

    def _respace(self) -> None:
        self.spacing = spacing(replace(self.ledger.quota, slice=self.ledger.slice))
        if self._place is not None:
            self._place.cancel()

    def weigh(self, lane: Lane, calls: tuple[Call, ...], requests: int | None = None) -> Usage:
        """What calls weigh that are about to be sent, in so many HTTP requests; without a number, each in its own."""
        usage = total([lane.weigh(call) for call in calls])
        usage = usage if requests is None else structs.replace(usage, requests=requests)
        self._lately.add(usage)
        return usage

    async def attempt(
        self, lane: Lane, call: Call, wire: Sender, timeouts: Timeouts, now: Callable[[], float], on_text: OnText = nothing
    ) -> Attempted:
        """One HTTP attempt. Never raises for what the world does; the key is nowhere in what it returns. `on_text` is told of
        a streamed answer as it comes, by its listener, and may cut it off."""
        stamp, renewals = _stamped(lane, now()), lane.key.renewals
        reader = lane.provider.reader(call) if lane.plan.stream else None
        response: HttpResponse | None = None
        outcome: Reply | Fault | None = None
        used: Usage | None = None
        try:
            # a call that no vendor takes is a fault, too
            request = lane.equipped(lane.provider.encode((call,), lane.plan, stamp))
            if reader is None:
                response = await wire.send(request, timeouts.whole)
            else:
                listener = Listener(reader, on_text)
                response, outcome, used = await listener.listen(wire, request, timeouts, lane.weigh(call))
            if response is not None and outcome is None:
                (outcome,) = lane.provider.decode((call,), response)
        except Fault as fault:
            outcome = fault
        assert outcome is not None
        if isinstance(outcome, Reply) and (usage := lane.bounded(outcome.usage, call)) is not outcome.usage:
            outcome = structs.replace(outcome, usage=usage)
        told = readings(response.headers, now()) if response is not None else ()
        used = used and lane.bounded(used, call)
        return Attempted(_cleaned(outcome, lane, stamp), told, used, renewals)

    async def carry(
        self, lane: Lane, calls: tuple[Call, ...], wire: Sender, timeouts: Timeouts, now: Callable[[], float]
    ) -> tuple[Attempted, tuple[Reply | Fault, ...]]:
        """One HTTP attempt that carries several calls: what each of them came to, and what the attempt as a whole did, which has
        failed only where all of them have."""
        stamp, renewals = _stamped(lane, now()), lane.key.renewals
        told: tuple[Reading, ...] = ()
        try:
            response = await wire.send(lane.equipped(lane.provider.encode(calls, lane.plan, stamp)), timeouts.whole)
            told = readings(response.headers, now())
            decoded = lane.provider.decode(calls, response)
        except Fault as fault:
            decoded = (fault,) * len(calls)
        outcomes = tuple(_cleaned(outcome, lane, stamp) for outcome in decoded)
        whole = next((outcome for outcome in outcomes if isinstance(outcome, Reply)), outcomes[0])
        return Attempted(whole, told, None, renewals), outcomes

    def learn(self, lane: Lane, attempted: Attempted, ticket: Ticket, now: float) -> None:
        """What an outcome means for the account and the lane, besides its request."""
        self.ledger.observe(attempted.readings, ticket, now)
        fault = attempted.outcome
        if isinstance(fault, Reply) or fault.reached:
            lane.reach.stood()
        if isinstance(fault, Reply):
            self._refusals, self._taught = 0, False
            self.breaker.succeeded()
            self.ledger.aimd.succeeded(now)
            return
        lane.faults[fault.kind.value] += 1
        hint = fault.retry_after
        if hint is not None and hint > self.park_after and fault.kind in PATIENT:
            self.park(hint, str(fault), now)
            return
        match fault.kind:
            case FaultKind.RATE | FaultKind.BURST:
                self._turned_away(fault, attempted.readings, ticket, now)
            case FaultKind.OVERLOAD | FaultKind.NETWORK:
                self.breaker.failed(now)
                if (reason := lane.fate()) is not None:
                    lane.close(reason)
                elif not fault.reached and (reason := lane.reach.failed(now)) is not None:
                    lane.close(f"{reason}: {fault.detail}")
            case FaultKind.AUTH if not fault.reached and lane.reach.reached:
                self.breaker.failed(now)  # what stands in the way of its certificate may go away again
            case FaultKind.QUOTA:
                for one in self.lanes:
                    one.close(str(fault))
            case FaultKind.AUTH:
                if attempted.renewals == lane.key.renewals and not lane.key.renew():
                    lane.close(str(fault))
            case _:
                self.breaker.succeeded()  # the provider answered; what it said is about the request

    def _turned_away(self, fault: Fault, told: tuple[Reading, ...], ticket: Ticket, now: float) -> None:
        """One lesson an episode: what was on its way when the pause began is no news. Nor is a second refusal with no answer
        since the first: a server that turns everything away says nothing of how much it would take."""
        fresh = not self.ledger.paused(now)
        if fresh and fault.kind is FaultKind.RATE and not self._taught:
            self._taught, before = True, self.ledger.slice
            self.ledger.refused(ticket, told, now)
            if self.ledger.slice != before:
                self._respace()
        elif fresh and fault.kind is FaultKind.BURST:
            self.ledger.ease(now)
        pause = fault.retry_after
        if pause is None and not fresh:
            return
        if pause is None:
            pause = min(LONGEST_PAUSE, 2.0 ** min(self._refusals, 16))
            self._refusals += 1
        # never earlier than the hint, and not all clients of the account at the same moment
        self.ledger.pause(now + pause + self._rng.uniform(0.0, 0.1 * pause + 0.1))


def _stamped(lane: Lane, t: float) -> Stamp:
    lane.key.look(anyio.current_time())
    return Stamp(t, token_hex(16), lane.key.value)


def _cleaned(outcome: Reply | Fault, lane: Lane, stamp: Stamp) -> Reply | Fault:
    """The outcome without the key in it."""
    if isinstance(outcome, Reply):
        return outcome
    detail = without(outcome.detail, "\n".join([stamp.key, *lane.secrets()]))
    return Fault(outcome.kind, detail, outcome.retry_after, billed=outcome.billed, reached=outcome.reached)


def view(lane: Lane, homes: Sequence[tuple[Account, Lane]], now: float) -> LaneView:
    """What the agenda sees of a lane, beside all lanes with their accounts."""
    alone, yields = True, frozenset[str]()
    for account, other in homes:
        if other is lane or not other.working or not other.roles & lane.roles:
            continue
        alone = False
        elsewhere = not any(one is lane for one in account.lanes)
        if other.rank < lane.rank and not other.lacks and elsewhere and account.keeps_up(now):
            yields |= other.roles
    return LaneView(lane.name, lane.roles, alone, yields, lane.engine, lane.lacks)


def spacing(quota: Quota) -> AsyncLimiter | None:
    """Even spacing at about the quota's mean rate of requests, `None` without one; faster where there are slices, which rest
    after they have sent.

    Weight 1 and one waiter, the case in which aiolimiter is exact. Its level falls by the clock, so that what a late timer has
    missed is made up for at once, up to the requests of `LATE` seconds; and timers are not finer than a few milliseconds. The
    windows of the ledger stay the law; this keeps bursts away from the server.
    """
    rates = [
        limit / period * (1 - quota.headroom)
        for limit, period in (
            (quota.requests_per_second, 1.0),
            (quota.requests_per_minute, 60.0),
        )
        if limit is not None
    ]
    if not rates:
        return None
    rate = min(rates) * PACE
    if quota.slice is not None:
        rate *= quota.slice / (quota.slice - rest(quota.slice))
    at_once = 1 + rate * LATE
    return AsyncLimiter(at_once, at_once / rate)


def says_nothing(quota: Quota) -> bool:
    """Whether a plan declares no figure at all for an account."""
    return all(getattr(quota, name) is None for name in Quota.__dataclass_fields__ if name not in ("counts", "headroom", "slice"))


def declared(quota: Quota) -> Quota:
    """The quota to run under. Calls in flight are always bounded, by the connections that there are: a call that waits for one
    inside the HTTP library would be charged long before it is sent."""
    if quota.concurrent is not None:
        return quota
    if says_nothing(quota):
        return replace(quota, concurrent=UNDECLARED)
    per_minute = min(quota.requests_per_minute or math.inf, (quota.requests_per_second or math.inf) * 60)
    if per_minute == math.inf:
        return replace(quota, concurrent=UNRATED)
    return replace(quota, concurrent=max(UNDECLARED, min(MOST, math.ceil(5 * per_minute))))
