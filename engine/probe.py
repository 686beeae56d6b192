"""`seeddrill probe` and `seeddrill load`: what an account's quota is, and how a lane behaves under load, within hard caps.

A door: opens the lane, says first what may happen, runs the test, and leaves every attempt, the figures and a page in a folder.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import anyio
import orjson

from engine import probe_page, probe_report
from engine.core import balance
from engine.core.faults import DiskError, Fault, PlanError
from engine.core.http import Stamp
from engine.core.latency import times
from engine.core.prober import Prober, Program, Record
from engine.core.probing import Probing, What
from engine.core.shapes import SMALL
from engine.core.subject import Findings
from engine.core.trials import Trial
from engine.plan import Plan
from engine.probe_order import Load, Order, Ready, announced, load_announced, ready, scheduled, staged
from engine.probe_report import Report
from engine.runtime import local
from engine.runtime.clock import Clock
from engine.runtime.lane import Lane
from engine.runtime.prober import Ended, Line, Shooter
from engine.runtime.scheduler import signals
from engine.runtime.wire import Timeouts, Wire

LONGEST = 60.0
"""Seconds that a test waits for an answer."""

Say = Callable[[str], None]


def probe(plan: Plan, order: Order, what: frozenset[What], say: Say) -> Report:
    """Find out a lane's limits: passively where `what` is empty, else by causing refusals. Raises `EngineError`, before anything
    is sent, for what the user can mend."""
    lane = ready(plan, order, what)
    _say(say, announced(lane, what))
    probing = Probing(what, lane.lane.plan.quota, lane.purse, lane.units)
    return _tested("probe", lane, probing.program, probing.findings)


def dry_probe(plan: Plan, order: Order, what: frozenset[What], say: Say) -> None:
    """Say what `probe` would do, and at which worst cost; send nothing, and look no key up."""
    lane = ready(plan, order, what)
    _say(say, [*announced(lane, what), *staged(lane, what), "Nothing was sent."])


def load(plan: Plan, order: Order, given: Load, say: Say) -> Report:
    """Load a lane as it is told, and measure. Raises `EngineError` before anything is sent, for what the user can mend."""
    trial, calls = scheduled(order, given)
    lane = ready(plan, order, frozenset(), trial.shape)
    _say(say, load_announced(lane, trial, calls))

    def program(record: Record) -> Iterator[Trial]:
        yield trial

    return _tested("load", lane, program, Findings())


def dry_load(plan: Plan, order: Order, given: Load, say: Say) -> None:
    """Say what `load` would do at the worst; send nothing, and look no key up."""
    trial, calls = scheduled(order, given)
    _say(say, [*load_announced(ready(plan, order, frozenset(), trial.shape), trial, calls), "Nothing was sent."])


def _say(say: Say, lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


# The test


def _tested(verb: str, ready: Ready, program: Program, findings: Findings) -> Report:
    ready.lane.equip()
    started = time.time()
    folder = _folder(verb, ready, started)
    try:
        with open(folder / "attempts.jsonl", "x", encoding="utf-8") as attempts:
            prober = Prober(ready.speaker, ready.lane.weigh, ready.purse, program)
            ended = anyio.run(_run, ready, prober, attempts, folder)
            report = _report(verb, ready, prober, findings, (started, ended))
        data = orjson.dumps(probe_report.as_data(report), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        (folder / "report.json").write_bytes(data + b"\n")
        (folder / "report.html").write_text(probe_page.page(report), encoding="utf-8")
    except OSError as error:
        raise DiskError(f"{folder} cannot be written: {error.strerror or error}; what was written before is there") from error
    return report


async def _run(ready: Ready, prober: Prober, attempts: TextIO, folder: Path) -> Ended:
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


def _report(verb: str, ready: Ready, prober: Prober, findings: Findings, when: tuple[float, Ended]) -> Report:
    shots = prober.record.shots
    return Report(
        verb=verb,
        lane=ready.lane.name,
        plan=ready.lane.plan,
        started=when[0],
        reason=when[1].reason,
        interrupted=when[1].interrupted,
        record=prober.record,
        purse=ready.purse,
        times=times(shots, shots if ready.lane.plan.stream else (), ready.wanted),
        findings=findings,
        balance=tuple(ready.balance),
    )
