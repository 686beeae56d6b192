"""The bet on streamed answers: after several duplicates in a row the rest is not worth its tokens. Sometimes that is so.

Pure, one owner: the settler. A duplicate of an accepted item stays one, since the index only grows; the item after it may be new.
So the bet pays only where duplicates come in clusters, and it measures by itself whether they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.core.recipe import DUPLICATE
from engine.core.rng import stream
from engine.core.types import Request, Settled, Stop

LEARNING = 40
"""Answers that have to be heard out before any is cut."""
CONTROL = 0.05
"""Share of answers that are heard out after that: duplicates become more, and come in other ways, as the pool grows."""
MEMORY = 0.995
"""What an answer counts when the next one has been heard out."""


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
class Way:
    """What answers cost, and what was kept of them, in one way to listen."""

    tokens: float = 0.0
    kept: float = 0.0

    def add(self, tokens: float, kept: int) -> None:
        self.tokens = self.tokens * MEMORY + tokens
        self.kept = self.kept * MEMORY + kept


@dataclass(slots=True)
class Bet:
    """`after` duplicates in a row end an answer, as long as that costs fewer tokens for each item kept.

    An answer that was heard out tells both what it cost and what it would have cost had it been cut, so the two ways are compared
    on the same answers.
    """

    after: int
    seed: int
    _heard: int = 0
    _placed: set[int] = field(default_factory=set)
    _whole: Way = field(default_factory=Way)
    _cut: Way = field(default_factory=Way)

    def place(self, index: int) -> bool:
        """Whether the answer that is asked for now, to this question, may be cut."""
        ratio = self.ratio()
        placed = ratio is not None and ratio < 1 and stream(self.seed, "bet", index).random() >= CONTROL
        (self._placed.add if placed else self._placed.discard)(index)
        return placed

    def ratio(self) -> float | None:
        """Tokens for each item kept, cut against heard out, of late; `None` while that is not known."""
        if self._heard < LEARNING or not self._whole.kept:
            return None
        return self._cut.tokens * self._whole.kept / (self._whole.tokens * self._cut.kept) if self._cut.kept else math.inf

    def learn(self, settled: Settled) -> None:
        """An answer has settled. Those that might have been cut are passed over, also where they were not: they are not like the
        others. So are those in which a model ran into a loop."""
        replies, placed = settled.replies, settled.index in self._placed
        self._placed.discard(settled.index)
        if placed or not replies or any(reply.stop is Stop.CUT for reply in replies):
            return
        kept = [n for n, _ in settled.kept]
        end, items = self._end(settled), len(kept) + len(settled.dropped)
        prompt, answer = (sum(getattr(reply.usage, part) for reply in replies) for part in ("prompt", "answer"))
        self._heard += 1
        self._whole.add(prompt + answer, len(kept))
        self._cut.add(prompt + answer * end / items if items else prompt + answer, sum(n < end for n in kept))

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
