"""Estimate: what a whole run will take, low and high, from what one request of each step takes.

Pure arithmetic; who measures a pilot run, or guesses, is a door.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from engine.core.money import Prices, Unpriced, cost
from engine.core.quota import PERIODS, weight
from engine.core.types import Quota, Usage

TOKENS = ("tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning", "characters")
SURE = 0.05
"""A mean is taken to be known no better than to one part in twenty: prompts change, and so do models."""
WORN = 1.3
"""How many more requests growth may need than a pilot's yield says, once the run is far larger: more and more is a duplicate."""


class Range(NamedTuple):
    """Two bounds between which a figure is thought to lie."""

    low: float
    high: float

    def times(self, other: Range) -> Range:
        return Range(self.low * other.low, self.high * other.high)


NONE = Range(0.0, 0.0)


@dataclass(slots=True)
class Sample:
    """Measured values of one kind."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def range(self) -> Range:
        """The mean, give or take two standard errors, and never less than `SURE` of it."""
        if not self.count:
            return NONE
        variance = max(0.0, self.squares / self.count - self.mean**2) * self.count / max(1, self.count - 1)
        error = max(SURE * self.mean, 2 * math.sqrt(variance / self.count))
        return Range(max(0.0, self.mean - error), self.mean + error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a request of one step takes on an average. `usage` has the names of `TOKENS`, for all calls of the request."""

    step: str
    role: str
    source: str | None
    """The step whose kept items are asked about, one request each; `None` for the step that grows, or asks about documents."""
    kept: Range
    """Items that a request keeps."""
    calls: Range
    """Calls that it needs, those that settle nothing included."""
    usage: Mapping[str, Range]
    seconds: Range
    """For which a call is in flight."""
    bytes: Range
    """In the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFacts:
    """A lane as far as work, money and time go. `prices` is `None` where nobody knows them."""

    name: str
    account: str
    roles: frozenset[str]
    quota: Quota
    prices: Prices | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The whole run. Money is in nano-units; hours are `None` where no quota bounds them; `bound` says which one does."""

    calls: Range
    tokens_in: Range
    tokens_out: Range
    characters: Range
    """Of translations."""
    money: Mapping[tuple[str, str], Range]
    """By lane that has prices, and role."""
    hours: Range | None
    bound: str
    disk: Range

    @property
    def cost(self) -> Range:
        return _sum(self.money.values())

    def cost_of_lane(self, name: str) -> Range:
        return _sum(cost for (lane, _), cost in self.money.items() if lane == name)

    def cost_of_role(self, name: str) -> Range:
        return _sum(cost for (_, role), cost in self.money.items() if role == name)


Shares: TypeAlias = Mapping[str, float]
"""Of a role's work, by lane."""


@dataclass(slots=True)
class _Load:
    """What an account has to take in the whole run."""

    quota: Quota
    usage: list[Usage] = field(default_factory=list)
    busy: float = 0.0
    """Seconds that its calls are in flight, all together."""


@dataclass(frozen=True, slots=True)
class Whole:
    """How far a run goes: to so many kept items of the step that grows; or over so many documents, or until they have given
    `goal` records."""

    goal: int | None
    documents: int | None = None


def estimate(whole: Whole, profiles: Sequence[Profile], lanes: Sequence[LaneFacts]) -> Estimate:
    """What all of it takes."""
    requests = _requests(whole, profiles)
    calls = _sum(requests[one.step].times(one.calls) for one in profiles)
    used = {name: _sum(requests[one.step].times(one.usage.get(name, NONE)) for one in profiles) for name in TOKENS}
    shares = {one.role: _shares(one, lanes) for one in profiles}
    low, high = (_bounds(end, profiles, requests, shares, lanes) for end in (_low, _high))
    bound_low, bound_high = _longest(low[1]), _longest(high[1])
    return Estimate(
        calls=calls,
        tokens_in=_sum((used["tokens_in"], used["tokens_cached"])),
        tokens_out=_sum((used["tokens_out"], used["tokens_reasoning"])),
        characters=used["characters"],
        money={key: Range(low[0][key], high[0][key]) for key in low[0]},
        hours=Range(bound_low[0] / 3600, bound_high[0] / 3600) if bound_high[1] else None,
        bound=bound_high[1],
        disk=_sum(requests[one.step].times(one.bytes) for one in profiles),
    )


def _low(range: Range) -> float:
    return range.low


def _high(range: Range) -> float:
    return range.high


def _sum(ranges: Iterable[Range]) -> Range:
    every = list(ranges)
    return Range(sum(map(_low, every)), sum(map(_high, every)))


def _requests(whole: Whole, profiles: Sequence[Profile]) -> dict[str, Range]:
    """Requests by step. The better growth keeps, the fewer it needs; the more a document gives, the fewer of them."""
    items: dict[str, Range] = {}
    requests: dict[str, Range] = {}
    for one in profiles:
        if one.source is None and whole.documents is not None:
            requests[one.step] = _documents(whole.goal, whole.documents, profiles)
            items[one.step] = requests[one.step].times(one.kept)
        elif one.source is None:
            goal = whole.goal or 0
            requests[one.step] = Range(math.ceil(goal / one.kept.high), math.ceil(goal / max(one.kept.low, 1e-3)))
            items[one.step] = Range(goal, goal)
        else:
            requests[one.step] = items[one.source]
            items[one.step] = requests[one.step].times(one.kept)
    return requests


def _documents(goal: int | None, most: int, profiles: Sequence[Profile]) -> Range:
    """Of a chain of steps, each feeding the next."""
    if goal is None:
        return Range(most, most)
    records = Range(1.0, 1.0)
    for one in profiles:
        records = records.times(one.kept)
    low, high = (min(most, math.ceil(goal / max(each, 1e-3))) for each in (records.high, records.low))
    return Range(low, high)


def _shares(profile: Profile, lanes: Sequence[LaneFacts]) -> Shares:
    """A role's work is shared by speed, as the quotas let such calls through, and equally where nothing bounds them."""
    usage = _usage(_middle, profile, 1.0)
    speeds = {
        lane.name: 1 / seconds if (seconds := _seconds(_Load(lane.quota, [usage], _middle(profile.seconds)))) else math.inf
        for lane in lanes
        if profile.role in lane.roles
    }
    endless = [name for name, speed in speeds.items() if speed == math.inf]
    if endless:
        return {name: 1 / len(endless) if name in endless else 0.0 for name in speeds}
    return {name: speed / sum(speeds.values()) for name, speed in speeds.items()}


def _middle(range: Range) -> float:
    return (range.low + range.high) / 2


def _usage(end: Callable[[Range], float], profile: Profile, requests: float) -> Usage:
    fresh, cached, out, reasoning, characters = (round(end(profile.usage.get(name, NONE)) * requests) for name in TOKENS)
    return Usage(
        requests=round(end(profile.calls) * requests),
        tokens_in=fresh,
        tokens_cached=cached,
        tokens_out=out,
        tokens_reasoning=reasoning,
        characters=characters,
    )


def _bounds(
    end: Callable[[Range], float],
    profiles: Sequence[Profile],
    requests: Mapping[str, Range],
    shares: Mapping[str, Shares],
    lanes: Sequence[LaneFacts],
) -> tuple[dict[tuple[str, str], float], dict[str, _Load]]:
    """Money by lane and role, and the load of each account, at one end of all ranges."""
    money: dict[tuple[str, str], float] = {}
    loads = {lane.account: _Load(lane.quota) for lane in lanes}
    for one in profiles:
        for lane in lanes:
            share = shares[one.role].get(lane.name, 0.0) * end(requests[one.step])
            usage = _usage(end, one, share)
            loads[lane.account].usage.append(usage)
            loads[lane.account].busy += usage.requests * end(one.seconds)
            bill = Unpriced("any") if lane.prices is None else cost(usage, lane.prices)
            if not isinstance(bill, Unpriced):
                money[lane.name, one.role] = money.get((lane.name, one.role), 0.0) + bill
    return money, loads


def _longest(loads: Mapping[str, _Load]) -> tuple[float, str]:
    """The seconds of the account that takes longest, and which of its limits makes it so."""
    return max((_slowest(load, account) for account, load in loads.items()), default=(0.0, ""))


def _seconds(load: _Load) -> float:
    return _slowest(load, "")[0]


def _slowest(load: _Load, account: str) -> tuple[float, str]:
    times = [
        (sum(weight(usage, name) for usage in load.usage) / limit * period, f"{name} of {account}")
        for name, period in PERIODS.items()
        if (limit := getattr(load.quota, name)) is not None
    ]
    if load.quota.concurrent is not None:
        times.append((load.busy / load.quota.concurrent, f"concurrent of {account}"))
    return max(times, default=(0.0, ""))
