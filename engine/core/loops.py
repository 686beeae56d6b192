"""Loops: a model that has begun to say the same thing over and over, found while it still talks.

Pure. What is called a loop here is certain waste: the same words, four times and more, with nothing in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ENOUGH = 240
"""Characters that the repetitions have together, at the least: short forms, such as a refrain or a drawn line, may be meant."""
TIMES = 4
"""Repetitions, at the least."""
EMPTY = 1200
"""Characters for what has no letters in it: tables and drawings have long lines of one sign."""
LONGEST = 1000
"""Characters of a unit, at the most."""
STEP = 120
"""Characters between two looks."""
_NEEDLE = 24
_NUMBERED = re.compile(r"^[ \t]*\d+[.)]", re.MULTILINE)


def looping(text: str) -> bool:
    """Whether `text` ends in a loop. Numbers of a list, which go on counting while all else stays the same, do not hide it."""
    tail = text[-(TIMES * LONGEST + EMPTY) :]
    return _repeats(tail) or _repeats(_NUMBERED.sub("0.", tail))


def _repeats(tail: str) -> bool:
    """Whether `tail` ends in one unit again and again. The last characters stand one unit earlier, too: so long is it."""
    needle = tail[-_NEEDLE:]
    before = tail.rfind(needle, 0, len(tail) - 1)
    if len(needle) < _NEEDLE or before < 0:
        return False
    size = len(tail) - _NEEDLE - before
    if size > LONGEST:
        return False
    unit = tail[-size:]
    enough = ENOUGH if any(map(str.isalpha, unit)) else EMPTY
    times = max(TIMES, -(-enough // size))
    return tail.endswith(unit * times)


@dataclass(slots=True)
class Watch:
    """Listens to one answer. Looking every `STEP` characters makes the cost of a long answer linear."""

    _tail: str = ""
    _fresh: int = 0

    def heard(self, text: str) -> bool:
        """Whether the answer, `text` included, has run into a loop."""
        self._fresh += len(text)
        self._tail += text
        if self._fresh < STEP:
            return False
        self._fresh = 0
        self._tail = self._tail[-(TIMES * LONGEST + EMPTY) :]
        return looping(self._tail)
