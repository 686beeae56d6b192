"""Rate arithmetic: what an account may send now, and how long until it may send the next.

Pure: `now` (seconds on any steady clock) is an argument, and waiting is a number returned. The account's pump owns it all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from msgspec import structs

from engine.core.aimd import Aimd
from engine.core.habits import Habits
from engine.core.limits import Dimension, Reading
from engine.core.slicing import MINUTE, Slicing, Weight
from engine.core.types import Quota, Usage
from engine.core.window import Charge, Meter, Window

LONGEST = 600.0
"""A limit that refills in more seconds than this is no minute's, and its header says nothing about one."""


@dataclass(slots=True)
class Ticket:
    """A call that was charged and is in flight."""

    usage: Usage
    """What it was estimated to weigh."""
    t: float
    charges: dict[str, Charge]
    """By the quota's name."""


Weigh: TypeAlias = Callable[[Usage], float]
_MEASURES: tuple[tuple[str, float, Weigh], ...] = (
    ("requests_per_second", 1.0, lambda usage: usage.requests),
    ("requests_per_minute", 60.0, lambda usage: usage.requests),
    ("requests_per_day", 86_400.0, lambda usage: usage.requests),
    ("tokens_per_minute", 60.0, lambda usage: usage.tokens),
    ("tokens_in_per_minute", 60.0, lambda usage: usage.prompt),
    ("tokens_out_per_minute", 60.0, lambda usage: usage.answer),
    ("characters_per_minute", 60.0, lambda usage: usage.size),
    ("characters_per_hour", 3_600.0, lambda usage: usage.size),
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


RECENTLY = 10.0
"""Seconds in which a pace is measured."""
NEAR = 0.25
"""Share of a quota's mean rate from which on a refusal may be about the rate; below it, too many calls are in flight at once."""

_TOLD = {
    Dimension.REQUESTS: "requests_per_minute",
    Dimension.TOKENS: "tokens_per_minute",
    Dimension.TOKENS_IN: "tokens_in_per_minute",
    Dimension.TOKENS_OUT: "tokens_out_per_minute",
    Dimension.CHARACTERS: "characters_per_minute",
}
"""The quota that a server's word about a dimension is about."""
_LATE: Mapping[str, Weigh] = MappingProxyType(
    {
        "tokens_per_minute": lambda usage: usage.prompt,
        "tokens_in_per_minute": lambda usage: usage.prompt,
        "tokens_out_per_minute": lambda usage: 0.0,
    }
)
"""What a vendor that counts usage can count in full only when the answer is there, and what it counts at once."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A lease to be journaled: `amount` more, on top of a `rest` that is not used yet."""

    measure: str
    amount: float
    rest: float


class Leases:
    """What was drawn in advance of quotas whose window outlives a process. What is durable may be used, and nothing else."""

    def __init__(self) -> None:
        self.left: dict[str, float] = {}
        """What may still be used, by quota."""
        self.idle: set[str] = set()
        """Quotas that are taken away for now."""
        self._drawing: set[str] = set()
        self._drawn: set[str] = set()
        """Quotas of which a lease was granted, so that its end has to be told."""

    def lacks(self, usage: Usage) -> bool:
        return any(left < weight(usage, name) for name, left in self.left.items() if name not in self.idle)

    def draw(self, usage: Usage, windows: Mapping[str, Window], now: float) -> list[Draft]:
        drafts: list[Draft] = []
        for name, rest in self.left.items():
            needed = weight(usage, name) - rest
            if needed > 0 and name not in self._drawing and name not in self.idle:
                free = windows[name].limit - windows[name].used(now) - rest
                drafts.append(Draft(name, max(needed, min(BLOCK * windows[name].limit, free)), rest))
                self._drawing.add(name)
        return drafts

    def grant(self, draft: Draft) -> None:
        self._drawing.discard(draft.measure)
        if draft.measure in self.left:
            self.left[draft.measure] += draft.amount
            self._drawn.add(draft.measure)

    def returned(self) -> list[Draft]:
        drafts = [Draft(name, -rest, rest) for name, rest in self.left.items() if name in self._drawn]
        self.left = dict.fromkeys(self.left, 0.0)
        return drafts

    def use(self, name: str, amount: float) -> None:
        """Negative amounts come back."""
        if name in self.left:
            self.left[name] -= amount


class Ledger:
    """An account's windows and its calls in flight. Quota fields that are `None` cost nothing.

    Windows are the law, for each quota and, with `slice`, for each slice of a minute; within them weights are spread evenly.
    """

    def __init__(self, quota: Quota, aimd: Aimd | None = None) -> None:
        self.quota = quota
        self.aimd = aimd or Aimd(quota.concurrent or math.inf, quota.concurrent or math.inf)
        self._habits = Habits()
        self._meters: dict[str, Meter] = {}
        self._measured: list[tuple[str, Meter, Weigh, Weigh]] = []
        """Each quota with its meter, what a call weighs in it, and what of that counts when the call comes."""
        self._slicing = Slicing(self._meters, quota.slice)
        self._leases = Leases()
        for name in PERIODS:
            if (limit := getattr(quota, name)) is not None:
                self._open(name, limit * (1 - quota.headroom))
        self._in_flight: dict[int, Ticket] = {}
        self._paused_until = -math.inf

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def limits(self) -> dict[str, float]:
        """What is believed of each quota now."""
        return {name: meter.window.limit for name, meter in self._meters.items() if meter.window.limit < math.inf}

    # May it be sent?

    def wait(self, usage: Usage, now: float) -> float:
        """Seconds until a call of this weight may be sent, 0.0 if now; `inf` until a call in flight has ended."""
        if len(self._in_flight) + 1 > max(1.0, self.aimd.limit):
            return math.inf
        usage, longest = self._weigh(usage), max(self._paused_until - now, 0.0)
        for _, meter, whole, at_once in self._measured:
            if (wait := meter.wait(whole(usage), now, at_once(usage))) > longest:
                longest = wait
        return longest

    def charge(self, usage: Usage, now: float) -> Ticket:
        ticket, expected = Ticket(usage, now, {}), self._weigh(usage)
        self._slicing.sent(now)
        for name, meter, whole, at_once in self._measured:
            ticket.charges[name] = meter.charge(whole(expected), now, at_once(expected))
            self._leases.use(name, whole(expected))
        self._in_flight[id(ticket)] = ticket
        self.aimd.acquired(len(self._in_flight))
        return ticket

    def settle(self, ticket: Ticket, real: Usage | None, now: float) -> None:
        """The call has ended. `real` replaces the estimate; `None` (no usage known) leaves it charged.

        Where the vendor counts tokens as reserved, it counts those of the answer that were asked for, and of the prompt the real
        ones. Where it counts what was used, it counts it at the end: so do we.
        """
        del self._in_flight[id(ticket)]
        if real is None:
            return
        self._habits.learn(ticket.usage, real)
        if self.quota.counts == "reserved":
            real = structs.replace(real, tokens_out=max(real.answer, ticket.usage.tokens_out), tokens_reasoning=0)
        for name, charge in ticket.charges.items():
            if (meter := self._meters.get(name)) is None:
                continue  # taken out of the quota meanwhile
            used = weight(real, name)
            self._leases.use(name, used - charge.weight)
            if self.quota.counts == "used" and name in _LATE:
                meter.count_late(charge, used, used - _at_once(name, self.quota)(real), now)
            else:
                meter.correct(charge, used, now)

    # What the server says

    def release(self, ticket: Ticket, now: float) -> None:
        """The call was turned away: it used no tokens, and is a request all the same (failed ones count with many vendors)."""
        del self._in_flight[id(ticket)]
        for name, charge in ticket.charges.items():
            if name in self._meters and not name.startswith("requests"):
                self._leases.use(name, -charge.weight)
                self._meters[name].correct(charge, 0.0, now)

    def observe(self, readings: Iterable[Reading], ticket: Ticket, now: float) -> None:
        """Take in what headers say. Limits and what is left are only ever lowered by it: less left than we think means that
        others use the account too, and what they used counts as if we had."""
        for reading in readings:
            name = _TOLD[reading.dimension]
            if not _of_a_minute(reading) or reading.limit is None:
                continue
            share = reading.limit * (1 - self.quota.headroom)
            if name not in self._meters:
                self._open(name, share)
                ticket.charges[name] = self._meters[name].charge(weight(ticket.usage, name), ticket.t)
            window = self._meters[name].window
            window.told(share)
            if reading.remaining is not None:
                ours = window.limit - window.used(now)
                left = reading.remaining - reading.limit * self.quota.headroom - window.since(ticket.t)
                others = ours - max(0.0, left)
                reset = min(window.period, reading.reset_seconds or window.period)
                small = self._meters[name].small(reading.remaining, reset, reading.limit, now)
                if others > max(0.05 * window.limit, 2 * weight(ticket.usage, name)) and not small:
                    window.shared(others, now + reset)

    def refused(self, ticket: Ticket, readings: Iterable[Reading], now: float) -> None:
        """A rate refusal. The quota that is nearest to its limit is believed to be what was accepted, unless headers said better;
        where none is near, too many calls are in flight at once."""
        told = [one for one in readings if one.remaining is not None]
        left = {_TOLD[one.dimension]: one.remaining or 0 for one in told if _of_a_minute(one)}
        expected = self._weigh(ticket.usage)
        weights = {name: Weight(whole(expected), at_once(expected)) for name, _, whole, at_once in self._measured}
        if self._slicing.refused(ticket.t, weights, left, now):
            return
        windows = {name: meter.window for name, meter in self._meters.items() if name not in LEASED}
        fills = {name: window.used(now) / window.limit for name, window in windows.items()}
        name = max(fills, key=fills.__getitem__, default=None)
        if name is None:
            self.aimd.cut(now)
            return
        window = windows[name]
        if fills[name] >= 0.5:
            if not told:
                window.refused(window.used(now) - self._pending(name), now)
        elif (pace := window.pace(RECENTLY, now)) > NEAR * window.limit:
            window.refused(0.95 * pace, now)
        else:
            self.aimd.cut(now)

    def _pending(self, name: str) -> float:
        """What the calls in flight weigh, of which nobody knows yet whether they were accepted."""
        return sum(one.charges[name].weight for one in self._in_flight.values() if name in one.charges)

    def ease(self, now: float) -> None:
        """The rise was too steep."""
        for meter in self._meters.values():
            meter.ease(now)

    def paused(self, now: float) -> bool:
        return now < self._paused_until

    def pause(self, until: float) -> None:
        """Send nothing before `until`; a shorter pause never ends a longer one."""
        self._paused_until = max(self._paused_until, until)

    @property
    def slice(self) -> float | None:
        """Seconds of the slices that are minded, declared or learnt."""
        return self._slicing.seconds

    def retune(self, quota: Quota) -> None:
        """Another quota from now on; what was sent stays counted."""
        self._slicing.declare(quota.slice)
        for name in PERIODS:
            limit = getattr(quota, name)
            if name in self._meters:  # one that is taken away stays, without a limit: it may come back
                self._meters[name].retune(math.inf if limit is None else limit * (1 - quota.headroom))
            elif limit is not None:
                self._open(name, limit * (1 - quota.headroom))
        self._leases.idle = {name for name in LEASED if getattr(quota, name) is None}
        if quota.concurrent is not None:
            self.aimd = Aimd(quota.concurrent, quota.concurrent)
        self.quota = quota
        self._measured = _measured(self._meters, self.quota)

    def remember(self, measure: str, amount: float, t: float) -> None:
        """Charge what was used at `t`, in an earlier life, oldest first: a restart does not empty the windows."""
        if measure in self._meters:
            self._meters[measure].window.charge(amount, t)

    # Leases

    def lacks(self, usage: Usage) -> bool:
        """A call of this weight has to wait for a lease: `draw` it, make it durable, and `grant` it."""
        return bool(self._leases.left) and self._leases.lacks(self._weigh(usage))

    def draw(self, usage: Usage, now: float) -> list[Draft]:
        """The leases that a call of this weight needs and that nobody has drawn yet; never more than the window has left."""
        return self._leases.draw(self._weigh(usage), {name: meter.window for name, meter in self._meters.items()}, now)

    def grant(self, draft: Draft) -> None:
        """The lease is durable."""
        self._leases.grant(draft)

    def returned(self) -> list[Draft]:
        """At an orderly end: what was drawn and not used goes back, as leases below zero, or of nothing where all was used."""
        return self._leases.returned()

    def _weigh(self, usage: Usage) -> Usage:
        """What a call is expected to weigh in the vendor's eyes."""
        expected = self._habits.expected(usage)
        return expected if self.quota.counts == "used" else structs.replace(expected, tokens_out=usage.tokens_out)

    def _open(self, name: str, limit: float) -> None:
        slice = self._slicing.seconds if PERIODS[name] == MINUTE else None
        self._meters[name] = Meter(limit, PERIODS[name], slice, spread=name not in LEASED)
        self._measured = _measured(self._meters, self.quota)
        if name in LEASED:
            self._leases.left[name] = 0.0


def _at_once(name: str, quota: Quota) -> Weigh:
    """What of a call counts when it comes; the rest, where the vendor counts what was used, when its answer is there."""
    return _LATE[name] if quota.counts == "used" and name in _LATE else _WEIGH[name]


def _measured(meters: Mapping[str, Meter], quota: Quota) -> list[tuple[str, Meter, Weigh, Weigh]]:
    return [(name, meter, _WEIGH[name], _at_once(name, quota)) for name, meter in meters.items()]


def _of_a_minute(reading: Reading) -> bool:
    """Whether a reading is about a minute's limit: some servers speak of a day's, or a month's, under the same name."""
    if reading.period is not None:
        return reading.period == 60
    if reading.limit and reading.remaining is not None and reading.reset_seconds and reading.remaining < reading.limit:
        return reading.reset_seconds * reading.limit / (reading.limit - reading.remaining) < LONGEST
    return True
