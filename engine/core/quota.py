"""Rate arithmetic: what an account may send now, and how long until it may send the next.

Pure: `now` (seconds on any steady clock) is an argument, and waiting is a number returned. The account's pump owns it all.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.core.types import Quota, Usage

MARGIN = 0.25
"""Seconds that a sent weight counts beyond its window: a request may take this much longer to the server than a later one."""


@dataclass(slots=True)
class Charge:
    """A weight in a window, at the time when it was sent."""

    t: float
    weight: float


class Window:
    """A sliding window: what was sent in the last `period` seconds weighs at most `limit`.

    Any server that counts in fixed windows, sliding windows or a refilling bucket of that size admits what this admits.
    """

    def __init__(self, limit: float, period: float) -> None:
        self.limit = limit
        self.period = period
        self._charges: deque[Charge] = deque()
        self._total = 0.0

    def wait(self, weight: float, now: float) -> float:
        """Seconds until `weight` fits; 0.0 if it does now. A weight above the limit fits when the window is empty."""
        self._expire(now)
        excess = self._total + weight - self.limit
        if excess <= 1e-9 or not self._charges:
            return 0.0
        for charge in self._charges:
            excess -= charge.weight
            if excess <= 1e-9:
                return max(0.0, charge.t + self.period + MARGIN - now)
        return max(0.0, self._charges[-1].t + self.period + MARGIN - now)

    def charge(self, weight: float, now: float) -> Charge:
        charge = Charge(now, weight)
        self._charges.append(charge)
        self._total += weight
        return charge

    def correct(self, charge: Charge, weight: float) -> None:
        """Replace an estimate by what was really used, at the time it was sent. An expired charge is no longer counted."""
        if self._charges and charge.t >= self._charges[0].t:
            self._total += weight - charge.weight
            charge.weight = weight

    def used(self, now: float) -> float:
        self._expire(now)
        return self._total

    def _expire(self, now: float) -> None:
        horizon = now - self.period - MARGIN
        while self._charges and self._charges[0].t <= horizon:
            self._total -= self._charges.popleft().weight
        if not self._charges:
            self._total = 0.0  # sheds what floating point left behind


@dataclass(slots=True)
class Ticket:
    """A call that was charged and is in flight."""

    charges: dict[str, Charge]
    """By the quota's name."""


_MEASURES: tuple[tuple[str, float, Callable[[Usage], float]], ...] = (
    ("requests_per_second", 1.0, lambda usage: usage.requests),
    ("requests_per_minute", 60.0, lambda usage: usage.requests),
    ("requests_per_day", 86_400.0, lambda usage: usage.requests),
    ("tokens_per_minute", 60.0, lambda usage: usage.tokens),
    ("tokens_in_per_minute", 60.0, lambda usage: usage.prompt),
    ("tokens_out_per_minute", 60.0, lambda usage: usage.answer),
    ("characters_per_minute", 60.0, lambda usage: usage.characters),
    ("characters_per_hour", 3_600.0, lambda usage: usage.characters),
    ("characters_per_month", 30 * 86_400.0, lambda usage: usage.characters),
)


LEASED = ("requests_per_day", "characters_per_month")
"""Quotas whose window outlives a process: what is used of them is drawn in advance, in leases that the journal keeps."""
BLOCK = 0.01
"""A lease's share of its quota: what a kill can waste of it at the most."""


PERIODS = {name: period for name, period, _ in _MEASURES}
_WEIGH = {name: weigh for name, _, weigh in _MEASURES}


def weight(usage: Usage, measure: str) -> float:
    """What a call weighs in the quota called `measure`."""
    return _WEIGH[measure](usage)


@dataclass(frozen=True, slots=True)
class Draft:
    """A lease to be journaled: `amount` more, on top of a `rest` that is not used yet."""

    measure: str
    amount: float
    rest: float


class Ledger:
    """An account's windows and its calls in flight. Quota fields that are `None` cost nothing."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self._windows = {
            name: Window(limit, period) for name, period in PERIODS.items() if (limit := getattr(quota, name)) is not None
        }
        self._leased = {name: 0.0 for name in LEASED if name in self._windows}
        """What may still be used of the leases that are durable."""
        self._drawing: set[str] = set()
        self._drawn: set[str] = set()
        """Quotas of which a lease was granted, so that its end has to be told."""
        self._in_flight: dict[int, Ticket] = {}
        self._paused_until = -math.inf

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def wait(self, usage: Usage, now: float) -> float:
        """Seconds until a call of this weight may be sent, 0.0 if now; `inf` until a call in flight has ended."""
        if self.quota.concurrent is not None and len(self._in_flight) >= self.quota.concurrent:
            return math.inf
        waits = (window.wait(weight(usage, name), now) for name, window in self._windows.items())
        return max(self._paused_until - now, 0.0, *waits)

    def lacks(self, usage: Usage) -> bool:
        """A call of this weight has to wait for a lease: `draw` it, make it durable, and `grant` it."""
        return any(leased < weight(usage, name) for name, leased in self._leased.items())

    def draw(self, usage: Usage, now: float) -> list[Draft]:
        """The leases that a call of this weight needs and that nobody has drawn yet; never more than the window has left."""
        drafts: list[Draft] = []
        for name, leased in self._leased.items():
            needed = weight(usage, name) - leased
            if needed > 0 and name not in self._drawing:
                window = self._windows[name]
                left = window.limit - window.used(now) - leased
                drafts.append(Draft(name, max(needed, min(BLOCK * window.limit, left)), leased))
                self._drawing.add(name)
        return drafts

    def grant(self, draft: Draft) -> None:
        """The lease is durable."""
        self._leased[draft.measure] += draft.amount
        self._drawn.add(draft.measure)
        self._drawing.discard(draft.measure)

    def returned(self) -> list[Draft]:
        """At an orderly end: what was drawn and not used goes back, as leases below zero, or of nothing where all was used."""
        drafts = [Draft(name, -leased, leased) for name, leased in self._leased.items() if name in self._drawn]
        self._leased = dict.fromkeys(self._leased, 0.0)
        return drafts

    def charge(self, usage: Usage, now: float) -> Ticket:
        ticket = Ticket({name: window.charge(weight(usage, name), now) for name, window in self._windows.items()})
        for name in self._leased:
            self._leased[name] -= weight(usage, name)
        self._in_flight[id(ticket)] = ticket
        return ticket

    def remember(self, measure: str, amount: float, t: float) -> None:
        """Charge what was used at `t`, in an earlier life, oldest first: a restart does not empty the windows."""
        if measure in self._windows:
            self._windows[measure].charge(amount, t)

    def settle(self, ticket: Ticket, real: Usage | None) -> None:
        """The call has ended. `real` replaces the estimate; `None` (no usage known) leaves it charged.

        Where the vendor counts tokens as reserved, the estimate of tokens stays; requests and characters are exact anyway.
        """
        del self._in_flight[id(ticket)]
        if real is None or self.quota.counts == "reserved":
            return
        for name, charge in ticket.charges.items():
            used = weight(real, name)
            if name in self._leased:
                self._leased[name] += charge.weight - used
            self._windows[name].correct(charge, used)

    def paused(self, now: float) -> bool:
        return now < self._paused_until

    def pause(self, until: float) -> None:
        """Send nothing before `until`; a shorter pause never ends a longer one."""
        self._paused_until = max(self._paused_until, until)


@dataclass(slots=True)
class Breaker:
    """Keeps calls from a sick provider: after `limit` failures in a row it opens, longer each time, then lets one probe through.

    Only the provider's own failures count (OVERLOAD, NETWORK); a refused rate says nothing about its health.
    """

    limit: int = 5
    longest: float = 60.0
    _failures: int = field(default=0, init=False)
    _until: float = field(default=-math.inf, init=False)

    @property
    def closed(self) -> bool:
        return self._failures < self.limit

    def wait(self, in_flight: int, now: float) -> float:
        """Seconds until a call may start; `inf` while the one probe is out."""
        if self.closed:
            return 0.0
        return math.inf if in_flight else max(0.0, self._until - now)

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        if now < self._until:
            return  # a call that was on its way already when it opened: no news
        self._failures += 1
        if not self.closed:
            self._until = now + min(self.longest, 2.0 ** min(self._failures - self.limit, 16))
