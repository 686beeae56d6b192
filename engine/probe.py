"""`seeddrill probe` and `seeddrill load`: what an account's quota is, and how a lane behaves under load, within hard caps.

A door: opens the lane, says first what may happen, runs the test, and leaves every attempt, the figures and a page in a folder.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any, TextIO
from uuid import uuid4

import anyio
import orjson

from engine import app, context, funds, probe_page, probe_report
from engine.core import balance
from engine.core.caps import Caps, Purse, most
from engine.core.estimates import Measure
from engine.core.faults import DiskError, Fault, PlanError
from engine.core.http import Stamp
from engine.core.latency import NoObjective, Objective, objective, times
from engine.core.money import brief, nano
from engine.core.prober import Prober, Program
from engine.core.probing import LOOKS, Probing, What, refused_seconds, stages
from engine.core.shapes import SMALL, Form, Shape, Speaker
from engine.core.subject import Findings
from engine.core.trials import Arrivals, Closed, Schedule, offsets, spacing
from engine.core.types import Chat, Completion, Translation
from engine.plan import Plan
from engine.probe_report import Report
from engine.runtime import local
from engine.runtime.clock import Clock
from engine.runtime.lane import Lane
from engine.runtime.prober import Line, Shooter
from engine.runtime.scheduler import signals
from engine.runtime.wire import Timeouts, Wire

SPEND = 0.5
"""Units of the plan's currency that a test may cost, unless it is told otherwise."""
REQUESTS, MINUTES = 10_000, 25.0
"""Calls and minutes of an active test, unless it is told otherwise."""
LONGEST = 60.0
"""Seconds that a test waits for an answer."""

Say = Callable[[str], None]


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


def probe(plan: Plan, order: Order, what: frozenset[What], say: Say) -> Report:
    """Find out a lane's limits: passively where `what` is empty, else by causing refusals. Raises `EngineError`, before anything
    is sent, for what the user can mend."""
    ready = _ready(plan, order, what)
    for line in announced(ready, what):
        say(line)
    probing = Probing(what, ready.lane.plan.quota, ready.purse, ready.units)
    return _tested("probe", ready, probing.program, probing.findings)


def dry_probe(plan: Plan, order: Order, what: frozenset[What], say: Say) -> None:
    """Say what `probe` would do, and at which worst cost; send nothing, and look no key up."""
    ready = _ready(plan, order, what)
    for line in announced(ready, what):
        say(line)
    for stage in stages(what, ready.units):
        usage = ready.lane.weigh(ready.speaker.call(stage.shape, 0))
        cost = most(usage, ready.purse.prices).cost
        money = "" if cost is None else f", each {brief(cost, ready.purse.currency)} at worst"
        say(f"  {stage.title}: up to {stage.calls:,} calls in {stage.seconds:.0f} s{money}")
    say("Nothing was sent.")


def load(plan: Plan, order: Order, given: Load, say: Say) -> Report:
    """Load a lane as it is told, and measure. Raises `EngineError` before anything is sent, for what the user can mend."""
    trial, calls = _loading(order, given)
    ready = _ready(plan, replace(order, minutes=None), frozenset(), trial.shape)
    for line in _worst_of_load(ready, trial, calls):
        say(line)

    def program(record: Any) -> Any:
        yield trial

    return _tested("load", ready, program, Findings())


def dry_load(plan: Plan, order: Order, given: Load, say: Say) -> None:
    """Say what `load` would do at the worst; send nothing, and look no key up."""
    trial, calls = _loading(order, given)
    for line in _worst_of_load(_ready(plan, replace(order, minutes=None), frozenset(), trial.shape), trial, calls):
        say(line)
    say("Nothing was sent.")


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
    money = "This lane is free." if not _costs(purse) else f"At worst it costs {brief(_worst(ready), purse.currency)}."
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


def _worst_of_load(ready: Ready, trial: Schedule | Closed, calls: float) -> list[str]:
    usage = ready.lane.weigh(ready.speaker.call(trial.shape, 0))
    each, caps = most(usage, ready.purse.prices), ready.purse.caps
    counted = f"about {calls:,.0f} calls" if calls < math.inf else "as many calls as fit"
    lines = [f"Load test of lanes.{ready.lane.name}: {trial.title}, {counted} of up to {each.tokens:,} {ready.units}."]
    if each.cost is not None and _costs(ready.purse):
        whole = brief(int(calls * each.cost), ready.purse.currency) if calls < math.inf else "more than any cap"
        cap = brief(caps.spend, ready.purse.currency) if caps.spend is not None else "no cap"
        lines.append(f"At worst that costs {whole}; the cap is {cap}, and the test ends before a call could pass it.")
    return lines


# The lane and its caps


def _ready(plan: Plan, order: Order, what: frozenset[What], shape: Shape = SMALL) -> Ready:
    loaded = context.load(plan)
    every = {lane.name: lane for lane in app.lanes(loaded)}
    if (lane := every.get(order.lane)) is None:
        near = get_close_matches(order.lane, every, n=1, cutoff=0.5)
        offer = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(every)}"
        raise PlanError(f"the plan has no lane {order.lane!r}; {offer}")
    prices = funds.money(loaded, every.values()).prices.get(order.lane)
    purse = Purse(_caps(order, prices is not None, active=bool(what), shape=shape), prices)
    ready = Ready(plan, lane, _speaker(lane, order), purse, order, _objective(order.slo))
    _first_call(ready, shape)
    return ready


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
    minutes = order.minutes if order.minutes is not None else MINUTES if probing else None
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
        cost = "" if worst.cost is None else f", which costs {brief(worst.cost, purse.currency)}"
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


def _loading(order: Order, given: Load) -> tuple[Schedule | Closed, float]:
    """The one trial of a load test, and how many calls it makes, `inf` where that hangs on the answers."""
    if (given.rate is None) == (given.concurrency is None):
        raise PlanError("a load is either a rate (--rate 50) or calls in flight (--concurrency 64): give one of them")
    seconds = 60 * (order.minutes if order.minutes is not None else 1.0)
    if not seconds > 0 or (given.rate is not None and not given.rate > 0) or (given.concurrency or 1) < 1:
        raise PlanError("--rate, --concurrency and --minutes have to be above zero")
    shape = Shape(Form.USUAL, given.prompt, given.answer)
    if given.rate is None:
        return Closed(f"{given.concurrency} calls in flight", shape, given.concurrency or 1, seconds), math.inf
    title = f"{given.rate:g} calls a second, {given.arrivals}"
    due = offsets(given.arrivals, given.rate, seconds, Random())
    calls = given.rate * seconds / (2 if given.arrivals is Arrivals.RAMP else 1)
    return Schedule(title, shape, due, spacing(given.rate)), calls


# The test


def _tested(verb: str, ready: Ready, program: Program, findings: Findings) -> Report:
    ready.lane.equip()
    started = time.time()
    folder = _folder(verb, ready, started)
    try:
        with open(folder / "attempts.jsonl", "x", encoding="utf-8") as attempts:
            prober = Prober(ready.speaker, ready.lane.weigh, ready.purse, program)
            reason = anyio.run(_run, ready, prober, attempts, folder)
            report = _report(verb, ready, prober, findings, (started, reason))
        data = orjson.dumps(probe_report.as_data(report), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        (folder / "report.json").write_bytes(data + b"\n")
        (folder / "report.html").write_text(probe_page.page(report), encoding="utf-8")
    except OSError as error:
        raise DiskError(f"{folder} cannot be written: {error.strerror or error}; what was written before is there") from error
    return report


async def _run(ready: Ready, prober: Prober, attempts: TextIO, folder: Path) -> str:
    clock = Clock(anyio.current_time, time.time)
    plan = ready.plan
    timeouts = Timeouts(min(plan.timeout, LONGEST), min(plan.first_token, LONGEST), plan.idle)

    def on_line(line: Line) -> None:
        attempts.write(orjson.dumps(line).decode() + "\n")
        attempts.flush()  # a kill loses no attempt

    async with _serving(ready.lane, folder), Wire(clock) as wire:
        ready.balance += await _asked(ready, wire, clock)
        shooter = Shooter(prober, ready.lane, wire, clock, timeouts)
        with signals(shooter.interrupt):
            return await shooter.run(on_line)


async def _asked(ready: Ready, wire: Wire, clock: Clock) -> list[str]:
    """What the vendor tells of the account's credit, where it does; whatever goes wrong with that is no matter."""
    lane = ready.lane
    name = lane.plan.provider.rpartition(".")[2]
    try:
        call = lane.provider.encode((ready.speaker.call(SMALL, 0),), lane.plan, Stamp(clock.utc(), uuid4().hex, lane.key.value))
        question = balance.inquiry(name, lane.equipped(call))
        return [] if question is None else balance.told(name, await wire.send(question, 20.0))
    except Fault:
        return []


@asynccontextmanager
async def _serving(lane: Lane, folder: Path) -> AsyncIterator[None]:
    """The embedded model's server, while the test goes on, for a lane that is one."""
    if lane.plan.provider != "local":
        yield
        return
    async with local.serve(lane.plan.model, slots=lane.plan.quota.concurrent, port=0, log=folder / "model.log") as server:
        lane.plan = replace(lane.plan, base_url=server.base_url, model=lane.plan.model or local.DEFAULT)
        lane.fate = server.fate
        yield


def _folder(verb: str, ready: Ready, started: float) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(started))
    folder = ready.order.out or Path(f"{verb}-{ready.lane.name}-{stamp}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise PlanError(f"the folder {folder} cannot be made: {error.strerror or error}; choose another with --out") from None
    if taken:
        raise PlanError(f"the folder {folder} is not empty, and was left alone: choose another with --out")
    return folder


def _report(verb: str, ready: Ready, prober: Prober, findings: Findings, ended: tuple[float, str]) -> Report:
    shots = prober.record.shots
    return Report(
        verb=verb,
        lane=ready.lane.name,
        plan=ready.lane.plan,
        started=ended[0],
        reason=ended[1],
        record=prober.record,
        purse=ready.purse,
        times=times(shots, shots if ready.lane.plan.stream else (), ready.wanted),
        findings=findings,
        balance=tuple(ready.balance),
    )


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
