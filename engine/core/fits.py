"""Fits: which law of a limiter explains best what was accepted and what was refused, how large it is, and how sure that is.

Pure. Every law says of each attempt how full the limiter would be with it, given what was accepted before; the right law has one
size that parts accepted from refused. How well a size parts them is a likelihood (a logistic one, as other traffic and the ways
of calls blur the edge), by which laws, sizes and times are chosen, with the interval in which it falls by 1.92 (95%, by the
likelihood ratio).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

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
_SHARP = (0.05, 0.3, 2.0)
"""Weights of a usual call by which the ways of calls may blur an edge."""
_PHASES, _RATES, _STEPS, _ROUNDS = 90, 64, 17, 3
_SHUT = 3
"""Refusals after which a window is shut for certain: one or two may have been refused for something else."""
_LEVELS = 40


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


@dataclass(frozen=True, slots=True)
class _Sample:
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


def fits(attempts: Iterable[Attempt], laws: Sequence[Law] = tuple(Law)) -> list[Fit]:
    """The best fit of each law and window, the likeliest first. None where nothing was refused, or nothing accepted."""
    sample = _sample(list(attempts))
    if not _both(sample):
        return []
    tries = [(law, window) for law in laws for window in (WINDOWS if law in (Law.FIXED, Law.SLIDING) else (0.0,))]
    return sorted((_fit(sample, law, window) for law, window in tries), key=lambda fit: -fit.likelihood)


def _fit(sample: _Sample, law: Law, window: float) -> Fit:
    match law:
        case Law.BUCKET:
            return _bucket(sample)
        case Law.CONCURRENT:
            return _concurrent(sample)
        case Law.FIXED:
            return _fixed(sample, window)
        case Law.SLIDING:
            return _sliding(sample, window)


def _sample(given: Sequence[Attempt]) -> _Sample:
    first: dict[int, float] = {}
    for row in given:
        if row.together:
            first[row.together] = min(row.t, first.get(row.together, math.inf))
    rows = [replace(row, t=first[row.together]) if row.together else row for row in given]
    rows.sort(key=lambda row: (row.t, not row.accepted))
    return _Sample(
        np.array([row.t for row in rows]),
        np.array([row.end for row in rows]),
        np.array([row.weight for row in rows]),
        np.array([row.accepted for row in rows], dtype=np.bool_),
        np.array([row.scored for row in rows], dtype=np.bool_),
    )


# The laws: how full with each attempt


def _sliding(sample: _Sample, window: float) -> Fit:
    before = sample.before
    left = before[np.searchsorted(sample.t, sample.t - window, side="right")]
    edge = _edge(before[:-1] - left + sample.weight, sample)
    return _windowed(Law.SLIDING, window, edge, 0.0)


def _fixed(sample: _Sample, window: float) -> Fit:
    """The phase is the likeliest of many, then of finer ones around it."""
    count = _PHASES if window > SLICE else _PHASES // 2
    phases, step, best = np.linspace(0.0, window, count, endpoint=False), window / count, 0.0
    for _ in range(_ROUNDS):
        turned = [_turned(sample, window, float(phase)) for phase in phases]
        best = _best(phases, [_rough(one.fill, one.sample) + one.strange for one in turned])
        phases, step = best + np.linspace(-step, step, _STEPS), step / (_STEPS // 2)
    one = _turned(sample, window, best)
    edge = _edge(one.fill, one.sample)
    return _windowed(Law.FIXED, window, replace(edge, likelihood=edge.likelihood + one.strange), best % window)


@dataclass(frozen=True, slots=True)
class _Turned:
    """Windows that begin at a phase: how full each attempt finds its own, and the attempts that are still open to question."""

    fill: Array
    sample: _Sample
    strange: float
    """Likelihood of what passed in a window that had refused before."""


def _turned(sample: _Sample, window: float, phase: float) -> _Turned:
    """A window that has refused stays shut until it turns, whoever filled it; only calls that were under way may differ."""
    before = sample.before
    starts = phase + np.floor((sample.t - phase) / window) * window
    first = np.searchsorted(sample.t, starts, side="left")
    refused = np.concatenate(([0.0], np.cumsum(~sample.accepted)))
    shut = refused[:-1] - refused[first] >= _SHUT
    passed = int((shut & sample.scored & sample.accepted).sum())
    return _Turned(
        before[:-1] - before[first] + sample.weight,
        replace(sample, scored=sample.scored & ~shut),
        passed * math.log(STRANGE),
    )


def _windowed(law: Law, window: float, edge: _Edge, phase: float) -> Fit:
    low, high = edge.span
    rates = low / window, high / window
    return Fit(law, window, edge.level, edge.level / window, edge.blur, edge.likelihood, edge.span, rates, phase)


def _concurrent(sample: _Sample) -> Fit:
    """In flight are those accepted before that have not ended."""
    before = sample.before
    order = np.argsort(sample.end, kind="stable")
    ended = np.concatenate(([0.0], np.cumsum((sample.weight * sample.accepted)[order])))
    inside = before[:-1] - ended[np.searchsorted(sample.end[order], sample.t, side="right")]
    edge = _edge(np.maximum(inside, 0.0) + sample.weight, sample)
    return Fit(Law.CONCURRENT, 0.0, edge.level, math.inf, edge.blur, edge.likelihood, edge.span, (0.0, math.inf))


def _bucket(sample: _Sample) -> Fit:
    """How far a bucket is drawn down depends on its refill: of rates around what was accepted the likeliest, then finer ones."""
    t, taken = sample.t[sample.scored], sample.taken[sample.scored]
    span = max(1.0, float(t[-1] - t[0]))
    rates = max(float(taken.sum()) / span, sample.usual / span) * np.geomspace(0.01, 3.0, _RATES)
    ratio, best = float(rates[1] / rates[0]), 0.0
    tried: list[tuple[float, float]] = []
    for _ in range(_ROUNDS):
        found = [_rough(drawn, sample) for drawn in _drawn(sample, rates)]
        tried += zip(map(float, rates), found, strict=True)
        best = _best(rates, found)
        rates = best * np.geomspace(1 / ratio, ratio, _STEPS)
        ratio **= 1 / (_STEPS // 2)
    top = max(likelihood for _, likelihood in tried)
    within = [rate for rate, likelihood in tried if likelihood >= top - DROP]
    edge = _edge(_drawn(sample, np.array([best]))[0], sample)
    return Fit(Law.BUCKET, 0.0, edge.level, best, edge.blur, edge.likelihood, edge.span, (min(within), max(within)))


def _drawn(sample: _Sample, rates: Array) -> Array:
    """For each rate of refill, how far the bucket is drawn down with each attempt."""
    drawn = np.zeros((sample.t.size, rates.size))
    level = np.zeros(rates.size)
    gaps = np.diff(sample.t, prepend=sample.t[:1])
    for n, (gap, added, taken) in enumerate(zip(gaps, sample.weight, sample.taken, strict=True)):
        level = np.maximum(level - rates * gap, 0.0)
        drawn[n] = level + added
        level += taken
    return drawn.T


def _best(parameters: NDArray[Any], likelihoods: Sequence[float]) -> float:
    """The likeliest; the one in the middle where several are alike."""
    top = max(likelihoods)
    alike = [float(parameter) for parameter, one in zip(parameters, likelihoods, strict=True) if one >= top - 0.05]
    return alike[len(alike) // 2]


# The edge: the fill that parts accepted from refused


@dataclass(frozen=True, slots=True)
class _Edge:
    """The best level, and how blurred it is."""

    level: float
    blur: float
    likelihood: float
    span: tuple[float, float]


def _edge(fill: Array, sample: _Sample) -> _Edge:
    """Accepted attempts should fill to the level at the most, refused ones above it."""
    if not _both(sample):
        return _Edge(0.0, 0.0, -math.inf, (0.0, 0.0))
    parts = _parts(fill, sample, 400)
    best, blur, top, span = 0.0, 0.0, -math.inf, (parts.low, parts.high)
    levels, blurs = parts.levels(_LEVELS), parts.blurs(10, _SHARP)
    for _ in range(2):
        likelihoods = _likelihoods(parts, levels, blurs)
        top = float(likelihoods.max())
        profile = likelihoods.max(axis=1)
        within, alike = levels[profile >= top - DROP], levels[profile >= top - 0.05]
        best = float(alike[alike.size // 2])
        blur = float(blurs[int(likelihoods[int(np.searchsorted(levels, best))].argmax()), 1])
        span = (float(within[0]), float(within[-1]))
        step = float(levels[1] - levels[0])
        levels = np.linspace(span[0] - step, span[1] + step, _LEVELS)
    return _Edge(best, blur, top, span)


def _rough(fill: Array, sample: _Sample) -> float:
    """The likelihood of the best level, about: for choosing among many."""
    if not _both(sample):
        return -math.inf
    parts = _parts(fill, sample, 160)
    return float(_likelihoods(parts, parts.levels(14), parts.blurs(5, _SHARP[::2])).max())


def _both(sample: _Sample) -> bool:
    """Whether anything is to be parted."""
    scored = sample.accepted[sample.scored]
    return bool(scored.any() and not scored.all())


@dataclass(frozen=True, slots=True)
class _Parts:
    """Verdicts by how full the limiter was, from `low` to `high` where both kinds are found, or neither."""

    usual: float
    low: float
    high: float
    accepted: Array
    refused: Array
    fills: Array

    def levels(self, count: int) -> Array:
        return np.linspace(self.low - self.usual, self.high + self.usual, count)

    def blurs(self, count: int, sharp: Sequence[float]) -> Array:
        """Pairs: how blurred the edge is by the ways of calls, and how far below it others can have been in the way, from next to
        nothing to a good part of it."""
        far = np.geomspace(0.05 * self.usual, max(self.usual, OTHERS * self.high), count)
        return np.array([(self.usual * one, other) for one in sharp for other in far])


def _parts(fill: Array, sample: _Sample, bins: int) -> _Parts:
    """Fills far away from where the edge can be are counted as if they were not so far."""
    yes, no = fill[sample.scored & sample.accepted], fill[sample.scored & ~sample.accepted]
    low, high = sorted((float(np.quantile(no, 0.002)), float(np.quantile(yes, 0.998))))
    usual = sample.usual
    pad = 4 * usual + 0.5 * (high - low)
    fine = max(0.1 * usual, (high - low + 2 * pad) / bins)
    values = np.round(np.clip(np.concatenate((yes, no)), low - pad, high + pad) / fine)
    fills, where = np.unique(values, return_inverse=True)
    flags = np.concatenate((np.ones(yes.size), np.zeros(no.size)))
    accepted: Array = np.bincount(where, flags, fills.size).astype(np.float64)
    refused: Array = np.bincount(where, 1 - flags, fills.size).astype(np.float64)
    return _Parts(usual, low, high, accepted, refused, fills * fine)


def _likelihoods(parts: _Parts, levels: Array, blurs: Array) -> Array:
    """For each level and blur the logarithm of the likelihood of all verdicts.

    Others can have a call refused that would have passed, and the more so the nearer it was to the edge; nothing can have one
    passed that would have been refused, but the ways of calls.
    """
    room = levels[:, None, None] - parts.fills[None, None, :]
    ways, others = blurs[None, :, 0, None], blurs[None, :, 1, None]
    free = 1 / (1 + np.exp(-np.clip(room / ways, -40, 40)))
    passed = STRANGE + (1 - STRANGE - STRAY) * free * -np.expm1(-np.maximum(room, 0.0) / others)
    made: Array = np.log(passed) @ parts.accepted + np.log1p(-passed) @ parts.refused
    return made
