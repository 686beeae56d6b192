"""Prober: a load test's decisions. What to send next, whether it may be sent, when to stop, and what the answers say.

Pure: `now` is seconds since the test began, and a decision is a value. Who sends and waits is `engine.runtime.prober`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from engine.core.caps import Purse, Worst, most
from engine.core.faults import FaultKind
from engine.core.shapes import SMALL, Form, Shape, Speaker, Weights
from engine.core.trials import Shot, Trial
from engine.core.types import Call, Usage

HINT = 120.0
"""A server that asks to wait longer than this means that it is not asked again today."""
LATE = 0.1
"""Share of the interval between two calls by which one in a hundred may be late: more, and the trial says more of us than of
the server."""
SLIGHT = 0.05
"""Seconds by which calls may be late at any rate: no limit counts in less than a second, which they are a twentieth of, and fits
go by when calls were really sent."""
STARVED = 180.0
"""Seconds of asking and getting nothing but refusals, three windows of a minute, after which it may be a ban."""
_OVERLOADED, _BROKEN = 0.05, 0.5
"""Shares of the last answers from which on a test ends: no capacity, and no sense in them."""
_LAST = 60


@dataclass(frozen=True, slots=True)
class Fire:
    """Send this call now."""

    number: int
    trial: int
    intended: float
    shape: Shape
    call: Call
    weighed: Usage
    worst: Worst


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing until that time, or until an answer comes."""

    until: float


@dataclass(frozen=True, slots=True)
class End:
    """The test is over."""

    reason: str


Decision: TypeAlias = Fire | Rest | End


@dataclass(slots=True)
class Ran:
    """A trial and how it went."""

    number: int
    title: str
    began: float
    interval: float
    ended: float = 0.0
    shots: list[Shot] = field(default_factory=list)
    cut: str | None = None
    """The cap that ended it before its time."""
    unfit: bool = False
    """Its calls are larger than the server takes."""

    @property
    def refused(self) -> int:
        return sum(shot.refused for shot in self.shots)

    @property
    def accepted(self) -> int:
        return sum(shot.accepted for shot in self.shots)

    @property
    def late(self) -> float:
        """Seconds by which one call in a hundred was sent later than it was due."""
        delays = sorted(shot.sent - shot.intended for shot in self.shots)
        return delays[min(len(delays) - 1, math.ceil(0.99 * len(delays)) - 1)] if delays else 0.0

    @property
    def void(self) -> bool:
        """It says nothing: our own calls were late."""
        return self.late > max(SLIGHT, LATE * self.interval)


@dataclass(slots=True)
class Record:
    """All that happened so far."""

    shots: list[Shot] = field(default_factory=list)
    trials: list[Ran] = field(default_factory=list)
    weights: Weights = field(default_factory=Weights)

    def of(self, *numbers: int) -> list[Shot]:
        """Shots of some trials, in the order in which they were sent."""
        return sorted((shot for shot in self.shots if shot.trial in numbers), key=lambda shot: shot.number)

    @property
    def last(self) -> Ran:
        return self.trials[-1]


Program: TypeAlias = Callable[[Record], Iterator[Trial]]
"""The trials of a test, one after the other; each may hang on what those before it have brought."""


class Prober:
    """One test of one lane. `weigh` is the provider's upper bound of a call."""

    def __init__(self, speaker: Speaker, weigh: Callable[[Call], Usage], purse: Purse, program: Program) -> None:
        self.record = Record()
        self.purse = purse
        self._speaker = speaker
        self._weigh = weigh
        self._trials = program(self.record)
        self._trial: Trial | None = None
        self._coming: Trial | None = None
        self._inside: dict[int, Fire] = {}
        self._number = 0
        self._stop: str | None = None
        self._outcomes: deque[FaultKind | None] = deque(maxlen=_LAST)
        self._hungry: float | None = None

    @property
    def inside(self) -> int:
        return len(self._inside)

    def stop(self, reason: str) -> None:
        """Send nothing more; the test is over when the calls in flight have ended."""
        self._stop = self._stop or reason

    def next(self, now: float) -> Decision:
        """What to do now."""
        while self._stop is None:
            if self._trial is None:
                if self._coming is None:
                    self._coming = next(self._trials, None)
                    if self._coming is None:
                        break
                    return Rest(now)  # to find out what comes may have taken seconds: it begins by a clock that has gone on
                self._begin(self._coming, now)
            assert self._trial is not None
            due = self._trial.next(now, self.inside)
            if due is None or self.record.last.cut or self.record.last.unfit:
                if self._inside:
                    return Rest(math.inf)
                self._finish(now)
            elif due.at > now:
                return Rest(due.at)
            elif (fire := self._aimed(due.shape, due.at, now)) is not None:
                return fire
        if self._inside:
            return Rest(math.inf)
        if self._trial is not None:
            self._finish(now)
        return End(self._stop or self._done())

    def _done(self) -> str:
        """Why there is no other trial."""
        cut = self.record.trials[-1].cut if self.record.trials else None
        return "all trials are done" if cut is None else f"{cut} ended the last trial"

    def heard(self, shot: Shot, now: float) -> Shot:
        """A call has ended; what it cost is added to what comes back."""
        fire = self._inside.pop(shot.number)
        shot = replace(shot, weighed=fire.weighed, cost=self.purse.settle(fire.worst, _billed(shot, fire.weighed)))
        self.record.shots.append(shot)
        self.record.last.shots.append(shot)
        if shot.usage is not None and shot.fault is None:
            self.record.weights.learn(shot.shape, shot.usage)
        assert self._trial is not None
        self._trial.heard(shot)
        self._judge(shot, now)
        return shot

    def _begin(self, trial: Trial, now: float) -> None:
        self._trial, self._coming, self._hungry = trial, None, None
        self.record.trials.append(Ran(len(self.record.trials) + 1, trial.title, now, trial.interval))

    def _finish(self, now: float) -> None:
        assert self._trial is not None
        ran = self.record.last
        ran.ended, ran.interval = now, self._trial.interval
        self._trial = None

    def _aimed(self, shape: Shape, intended: float, now: float) -> Fire | None:
        """The call, if no cap forbids it. One that does ends the trial; and the test, where not even its first call has room."""
        assert self._trial is not None
        call = self._speaker.call(shape, self._number)
        weighed = self._weigh(call)
        worst = most(weighed, self.purse.prices)
        if (cap := self.purse.refusal(worst, now)) is not None:
            ran = self.record.last
            ran.cut = cap
            if not ran.shots and not self._inside:
                self.stop(f"{cap} leaves no room for another call")
            return None
        self.purse.hold(worst)
        self._trial.fired(now)
        fire = Fire(self._number, self.record.last.number, intended, shape, call, weighed, worst)
        self._inside[self._number] = fire
        self._number += 1
        return fire

    def _judge(self, shot: Shot, now: float) -> None:
        """The rules by which a test ends before it is done."""
        self._outcomes.append(shot.fault)
        match shot.fault:
            case FaultKind.QUOTA:
                self.stop(f"the account's quota is used up, or it is banned ({shot.status}): wait, or see the provider's pages")
            case FaultKind.AUTH:
                self.stop(f"the provider turns this key away ({shot.status}): it is wrong, lacks a permission, or was banned")
            case FaultKind.BAD | FaultKind.TOO_BIG:
                if shot.shape == SMALL:
                    self.stop(f"the provider calls the smallest request wrong ({shot.status}): check model and style")
                self.record.last.unfit = True
        if shot.hint is not None and shot.hint > HINT and not shot.accepted:
            self.stop(f"the server asks to wait for {shot.hint:,.0f} s, which is more than a limit of a minute needs")
        self._shares()
        self._starving(shot)

    def _shares(self) -> None:
        count = len(self._outcomes)
        overloaded = sum(kind is FaultKind.OVERLOAD for kind in self._outcomes)
        broken = sum(kind in (FaultKind.NETWORK, FaultKind.MALFORMED) for kind in self._outcomes)
        if overloaded >= 3 and overloaded > _OVERLOADED * count:
            self.stop(f"the provider is overloaded ({overloaded} of the last {count} calls): what it refuses now is not a quota")
        if broken >= 3 and broken > _BROKEN * count:
            self.stop(f"the server does not answer, or answers nonsense ({broken} of the last {count} calls)")

    def _starving(self, shot: Shot) -> None:
        if shot.accepted or not shot.refused:
            self._hungry = None if shot.accepted else self._hungry
        elif self._hungry is None:
            self._hungry = shot.sent
        elif shot.sent - self._hungry > STARVED:
            self.stop(f"nothing was accepted for {STARVED:g} s: the account is used up by others, or refused for good")


def _billed(shot: Shot, weighed: Usage) -> Usage | None:
    """What a call is charged with: what its answer says, the worst of one that may have been worked on, else nothing."""
    if shot.usage is not None:
        return shot.usage
    unsure = shot.fault is FaultKind.MALFORMED or (shot.fault is FaultKind.NETWORK and shot.billed)
    return weighed if unsure else None


def first_worst(speaker: Speaker, weigh: Callable[[Call], Usage], purse: Purse, shape: Shape = SMALL) -> Worst:
    """The worst that the first call can cost."""
    return most(weigh(speaker.call(shape, 0)), purse.prices)


__all__ = ["End", "Fire", "Form", "Prober", "Program", "Ran", "Record", "Rest", "first_worst"]
