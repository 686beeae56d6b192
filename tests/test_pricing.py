"""What a plan says of money: prices by lane and limits, exact; whatever is wrong is told with its key and a remedy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from engine import app, context, funds
from engine.core.budget import Limits
from engine.core.faults import PlanError
from engine.core.money import Prices
from engine.core.tariff import BudgetPlan, Tariff
from engine.core.till import Money
from engine.core.types import LanePlan
from engine.plan import Plan, changed, from_data

OWN = {"tokens_in": 0.15, "tokens_out": 0.6}


def plan(budget: dict[str, Any] | None = None, **lane: Any) -> Plan:
    lanes = {"fast": {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", **lane}}
    return from_data({"recipe": "self_instruct", "goal": 1, "lanes": lanes} | ({"budget": budget} if budget else {}))


def priced(budget: dict[str, Any] | None = None, **lane: Any) -> Money:
    loaded = context.load(plan(budget, **lane))
    return funds.money(loaded, app.lanes(loaded))


def refusal(budget: dict[str, Any] | None = None, **lane: Any) -> str:
    with pytest.raises(PlanError) as caught:
        priced(budget, **lane)
    return str(caught.value)


def test_a_table_of_prices_is_exact() -> None:
    """Prices are the decimals that were written, in nano-units a million; what is not said is unknown."""
    assert priced(price=OWN).prices["fast"] == Prices(currency="usd", tokens_in=150_000_000, tokens_out=600_000_000)


def test_limits_are_exact_and_in_one_currency() -> None:
    """Sums of the run, of roles and of lanes are nano-units of the currency that the budget names."""
    money = priced(
        {"eur": 20.1, "rates": {"usd": 0.9}, "roles": {"answer": 5}, "lanes": {"fast": 0.3}}, price=OWN | {"currency": "usd"}
    )
    assert money.currency == "eur"
    assert money.limits == Limits(run=20_100_000_000, roles={"answer": 5_000_000_000}, lanes={"fast": 300_000_000})
    assert money.prices["fast"].rate == Fraction(9, 10)


def test_price_of_names_a_row_and_the_model_finds_its_own() -> None:
    """A deployment says what model it is; a model of the list needs to say nothing; the day of the price is told."""
    by_name, by_model = priced(price_of="gpt-4o-mini"), priced(model="gpt-4o-mini-2024-07-18")
    assert by_name.prices == by_model.prices
    assert by_name.prices["fast"].tokens_out == 600_000_000
    assert by_name.remarks["fast"] == "list price of openai for gpt-4o-mini, as of 2025-07-04"


@pytest.mark.parametrize("lane", [{"price": 0}, {"provider": "local", "model": ""}])
def test_own_servers_are_free(lane: dict[str, Any]) -> None:
    """Price 0 and the embedded model cost nothing, in any currency, and may stand under a budget."""
    money = priced({"cny": 1.0}, **lane)
    assert not money.counted
    assert money.prices["fast"].currency == "cny"


def test_without_a_budget_a_lane_may_have_no_price() -> None:
    """Nothing is limited then; what has prices is counted, in the currency of the first lane that has some."""
    assert priced().prices == {}
    assert priced(price=OWN | {"currency": "cny"}).currency == "cny"


def test_without_rates_other_currencies_are_left_out_and_told() -> None:
    """Two currencies and no budget: the second one's costs are not counted, and the plan's check says so."""
    lanes = {name: {"provider": "local", "price": OWN | {"currency": name}} for name in ("usd", "eur")}
    loaded = context.load(from_data({"recipe": "self_instruct", "goal": 1, "lanes": lanes}))
    money = funds.money(loaded, app.lanes(loaded))
    assert money.prices.keys() == {"usd"}
    assert "not counted: in eur" in money.remarks["eur"]


def test_the_cheaper_lane_is_asked_first() -> None:
    """Lanes are ranked by what a usual call costs in the plan's currency; where a price is unknown, nobody is ranked."""
    lanes = {
        "dear": {"provider": "local", "price": {"tokens_in": 1, "tokens_out": 4, "currency": "cny"}},
        "cheap": {"provider": "local", "price": {"tokens_in": 0.2, "tokens_out": 0.5}},
        "own": {"provider": "local"},
        "unknown": {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"},
    }
    rates: dict[str, Any] = {"budget": {"usd": 1.0, "rates": {"cny": 1.5}}}
    for names, order in ((["dear", "cheap", "own"], ["own", "cheap", "dear"]), (["dear", "unknown"], ["dear", "unknown"])):
        plan = {"recipe": "self_instruct", "goal": 1, "lanes": {name: lanes[name] for name in names}}
        loaded = context.load(from_data(plan | ({} if "unknown" in names else rates)))
        made = app.lanes(loaded)
        funds.rank(made, funds.money(loaded, made))
        assert [lane.name for lane in sorted(made, key=lambda lane: lane.rank)] == order
    assert {lane.dearness for lane in made} == {0.0}


def test_a_plan_with_money_survives_its_trip_through_data() -> None:
    """`--set` and plan.json lose nothing of it."""
    made = plan({"usd": 20.0, "roles": {"answer": 5.0}, "rates": {"eur": 1.08}}, price=OWN)
    assert changed(made, []) == made
    assert msgspec.convert(msgspec.to_builtins(made), Plan) == made
    assert changed(made, ["budget.usd=3"]).budget == BudgetPlan(usd=3.0, roles={"answer": 5.0}, rates={"eur": 1.08})
    assert changed(made, ["lanes.fast.price.tokens_in=3"]).lanes["fast"].price == Tariff(tokens_in=3.0, tokens_out=0.6)
    assert LanePlan(provider="local", price=0) == LanePlan(provider="local", price=0.0)


@pytest.mark.parametrize(
    ("budget", "lane", "words"),
    [
        ({"usd": 1.0}, {}, ["lanes.fast has no price, and the plan has a budget", "price = {tokens_in", "price_of", "price = 0"]),
        ({"usd": 1.0, "eur": 1.0}, {}, ["sums in usd and eur", "one currency", "budget.rates"]),
        ({"rates": {"eur": 1.0}}, {}, ["budget names no sum", "usd = 20.0"]),
        ({"usd": 0}, {"price": 0}, ["budget.usd is 0", "above zero"]),
        ({"usd": -5.0}, {"price": 0}, ["budget.usd is -5", "above zero"]),
        ({"usd": float("nan")}, {"price": 0}, ["budget.usd is nan"]),
        ({"usd": float("inf")}, {"price": 0}, ["budget.usd is inf"]),
        ({"usd": 1e10}, {"price": 0}, ["budget.usd is 1e+10", "at most 1,000,000,000"]),
        ({"usd": 1.0, "roles": {"answer": -1.0}}, {"price": 0}, ["budget.roles.answer is -1"]),
        (
            {"usd": 1.0, "roles": {"anwser": 1.0}},
            {"price": 0},
            ["budget.roles.anwser", "no role 'anwser'", "did you mean 'answer'?"],
        ),
        ({"usd": 1.0, "lanes": {"slow": 1.0}}, {"price": 0}, ["budget.lanes.slow", "no lane 'slow'", "there are fast"]),
        ({"usd": 1.0, "lanes": {"fast": 0.0}}, {"price": 0}, ["budget.lanes.fast is 0"]),
        ({"usd": 1.0}, {"price": OWN | {"currency": "eur"}}, ["prices in eur, and the budget is in usd", "rates = {eur = ...}"]),
        ({"usd": 1.0, "rates": {"eur": 0.0}}, {"price": 0}, ["budget.rates.eur is 0", "above zero"]),
        ({"usd": 1.0, "rates": {"gbp": 1.3}}, {"price": 0}, ["budget.rates.gbp", "usd, eur, cny"]),
        ({"eur": 1.0}, {"price": OWN}, ["does not say its currency", 'currency = "eur"']),
        ({"usd": 1.0, "limit": 3}, {"price": 0}, ["unknown key 'limit' in [budget]"]),
        ({"usd": "much"}, {"price": 0}, ["budget.usd in the plan", "expected"]),
        (None, {"price_of": "gpt-4o-mni"}, ["lanes.fast.price_of", "no 'gpt-4o-mni'", "names like it: gpt-4o-mini"]),
        (None, {"price_of": "gpt-4o", "price": 0}, ["price and price_of: leave one of them out"]),
        (None, {"price": 3}, ["lanes.fast.price is 3", "only 0 stands alone"]),
        (None, {"price": {"tokens_in": 0.1}}, ["lanes.fast.price lacks tokens_out"]),
        (None, {"price": {"tokens_in": 0.1, "tokens_out": -0.1}}, ["lanes.fast.price.tokens_out is -0.1"]),
        (None, {"price": {"tokens_in": 1e7, "tokens_out": 1}}, ["lanes.fast.price.tokens_in is 1e+07"]),
        (None, {"price": {}}, ["lanes.fast.price lacks every price"]),
        (None, {"price": {"token_in": 1}}, ["unknown key 'token_in' in the price of [lanes.fast]", "tokens_in"]),
        (None, {"price": OWN | {"currency": "gbp"}}, ["price.currency in [lanes.fast]", "usd, eur, cny"]),
        ({"usd": 1.0}, {"price": {"characters": 20}}, ["lanes.fast has no price for tokens_in", "price = {tokens_in"]),
    ],
)
def test_what_is_wrong_is_told_with_its_key(budget: dict[str, Any] | None, lane: dict[str, Any], words: list[str]) -> None:
    """Each mistake in prices or budget has one line that names the key and what to write instead."""
    told = refusal(budget, **lane)
    assert "\n" not in told
    for word in words:
        assert word in told
