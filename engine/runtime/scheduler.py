"""Scheduler: the loop. Pumps ask, calls are answered, the settler decides, the scribe makes it last; signals end it in order.

All concurrency of a run is in this file. It imports no terminal, page or recipe: what it reports is a `Pulse`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol, TypeVar

import anyio
from structlog.typing import FilteringBoundLogger

from engine.core import lines
from engine.core.agenda import Agenda
from engine.core.faults import EngineError
from engine.core.parse import Malformed
from engine.core.recipe import Context, Verdict
from engine.core.settler import PARK_AFTER, Settler
from engine.core.types import Heard, Stepped
from engine.runtime.account import Account, Lane
from engine.runtime.asking import Asking, Boxes
from engine.runtime.clock import BEAT, Clock
from engine.runtime.mailbox import SLOW, Bell, Closed, Entry, Mailbox, Turn
from engine.runtime.wire import Sender

BOUND = 1024
"""Answers that may wait for the settler, and lines for the scribe, before their makers have to wait."""


class RunState(Enum):
    RUNNING = "running"
    DRAINING = "draining"
    DONE = "done"
    INTERRUPTED = "interrupted"
    NO_LANE = "no_lane"
    STALLED = "stalled"
    FAILED = "failed"


EXIT_CODES = {
    RunState.DONE: 0,
    RunState.FAILED: 1,
    RunState.INTERRUPTED: 3,
    RunState.NO_LANE: 4,
    RunState.STALLED: 6,
}


@dataclass(frozen=True, slots=True)
class LanePulse:
    """A lane in a pulse. `in_flight` is its account's, `held` says why somebody wants it paused."""

    name: str
    state: str
    in_flight: int
    closed: str | None
    notice: str | None = None
    """Why it is parked, and for how long."""
    held: str | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """A look at a run. `seconds` since this process began it, `lag` the event loop's worst delay in the last second."""

    state: RunState
    reason: str
    seconds: float
    goal: int
    kept: int
    records: int
    in_flight: int
    lag: float
    lanes: tuple[LanePulse, ...]
    tally: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "state": self.state.value}


A = TypeVar("A")
B = TypeVar("B")


class Worker(Protocol):
    """Runs a blocking function off the loop; tests run it inline."""

    async def __call__(self, function: Callable[[A], B], argument: A, /) -> B: ...


async def in_thread(function: Callable[[A], B], argument: A, /) -> B:
    return await anyio.to_thread.run_sync(function, argument)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The effects that a run needs, passed in so that tests can fake them."""

    wire: Sender
    append: Callable[[bytes], None]
    """Makes whole lines last, or raises `DiskError`."""
    clock: Clock
    log: FilteringBoundLogger
    worker: Worker = in_thread
    on_pulse: Callable[[Pulse], None] = field(default=lambda pulse: None)
    """Called once a second on the loop: it must not block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: for one attempt, for one request in all, for calls in flight after a signal, and for a line to wait for others to
    be written and synced together with it."""

    attempt: float = 600.0
    request: float = 900.0
    grace: float = 10.0
    group: float = 0.05
    park_after: float = PARK_AFTER
    parked: Literal["wait", "stop"] = "wait"
    """What to do when every lane that is needed is parked."""


class Scheduler:
    """One run, from its agenda as it stands to the end."""

    def __init__(self, agenda: Agenda, context: Context, accounts: Sequence[Account], world: World, patience: Patience) -> None:
        self._agenda = agenda
        self._lanes = {lane.name: (account, lane) for account in accounts for lane in account.lanes}
        self._settler = Settler(
            agenda,
            context,
            patience.request,
            weigh=lambda lane, call: self._lanes[lane][1].provider.weigh(call),
            sick=lambda lane: not self._lanes[lane][0].breaker.closed,
            park_after=patience.park_after,
        )
        self._world = world
        self._patience = patience
        self._state = RunState.RUNNING
        self._end = RunState.DONE
        self._reason = ""
        self.interrupts = 0
        self._started = 0.0
        self._lag = 0.0
        self._mistake: EngineError | None = None
        self._judging = 0.0
        """Seconds that judging one answer takes, a running mean."""
        self._bell = Bell()
        self._done: Mailbox[Heard] = Mailbox(BOUND)
        self._out: Mailbox[Entry] = Mailbox(BOUND)
        self._calls = anyio.CancelScope()
        self._asking = Asking(accounts, self._settler, Boxes(self._done, self._out, self._bell), world, patience.attempt)

    async def run(self) -> Pulse:
        """Until everything is settled, or the run has to stop; the last pulse says how it ended.

        Whatever stops it, bugs and cancellation included, answers that have arrived are settled and written before it
        returns or raises.
        """
        self._started = anyio.current_time()
        broken: BaseException | None = None
        try:
            async with anyio.create_task_group() as books:
                books.start_soon(self._settle)
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
            in_flight=agenda.in_flight,
            lag=lag,
            lanes=tuple(_seen(account, lane, now) for account, lane in self._lanes.values()),
            tally=agenda.tally.as_json(),
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
            with self._calls:
                await self._asking.run()
            side.cancel_scope.cancel()

    # Settling and writing

    async def _settle(self) -> None:
        with anyio.CancelScope(shield=True):
            turn = Turn()
            try:
                while batch := await self._done.take():
                    for heard in batch:
                        await turn.end()
                        try:
                            verdict = await self._judge(heard)
                        except EngineError as error:  # a filter of the user's: what else has arrived is settled first
                            self._mistake = self._mistake or error
                            self.stop(RunState.FAILED, str(error))
                            continue
                        for line in self._settler.decide(heard, verdict, anyio.current_time()):
                            await self._out.put(Entry(line))
                    self._look()
                    self._bell.ring()
            except Closed:
                pass  # the scribe is gone, and its error ends the run
            finally:
                self._done.close()
                self._out.close()

    async def _judge(self, heard: Heard) -> Verdict | Malformed:
        """On the loop while that is quick; in a thread once the index is so large, or texts are so long, that it is not."""
        verdict, took = await self._world.worker(self._timed, heard) if self._judging > SLOW else self._timed(heard)
        self._judging += 0.1 * (took - self._judging)
        return verdict

    def _timed(self, heard: Heard) -> tuple[Verdict | Malformed, float]:
        began = time.perf_counter()
        verdict = self._settler.judge(heard)
        return verdict, time.perf_counter() - began

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

    def _look(self) -> None:
        """Stop where there is nothing left to do, or nobody left to do it."""
        if self._agenda.quiet():
            stalled = self._agenda.stalled
            self.stop(RunState.STALLED if stalled else RunState.DONE, stalled or "")
            return
        for role in self._agenda.roles_wanted():
            serving = [lane for _, lane in self._lanes.values() if role in lane.roles]
            if all(lane.closed is not None for lane in serving):
                reasons = "; ".join(f"{lane.name}: {lane.closed}" for lane in serving)
                self.stop(RunState.NO_LANE, f"no lane is left for the role {role!r} ({reasons})")
        reason = parked(self._agenda.roles_wanted(), self._lanes.values(), anyio.current_time())
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
            self._world.on_pulse(self.pulse())
            await self._look_at_clock()
            await anyio.sleep_until(due)
            self._lag = max(self._lag, anyio.current_time() - due)

    async def _look_at_clock(self) -> None:
        clock = self._world.clock
        clock.awake()
        if step := clock.stepped():
            self._world.log.warning("clock_stepped", seconds=round(step, 3))
            try:
                await self._out.put(Entry(lines.write_stepped(Stepped(seconds=step, t=clock.utc()))))
            except Closed:
                pass  # the scribe is gone, and its error ends the run


def parked(roles: Iterable[str], lanes: Iterable[tuple[Account, Lane]], now: float) -> str | None:
    """What to say where every open lane of a role that is needed is parked: the run waits, and until when."""
    for role in sorted(roles):
        serving = [account.notice(now) for account, lane in lanes if role in lane.roles and lane.closed is None]
        if serving and all(serving):
            return f"every lane for the role {role!r} is parked: {'; '.join(filter(None, serving))}"
    return None


def idle(roles: set[str], lanes: Collection[tuple[Account, Lane]], now: float) -> str:
    """Why a run waits, in words; "" while every role that is needed has a lane at work."""
    return parked(roles, lanes, now) or held_up(roles, [lane for _, lane in lanes])


def _seen(account: Account, lane: Lane, now: float) -> LanePulse:
    return LanePulse(
        lane.name, account.lane_state(lane, now).value, account.ledger.in_flight, lane.closed, account.notice(now), lane.held
    )


def held_up(roles: set[str], lanes: Sequence[Lane]) -> str:
    """Which of the roles wait because every lane that is left for them is held, in words; "" where there is none."""
    left = {role: [lane for lane in lanes if role in lane.roles and lane.closed is None] for role in sorted(roles)}
    waiting = [role for role, serving in left.items() if serving and not any(lane.working for lane in serving)]
    held = dict.fromkeys(f"{lane.name} is paused {lane.held}" for role in waiting for lane in left[role])
    return f"no lane is at work for {', '.join(waiting)}: {', '.join(held)}" if waiting else ""


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
