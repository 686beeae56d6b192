"""The simulator's accounts in process, on virtual time: a network over its `World` for the real scheduler, and runs over it.

For tests and benches. Accounts are made as `app` makes them; a run may be killed, resumed under another plan, and looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from logging import INFO
from os import environ
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from unittest.mock import patch
from urllib.parse import urlsplit

import anyio
import orjson
import structlog
from structlog.testing import LogCapture

from engine import app, context, funds
from engine.core.agenda import MALFORMED
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.core.spent import Spent
from engine.core.till import Books, Money, Till
from engine.lanes import check_languages
from engine.plan import from_data
from engine.runtime.account import Account
from engine.runtime.clock import Clock
from engine.runtime.feeding import Read
from engine.runtime.inquiring import inquire
from engine.runtime.journal import Journal
from engine.runtime.pulse import Pulse, RunState
from engine.runtime.scheduler import Scheduler
from engine.runtime.scheduler import World as Effects
from engine.runtime.segments import on_disk, pieces, split
from engine.runtime.wire import Ear, Heed, Late, Timeouts
from providers.simulator import script
from providers.simulator.calls import Weight
from providers.simulator.world import Arrival, Break, Call, World
from tests import virtual

HOME = "http://simulator"
"""Where all accounts are; a lane's `base_url` goes on with its account's prefix."""
BEGAN = 1_767_225_600.0
"""The wall clock when the simulator starts: midnight UTC, so that days begin together."""


def lag(rng: Random) -> float:
    """Seconds on the way to the server, or back: an ordinary line with an ordinary jitter."""
    return 0.01 + 0.05 * rng.random()


class MemoryDisk:
    """A disk of files in memory, as `Disk`, that is fast with large files. While it is `dead`, as after a kill, it takes nothing
    more; what was written before stays."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.dead = False

    def names(self, folder: str = "") -> list[str]:
        inside = [name.rpartition("/") for name in self.files]
        return sorted(base for where, _, base in inside if where == folder)

    def size(self, name: str) -> int:
        return len(self.files[name])

    def read(self, name: str) -> Iterator[bytes]:
        if name not in self.files:
            raise FileNotFoundError(name)
        yield bytes(self.files[name])

    def append(self, name: str, data: bytes) -> None:
        self._live().setdefault(name, bytearray()).extend(data)

    def truncate(self, name: str, size: int) -> None:
        del self._live()[name][size:]

    def sync(self, name: str) -> None:
        self._live()

    def rename(self, old: str, new: str) -> None:
        self._live()[new] = self.files.pop(old)

    def remove(self, name: str) -> None:
        del self._live()[name]

    def sync_names(self, folder: str = "") -> None:
        self._live()

    def _live(self) -> dict[str, bytearray]:
        if self.dead:
            raise Killed
        return self.files


class Killed(BaseException):
    """The process is gone."""


@dataclass(slots=True)
class Seen:
    """A call as the network saw it; times are seconds since the simulator started."""

    asked: bytes
    """What was asked, whoever was asked."""
    account: str
    came: float
    kind: str | None
    """Why the simulator refused it."""
    weight: Weight | None
    """What it weighed when it was admitted."""
    ended: float = 0.0
    got: bool = False
    """A whole answer that can be read came back to whoever asked."""


class SimulatedWire:
    """The network. `closed` has spans of time in which nobody listens, by the first part of an account's path."""

    def __init__(self, world: World, began: float, closed: Mapping[str, tuple[float, float]], seed: int) -> None:
        self.seen: list[Seen] = []
        self.busy: Counter[str] = Counter()
        """Seconds that admitted calls were inside, by account."""
        self.unconnected = 0
        self._world = world
        self._began = began
        self._closed = closed
        self._rng = Random(seed)

    def now(self) -> float:
        """Seconds since the simulator started."""
        return anyio.current_time() + self._began

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        call = await self._connected(request)
        with anyio.move_on_after(timeout):
            return await self._exchange(call)
        raise Late(FaultKind.NETWORK, f"no whole answer within {timeout:g} s", billed=True)

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        call = await self._connected(request)
        with anyio.move_on_after(timeouts.whole):
            return await self._exchange(call, ear)
        raise Late(FaultKind.NETWORK, f"no whole answer within {timeouts.whole:g} s", billed=True)

    async def _connected(self, request: HttpRequest) -> Call:
        url = urlsplit(request.url)
        start, end = self._closed.get("/" + url.path[1:].partition("/")[0], (0.0, 0.0))
        if start <= self.now() < end:
            self.unconnected += 1
            await anyio.sleep(lag(self._rng))
            raise Fault(FaultKind.NETWORK, f"cannot connect to {url.netloc}: Connection refused", reached=False)
        headers = {"Host": url.netloc, **request.headers}
        return Call(request.method, url.path, headers, request.body, url.query)

    async def _exchange(self, call: Call, ear: Ear | None = None) -> HttpResponse:
        sent = anyio.current_time()
        await anyio.sleep(lag(self._rng))
        arrival = self._world.arrive(call, self.now())
        weight = arrival.charge.weight if arrival.charge is not None else None
        seen = Seen(_asked(call.body), arrival.account, self.now(), arrival.kind, weight)
        self.seen.append(seen)
        try:
            if ear is not None and arrival.stream and arrival.status == 200:
                await self._heard(arrival, ear)
                seen.got = True
                took = anyio.current_time() - sent
                return HttpResponse(arrival.status, arrival.headers, b"", took, took - arrival.seconds + arrival.first_byte)
            await self._served(arrival)
        finally:
            seen.ended = self.now()
            self._world.depart(arrival, seen.ended)
            if arrival.admitted:
                self.busy[arrival.account] += seen.ended - seen.came
        await anyio.sleep(lag(self._rng))
        seen.got = arrival.admitted and not arrival.body.endswith(b"<html>")
        took = anyio.current_time() - sent
        return HttpResponse(arrival.status, arrival.headers, arrival.body, took, took - arrival.seconds + arrival.first_byte)

    async def _heard(self, arrival: Arrival, ear: Ear) -> None:
        """Each piece when it comes, until the stream ends, breaks, or nobody wants more of it."""
        came = anyio.current_time()
        for seconds, data in arrival.stream:
            await anyio.sleep(max(0.0, came + seconds - anyio.current_time()))
            if ear.hear(data) is not Heed.MORE:
                return
        if arrival.broken is not None:
            raise Fault(FaultKind.NETWORK, "the connection broke: ClientPayloadError", billed=True)

    async def _served(self, arrival: Arrival) -> None:
        """Until the last byte has left, or the connection breaks."""
        early = arrival.broken in (Break.BEFORE_HEADERS, Break.AFTER_HEADERS)
        await anyio.sleep(arrival.first_byte if early else arrival.seconds)
        if arrival.broken is not None:
            error = "ServerDisconnectedError" if arrival.broken is Break.BEFORE_HEADERS else "ClientPayloadError"
            raise Fault(FaultKind.NETWORK, f"the connection broke: {error}", billed=True)


def _asked(body: bytes) -> bytes:
    """The words of a request, and how they are to be answered, without the model that is asked. Translators' forms stand as they
    are sent, with what their signatures need: of these none is like another."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if isinstance(fields, dict):
        fields.pop("model", None)
        body = orjson.dumps(fields)
    return blake2b(body, digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Lived:
    """How a life of a run ended: its last pulse, the simulator's books then, and what it had to find out."""

    pulse: Pulse
    books: dict[str, Any]
    truth: dict[str, Any]


@dataclass
class Simulation:
    """A plan against a script. Each `live` is a process of its own, which resumes what the one before left on the disk."""

    script: str
    plan: Mapping[str, Any]
    seed: int = 0
    closed: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    began: float = 0.0
    """When this life began, in seconds since the simulator started."""
    loaded: context.Loaded | None = None
    """In place of `plan`, for what no plan can say."""

    def __post_init__(self) -> None:
        self.world = World(script.read(self.script), self.seed)
        self.seen: list[Seen] = []
        """Of all lives."""
        self.logged: list[Mapping[str, Any]] = []
        """What the log says of this life, debugging apart."""

    def live(self, beside: Beside | None = None) -> Lived:
        """Until the run ends by itself, or `beside` raises `Killed`, or ends it by the scheduler that it is given."""
        loaded = self.loaded or context.load(from_data(self.plan))
        journal = Journal(self.disk, app.header(loaded), "run", compress=loaded.plan.compress)
        spent = Spent({name: lane.quota for name, lane in loaded.plan.lanes.items()}, app.homes(loaded.plan))
        steps, money = funds.steps(loaded.recipe), funds.money(loaded, app.lanes(loaded))
        costs = Books(steps)
        agenda = app.replayed(loaded, journal, "run", spent, costs)
        till = Till(money, steps, costs)
        documents = app.reader(loaded, agenda, Path())
        app.close_leases(journal, spent, BEGAN + self.began)
        self.wire = SimulatedWire(self.world, self.began, self.closed, self.seed)
        log = LogCapture()
        self.logged = log.entries

        async def main() -> Pulse:
            try:
                async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
                    accounts = await self._accounts(loaded, spent, stack, money)
                    if documents is not None:
                        every = [lane for account in accounts for lane in account.lanes]
                        check_languages(loaded, every, await inquire(every, self.wire))
                    effects = self._effects(journal, log, documents)
                    scheduler = Scheduler(agenda, loaded.context, accounts, effects, app._patience(loaded.plan), till)
                    if beside is not None:
                        tasks.start_soon(beside, self, scheduler)
                    pulse = await scheduler.run()
                    tasks.cancel_scope.cancel()
                return pulse
            finally:
                self.began += anyio.current_time()

        try:
            pulse = virtual.run(main)
        finally:
            self.seen += self.wire.seen
        if pulse.state is RunState.DONE:
            journal.seal()
        return Lived(pulse, self.books(), self.world.truth())

    async def _accounts(self, loaded: context.Loaded, spent: Spent, stack: AsyncExitStack, money: Money) -> list[Account]:
        """As `app` makes them, with what earlier lives have used."""
        private = stack.enter_context(TemporaryDirectory())  # where no other run on this machine looks for accounts in use
        with patch.dict(environ, XDG_RUNTIME_DIR=private):
            accounts = await app._accounts(loaded, Path(), stack, money)
        for n, account in enumerate(accounts):
            account._rng.seed(f"{self.seed} {n} {self.began}")
        ledgers = {lane.name: account.ledger for account in accounts for lane in account.lanes}
        for use in spent.uses(BEGAN + self.began):
            ledgers[use.lane].remember(use.measure, use.amount, use.t - BEGAN - self.began)
        return accounts

    def _effects(self, journal: Journal, log: LogCapture, documents: Read | None) -> Effects:
        began = BEGAN + self.began
        return Effects(
            wire=self.wire,
            append=journal.append,
            clock=Clock(anyio.current_time, lambda: began + anyio.current_time()),
            log=structlog.wrap_logger(structlog.ReturnLogger(), [log], wrapper_class=structlog.make_filtering_bound_logger(INFO)),
            worker=virtual.inline,
            documents=documents,
        )

    def die(self, seconds: float) -> None:
        """A life that is killed with -9 after so many seconds of it."""

        async def kill(self: Simulation, scheduler: Scheduler) -> None:
            await anyio.sleep(seconds)
            self.disk.dead = True
            raise Killed

        try:
            self.live(kill)
        except BaseExceptionGroup as group:
            if group.split(Killed)[1] is not None:
                raise
        except Killed:
            pass
        else:
            raise AssertionError(f"the run ended before it was killed after {seconds} s")
        self.disk.dead = False

    def books(self) -> dict[str, Any]:
        """By account."""
        accounts: dict[str, Any] = self.world.books()["accounts"]  # type: ignore[assignment]
        return accounts

    def lines(self) -> list[dict[str, Any]]:
        """Every whole line of the journal, headers too."""
        files = on_disk(self.disk).values()
        return [orjson.loads(line) for file in files for line, whole in split(pieces(self.disk, file)) if whole]

    def settled(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "s" in line and "paid" not in line]

    def repeated(self) -> int:
        """Questions that were asked again although their answer had come; those apart whose answer made no sense, by the
        journal."""
        again = sum(count - 1 for count in Counter(seen.asked for seen in self.seen if seen.got).values())
        senseless = sum(line.get("paid", "").startswith(MALFORMED) for line in self.lines())
        return max(0, again - senseless)


Beside: TypeAlias = Callable[[Simulation, Scheduler], Awaitable[None]]
"""What goes on beside a run, in its loop; ends with it."""


def refused_share(book: Mapping[str, Any]) -> float:
    """Of the calls that came to an account."""
    return sum(book["refused"].values()) / max(1, book["calls"])
