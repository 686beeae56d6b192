"""Meter: how much may be sent in a while, and how evenly. What an account's ledger is made of, one for each quota.

Pure: `now` (seconds on any steady clock) is an argument, and waiting is a number returned.
"""

from __future__ import annotations

import math
from collections import deque

from msgspec import Struct

from engine.core.slices import Log, Sent, Slices

MARGIN = 0.25
"""Seconds that a sent weight counts beyond its window: a request may take this much longer to the server than a later one. Of
windows shorter than a minute it is a share, see `margin`."""
PACE = 1.05
"""Weights are spread evenly, at this multiple of the mean rate, so that what a pause has missed can be made up for; the window
stays the law."""
SLACK = 0.2
"""Seconds by which a call may come before its place in that even row."""
FINE = 0.975
"""Likewise where each second counts, and without slack: a little below the mean, as calls do not travel equally fast."""
BRIM = 0.99
"""Likewise where a bucket holds little: nearly full, it bears it that calls do not travel equally fast."""
NEARLY = 0.95
"""Of all, as far as can be said of a few seconds."""
SMALL, ALIKE = 1 / 6, 2.0
"""A bucket that holds less than this share of a minute's limit is small, once it has seemed so for so many seconds."""
GROWTH = 1.05
"""What is believed of a limit grows by this factor, once a period, twice as rarely after each time that it proved wrong."""
RAREST = 16


def margin(period: float) -> float:
    """Seconds that a weight counts beyond a window of `period` seconds."""
    return min(MARGIN, 0.02 * period)


class Charge(Struct):
    """A weight in a window, at the time when it was sent."""

    t: float
    weight: float


class Window:
    """A sliding window: what was sent in the last `period` seconds weighs at most `limit`.

    Any server that counts in fixed windows, sliding windows or a refilling bucket of that size admits what this admits.
    `limit` is what is believed; a refusal lowers it to what was accepted, and it grows back slowly to what was declared.
    """

    def __init__(self, limit: float, period: float) -> None:
        self.limit = self.declared = limit
        self.period = period
        self.margin = margin(period)
        self._charges: deque[Charge] = deque()
        self._total = 0.0
        self._grows = math.inf
        self._grew = -math.inf
        self._caution = 1
        self._others = (0.0, -math.inf)

    def wait(self, weight: float, now: float) -> float:
        """Seconds until `weight` fits; 0.0 if it does now. A weight above the limit fits when the window is empty."""
        self._expire(now)
        others, until = self._others
        if now >= until and self._total + weight - self.limit <= 1e-9:
            return 0.0
        alone = self._wait(weight, now, 0.0)
        if now >= until:
            return alone
        return min(self._wait(weight, now, others), max(alone, until - now))

    def _wait(self, weight: float, now: float, others: float) -> float:
        excess = self._total + others + weight - self.limit
        if excess <= 1e-9 or not (self._charges or others):
            return 0.0
        if not self._charges:
            return math.inf  # only what others used is in the way
        for charge in self._charges:
            excess -= charge.weight
            if excess <= 1e-9:
                return max(0.0, charge.t + self.period + self.margin - now)
        return max(0.0, self._charges[-1].t + self.period + self.margin - now) if not others else math.inf

    def charge(self, weight: float, t: float) -> Charge:
        """It was sent at `t`, or with the last charge where that was later."""
        charge = Charge(max(t, self._charges[-1].t) if self._charges else t, weight)
        self._charges.append(charge)
        self._total += weight
        return charge

    def correct(self, charge: Charge, weight: float) -> None:
        """Replace an estimate by what was really used, at the time it was sent. An expired charge is no longer counted."""
        if self._charges and charge.t >= self._charges[0].t:
            self._total += weight - charge.weight
            charge.weight = weight

    def used(self, now: float) -> float:
        """By us; what others of the account used is apart."""
        self._expire(now)
        return self._total

    def shared(self, others: float, until: float) -> None:
        """Others have used so much of it, which counts until that time; the newest word is the one that holds."""
        self._others = (others, until)

    def pace(self, seconds: float, now: float) -> float:
        """What a period sees at the rate of the last so many seconds, or of those since the first charge where they are fewer."""
        spans = min(seconds, now - self._charges[0].t) if self._charges else 0.0
        return self.since(now - seconds) * self.period / max(1.0, spans)

    def since(self, t: float) -> float:
        """What was sent after `t`."""
        total = 0.0
        for charge in reversed(self._charges):
            if charge.t <= t:
                break
            total += charge.weight
        return total

    def refused(self, accepted: float, now: float) -> None:
        """A refusal with no truer word beside it: the account is believed to accept what it did accept. One that follows upon
        growth says that this was too much, and the next growth comes later."""
        if now < self._grew + 2 * self.period:
            self._caution = min(RAREST, 2 * self._caution)
        self._grew = -math.inf
        self.limit = min(self.limit, max(accepted, 0.01 * self.declared, 1.0))
        self._grows = now + self.period * self._caution

    def told(self, limit: float) -> None:
        """The server's own word on its limit, which only ever lowers ours."""
        self.declared = min(self.declared, limit)
        self.limit = min(self.limit, limit)

    def retune(self, limit: float) -> None:
        """Another limit from now on; what was sent stays counted."""
        self.limit = self.declared = limit
        self._grows, self._caution = math.inf, 1

    def _expire(self, now: float) -> None:
        if now >= self._grows:
            if self._grew > -math.inf:
                self._caution = max(1, self._caution // 2)  # the growth before this one was borne
            self.limit, self._grew = min(self.declared, self.limit * GROWTH), now
            self._grows = now + self.period * self._caution if self.limit < self.declared else math.inf
        horizon = now - self.period - self.margin
        while self._charges and self._charges[0].t <= horizon:
            self._total -= self._charges.popleft().weight
        if not self._charges:
            self._total = 0.0  # sheds what floating point left behind


class Pace:
    """An even row: each weight takes its time at the mean rate (a virtual schedule, as GCRA in ITU-T I.371)."""

    def __init__(self) -> None:
        self._free = -math.inf

    def wait(self, now: float, slack: float = SLACK) -> float:
        return max(0.0, self._free - slack - now)

    def charge(self, seconds: float, now: float) -> None:
        """A weight that takes so many seconds of the row."""
        self._free = max(self._free, now) + seconds

    def credit(self, seconds: float) -> None:
        """It weighed less after all."""
        self._free -= seconds


class Meter:
    """One quota of an account: its window, the even row within it, and its slices where these count too.

    `slice` is in seconds; without `spread` there is no row, as for a day's quota.
    """

    def __init__(self, limit: float, period: float, slice: float | None = None, *, spread: bool = True) -> None:
        self.window = Window(limit, period)
        self.slices: Slices | None = None
        self._log = Log()
        self.spread = spread
        self._pace = Pace() if spread else None
        self._usual = PACE if period > 1 else FINE
        self._eased = -math.inf
        self._brim: tuple[float, float] | None = None
        """What a server's bucket seemed to hold, and since when."""
        if slice is not None:
            self.cut(slice)

    @property
    def share(self) -> float:
        """Of a slice."""
        return self.window.limit * self.slices.seconds / self.window.period if self.slices is not None else math.inf

    def wait(self, weight: float, now: float, at_once: float | None = None) -> float:
        """Seconds until `weight` may be sent; 0.0 if now. `at_once` is what of it counts when it comes, if not all."""
        longest = self.window.wait(weight, now)
        if self.slices is not None:
            sent = weight if at_once is None else at_once
            longest = max(longest, self.slices.wait(sent, self.share * self._ease(now), now))
        if self._pace is not None:
            slack = self.slices.seconds if self.slices is not None else SLACK if self._usual == PACE else 0.0
            longest = max(longest, self._pace.wait(now, slack))
        return longest

    def charge(self, weight: float, now: float, at_once: float | None = None) -> Charge:
        sent = weight if at_once is None else at_once
        if self._pace is not None:
            self._pace.charge(self._seconds(weight, now), now)
            self._log.add(Sent(now, sent))
        if self.slices is None:
            return self.window.charge(weight, now)
        self.slices.charge(sent, now)
        return self.window.charge(weight, self.slices.begin(now))  # a slice is a whole: it counts from its beginning

    def correct(self, charge: Charge, weight: float, now: float) -> None:
        """Replace an estimate by what was really used, at the time it was sent."""
        if self._pace is not None:
            self._pace.credit(self._seconds(charge.weight - weight, now))
        if self.slices is not None:
            self.slices.correct(weight - charge.weight, charge.t)
        self.window.correct(charge, weight)

    def count_late(self, charge: Charge, weight: float, late: float, now: float) -> None:
        """Likewise, at the time when it was known; `late` is what of it the server had not counted before."""
        if self._pace is not None:
            self._pace.credit(self._seconds(charge.weight - weight, now))
        self.window.correct(charge, 0.0)
        self.window.charge(weight, now)
        self._log.add(Sent(now, late, late=True))
        if self.slices is not None:
            self.slices.charge(late, now)

    def cut(self, seconds: float | None) -> None:
        """Mind slices of so many seconds from now on, or none."""
        self.slices = None if seconds is None else Slices(seconds, self._log)
        self.window.margin = margin(self.window.period) if seconds is None else 0.0

    def sustained(self, seconds: float, now: float) -> bool:
        """Whether it was used in full for the last so many seconds."""
        return self._log.since(now - seconds) >= NEARLY * seconds * self.window.limit / self.window.period

    def small(self, remaining: float, reset: float, limit: float, now: float) -> bool:
        """Whether the server's bucket holds seconds of its limit, and not the whole: what is left and what will have been
        refilled when it is full again come to the same little sum each time. Of a window that is nearly over they would not."""
        holds = remaining + reset * limit / self.window.period
        if self._brim is None or not math.isclose(holds, self._brim[0], rel_tol=0.1, abs_tol=2) or holds > SMALL * limit:
            self._brim = (holds, now)
        if now < self._brim[1] + ALIKE:
            return False
        self._usual = BRIM
        return True

    def retune(self, limit: float) -> None:
        """Another limit from now on; what was sent stays counted, and the row begins anew."""
        self.window.retune(limit)
        if self._pace is not None:
            self._pace = Pace()

    def ease(self, now: float) -> None:
        """Half the pace for a while, and back to the whole of it within a minute."""
        self._eased = now

    def _ease(self, now: float) -> float:
        return min(1.0, 0.5 + (now - self._eased) / 120) if now < self._eased + 60 else 1.0

    def _seconds(self, weight: float, now: float) -> float:
        """Seconds of the even row that a weight takes."""
        return weight * self.window.period / (self.window.limit * self._usual * self._ease(now))
