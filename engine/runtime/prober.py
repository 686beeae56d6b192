"""Drives a load test: sends what the prober decides, when it is due, and writes every attempt down.

Open loop: a call leaves at its time however long others take. Part of no run; the scheduler and its accounts are not used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup
from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.core.prober import End, Fire, Prober, Rest
from engine.core.quota import Ledger
from engine.core.shapes import asked
from engine.core.trials import Shot
from engine.core.types import Reply, Usage
from engine.runtime.account import Account, Attempted
from engine.runtime.clock import Clock
from engine.runtime.keys import without
from engine.runtime.lane import Lane
from engine.runtime.wire import Ear, Sender, Timeouts

_TELLING = re.compile(r"limit|remaining|reset|retry|quota|throttl|request-?id|processing|metered|usage|^date$|^x-ms-|region")
"""Names of headers that may say something of limits, or of how a call was served."""
_SECRET = re.compile(r"cookie|auth|key|secret|(?<!-)token$")
_LONGEST = 500
"""Characters of a header's value that are kept."""

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a test came to its end."""

    reason: str
    interrupted: bool = False
    """By a signal, not by its own rules."""


class Shooter:
    """One test as it runs. `on_line` is given each attempt as plain data, in the order in which they end; an `OSError` that it
    raises ends the test."""

    def __init__(self, prober: Prober, lane: Lane, wire: Sender, clock: Clock, timeouts: Timeouts) -> None:
        self._prober = prober
        self._lane = lane
        self._account = Account(lane.name, [lane], Ledger(lane.plan.quota), None)
        self._wire = wire
        self._clock = clock
        self._timeouts = timeouts
        self._began = 0.0
        self._news = anyio.Event()
        self._scope = anyio.CancelScope()
        self._interrupts = 0
        self._unwritten: OSError | None = None

    def interrupt(self, signal: str) -> None:
        """The first time nothing new is sent and calls in flight may end; the second time they are cut off."""
        self._interrupts += 1
        self._prober.stop(f"stopped by {signal}")
        if self._interrupts > 1:
            self._scope.cancel()
        self._news.set()

    async def run(self, on_line: Callable[[Line], None]) -> Ended:
        """Until the test is over. Calls that are cut off are written down as such, since they may be billed."""
        self._began = anyio.current_time()
        ended = Ended("stopped, with calls in flight cut off", interrupted=True)
        with self._scope:
            async with anyio.create_task_group() as calls:
                ended = Ended(await self._fired(calls, on_line), self._interrupts > 0)
        if self._unwritten is not None:
            raise self._unwritten
        return ended

    async def _fired(self, calls: TaskGroup, on_line: Callable[[Line], None]) -> str:
        """Until nothing is to be sent, nor in flight; why."""
        while True:
            match self._prober.next(self._now()):
                case End(reason=reason):
                    return reason
                case Rest(until=until):
                    await self._rest(until)
                case Fire() as fire:
                    calls.start_soon(self._shoot, fire, on_line)
                    await anyio.lowlevel.checkpoint()

    def _now(self) -> float:
        return anyio.current_time() - self._began

    async def _rest(self, until: float) -> None:
        self._news = anyio.Event()
        with anyio.move_on_after(max(0.0, until - self._now()) if until < math.inf else None):
            await self._news.wait()

    async def _shoot(self, fire: Fire, on_line: Callable[[Line], None]) -> None:
        """One attempt, from its sending to what it means."""
        t, sent = self._clock.utc(), self._now()
        noted = _Noted(self._wire)
        try:
            attempted = await self._account.attempt(self._lane, fire.call, noted, self._timeouts, self._clock.utc)
        except anyio.get_cancelled_exc_class():
            cut = Fault(FaultKind.NETWORK, "cut off before its answer came", billed=True)
            self._ended(fire, (t, sent), Attempted(cut, (), None, 0), noted.response, on_line)
            raise
        self._ended(fire, (t, sent), attempted, noted.response, on_line)
        self._news.set()

    def _ended(
        self,
        fire: Fire,
        times: tuple[float, float],
        attempted: Attempted,
        response: HttpResponse | None,
        on_line: Callable[[Line], None],
    ) -> None:
        """What the attempt means, and its line. `times` are when it was sent, in UTC and since the test began."""
        (t, sent), (outcome, told, used, _) = times, attempted
        fault = outcome if isinstance(outcome, Fault) else None
        reply = outcome if isinstance(outcome, Reply) else None
        first = reply.first_byte if reply is not None and self._lane.plan.stream else response and response.first_byte
        shot = self._prober.heard(
            Shot(
                number=fire.number,
                trial=fire.trial,
                shape=fire.shape,
                intended=fire.intended,
                sent=sent,
                ended=self._now(),
                first=first or None,
                status=response.status if response is not None else None,
                fault=fault.kind if fault is not None else None,
                hint=fault.retry_after if fault is not None else None,
                billed=fault is None or fault.billed,
                usage=reply.usage if reply is not None else used,
                readings=told,
            ),
            self._now(),
        )
        try:
            on_line(self._line(shot, t, response, fault.detail if fault is not None else ""))
        except OSError as error:
            self._unwritten = self._unwritten or error
            self._scope.cancel()

    def _secrets(self) -> str:
        return "\n".join(self._lane.secrets())

    def _line(self, shot: Shot, t: float, response: HttpResponse | None, detail: str) -> dict[str, Any]:
        """The attempt as it is written down: no prompt, no answer, no key."""
        trial = self._prober.record.trials[shot.trial - 1]
        return {
            "n": shot.number,
            "trial": shot.trial,
            "title": trial.title,
            "shape": shot.shape.form.value,
            "size": shot.shape.size,
            "max_tokens": asked(shot.shape),
            "t": round(t, 6),
            "intended": round(shot.intended, 6),
            "sent": round(shot.sent, 6),
            "first": None if shot.first is None else round(shot.first, 6),
            "ended": round(shot.ended, 6),
            "status": shot.status,
            "kind": "answered" if shot.fault is None else shot.fault.value,
            "detail": detail,
            "hint": shot.hint,
            "headers": telling(response.headers, self._secrets()) if response is not None else {},
            "estimated": _usage(shot.weighed),
            "usage": _usage(shot.usage) if shot.usage is not None else None,
            "cost_nano": shot.cost,
        }


class _Noted:
    """The network, for one attempt: keeps the head of the answer, of which the attempt itself tells the meaning only."""

    def __init__(self, wire: Sender) -> None:
        self._wire = wire
        self.response: HttpResponse | None = None

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        self.response = await self._wire.send(request, timeout)
        return self.response

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        self.response = await self._wire.listen(request, timeouts, ear)
        return self.response


def telling(headers: Mapping[str, str], secrets: str) -> dict[str, str]:
    """Headers that say something of limits, as they came; none of the secrets, one a line, is in them."""
    kept = {name: value for name, value in headers.items() if _TELLING.search(name) and not _SECRET.search(name)}
    return {name: without(value[:_LONGEST], secrets) for name, value in kept.items()}


def _usage(usage: Usage) -> dict[str, Any]:
    return {name: value for name, value in structs.asdict(usage).items() if value}
