"""Reach: when to stop trying an address that has taken no connection yet. Pure: `now` is an argument; its lanes share one."""

from __future__ import annotations

from dataclasses import dataclass, field

TRYING = 60.0
"""Seconds of failing after which an address that was never reached is taken to be wrong."""


@dataclass(slots=True)
class Reach:
    """Whether an address was ever reached. One that was may be away for hours, and its breaker probes it; one that never was is
    more likely mistyped, or its server not started, and nobody is to wait for ever."""

    reached: bool = False
    _attempts: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)

    def stood(self) -> None:
        """A connection came about."""
        self.reached = True

    def failed(self, now: float) -> str | None:
        """No connection came about. Why the address is given up; `None` while it is not."""
        if self.reached:
            return None
        self._since = self._since if self._attempts else now
        self._attempts += 1
        seconds = now - self._since
        return f"{self._attempts} attempts in {seconds:.0f} s, and no connection" if seconds >= TRYING else None
