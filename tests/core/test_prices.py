"""Prices: every row is plausible and dated, and a name finds its own row or none."""

from __future__ import annotations

import re
from datetime import date
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import prices
from engine.core.money import Currency, cost
from engine.core.prices import LISTED, Listed, Source, Unlisted, find, nearest
from engine.core.types import Usage

quick = settings(max_examples=100, deadline=None, derandomize=True)

ROWS = list(LISTED.values())
CURRENCIES: tuple[Currency, ...] = get_args(Currency)


def listed(model: str, currency: Currency = "usd") -> Listed:
    row = find(model, currency)
    assert isinstance(row, Listed)
    return row


def test_no_row_is_written_twice() -> None:
    """A second row for a model and currency would hide the first."""
    lines = re.findall(r"^[a-z]+ .*$", prices._MODELS + prices._TRANSLATORS, re.MULTILINE)
    assert len(lines) == len(LISTED) > 90


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model}-{row.prices.currency}")
def test_every_row_is_plausible(row: Listed) -> None:
    """Cached input costs less than fresh, answers not less than questions; nothing is dearer than 200 a million."""
    price = row.prices
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", row.model)
    if price.characters is None:
        assert price.tokens_in is not None
        assert price.tokens_out is not None
        assert 0 < (price.tokens_cached or 1) < price.tokens_in <= price.tokens_out
        assert price.tokens_out <= 200 * 10**9
        assert isinstance(cost(Usage(tokens_in=1, tokens_cached=1, tokens_out=1, tokens_reasoning=1), price), int)
    else:
        assert price.tokens_in is price.tokens_out is None
        assert 5 * 10**9 <= price.characters <= 100 * 10**9
        assert isinstance(cost(Usage(characters=1), price), int)
    assert row.up_to is None or 100_000 <= row.up_to <= 1_000_000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model}-{row.prices.currency}")
def test_every_row_says_when_it_was_known(row: Listed) -> None:
    """A day where somebody looked at the vendor's page on it, a month where not."""
    assert re.fullmatch(r"\d{4}-\d\d(-\d\d)?", row.as_of)
    date.fromisoformat(row.as_of if len(row.as_of) == 10 else f"{row.as_of}-01")
    assert (row.source is Source.COLLECTED) == (len(row.as_of) == 10)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4.1-2025-04-14", "gpt-4.1"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("deepl", "deepl"),
    ],
)
def test_a_dated_name_finds_its_model(model: str, found: str) -> None:
    """An exact name comes first, then the whole name before the date."""
    assert listed(model).model == found


@pytest.mark.parametrize(
    "model",
    [
        "",
        "gpt",
        "gpt-4o-max",
        "gpt-4o-mini-2024-13-18",
        "gpt-4o-mini-2024-07-18-ft",
        "gpt-4o-mini-20240718x",
        "gpt-4o-0718",
        "openai/gpt-4o",
        "GPT-4o",
        "claude-opus-4-9",
        "gpt-3.5-turbo-2023-06-13",
        "qwen-max-2024-09-19",
        "mistral-large-latest",
        "-2024-07-18",
    ],
)
def test_no_name_is_guessed(model: str) -> None:
    """Unknown variants, and snapshots of models whose snapshots are priced apart, have no price."""
    assert find(model, "usd") == Unlisted(model, nearest(model))


def test_near_names_are_offered() -> None:
    """For a message, at most three."""
    assert nearest("GPT-4o-mni")[0] == "gpt-4o-mini"
    assert nearest("claude-sonet-4-5")[0] == "claude-sonnet-4-5"
    assert len(nearest("gpt-5")) <= 3
    assert nearest("§§§") == ()


def test_the_currency_chooses_among_two_lists() -> None:
    """Vendors with a platform at home and one abroad ask different prices; where there is one list, it is that one."""
    assert listed("deepseek-chat", "cny").prices.currency == "cny"
    assert listed("deepseek-chat", "usd").prices.currency == "usd"
    assert listed("qwen-max", "usd").prices.currency == "cny"
    assert listed("deepseek-chat", "eur").prices.currency == "usd"


def test_rows_hold_their_figures() -> None:
    """In nano-units a million, with what limits the row."""
    mini = listed("gpt-4o-mini")
    assert (mini.prices.tokens_in, mini.prices.tokens_cached, mini.prices.tokens_out) == (150_000_000, 75_000_000, 600_000_000)
    assert (mini.vendor, mini.as_of, mini.source) == ("openai", "2025-07-04", Source.COLLECTED)
    assert listed("gemini-2.5-pro").up_to == 200_000
    assert listed("amazon-translate").remark == "standard translation"
    assert listed("youdao").prices.characters == 48 * 10**9


@quick
@given(
    st.text(max_size=40)
    | st.sampled_from([row.model for row in ROWS]).flatmap(lambda name: st.text(max_size=12).map(name.__add__))
)
def test_a_row_is_only_found_by_a_name_that_begins_with_its_own(model: str) -> None:
    """Whatever is asked for, and whatever stands behind a known name."""
    for currency in CURRENCIES:
        row = find(model, currency)
        if isinstance(row, Listed):
            assert re.fullmatch(re.escape(row.model) + r"(-[0-9-]{8,10})?", model)
        else:
            assert len(row.nearest) <= 3
