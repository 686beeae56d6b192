"""What a plan's prices and budget come to: every lane's prices in the plan's one currency, and the limits in nano-units.

Pure, beside the plan; whatever is wrong is a `PlanError` that names the key and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from typing import get_args

from engine.core.budget import Limits
from engine.core.faults import PlanError
from engine.core.money import Currency, NoRate, Prices, converted, exact, nano, own_server
from engine.core.prices import Listed, find
from engine.core.tariff import BudgetPlan, Tariff
from engine.core.till import Money, free
from engine.core.types import LanePlan

CURRENCIES: tuple[Currency, ...] = get_args(Currency)
MEASURES = tuple(name for name in Tariff.__dataclass_fields__ if name != "currency")
LARGEST = 10**9
"""The largest sum, in units of any currency: sums are journaled as 64-bit numbers of nano-units."""
DEAREST = 10**6
"""The highest price, per million tokens or characters or per request, and the highest exchange rate."""
PRICE = (
    'price = {tokens_in = 0.15, tokens_out = 0.6} (per million), price_of = "MODEL" for a row of the list of prices, or price = 0'
)


def currency(budget: BudgetPlan) -> Currency:
    """The plan's currency, which is the one that the budget names. Raises `PlanError` unless it is exactly one."""
    named = [name for name in CURRENCIES if getattr(budget, name) is not None]
    if len(named) > 1:
        raise PlanError(
            f"budget has sums in {' and '.join(named)}: a plan has one currency; leave one, and say in budget.rates what others "
            "are worth in it"
        )
    if not named:
        raise PlanError("budget names no sum: add usd = 20.0, say (or eur, cny), the most that the whole run may cost")
    return named[0]


def limits(budget: BudgetPlan | None) -> Limits:
    """The sums of a budget in nano-units. Raises `PlanError` for one that is none."""
    if budget is None:
        return Limits()
    named = currency(budget)
    return Limits(
        run=_sum(getattr(budget, named), f"budget.{named}"),
        roles={role: _sum(amount, f"budget.roles.{role}") for role, amount in budget.roles.items()},
        lanes={lane: _sum(amount, f"budget.lanes.{lane}") for lane, amount in budget.lanes.items()},
    )


def check(lanes: Mapping[str, LanePlan], budget: BudgetPlan | None) -> None:
    """What a plan can get wrong by itself, without the list of prices and the recipe."""
    for name, lane in lanes.items():
        if lane.price is not None and lane.price_of is not None:
            raise PlanError(f"lanes.{name} has price and price_of: leave one of them out")
        if isinstance(lane.price, Tariff):
            _tariff(name, lane.price)
        elif lane.price:
            raise PlanError(f"lanes.{name}.price is {lane.price:g}: only 0 stands alone; write {PRICE}")
    if budget is None:
        return
    limits(budget)
    for limited in budget.lanes:
        _exists(limited, lanes, f"budget.lanes.{limited}", "lane")
    for one, rate in budget.rates.items():
        if one not in CURRENCIES:
            raise PlanError(f"budget.rates.{one}: there are rates for {', '.join(CURRENCIES)} only")
        if not (worth := exact(rate)) or worth > DEAREST:
            raise PlanError(f"budget.rates.{one} is {rate:g}: what one {one} is worth in {currency(budget)} is above zero")


def money(lanes: Mapping[str, LanePlan], budget: BudgetPlan | None, roles: Iterable[str]) -> Money:
    """What the plan says of money. With a budget every lane has prices; without one, some may have none, or none that count."""
    check(lanes, budget)
    for role in budget.roles if budget is not None else ():
        _exists(role, sorted(roles), f"budget.roles.{role}", "role")
    found = {name: _listed(name, lane, budget) for name, lane in lanes.items()}
    costing = [prices.currency for prices, _ in found.values() if prices is not None and not free(prices)]
    chosen = currency(budget) if budget is not None else costing[0] if costing else "usd"
    same: dict[str, Prices] = {}
    remarks: dict[str, str] = {}
    for name, (prices, remarks[name]) in found.items():
        if prices is not None and not isinstance(counted := _converted(prices, budget, chosen), NoRate):
            same[name] = counted
        elif budget is not None:
            raise PlanError(_lack(name, prices, chosen))
        elif prices is not None:
            remarks[name] = f"not counted: in {prices.currency}, others are in {chosen}; a [budget] with rates counts both"
    return Money(currency=chosen, prices=same, limits=limits(budget), remarks=remarks)


def _converted(prices: Prices, budget: BudgetPlan | None, to: Currency) -> Prices | NoRate:
    given = budget.rates if budget is not None else {}
    rates: dict[Currency, Fraction] = {name: rate for name in CURRENCIES if (rate := exact(given.get(name, 0)))}
    return replace(prices, currency=to) if free(prices) else converted(prices, rates, to)


def _lack(name: str, prices: Prices | None, to: Currency) -> str:
    """Why a lane cannot be held to a budget."""
    if prices is None:
        return f"lanes.{name} has no price, and the plan has a budget: add {PRICE}"
    return (
        f"lanes.{name} has prices in {prices.currency}, and the budget is in {to}: add rates = {{{prices.currency} = ...}} to "
        f"[budget], what one {prices.currency} is worth in {to}"
    )


def _listed(name: str, lane: LanePlan, budget: BudgetPlan | None) -> tuple[Prices | None, str]:
    """A lane's prices in their own currency, and where they come from."""
    wanted: Currency = "usd" if budget is None else currency(budget)
    if isinstance(lane.price, Tariff):
        if lane.price.currency is None and wanted != "usd":
            raise PlanError(
                f'lanes.{name}.price does not say its currency, and the budget is in {wanted}: add currency = "{wanted}" or "usd"'
            )
        return _tariff(name, lane.price), "as the plan says"
    if lane.price is not None or (lane.provider == "local" and lane.price_of is None):
        return own_server(wanted), "free"
    row = find(lane.price_of or lane.model, wanted)
    if isinstance(row, Listed):
        remark = f"; {row.remark}" if row.remark else ""
        return row.prices, f"list price of {row.vendor} for {row.model}, as of {row.as_of}{remark}"
    if lane.price_of is not None:
        offer = f"; names like it: {', '.join(row.nearest)}" if row.nearest else ""
        raise PlanError(
            f"lanes.{name}.price_of: the list of prices has no {lane.price_of!r}{offer}; or write the prices: {PRICE}"
        )
    return None, "no price"


def _tariff(name: str, tariff: Tariff) -> Prices:
    """A price table in nano-units. Raises `PlanError` for a price that is none, and for a table with half of what is needed."""
    made: dict[str, int] = {}
    for measure in MEASURES:
        if (price := getattr(tariff, measure)) is None:
            continue
        amount = nano(price)
        if amount is None or price > DEAREST:
            raise PlanError(f"lanes.{name}.price.{measure} is {price:g}: a price is zero or more, and no more than {DEAREST:,}")
        made[measure] = amount
    by_tokens = any(measure.startswith("tokens") for measure in made)
    lack = [measure for measure in ("tokens_in", "tokens_out") if by_tokens and measure not in made]
    if lack or not made:
        raise PlanError(f"lanes.{name}.price lacks {lack[0] if lack else 'every price'}: write {PRICE}")
    return Prices(
        currency=tariff.currency or "usd",
        tokens_in=made.get("tokens_in"),
        tokens_cached=made.get("tokens_cached"),
        tokens_out=made.get("tokens_out"),
        tokens_reasoning=made.get("tokens_reasoning"),
        characters=made.get("characters"),
        request=made.get("request"),
    )


def _sum(amount: float, key: str) -> int:
    found = nano(amount)
    if not found or amount > LARGEST:
        raise PlanError(f"{key} is {amount:g}: a limit is above zero and at most {LARGEST:,}; leave the key out for none")
    return found


def _exists(name: str, known: Iterable[str], key: str, what: str) -> None:
    names = list(known)
    if name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        offer = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise PlanError(f"{key}: there is no {what} {name!r}; {offer}")
