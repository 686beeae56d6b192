"""Money: what a call costs, exactly, in whole nano-units of the plan's currency (1 USD is 10^9 of them).

Pure. Fractions are kept until the end and rounded up once, so a sum of costs is never below the bill. What has no price is
`Unpriced`, never zero; an own server has prices of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from engine.core.tariff import Currency as Currency
from engine.core.types import Usage

NANO = 1_000_000_000
MILLION = 1_000_000
_LONGEST_EXPONENT = 30
"""No price and no exchange rate has more digits before or behind its point; 1e999999999 would fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a lane's vendor asks: nano-units of `currency` per million of each, `request` per single request.

    `None` is unknown, 0 is free. Without a price of their own cached tokens cost as fresh ones, and reasoning as an answer.
    """

    currency: Currency
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    tokens_reasoning: int | None = None
    characters: int | None = None
    request: int | None = None
    rate: Fraction = Fraction(1)
    """What one unit of `currency` is worth in the plan's currency."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A call uses what the lane has no price for: a plan with a budget cannot send it."""

    measure: str
    """The price that lacks, by its name in `Prices`."""

    def __str__(self) -> str:
        return f"no price for {self.measure}"


@dataclass(frozen=True, slots=True)
class NoRate:
    """The plan gives no usable exchange rate from the currency of a price to its own."""

    currency: Currency
    to: Currency

    def __str__(self) -> str:
        return f"no exchange rate from {self.currency} to {self.to}"


def own_server(currency: Currency) -> Prices:
    """Prices of a server that bills nobody: `price = 0`."""
    return Prices(currency=currency, tokens_in=0, tokens_out=0, characters=0, request=0)


def exact(amount: int | float | str) -> Fraction | None:
    """The decimal number that somebody wrote, 0.1 as one tenth; `None` if it is negative, not finite or no number.

    A float is taken as its shortest decimal form, which is what stood in the file.
    """
    try:
        decimal = Decimal(str(amount).strip())
    except InvalidOperation:
        return None
    if not decimal.is_finite() or decimal < 0 or abs(decimal.adjusted()) > _LONGEST_EXPONENT:
        return None
    return Fraction(decimal)


def nano(amount: int | float | str) -> int | None:
    """A sum of money, or a price per million, in nano-units; digits behind the ninth are rounded up. `None` as in `exact`."""
    fraction = exact(amount)
    return None if fraction is None else _up(fraction.numerator * NANO, fraction.denominator)


def converted(prices: Prices, rates: Mapping[Currency, Fraction], to: Currency) -> Prices | NoRate:
    """The same prices counted in the currency `to`. `rates` come from the plan: what one unit is worth in `to`."""
    if prices.currency == to:
        return replace(prices, rate=Fraction(1))
    rate = rates.get(prices.currency)
    if rate is None or rate <= 0:  # a rate of zero would make everything free
        return NoRate(prices.currency, to)
    return replace(prices, rate=rate)


def cost(usage: Usage, prices: Prices) -> int | Unpriced:
    """Nano-units that the vendor bills for a call of this usage: the sum over all that has a price, rounded up once."""
    if (lack := lacking(usage, prices)) is not None:
        return lack
    fresh, answer = prices.tokens_in or 0, prices.tokens_out or 0
    cached = fresh if prices.tokens_cached is None else prices.tokens_cached
    reasoning = answer if prices.tokens_reasoning is None else prices.tokens_reasoning
    tokens = (
        usage.tokens_in * fresh + usage.tokens_cached * cached + usage.tokens_out * answer + usage.tokens_reasoning * reasoning
    )
    return _billed(tokens, usage, prices)


def worst(usage: Usage, prices: Prices) -> int | Unpriced:
    """Nano-units that a call of at most this usage can cost: every token at the dearest price that may apply to it.

    What the cache will hold and how much of an answer is reasoning is not known before the call.
    """
    if (lack := lacking(usage, prices)) is not None:
        return lack
    prompt = max(prices.tokens_in or 0, prices.tokens_cached or 0)
    answer = max(prices.tokens_out or 0, prices.tokens_reasoning or 0)
    return _billed(usage.prompt * prompt + usage.answer * answer, usage, prices)


def lacking(usage: Usage, prices: Prices) -> Unpriced | None:
    """The price without which the usage cannot be billed, if any.

    A vendor bills by tokens (then prompt and answer both need a price), by characters, by requests, or by several of them;
    at least one price must apply to what a call uses.
    """
    by_tokens = not (prices.tokens_in is None and prices.tokens_out is None) or (
        prices.tokens_cached is not None or prices.tokens_reasoning is not None
    )
    if by_tokens:
        if usage.prompt and prices.tokens_in is None:
            return Unpriced("tokens_in")
        if usage.answer and prices.tokens_out is None:
            return Unpriced("tokens_out")
    if prices.request is not None or (usage.tokens and by_tokens):
        return None
    if usage.characters:
        return Unpriced("characters") if prices.characters is None else None
    if usage.tokens:
        return Unpriced("tokens_in" if usage.prompt else "tokens_out")
    return None if by_tokens or prices.characters is not None else Unpriced("request")


def worded(amount: int, currency: str) -> str:
    """A sum for people, to the last nano-unit that is not zero: "0.0015 usd", "12.50 usd"."""
    whole, rest = divmod(abs(amount), NANO)
    digits = f"{rest:09}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole:,}.{digits} {currency}"


def brief(amount: int, currency: str) -> str:
    """A sum for people who watch it grow, to the hundredth of a cent: "12.3450 usd"."""
    return f"{amount / NANO:,.4f} {currency}"


def fine(amount: int, currency: str) -> str:
    """A sum that may be a small part of a cent, to its second digit there: "0.0000036 usd", "0.50 usd"."""
    if 0 < abs(amount) < NANO // 100:
        return worded(round(amount, 2 - len(str(abs(amount)))), currency)
    return worded(round(amount, -5), currency)


def _billed(tokens: int, usage: Usage, prices: Prices) -> int:
    millionths = tokens + usage.characters * (prices.characters or 0) + usage.requests * (prices.request or 0) * MILLION
    return _up(millionths * prices.rate.numerator, MILLION * prices.rate.denominator)


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
