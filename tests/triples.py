"""Triples of source, pivot and back text: the round trips that the gate judges.

Those of `load` were translated by hand: each back text says what its source says in other words, with every number, address, code
span and placeholder of it. Those of `real` were made by translators, and are as these left them.
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


def real(by: str, language: str, which: str) -> list[Triple]:
    """Faithful round trips of single sentences by `by`: "apertium" (eng-spa and back) or "gemma3-270m" (the embedded model).

    The sentences are 110 that were written for this and 190 from `seeds/texts.en.jsonl` for Apertium, WRITTEN
    for the model. One reader went through all of the outputs, one by one, with the gate's verdict in sight, and kept those
    from which somebody who has not seen the source learns the same: who does what, how many, when, and whether at all. Wrong
    words of grammar were let pass ("read he in two evenings"), wrong senses of words were not ("tent" for shop, "his tones" for
    keys), nor were lost negations, persons and moods. What came back word for word (ROUGE-L above 0.95) was left out, for that
    the gate is meant to drop. So Apertium's 300 gave 86, and MODEL.

    `which` is "tune" for those that a threshold may be set on and "test" for those that judge it, by whether the first byte of the
    source's SHA-256 is even or odd. The thresholds are older than both, but for `marked`, which outputs of this kind suggested.
    """
    rows = [orjson.loads(line) for line in (DATA / "real.jsonl").read_bytes().splitlines()]
    wanted = {"by": by, "language": language, "set": which}
    return [
        Triple(**{key: value for key, value in row.items() if key not in ("by", "set")})
        for row in rows
        if row.items() >= wanted.items()
    ]
