"""The input of a plan: its documents as files at hand, or as a run has recorded them; and who reads on where a run stopped.

A door's part of the input side: looks at files, and reads none through but to count what a sample is drawn from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from engine.core.documents import MARKS, InputPlan, Wanted, sample
from engine.core.faults import JournalError, PlanError
from engine.core.recipe import INPUT, Recipe
from engine.core.track import Frontier
from engine.runtime.feeding import Read
from engine.runtime.source import Source, found, identity, paths

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Input:
    """`source` is `None` where the files are not at hand; `identity` is what must not change between two lives of a run."""

    source: Source | None
    identity: Any


Origin: TypeAlias = Callable[[InputPlan, Recipe, Path | None], Input]
"""Where to learn of the documents, given the run directory of a run that has begun."""


def at_hand(plan: InputPlan, recipe: Recipe, kept: Path | None) -> Input:
    """The files of a plan. A run that has begun can do without them for as long as it reads no more of them."""
    known = (*recipe.reads, *MARKS)
    for name in plan.fields:
        if name not in known:
            raise PlanError(f"unknown name {name!r} in fields of [input]; the recipe {recipe.name} knows {', '.join(known)}")
    if kept is not None and not any(Path(path).exists() for path in paths(plan)):
        return recorded(plan, recipe, kept)
    files = found(plan)
    return Input(Source(plan, files, recipe.reads), identity(plan, files))


def recorded(plan: InputPlan, recipe: Recipe, kept: Path | None) -> Input:
    """What a run knows of them, as it stands."""
    assert kept is not None, "only a run has recorded anything"
    try:
        return Input(None, orjson.loads((kept / PLAN).read_bytes())["identity"].get("input"))
    except (OSError, ValueError, KeyError) as error:
        raise JournalError(f"{kept / PLAN} cannot be read: {error}; restore it from a copy") from error


def asks_about_documents(recipe: Recipe, plan: InputPlan | None, goal: int | None) -> bool:
    """Whether a recipe begins with documents. Raises `PlanError` where its plan begins with something else."""
    if recipe.source_step.source is INPUT:
        if plan is None:
            raise PlanError(f"the recipe {recipe.name} asks about documents: add a table [input] with path, a file or a folder")
        return True
    if plan is not None:
        raise PlanError(f"the recipe {recipe.name} makes its questions itself, and has no use for [input]: leave it out")
    if goal is None:
        raise PlanError(f"the plan lacks 'goal': how many instructions the recipe {recipe.name} is to make")
    return False


def reader(source: Source, settled: Frontier, seed: int, drawn: tuple[int, int] | None) -> Read:
    """Reads on behind what is settled; `drawn` is the size of the sample and the number of all records. Blocks. A run that begins
    looks at its first documents before anything is asked: raises `PlanError` where they are not what the plan says."""
    if not settled.low:
        source.look()
    chosen = sample(seed, drawn[1], drawn[0]) if drawn is not None else None
    return source.open(Wanted(settled, chosen)).take
