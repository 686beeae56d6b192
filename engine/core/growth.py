"""Growth: the step that makes new questions without end: how far from its goal, what is under way, whether it still yields.

Pure; the part of the agenda that recipes have which begin with seeds.
"""

from __future__ import annotations

from collections import deque

from engine.core.recipe import Step
from engine.core.tally import StepTally
from engine.core.track import Track
from engine.core.types import Item, Request, Settled

FIRST_DRY, LATER_DRY, RECENT = 30, 200, 500
"""A run stalls when its first 30, or any later 200, growth replies in a row keep nothing, or too few of the last 500 keep any."""

GUESS = 4.0
"""Items that a growth reply is taken to keep before any has come."""


class Harvest:
    """Whether asking still yields anything: which of the last answers did. `first` is how many may yield nothing at the start."""

    def __init__(self, yield_min: float, first: int = FIRST_DRY) -> None:
        self._yield_min = yield_min
        self._first = first
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

    def failed(self, answers: int, what: str) -> str | None:
        """Why going on would only cost money, in words; `answers` have come in all, and `what` says of what they are."""
        if self._dry >= (self._first if answers == self._dry else LATER_DRY):
            return f"the last {self._dry} {what} kept nothing"
        if len(self._recent) == RECENT and self._fruitful < self._yield_min * RECENT:
            return f"only {self._fruitful} of the last {RECENT} {what} kept anything"
        return None


class Growth:
    """The growing step. `goal` counts its kept items; more may be kept, but only the first `goal` are asked about."""

    over = False
    """Whether nothing at all is to be asked any more: what has grown is always asked about."""

    def __init__(self, step: Step, goal: int, tally: StepTally, yield_min: float) -> None:
        self.step = step
        self.goal = goal
        self.pool: list[Item] = []
        self._tally = tally
        self._proposed: set[int] = set()
        """Asked, or waiting to be asked again."""
        self._flying: set[int] = set()
        self._harvest = Harvest(yield_min)

    @property
    def kept(self) -> int:
        return len(self.pool)

    @property
    def open(self) -> bool:
        """New questions are still wanted."""
        return self.kept < self.goal and self.stalled is None

    @property
    def stalled(self) -> str | None:
        """Why going on would only cost money, in words; `None` while growth keeps something."""
        if self.kept >= self.goal:
            return None
        return self._harvest.failed(self._tally.settled, f"replies of the step {self.step.name!r}")

    def aim(self, goal: int) -> None:
        self.goal = goal

    def forgive(self) -> None:
        self._harvest.forgive()

    def wanting(self, under_way: int) -> bool:
        """Whether to ask now: not past the goal with what is proposed, by the yield so far. Otherwise a run of many calls at once
        would pay for far more than its goal."""
        expected = (self.kept + GUESS) / (self._tally.settled + 1)
        return self.open and self.kept + len(self._proposed) * expected < self.goal

    def limit(self, track: Track) -> int:
        """How many items of a step are asked about."""
        return self.goal if track.step.source == self.step.name else track.count

    def waits(self, request: Request) -> None:
        """A request of the step that had failed is to be asked again."""
        self._proposed.add(request.index)

    def took(self, request: Request) -> None:
        """A request of the step is asked from here on."""
        self._proposed.add(request.index)
        self._flying.add(request.index)

    def gave_back(self, request: Request) -> bool:
        """It was not answered: whether it should be asked again. If nobody needs it any more, a later goal asks for it."""
        self._flying.discard(request.index)
        if not self.open:
            self._proposed.discard(request.index)
        return self.open

    def keep(self, track: Track, item: Item) -> None:
        if track.step is self.step:
            self.pool.append(item)

    def settled(self, track: Track, settled: Settled) -> None:
        """Take in an answer to any step, once its items are kept."""
        if track.step is self.step:
            self._proposed.discard(settled.index)
            self._flying.discard(settled.index)
            self._harvest.add(bool(settled.kept))

    def drop_waiting(self) -> bool:
        """Whether requests of the step that wait to be asked again are to be forgotten, as nothing more is to grow."""
        if not self.open:
            self._proposed &= self._flying
        return not self.open
