"""A script: accounts with their keys, limits, prices and weather, and how good the answers are. TOML in, plain data out.

Pure. Whatever is wrong raises `ScriptError`, one sentence with its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from providers.simulator import data, dialects
from providers.simulator.account import LimitPlan, read_limit
from providers.simulator.answers import Manners, read_manners
from providers.simulator.books import Price, read_price
from providers.simulator.tables import ScriptError, Table, parsed
from providers.simulator.weather import Weather, read_weather

_PREFIX = re.compile(r"/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlan:
    """One account as the script says it."""

    name: str
    dialect: str = "openai"
    keys: tuple[str, ...] = ()
    """Empty: any key, or none, is taken."""
    prefix: str = ""
    """The part of the path that comes before the vendor's own, such as `/a`."""
    models: tuple[str, ...] = ()
    """Empty: any name is taken."""
    largest: int = 0
    """Tokens of one call, prompt and answer, or characters of one text; 0 is no such limit."""
    cached: float = 0.0
    """Share of each prompt that comes from a cache."""
    prices: tuple[tuple[str, Price], ...] = ()
    """By model; the one named `*` is for all others."""
    limits: tuple[LimitPlan, ...] = ()
    weather: Weather = field(default_factory=Weather)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Everything that a simulator plays."""

    accounts: tuple[AccountPlan, ...]
    answers: Manners = field(default_factory=Manners)


def read(text: str) -> Script:
    """The script in a TOML text."""
    table = parsed(text)
    answers = read_manners(table.table("answers"), data.languages())
    named = table.table("accounts")
    accounts = tuple(_read_account(named.table(name)) for name in named.names())
    table.close()
    if not accounts:
        raise table.wrong("accounts", "has no account; write at least [accounts.a]")
    _apart(accounts, named)
    return Script(accounts=accounts, answers=answers)


def _read_account(table: Table) -> AccountPlan:
    prices = table.table("prices")
    plan = AccountPlan(
        name=table.name,
        dialect=table.word("dialect", "openai", dialects.names()),
        keys=table.words("keys"),
        prefix=table.word("prefix", ""),
        models=table.words("models"),
        largest=table.whole("largest", 0),
        cached=table.share("cached"),
        prices=tuple((model, read_price(prices.table(model))) for model in prices.names()),
        limits=tuple(read_limit(limit) for limit in table.tables("limits")),
        weather=read_weather(table.table("weather")),
    )
    table.close()
    if plan.prefix and not _PREFIX.fullmatch(plan.prefix):
        raise table.wrong("prefix", f'must be one part of a path, such as "/{plan.name}", not {plan.prefix!r}')
    for key in plan.weather.revoked:
        if key not in plan.keys:
            raise table.wrong("weather", f"revokes {key!r}, which is not among the account's keys")
    for limit in plan.limits:
        if limit.model and plan.models and limit.model not in plan.models:
            raise table.wrong("limits", f"has a limit for {limit.model!r}, which is not among the account's models")
    names = [limit.name for limit in plan.limits]
    for name in names:
        if names.count(name) > 1:
            raise table.wrong("limits", f"has two limits called {name!r}; give them names that differ")
    return plan


def _apart(accounts: tuple[AccountPlan, ...], table: Table) -> None:
    """A call must belong to one account: by its prefix and dialect, or else by its key."""
    for n, one in enumerate(accounts):
        for other in accounts[:n]:
            if (one.prefix, one.dialect) != (other.prefix, other.dialect):
                continue
            shared = set(one.keys) & set(other.keys)
            if shared or not one.keys or not other.keys:
                why = f"share the key {min(shared)!r}" if shared else "need keys that tell them apart, or prefixes"
                raise table.wrong(one.name, f"and accounts.{other.name} {why}")


__all__ = ["AccountPlan", "Script", "ScriptError", "read"]
