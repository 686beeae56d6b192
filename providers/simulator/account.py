"""An account: its limits, each counting what it is told to count, and one answer from all of them together.

Pure; `now` is in whole nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from providers.simulator.calls import SECOND, Kind, Measure, Reading, Refusal, Weight
from providers.simulator.quota import Ban, Bucket, Concurrent, Fixed, Growth, Limiter, Money, Sliding, Subwindow
from providers.simulator.tables import Table

NANO = 1_000_000_000
"""Nano-units in a unit of money."""
_DAY = 86_400.0
_PERIODS = MappingProxyType({"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": _DAY, "month": 30 * _DAY})
_WINDOWS = ("bucket", "fixed", "sliding", "subwindow")
KINDS = (*_WINDOWS, "concurrent", "growth", "day", "money", "ban")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPlan:
    """A limit as the script says it; seconds and units as written there."""

    kind: str
    name: str
    of: Measure
    limit: int
    period: float
    burst: int = 0
    slice_: float = 1.0
    factor: float = 2.0
    counts: str = "reserved"
    counts_refused: bool = False
    model: str = ""
    """The only model that it holds for; empty: all of them."""


def read_limit(table: Table) -> LimitPlan:
    """One `[[accounts.NAME.limits]]`."""
    kind = table.word("kind", choices=KINDS)
    of = _measure(table, kind)
    limit = round(table.number("limit", least=1e-9) * NANO) if kind == "money" else table.whole("limit", least=1)
    period = _period(table, kind)
    plan = LimitPlan(
        kind=kind,
        name=table.word("name", _named(kind, of, period)),
        of=of,
        limit=limit,
        period=period,
        burst=table.whole("burst", limit, least=1) if kind == "bucket" else 0,
        slice_=table.number("slice", 1.0, least=1e-3) if kind == "subwindow" else 1.0,
        factor=table.number("factor", 2.0, least=1.0) if kind == "growth" else 2.0,
        counts=table.word("counts", "reserved", ("reserved", "used")) if kind in (*_WINDOWS, "day") else "reserved",
        counts_refused=table.flag("counts_refused") if kind in (*_WINDOWS, "day") else kind == "ban",
        model=table.word("model", ""),
    )
    if kind == "subwindow" and round(period * SECOND) % round(plan.slice_ * SECOND):
        raise table.wrong("slice", f"must divide the period of {period:g} seconds")
    table.close()
    return plan


def _measure(table: Table, kind: str) -> Measure:
    if kind == "money":
        return Measure.MONEY
    if kind in ("concurrent", "ban"):
        return Measure.REQUESTS
    return Measure(table.word("of", "requests", [measure for measure in Measure if measure is not Measure.MONEY]))


def _period(table: Table, kind: str) -> float:
    """Seconds, or one of the usual names of them."""
    if kind in ("concurrent", "money"):
        return 0.0
    if "period" in table and isinstance(value := table.value("period"), str):
        if value not in _PERIODS:
            raise table.wrong("period", f"must be seconds or one of {', '.join(_PERIODS)}, not {value!r}")
        return _PERIODS[value]
    return table.number("period", {"growth": 10.0, "day": _DAY}.get(kind, 60.0), least=1e-3)


def _named(kind: str, of: Measure, period: float) -> str:
    names = {seconds: name for name, seconds in _PERIODS.items()}
    span = names.get(period, f"{period:g} s")
    match kind:
        case "concurrent":
            return "requests at once"
        case "money":
            return "credit"
        case "ban":
            return f"refusals a {span}"
        case "growth":
            return f"growth of {of}"
        case _:
            return f"{of} a {span}"


def _limiter(plan: LimitPlan) -> Limiter:
    period = round(plan.period * SECOND)
    match plan.kind:
        case "bucket":
            return Bucket(plan.limit, period, plan.burst)
        case "fixed" | "day":
            return Fixed(plan.limit, period)
        case "sliding":
            return Sliding(plan.limit, period)
        case "subwindow":
            return Subwindow(plan.limit, period, round(plan.slice_ * SECOND))
        case "concurrent":
            return Concurrent(plan.limit)
        case "growth":
            return Growth(plan.limit, period, plan.factor)
        case "money":
            return Money(plan.limit)
        case _:
            return Ban(plan.limit, period)


def _nothing(weight: Weight) -> int:
    return 0


_BEFORE: MappingProxyType[tuple[Measure, str], Callable[[Weight], int]] = MappingProxyType(
    {
        (Measure.REQUESTS, "reserved"): lambda weight: weight.requests,
        (Measure.REQUESTS, "used"): lambda weight: weight.requests,
        (Measure.TOKENS, "reserved"): lambda weight: weight.tokens_in + weight.tokens_out,
        (Measure.TOKENS, "used"): lambda weight: weight.tokens_in,
        (Measure.TOKENS_IN, "reserved"): lambda weight: weight.tokens_in,
        (Measure.TOKENS_IN, "used"): lambda weight: weight.tokens_in,
        (Measure.TOKENS_OUT, "reserved"): lambda weight: weight.tokens_out,
        (Measure.TOKENS_OUT, "used"): _nothing,
        (Measure.CHARACTERS, "reserved"): lambda weight: weight.characters,
        (Measure.CHARACTERS, "used"): lambda weight: weight.characters,
        (Measure.BYTES, "reserved"): lambda weight: weight.bytes,
        (Measure.BYTES, "used"): lambda weight: weight.bytes,
        (Measure.MONEY, "reserved"): _nothing,
    }
)
"""What a limit takes from a call when it comes."""
_AFTER: MappingProxyType[tuple[Measure, str], Callable[[Weight], int]] = MappingProxyType(
    {
        (Measure.TOKENS, "used"): lambda weight: weight.tokens_out,
        (Measure.TOKENS_OUT, "used"): lambda weight: weight.tokens_out,
        (Measure.MONEY, "reserved"): lambda weight: weight.money,
    }
)
"""What it takes in addition when the call ends."""
_SAYS = MappingProxyType({"growth": Kind.BURST, "day": Kind.QUOTA, "money": Kind.QUOTA, "ban": Kind.BANNED})


@dataclass(slots=True)
class Limit:
    """A law in force, and the tally of what it let through."""

    plan: LimitPlan
    limiter: Limiter
    kind: Kind = field(init=False)
    before: Callable[[Weight], int] = field(init=False)
    after: Callable[[Weight], int] = field(init=False)
    least: int = field(init=False)
    """Of a limit that counts after the fact, 1: a call that weighs nothing yet finds it shut once it is full."""
    taken: int = 0
    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        key = (self.plan.of, self.plan.counts)
        self.kind = _SAYS.get(self.plan.kind, Kind.RATE)
        self.before, self.after = _BEFORE[key], _AFTER.get(key, _nothing)
        self.least = 1 if key in _AFTER else 0

    def take(self, weight: int, now: int) -> None:
        self.limiter.take(weight, now)
        if not self.taken:
            self.first = now
        self.taken += weight
        self.last = now

    def refusal(self, wait: int | None, weight: int, now: int) -> Refusal:
        plan = self.plan
        kind = Kind.TOO_BIG if wait is None and self.kind is not Kind.QUOTA else self.kind
        most = min(plan.limit, plan.burst or plan.limit)
        return Refusal(plan.name, kind, plan.of, wait, most, most - self.limiter.remaining(now), weight)


class Account:
    """The limits of one account. A call is admitted by all of them, or none counts it as admitted."""

    def __init__(self, plans: Sequence[LimitPlan]) -> None:
        self.limits = tuple(Limit(plan, _limiter(plan)) for plan in plans)
        self._by_model: dict[str, tuple[Limit, ...]] = {}

    @cached_property
    def _named(self) -> frozenset[str]:
        return frozenset(limit.plan.model for limit in self.limits)

    def _of(self, model: str) -> tuple[Limit, ...]:
        """The limits that hold for a model. Models that no limit names are one case, so that strange names cost no memory."""
        model = model if model in self._named else ""
        if model not in self._by_model:
            self._by_model[model] = tuple(limit for limit in self.limits if limit.plan.model in ("", model))
        return self._by_model[model]

    def admit(self, model: str, weight: Weight, now: int) -> Refusal | None:
        """Admit the call, or say which limit bound it: one that it can never pass, else the one with the longest wait."""
        limits = self._of(model)
        bound: tuple[Limit, int | None] | None = None
        for limit in limits:
            wait = limit.limiter.wait(limit.before(weight) or limit.least, now)
            if wait != 0 and (bound is None or _worse(wait, bound[1])):
                bound = (limit, wait)
        if bound is None:
            for limit in limits:
                limit.take(limit.before(weight), now)
            return None
        limit, wait = bound
        refusal = limit.refusal(wait, limit.before(weight), now)
        if refusal.kind is not Kind.BANNED:
            self.refused(model, weight, now)
        return refusal

    def refused(self, model: str, weight: Weight, now: int) -> None:
        """Count a call that got no answer, where refused calls count."""
        for limit in self._of(model):
            if limit.plan.counts_refused:
                limit.limiter.take_refused(limit.before(weight), now)

    def settle(self, model: str, weight: Weight, used: Weight, now: int) -> None:
        """The call that was admitted with `weight` has ended and used `used`."""
        for limit in self._of(model):
            if isinstance(limit.limiter, Concurrent):
                limit.limiter.leave(limit.before(weight))
            elif more := limit.after(used):
                limit.take(more, now)

    def readings(self, model: str, now: int) -> tuple[Reading, ...]:
        """Where the first window or bucket of each measure stands."""
        found: dict[Measure, Reading] = {}
        for limit in self._of(model):
            plan = limit.plan
            if plan.kind in _WINDOWS and plan.of not in found:
                found[plan.of] = Reading(plan.of, plan.limit, limit.limiter.remaining(now), limit.limiter.reset(now))
        return tuple(found.values())


def _worse(wait: int | None, than: int | None) -> bool:
    return than is not None and (wait is None or wait > than)
