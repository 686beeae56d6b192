"""Concurrency that is learnt, and the breaker of a sick provider. Pure: `now` is an argument; the account's pump owns both."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

SATURATED = 0.8
"""Growth says something only while at least this share of what is allowed is in use."""
CUT = 0.7
COOLDOWN = 5.0
"""Seconds after a cut in which nothing is learnt, where the server does not say: refusals of calls already sent are no news."""


@dataclass(slots=True)
class Aimd:
    """Calls in flight, additive increase and multiplicative decrease (Chiu and Jain 1989): doubles with each round of answers
    until the first refusal, then one more a round. One cut an episode; no growth while it cools down, or while calls prove
    nothing, because fewer are in flight than may be."""

    limit: float
    most: float = math.inf
    _peak: int = field(default=0, init=False)
    _slow: bool = field(default=False, init=False)
    _cool: float = field(default=-math.inf, init=False)

    def acquired(self, in_flight: int) -> None:
        """A call was sent. Counted here and not at its end, when fewer are in flight."""
        self._peak = max(self._peak, in_flight)

    def succeeded(self, now: float) -> None:
        if now < self._cool or self.limit >= self.most or self._peak < SATURATED * math.floor(self.limit):
            return  # whole calls fill a limit that is none
        self.limit = min(self.most, self.limit + (1.0 / self.limit if self._slow else 1.0))

    def cut(self, now: float, cooldown: float | None = None) -> None:
        """Fewer from now on; calls that were on their way when it was cut do not cut it again."""
        if now < self._cool:
            return
        self.limit = max(1.0, min(self.limit, float(max(1, self._peak))) * CUT)
        self._cool = now + (COOLDOWN if cooldown is None else max(cooldown, COOLDOWN))
        self._slow, self._peak = True, 0


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
