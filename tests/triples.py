"""Triples of source, pivot and back text: the round trips that the gate judges. The ones on disk were translated by hand.

Each back text says what its source says in other words, with every number, address, code span and placeholder of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

DATA = Path(__file__).resolve().parent / "data"


@dataclass(frozen=True, slots=True)
class Triple:
    """A text, its translation, and what came back."""

    id: str
    source: str
    pivot: str
    back: str
    language: str
    """Of source and back."""
    pivot_language: str
    answer: str = ""
    """A label, number or phrase that stands in source and back: the output, if the source were the input of a record."""


def load(language: str, which: str) -> list[Triple]:
    """The 20 triples of a language ("en", "zh") that thresholds may be set on ("tune"), or those that judge them ("test")."""
    rows = [orjson.loads(line) for line in (DATA / f"triples.{language}.jsonl").read_bytes().splitlines()]
    return [Triple(**{key: value for key, value in row.items() if key != "set"}) for row in rows if row["set"] == which]
