"""Money: exact, rounded up once, and unknown where a price is unknown."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.money import (
    NANO,
    Currency,
    NoRate,
    Prices,
    Unpriced,
    converted,
    cost,
    exact,
    lacking,
    nano,
    own_server,
    worded,
    worst,
)
from engine.core.types import Usage

quick = settings(max_examples=60, deadline=None, derandomize=True)

MODEL = Prices(currency="usd", tokens_in=150_000_000, tokens_cached=75_000_000, tokens_out=600_000_000)
"""0.15, 0.075 and 0.60 USD a million tokens."""

counts = st.integers(0, 10**7)
amounts = st.integers(0, 10**12)
rates = st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=10**6)
usages = st.builds(
    Usage,
    requests=st.integers(1, 3),
    tokens_in=counts,
    tokens_cached=counts,
    tokens_out=counts,
    tokens_reasoning=counts,
    characters=counts,
)
full_prices = st.builds(
    Prices,
    currency=st.just("usd"),
    tokens_in=amounts,
    tokens_cached=st.none() | amounts,
    tokens_out=amounts,
    tokens_reasoning=st.none() | amounts,
    characters=st.none() | amounts,
    request=st.none() | amounts,
    rate=rates,
)
maybe = st.none() | amounts
any_prices = st.builds(
    Prices,
    currency=st.just("cny"),
    tokens_in=maybe,
    tokens_cached=maybe,
    tokens_out=maybe,
    tokens_reasoning=maybe,
    characters=maybe,
    request=maybe,
)


def billed(usage: Usage, prices: Prices) -> Fraction:
    """The bill as a fraction of a nano-unit, written down as a vendor explains it."""
    dearer: dict[str, tuple[int, int | None]] = {
        "fresh": (usage.tokens_in, prices.tokens_in),
        "cached": (usage.tokens_cached, prices.tokens_in if prices.tokens_cached is None else prices.tokens_cached),
        "answer": (usage.tokens_out, prices.tokens_out),
        "thought": (usage.tokens_reasoning, prices.tokens_out if prices.tokens_reasoning is None else prices.tokens_reasoning),
        "characters": (usage.characters, prices.characters),
    }
    millions = sum((Fraction(count, 1_000_000) * (price or 0) for count, price in dearer.values()), Fraction(0))
    return (millions + usage.requests * (prices.request or 0)) * prices.rate


def test_a_call_costs_what_the_price_list_says() -> None:
    """A thousand tokens in, half of them cached, and a hundred out, at prices per million."""
    usage = Usage(tokens_in=500, tokens_cached=500, tokens_out=80, tokens_reasoning=20)
    assert cost(usage, MODEL) == 500 * 150 + 500 * 75 + 100 * 600
    assert cost(usage, replace(MODEL, tokens_reasoning=1_000_000_000)) == 500 * 150 + 500 * 75 + 80 * 600 + 20 * 1000


def test_a_cost_is_rounded_up_once() -> None:
    """Three parts of a third of a nano-unit each are one nano-unit; the smallest part of one is one."""
    prices = Prices(currency="usd", tokens_in=333_333, tokens_cached=333_333, tokens_out=333_334)
    assert cost(Usage(tokens_in=1, tokens_cached=1, tokens_out=1), prices) == 1
    assert cost(Usage(tokens_in=1), prices) == 1
    assert cost(Usage(tokens_in=4), prices) == 2


def test_translators_bill_characters_and_some_bill_requests() -> None:
    """Both may come together."""
    prices = Prices(currency="eur", characters=20 * NANO, request=1000)
    assert cost(Usage(characters=1_500_000), prices) == 30 * NANO + 1000
    assert cost(Usage(requests=2), replace(prices, characters=None)) == 2000


@quick
@given(usages, full_prices)
def test_a_cost_is_the_bill_rounded_up_to_a_nano_unit(usage: Usage, prices: Prices) -> None:
    """Never below the bill, and by less than a nano-unit above it."""
    if lacking(usage, prices) is None:
        assert cost(usage, prices) == math.ceil(billed(usage, prices))


@quick
@given(usages, usages, full_prices)
def test_the_worst_case_is_never_below_the_real_cost(asked: Usage, parts: Usage, prices: Prices) -> None:
    """However prompt and answer divide into fresh, cached, answered and thought, if they are no longer than expected."""
    real = Usage(
        requests=min(asked.requests, parts.requests),
        tokens_in=max(0, asked.prompt - parts.tokens_cached),
        tokens_cached=min(asked.prompt, parts.tokens_cached),
        tokens_out=max(0, asked.answer - parts.tokens_reasoning),
        tokens_reasoning=min(asked.answer, parts.tokens_reasoning),
        characters=min(asked.characters, parts.characters),
    )
    upper, lower = worst(asked, prices), cost(real, prices)
    if isinstance(upper, int) and isinstance(lower, int):
        assert lower <= upper


def test_the_worst_case_takes_the_dearest_price_that_may_apply() -> None:
    """Cached input counts as fresh, and answer tokens as reasoning where that costs more."""
    prices = replace(MODEL, tokens_reasoning=700_000_000)
    assert worst(Usage(tokens_in=500, tokens_cached=500, tokens_out=100), prices) == 1000 * 150 + 100 * 700
    assert worst(Usage(tokens_in=10), replace(MODEL, tokens_cached=NANO)) == 10 * 1000


@pytest.mark.parametrize(
    ("prices", "usage", "lack"),
    [
        ({}, {}, "request"),
        ({}, {"tokens_in": 1}, "tokens_in"),
        ({}, {"tokens_out": 1}, "tokens_out"),
        ({}, {"characters": 1}, "characters"),
        ({"tokens_in": 1}, {"tokens_in": 1, "tokens_out": 1}, "tokens_out"),
        ({"tokens_in": 1}, {"tokens_in": 1, "tokens_reasoning": 1}, "tokens_out"),
        ({"tokens_in": 1, "request": 1}, {"tokens_out": 1}, "tokens_out"),
        ({"tokens_out": 1}, {"tokens_cached": 1}, "tokens_in"),
        ({"tokens_reasoning": 1}, {"tokens_reasoning": 1}, "tokens_out"),
        ({"tokens_in": 1, "tokens_out": 1}, {"characters": 1}, "characters"),
        ({"characters": 1}, {"tokens_in": 1}, "tokens_in"),
        ({"characters": 1}, {"tokens_out": 1}, "tokens_out"),
        ({"tokens_in": 1, "tokens_out": 1}, {"tokens_in": 1, "characters": 1}, None),
        ({"characters": 1}, {"tokens_in": 1, "characters": 1}, None),
        ({"tokens_in": 1}, {"tokens_in": 1}, None),
        ({"request": 0}, {"tokens_in": 1, "characters": 1}, None),
        ({"characters": 0}, {}, None),
    ],
)
def test_a_missing_price_is_an_error_and_not_zero(prices: dict[str, int], usage: dict[str, int], lack: str | None) -> None:
    """The first price that lacks is named, for the cost and for the worst case alike."""
    made = Prices(currency="usd", **prices)  # type: ignore[arg-type]
    used = Usage(**usage)  # type: ignore[arg-type]
    for value in (cost(used, made), worst(used, made)):
        assert value == Unpriced(lack) if lack else isinstance(value, int)
    assert str(Unpriced("tokens_out")) == "no price for tokens_out"


@quick
@given(usages, any_prices)
def test_every_usage_has_a_cost_or_lacks_a_price(usage: Usage, prices: Prices) -> None:
    """Cost and worst case agree on what can be billed, and a call that costs nothing was priced at nothing."""
    price, most = cost(usage, prices), worst(usage, prices)
    assert isinstance(price, int) == isinstance(most, int)
    if price == 0:
        shown = (prices.tokens_in, prices.tokens_cached, prices.tokens_out, prices.tokens_reasoning, prices.characters)
        assert 0 in (*shown, prices.request) or not (usage.tokens or usage.characters)


@quick
@given(usages)
def test_an_own_server_bills_nothing(usage: Usage) -> None:
    """A price of zero is a price."""
    assert cost(usage, own_server("cny")) == worst(usage, own_server("cny")) == 0


RATES: dict[Currency, Fraction] = {"cny": Fraction(1, 7), "eur": Fraction(0)}


def test_prices_convert_by_the_rates_of_the_plan() -> None:
    """The rounding comes last: a seventh of a yuan a million is no seventh too much for each call."""
    prices = Prices(currency="cny", tokens_in=7 * NANO, tokens_out=NANO)
    in_usd = converted(prices, RATES, "usd")
    assert isinstance(in_usd, Prices)
    assert cost(Usage(tokens_in=1_000_000), in_usd) == NANO
    assert cost(Usage(tokens_out=1), in_usd) == math.ceil(1000 / 7)


def test_without_a_rate_there_is_no_price() -> None:
    """Rates are never fetched; a rate of zero would make everything free."""
    prices = Prices(currency="eur", characters=1)
    assert converted(prices, {}, "usd") == NoRate("eur", "usd")
    assert converted(prices, RATES, "usd") == NoRate("eur", "usd")
    assert converted(prices, {}, "eur") == prices
    assert str(NoRate("eur", "usd")) == "no exchange rate from eur to usd"


@quick
@given(usages, full_prices, rates)
def test_conversion_is_exact(usage: Usage, prices: Prices, rate: Fraction) -> None:
    """A converted cost is the unrounded bill at that rate, rounded up."""
    one = replace(prices, rate=Fraction(1))
    changed = converted(one, {"usd": rate}, "cny")
    assert isinstance(changed, Prices)
    if lacking(usage, prices) is None:
        assert cost(usage, changed) == math.ceil(billed(usage, one) * rate)


@pytest.mark.parametrize(
    ("amount", "nanos"),
    [
        (0, 0),
        (3, 3 * NANO),
        (0.15, 150_000_000),
        (0.1 + 0.2, 300_000_001),
        ("2.50", 2_500_000_000),
        (" 1e-9 ", 1),
        ("0.0000000001", 1),
        (1e-30, 1),
        *[
            (bad, None)
            for bad in (-1, -0.5, math.nan, math.inf, -math.inf, "", "free", "1e999999999", "1e-999999999", "sNaN", "$1")
        ],
    ],
)
def test_amounts_are_read_as_written(amount: Any, nanos: int | None) -> None:
    """A float means the decimal that stood in the file; what is no amount of money is none."""
    assert nano(amount) == nanos
    assert (exact(amount) is None) == (nanos is None)


@quick
@given(st.text())
def test_no_amount_is_too_strange(text: str) -> None:
    """Whatever stands there is an amount or none."""
    made = nano(text)
    assert made is None or made >= 0


def test_amounts_are_worded_to_the_last_nano_unit() -> None:
    """Two places at the least, no zeros behind them."""
    assert worded(12_500_000_000, "usd") == "12.50 usd"
    assert worded(1_500_000, "eur") == "0.0015 eur"
    assert worded(-1, "cny") == "-0.000000001 cny"
    assert worded(1_234_567 * NANO, "usd") == "1,234,567.00 usd"
