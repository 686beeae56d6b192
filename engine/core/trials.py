"""Trials: when the calls of a load test are due. Each trial is a schedule that knows nothing of how late its calls really went.

Pure: `now` is an argument (seconds since the test began). Schedules are absolute, so a slow answer never delays the next call
(open loop), except where a trial says that it holds so many calls in flight.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Protocol

from engine.core.faults import FaultKind
from engine.core.limits import Reading
from engine.core.shapes import Shape
from engine.core.types import Usage

TICK = 0.02
"""Seconds between groups of calls where single ones would be closer together than a loop's timer can keep apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One attempt, and what came of it. Times are seconds since the test began."""

    number: int
    trial: int
    shape: Shape
    intended: float
    sent: float
    ended: float
    first: float | None = None
    """Seconds from sending to the first byte, of a stream to the first token."""
    status: int | None = None
    fault: FaultKind | None = None
    """`None`: an answer came."""
    hint: float | None = None
    billed: bool = True
    """Of a fault of the network: whether the server may have counted it."""
    usage: Usage | None = None
    weighed: Usage = field(default_factory=Usage)
    """What it was thought to weigh at the most."""
    readings: tuple[Reading, ...] = ()
    cost: int = 0
    """Nano-units."""

    @property
    def accepted(self) -> bool:
        """Whether it passed the limits, whatever it got."""
        return self.fault in (None, FaultKind.MALFORMED, FaultKind.REFUSED)

    @property
    def refused(self) -> bool:
        return self.fault is FaultKind.RATE

    @property
    def seconds(self) -> float:
        return self.ended - self.sent


@dataclass(frozen=True, slots=True)
class Due:
    """A call of this shape, at this time at the earliest."""

    at: float
    shape: Shape


class Trial(Protocol):
    """A part of a test."""

    @property
    def title(self) -> str: ...

    @property
    def interval(self) -> float:
        """Seconds between two calls at its fastest, against which lateness is held; `inf` where calls have no place in time."""

    def next(self, now: float, inside: int) -> Due | None:
        """The next call, whose time may be to come (`inf`: when an answer has come); `None` when there is none to come.
        `inside` is how many of its calls are in flight."""

    def fired(self, now: float) -> None:
        """The call that `next` told of was sent, or passed over."""

    def heard(self, shot: Shot) -> None:
        """One of its calls has ended."""


@dataclass(slots=True)
class Singles:
    """Calls one after the other, each `gap` seconds after the last one ended, until `enough` says so."""

    title: str
    shapes: Sequence[Shape]
    gap: float
    enough: Callable[[Shot], bool] = lambda shot: False
    interval: float = math.inf
    _count: int = 0
    _due: float | None = None
    _over: bool = False

    def next(self, now: float, inside: int) -> Due | None:
        if self._over or self._count >= len(self.shapes):
            return None
        self._due = now if self._due is None else self._due
        return Due(math.inf if inside else self._due, self.shapes[self._count])

    def fired(self, now: float) -> None:
        self._count += 1

    def heard(self, shot: Shot) -> None:
        self._due = shot.ended + self.gap
        self._over = self._over or self.enough(shot)


@dataclass(slots=True)
class Burst:
    """So many calls at once."""

    title: str
    shape: Shape
    count: int
    interval: float = math.inf
    _fired: int = 0
    _began: float | None = None

    def next(self, now: float, inside: int) -> Due | None:
        if self._began is None:
            self._began = now
        return Due(self._began, self.shape) if self._fired < self.count else None

    def fired(self, now: float) -> None:
        self._fired += 1

    def heard(self, shot: Shot) -> None:
        """Nothing hangs on it."""


@dataclass(slots=True)
class Pause:
    """Nothing, for so many seconds: windows empty, buckets fill up, others get their turn."""

    title: str
    seconds: float
    shape: Shape
    interval: float = math.inf
    _until: float | None = None

    def next(self, now: float, inside: int) -> Due | None:
        if self._until is None:
            self._until = now + self.seconds
        return Due(self._until + 1e-3, self.shape) if now < self._until else None

    def fired(self, now: float) -> None:
        """Never: it is over before its call is due."""

    def heard(self, shot: Shot) -> None:
        """Nothing hangs on it."""


@dataclass(slots=True)
class Schedule:
    """Calls at given times (seconds from the trial's start), however long the answers take."""

    title: str
    shape: Shape
    offsets: Iterator[float]
    interval: float
    inside: int | None = None
    """Calls that may be in flight; beyond it those that are due are passed over."""
    passed_over: int = 0
    _began: float | None = None
    _next: float | None = None

    def next(self, now: float, inside: int) -> Due | None:
        if self._began is None:
            self._began, self._next = now, next(self.offsets, None)
        while self._next is not None and self.inside is not None and inside >= self.inside and self._began + self._next <= now:
            self.passed_over += 1
            self._next = next(self.offsets, None)
        return None if self._next is None else Due(self._began + self._next, self.shape)

    def fired(self, now: float) -> None:
        self._next = next(self.offsets, None)

    def heard(self, shot: Shot) -> None:
        """Nothing hangs on it."""


@dataclass(slots=True)
class Closed:
    """So many calls in flight, each followed by the next, for so many seconds."""

    title: str
    shape: Shape
    inside: int
    seconds: float
    interval: float = math.inf
    _began: float | None = None

    def next(self, now: float, inside: int) -> Due | None:
        if self._began is None:
            self._began = now
        if now >= self._began + self.seconds:
            return None
        return Due(now if inside < self.inside else math.inf, self.shape)

    def fired(self, now: float) -> None:
        """The next one is due when there is room."""

    def heard(self, shot: Shot) -> None:
        """There is room again."""


class Arrivals(StrEnum):
    """How calls are spread."""

    CONSTANT = "constant"
    POISSON = "poisson"
    RAMP = "ramp"
    """From nothing to the rate, evenly."""


def offsets(arrivals: Arrivals, rate: float, seconds: float, rng: Random) -> Iterator[float]:
    """Seconds from the start at which calls are due, at so many a second; of a ramp the number by t is rate·t²/(2·seconds)."""
    count, t = 0, 0.0
    while True:
        match arrivals:
            case Arrivals.CONSTANT:
                t = grouped(count, rate)
            case Arrivals.POISSON:
                t += rng.expovariate(rate)
            case Arrivals.RAMP:
                t = math.sqrt(2 * seconds * (count + 0.5) / rate)
        if t >= seconds:
            return
        yield t
        count += 1


def grouped(count: int, rate: float) -> float:
    """Seconds at which the call of this number is due at a constant rate; above 50 a second several go together."""
    t = count / rate
    return t if rate * TICK <= 1 else math.floor(t / TICK + 1e-9) * TICK


def spacing(rate: float) -> float:
    """Seconds between two calls, or groups of them, at a rate."""
    return max(1 / rate, TICK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How hard a flood presses. Rates are calls a second."""

    guess: float | None
    """What the limit lets through, as far as anybody knows."""
    most: float
    after: float
    """Seconds that it goes on for after the first refusal."""
    patience: float
    """Seconds that it goes on for without one."""
    calls: int
    inside: int | None = None


FIRST, STEP, PRESS = 1.0, 2.0, 4.0
"""A flood that knows nothing starts with one call a second and doubles the rate every two seconds. At a limit it sends four times
what that lets through: then others on the account get a fifth of their share at the most, and the limit is seen nearly whole."""
MORE = 1.5
"""A limit that has let so many times its minute's worth pass is larger than it was thought to be."""
_LOOK = 1.0
_RECENT = 3.0


class Flood:
    """More than a limit lets through, for long enough to see how it refills: faster until it refuses, then at a multiple of what
    is accepted, and sparser while nothing is."""

    def __init__(self, title: str, shape: Shape, pace: Pace) -> None:
        self.title = title
        self.pace = pace
        self._shape = shape
        self._rate = min(pace.most, PRESS * pace.guess if pace.guess else FIRST)
        self._fastest = self._rate
        self._climbing = pace.guess is None
        self._segment: float | None = None
        self._count = 0
        self._sent = 0
        self._began = 0.0
        self._looked = 0.0
        self._refused: float | None = None
        self._known = pace.guess or 0.0
        self._recent: deque[tuple[float, bool]] = deque()
        self._accepted: deque[float] = deque()

    @property
    def interval(self) -> float:
        return spacing(self._fastest)

    def next(self, now: float, inside: int) -> Due | None:
        if self._segment is None:
            self._segment = self._began = self._looked = now
        over = self._began + self.pace.patience if self._refused is None else self._refused + self.pace.after
        if now >= over or self._sent >= self.pace.calls:
            return None
        if now >= self._looked + (STEP if self._climbing else _LOOK):
            self._look(now)
        due = self._segment + grouped(self._count, self._rate)
        while self.pace.inside is not None and inside >= self.pace.inside and due <= now:
            self._count += 1
            due = self._segment + grouped(self._count, self._rate)
        return Due(due, self._shape)

    def fired(self, now: float) -> None:
        self._count += 1
        self._sent += 1

    def heard(self, shot: Shot) -> None:
        if shot.refused and self._refused is None:
            self._refused, self._known = shot.ended, self.pace.guess or self._long(shot.ended)
        if shot.refused or shot.accepted:
            self._recent.append((shot.ended, shot.accepted))
        if shot.accepted:
            self._accepted.append(shot.ended)
            if self._rate < self._pressing(shot.ended) and not self._climbing and self._refused is not None:
                self._turn(shot.ended, self._pressing(shot.ended))

    def _look(self, now: float) -> None:
        """Faster while next to nothing is refused of more than a minute's worth, else as fast as presses the limit, or as it
        refills where nothing passes."""
        self._looked = now
        while self._recent and self._recent[0][0] < now - _RECENT:
            self._recent.popleft()
        passed = sum(accepted for _, accepted in self._recent)
        refused = len(self._recent) - passed
        if not self._recent or (refused < 3 and refused < 0.2 * len(self._recent)):
            more = self._climbing or self._long(now) > MORE * self._known
            self._turn(now, min(self.pace.most, 2 * self._rate) if self._recent and more else self._rate)
            return
        self._climbing = False
        self._turn(now, self._pressing(now) if passed else max(FIRST, self._long(now)))

    def _long(self, now: float) -> float:
        """Calls a second that were accepted in the last minute."""
        while self._accepted and self._accepted[0] < now - 60:
            self._accepted.popleft()
        return len(self._accepted) / 60

    def _pressing(self, now: float) -> float:
        return min(self.pace.most, PRESS * max(self._long(now), self.pace.guess or 0.0, FIRST / PRESS))

    def _turn(self, now: float, rate: float) -> None:
        """Another rate from now on."""
        if abs(rate - self._rate) > 0.05 * self._rate:
            self._segment, self._count, self._rate = now + 1 / rate, 0, rate
            self._fastest = max(self._fastest, rate)
