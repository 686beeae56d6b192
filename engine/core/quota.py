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

    charges: tuple[Charge, ...]


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


def horizon(quota: Quota) -> float:
    """Seconds for which what was sent matters to this quota."""
    return max((period + MARGIN for name, period, _ in _MEASURES if getattr(quota, name) is not None), default=0.0)


class Ledger:
    """An account's windows and its calls in flight. Quota fields that are `None` cost nothing."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self._windows = [
            (Window(limit, period), weigh) for name, period, weigh in _MEASURES if (limit := getattr(quota, name)) is not None
        ]
        self._in_flight: dict[int, Ticket] = {}
        self._paused_until = -math.inf

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def wait(self, usage: Usage, now: float) -> float:
        """Seconds until a call of this weight may be sent, 0.0 if now; `inf` until a call in flight has ended."""
        if self.quota.concurrent is not None and len(self._in_flight) >= self.quota.concurrent:
            return math.inf
        waits = (window.wait(weigh(usage), now) for window, weigh in self._windows)
        return max(self._paused_until - now, 0.0, *waits)

    def charge(self, usage: Usage, now: float) -> Ticket:
        ticket = Ticket(tuple(window.charge(weigh(usage), now) for window, weigh in self._windows))
        self._in_flight[id(ticket)] = ticket
        return ticket

    def remember(self, usage: Usage, t: float) -> None:
        """Charge what was sent at `t`, in an earlier life, oldest first: a restart does not empty the windows."""
        for window, weigh in self._windows:
            window.charge(weigh(usage), t)

    def settle(self, ticket: Ticket, real: Usage | None) -> None:
        """The call has ended. `real` replaces the estimate; `None` (no usage known) leaves it charged.

        Where the vendor counts tokens as reserved, the estimate of tokens stays; requests and characters are exact anyway.
        """
        del self._in_flight[id(ticket)]
        if real is None or self.quota.counts == "reserved":
            return
        for (window, weigh), charge in zip(self._windows, ticket.charges, strict=True):
            window.correct(charge, weigh(real))

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
