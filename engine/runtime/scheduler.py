"""Scheduler: the loop. Pumps ask, calls are answered, the settler decides, the scribe makes it last; signals end it in order.

All concurrency of a run is in this file. It imports no terminal, page or recipe: what it reports is a `Pulse`.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup
from structlog.typing import FilteringBoundLogger

from engine.core.agenda import Agenda
from engine.core.faults import Fault, FaultKind
from engine.core.quota import Ticket
from engine.core.recipe import Context
from engine.core.settler import Settler
from engine.core.types import Heard, Reply, Request, total
from engine.runtime.account import Account, Lane, view
from engine.runtime.mailbox import Bell, Closed, Mailbox
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
    """A lane in a pulse. `in_flight` is its account's."""

    name: str
    state: str
    in_flight: int
    closed: str | None


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


class Worker(Protocol):
    """Runs a blocking function off the loop; tests run it inline."""

    async def __call__(self, function: Callable[[bytes], None], data: bytes, /) -> None: ...


async def in_thread(function: Callable[[bytes], None], data: bytes, /) -> None:
    await anyio.to_thread.run_sync(function, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The effects that a run needs, passed in so that tests can fake them."""

    wire: Sender
    append: Callable[[bytes], None]
    """Makes whole lines last, or raises `DiskError`."""
    utc: Callable[[], float]
    log: FilteringBoundLogger
    worker: Worker = in_thread
    signals: bool = True
    on_pulse: Callable[[Pulse], None] = field(default=lambda pulse: None)
    """Called once a second on the loop: it must not block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: for one attempt, for one request in all, and for calls in flight after a signal."""

    attempt: float = 600.0
    request: float = 900.0
    grace: float = 10.0


class Scheduler:
    """One run, from its agenda as it stands to the end."""

    def __init__(self, agenda: Agenda, context: Context, accounts: Sequence[Account], world: World, patience: Patience) -> None:
        self._agenda = agenda
        self._accounts = accounts
        self._lanes = [lane for account in accounts for lane in account.lanes]
        self._home = {lane.name: account for account in accounts for lane in account.lanes}
        self._settler = Settler(
            agenda,
            context,
            patience.request,
            weigh=lambda lane, call: self._lane(lane).provider.weigh(call),
            sick=lambda lane: not self._home[lane].breaker.closed,
        )
        self._world = world
        self._patience = patience
        self._state = RunState.RUNNING
        self._end = RunState.DONE
        self._reason = ""
        self._signals = 0
        self._started = 0.0
        self._lag = 0.0
        self._bell = Bell()
        self._done: Mailbox[Heard] = Mailbox(BOUND)
        self._out: Mailbox[bytes] = Mailbox(BOUND)
        self._asking = anyio.CancelScope()

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
                self._done.close()
        except BaseExceptionGroup as group:
            raise _single(group) from None
        if broken is not None:
            raise _single(broken)
        self._state = self._end
        return self.pulse()

    def pulse(self) -> Pulse:
        now = anyio.current_time()
        lag, self._lag = self._lag, 0.0
        agenda = self._agenda
        return Pulse(
            state=self._state,
            reason=self._reason,
            seconds=now - self._started,
            goal=agenda.goal,
            kept=agenda.kept,
            records=agenda.records,
            in_flight=agenda.in_flight,
            lag=lag,
            lanes=tuple(
                LanePulse(lane.name, account.lane_state(lane, now).value, account.ledger.in_flight, lane.closed)
                for account in self._accounts
                for lane in account.lanes
            ),
            tally=agenda.tally.as_json(),
        )

    def stop(self, end: RunState, reason: str) -> None:
        """Ask nothing new; the calls in flight may finish. The first reason stays."""
        if self._state is RunState.RUNNING:
            self._state, self._end, self._reason = RunState.DRAINING, end, reason
            self._world.log.info("run_draining", end=end.value, reason=reason)
            self._bell.ring()

    def interrupt(self, name: str) -> None:
        """A signal to stop: the first lets calls finish, the second cancels them, the third ends the process."""
        self._signals += 1
        if self._signals == 1:
            self.stop(RunState.INTERRUPTED, f"stopped by {name}; the same command goes on from here")
        elif self._signals == 2:
            self._asking.cancel()
        else:
            os._exit(EXIT_CODES[RunState.INTERRUPTED])

    # Asking

    async def _side(self) -> None:
        self._look()
        async with anyio.create_task_group() as side:
            if self._world.signals:
                side.start_soon(self._watch)
            side.start_soon(self._beat)
            side.start_soon(self._grace)
            with self._asking:
                async with anyio.create_task_group() as accounts:
                    for account in self._accounts:
                        accounts.start_soon(self._pump, account, accounts)
            side.cancel_scope.cancel()

    async def _pump(self, account: Account, calls: TaskGroup) -> None:
        """Ask the agenda whenever the account has room. A request in hand is given back if the run stops meanwhile."""
        while self._state is RunState.RUNNING:
            now = anyio.current_time()
            wait = account.opening(now) if not self._done.full else math.inf
            if wait > 0:
                await self._bell.wait(wait)
            elif (chosen := self._choose(account, now)) is None:
                views = [view(lane, self._lanes) for lane in account.lanes if lane.closed is None]
                await self._bell.wait(min((self._agenda.due(lane) for lane in views), default=math.inf) - now)
            elif ticket := await self._admitted(account, *chosen):
                calls.start_soon(self._call, account, *chosen, ticket)

    def _choose(self, account: Account, now: float) -> tuple[Lane, Request] | None:
        for lane in account.lanes:
            if lane.closed is None and (request := self._agenda.next(view(lane, self._lanes), now)) is not None:
                return lane, self._settler.composed(request, lane.style)
        return None

    async def _admitted(self, account: Account, lane: Lane, request: Request) -> Ticket | None:
        """The charge for a request, as soon as the account has room for its real weight; `None` if it was given back."""
        usage = account.weigh(lane, request.calls[len(request.heard) :])
        while (wait := account.ledger.wait(usage, anyio.current_time())) > 0 and self._state is RunState.RUNNING:
            await self._bell.wait(wait)
        await account.space()
        if self._state is not RunState.RUNNING or lane.closed is not None:
            self._agenda.give_back(request, anyio.current_time())
            return None
        return account.ledger.charge(usage, anyio.current_time())

    async def _call(self, account: Account, lane: Lane, request: Request, ticket: Ticket) -> None:
        """The attempts of one request, one after the other, up to its first fault. What was heard is handed over in any case,
        and only then is the slot free: a settler that is behind holds back new calls."""
        began, t = anyio.current_time(), self._world.utc()
        replies = list(request.heard)
        fault: Fault | None = Fault(FaultKind.NETWORK, "interrupted after it was sent", billed=True)
        try:
            for call in request.calls[len(replies) :]:
                outcome = await account.attempt(lane, call, self._world.wire, self._patience.attempt, self._world.utc)
                self._learn(account, lane, outcome)
                if isinstance(outcome, Fault):
                    fault = outcome
                    break
                replies.append(outcome)
            else:
                fault = None
        finally:
            usage = total([reply.usage for reply in replies[len(request.heard) :]]) if fault is None else None
            heard = Heard(
                request=replace(request, heard=tuple(replies)),
                lane=lane.name,
                t=t,
                replies=tuple(replies),
                fault=fault,
                seconds=anyio.current_time() - began,
            )
            with anyio.CancelScope(shield=True):
                await self._hand_over(heard)
            account.ledger.settle(ticket, usage)

    def _learn(self, account: Account, lane: Lane, outcome: Reply | Fault) -> None:
        account.learn(lane, outcome, anyio.current_time())
        if isinstance(outcome, Fault):
            log = self._world.log
            log.debug("fault", lane=lane.name, kind=outcome.kind, detail=outcome.detail, retry_after=outcome.retry_after)
            if lane.closed is not None:
                log.warning("lane_closed", lane=lane.name, reason=lane.closed)

    async def _hand_over(self, heard: Heard) -> None:
        try:
            await self._done.put(heard)
        except Closed:
            pass  # the settler is gone, and its error ends the run: this answer is asked for again in the next one

    # Settling and writing

    async def _settle(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                while batch := await self._done.take():
                    for heard in batch:
                        for line in self._settler.decide(heard, anyio.current_time()):
                            await self._out.put(line)
                    self._look()
                    self._bell.ring()
            except Closed:
                pass  # the scribe is gone, and its error ends the run
            finally:
                self._done.close()
                self._out.close()

    async def _scribe(self) -> None:
        """One write and one sync for all lines that have gathered meanwhile."""
        with anyio.CancelScope(shield=True):
            try:
                while group := await self._out.take():
                    await self._world.worker(self._world.append, b"".join(group))
            finally:
                self._out.close()

    def _look(self) -> None:
        """Stop where there is nothing left to do, or nobody left to do it."""
        if self._agenda.quiet():
            stalled = self._agenda.stalled
            self.stop(RunState.STALLED if stalled else RunState.DONE, stalled or "")
            return
        for role in {step.role for step in self._agenda.recipe.steps}:
            serving = [lane for lane in self._lanes if role in lane.roles]
            if all(lane.closed is not None for lane in serving):
                reasons = "; ".join(f"{lane.name}: {lane.closed}" for lane in serving)
                self.stop(RunState.NO_LANE, f"no lane is left for the role {role!r} ({reasons})")

    # Watching

    async def _watch(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
            async for number in received:
                self.interrupt(number.name)

    async def _grace(self) -> None:
        """After a signal, calls in flight have this long; an end of the run's own making lets them finish."""
        while self._end is not RunState.INTERRUPTED:
            await self._bell.wait()
        await anyio.sleep(self._patience.grace)
        self._asking.cancel()

    async def _beat(self) -> None:
        while True:
            due = anyio.current_time() + 1.0
            self._world.on_pulse(self.pulse())
            await anyio.sleep_until(due)
            self._lag = max(self._lag, anyio.current_time() - due)

    def _lane(self, name: str) -> Lane:
        return next(lane for lane in self._lanes if lane.name == name)


def _single(error: BaseException) -> BaseException:
    """The one real error in nested groups; several stay a group. A cancellation beside an error says nothing."""
    while isinstance(error, BaseExceptionGroup):
        real = [part for part in error.exceptions if not isinstance(part, anyio.get_cancelled_exc_class())]
        if len(real) != 1:
            return error
        error = real[0]
    return error
