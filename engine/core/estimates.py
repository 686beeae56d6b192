"""Estimates: what a test says of each limit of an account, from the fits of what was accepted and from what headers declare.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.core.declared import Declared
from engine.core.fits import fits
from engine.core.laws import MINUTE, SLICE, Attempt, Fit, Law
from engine.core.shapes import Weights, asked
from engine.core.trials import Shot

SURE, MARGIN = 1.6, 4.0
"""A law is taken for the right one when the likelihoods of all others are, in their logarithms, worse by this factor and more."""
FLOOR = 0.01
"""Share of any figure that calls' uneven ways leave open."""
OTHERS = 0.05
"""Share that others may have taken all the time, where they are seen."""
SHARP = 0.5
"""Weights of a usual call by which an edge may be blurred without others."""
AGREES = 0.10
"""Share by which a measured limit may differ from a declared one and still be the same."""


class Measure(StrEnum):
    """What a limit is about."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    TOKENS_IN = "tokens_in"
    TOKENS_OUT = "tokens_out"
    CHARACTERS = "characters"
    CONCURRENT = "concurrent"
    """Calls at once. The others are a minute's, as headers and `Quota` name them."""


class Basis(StrEnum):
    """How a figure is known."""

    MEASURED = "measured"
    DECLARED = "declared"
    """By headers that move with our calls; measured or not, it is not contradicted."""
    CLAIMED = "claimed"
    """By headers, and nothing else is known."""
    BOUND = "bound"
    """Nothing was refused so far: the limit is at least this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One limit. Amounts are a minute's, or calls at once."""

    measure: Measure
    basis: Basis
    limit: float
    low: float
    high: float
    """The 95% interval; `inf` where nothing was refused."""
    law: Law | None = None
    """`None`: undetermined."""
    contenders: tuple[str, ...] = ()
    """Laws that explain what was seen nearly as well."""
    window: float = 0.0
    burst: float | None = None
    others: float = 0.0
    """What others of the account use a minute, as far as it was seen."""
    irregular: bool = False
    """Verdicts are blurred more than the ways of calls explain: others use the account, or the limiter is not exact."""
    refusals: bool = False
    """Refused calls count as well: asking again and again keeps the limit shut."""
    accepted: int = 0
    refused: int = 0
    claim: float | None = None
    """What headers say."""

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.limit if self.limit else 0.0


def attempts(shots: Sequence[Shot], scored: frozenset[int], measure: Measure, weights: Weights) -> list[Attempt]:
    """Shots as a limiter of this measure sees them. Only those of the trials in `scored` are to be explained."""
    refusals = sorted(shot.seconds for shot in shots if shot.refused)
    way = refusals[len(refusals) // 2] / 2 if refusals else 0.0
    groups: dict[tuple[int, float], int] = {}
    made = []
    for shot in shots:
        if not (shot.accepted or shot.refused or (shot.billed and shot.fault is not None)):
            continue
        group = groups.setdefault((shot.trial, shot.intended), len(groups) + 1)
        made.append(
            Attempt(
                t=shot.sent + way,
                end=shot.ended - way,
                weight=weigh(shot, measure, weights),
                accepted=not shot.refused,
                scored=shot.trial in scored and (shot.accepted or shot.refused),
                together=group,
            )
        )
    return made


def weigh(shot: Shot, measure: Measure, weights: Weights) -> float:
    """What a call weighs: of tokens its prompt, and what it asked for, or used where only that counts."""
    match measure:
        case Measure.TOKENS:
            answer = asked(shot.shape) if weights.counts != "used" else shot.usage.answer if shot.usage is not None else 0
            return float(weights.prompt(shot.shape, shot.weighed) + answer)
        case Measure.CHARACTERS:
            return float(shot.weighed.size)
        case _:
            return 1.0


def estimate(given: Sequence[Attempt], measure: Measure, claim: Declared | None = None) -> Estimate | None:
    """What the attempts say of the limit that refused them; `None` where none was refused, or accepted."""
    found = fits(given)
    if not found:
        return None
    best = found[0]
    scored = [row for row in given if row.scored]
    usual = _usual(scored)
    irregular = best.law is not Law.CONCURRENT and best.blur > SHARP * usual
    rivals = [fit for fit in found[1:] if fit.likelihood > SURE * best.likelihood - MARGIN]
    accepted = sum(row.accepted for row in scored)
    unsure = [fit for fit in rivals if fit.law is not best.law or fit.window != best.window]
    low, high = _interval([best, *unsure], given)
    made = Estimate(
        measure=Measure.CONCURRENT if best.law is Law.CONCURRENT else measure,
        basis=Basis.MEASURED,
        limit=_point(best, given),
        low=low,
        high=high,
        law=None if any(fit.law is not best.law for fit in unsure) else best.law,
        contenders=tuple(dict.fromkeys(named_window(fit.law, fit.window) for fit in [best, *unsure])),
        window=best.window,
        burst=best.size if best.law is Law.BUCKET else None,
        others=best.others * MINUTE,
        irregular=irregular,
        refusals=best.refusals,
        accepted=accepted,
        refused=len(scored) - accepted,
    )
    return _beside(made, claim) if claim is not None and made.measure is measure else made


def _usual(scored: Sequence[Attempt]) -> float:
    """The weight of a usual call."""
    return sorted(row.weight for row in scored)[len(scored) // 2]


def named_window(law: Law, window: float) -> str:
    """A law in words, with its window where that is not the minute."""
    short = f" over {window:g} s" if 0 < window < MINUTE else ""
    return f"{law}{short}"


def _point(fit: Fit, given: Sequence[Attempt]) -> float:
    """The limit a minute. What fits a slice of a second or ten is a few calls, so that what passed in many of them tells more."""
    if fit.law is Law.CONCURRENT:
        return max(1.0, round(fit.size - 0.5))
    if fit.law is Law.BUCKET:
        return fit.rate * MINUTE
    whole = _whole(fit, given)
    per_minute = whole * MINUTE / fit.window
    return max(per_minute, _passed(given)) if fit.window <= SLICE else per_minute


def _whole(fit: Fit, given: Sequence[Attempt]) -> float:
    """Of a count of single calls the whole number below the edge."""
    single = all(row.weight == 1 for row in given if row.scored)
    return max(1.0, float(int(fit.size + 0.05))) if single else fit.size


def _passed(given: Sequence[Attempt]) -> float:
    """Weight a minute that was accepted between the first refusal and the last."""
    refused = [row.t for row in given if row.scored and not row.accepted]
    span = refused[-1] - refused[0] if refused else 0.0
    taken = sum(row.weight for row in given if row.scored and row.accepted and refused[0] < row.t <= refused[-1])
    return taken / span * MINUTE if span >= SLICE else 0.0


def _interval(found: Sequence[Fit], given: Sequence[Attempt]) -> tuple[float, float]:
    """All that the laws in question allow, a little wider for the uneven ways of calls; and wider still where others were in the
    way, who may have taken a part of it all the time."""
    usual = _usual([row for row in given if row.scored])
    lows, highs = [], []
    for fit in found:
        point, blurred = _point(fit, given), fit.blur > SHARP * usual or fit.others > 0
        if fit.law is Law.CONCURRENT:
            more = round(fit.blur) if blurred else 0
            lows.append(max(1.0, point - more))
            highs.append(point + more)
            continue
        low, high = (bound * MINUTE for bound in fit.rate_span)
        share = FLOOR + (OTHERS if blurred else 0.0)
        lows.append(min(point, low) - share * point)
        highs.append(max(point, high) + share * point)
    return max(0.0, min(lows)), max(highs)


def _beside(made: Estimate, claim: Declared) -> Estimate:
    """A measured limit beside a declared one: the same, or less because others take their part, or a claim that does not hold."""
    told = claim.per_minute
    made = replace(made, claim=told)
    if not claim.moves:
        return made
    made = _agreed(made, claim)
    if made.low <= told <= made.high or abs(told - made.limit) <= AGREES * told:
        short = max(0.0, told - made.limit) if made.irregular else 0.0
        return replace(
            made,
            basis=Basis.DECLARED,
            limit=told,
            low=min(made.low, told),
            high=max(made.high, told),
            others=max(claim.others * MINUTE / claim.period, short),
        )
    if made.limit < told and (claim.others or made.irregular):
        return replace(made, basis=Basis.DECLARED, limit=told, high=told, others=told - made.limit)
    return made


def _agreed(made: Estimate, claim: Declared) -> Estimate:
    """The law that resets show settles what the fits leave open; one that contradicts them leaves it open."""
    if claim.law is None or claim.law is made.law:
        return made
    if made.law is None and str(claim.law) in made.contenders:
        return replace(made, law=claim.law, burst=made.burst if claim.law is Law.BUCKET else None)
    return replace(made, law=None, contenders=tuple(dict.fromkeys((*made.contenders, str(claim.law)))))


def claimed(claim: Declared, measure: Measure) -> Estimate:
    """What is known of a limit where only headers speak."""
    told = claim.per_minute
    return Estimate(
        measure=measure,
        basis=Basis.DECLARED if claim.moves else Basis.CLAIMED,
        limit=told,
        low=told - claim.others * MINUTE / claim.period,
        high=told,
        law=claim.law,
        contenders=(str(claim.law),) if claim.law is not None else (),
        window=0.0 if claim.law is Law.BUCKET else claim.period,
        burst=claim.burst,
        others=claim.others * MINUTE / claim.period,
        claim=told,
    )


def bound(shots: Sequence[Shot], measure: Measure, weights: Weights) -> Estimate | None:
    """What passed within a minute, where nothing was refused."""
    passed = [(shot.sent, weigh(shot, measure, weights)) for shot in shots if shot.accepted]
    if not passed:
        return None
    most, total, start = 0.0, 0.0, 0
    for t, one in passed:
        total += one
        while passed[start][0] <= t - MINUTE:
            total -= passed[start][1]
            start += 1
        most = max(most, total)
    low = 0.5 * most  # a bucket that was full may have passed twice its minute's worth
    return Estimate(measure=measure, basis=Basis.BOUND, limit=most, low=low, high=float("inf"), accepted=len(passed))
