"""Quotas as vendors enforce them: buckets, windows, slices, credit, bans. Each law is a small class of its own.

Pure, and written without a look at the engine's own arithmetic: whole nanoseconds and whole units, so every law holds exactly.
`now` never runs backwards; where it seems to, time stands still.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from providers.simulator.calls import SECOND


class Limiter(Protocol):
    """One law. `wait` asks, `take` counts; the two are apart so that several laws can agree before any of them counts."""

    def wait(self, weight: int, now: int) -> int | None:
        """Nanoseconds until `weight` is admitted if nothing else comes: 0 is now, `None` is never."""

    def take(self, weight: int, now: int) -> None:
        """Count what was admitted, or what turned out to be used, even where it does not fit."""

    def take_refused(self, weight: int, now: int) -> None:
        """Count a call that was turned away."""

    def remaining(self, now: int) -> int:
        """What is free."""

    def reset(self, now: int) -> int:
        """Nanoseconds until all is free again."""

    def most(self, span: int) -> int | None:
        """The most that can be admitted within `span` nanoseconds; `None` where the law does not bound it."""


class Bucket:
    """Holds `burst` at the most, starts full, refills without a break at `limit` a `period`."""

    def __init__(self, limit: int, period: int, burst: int) -> None:
        self.limit, self.period, self.burst = limit, period, burst
        self._full = burst * period
        self._level = self._full  # in units of 1/period, so that what a nanosecond refills is a whole number
        self._at = 0

    def _refill(self, now: int) -> None:
        if now > self._at:
            self._level = min(self._full, self._level + self.limit * (now - self._at))
            self._at = now

    def wait(self, weight: int, now: int) -> int | None:
        if weight > self.burst:
            return None
        self._refill(now)
        lacking = weight * self.period - self._level
        return -(-lacking // self.limit) if lacking > 0 else 0

    def take(self, weight: int, now: int) -> None:
        self._refill(now)
        self._level -= weight * self.period

    def take_refused(self, weight: int, now: int) -> None:
        """Empties what is there but makes no debt, so asking over and over keeps the bucket empty."""
        self._refill(now)
        self._level = max(min(0, self._level), self._level - weight * self.period)

    def remaining(self, now: int) -> int:
        self._refill(now)
        return max(0, self._level // self.period)

    def reset(self, now: int) -> int:
        self._refill(now)
        return -(-(self._full - self._level) // self.limit)

    def most(self, span: int) -> int:
        return self.burst + self.limit * span // self.period


class Fixed:
    """`limit` in each window of `period`; windows begin at its multiples, so up to twice as much fits around a boundary."""

    def __init__(self, limit: int, period: int) -> None:
        self.limit, self.period = limit, period
        self._window = 0
        self._count = 0

    def _turn(self, now: int) -> int:
        """Begin the window of `now`; nanoseconds until the next one."""
        window = now // self.period
        if window > self._window:
            self._window, self._count = window, 0
        return (self._window + 1) * self.period - now

    def wait(self, weight: int, now: int) -> int | None:
        if weight > self.limit:
            return None
        rest = self._turn(now)
        return 0 if self._count + weight <= self.limit else rest

    def take(self, weight: int, now: int) -> None:
        self._turn(now)
        self._count += weight

    def take_refused(self, weight: int, now: int) -> None:
        self.take(weight, now)

    def remaining(self, now: int) -> int:
        self._turn(now)
        return max(0, self.limit - self._count)

    def reset(self, now: int) -> int:
        rest = self._turn(now)
        return rest if self._count else 0

    def most(self, span: int) -> int:
        return self.limit * (-(-span // self.period) + 1)


class Sliding:
    """`limit` in any `period`, by a log: what came at t counts until t + period, and no longer."""

    def __init__(self, limit: int, period: int) -> None:
        self.limit, self.period = limit, period
        self._log: deque[tuple[int, int]] = deque()
        self._total = 0

    def _expire(self, now: int) -> None:
        log = self._log
        while log and log[0][0] + self.period <= now:
            self._total -= log.popleft()[1]

    def wait(self, weight: int, now: int) -> int | None:
        if weight > self.limit:
            return None
        self._expire(now)
        excess = self._total + weight - self.limit
        if excess <= 0:
            return 0
        for t, counted in self._log:
            excess -= counted
            if excess <= 0:
                return t + self.period - now
        raise AssertionError("a weight within the limit fits an empty log")

    def take(self, weight: int, now: int) -> None:
        if weight:
            self._log.append((max(now, self._log[-1][0]) if self._log else now, weight))
            self._total += weight

    def take_refused(self, weight: int, now: int) -> None:
        self.take(weight, now)

    def remaining(self, now: int) -> int:
        self._expire(now)
        return max(0, self.limit - self._total)

    def reset(self, now: int) -> int:
        self._expire(now)
        return self._log[-1][0] + self.period - now if self._log else 0

    def most(self, span: int) -> int:
        return self.limit * (span // self.period + 1)


class Subwindow:
    """A quota of `period` that is also enforced slice by slice: each aligned `slice_` may take its share of it, rounded down.

    A weight above the share of a slice is admitted to an empty one, since it could never be admitted otherwise.
    """

    def __init__(self, limit: int, period: int, slice_: int) -> None:
        self.limit, self.period = limit, period
        self.share = max(1, limit * slice_ // period)
        self._whole = Fixed(limit, period)
        self._slice = Fixed(self.share, slice_)

    def wait(self, weight: int, now: int) -> int | None:
        whole = self._whole.wait(weight, now)
        if whole is None:
            return None
        return max(whole, self._slice.wait(min(weight, self.share), now) or 0)

    def take(self, weight: int, now: int) -> None:
        self._whole.take(weight, now)
        self._slice.take(weight, now)

    def take_refused(self, weight: int, now: int) -> None:
        self.take(weight, now)

    def remaining(self, now: int) -> int:
        return self._whole.remaining(now)

    def reset(self, now: int) -> int:
        return self._whole.reset(now)

    def most(self, span: int) -> int:
        return self._whole.most(span)


class Concurrent:
    """`limit` calls at once. Nobody knows when one ends, so the wait it names is a guess of one second."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0

    def wait(self, weight: int, now: int) -> int | None:
        if weight > self.limit:
            return None
        return 0 if self._inside + weight <= self.limit else SECOND

    def take(self, weight: int, now: int) -> None:
        self._inside += weight

    def leave(self, weight: int) -> None:
        self._inside -= weight

    def take_refused(self, weight: int, now: int) -> None:
        """A call that was turned away is not inside."""

    def remaining(self, now: int) -> int:
        return max(0, self.limit - self._inside)

    def reset(self, now: int) -> int:
        return SECOND if self._inside else 0

    def most(self, span: int) -> int | None:
        return None


class Growth:
    """An aligned window of `period` may take `factor` times what the one before took, or `limit` where that is more."""

    def __init__(self, limit: int, period: int, factor: float) -> None:
        self.limit, self.period, self.factor = limit, period, factor
        self._window = 0
        self._count = 0
        self._before = 0

    def _turn(self, now: int) -> int:
        window = now // self.period
        if window > self._window:
            self._before = self._count if window == self._window + 1 else 0
            self._window, self._count = window, 0
        return (self._window + 1) * self.period - now

    def _allowed(self, before: int) -> int:
        return max(self.limit, int(before * self.factor))

    def wait(self, weight: int, now: int) -> int | None:
        rest = self._turn(now)
        if self._count + weight <= self._allowed(self._before):
            return 0
        return rest if weight <= self._allowed(self._count) else None

    def take(self, weight: int, now: int) -> None:
        self._turn(now)
        self._count += weight

    def take_refused(self, weight: int, now: int) -> None:
        """What was turned away is no traffic that may be grown upon."""

    def remaining(self, now: int) -> int:
        self._turn(now)
        return max(0, self._allowed(self._before) - self._count)

    def reset(self, now: int) -> int:
        return self._turn(now)

    def most(self, span: int) -> int | None:
        return None


class Money:
    """Credit in nano-units. A call is admitted while any is left, and pays when it ends: calls under way may overdraw it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left = limit

    def wait(self, weight: int, now: int) -> int | None:
        return 0 if self._left > 0 else None

    def take(self, weight: int, now: int) -> None:
        self._left -= weight

    def take_refused(self, weight: int, now: int) -> None:
        """A call that was turned away is free."""

    def remaining(self, now: int) -> int:
        return max(0, self._left)

    def reset(self, now: int) -> int:
        return 0

    def most(self, span: int) -> int:
        return self.limit


class Ban:
    """After `limit` refusals within `period` every call is turned away until enough of them are that old."""

    def __init__(self, limit: int, period: int) -> None:
        self.limit, self.period = limit, period
        self._offences = Sliding(limit, period)

    def wait(self, weight: int, now: int) -> int | None:
        return self._offences.wait(1, now)

    def take(self, weight: int, now: int) -> None:
        """An admitted call is no offence."""

    def take_refused(self, weight: int, now: int) -> None:
        self._offences.take(1, now)

    def remaining(self, now: int) -> int:
        return self._offences.remaining(now)

    def reset(self, now: int) -> int:
        return self._offences.reset(now)

    def most(self, span: int) -> int | None:
        return None
