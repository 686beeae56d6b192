"""Intake: the user's documents on their way into a run: read ahead, judged, waiting to be asked, under way; and which are copies.

Pure; the part of the agenda that recipes have which begin with documents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from engine.core.dedup import Index, Match
from engine.core.documents import Document, numbered
from engine.core.growth import LATER_DRY, Harvest
from engine.core.recipe import Context, Step, resembles
from engine.core.track import Frontier, Track
from engine.core.types import Heard, Item, Request, Settled

AHEAD = 64
"""Documents that are read ahead at the least; with more calls in flight, twice as many as those."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A document that was read, and the UTC time when."""

    document: Document
    t: float


@dataclass(frozen=True, slots=True)
class Admission:
    """What becomes of a document: it is asked about; or settled without a call, for a reason; or it waits `behind` another one
    that it resembles and that is not settled yet."""

    reason: str | None = None
    behind: int | None = None


def skipped(settled: Settled) -> bool:
    """Whether nothing was asked: what it is about was turned away before."""
    return settled.fault is None and not settled.replies


class Flight:
    """Texts of the documents that are under way, by id: what the index cannot have yet, since none of them is settled."""

    def __init__(self, tokens: Callable[[str], list[str]]) -> None:
        self._tokens = tokens
        self._texts: dict[str, str] = {}
        self._index = Index(tokens)

    def add(self, id: str, text: str) -> None:
        self._texts[id] = text
        self._index.add(id, text)

    def near(self, text: str, above: float) -> Match | None:
        return self._index.near(text, above)

    def answered(self, id: str) -> None:
        """The main index has the text from now on, and is asked first: it may stay here until there are many such."""
        self._texts.pop(id, None)
        if len(self._index) > 2 * len(self._texts) + AHEAD:
            self._rebuild()

    def failed(self, id: str) -> None:
        """Nothing has the text any more."""
        if self._texts.pop(id, None) is not None:
            self._rebuild()

    def _rebuild(self) -> None:
        self._index = Index(self._tokens)
        for id, text in self._texts.items():
            self._index.add(id, text)


class Intake:
    """The step that asks about documents. `goal` counts records; `None`: every document is asked about, in the order of their
    numbers, each once nothing is under way that it resembles."""

    def __init__(self, track: Track, last: str, goal: int | None, context: Context, yield_min: float) -> None:
        self.step: Step = track.step
        self._last = last
        self.goal = goal
        self.pool: tuple[Item, ...] = ()
        self.kept = 0
        """Records so far."""
        self.exhausted = False
        """Whether every document has been read."""
        self._track = track
        self._context = context
        self._index = Index(context.tokens)
        """Of documents that were answered; what recipes make of them has an index of its own."""
        self._flight = Flight(context.tokens)
        self._read = 0
        """Documents that were read and are not judged yet."""
        self._behind: defaultdict[int, list[Arrival]] = defaultdict(list)
        """Documents that wait for another one, by its number."""
        self._released: list[Arrival] = []
        self._answered = 0
        self._harvest = Harvest(yield_min, LATER_DRY)

    @property
    def over(self) -> bool:
        """The goal is reached: nothing at all is asked any more."""
        return self.goal is not None and self.kept >= self.goal

    @property
    def open(self) -> bool:
        """Documents are still wanted, and there may be some."""
        return not self.over and self.stalled is None and self._left()

    @property
    def stalled(self) -> str | None:
        """Why going on would only cost money, in words; `None` while documents become records, or where none is left."""
        if self.over or not self._left():
            return None
        return self._harvest.failed(self._answered, "documents that were asked about")

    def _left(self) -> bool:
        return bool(not self.exhausted or self._read or self._behind or self._track.open(0))

    def aim(self, goal: int) -> None:
        self.goal = goal

    def forgive(self) -> None:
        self._harvest.forgive()

    def wanting(self, under_way: int) -> bool:
        """Whether to ask now: not past the goal with the documents that are under way, by what others have come to."""
        if not self.open or not self._track.open(0):
            return False
        ended = max(0, self._answered - under_way)
        return self.goal is None or self.kept + under_way * (self.kept + 1) / (ended + 1) < self.goal

    def limit(self, track: Track) -> int:
        return 0 if self.over else track.count

    def waits(self, request: Request) -> None:
        pass  # it counts as under way, like all documents that are unsettled

    def took(self, request: Request) -> None:
        pass

    def gave_back(self, request: Request) -> bool:
        return True

    def drop_waiting(self) -> bool:
        return False

    def keep(self, track: Track, item: Item) -> None:
        pass  # no prompt shows what was made of other documents

    # Documents on their way in

    def room(self, in_flight: int) -> int:
        """How many documents should be read now, with so many calls in flight; none while there would be few."""
        if not self.open or self.exhausted:
            return 0
        most = max(AHEAD, 2 * in_flight)
        room = most - self._read - len(self._track.queue) - sum(map(len, self._behind.values()))
        return room if room >= most / 2 or not self._track.queue else 0

    def expect(self, count: int) -> None:
        """So many documents were read; none is the end of them."""
        self._read += count
        self.exhausted = self.exhausted or not count

    def judge(self, arrival: Arrival) -> Admission:
        """What is to become of a document. Changes nothing; the index may be searched in a thread."""
        document = arrival.document
        if document.flaw is not None:
            return Admission(document.flaw)
        if self.step.gate is not None and (reason := self.step.gate(document.item, self._context)) is not None:
            return Admission(reason)
        if self.step.distinct is None or (told := self.step.distinct(document.item, self._context)) is None:
            return Admission()
        if (near := self._index.near(*told)) is not None:
            return Admission(resembles(near))
        before = self._flight.near(*told)
        return Admission(behind=numbered(before.id)) if before is not None else Admission()

    def admit(self, arrival: Arrival, admission: Admission) -> Heard | None:
        """Do as was judged. A document that is turned away is to be settled as what is returned."""
        self._read -= 1
        number, item = arrival.document.number, arrival.document.item
        if admission.reason is not None:
            request = Request(step=self.step.name, index=number, of=item["id"], item=item)
            return Heard(request, "", arrival.t, skipped=admission.reason)
        if admission.behind is not None:
            self._behind[admission.behind].append(arrival)
            return None
        self._track.come(item, number)
        if text := self._text(item):
            self._flight.add(item["id"], text)
        return None

    def settled(self, track: Track, settled: Settled) -> None:
        """Take in an answer to any step; a document that was not asked about has none."""
        if settled.step == self._last:
            self.kept += len(settled.kept)
        if track.step is not self.step:
            self._yielded(settled)
            return
        if not skipped(settled):
            self._answered += not settled.again
            self._yielded(settled)
            self._remember(settled)
        waited = self._behind.pop(settled.index, [])
        self._released += waited
        self._read += len(waited)

    @property
    def documents(self) -> Frontier:
        """The numbers of the documents that are settled."""
        return self._track.settled

    def released(self) -> list[Arrival]:
        """Documents that are to be judged again, now that what they resembled is settled."""
        released, self._released = self._released, []
        return released

    def _remember(self, settled: Settled) -> None:
        """From here on nothing may resemble a document that was answered; one that failed is as if it had never been there."""
        item = settled.item or {}
        if settled.fault is not None:
            self._flight.failed(item["id"])
        elif text := self._text(item):
            self._index.add(item["id"], text)
            self._flight.answered(item["id"])

    def _yielded(self, settled: Settled) -> None:
        if settled.step == self._last or not settled.kept:
            self._harvest.add(bool(settled.kept))

    def _text(self, item: Item) -> str | None:
        """By what a document is told apart."""
        told = self.step.distinct(item, self._context) if self.step.distinct is not None else None
        return told[0] if told is not None else None
