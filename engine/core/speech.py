"""Speech: what a model says, piece by piece. Reasoning is kept apart, and nothing counts from the first stop on.

Pure. Some servers put a model's reasoning in front of its answer, between marks in the same text; some do not take every stop
sequence. Both are mended here, so that an answer means the same whoever gave it, however it was cut into pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

THINK = ("<think>", "</think>")
"""Marks that open models put around their reasoning. Templates of some (DeepSeek-R1, QwQ) end the prompt with the first of
them, so that the text has only the second."""


class _At(Enum):
    """Where in the text we are."""

    START = auto()
    REASONING = auto()
    AFTER = auto()
    """Behind the reasoning; blanks before the answer are not part of it."""
    TEXT = auto()
    STOPPED = auto()


@dataclass(slots=True)
class Speech:
    """A text as it comes in. A stop ends it where it is complete first; the text ends before it."""

    stops: tuple[str, ...] = ()
    marks: tuple[str, str] | None = None
    """Around reasoning at the start of the text; `None` where there are none."""
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _held: str = ""
    _at: _At = _At.START

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def stopped(self) -> bool:
        """Whether a stop has come: nothing more is wanted."""
        return self._at is _At.STOPPED

    def add(self, piece: str) -> str:
        """The text that is certain now. What may turn out to be the start of a stop or of a mark is held back."""
        before = len(self._text)
        self._held += piece
        while self._held and self._step():
            pass
        return "".join(self._text[before:])

    def end(self) -> str:
        """Nothing more comes: what was held back, for what it was."""
        if self._at is _At.START:
            self._at = _At.TEXT
        said = self.add("")
        held, self._held = self._held, ""
        if self._at is _At.REASONING:
            self._reasoning.append(held)
        elif self._at is _At.TEXT:
            self._text.append(held)
            said += held
        return said

    def _step(self) -> bool:
        """One move; False where more has to come first."""
        match self._at:
            case _At.START:
                return self._started()
            case _At.REASONING:
                return self._reasoned()
            case _At.AFTER:
                self._held = self._held.lstrip()
                self._at = _At.TEXT if self._held else _At.AFTER
                return bool(self._held)
            case _At.TEXT:
                return self._spoke()
            case _At.STOPPED:
                self._held = ""
                return False

    def _started(self) -> bool:
        if self.marks is None:
            self._at = _At.TEXT
            return True
        opening, begun = self.marks[0], self._held.lstrip()
        if begun.startswith(opening):
            self._held, self._at = begun.removeprefix(opening), _At.REASONING
            return True
        if opening.startswith(begun):
            return False
        self._at = _At.TEXT
        return True

    def _reasoned(self) -> bool:
        assert self.marks is not None
        before, closing, after = self._held.partition(self.marks[1])
        if closing:
            self._reasoning.append(before)
            self._held, self._at = after, _At.AFTER
            return True
        sure = len(before) - _overlap(before, (self.marks[1],))
        self._reasoning.append(before[:sure])
        self._held = before[sure:]
        return False

    def _spoke(self) -> bool:
        closing = (self.marks[1],) if self.marks is not None and not self._reasoning else ()
        ends = (*self.stops, *closing)
        found = [(at + len(end), at, end in closing) for end in ends if end and (at := self._held.find(end)) >= 0]
        if found:
            after, at, thought = min(found)
            self._text.append(self._held[:at])
            self._held = self._held[after:]
            self._at = _At.AFTER if thought else _At.STOPPED
            if thought:  # there was no opening mark: all so far was reasoning
                self._reasoning, self._text = [self.text], [""] * len(self._text)
            return True
        sure = len(self._held) - _overlap(self._held, ends)
        self._text.append(self._held[:sure])
        self._held = self._held[sure:]
        return False


def _overlap(text: str, ends: tuple[str, ...]) -> int:
    """How many characters at the end of `text` may be the start of one of `ends`."""
    longest = 0
    for end in ends:
        for size in range(min(len(end) - 1, len(text)), longest, -1):
            if text.endswith(end[:size]):
                longest = size
                break
    return longest
