"""What every key of every account has done: the truth that a client's own figures are held against.

Pure. Money is in whole nano-units, times in seconds since the simulator started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.simulator.account import Account, Limit
from providers.simulator.calls import SECOND, Kind, Weight
from providers.simulator.tables import Table

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Nano-units for a million of each, so that a price of 0.0375 a million tokens is a whole number."""

    tokens_in: int = 0
    tokens_out: int = 0
    characters: int = 0
    requests: int = 0
    tokens_cached: int | None = None
    """Prompt tokens that came from a cache; `None`: as the others."""

    def of(self, used: Weight) -> int:
        """What a call costs in nano-units, a part of one rounded up."""
        cached = self.tokens_in if self.tokens_cached is None else self.tokens_cached
        parts = (
            (used.tokens_in - used.tokens_cached) * self.tokens_in
            + used.tokens_cached * cached
            + used.tokens_out * self.tokens_out
            + used.characters * self.characters
            + used.requests * self.requests
        )
        return -(-parts // _MILLION)


def read_price(table: Table) -> Price:
    """A price in units of money for a million tokens, characters or requests."""
    names = ("tokens_in", "tokens_out", "characters", "requests")
    nano = {name: round(table.number(name, 0.0) * 1_000_000_000) for name in names}
    cached = round(table.number("tokens_cached", 0.0) * 1_000_000_000) if "tokens_cached" in table else None
    table.value("tokens_cached")
    table.close()
    return Price(**nano, tokens_cached=cached)


@dataclass(slots=True)
class Page:
    """The book of one key, or of a whole account."""

    calls: int = 0
    admitted: int = 0
    answered: int = 0
    """Whole answers that were sent."""
    broken: Counter[str] = field(default_factory=Counter)
    """Admitted calls whose answer broke on its way."""
    refused: Counter[str] = field(default_factory=Counter)
    bound: Counter[str] = field(default_factory=Counter)
    """How often each limit was the one that refused."""
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    characters: int = 0
    money: int = 0
    peak: int = 0
    seconds: list[list[int]] = field(default_factory=list)
    """Second, requests, tokens as reserved and characters admitted in it; seconds without any are left out."""
    _inside: set[int] = field(default_factory=set)

    @property
    def in_flight(self) -> int:
        return len(self._inside)

    def refuse(self, kind: Kind, bound: str) -> None:
        self.calls += 1
        self.refused[kind] += 1
        if bound:
            self.bound[bound] += 1

    def admit(self, number: int, weight: Weight, now: int) -> None:
        self.calls += 1
        self.admitted += 1
        self._inside.add(number)
        self.peak = max(self.peak, len(self._inside))
        second = now // SECOND
        if not self.seconds or self.seconds[-1][0] != second:
            self.seconds.append([second, 0, 0, 0])
        row = self.seconds[-1]
        row[1] += weight.requests
        row[2] += weight.tokens_in + weight.tokens_out
        row[3] += weight.characters

    def depart(self, number: int, used: Weight, broken: str) -> None:
        """A call ended; `broken` says how its answer broke, if it did."""
        self._inside.discard(number)
        self.tokens_in += used.tokens_in
        self.tokens_cached += used.tokens_cached
        self.tokens_out += used.tokens_out
        self.characters += used.characters
        self.money += used.money
        if broken:
            self.broken[broken] += 1
        else:
            self.answered += 1

    def told(self) -> dict[str, object]:
        """The page as plain data."""
        return {
            "calls": self.calls,
            "admitted": self.admitted,
            "answered": self.answered,
            "broken": _plain(self.broken),
            "refused": _plain(self.refused),
            "bound": _plain(self.bound),
            "tokens_in": self.tokens_in,
            "tokens_cached": self.tokens_cached,
            "tokens_out": self.tokens_out,
            "characters": self.characters,
            "money_nano": self.money,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak,
            "accepted_per_second": self.seconds,
        }


def _plain(counts: Counter[str]) -> dict[str, int]:
    return {str(name): count for name, count in counts.items()}


def told(total: Page, pages: Mapping[str, Page], account: Account) -> dict[str, object]:
    """An account's book as plain data: its sum, its keys, and how far each limit was used."""
    return {
        **total.told(),
        "keys": {key: page.told() for key, page in pages.items()},
        "limits": [_used(limit) for limit in account.limits],
    }


def _used(limit: Limit) -> dict[str, object]:
    """What a limit let through from the first to the last call, beside the most that it could have (its burst included) and
    what it refills in that time."""
    span = limit.last - limit.first
    steady = limit.plan.limit * span / (limit.plan.period * SECOND) if limit.plan.period else None
    return {
        "name": limit.plan.name,
        "kind": limit.plan.kind,
        "of": str(limit.plan.of),
        "accepted": limit.taken,
        "seconds": span / SECOND,
        "most": limit.limiter.most(span),
        "steady": steady,
    }
