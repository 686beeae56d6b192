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
    """Faithful round trips of sentences by `by`: "apertium" (English by Spanish) or "gemma3-270m" (the embedded model).

    Apertium was given 300 sentences, 110 that were written for this and 190 of `seeds/texts.en.jsonl`; the model, as slow as it
    is, 28 in Chinese and 17 in English that were written for this. One reader went through all that came back, one by one, with
    the gate's verdict in sight, and kept those from which somebody who has not seen the source learns the same: who does what,
    how many, when, and whether at all. Wrong words of grammar were let pass ("read he in two evenings"); wrong senses of words
    were not ("tent" for shop, "his tones" for keys), nor lost words, negations, persons and moods. What came back word for word
    (ROUGE-L above 0.95) was left out: the gate is meant to drop it. So Apertium's gave 86; the model's 5 in Chinese and 2 in
    English.

    `which` is "tune" for those that a threshold may be set on and "test" for those that judge it, by whether the first byte of
    the source's SHA-256 is even or odd. The thresholds are older than both, save that of `marked`, which outputs like these
    suggested.
    """
    rows = [orjson.loads(line) for line in (DATA / "real.jsonl").read_bytes().splitlines()]
    mine = [row for row in rows if (row["by"], row["language"], row["set"]) == (by, language, which)]
    return [Triple(**{key: value for key, value in row.items() if key not in ("by", "set")}) for row in mine]
