"""The bet on streamed answers: after several duplicates in a row the rest is not worth its tokens. Sometimes that is so.

Pure, one owner: the settler. A duplicate of an accepted item stays one, since the index only grows; the item after it may be new.
So the bet pays only where duplicates come in clusters, and it measures by itself whether they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.core.recipe import DUPLICATE
from engine.core.rng import stream
from engine.core.types import Request, Settled, Stop

LEARNING = 40
"""Answers that have to be heard out before any is cut."""
ENOUGH = 8
"""Of these, answers that would have been cut: what they went on to say is what is lost by cutting."""
CONTROL = 0.05
"""Share of answers that are heard out after that: duplicates become more, and come in other ways, as the pool grows."""
MEMORY = 0.95
"""What an answer counts when the next one has come. The price of an item must not lag behind: it is low while duplicates are few,
and at such a price the rest of any answer seems dear."""


@dataclass(slots=True)
class Peek:
    """A look at an answer that is still coming. Its settler sets `lost` where nothing more is wanted of it."""

    request: Request
    text: str = ""
    """What has come so far."""
    judged: int = 0
    """Whole items of it that were looked at."""
    row: int = 0
    """How many of the last of them are duplicates."""
    lost: bool = False
    waits: bool = False
    """It is on its way to be judged; what comes meanwhile is judged with it, or the next time."""


@dataclass(slots=True)
class Sum:
    """Tokens, and the items kept for them, of late."""

    tokens: float = 0.0
    kept: float = 0.0
    count: float = 0.0

    def add(self, tokens: float, kept: int) -> None:
        self.tokens = self.tokens * MEMORY + tokens
        self.kept = self.kept * MEMORY + kept
        self.count = self.count * MEMORY + 1


@dataclass(slots=True)
class Bet:
    """`after` duplicates in a row end an answer, as long as its rest would cost more tokens for each item kept than new questions
    do whose answers are cut in this way: then, and only then, does stopping there lower what an item costs in the long run (the
    marginal value theorem of Charnov 1976).

    What an answer costs when it is cut is known of every answer, heard out or not; what its rest would have said, of those that
    were heard out.
    """

    after: int
    seed: int
    _heard: int = 0
    _placed: set[int] = field(default_factory=set)
    _cut: Sum = field(default_factory=Sum)
    _rest: Sum = field(default_factory=Sum)

    def place(self, index: int) -> bool:
        """Whether the answer that is asked for now, to this question, may be cut."""
        placed = self.pays and stream(self.seed, "bet", index).random() >= CONTROL
        (self._placed.add if placed else self._placed.discard)(index)
        return placed

    @property
    def pays(self) -> bool:
        """Whether enough is known to say that cutting saves tokens."""
        known = self._heard >= LEARNING and self._rest.count >= ENOUGH
        return known and self._rest.tokens * self._cut.kept > self._cut.tokens * self._rest.kept

    def learn(self, settled: Settled) -> None:
        """An answer has settled. One that might have been cut tells nothing of what is lost by that, also where it was not: it is
        not like the others. Neither does one in which a model ran into a loop."""
        replies, placed = settled.replies, settled.index in self._placed
        self._placed.discard(settled.index)
        if not replies:
            return
        kept = [n for n, _ in settled.kept]
        items = len(kept) + len(settled.dropped)
        prompt, answer = (sum(getattr(reply.usage, part) for reply in replies) for part in ("prompt", "answer"))
        if placed or any(reply.stop is Stop.CUT for reply in replies):
            self._cut.add(prompt + answer, len(kept))
            return
        end = self._end(settled)
        rest, late = (answer * (items - end) / items if items else 0.0), sum(n >= end for n in kept)
        self._heard += 1
        self._cut.add(prompt + answer - rest, len(kept) - late)
        if end < items:
            self._rest.add(rest, late)

    def _end(self, settled: Settled) -> int:
        """How many items of a settled answer would have been heard."""
        own = f"{settled.step}/{settled.index}."
        stale = {n for n, _, reason in settled.dropped if reason.startswith(DUPLICATE) and own not in reason}
        items = len(settled.kept) + len(settled.dropped)
        row = 0
        for n in range(items):
            row = row + 1 if n in stale else 0
            if row >= self.after:
                return n + 1
        return items

    def look(self, peek: Peek, items: list[str], known: Callable[[str], bool]) -> None:
        """Judge the items of an answer, whole ones only, that were not looked at before; `known` tells a duplicate of an accepted
        item. Once enough of them in a row are, the rest is lost."""
        for text in items[peek.judged :]:
            peek.row = peek.row + 1 if known(text) else 0
            peek.judged += 1
            if peek.row >= self.after:
                peek.lost = True
                return
