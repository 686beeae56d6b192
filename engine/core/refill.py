"""Refill: the fit of a bucket, whatever others take from it.

Pure; one of the fits. A bucket is known anew with every verdict: after a refusal it holds no more than the call asked for, after
a call that passed no less than nothing. So what others took is seen as a loss, and the refill is found apart from it.
"""

from __future__ import annotations

import numpy as np

from engine.core.laws import DROP, OTHERS, SHARP, Array, Fit, Law, Sample, likeliest, passing

_UNSURE = (0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 5.0)
"""Weights of a usual call by which a verdict may contradict what the bucket is thought to hold, before it is thought again: the
ways of calls differ by so much, more where calls are many a second. The likeliest is taken."""
_LOSS = 1.0
"""What each usual call's weight that went to others costs in likelihood, so that none are made up."""
_RATES, _SIZES, _STEPS, _ROUNDS = 96, 8, 13, 3
_COLUMNS = 512
"""Buckets that are tried together."""
_TAKEN = 0.02
"""Share of the refill that has to be missed before others are thought to have it."""
_NEAR = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.3, 1.6, 2, 2.5, 3, 4, 5, 6, 8, 10, 13, 16, 20, 30, 50])
_EDGES = np.concatenate((-_NEAR[::-1], [0.0], _NEAR))
_MIDDLES = np.concatenate((_EDGES[:1], (_EDGES[1:] + _EDGES[:-1]) / 2, _EDGES[-1:]))
"""Room in weights of a usual call, finer where verdicts turn."""
_FINEST, _FARTHEST = 40, 2400
_BINS = np.searchsorted(_EDGES, (np.arange(-_FARTHEST, _FARTHEST + 1) + 0.5) / _FINEST, side="right")
"""Which of them a room is in, by its fortieths: looked up, not searched."""


def bucket(sample: Sample) -> Fit:
    """The likeliest bucket, uphill from a middling unsureness."""
    found = {n: _bucket(sample, _UNSURE[n] * sample.usual) for n in (2, 3)}
    while True:
        best = max(found, key=lambda n: found[n].likelihood)
        beside = [n for n in (best - 1, best + 1) if 0 <= n < len(_UNSURE) and n not in found]
        if not beside:
            return found[best]
        found |= {n: _bucket(sample, _UNSURE[n] * sample.usual) for n in beside}


def _bucket(sample: Sample, unsure: float) -> Fit:
    """Of refills around what was accepted and of sizes up to what was drawn the likeliest, then of finer ones around them."""
    t, taken = sample.t[sample.scored], sample.taken[sample.scored]
    span = max(1.0, float(t[-1] - t[0]))
    mean, usual = max(float(taken.sum()), sample.usual) / span, sample.usual
    rates = mean * np.geomspace(0.01, 3.0, _RATES)
    sizes = np.geomspace(usual, max(2 * usual, 1.2 * _deepest(sample, 0.5 * mean)), _SIZES)
    tried: list[tuple[float, float, float]] = []
    for n in range(_ROUNDS):
        found = _likelihoods(sample, rates, sizes, unsure)
        tried += [(float(r), float(s), float(found[i, j])) for i, r in enumerate(rates) for j, s in enumerate(sizes)]
        rate, size = likeliest(rates, found.max(axis=1)), _smallest(sizes, found.max(axis=0))
        if n < _ROUNDS - 1:
            rates, sizes = _finer(rates, rate), _finer(sizes, size)
    top = max(one for _, _, one in tried)
    within = [(r, s) for r, s, one in tried if one >= top - DROP]
    return Fit(
        law=Law.BUCKET,
        window=0.0,
        size=size,
        rate=rate,
        blur=0.0,
        likelihood=top,
        size_span=(min(s for _, s in within), max(s for _, s in within)),
        rate_span=(min(r for r, _ in within), max(r for r, _ in within)),
        others=_others(sample, rate),
    )


def _smallest(sizes: Array, likelihoods: Array) -> float:
    """The likeliest size. One that is too large costs a refusal or two, whatever it is, so of several alike the smallest."""
    return float(sizes[int((likelihoods >= likelihoods.max() - 0.05).argmax())])


def _finer(tried: Array, best: float) -> Array:
    ratio = float(tried[1] / tried[0])
    return best * np.geomspace(1 / ratio, ratio, _STEPS)


def _deepest(sample: Sample, rate: float) -> float:
    """How far calls that passed have drawn the bucket down, at a rate of refill."""
    level = deepest = 0.0
    for gap, taken in zip(np.diff(sample.t, prepend=sample.t[:1]), sample.taken, strict=True):
        level = max(level - rate * gap, 0.0) + taken
        deepest = max(deepest, level)
    return deepest


def _likelihoods(sample: Sample, rates: Array, sizes: Array, unsure: float) -> Array:
    """For each rate and size the logarithm of the likelihood of all verdicts, with the blur that suits them best."""
    pairs = np.array([(rate, size) for rate in rates for size in sizes])
    columns = [_likelihood(sample, pairs[n : n + _COLUMNS], unsure) for n in range(0, len(pairs), _COLUMNS)]
    return np.concatenate(columns).reshape(rates.size, sizes.size)


def _likelihood(sample: Sample, pairs: Array, unsure: float) -> Array:
    """Of some pairs of rate and size. Rooms are counted in bins first, since verdicts are many."""
    room, lost = _room(sample, pairs[:, 0], pairs[:, 1], unsure)
    accepted, count = sample.accepted[sample.scored], _MIDDLES.size
    near = np.clip(room[sample.scored] * (_FINEST / sample.usual), -_FARTHEST, _FARTHEST).astype(np.int64)
    where = _BINS[near + _FARTHEST] + np.arange(len(pairs)) * count
    yes = np.bincount(where[accepted].ravel(), minlength=count * len(pairs)).reshape(-1, count).astype(np.float64)
    no = np.bincount(where[~accepted].ravel(), minlength=count * len(pairs)).reshape(-1, count).astype(np.float64)
    far = np.geomspace(0.05, max(1.0, OTHERS * float(pairs[:, 1].max()) / sample.usual), 10)
    best = np.full(len(pairs), -np.inf)
    for ways in SHARP:
        for others in far:
            passed = passing(_MIDDLES, ways, others)
            best = np.maximum(best, yes @ np.log(passed) + no @ np.log1p(-passed))
    return best - _LOSS * np.maximum(lost, 0.0) / sample.usual


def _room(sample: Sample, rates: Array, sizes: Array, unsure: float) -> tuple[Array, Array]:
    """What each attempt would leave in each bucket, and what others took of each in all."""
    room, lost = np.empty((sample.t.size, rates.size)), np.zeros(rates.size)
    held = sizes.copy()
    gaps = np.diff(sample.t, prepend=sample.t[:1])
    for n, (gap, weight, accepted) in enumerate(zip(gaps, sample.weight, sample.accepted, strict=True)):
        held = np.minimum(held + rates * gap, sizes)
        room[n] = held - weight
        left = held - weight if accepted else held
        held = np.maximum(left, -unsure) if accepted else np.minimum(left, weight + unsure)
        lost += left - held
    return room, lost


def _others(sample: Sample, rate: float) -> float:
    """Weight a second that others ask for: what was refilled from the first refusal to the last and did not come to us, when they
    got as large a share of what they asked for as we did."""
    refused = sample.t[sample.scored & ~sample.accepted]
    inside = (sample.t > refused[0]) & (sample.t <= refused[-1])
    span, asked = float(refused[-1] - refused[0]), float(sample.weight[inside].sum())
    ours = float(sample.taken[inside].sum())
    if span < 1.0 or rate * span - ours < _TAKEN * rate * span or not ours:
        return 0.0
    return (rate - ours / span) * asked / ours
