"""Rehearsal: what the steps of a plan would be asked about, worked out before any reply, for doors that foretell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine import context
from engine.core import recipe as acts
from engine.core.faults import PlanError
from engine.core.parse import Malformed
from engine.core.recipe import GROW, Step
from engine.core.tally import short
from engine.core.types import Call, Item, Reply, Request, Stop, Translation, Usage

EXAMPLES = 20
"""Documents that stand for all."""
SAID = "Explain in your own words what the text says, and why it matters."
"""What a language model is taken to answer; a translator, what it was given."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Examples of what each step is asked about. `share` of the first `seen` documents would be asked about; `lost` says why the
    others would not."""

    items: Mapping[str, list[Item]]
    seen: int = 0
    share: float = 1.0
    lost: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        """The first documents in words."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.lost.most_common())
        asked = round(self.share * self.seen)
        return f"Of the first {self.seen:,} documents {asked:,} would be asked about{f' ({reasons})' if reasons else ''}."


def rehearse(loaded: context.Loaded) -> Rehearsal:
    """Raises `PlanError` where the input is not what the plan says, or where nothing of it would be asked about."""
    first = loaded.recipe.source_step
    if first.source is GROW:
        later = [_stand_in(seed) for seed in loaded.context.seeds[:1]]
        return Rehearsal({step.name: [{}] if step is first else later for step in loaded.recipe.steps})
    assert loaded.source is not None, "a plan that is not a run yet has its documents at hand"
    seen = loaded.source.look()
    passed: list[Item] = []
    lost = Counter(seen.flaws)
    for document in seen.good:
        reason = first.gate(document.item, loaded.context) if first.gate is not None else None
        if reason is None:
            passed.append(document.item)
        else:
            lost[short(reason)] += 1
    if not passed:
        reasons = ", ".join(f"{reason} {count}" for reason, count in lost.most_common())
        raise PlanError(f"none of the first {seen.records:,} documents would be asked about: {reasons}")
    return Rehearsal(_walked(loaded, passed[:: -(-len(passed) // EXAMPLES)]), seen.records, len(passed) / seen.records, lost)


def _walked(loaded: context.Loaded, items: list[Item]) -> dict[str, list[Item]]:
    """The same documents at every step, as they would be if every answer were good."""
    found: dict[str, list[Item]] = {}
    for step in loaded.recipe.steps:
        found[step.name] = items
        items = [made for item in items if (made := _answered(loaded, step, item)) is not None]
    return found


def _answered(loaded: context.Loaded, step: Step, item: Item) -> Item | None:
    """What a step makes of an item, from an answer that says nothing."""
    request = Request(step=step.name, index=0, item=item)
    calls = acts.compose(step, request, loaded.context, "chat").calls
    try:
        drafts = step.read([_reply(call) for call in calls], acts.asked(request, loaded.context))
    except Malformed:
        return None
    return {**item, **drafts[0].item} if drafts else None


def _reply(call: Call) -> Reply:
    return Reply(text=call.text if isinstance(call, Translation) else SAID, stop=Stop.END, usage=Usage())


def _stand_in(seed: Item) -> Item:
    """A seed task as an item that later steps are asked about."""
    first = seed["instances"][0]
    return {**seed, "id": "seed/0", "input": first["input"], "output": first["output"]}
