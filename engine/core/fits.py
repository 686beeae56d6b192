"""Fits: which law of a limiter explains best what was accepted and what was refused, how large it is, and how sure that is.

Pure. Every law says of each attempt how full the limiter would be with it, given what was accepted before; the right law has one
size that parts accepted from refused. How well a size parts them is a likelihood (a logistic one, as other traffic and the ways
of calls blur the edge), by which laws, sizes and times are chosen, with the interval in which it falls by 1.92 (95%, by the
likelihood ratio).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
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
STRAY = 0.01
"""Share of verdicts that no law explains: refusals that a limit had no part in."""
_PHASES, _RATES, _ROUNDS = 90, 64, 3
_LEVELS = 40
_CONTENDERS = 3
"""Laws that are tried with others on the account."""
_SHARES = (0.03, 0.08, 0.2, 0.45)
_FINER = (0.65, 0.8, 0.9, 1.1, 1.25, 1.5)
"""Of the rate that a law lets through, what others may take of it; then, finer, of what was found."""
_PAUSE = 1.0
"""Seconds between two rows where nothing was sent."""


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
    """How wide the edge between accepted and refused is, in weight."""
    likelihood: float
    """Its logarithm."""
    size_span: tuple[float, float]
    rate_span: tuple[float, float]
    """95% intervals."""
    phase: float = 0.0
    """When a fixed window begins."""
    others: float = 0.0
    """Weight per second that others of the account send, as far as accepts show it."""
    alone: float = -math.inf
    """The likelihood if nobody else used the account."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """Attempts as columns, in the order in which they came; of those sent at once the accepted first."""

    t: Array
    end: Array
    weight: Array
    accepted: Flags
    scored: Flags
    open: Array
    """Seconds before each attempt in which the limiter let others pass: the gap before an accepted one. Rows of no weight stand
    where we sent nothing, the minute before the first attempt included."""
    others: float = 0.0
    """Weight per second of others."""

    @property
    def usual(self) -> float:
        return float(np.median(self.weight[self.scored])) or 1.0

    @property
    def taken(self) -> Array:
        return self.weight * self.accepted + self.others * self.open

    @property
    def before(self) -> Array:
        """Weight accepted before each attempt, ours and others'."""
        return np.concatenate(([0.0], np.cumsum(self.taken)))

    @property
    def added(self) -> Array:
        """Weight that each attempt finds beside what stands in `before`."""
        return self.weight + self.others * self.open


def fits(attempts: Iterable[Attempt], laws: Sequence[Law] = tuple(Law)) -> list[Fit]:
    """The best fit of each law and window, the likeliest first. None where nothing was refused, or nothing accepted."""
    sample = _sample(list(attempts))
    scored = sample.accepted[sample.scored]
    if not scored.size or scored.all() or not scored.any():
        return []
    tries = [(law, window) for law in laws for window in (WINDOWS if law in (Law.FIXED, Law.SLIDING) else (0.0,))]
    alone = sorted((_fit(sample, law, window) for law, window in tries), key=lambda fit: -fit.likelihood)
    shared = [_shared(sample, fit) if n < _CONTENDERS else fit for n, fit in enumerate(alone)]
    return sorted(shared, key=lambda fit: -fit.likelihood)


def _fit(sample: _Sample, law: Law, window: float) -> Fit:
    match law:
        case Law.BUCKET:
            return _bucket(sample, _rates(sample))
        case Law.CONCURRENT:
            return _concurrent(sample)
        case Law.FIXED:
            return _fixed(sample, window, np.arange(_PHASES) * (window / _PHASES))
        case Law.SLIDING:
            return _sliding(sample, window)


def _shared(sample: _Sample, fit: Fit) -> Fit:
    """The same law with others on the account, as many as are likeliest; none, unless that explains much more. Of calls in flight
    they cannot be told from its size."""
    if fit.law is Law.CONCURRENT or fit.rate <= 0:
        return fit
    best = replace(fit, alone=fit.likelihood)
    for shares in (_SHARES, _FINER):
        usual = fit.rate if shares is _SHARES else best.others
        for others in (usual * share for share in shares):
            if others and (one := _near(replace(sample, others=others), fit)).likelihood > best.likelihood:
                best = replace(one, others=others, alone=fit.likelihood)
    much = best.likelihood >= max(fit.likelihood + 8, 0.65 * fit.likelihood)
    return best if much else best if not best.others else replace(fit, alone=fit.likelihood)


def _near(sample: _Sample, fit: Fit) -> Fit:
    """The same law's fit with the time or the rate not far from what it was."""
    match fit.law:
        case Law.BUCKET:
            return _bucket(sample, fit.rate * np.geomspace(0.9, 1.5, 25))
        case Law.FIXED:
            return _fixed(sample, fit.window, fit.phase + np.linspace(-0.02, 0.02, 9) * fit.window)
        case _:
            return _sliding(sample, fit.window)


def _sample(given: Sequence[Attempt]) -> _Sample:
    first: dict[int, float] = {}
    for row in given:
        if row.together:
            first[row.together] = min(row.t, first.get(row.together, math.inf))
    rows = [replace(row, t=first[row.together]) if row.together else row for row in given]
    rows.sort(key=lambda row: (row.t, not row.accepted))
    rows = list(_with_pauses(rows))
    t = np.array([row.t for row in rows])
    accepted = np.array([row.accepted for row in rows], dtype=np.bool_)
    weight = np.array([row.weight for row in rows])
    return _Sample(
        t,
        np.array([row.end for row in rows]),
        weight,
        accepted,
        np.array([row.scored for row in rows], dtype=np.bool_),
        np.minimum(np.diff(t, prepend=t[:1]), _PAUSE) * (accepted | (weight == 0)),
    )


def _with_pauses(rows: Sequence[Attempt]) -> Iterator[Attempt]:
    """Rows of no weight where nothing was sent."""
    last = rows[0].t - MINUTE if rows else 0.0
    for row in rows:
        while row.t - last > 2 * _PAUSE:
            last += _PAUSE
            yield Attempt(last, last, 0.0, accepted=False, scored=False)
        last = row.t
        yield row


# The laws: how full with each attempt


def _sliding(sample: _Sample, window: float) -> Fit:
    before = sample.before
    left = before[np.searchsorted(sample.t, sample.t - window, side="right")]
    edge = _edge(before[:-1] - left + sample.added, sample)
    return _windowed(Law.SLIDING, window, edge, 0.0)


def _fixed(sample: _Sample, window: float, phases: NDArray[Any]) -> Fit:
    """The phase is the likeliest of many, then of finer ones around it."""
    before = sample.before

    def fill(phase: float) -> Array:
        starts = phase + np.floor((sample.t - phase) / window) * window
        return before[:-1] - before[np.searchsorted(sample.t, starts, side="left")] + sample.added

    best, step = 0.0, float(phases[1] - phases[0])
    for _ in range(_ROUNDS):
        best, _ = _best(phases, [_rough(fill(float(phase)), sample) for phase in phases])
        phases, step = best + np.linspace(-step, step, 21), step / 10
    return _windowed(Law.FIXED, window, _edge(fill(best), sample), best % window)


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


def _rates(sample: _Sample) -> Array:
    """Rates of refill around what was accepted."""
    t, taken = sample.t[sample.scored], sample.taken[sample.scored]
    span = max(1.0, float(t[-1] - t[0]))
    usual = max(float(taken.sum()) / span, sample.usual / span)
    return usual * np.geomspace(0.01, 3.0, _RATES)


def _bucket(sample: _Sample, rates: Array) -> Fit:
    """How far a bucket is drawn down depends on its refill: of some rates the likeliest, then of finer ones around it."""
    ratio = float(rates[1] / rates[0])
    tried: list[tuple[float, float]] = []
    best = 0.0
    for _ in range(_ROUNDS):
        found = [_rough(drawn, sample) for drawn in _drawn(sample, rates)]
        tried += zip(map(float, rates), found, strict=True)
        best, _ = _best(rates, found)
        rates = best * np.geomspace(1 / ratio, ratio, 25)
        ratio **= 1 / 12
    top = max(likelihood for _, likelihood in tried)
    within = [rate for rate, likelihood in tried if likelihood >= top - DROP]
    edge = _edge(_drawn(sample, np.array([best]))[0], sample)
    return Fit(Law.BUCKET, 0.0, edge.level, best, edge.blur, edge.likelihood, edge.span, (min(within), max(within)))


def _drawn(sample: _Sample, rates: Array) -> Array:
    """For each rate of refill, how far the bucket is drawn down with each attempt."""
    drawn = np.zeros((sample.t.size, rates.size))
    level = np.zeros(rates.size)
    gaps = np.diff(sample.t, prepend=sample.t[:1])
    for n, (gap, added, taken) in enumerate(zip(gaps, sample.added, sample.taken, strict=True)):
        level = np.maximum(level - rates * gap, 0.0)
        drawn[n] = level + added
        level += taken
    return drawn.T


def _best(parameters: Array, likelihoods: Sequence[float]) -> tuple[float, float]:
    """The likeliest, and its likelihood; the one in the middle where several are alike."""
    top = max(likelihoods)
    alike = [float(parameter) for parameter, one in zip(parameters, likelihoods, strict=True) if one >= top - 0.05]
    return alike[len(alike) // 2], top


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
    parts = _parts(fill, sample)
    best, blur, top, span = 0.0, 0.0, -math.inf, (parts.low, parts.high)
    levels = parts.levels(_LEVELS)
    for _ in range(2):
        likelihoods = _likelihoods(parts, levels, parts.blurs(12))
        top = float(likelihoods.max())
        profile = likelihoods.max(axis=1)
        within, alike = levels[profile >= top - DROP], levels[profile >= top - 0.05]
        best = float(alike[alike.size // 2])
        blur = float(parts.blurs(12)[int(likelihoods[int(np.searchsorted(levels, best))].argmax())])
        span = (float(within[0]), float(within[-1]))
        step = float(levels[1] - levels[0])
        levels = np.linspace(span[0] - step, span[1] + step, _LEVELS)
    return _Edge(best, blur, top, span)


def _rough(fill: Array, sample: _Sample) -> float:
    """The likelihood of the best level, about: for choosing among many."""
    parts = _parts(fill, sample)
    return float(_likelihoods(parts, parts.levels(20), parts.blurs(6)).max())


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

    def blurs(self, count: int) -> Array:
        """From next to none to as wide as the range."""
        return np.geomspace(0.05 * self.usual, max(self.usual, self.high - self.low), count)


def _parts(fill: Array, sample: _Sample) -> _Parts:
    """Fills far away from where the edge can be are counted as if they were not so far."""
    yes, no = fill[sample.scored & sample.accepted], fill[sample.scored & ~sample.accepted]
    low, high = sorted((float(np.quantile(no, 0.002)), float(np.quantile(yes, 0.998))))
    usual = sample.usual
    pad = 4 * usual + 0.5 * (high - low)
    fine = max(0.1 * usual, (high - low + 2 * pad) / 400)
    values = np.round(np.clip(np.concatenate((yes, no)), low - pad, high + pad) / fine)
    fills, where = np.unique(values, return_inverse=True)
    flags = np.concatenate((np.ones(yes.size), np.zeros(no.size)))
    accepted: Array = np.bincount(where, flags, fills.size).astype(np.float64)
    refused: Array = np.bincount(where, 1 - flags, fills.size).astype(np.float64)
    return _Parts(usual, low, high, accepted, refused, fills * fine)


def _likelihoods(parts: _Parts, levels: Array, blurs: Array) -> Array:
    """For each level and blur the logarithm of the likelihood of all verdicts."""
    x = (levels[:, None, None] - parts.fills[None, None, :]) / blurs[None, :, None]
    passed = STRAY / 2 + (1 - STRAY) / (1 + np.exp(-np.clip(x, -40, 40)))
    made: Array = np.log(passed) @ parts.accepted + np.log1p(-passed) @ parts.refused
    return made
