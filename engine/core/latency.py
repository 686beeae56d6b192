"""Latency: how long calls took, from when they were due and from when they were sent, and how many met an objective.

Pure. What counts for whoever waits is the time from when a call was due: a generator that sends late hides what it waited for
(coordinated omission). So objectives are held against that; the time from the real sending tells of the server alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.core.trials import Shot

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What an answer has to keep within, in seconds; `None` is no objective."""

    total: float | None = None
    ttft: float | None = None
    per_token: float | None = None


class NoObjective(ValueError):
    """A text that says none."""


_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}


def objective(text: str) -> Objective:
    """`ttft=2s,total=20s,per_token=50ms`, in any order. Raises `NoObjective` with what is wrong."""
    found: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in Objective.__dataclass_fields__ or not equals:
            raise NoObjective(f"{part!r} is none: write {', '.join(f'{one}=2s' for one in Objective.__dataclass_fields__)}")
        unit = next((unit for unit in ("ms", "s", "m") if value.endswith(unit)), "")
        try:
            seconds = float(value.removesuffix(unit)) * _UNITS.get(unit, 1.0)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise NoObjective(f"{value!r} is no time above zero, like 2s or 50ms")
        found[name] = seconds
    return Objective(**found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Some times, in seconds."""

    count: int
    mean: float
    percentiles: tuple[tuple[float, float], ...]
    most: float


def spread(times: Iterable[float]) -> Spread | None:
    """`None` for no times at all."""
    rows = sorted(times)
    if not rows:
        return None
    return Spread(
        count=len(rows),
        mean=math.fsum(rows) / len(rows),
        percentiles=tuple((percent, percentile(rows, percent)) for percent in PERCENTILES),
        most=rows[-1],
    )


def percentile(rows: Sequence[float], percent: float) -> float:
    """The smallest of the sorted rows that so many percent do not exceed."""
    return rows[max(0, math.ceil(percent / 100 * len(rows)) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long a test's calls took. Of answered calls, apart from `outcomes` and `late`."""

    sent: int
    outcomes: dict[str, int]
    span: float
    """Seconds from the first call that was due to the last that ended."""
    from_due: Spread | None
    from_sent: Spread | None
    first: Spread | None
    """To the first token of streams, to the first byte of others; from sending."""
    per_token: Spread | None
    """Between two tokens of a streamed answer, the first apart."""
    late: Spread | None
    """By how much calls were sent later than they were due."""
    answers_per_second: float
    tokens_per_second: float
    good: int | None
    """Answers that met the objective."""

    @property
    def goodput(self) -> float | None:
        """Answers a second that met the objective."""
        return None if self.good is None or not self.span else self.good / self.span


def times(shots: Sequence[Shot], streamed: Sequence[Shot], wanted: Objective | None) -> Times:
    """Of all shots; `streamed` are those whose answers came as they were made."""
    answered = [shot for shot in shots if shot.fault is None]
    span = max((shot.ended for shot in shots), default=0.0) - min((shot.intended for shot in shots), default=0.0)
    tokens = sum(shot.usage.answer for shot in answered if shot.usage is not None)
    gaps = [gap for shot in streamed if shot.fault is None and (gap := between(shot)) is not None]
    flowing = {shot.number for shot in streamed}
    return Times(
        sent=len(shots),
        outcomes=dict(Counter("answered" if shot.fault is None else shot.fault.value for shot in shots)),
        span=span,
        from_due=spread(shot.ended - shot.intended for shot in answered),
        from_sent=spread(shot.seconds for shot in answered),
        first=spread(shot.first for shot in answered if shot.first is not None),
        per_token=spread(gaps),
        late=spread(shot.sent - shot.intended for shot in shots),
        answers_per_second=len(answered) / span if span else 0.0,
        tokens_per_second=tokens / span if span else 0.0,
        good=None if wanted is None else sum(_meets(shot, wanted, shot.number in flowing) for shot in answered),
    )


def between(shot: Shot) -> float | None:
    """Seconds between two tokens of a streamed answer, on the mean; `None` where it had fewer than two."""
    if shot.first is None or shot.usage is None or shot.usage.answer < 2:
        return None
    return (shot.seconds - shot.first) / (shot.usage.answer - 1)


def _meets(shot: Shot, wanted: Objective, flowing: bool) -> bool:
    """From when it was due. An answer that came in one piece has its first token when it has come."""
    total = shot.ended - shot.intended
    first = shot.first + shot.sent - shot.intended if flowing and shot.first is not None else total
    gap = between(shot) if flowing else None
    return (
        (wanted.total is None or total <= wanted.total)
        and (wanted.ttft is None or first <= wanted.ttft)
        and (wanted.per_token is None or gap is None or gap <= wanted.per_token)
    )
