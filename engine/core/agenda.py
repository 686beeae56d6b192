"""Agenda: what to ask next, what is in flight, what is settled. The state of a run, as a fold over its journal.

Pure, synchronous, owned by the settler; pumps only call `next` on the same loop. `apply` is the same function live and on replay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set
from dataclasses import replace

from engine.core.dedup import Index
from engine.core.recipe import Context, Recipe
from engine.core.tally import Tally
from engine.core.track import Retries, Track
from engine.core.types import Item, LaneView, Paid, Request, Settled

FIRST_DRY, LATER_DRY, RECENT = 30, 200, 500
"""A run stalls when its first 30, or any later 200, growth replies in a row keep nothing, or too few of the last 500 keep any."""

MALFORMED = "malformed"
"""How the reason of a paid attempt begins whose answer could not be read."""

GUESS = 4.0
"""Items that a growth reply is taken to keep before any has come."""


class Harvest:
    """Whether growth still keeps anything: which of the last growth replies did."""

    def __init__(self, step: str, yield_min: float) -> None:
        self._step = step
        self._yield_min = yield_min
        self.forgive()

    def forgive(self) -> None:
        """Start watching anew: whoever resumes a stalled run has changed something."""
        self._dry = self._fruitful = 0
        self._recent: deque[bool] = deque()

    def add(self, fruitful: bool) -> None:
        self._dry = 0 if fruitful else self._dry + 1
        self._recent.append(fruitful)
        self._fruitful += fruitful
        if len(self._recent) > RECENT:
            self._fruitful -= self._recent.popleft()

    def failed(self, replies: int) -> str | None:
        """Why going on would only cost money, in words; `replies` have come in all."""
        if self._dry >= (FIRST_DRY if replies == self._dry else LATER_DRY):
            return f"the last {self._dry} replies of the step {self._step!r} kept nothing"
        if len(self._recent) == RECENT and self._fruitful < self._yield_min * RECENT:
            return f"only {self._fruitful} of the last {RECENT} replies of the step {self._step!r} kept anything"
        return None


class Agenda:
    """The requests of a run. `goal` counts kept items of the step that grows; more may be kept, but only the first `goal` are
    asked about. Growth rests while more than `backlog` items wait, and ends at the goal or when the run has stalled."""

    def __init__(
        self, recipe: Recipe, context: Context, index: Index, goal: int, *, backlog: int, yield_min: float = 0.02
    ) -> None:
        self.recipe = recipe
        self.goal = goal
        self.index = index
        self.tally = Tally(tuple(step.name for step in recipe.steps))
        self.records = 0
        self._backlog = backlog
        self._tracks = {step.name: Track(step, depth) for depth, step in enumerate(recipe.steps)}
        self._deepest_first = sorted(self._tracks.values(), key=lambda track: -track.depth)
        self._asked: dict[tuple[str, int], Request] = {}
        self._retries = Retries()
        self._tries: dict[tuple[str, int], int] = {}
        self._pool: list[Item] = []
        self._proposed: set[int] = set()
        self._grown = recipe.source_step
        self._harvest = Harvest(self._grown.name, yield_min)
        if recipe.unique is not None:
            _fill(index, context, recipe.unique)

    # What to ask

    def next(self, lane: LaneView, now: float) -> Request | None:
        """The next request for a lane, or `None`: due retries first, then the deepest step with unasked items, then growth.

        The request is in flight from here on, until `give_back` or `apply`. Its calls are still to be composed.
        """
        request = self._retries.pop(lane, now) or self._fresh(lane)
        if request is not None:
            self._asked[request.key] = request
        return request

    def give_back(self, request: Request, due: float) -> None:
        """The request was not answered; any lane of its role may take it from `due` on."""
        del self._asked[request.key]
        if request.step == self._grown.name and not self.growing:
            self._proposed.discard(request.index)  # nobody needs it any more; a later goal asks for it again
            return
        self._retries.push(self._tracks[request.step].step.role, due, request)

    def due(self, lane: LaneView) -> float:
        """When the next retry that this lane may take is due; `inf` without one."""
        return self._retries.due(lane)

    def quiet(self) -> bool:
        """Nothing to ask and nothing in flight: the run is finished."""
        left = any(track.open(self._limit(track)) for track in self._tracks.values())
        return not (self._asked or self._retries or self.growing or left)

    def wants(self, roles: Set[str]) -> bool:
        """Whether anybody of these roles has something to do, now or when a retry is due."""
        mine = [track for track in self._tracks.values() if track.step.role in roles]
        return self._retries.waits(roles) or any(self._askable(track) for track in mine)

    def roles_wanted(self) -> set[str]:
        """Roles that what is left to do needs: of the first step that has work, and of all after it."""
        busy = [track.depth for track in self._tracks.values() if self._busy(track)]
        return {track.step.role for track in self._tracks.values() if busy and track.depth >= min(busy)}

    @property
    def growing(self) -> bool:
        """New questions are still wanted from the step that grows."""
        return self.kept < self.goal and self.stalled is None

    @property
    def kept(self) -> int:
        """Kept items of the step that grows: what the goal counts."""
        return len(self._pool)

    @property
    def pool(self) -> Sequence[Item]:
        """The items that the growing step has kept, oldest first: a view that grows, to be read without an await between."""
        return self._pool

    @property
    def in_flight(self) -> int:
        return len(self._asked)

    @property
    def stalled(self) -> str | None:
        """Why going on would only cost money, in words; `None` while growth keeps something."""
        if self.kept >= self.goal:
            return None
        return self._harvest.failed(self.tally.steps[self._grown.name].settled)

    # What was answered

    def apply(self, settled: Settled) -> None:
        """Take a settled answer in: live, when it is handed to the scribe, and on replay, when it is read.

        Raises `ValueError` where `(step, index)` is settled already, or is not what the journal says before it.
        """
        track = self._tracks[settled.step]
        parent = track.settle(settled)
        self._asked.pop((settled.step, settled.index), None)
        self._tries.pop((settled.step, settled.index), None)
        self.tally.add(settled)
        for n, item in settled.kept:
            self._keep(track, {**parent, **item, "id": f"{settled.step}/{settled.index}.{n}"})
        if track.step is self._grown:
            self._proposed.discard(settled.index)
            self._harvest.add(bool(settled.kept))
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
        self.goal = goal
        self._end_growth()

    def forgive(self) -> None:
        """A stall of an earlier life does not count in this one."""
        self._harvest.forgive()

    def retry_failed(self, now: float) -> int:
        """Ask again what settled with a fault, of another lane where there is one; returns how many requests that are."""
        count = 0
        for track in self._tracks.values():
            if track.grows and not self.growing:
                continue
            for request in track.reopen():
                if track.grows:
                    self._proposed.add(request.index)
                self._retries.push(track.step.role, now, request)
                count += 1
        return count

    def come(self, step: str) -> int:
        """Items that have come so far for a step that asks about items; the next one's index."""
        return self._tracks[step].count

    def about(self, step: str, index: int) -> Item:
        """The item that a request is about which is unsettled, or failed; empty for a step that grows."""
        return self._tracks[step].about(index)

    def failed(self, step: str, index: int) -> bool:
        """Whether a request is settled with a fault, which another answer may replace."""
        return index in self._tracks[step].failed

    def _end_growth(self) -> None:
        """Once nothing more is to grow, what waits to be proposed again is forgotten."""
        if not self.growing:
            self._retries.drop(self._grown.role, self._grown.name)
            self._proposed.intersection_update(index for step, index in self._asked if step == self._grown.name)

    def _keep(self, track: Track, item: Item) -> None:
        if track.step is self._grown:
            self._pool.append(item)
        if track.step.unique is not None:
            self.index.add(item["id"], item[track.step.unique])
        for child in self._tracks.values():
            if child.step.source == track.step.name:
                child.items[child.count] = item
                child.count += 1

    # Choosing

    def _fresh(self, lane: LaneView) -> Request | None:
        for track in self._deepest_first:
            mine = track.step.role in lane.roles and track.step.role not in lane.yields
            if mine and self._askable(track):
                request = track.take()
                if track.grows:
                    self._proposed.add(request.index)
                return replace(request, try_=self._tries.get(request.key, 0))
        return None

    def _askable(self, track: Track) -> bool:
        return self._wanting() if track.grows else track.open(self._limit(track))

    def _wanting(self) -> bool:
        """Whether growth should ask now: not past the goal with what is under way, by the yield so far, and not while items pile
        up. Without the first rule a run of many calls at once would pay for far more than its goal."""
        if not self.growing or sum(len(track.items) for track in self._tracks.values()) > self._backlog:
            return False
        replies = self.tally.steps[self._grown.name].settled
        expected = (self.kept + GUESS) / (replies + 1)
        return self.kept + len(self._proposed) * expected < self.goal

    def _limit(self, track: Track) -> int:
        """How many items of a step are asked about: those of the growing step only up to the goal."""
        return self.goal if track.step.source == self._grown.name else track.count

    def _busy(self, track: Track) -> bool:
        """Whether a step has requests that are not settled yet."""
        return self.growing if track.grows else track.busy(self._limit(track))


def _fill(index: Index, context: Context, unique: str) -> None:
    """Put in what nothing may resemble from the start."""
    for n, seed in enumerate(context.seeds):
        index.add(f"seed/{n}", seed[unique])
    for id, text in context.avoid:
        index.add(id, text)
