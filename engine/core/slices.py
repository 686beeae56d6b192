"""Slices: a minute's quota that its server counts second by second, or ten seconds at once, from a beat that it does not tell.

Pure; a part of an account's meters. `now` is seconds on any steady clock, and waiting is a number returned.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

REST = 1.0
"""Seconds at the end of a slice in which nothing is sent, or half of the slice where that is less: calls do not travel equally
fast, and none may come into the next slice."""
EARLY = 0.25
"""Seconds that the first call keeps from the beat that refusals have told of, or a tenth of the slice where that is less."""
LAST = 0.8
"""Share of the rest in which really nothing is sent; before, what was held up may be."""
UNHEARD = 0.1
"""Seconds for which a server may have counted what we have not heard of."""
LESS, MOST = 0.02, 0.1
"""Share of a slice that is left free for each that was full before we knew, and at the most; it is used again bit by bit."""
FORGIVEN = 120.0
"""Seconds until `LESS` is used again."""
DOUBT = 2.5
"""How much more than is usual may be unheard of when a call is refused."""
LOGGED = 20.0
"""Seconds that are remembered."""
_NOTHING = 1e-9
"""What floating point makes of nothing."""


def rest(seconds: float) -> float:
    """Seconds of a slice in which nothing is sent."""
    return min(REST, 0.5 * seconds)


class Arc(NamedTuple):
    """A while in which a slice of the server's has begun."""

    earliest: float
    latest: float

    @property
    def middle(self) -> float:
        return (self.earliest + self.latest) / 2

    @property
    def width(self) -> float:
        return self.latest - self.earliest

    def near(self, other: Arc, seconds: float) -> Arc:
        """The same some slices of so many seconds later or earlier, where the other is nearest."""
        later = round((other.middle - self.middle) / seconds) * seconds
        return Arc(self.earliest + later, self.latest + later)

    def within(self, other: Arc) -> Arc | None:
        """What the two have in common."""
        both = Arc(max(self.earliest, other.earliest), min(self.latest, other.latest))
        return both if both.width >= 0 else None


class Sent(NamedTuple):
    """A weight that was sent, or that the server counted when the answer was there."""

    t: float
    weight: float
    late: bool = False


class Log:
    """What a server has counted of late, as far as we know."""

    def __init__(self) -> None:
        self._sent: deque[Sent] = deque()
        self._late = 0.0

    def __reversed__(self) -> Iterator[Sent]:
        return reversed(self._sent)

    def add(self, sent: Sent) -> None:
        self._sent.append(sent)
        self._late += sent.weight if sent.late else 0.0
        while self._sent[0].t < sent.t - LOGGED:
            old = self._sent.popleft()
            self._late = max(0.0, self._late - old.weight) if old.late else self._late

    def since(self, t: float) -> float:
        """What was counted from `t` on."""
        total = 0.0
        for sent in reversed(self._sent):
            if sent.t < t:
                break
            total += sent.weight
        return total

    @property
    def unheard(self) -> float:
        """What the server has probably counted by now that we have not heard of."""
        return self._late * UNHEARD / LOGGED


class Slices:
    """Our slices, as long as the server's. Each sends its share early and then rests, so that it lies within one of the server's
    wherever in the rest that one begins, and uses it to the last call. Refusals tell where that is."""

    def __init__(self, seconds: float, log: Log) -> None:
        """`log` is the quota's, and goes on."""
        self.seconds = seconds
        self._log = log
        self._rest = rest(seconds)
        self._early = min(EARLY, 0.1 * seconds)
        self._begin = -math.inf
        self._lead = 0.5 * self._rest
        """Seconds by which the server's slice has probably begun before ours."""
        self._used = 0.0
        self._less, self._lessened = 0.0, 0.0

    def begin(self, now: float) -> float:
        """When the slice of this moment has begun; the first one begins with its first call."""
        return now if self._begin == -math.inf else self._begin + (now - self._begin + _NOTHING) // self.seconds * self.seconds

    def wait(self, weight: float, share: float, now: float) -> float:
        """Seconds until a call of `weight` may be sent, of a `share` for each slice. One above the share takes an empty slice."""
        self._turn(now)
        gone = now - self.begin(now)
        full = self._used and self._used + weight > share * (1 - self._free(now)) - self._log.unheard + _NOTHING
        if full or gone > self.seconds - LAST * self._rest:
            return self.seconds - gone
        wait = (self.seconds - self._rest) * self._used / share - gone
        return wait if wait > _NOTHING else 0.0

    def charge(self, weight: float, now: float) -> None:
        """It was sent, or has been counted late."""
        self._turn(now)
        self._begin = self.begin(now)
        self._used += weight

    def correct(self, difference: float, t: float) -> None:
        """What was sent at `t` weighs so much more."""
        if t >= self._begin:
            self._used += difference

    def refusal(self, weight: float, share: float, t: float) -> Arc | None:
        """Where a slice of the server's has begun in which a call of `weight`, sent at `t`, was refused: before the earliest of
        the calls that it took to fill it, and less than a slice ago. `None` where too little was sent to fill any."""
        needed, latest, earliest = share - weight - DOUBT * self._log.unheard, t, t - self.seconds
        for sent in reversed(self._log):
            if sent.t <= earliest - self._early or needed < 0:
                break
            if sent.t < t:
                needed, latest = needed - sent.weight, sent.t
        return Arc(min(earliest, latest - self._early), latest) if needed < 0 and latest < t else None

    def follow(self, arc: Arc, now: float) -> None:
        """One of the server's slices has begun there: send between that and the next."""
        slack = self.seconds - arc.width - (self.seconds - self._rest)
        begin = arc.latest + min(self._early, 0.5 * slack)
        self._lead = begin - arc.middle
        self._begin = begin
        self._begin = self.begin(now)
        self._used = self._since_begin()

    def distrust(self, now: float) -> None:
        """It was full before we knew, which only what is counted late can be."""
        if self._log.unheard:
            self._less, self._lessened = min(MOST, self._free(now) + LESS), now

    def _free(self, now: float) -> float:
        """Share that is not used."""
        return max(0.0, self._less - LESS * (now - self._lessened) / FORGIVEN) if self._less else 0.0

    def _turn(self, now: float) -> None:
        """Begin the slice of this moment, if it has not begun."""
        if self._begin > -math.inf and (begin := self.begin(now)) > self._begin:
            self._begin = begin
            self._used = self._since_begin()

    def _since_begin(self) -> float:
        """What the server has counted by then of the slice that ours lies in."""
        used = 0.0
        for sent in reversed(self._log):
            if sent.t < self._begin - self._lead:
                break
            used += sent.weight if sent.late or sent.t >= self._begin else 0.0
        return used
