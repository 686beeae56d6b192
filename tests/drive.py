"""Runs the real scheduler over a fake wire and a fake disk in virtual time: the engine without the world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio
import structlog

from engine import app, context, funds, inputs
from engine.core.spent import Spent
from engine.core.till import Books, Till
from engine.plan import from_data
from engine.runtime.account import Account, declared, spacing
from engine.runtime.clock import Clock
from engine.runtime.feeding import Read
from engine.runtime.journal import SEGMENT, Journal
from engine.runtime.judging import Worker
from engine.runtime.pulse import Pulse, RunState
from engine.runtime.scheduler import Patience, Scheduler, World
from tests import brain, virtual
from tests.fakes import Answer, FakeDisk, FakeWire, lines

LANE = {"provider": "local", "base_url": "http://127.0.0.1:9/v1", "concurrent": 8}


@dataclass
class Drive:
    """One run: what it is made of, and how it is started. Use it again with the same disk to resume."""

    goal: int = 6
    disk: FakeDisk = field(default_factory=FakeDisk)
    answer: Answer = brain.answer
    lanes: dict[str, dict[str, Any]] = field(default_factory=lambda: {"main": LANE})
    options: dict[str, Any] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    worker: Worker = virtual.inline
    delay: Callable[[Random], float] = lambda rng: rng.uniform(0.5, 3.0)
    loaded: context.Loaded | None = None
    """In place of goal, lanes and options, for tests that start very many runs."""
    plan: dict[str, Any] | None = None
    """In place of goal, lanes and options, for other recipes than self_instruct."""
    segment: int = SEGMENT
    compress: bool = False
    failures: app.Failures = app.Failures.LEAVE
    writer: Callable[..., Journal] = Journal
    wall: Callable[[float], float] = lambda steady: steady
    """The wall clock's time, given the seconds that this life has lasted."""
    meanwhile: Callable[[Scheduler], Any] | None = None
    """Called with the scheduler before it runs, to look at it or to disturb it."""
    wired: Callable[[Drive], FakeWire] = lambda drive: FakeWire(drive.answer, drive.delay)
    """The network."""

    def load(self) -> context.Loaded:
        plan = {"recipe": "self_instruct", "goal": self.goal, "lanes": self.lanes, "options": self.options}
        return context.load(from_data(self.plan or plan))

    def reader(self, loaded: context.Loaded) -> Read | None:
        """Who reads the documents of a recipe that asks about such."""
        intake = self.agenda.intake
        if intake is None or intake.over or loaded.source is None:
            return None
        size = loaded.context.options.sample
        drawn = (size, loaded.source.count()) if size is not None else None
        return inputs.reader(loaded.source, intake.documents.copy(), loaded.plan.seed, drawn)

    def start(self) -> Pulse:
        loaded = self.loaded or self.load()
        header = {"plan": loaded.fingerprint}
        self.journal = self.writer(self.disk, header, "run", segment=self.segment, compress=self.compress)
        spent = Spent({name: lane.quota for name, lane in loaded.plan.lanes.items()}, app.homes(loaded.plan))
        steps = funds.steps(loaded.recipe)
        books = Books(steps)
        agenda = app.replayed(loaded, self.journal, "run", spent, books)
        lanes = app.lanes(loaded)
        money = funds.money(loaded, lanes)
        funds.rank(lanes, money)
        till = Till(money, steps, books)
        app.close_leases(self.journal, spent, self.wall(0.0))
        accounts = []
        for lane in lanes:
            quota = declared(lane.plan.quota)
            accounts.append(Account(lane.name, [lane], app.ledger(lane.plan.quota, quota), spacing(quota)))
        ledgers = {account.name: account.ledger for account in accounts}
        for use in spent.uses(self.wall(0.0)):
            ledgers[use.lane].remember(use.measure, use.amount, use.t - self.wall(0.0))
        self.agenda, self.accounts = agenda, accounts
        self.wire = self.wired(self)
        again = self.failures is app.Failures.RETRY
        documents = self.reader(loaded)

        async def main() -> Pulse:
            world = World(
                wire=self.wire,
                append=self.journal.append,
                clock=Clock(anyio.current_time, lambda: self.wall(anyio.current_time())),
                log=structlog.wrap_logger(structlog.ReturnLogger()),
                worker=self.worker,
                documents=documents,
            )
            if again:
                agenda.retry_failed(anyio.current_time())
            self.scheduler = Scheduler(agenda, loaded.context, accounts, world, self.patience, till)
            if self.meanwhile is not None:
                self.meanwhile(self.scheduler)
            return await self.scheduler.run()

        pulse = virtual.run(main)
        if pulse.state is RunState.DONE:
            self.journal.seal()
        return pulse

    def settled(self) -> list[dict[str, Any]]:
        """The settled lines on the disk."""
        return [line for line in lines(self.disk) if "s" in line and "paid" not in line]

    def paid(self) -> list[dict[str, Any]]:
        return [line for line in lines(self.disk) if "paid" in line]

    def keys(self) -> Counter[tuple[str, int]]:
        return Counter((line["s"], line["i"]) for line in self.settled())
