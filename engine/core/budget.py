"""Budget: hard limits on money per run, role and lane, of which every part is journaled as drawn before it is spent.

Pure; the scheduler owns it. All amounts are nano-units of the plan's currency.

Money is drawn from a limit in blocks, as leases. Between two leases of one measure, spent = balance before - rest now, and
balance = rest + amount. When a journal is opened again, the last balance counts as spent: nobody knows what was bought with
it. So a kill may waste what was drawn and not used, but the bill never exceeds a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

BLOCK = 100
"""A lease is one part in so many of its limit, or as much as the next call can cost."""

RUN = "money"
"""The measure of what the whole run spends."""


def of_role(role: str) -> str:
    """The measure of what a role spends."""
    return f"{RUN}:role/{role}"


def of_lane(lane: str) -> str:
    """The measure of what a lane spends."""
    return f"{RUN}:lane/{lane}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be spent at the most, in nano-units; no entry is no limit."""

    run: int | None = None
    roles: Mapping[str, int] = field(default_factory=dict)
    lanes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lease:
    """A line to be journaled: `amount` is drawn from the measure's limit while `rest` of what was drawn before is not spent.

    A negative amount gives money back. A negative rest says that more was spent than had been drawn: before the limit was
    set, or because a call cost more than its upper bound.
    """

    measure: str
    lane: str
    """The lane whose limit it is; empty for limits of roles and of the run."""
    amount: int
    rest: int


@dataclass(frozen=True, slots=True)
class Spending:
    """What a settled or a paid line of the journal really cost."""

    lane: str
    role: str
    cost: int


class Why(StrEnum):
    """What a call waits for, from the shortest wait to the longest."""

    LEASE = "lease"
    """A lease: draw it, or let the one that was drawn become durable."""
    HELD = "held"
    """Calls in flight, which may cost less than is held for them."""
    SPENT = "spent"
    """Nothing: the limit has no room for this call, whatever calls in flight will cost."""


_WAITS = tuple(Why)


@dataclass(frozen=True, slots=True)
class Short:
    """Why a call may not start now: of this measure's limit too little is left for it."""

    why: Why
    measure: str
    limit: int
    left: int
    """Limit without what is spent and what is held for calls in flight."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one limit stands; `wasted` of what is spent was drawn before a kill, and no line says what for."""

    measure: str
    limit: int
    spent: int
    held: int
    wasted: int


@dataclass(slots=True, eq=False)
class Hold:
    """The worst cost of a call in flight, set aside until it is settled or released."""

    cost: int
    lane: str
    role: str


@dataclass(slots=True)
class Purse:
    """The money of one limit. `spent` was settled by the last lease's line; `since` came after it, out of `balance`."""

    measure: str
    lane: str
    limit: int
    spent: int = 0
    balance: int = 0
    since: int = 0
    held: int = 0
    wasted: int = 0
    pending: Lease | None = None
    """Drawn, and not yet known to be durable."""

    @property
    def left(self) -> int:
        return self.limit - self.spent - self.since - self.held

    @property
    def granted(self) -> int:
        """What may be spent at once. Money on its way back is no longer ours."""
        returning = min(0, self.pending.amount) if self.pending else 0
        return self.balance - self.since - self.held + returning

    def short(self, cost: int) -> Short | None:
        """A call without cost has room even where the limit was overrun."""
        if cost <= 0 or self.granted >= cost:
            return None
        why = Why.LEASE if self.left >= cost else Why.HELD if self.left + self.held >= cost else Why.SPENT
        return Short(why, self.measure, self.limit, self.left)

    def draw(self, cost: int) -> Lease | None:
        """The next lease: when less than half a block would be left after this call, so that calls rarely wait for the disk."""
        block = max(1, self.limit // BLOCK)
        undrawn = self.limit - self.spent - self.balance
        if cost <= 0 or self.pending is not None or self.left < cost or undrawn <= 0:
            return None
        if self.granted >= cost + block // 2:
            return None
        self.pending = Lease(self.measure, self.lane, min(undrawn, max(block, cost - self.granted)), self.balance - self.since)
        return self.pending

    def give_back(self) -> Lease | None:
        """The last lease: leaves what is held for calls in flight as the balance, which counts as spent from then on.

        While another lease is on its way nothing is given back, as nobody knows which balance the line would start from.
        """
        rest = self.balance - self.since
        if self.pending is not None or rest == self.held:
            return None
        self.pending = Lease(self.measure, self.lane, self.held - rest, rest)
        return self.pending

    def grant(self, lease: Lease) -> None:
        if self.pending is not lease:
            raise ValueError(f"{lease} is not the lease that {self.measure} waits for")
        self.pending = None
        self._turn(lease)

    def replay(self, lease: Lease) -> None:
        self.since = self.balance - lease.rest
        self._turn(lease)

    def _turn(self, lease: Lease) -> None:
        told = self.balance - lease.rest  # spent since the lease before; what came after this one was drawn stays in `since`
        self.spent += told
        self.since -= told
        self.balance = lease.rest + lease.amount

    def reopen(self, settled: int) -> None:
        """Count the last balance as spent. What was settled beyond all leases was bought before there was a limit: it is
        spent out of no balance, and the next lease is drawn for it as well."""
        self.spent += self.balance
        self.wasted = max(0, self.spent - settled)
        self.balance, self.since = 0, max(0, settled - self.spent)


class Budget:
    """All limits at once: a call needs room in the run's, its role's and its lane's.

    The order for each call: `room` says whether it may start; the leases of `draw` are journaled and, when durable, granted;
    `reserve` sets its worst cost aside; `settle` or `release` ends it. With no limits everything has room and costs nothing.
    """

    def __init__(self, limits: Limits) -> None:
        purses = [Purse(of_role(role), "", limit) for role, limit in limits.roles.items()]
        purses += [Purse(of_lane(lane), lane, limit) for lane, limit in limits.lanes.items()]
        if limits.run is not None:
            purses.insert(0, Purse(RUN, "", limits.run))
        self._purses = {purse.measure: purse for purse in purses}
        self._holds: set[Hold] = set()
        self._limiting: dict[tuple[str, str], list[Purse]] = {}
        """By lane and role, the purses that `_of` has found."""

    def room(self, cost: int, lane: str, role: str) -> Short | None:
        """Why a call of this worst cost may not start now; `None` if it may. The longest of several waits is told."""
        shorts = [short for purse in self._of(lane, role) if (short := purse.short(cost)) is not None]
        return max(shorts, key=lambda short: _WAITS.index(short.why), default=None)

    def draw(self, cost: int, lane: str, role: str) -> tuple[Lease, ...]:
        """Leases to be journaled now, so that such a call has room and the next one as well; each is drawn once.

        Nothing is drawn for a call that no lease can help.
        """
        purses = self._of(lane, role)
        if any(purse.left < cost for purse in purses):
            return ()
        return tuple(lease for purse in purses if (lease := purse.draw(cost)) is not None)

    def grant(self, lease: Lease) -> None:
        """The lease's line is durable: what it drew may be spent."""
        self._purses[lease.measure].grant(lease)

    def reserve(self, cost: int, lane: str, role: str) -> Hold:
        """Set aside what a call can cost; a call without room is the caller's mistake."""
        if (short := self.room(cost, lane, role)) is not None:
            raise ValueError(f"a call that can cost {cost} has no room: {short}")
        hold = Hold(cost, lane, role)
        self._holds.add(hold)
        for purse in self._of(lane, role):
            purse.held += cost
        return hold

    def settle(self, hold: Hold, real: int) -> None:
        """The call has ended and cost `real`; its line goes to the journal."""
        self._holds.remove(hold)
        for purse in self._of(hold.lane, hold.role):
            purse.held -= hold.cost
            purse.since += real

    def release(self, hold: Hold) -> None:
        """The call has ended and cost nothing."""
        self.settle(hold, 0)

    def give_back(self) -> tuple[Lease, ...]:
        """Leases that return what is drawn and not spent, to be journaled at an orderly end behind all other lines."""
        return tuple(lease for purse in self._purses.values() if (lease := purse.give_back()) is not None)

    def restore(self, lines: Iterable[Lease | Spending]) -> None:
        """Count what the journal of earlier runs says, in its order, before anything else is done with this budget.

        Limits may differ from those of earlier runs. One that is new counts what was settled before it; one that was left
        out for a while does not know what kills wasted meanwhile.
        """
        settled = dict.fromkeys(self._purses, 0)
        for line in lines:
            match line:
                case Lease(measure=measure):
                    if (purse := self._purses.get(measure)) is not None:
                        purse.replay(line)
                case Spending(lane=lane, role=role, cost=cost):
                    for purse in self._of(lane, role):
                        settled[purse.measure] += cost
        for measure, purse in self._purses.items():
            purse.reopen(settled[measure])

    def standings(self) -> tuple[Standing, ...]:
        """How each limit stands, the run's first."""
        return tuple(
            Standing(purse.measure, purse.limit, purse.spent + purse.since, purse.held, purse.wasted)
            for purse in self._purses.values()
        )

    def _of(self, lane: str, role: str) -> list[Purse]:
        if (found := self._limiting.get((lane, role))) is None:
            measures = (RUN, of_role(role), of_lane(lane))
            found = [purse for measure in measures if (purse := self._purses.get(measure)) is not None]
            self._limiting[lane, role] = found
        return found
