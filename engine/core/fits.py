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

import numpy as np

from engine.core.laws import (
    DROP,
    OTHERS,
    SHARP,
    SLICE,
    STRANGE,
    WINDOWS,
    Array,
    Attempt,
    Fit,
    Flags,
    Law,
    Sample,
    both,
    likeliest,
    passing,
    sampled,
)
from engine.core.refill import bucket

_PHASES, _STEPS, _ROUNDS = 90, 17, 3
_SHUT = 3
"""Refusals after which a window is shut for certain: one or two may have been refused for something else."""
_HEAVIER = 1.1
"""Calls that weigh so many times as much as others are of another kind: a window that is shut to them may have room for those."""
_LEVELS = 40
_CLEAR, _WELL = 10.0, 0.1
"""By how much likelier, in the logarithm, all verdicts have to be with refused calls counted, and how likely each of them, before
that is believed."""


def fits(attempts: Iterable[Attempt], laws: Sequence[Law] = tuple(Law)) -> list[Fit]:
    """The best fit of each law and window, the likeliest first. None where nothing was refused, or nothing accepted."""
    sample = sampled(list(attempts))
    if not both(sample):
        return []
    tries = [(law, window) for law in laws for window in (WINDOWS if law in (Law.FIXED, Law.SLIDING) else (0.0,))]
    return sorted((_fit(sample, law, window) for law, window in tries), key=lambda fit: -fit.likelihood)


def _fit(sample: Sample, law: Law, window: float) -> Fit:
    match law:
        case Law.BUCKET:
            return bucket(sample)
        case Law.CONCURRENT:
            return _concurrent(sample)
        case Law.FIXED:
            return _fixed(sample, window)
        case Law.SLIDING:
            return _sliding(sample, window)


# The laws: how full with each attempt


def _sliding(sample: Sample, window: float) -> Fit:
    """Of what was accepted; of all that was sent where that explains nearly every verdict, and clearly better: under a steady
    press what was sent is about the same at any time, and would explain many by chance."""
    first = np.searchsorted(sample.t, sample.t - window, side="right")
    accepted, sent = (before[:-1] - before[first] + sample.weight for before in (sample.before, sample.before_in_all))
    edge, strict = _edge(accepted, sample), _edge(sent, sample)
    if strict.likelihood > max(edge.likelihood + _CLEAR, -_WELL * sample.scored.sum()):
        return replace(_windowed(Law.SLIDING, window, strict, 0.0), refusals=True)
    return _windowed(Law.SLIDING, window, edge, 0.0)


def _fixed(sample: Sample, window: float) -> Fit:
    """The phase is the likeliest of many, then of finer ones around it."""
    count, kinds = _PHASES if window > SLICE else _PHASES // 2, _kinds(sample)
    phases, step, best = np.linspace(0.0, window, count, endpoint=False), window / count, 0.0
    for _ in range(_ROUNDS):
        turned = [_turned(sample, kinds, window, float(phase)) for phase in phases]
        best = likeliest(phases, [_rough(one.fill, one.sample) + one.strange for one in turned])
        phases, step = best + np.linspace(-step, step, _STEPS), step / (_STEPS // 2)
    one = _turned(sample, kinds, window, best)
    edge = _edge(one.fill, one.sample)
    return _windowed(Law.FIXED, window, replace(edge, likelihood=edge.likelihood + one.strange), best % window)


@dataclass(frozen=True, slots=True)
class _Turned:
    """Windows that begin at a phase: how full each attempt finds its own, and the attempts that are still open to question."""

    fill: Array
    sample: Sample
    strange: float
    """Likelihood of what passed in a window that had refused before."""


def _kinds(sample: Sample) -> list[tuple[Flags, Array]]:
    """Which attempts weigh about the same, and how many of these or of lighter ones were refused before each attempt."""
    weights = np.unique(sample.weight)
    kind = np.concatenate(([0], np.cumsum(weights[1:] > _HEAVIER * weights[:-1])))[np.searchsorted(weights, sample.weight)]
    return [
        (kind == one, np.concatenate(([0.0], np.cumsum(~sample.accepted & (kind <= one))))) for one in range(int(kind.max()) + 1)
    ]


def _turned(sample: Sample, kinds: list[tuple[Flags, Array]], window: float, phase: float) -> _Turned:
    """A window that has refused stays shut until it turns, whoever filled it, but for lighter calls; only calls that were under
    way may differ."""
    before = sample.before
    starts = phase + np.floor((sample.t - phase) / window) * window
    first = np.searchsorted(sample.t, starts, side="left")
    shut = np.zeros(sample.t.size, dtype=np.bool_)
    for alike, refused in kinds:
        shut |= alike & (refused[:-1] - refused[first] >= _SHUT)
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


def _concurrent(sample: Sample) -> Fit:
    """In flight are those accepted before that have not ended."""
    before = sample.before
    order = np.argsort(sample.end, kind="stable")
    ended = np.concatenate(([0.0], np.cumsum((sample.weight * sample.accepted)[order])))
    inside = before[:-1] - ended[np.searchsorted(sample.end[order], sample.t, side="right")]
    edge = _edge(np.maximum(inside, 0.0) + sample.weight, sample)
    return Fit(Law.CONCURRENT, 0.0, edge.level, math.inf, edge.blur, edge.likelihood, edge.span, (0.0, math.inf))


# The edge: the fill that parts accepted from refused


@dataclass(frozen=True, slots=True)
class _Edge:
    """The best level, and how blurred it is."""

    level: float
    blur: float
    likelihood: float
    span: tuple[float, float]


def _edge(fill: Array, sample: Sample) -> _Edge:
    """Accepted attempts should fill to the level at the most, refused ones above it."""
    if not both(sample):
        return _Edge(0.0, 0.0, -math.inf, (0.0, 0.0))
    parts = _parts(fill, sample, 400)
    best, blur, top, span = 0.0, 0.0, -math.inf, (parts.low, parts.high)
    levels, blurs = parts.levels(_LEVELS), parts.blurs(10, SHARP)
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


def _rough(fill: Array, sample: Sample) -> float:
    """The likelihood of the best level, about: for choosing among many."""
    if not both(sample):
        return -math.inf
    parts = _parts(fill, sample, 160)
    return float(_likelihoods(parts, parts.levels(14), parts.blurs(5, SHARP[::2])).max())


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


def _parts(fill: Array, sample: Sample, bins: int) -> _Parts:
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
    """For each level and blur the logarithm of the likelihood of all verdicts."""
    room = levels[:, None, None] - parts.fills[None, None, :]
    passed = passing(room, blurs[None, :, 0, None], blurs[None, :, 1, None])
    made: Array = np.log(passed) @ parts.accepted + np.log1p(-passed) @ parts.refused
    return made
