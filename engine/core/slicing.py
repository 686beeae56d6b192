"""Slicing: what refusals with room left in the minute say of slices, for all quotas of an account together.

Pure; a part of an account's ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from engine.core.slices import Arc
from engine.core.window import Meter

MINUTE = 60.0
SHORT, LONG = 1.0, 10.0
"""Seconds of the slices that vendors are known to count."""
SOON = 5.0
"""A limit on each second refuses before so many seconds are used in full, and one on ten of them later."""
OFTEN = 3
"""So many beats within a minute are none: the slices are not as we think, or there are none."""
NARROWER = 0.98
"""What a refusal adds to what is known of the beat is nothing where the place that is left for it has at least this share of the
one before."""
FORGET, LONGEST = 600.0, 6 * 3600.0
"""Slices that no plan has declared are minded for so many seconds, and twice as long each time that they are met again."""


class Weight(NamedTuple):
    """What a call weighs in a quota."""

    whole: float
    at_once: float
    """What of it counts when it comes."""


class Slicing:
    """Which slices are minded, and until when. `meters` are the account's, by quota; `declared` is what the plan says."""

    def __init__(self, meters: Mapping[str, Meter], declared: float | None) -> None:
        self.seconds = declared
        """Of the slices that are minded; `None` while none are."""
        self._meters = meters
        self._declared = declared
        self._arc: Arc | None = None
        """Where a slice of the server's has begun, once, by all that refusals have told."""
        self._wrong: list[float] = []
        """When a refusal has told otherwise than those before."""
        self._until = math.inf
        self._patience = FORGET

    def declare(self, seconds: float | None) -> None:
        """The plan says something else from now on."""
        if seconds != self._declared:
            self._declared, self._until = seconds, math.inf
            self._mind(seconds)

    def sent(self, now: float) -> None:
        if now >= self._until:
            self._until, self._patience = math.inf, min(LONGEST, 2 * self._patience)
            self._mind(self._declared)

    def refused(self, t: float, weights: Mapping[str, Weight], left: Mapping[str, int], now: float) -> bool:
        """Whether the refusal of a call sent at `t` is about a slice, which is taken to heart then. `left` is what the server
        says is left of each minute."""
        minutes = {name: meter.window for name, meter in self._meters.items() if meter.window.period == MINUTE}
        if told := minutes.keys() & left.keys():
            room = all(left[name] >= weights[name].whole for name in told)
        else:
            room = self.seconds is not None or all(window.used(now) < 0.5 * window.limit for window in minutes.values())
        if not minutes or not room:
            return False
        if self.seconds is None:
            self._mind(LONG if any(self._meters[name].sustained(SOON, now) for name in minutes) else SHORT)
            self._until = now + self._patience
            self._hear(t, weights, now)
            return True
        return (self._hear(t, weights, now) and len(self._wrong) <= OFTEN) or self._shorten()

    def _hear(self, t: float, weights: Mapping[str, Weight], now: float) -> bool:
        """Follow the beat that a refusal tells of; `False` if it tells of none. All quotas of an account have the same."""
        sliced = [(weights[name].at_once, meter.share, meter.slices) for name, meter in self._meters.items() if meter.slices]
        arcs = [arc for weight, share, slices in sliced if (arc := slices.refusal(weight, share, t)) is not None]
        if not arcs or self.seconds is None:
            return False
        told = min(arcs, key=lambda arc: arc.width)
        known = self._arc.near(told, self.seconds) if self._arc is not None else told
        both = told.within(known)
        if both is None:
            self._wrong = [*(wrong for wrong in self._wrong if wrong > now - MINUTE), now]
            both = told if len(self._wrong) > 1 else known
        for _, _, slices in sliced:
            if self._arc is not None and both.width > NARROWER * self._arc.width:
                slices.distrust(now)
            slices.follow(both, now)
        self._arc = both
        return True

    def _shorten(self) -> bool:
        """A beat that turns out wrong again and again is none, and what was sent fills no slice so long: shorter ones are tried.
        `False` where they are as short as any, and something else is why."""
        self._wrong.clear()
        if self.seconds != LONG or self._declared is not None:
            return False
        self._mind(SHORT)
        return True

    def _mind(self, seconds: float | None) -> None:
        self.seconds, self._arc = seconds, None
        for meter in self._meters.values():
            if meter.window.period == MINUTE and meter.spread:
                meter.cut(seconds)
