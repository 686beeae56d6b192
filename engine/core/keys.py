"""Keys: where one is found. `env:NAME` or `file:PATH`, or several of them in a row for a vendor whose key has several parts.

Pure; it knows places and never what is found there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BETWEEN = re.compile(r"\s+(?=env:|file:)")
_NAME = re.compile(r"[^\s=]+")


class Source(NamedTuple):
    """One place. A part that may be missing is marked with a `?` at its end: `env:AWS_SESSION_TOKEN?`."""

    kind: str
    """`env` or `file`."""
    place: str
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"


def sources(text: str) -> tuple[Source, ...]:
    """The places in a lane's `key`, separated by blanks; none where the text names anything but places. A path may have blanks
    in it, as long as what follows one does not itself look like a place."""
    found = tuple(_source(part) for part in _BETWEEN.split(text.strip()))
    return tuple(filter(None, found)) if all(found) else ()


def _source(text: str) -> Source | None:
    kind, _, place = text.removesuffix("?").partition(":")
    fits = bool(_NAME.fullmatch(place)) if kind == "env" else kind == "file" and bool(place.strip())
    return Source(kind, place, text.endswith("?")) if fits else None


def required(text: str | None) -> int:
    """How many parts of a key cannot be missing."""
    return sum(not source.optional for source in sources(text or ""))
