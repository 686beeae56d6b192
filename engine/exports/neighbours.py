"""What each instruction of a run resembles among the seeds and the instructions before it, as the published rows carry it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from engine import rundir
from engine.context import Loaded
from engine.core.dedup import Earlier, Index, added
from engine.core.faults import PlanError
from engine.core.recipe import Step
from engine.core.types import Line, Settled
from engine.exports.example import Example, Neighbour
from engine.progress import told

MOST = 10
"""Neighbours of a row; Wang et al. (2022) keep as many."""
TOGETHER = 64
"""Instructions compared in one go: more need more memory, and are hardly faster."""

Compare = Callable[[Example], Example | None]


def compared(directory: Path, loaded: Loaded) -> Compare:
    """Gives an example its neighbours and its mean score; `None` for one that was made after this was called.

    Compares every kept instruction with all before it: about a minute for 52,000. Raises `PlanError` for a recipe that tells
    nothing apart.
    """
    step = next((step for step in loaded.recipe.steps if step.unique is not None), None)
    if step is None:
        raise PlanError(f"the recipe {loaded.recipe.name} compares no instructions, so there are no neighbours to tell")
    texts = {f"seed/{n}": str(seed["instruction"]) for n, seed in enumerate(loaded.context.seeds)}
    index = Index(loaded.context.tokens)
    for id, text in texts.items():
        index.add(id, text)
    earlier: dict[str, Earlier] = {}
    kept = _kept(told(rundir.journal(directory), "comparing instructions, lines read:"), step)
    while batch := list(islice(kept, TOGETHER)):
        earlier.update(zip((id for id, _ in batch), added(index, batch, MOST), strict=True))
        texts.update(batch)
    name = step.name

    def with_neighbours(example: Example) -> Example | None:
        if (found := earlier.get(example.ids[name])) is None:
            return None
        nearest = [Neighbour(match.id, texts[match.id], match.score) for match in found.nearest]
        return replace(example, nearest=nearest, mean=found.mean)

    return with_neighbours


def _kept(lines: Iterable[Line], step: Step) -> Iterator[tuple[str, str]]:
    assert step.unique is not None
    for line in lines:
        if isinstance(line, Settled) and line.fault is None and line.step == step.name:
            for n, item in line.kept:
                yield f"{line.step}/{line.index}.{n}", str(item[step.unique])
