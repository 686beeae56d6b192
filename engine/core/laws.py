"""Laws: the kinds of limiter, what a limiter sees of calls, and how likely it is that a call passes one.

Pure; for the fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

SECOND, SLICE, MINUTE = 1.0, 10.0, 60.0
WINDOWS = (SECOND, SLICE, MINUTE)
"""Seconds of the windows that vendors are known to count in, and that a short test can see."""
DROP = 1.92
"""Half of the 95% point of chi-squared with one degree of freedom."""
STRAY, STRANGE = 0.01, 1e-4
"""Shares of verdicts that no law explains: refusals that a limit had no part in, and calls that passed one that was full."""
OTHERS = 0.2
"""Share of a limiter that others can have filled while we filled the rest."""
SHARP = (0.05, 0.3, 2.0)
"""Weights of a usual call by which the ways of calls may blur an edge."""


class Law(StrEnum):
    """Kinds of limiter."""

    BUCKET = "bucket"
    """Refills without a break, as GCRA and leaky buckets do."""
    FIXED = "fixed"
    """Counts in windows that begin by the clock."""
    SLIDING = "sliding"
    """Counts what came in the last so many seconds."""
    CONCURRENT = "concurrent"
    """Counts calls in flight."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call as a limiter sees it. Times are those at the server, about."""

    t: float
    end: float
    weight: float
    accepted: bool
    scored: bool = True
    """Whether its verdict is to be explained; else it only fills the limiter."""
    together: int = 0
    """Calls with the same number, not 0, were sent at once: nobody knows which came first."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A law with its best size. `rate` is what it lets through in the long run, in weight per second."""

    law: Law
    window: float
    """Seconds; 0 for a law without one."""
    size: float
    """Weight: a bucket's burst, a window's limit, calls at once."""
    rate: float
    blur: float
    """How far below the edge refusals are found that are not explained by it, in weight: others were in the way."""
    likelihood: float
    """Its logarithm."""
    size_span: tuple[float, float]
    rate_span: tuple[float, float]
    """95% intervals."""
    phase: float = 0.0
    """When a fixed window begins."""
    others: float = 0.0
    """Weight a second that others ask for, where the law tells it."""
    refusals: bool = False
    """Whether refused calls count as well."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Attempts as columns, in the order in which they came; of those sent at once the accepted first."""

    t: Array
    end: Array
    weight: Array
    accepted: Flags
    scored: Flags

    @property
    def usual(self) -> float:
        return float(np.median(self.weight[self.scored])) or 1.0

    @property
    def taken(self) -> Array:
        return self.weight * self.accepted

    @property
    def before(self) -> Array:
        """Weight accepted before each attempt."""
        return np.concatenate(([0.0], np.cumsum(self.taken)))

    @property
    def before_in_all(self) -> Array:
        """Weight sent before each attempt, refused or not."""
        return np.concatenate(([0.0], np.cumsum(self.weight)))


def sampled(given: Sequence[Attempt]) -> Sample:
    first: dict[int, float] = {}
    for row in given:
        if row.together:
            first[row.together] = min(row.t, first.get(row.together, math.inf))
    rows = [replace(row, t=first[row.together]) if row.together else row for row in given]
    rows.sort(key=lambda row: (row.t, not row.accepted))
    return Sample(
        np.array([row.t for row in rows]),
        np.array([row.end for row in rows]),
        np.array([row.weight for row in rows]),
        np.array([row.accepted for row in rows], dtype=np.bool_),
        np.array([row.scored for row in rows], dtype=np.bool_),
    )


def both(sample: Sample) -> bool:
    """Whether anything is to be parted."""
    scored = sample.accepted[sample.scored]
    return bool(scored.any() and not scored.all())


def passing(room: Array, ways: Array | float, others: Array | float) -> Array:
    """How likely a call is to pass that leaves so much room.

    Others can have a call refused that would have passed, and the more so the nearer it was to the edge; nothing can have one
    passed that would have been refused, but the ways of calls.
    """
    free = 1 / (1 + np.exp(-np.clip(room / ways, -40, 40)))
    likely: Array = STRANGE + (1 - STRANGE - STRAY) * free * -np.expm1(-np.maximum(room, 0.0) / others)
    return likely


def likeliest(parameters: Sequence[float] | Array, likelihoods: Sequence[float] | Array) -> float:
    """The likeliest; the one in the middle where several are alike."""
    top = max(likelihoods)
    alike = [float(parameter) for parameter, one in zip(parameters, likelihoods, strict=True) if one >= top - 0.05]
    return alike[len(alike) // 2]
