"""The money of a loaded plan: its prices and limits, held against what its lanes really send. No file is opened here.

For the composition root and for doors that check or look at a run.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine import context, pricing
from engine.core.budget import Budget, Standing
from engine.core.faults import PlanError
from engine.core.money import Unpriced, cost, lacking
from engine.core.recipe import Recipe
from engine.core.till import Books, Money
from engine.core.types import Usage
from engine.runtime.lane import Lane, cheapest

USUAL = Usage(tokens_in=1000, tokens_out=250, characters=4000)
"""What prices are compared by."""


def steps(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """Each step with its role, in order."""
    return tuple((step.name, step.role) for step in recipe.steps)


def money(loaded: context.Loaded, lanes: Iterable[Lane]) -> Money:
    """What the plan says of money. Raises `PlanError` for what cannot be priced, or limited."""
    priced = pricing.money(loaded.plan.lanes, loaded.plan.budget, [role for _, role in steps(loaded.recipe)])
    for lane in lanes:
        prices = priced.prices.get(lane.name)
        if prices is not None and (lack := lacking(lane.weigh(cheapest(lane)), prices)) is not None:
            raise PlanError(f"lanes.{lane.name} has {lack}, by which its calls are billed: add {pricing.PRICE}")
    return priced


def rank(lanes: Iterable[Lane], money: Money) -> None:
    """Have the cheaper lanes asked first, by the price of a usual call. Where a lane has no price, nobody knows which are."""
    every = list(lanes)
    costs = [cost(USUAL, money.prices[lane.name]) for lane in every if lane.name in money.prices]
    known = [amount for amount in costs if not isinstance(amount, Unpriced)]
    if len(known) == len(every):
        for lane, amount in zip(every, known, strict=True):
            lane.dearness = float(amount)


def standings(loaded: context.Loaded, books: Books) -> tuple[Standing, ...]:
    """How the limits of a run stand that is not going on: what was drawn and never told of counts as spent."""
    budget = Budget(pricing.limits(loaded.plan.budget))
    budget.restore(books.lines())
    return budget.standings()
