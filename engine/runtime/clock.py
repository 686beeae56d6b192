"""Clock: what time it is for a run, three ways, and what happened to time: a process that was stopped, a wall clock that was set.

The only place where the wall clock is read. Tests pass clocks of their own.
"""

from __future__ import annotations

from collections.abc import Callable

BEAT = 1.0
"""Seconds between two looks at the clock, while anything goes on."""
STOPPED = 5.0
"""A look that comes this much later than due means that the process did not run meanwhile (SIGSTOP, a laptop asleep)."""
STEPPED = 2.0
"""Seconds that the wall clock may drift away from the steady one before it counts as set."""


class Clock:
    """`steady` never jumps (seconds, any origin); `wall` is UTC, and somebody may set it."""

    def __init__(self, steady: Callable[[], float], wall: Callable[[], float]) -> None:
        self._steady = steady
        self._wall = wall
        self._utc = wall() - steady()
        self._asleep = 0.0
        self._looked = steady()

    def now(self) -> float:
        """Steady seconds, as the loop's timers count them."""
        return self._steady()

    def utc(self) -> float:
        """UTC seconds since the epoch, on the wall clock as it was when the run began or as `stepped` last found it: two times
        of a run are as far apart as they really were."""
        return self._steady() + self._utc

    def awake(self) -> float:
        """Steady seconds in which this process ran. Deadlines and patience are counted in these: an answer that came while
        nobody could read it is not late. Somebody has to look about once a `BEAT`."""
        now = self._steady()
        if now - self._looked > BEAT + STOPPED:
            self._asleep += now - self._looked
        self._looked = now
        return now - self._asleep

    def stepped(self) -> float:
        """By how many seconds the wall clock was set since the last question; 0.0 mostly."""
        drift = self._wall() - self.utc()
        if abs(drift) < STEPPED:
            return 0.0
        self._utc += drift
        return drift
