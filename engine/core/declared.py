"""Declared: what an account's rate headers say over several answers: a limit, how it refills, whether the figures move at all.

Pure. A header is a claim; what a test measures stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, pstdev

from engine.core.laws import MINUTE, Law
from engine.core.limits import Dimension, Reading
from engine.core.trials import Shot

FINE = 0.6
"""Seconds by which resets may miss what a law foretells: servers round them, and calls travel unevenly."""
CLEAR = 3.0
"""How many times worse every other law has to be."""
_LONGEST = 600.0
"""A limit that is full again later than this is no minute's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What headers said of one dimension."""

    dimension: Dimension
    limit: int
    period: float
    """Seconds: as the header's name says, else a minute."""
    law: Law | None
    """Where the resets tell it."""
    burst: float | None
    """What a bucket holds, where the resets tell it."""
    moves: bool
    """Whether what is left fell with our calls. Figures that do not are not believed."""
    others: float
    """What others of the account used within a period, at least, where the resets tell the law."""
    answers: int

    @property
    def per_minute(self) -> float:
        return self.limit * MINUTE / self.period


def declared(shots: Sequence[Shot], dimension: Dimension) -> Declared | None:
    """What the answers say; `None` where none tells a limit of a minute, or of less."""
    told = [(shot, reading) for shot in shots for reading in shot.readings if reading.dimension is dimension]
    told = [(shot, reading) for shot, reading in told if reading.limit and _short(reading)]
    if not told:
        return None
    limit = min(reading.limit or 0 for _, reading in told)
    period = next((reading.period for _, reading in told if reading.period is not None), MINUTE)
    rows = [(shot, reading) for shot, reading in told if reading.limit == limit and reading.remaining is not None]
    law, burst = _law(rows, limit, period)
    moved = [limit - (reading.remaining or 0) >= 0.5 * weight(shot, dimension) for shot, reading in rows if shot.accepted]
    return Declared(
        dimension=dimension,
        limit=limit,
        period=period,
        law=law,
        burst=burst,
        moves=bool(moved) and sum(moved) >= 0.5 * len(moved),
        others=_others(rows, burst or limit, period) if law is not None else 0.0,
        answers=len(told),
    )


def weight(shot: Shot, dimension: Dimension) -> float:
    """What a call weighed in a dimension, at the least: what an answer reserved is not in it."""
    usage = shot.usage or shot.weighed
    match dimension:
        case Dimension.REQUESTS:
            return float(usage.requests)
        case Dimension.CHARACTERS:
            return float(usage.size)
        case Dimension.TOKENS_OUT:
            return float(usage.answer)
        case _:
            return float(usage.prompt)


def _most(shot: Shot, dimension: Dimension) -> float:
    """What a call can have weighed, with all that it reserved."""
    if dimension is Dimension.TOKENS:
        return float(shot.weighed.tokens)
    return float(shot.weighed.answer) if dimension is Dimension.TOKENS_OUT else weight(shot, dimension)


def reserves(shots: Sequence[Shot], dimension: Dimension = Dimension.TOKENS) -> bool | None:
    """Whether `max_tokens` count, by what a call that asks for many takes away from what is left beside one that asks for few;
    `None` where headers do not tell."""
    rows = [(shot, reading) for shot in shots if shot.accepted for reading in shot.readings if reading.dimension is dimension]
    left = [(shot, reading.limit, reading.remaining) for shot, reading in rows if reading.remaining is not None]
    for (_, _, before), (shot, limit, after) in pairwise(left):
        asked = shot.weighed.answer - (shot.usage.answer if shot.usage else 0)
        if asked >= 200:
            if before - after - weight(shot, dimension) >= 0.4 * asked:
                return True
            if limit is None:
                return None  # it may have been refilled since
            return limit - after - weight(shot, dimension) >= 0.9 * asked
    return None


def _short(reading: Reading) -> bool:
    if reading.period is not None:
        return reading.period <= MINUTE
    if reading.limit and reading.remaining is not None and reading.reset_seconds and reading.remaining < reading.limit:
        return reading.reset_seconds <= _LONGEST
    return True


def _law(rows: Sequence[tuple[Shot, Reading]], limit: int, period: float) -> tuple[Law | None, float | None]:
    """The law whose resets these are, if one stands out; and a bucket's size."""
    resets = [(shot.sent, reading.reset_seconds, reading.remaining or 0) for shot, reading in rows if reading.reset_seconds]
    if len(resets) < 3 or resets[-1][0] - resets[0][0] < 10 * FINE:
        return None, None
    rate = limit / period
    full = median(remaining + reset * rate for _, reset, remaining in resets)
    misses = {
        Law.BUCKET: pstdev(reset - (full - remaining) / rate for _, reset, remaining in resets),
        Law.FIXED: _around([t + reset for t, reset, _ in resets], period),
        Law.SLIDING: max(abs(reset - period) for _, reset, _ in resets),
    }
    if full > 1.05 * limit + 1:
        misses[Law.BUCKET] = math.inf  # no bucket holds more than its minute's worth
    law, other, *_ = sorted(misses, key=lambda law: misses[law])
    if misses[law] > FINE or misses[other] < max(CLEAR * misses[law], FINE):
        return None, None
    return law, full if law is Law.BUCKET else None


def _around(times: Sequence[float], period: float) -> float:
    """How far times are from being the same moment of each period."""
    angles = [2 * math.pi * t / period for t in times]
    mean = math.atan2(sum(map(math.sin, angles)), sum(map(math.cos, angles)))
    return max(abs(math.remainder(angle - mean, 2 * math.pi)) for angle in angles) * period / (2 * math.pi)


def _others(rows: Sequence[tuple[Shot, Reading]], full: float, period: float) -> float:
    """What is gone beyond all that we can have used, at the most of all answers."""
    found = 0.0
    for n, (shot, reading) in enumerate(rows):
        ours = sum(_most(one, reading.dimension) for one, _ in rows[: n + 1] if one.accepted and one.sent > shot.sent - period)
        found = max(found, full - (reading.remaining or 0) - ours)
    return found if found > max(2.0, 0.01 * full) else 0.0
