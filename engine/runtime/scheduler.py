"""Scheduler: the loop. Pumps ask, calls are answered, the settler decides, the scribe makes it last; signals end it in order.

All concurrency of a run is in this file. It imports no terminal, page or recipe: what it reports is a `Pulse`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import anyio
from structlog.typing import FilteringBoundLogger

from engine.core import lines
from engine.core.agenda import Agenda
from engine.core.bet import Bet
from engine.core.faults import EngineError
from engine.core.recipe import Context
from engine.core.settler import PARK_AFTER, Settler
from engine.core.till import Till
from engine.core.types import Stepped
from engine.runtime.account import Account
from engine.runtime.asking import Asking
from engine.runtime.clock import BEAT, Clock
from engine.runtime.feeding import Feeding, Read
from engine.runtime.judging import Worker, in_thread
from engine.runtime.leasing import Boxes, Post
from engine.runtime.mailbox import Bell, Closed, Entry, Mailbox
from engine.runtime.pulse import EXIT_CODES, Pulse, RunState, ended, idle, parked, seen
from engine.runtime.settling import Settling
from engine.runtime.wire import Sender, Timeouts

BOUND = 1024
"""Answers that may wait for the settler, and lines for the scribe, before their makers have to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The effects that a run needs, passed in so that tests can fake them."""

    wire: Sender
    append: Callable[[bytes], None]
    """Makes whole lines last, or raises `DiskError`."""
    clock: Clock
    log: FilteringBoundLogger
    worker: Worker = in_thread
    on_pulse: Callable[[Pulse], None] | None = None
    """Called once a second on the loop: it must not block."""
    documents: Read | None = None
    """Reads on in the user's input, where the recipe asks about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: for one attempt, for one request in all, for calls in flight after a signal, and for a line to wait for others to
    be written and synced together with it."""

    attempt: Timeouts = field(default_factory=Timeouts)
    request: float = 900.0
    grace: float = 10.0
    group: float = 0.05
    park_after: float = PARK_AFTER
    parked: Literal["wait", "stop"] = "wait"
    """What to do when every lane that is needed is parked."""
    cut_after: int | None = None
    """Duplicates in a row after which the rest of a streamed answer is not waited for, while that saves tokens."""


class Scheduler:
    """One run, from its agenda as it stands to the end."""

    def __init__(
        self,
        agenda: Agenda,
        context: Context,
        accounts: Sequence[Account],
        world: World,
        patience: Patience,
        till: Till | None = None,
    ) -> None:
        self._agenda = agenda
        self._till = till = till or Till()
        self._lanes = {lane.name: (account, lane) for account in accounts for lane in account.lanes}
        self._settler = Settler(
            agenda,
            context,
            patience.request,
            weigh=lambda lane, call: self._lanes[lane][1].weigh(call),
            sick=lambda lane: not self._lanes[lane][0].breaker.closed,
            park_after=patience.park_after,
        )
        self._settler.bet = Bet(patience.cut_after, context.seed) if patience.cut_after else None
        self._world = world
        self._patience = patience
        self._state = RunState.RUNNING
        self._end = RunState.DONE
        self._reason = ""
        self.interrupts = 0
        self._started = 0.0
        self._lag = 0.0
        self._mistake: EngineError | None = None
        self._bell = Bell()
        self._done: Mailbox[Post] = Mailbox(BOUND)
        self._out: Mailbox[Entry] = Mailbox(BOUND)
        self._calls = anyio.CancelScope()
        boxes = Boxes(self._done, self._out, self._bell, self._look)
        self._settling = Settling(self._settler, world.worker, boxes, self._fail)
        self._asking = Asking(accounts, self._settler, boxes, world, patience.attempt, till)
        self._feeding = Feeding(agenda, world, boxes, self._fail)

    async def run(self) -> Pulse:
        """Until everything is settled, or the run has to stop; the last pulse says how it ended.

        Whatever stops it, bugs and cancellation included, answers that have arrived are settled and written before it
        returns or raises.
        """
        self._started = anyio.current_time()
        broken: BaseException | None = None
        try:
            async with anyio.create_task_group() as books:
                books.start_soon(self._settling.run)
                books.start_soon(self._scribe)
                try:
                    await self._side()
                except BaseException as error:  # what has arrived is written first, then the error goes on its way
                    broken = error
                await self._asking.give_leases_back()
                self._done.close()
        except BaseExceptionGroup as group:
            raise _single(group) from None
        if broken is not None:
            raise _single(broken)
        if self._mistake is not None:
            raise self._mistake
        self._state = self._end
        return self.pulse()

    def pulse(self) -> Pulse:
        now = anyio.current_time()
        lag, self._lag = self._lag, 0.0
        agenda = self._agenda
        return Pulse(
            state=self._state,
            reason=self._reason or idle(agenda.roles_wanted(), self._lanes.values(), now),
            seconds=now - self._started,
            goal=agenda.goal,
            kept=agenda.kept,
            records=agenda.records,
            documents=len(agenda.intake.documents) if agenda.intake is not None else None,
            in_flight=agenda.in_flight,
            lag=lag,
            lanes=tuple(seen(account, lane, now) for account, lane in self._lanes.values()),
            tally=agenda.tally.as_json(),
            currency=self._till.money.currency if self._till.money.counted else "",
            budget=self._till.standings(),
        )

    def stop(self, end: RunState, reason: str) -> None:
        """Ask nothing new; the calls in flight may finish. The first reason stays."""
        if self._state is RunState.RUNNING:
            self._state, self._end, self._reason = RunState.DRAINING, end, reason
            self._asking.stop()
            self._world.log.info("run_draining", end=end.value, reason=reason)

    def interrupt(self, name: str) -> None:
        """A signal to stop: the first lets calls finish, the second cancels them, the third ends the process."""
        self.interrupts += 1
        self._bell.ring()
        if self.interrupts == 1:
            self.stop(RunState.INTERRUPTED, f"stopped by {name}; the same command goes on from here")
        elif self.interrupts == 2:
            self._calls.cancel()
        else:
            os._exit(EXIT_CODES[RunState.INTERRUPTED])

    @property
    def state(self) -> RunState:
        return self._state

    def changed(self) -> None:
        """Lanes, quotas or the goal were changed from outside: look at all of it again."""
        self._look()
        self._bell.ring()

    async def _side(self) -> None:
        """Everything but the books: asking, and what goes on beside it until the last call has ended."""
        self._look()
        async with anyio.create_task_group() as side:
            side.start_soon(self._beat)
            side.start_soon(self._limit_grace)
            side.start_soon(self._feeding.run)
            with self._calls:
                await self._asking.run()
            side.cancel_scope.cancel()

    # Writing, and looking for the end

    def _fail(self, error: EngineError) -> None:
        """Something of the user's is wrong: the run ends in order, and raises it."""
        self._mistake = self._mistake or error
        self.stop(RunState.FAILED, str(error))

    async def _scribe(self) -> None:
        """One write and one sync for all lines that have gathered meanwhile; then what waited for one of them to last."""
        with anyio.CancelScope(shield=True):
            try:
                while group := await self._out.take(self._patience.group):
                    await self._world.worker(self._world.append, b"".join([entry.data for entry in group]))
                    for entry in group:
                        entry.then()
            finally:
                self._out.close()
                self._bell.ring()

    def _look(self) -> None:
        """Stop where there is nothing left to do, or nobody or no money left to do it."""
        lanes = list(self._lanes.values())
        if (end := ended(self._agenda, [lane for _, lane in lanes], self._till)) is not None:
            self.stop(*end)
            return
        reason = parked(self._agenda.roles_wanted(), lanes, anyio.current_time())
        if reason is not None and self._patience.parked == "stop":
            self.stop(RunState.NO_LANE, reason)

    # Watching

    async def _limit_grace(self) -> None:
        """After a signal, calls in flight have this long; without one, an end of the run's own making lets them finish."""
        while not self.interrupts:
            await self._bell.wait()
        await anyio.sleep(self._patience.grace)
        self._calls.cancel()

    async def _beat(self) -> None:
        while True:
            due = anyio.current_time() + BEAT
            if self._world.on_pulse is not None:
                self._world.on_pulse(self.pulse())
            await self._look_at_clock()
            await anyio.sleep_until(due)
            self._lag = max(self._lag, anyio.current_time() - due)

    async def _look_at_clock(self) -> None:
        clock = self._world.clock
        clock.awake()
        if step := clock.stepped():
            self._world.log.warning("clock_stepped", seconds=round(step, 3))
            with suppress(Closed):  # the scribe is gone, and its error ends the run
                await self._out.put(Entry(lines.write_stepped(Stepped(seconds=step, t=clock.utc()))))


@contextmanager
def signals(act: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, a signal to stop calls `act` with its name, on the loop. Signals that this process was told to
    ignore (nohup) stay ignored. Off the main thread there is nothing to do: signals are not ours there."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        loop.add_signal_handler(number, act, number.name)
    try:
        yield
    finally:
        for number in ours:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _single(error: BaseException) -> BaseException:
    """The one real error in nested groups; several stay a group. A cancellation beside an error says nothing."""
    while isinstance(error, BaseExceptionGroup):
        real = [part for part in error.exceptions if not isinstance(part, anyio.get_cancelled_exc_class())]
        if len(real) != 1:
            return error
        error = real[0]
    return error
