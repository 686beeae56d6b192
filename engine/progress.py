"""Progress of a verb that reads a whole journal: a word on stderr every two seconds, nothing for what is over sooner."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
EVERY = 2.0


def told(things: Iterable[T], what: str) -> Iterator[T]:
    """The same things, counted aloud while they pass."""
    due = time.monotonic() + EVERY
    shown = False
    for count, thing in enumerate(things):
        if count % 256 == 0 and time.monotonic() > due:
            due = time.monotonic() + EVERY
            shown = _say(f"{what} {count:,}")
        yield thing
    if shown and sys.stderr.isatty():
        _say("")


def _say(words: str) -> bool:
    """On a terminal always the same line."""
    try:
        sys.stderr.write(f"\r\x1b[K{words}" if sys.stderr.isatty() else f"{words}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens
    return True
