"""What a load test is ordered to do: the lane, the load, the caps. Checked, and told in words before anything is sent.

A door; sends nothing. What runs it is `engine.probe`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from random import Random
from uuid import uuid4

from engine import app, context, funds
from engine.core.caps import Caps, Purse, most
from engine.core.estimates import Measure
from engine.core.faults import PlanError
from engine.core.latency import NoObjective, Objective, objective
from engine.core.laws import MINUTE
from engine.core.money import fine, nano
from engine.core.probing import LOOKS, What, refused_seconds, stages
from engine.core.shapes import SMALL, Form, Shape, Speaker
from engine.core.trials import Arrivals, Closed, Schedule, offsets, spacing
from engine.core.types import Chat, Completion, Translation
from engine.plan import Plan
from engine.runtime.lane import Lane

SPEND = 0.5
"""Units of the plan's currency that a test may cost, unless it is told otherwise."""
REQUESTS, MINUTES = 10_000, 25.0
"""Calls and minutes of an active test, unless it is told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What both verbs are told: the lane, the caps, where the results go."""

    lane: str
    spend: float | None = None
    requests: int | None = None
    tokens: int | None = None
    minutes: float | None = None
    out: Path | None = None
    slo: str | None = None
    pair: str = "en:de"
    """Languages that a translator is asked to translate from and to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How a load test loads: a rate with a kind of arrivals, or calls in flight."""

    rate: float | None
    arrivals: Arrivals
    concurrency: int | None
    prompt: int
    answer: int
    """Tokens of a call."""


@dataclass(slots=True)
class Ready:
    """A lane that may be tested."""

    plan: Plan
    lane: Lane
    speaker: Speaker
    purse: Purse
    order: Order
    wanted: Objective | None = None
    balance: list[str] = field(default_factory=list)

    @property
    def units(self) -> Measure:
        return Measure.CHARACTERS if self.speaker.takes is Translation else Measure.TOKENS


# What may happen


def announced(ready: Ready, what: frozenset[What]) -> list[str]:
    """What is said before the first call."""
    lane, purse = ready.lane, ready.purse
    where = f"lanes.{lane.name} ({lane.plan.provider} {lane.plan.model})".replace(" )", ")")
    caps = purse.caps
    limits = [f"{caps.requests:,} requests" if caps.requests is not None else ""]
    limits += [f"{caps.tokens:,} tokens" if caps.tokens is not None else ""]
    limits += [f"{caps.seconds / 60:g} minutes" if caps.seconds is not None else ""]
    told = ", ".join(filter(None, limits))
    money = "This lane is free." if not _costs(purse) else f"At worst it costs {fine(_worst(ready), purse.currency)}."
    if purse.prices is None:
        money = "This lane has no price: what it costs is not counted."
    if not what:
        return [f"Passive test of {where}: at most {LOOKS} calls; it reads what headers say and causes no refusals. {money}"]
    seconds = refused_seconds(what, ready.units)
    return [
        f"Active test of {where}: it sends more than the account is thought to allow. Everybody else who uses this account may "
        f"be refused for up to {seconds / 60:.0f} minutes in all. {money} It never passes {told}; Ctrl-C ends it at any time.",
    ]


def _costs(purse: Purse) -> bool:
    prices = purse.prices
    named = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "characters", "request")
    return prices is not None and any(getattr(prices, name) for name in named)


def _worst(ready: Ready) -> int:
    """Nano-units that a test can cost at the most."""
    caps = ready.purse.caps
    first = most(ready.lane.weigh(ready.speaker.call(SMALL, 0)), ready.purse.prices).cost or 0
    if caps.requests is not None and caps.requests <= LOOKS:
        heavy = most(ready.lane.weigh(ready.speaker.call(Shape(Form.RESERVED, 1000), 0)), ready.purse.prices).cost or 0
        first = max(first, heavy)
        return min(caps.spend or math.inf, caps.requests * first)  # type: ignore[return-value]
    return caps.spend if caps.spend is not None else (caps.requests or 0) * first


def staged(ready: Ready, what: frozenset[What]) -> list[str]:
    """The parts of a test, each with the most that it sends."""
    lines = []
    for stage in stages(what, ready.units):
        cost = most(ready.lane.weigh(ready.speaker.call(stage.shape, 0)), ready.purse.prices).cost
        money = "" if cost is None or not _costs(ready.purse) else f", each {fine(cost, ready.purse.currency)} at worst"
        calls = min(stage.calls, ready.purse.caps.requests or stage.calls)
        lines.append(f"  {stage.title}: up to {calls:,} calls in {stage.seconds:.0f} s{money}")
    return lines


def load_announced(ready: Ready, trial: Schedule | Closed, calls: float) -> list[str]:
    """What is said before a load test; `calls` is `inf` where their number hangs on the answers."""
    each, purse = most(ready.lane.weigh(ready.speaker.call(trial.shape, 0)), ready.purse.prices), ready.purse
    size = f"up to {each.tokens:,} {ready.units}"
    counted = f"each of {size}" if calls == math.inf else f"about {calls:,.0f} calls of {size}"
    lines = [f"Load test of lanes.{ready.lane.name}: {trial.title} for {_seconds(ready.order) / MINUTE:g} minutes, {counted}."]
    if each.cost is None or not _costs(purse):
        return lines
    cost = f"A call costs {fine(each.cost, purse.currency)} at worst, "
    if calls < math.inf:
        cost += f"all of them {fine(int(calls * each.cost), purse.currency)}. "
    else:
        cost += "and how many there are hangs on how soon they are answered. "
    cap = "There is no cap." if purse.caps.spend is None else f"The cap is {fine(purse.caps.spend, purse.currency)}."
    return [*lines, f"{cost}{cap} The test ends before a call could pass it."]


# The lane and its caps


def ready(plan: Plan, order: Order, what: frozenset[What], shape: Shape = SMALL) -> Ready:
    """The lane, if it may be tested. Raises `PlanError` with what is to be mended."""
    loaded = context.load(plan)
    every = {lane.name: lane for lane in app.lanes(loaded)}
    if (lane := every.get(order.lane)) is None:
        near = get_close_matches(order.lane, every, n=1, cutoff=0.5)
        offer = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(every)}"
        raise PlanError(f"the plan has no lane {order.lane!r}; {offer}")
    prices = funds.money(loaded, every.values()).prices.get(order.lane)
    purse = Purse(_caps(order, prices is not None, active=bool(what), shape=shape), prices)
    made = Ready(plan, lane, _speaker(lane, order), purse, order, _objective(order.slo))
    _first_call(made, shape)
    return made


def _caps(order: Order, priced: bool, *, active: bool, shape: Shape) -> Caps:
    probing = shape == SMALL
    usual = REQUESTS if active else LOOKS
    spend = order.spend if order.spend is not None else SPEND if priced else None
    amount = nano(spend) if spend is not None else None
    if spend is not None and not amount:
        raise PlanError(f"--spend is {spend:g}: a cap is above zero; leave it out for {SPEND:g}")
    for name, value in (("requests", order.requests), ("tokens", order.tokens), ("minutes", order.minutes)):
        if value is not None and not value > 0:
            raise PlanError(f"--{name} is {value:g}: a cap is above zero; leave it out for none of yours")
    minutes = (order.minutes if order.minutes is not None else MINUTES) if probing else None  # a load's schedule ends by itself
    requests = order.requests if order.requests is not None else usual if probing else None
    return Caps(spend=amount, tokens=order.tokens, requests=requests, seconds=None if minutes is None else 60 * minutes)


def _first_call(ready: Ready, shape: Shape) -> None:
    """Refuse a test that nothing bounds, and one whose first call could already pass a cap."""
    order, purse, lane = ready.order, ready.purse, ready.lane
    usage = lane.weigh(ready.speaker.call(shape, 0))
    worst = most(usage, purse.prices)
    size = f"{worst.tokens:,} {ready.units}"
    if purse.prices is None:
        if order.spend is not None:
            raise PlanError(
                f"lanes.{lane.name} has no price, so that --spend cannot be kept: give it a price (price = 0 for a server of "
                f"your own), or cap --requests or --tokens. The worst of its first call is {size}, at a price that nobody knows"
            )
        if order.requests is None and order.tokens is None:
            raise PlanError(
                f"lanes.{lane.name} has no price, and the test no cap: the worst of each call is {size}, at a price that nobody "
                "knows. Give the lane a price (price = 0 for a server of your own), or cap --requests or --tokens"
            )
    if (cap := purse.refusal(worst, 0.0)) is not None:
        cost = "" if worst.cost is None else f", which costs {fine(worst.cost, purse.currency)}"
        raise PlanError(f"the first call to lanes.{lane.name} could pass {cap}: at worst it uses {size}{cost}; raise the cap")


def _speaker(lane: Lane, order: Order) -> Speaker:
    source, colon, target = order.pair.partition(":")
    if not (source and colon and target):
        raise PlanError(f"--pair is {order.pair!r}: write two languages, as en:de")
    if Translation in lane.provider.accepts:
        takes: type = Translation
    else:
        takes = Chat if lane.style == "chat" else Completion
    return Speaker(takes, uuid4().hex[:8], source, target)


def _objective(text: str | None) -> Objective | None:
    try:
        return None if text is None else objective(text)
    except NoObjective as error:
        raise PlanError(f"--slo: {error}") from None


def scheduled(order: Order, given: Load) -> tuple[Schedule | Closed, float]:
    """The one trial of a load test, and how many calls it makes, `inf` where that hangs on the answers."""
    if (given.rate is None) == (given.concurrency is None):
        raise PlanError("a load is either a rate (--rate 50) or calls in flight (--concurrency 64): give one of them")
    seconds = _seconds(order)
    if not seconds > 0 or (given.rate is not None and not given.rate > 0) or (given.concurrency or 1) < 1:
        raise PlanError("--rate, --concurrency and --minutes have to be above zero")
    shape = Shape(Form.USUAL, given.prompt, given.answer)
    if given.rate is None:
        return Closed(f"{given.concurrency} calls in flight", shape, given.concurrency or 1, seconds), math.inf
    title = f"{given.rate:g} calls a second, {given.arrivals}"
    due = offsets(given.arrivals, given.rate, seconds, Random())
    calls = given.rate * seconds / (2 if given.arrivals is Arrivals.RAMP else 1)
    return Schedule(title, shape, due, spacing(given.rate)), calls


def _seconds(order: Order) -> float:
    """That a load test lasts."""
    return MINUTE * (order.minutes if order.minutes is not None else 1.0)


def loading(rate: float | None, arrivals: str, concurrency: int | None, prompt: int, answer: int) -> Load:
    """A load as the command line tells it."""
    if arrivals not in list(Arrivals):
        raise PlanError(f"--arrivals: there is no {arrivals!r}; choose among {', '.join(Arrivals)}")
    return Load(rate=rate, arrivals=Arrivals(arrivals), concurrency=concurrency, prompt=prompt, answer=answer)


def chosen(names: str) -> frozenset[What]:
    """What an active test looks for, by names between commas; everything where none is named."""
    found = [name.strip() for name in names.split(",") if name.strip()]
    for name in found:
        if name not in list(What):
            raise PlanError(f"--what: there is no {name!r}; choose among {', '.join(What)}")
    return frozenset(map(What, found)) or frozenset(What)
