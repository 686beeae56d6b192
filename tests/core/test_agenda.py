"""The agenda by itself: what the loop's tests reach only by chance."""

from __future__ import annotations

from engine import context
from engine.core.agenda import Agenda
from engine.core.dedup import Index
from engine.core.growth import FIRST_DRY
from engine.core.types import Item, LaneView, Settled
from engine.plan import from_data

LANE = LaneView("main", frozenset({"propose", "classify", "answer"}), alone=True)


def settled(index: int, *kept: str) -> Settled:
    """A growth reply that kept these instructions."""
    items: list[tuple[int, Item]] = [(n, {"instruction": text}) for n, text in enumerate(kept)]
    named = {"step": "instruct", "of": None, "try_": 0, "t": 0.0, "shown": (), "style": "completion", "q": "", "lane": "main"}
    return Settled(index=index, kept=tuple(items), **named)  # type: ignore[arg-type]


def test_growth_goes_on_after_a_late_reply_has_undone_a_stall() -> None:
    """Proposals that were dropped when growth stopped are not taken to be under way when it starts again."""
    plan = from_data({"recipe": "self_instruct", "goal": 50, "lanes": {"main": {"provider": "local"}}})
    loaded = context.load(plan)
    agenda = Agenda(loaded.recipe, loaded.context, Index(), 50, backlog=256)
    first, *others = iter(lambda: agenda.next(LANE, 0.0), None)
    for request in others:
        agenda.give_back(request, due=1e6)
    for n in range(FIRST_DRY):
        agenda.apply(settled(1000 + n))
    assert agenda.stalled is not None
    assert agenda.next(LANE, 0.0) is None
    agenda.apply(settled(first.index, *(f"Task number {n}" for n in range(45))))
    assert agenda.growing
    asked = list(iter(lambda: agenda.next(LANE, 0.0), None))
    assert "instruct" in {request.step for request in asked}
