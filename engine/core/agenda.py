"""Agenda: what to ask next, what is in flight, what is settled. The state of a run, as a fold over its journal.

Pure, synchronous, owned by the settler; pumps only call `next` on the same loop. `apply` is the same function live and on replay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from typing import Protocol

from msgspec import structs

from engine.core.dedup import Index
from engine.core.growth import Growth
from engine.core.intake import Intake
from engine.core.recipe import Context, Recipe, Step
from engine.core.tally import Tally
from engine.core.track import Retries, Track
from engine.core.types import Item, LaneView, Paid, Request, Settled

MALFORMED = "malformed"
"""How the reason of a paid attempt begins whose answer could not be read."""


class Head(Protocol):
    """The step that no other step feeds, and what its goal has to say of all others: growth, or an intake of documents."""

    @property
    def step(self) -> Step: ...
    @property
    def goal(self) -> int | None: ...
    @property
    def pool(self) -> Sequence[Item]: ...
    @property
    def kept(self) -> int: ...
    @property
    def open(self) -> bool: ...
    @property
    def over(self) -> bool: ...
    @property
    def stalled(self) -> str | None: ...
    def aim(self, goal: int) -> None: ...
    def forgive(self) -> None: ...
    def wanting(self, under_way: int) -> bool: ...
    def limit(self, track: Track) -> int: ...
    def waits(self, request: Request) -> None: ...
    def took(self, request: Request) -> None: ...
    def gave_back(self, request: Request) -> bool: ...
    def settled(self, track: Track, settled: Settled) -> None: ...
    def keep(self, track: Track, item: Item) -> None: ...
    def drop_waiting(self) -> bool: ...


class Agenda:
    """The requests of a run. `goal` counts kept items of the step that grows, or records where documents are asked about (`None`:
    all of them). The first step rests while more than `backlog` items wait, and ends at the goal or when the run has stalled."""

    def __init__(
        self, recipe: Recipe, context: Context, index: Index, goal: int | None, *, backlog: int, yield_min: float = 0.02
    ) -> None:
        self.recipe = recipe
        self.index = index
        self.tally = Tally(tuple(step.name for step in recipe.steps))
        self.records = 0
        self._backlog = backlog
        apart = {step.name: step.apart(context.options) for step in recipe.steps if step.apart is not None}
        self.engines_of = frozenset(name for name in apart.values() if name is not None)
        """Steps of which it matters who answered."""
        self._tracks = {
            step.name: Track(step, depth, apart.get(step.name) is not None) for depth, step in enumerate(recipe.steps)
        }
        self._deepest_first = sorted(self._tracks.values(), key=lambda track: -track.depth)
        self._asked: dict[str, set[int]] = {step.name: set() for step in recipe.steps}
        self._retries = Retries()
        self._tries: dict[tuple[str, int], int] = {}
        first = self._tracks[recipe.source_step.name]
        self._later = [track for track in self._tracks.values() if track is not first]
        self.intake = Intake(first, recipe.last.name, goal, context, yield_min) if first.fed else None
        """Where documents come in; `None` for a recipe that grows."""
        self._head: Head
        if self.intake is not None:
            self._head = self.intake
        else:
            assert goal is not None, "growth has a goal"
            self._head = Growth(first.step, goal, self.tally.steps[first.step.name], yield_min)
        if recipe.unique is not None:
            _fill(index, context, recipe.unique)

    # What to ask

    def next(self, lane: LaneView, now: float) -> Request | None:
        """The next request for a lane, or `None`: due retries first, then the deepest step with unasked items, then the first.

        The request is in flight from here on, until `give_back` or `apply`. Its calls are still to be composed.
        """
        if self._head.over:
            return None
        request = self._retries.pop(lane, now) or self._fresh(lane)
        if request is not None:
            self._asked[request.step].add(request.index)
            if request.step == self._head.step.name:
                self._head.took(request)
        return request

    def give_back(self, request: Request, due: float) -> None:
        """The request was not answered; any lane of its role may take it from `due` on."""
        self._asked[request.step].remove(request.index)
        if request.step != self._head.step.name or self._head.gave_back(request):
            self._retries.push(self._tracks[request.step].step.role, due, request)

    def due(self, lane: LaneView) -> float:
        """When the next retry that this lane may take is due; `inf` without one."""
        return math.inf if self._head.over else self._retries.due(lane)

    def quiet(self) -> bool:
        """Nothing to ask and nothing in flight: the run is finished."""
        if self.in_flight or self._head.over:
            return not self.in_flight
        return not (self._retries or self._head.open or any(track.open(self._head.limit(track)) for track in self._later))

    def wants(self, roles: Set[str]) -> bool:
        """Whether anybody of these roles has something to do, now or when a retry is due."""
        mine = [track for track in self._tracks.values() if track.step.role in roles]
        return not self._head.over and (self._retries.waits(roles) or any(self._askable(track) for track in mine))

    def steps_wanted(self) -> list[Step]:
        """What is left to do needs lanes for these: the first step that has work, and all after it."""
        busy = [track.depth for track in self._tracks.values() if self._busy(track)]
        return [track.step for track in self._tracks.values() if busy and track.depth >= min(busy)]

    def roles_wanted(self) -> set[str]:
        return {step.role for step in self.steps_wanted()}

    def unlike_wanted(self) -> set[tuple[str, str]]:
        """Steps of which something waits that a certain engine must not answer, with that engine."""
        waiting = {(track.step.name, engine) for track in self._later if track.apart for engine in track.queue.unlike()}
        return waiting | set(self._retries.unlike())

    @property
    def goal(self) -> int | None:
        return self._head.goal

    @property
    def growing(self) -> bool:
        """The first step has more to ask, or may get it."""
        return self._head.open

    @property
    def kept(self) -> int:
        return self._head.kept  # what the goal counts

    @property
    def pool(self) -> Sequence[Item]:
        """The items that the growing step has kept, oldest first: a view that grows, to be read without an await between."""
        return self._head.pool

    @property
    def in_flight(self) -> int:
        return sum(map(len, self._asked.values()))

    @property
    def stalled(self) -> str | None:
        """Why going on would only cost money, in words; `None` while the run keeps something."""
        return self._head.stalled

    # What was answered

    def apply(self, settled: Settled) -> None:
        """Take a settled answer in: live, when it is handed to the scribe, and on replay, when it is read.

        Raises `ValueError` where `(step, index)` is settled already, or is not what the journal says before it.
        """
        track = self._tracks[settled.step]
        parent = track.settle(settled)
        self._asked[settled.step].discard(settled.index)
        self._tries.pop((settled.step, settled.index), None)
        self.tally.add(settled)
        for n, item in settled.kept:
            self._keep(track, {**parent, **item, "id": f"{settled.step}/{settled.index}.{n}"}, settled.engine)
        self._head.settled(track, settled)
        if track.step is self._head.step:
            self._end_growth()
        if track.step is self.recipe.last:
            self.records += len(settled.kept)

    def apply_paid(self, paid: Paid) -> None:
        """Take in an attempt that settled nothing. One that could not be read is drawn anew, after a restart too."""
        self.tally.paid(paid)
        if paid.why.startswith(MALFORMED):
            self._tries[(paid.step, paid.index)] = paid.try_ + 1

    def aim(self, goal: int) -> None:
        """Go by another goal from here on."""
        self._head.aim(goal)
        self._end_growth()

    def forgive(self) -> None:
        """A stall of an earlier life does not count in this one."""
        self._head.forgive()

    def retry_failed(self, now: float) -> int:
        """Ask again what settled with a fault, of another lane where there is one; returns how many requests that are."""
        count = 0
        for track in self._tracks.values():
            if track.grows and not self.growing:
                continue
            for request in track.reopen():
                if track.step is self._head.step:
                    self._head.waits(request)
                self._retries.push(track.step.role, now, request)
                count += 1
        return count

    def track(self, step: str) -> Track:
        """The requests of a step: to be looked at."""
        return self._tracks[step]

    def _end_growth(self) -> None:
        """Once nothing more is to grow, what waits to be proposed again is forgotten."""
        if self._head.drop_waiting():
            self._retries.drop(self._head.step.name)

    def _keep(self, track: Track, item: Item, engine: str) -> None:
        self._head.keep(track, item)
        if track.step.unique is not None:
            self.index.add(item["id"], item[track.step.unique])
        for child in self._tracks.values():
            if child.step.source == track.step.name:
                child.come(item, unlike=engine if child.apart else "")

    # Choosing

    def _fresh(self, lane: LaneView) -> Request | None:
        for track in self._deepest_first:
            yields = track.step.role in lane.yields and not track.apart  # to somebody who might be barred from it
            mine = track.step.role in lane.roles and not yields and track.step.name not in lane.lacks
            if mine and self._askable(track, lane.engine):
                request = track.take(lane.engine)
                return structs.replace(request, try_=self._tries.get((request.step, request.index), 0))
        return None

    def _askable(self, track: Track, engine: str | None = None) -> bool:
        if track.step is not self._head.step:
            return track.open(self._head.limit(track), engine)
        later = sum(len(one.items) for one in self._later)
        waiting = later - sum(len(self._asked[one.step.name]) for one in self._later)
        return waiting <= self._backlog and self._head.wanting(later + len(track.items) - len(track.queue))

    def _busy(self, track: Track) -> bool:
        """Whether a step has requests that are not settled yet."""
        if track.step is not self._head.step:
            return track.busy(self._head.limit(track))
        return self._head.open or (track.fed and track.busy(0))


def _fill(index: Index, context: Context, unique: str) -> None:
    """Put in what nothing may resemble from the start."""
    for n, seed in enumerate(context.seeds):
        index.add(f"seed/{n}", seed[unique])
    for id, text in context.avoid:
        index.add(id, text)
