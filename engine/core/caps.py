"""Caps: the most that a load test may use, asked before every call against the worst that it and all calls in flight can cost.

Pure; owned by the prober.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.money import Currency, Prices, Unpriced, cost, worded, worst
from engine.core.types import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Hard limits of one test, `None` for none. `spend` is in nano-units; tokens are prompt and answer together, or
    characters of a translator; `seconds` go from the first call to the last one sent."""

    spend: int | None = None
    tokens: int | None = None
    requests: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """What a call can use at the most."""

    cost: int | None
    """Nano-units; `None` where the lane has no price."""
    tokens: int


def most(usage: Usage, prices: Prices | None) -> Worst:
    """The worst of a call that weighs so much at the most."""
    found = worst(usage, prices) if prices is not None else None
    return Worst(None if found is None or isinstance(found, Unpriced) else found, _units(usage))


def _units(usage: Usage) -> int:
    return usage.tokens or usage.characters


class Purse:
    """What was used and what is held for calls in flight, under caps. With `prices` of `None` money is not counted."""

    def __init__(self, caps: Caps, prices: Prices | None) -> None:
        self.caps = caps
        self.prices = prices
        self.spent = 0
        """Nano-units."""
        self.tokens = 0
        self.requests = 0
        self._held = 0
        self._held_tokens = 0

    @property
    def currency(self) -> Currency:
        return self.prices.currency if self.prices is not None else "usd"

    def refusal(self, worst: Worst, elapsed: float) -> str | None:
        """Which cap a call might pass, if it were sent now."""
        caps = self.caps
        if caps.requests is not None and self.requests + 1 > caps.requests:
            return f"the cap of {caps.requests:,} requests"
        if caps.seconds is not None and elapsed > caps.seconds:
            return f"the cap of {caps.seconds / 60:g} minutes"
        if caps.tokens is not None and self.tokens + self._held_tokens + worst.tokens > caps.tokens:
            return f"the cap of {caps.tokens:,} tokens"
        if caps.spend is not None and (worst.cost is None or self.spent + self._held + worst.cost > caps.spend):
            return f"the cap of {worded(caps.spend, self.currency)}"
        return None

    def hold(self, worst: Worst) -> None:
        """A call goes out."""
        self.requests += 1
        self._held += worst.cost or 0
        self._held_tokens += worst.tokens

    def settle(self, worst: Worst, used: Usage | None) -> int:
        """It has ended and used so much, `None` for nothing at all; what it cost, in nano-units."""
        self._held -= worst.cost or 0
        self._held_tokens -= worst.tokens
        if used is None:
            return 0
        billed = cost(used, self.prices) if self.prices is not None else 0
        amount = 0 if isinstance(billed, Unpriced) else billed
        self.spent += amount
        self.tokens += _units(used)
        return amount

    def room(self) -> tuple[int | None, int | None, int | None]:
        """What is left of money, tokens and requests, without what is held."""
        caps = self.caps
        return (
            None if caps.spend is None else caps.spend - self.spent - self._held,
            None if caps.tokens is None else caps.tokens - self.tokens - self._held_tokens,
            None if caps.requests is None else caps.requests - self.requests,
        )
