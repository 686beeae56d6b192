"""What a plan says of money, as it is written there: a lane's prices, and the budget. Sums are decimals in units of a currency.

Anybody may import it. What is made of it, in exact nano-units, is `engine.core.money` and `engine.core.budget`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Currency: TypeAlias = Literal["usd", "eur", "cny"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A lane's `price`: units of `currency` per million of each, `request` per single request. `None` is unknown, 0 is free.

    Without a price of their own cached tokens cost as fresh ones, and reasoning as an answer.
    """

    tokens_in: float | None = None
    tokens_cached: float | None = None
    tokens_out: float | None = None
    tokens_reasoning: float | None = None
    characters: float | None = None
    request: float | None = None
    currency: Currency | None = None
    """`None`: usd; a plan with a budget in another currency has to say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPlan:
    """The most that may be spent. The one of `usd`, `eur` and `cny` that is set is the plan's currency, and the run's limit."""

    usd: float | None = None
    eur: float | None = None
    cny: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    """What one unit of another currency is worth in the plan's."""
    roles: Mapping[str, float] = field(default_factory=dict)
    lanes: Mapping[str, float] = field(default_factory=dict)
