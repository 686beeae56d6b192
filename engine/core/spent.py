"""Spent: what earlier lives of a run have used of their lanes' quotas, as a fold over the journal.

Pure. Bounded: for windows up to an hour it keeps what was sent within them, for days and months sums by the hour, or leases.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from engine.core.quota import LEASED, PERIODS, weight
from engine.core.types import Lease, Line, Paid, Quota, Settled, Stepped, Usage, total

HOUR = 3600.0
LATE = 900.0
"""Lines stand in the order in which they settled, so that one may be this much older than those before it."""


class Use(NamedTuple):
    """`amount` of a lane's quota `measure`, used at `t` (UTC seconds) at the latest."""

    t: float
    lane: str
    measure: str
    amount: float


class Spent:
    """What the lines so far weigh on `quotas`, by lane. A measure that was ever leased goes by its leases, from the first one on:
    they also count what was sent and never settled. What was sent before goes by its lines, in sums by the hour."""

    def __init__(self, quotas: Mapping[str, Quota], homes: Mapping[str, str]) -> None:
        """`homes` names for each lane the first lane of its account, in whose name leases are drawn."""
        self._homes = homes
        self._short = {
            lane: [name for name in PERIODS if name not in LEASED and getattr(quota, name) is not None]
            for lane, quota in quotas.items()
        }
        self._keep = {lane: max((PERIODS[name] for name in names), default=0.0) for lane, names in self._short.items()}
        self._long = {lane: [name for name in LEASED if getattr(quota, name) is not None] for lane, quota in quotas.items()}
        self._recent: deque[tuple[float, str, Usage]] = deque()
        self._sums: defaultdict[tuple[str, str], dict[float, float]] = defaultdict(dict)
        self._leases: dict[tuple[str, str], tuple[float, list[tuple[float, float]]]] = {}
        """By lane and measure: what the last lease left to use, and what was used before it, each with its time."""
        self._shift = 0.0
        self._latest = 0.0

    def add(self, line: Line) -> None:
        match line:
            case Settled():
                if fresh := line.replies[line.before :]:
                    self._used(line.lane, line.t - self._shift, [reply.usage for reply in fresh])
            case Paid():
                self._used(line.lane, line.t - self._shift, [line.usage])
            case Lease() if line.measure in LEASED:  # the others are of money
                self._lease(line)
            case Stepped():
                self._shift += line.seconds

    def uses(self, now: float) -> Iterator[Use]:
        """Everything that may still count, oldest first; `now` is the wall clock's time. What a lease left when its process died
        counts as used just now."""
        uses = [
            Use(t + self._shift, lane, name, weight(usage, name)) for t, lane, usage in self._recent for name in self._short[lane]
        ]
        for (lane, name), sums in self._sums.items():
            uses += [Use(t + self._shift, lane, name, amount) for t, amount in sums.items()]
        for (lane, name), (left, earlier) in self._leases.items():
            uses += [Use(t + self._shift, lane, name, amount) for t, amount in earlier]
            uses.append(Use(now, lane, name, left))
        yield from sorted(use for use in uses if use.amount > 0)

    def closing(self, t: float) -> list[Lease]:
        """Leases that say at `t` that what a killed process had drawn is used up: otherwise it would count as used just now again
        and again, at each restart."""
        return [
            Lease(measure=name, lane=lane, amount=0.0, rest=0.0, t=t)
            for (lane, name), (left, _) in self._leases.items()
            if left > 0
        ]

    def _used(self, lane: str, t: float, usages: list[Usage]) -> None:
        if not self._short.get(lane) and not self._long.get(lane):
            return  # a lane without such quotas, or that the plan has no more
        usage = total(usages)
        if self._short[lane]:
            self._recent.append((t, lane, usage))
            self._latest = max(self._latest, t)
            while self._recent[0][0] < self._latest - self._keep[self._recent[0][1]] - LATE:
                self._recent.popleft()
        for name in self._long[lane]:
            if (self._homes[lane], name) not in self._leases:
                sums, end = self._sums[lane, name], (t // HOUR + 1) * HOUR
                sums[end] = sums.get(end, 0.0) + weight(usage, name)

    def _lease(self, lease: Lease) -> None:
        left, earlier = self._leases.get((lease.lane, lease.measure), (0.0, []))
        used = left - lease.rest
        if used > 0:
            earlier.append((lease.t - self._shift, used))
        self._leases[lease.lane, lease.measure] = (lease.rest + lease.amount, earlier)
