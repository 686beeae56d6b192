"""Figures: everything that a report tells of a run, from one pass over its journal.

Pure; one owner. The live page feeds it line by line, as the run writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.core.harvest import Harvest
from engine.core.pace import Pace
from engine.core.recipe import Context, Recipe
from engine.core.tally import Tally
from engine.core.types import Line, Settled

TEXTS = ("samples", "dropped_samples")
"""What of the figures is texts, and no figures."""


class Figures:
    """Counts, texts and pace of a run."""

    def __init__(self, recipe: Recipe, context: Context) -> None:
        self._tally = Tally(tuple(step.name for step in recipe.steps))
        self._harvest = Harvest(recipe, context)
        self._pace = Pace()
        self.lines = 0

    def line(self, line: Line) -> None:
        """Take in the next line of the journal."""
        self.lines += 1
        self._tally.line(line)
        self._pace.line(line)
        if isinstance(line, Settled):
            self._harvest.settled(line)

    def as_json(self) -> dict[str, Any]:
        """Plain data under stable names: see `docs/report.md`."""
        return {**self._tally.as_json(), **self._harvest.as_json(), **self._pace.as_json()}


def flat(figures: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every single figure with its name: `lengths.instruction.bins.[5,10)`. Texts are left out; lists are numbered."""
    for name, value in figures.items():
        if not before and name in TEXTS:
            continue
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            yield from flat({str(n): part for n, part in enumerate(value)}, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
