"""A site: an account in action, with its limits, its books, its prices and its dialect, and what a call still owes it.

Pure; `now` is seconds since the simulator started.
"""

from __future__ import annotations

from dataclasses import dataclass

from providers.simulator import dialects
from providers.simulator.account import Account
from providers.simulator.books import Page, Price
from providers.simulator.calls import Facts, Kind, Refused, Weight
from providers.simulator.dialects import Dialect, Talker
from providers.simulator.script import AccountPlan

_FREE = Price()
_GLANCE = 1e-6
"""Seconds that times of floats may be off."""
LEFT = "left"
"""How the books call a stream that its client did not hear to its end."""


@dataclass(slots=True)
class Charge:
    """What an admitted call still owes its account. Settled once."""

    site: Site
    key: str
    model: str
    weight: Weight
    used: Weight
    broken: str
    came: float = 0.0
    spoken: tuple[tuple[float, int], ...] = ()
    """Of a stream, how many tokens had been made in all, and how many seconds after it came: a client that goes away pays for
    those until then."""
    settled: bool = False

    def left(self, now: float) -> None:
        """The client of a stream goes: it pays for what was made until now; if that is not all, it did not wait for the end."""
        elapsed = now - self.came + _GLANCE
        made = max((tokens for when, tokens in self.spoken if when <= elapsed), default=0)
        if elapsed < self.spoken[-1][0] and not self.broken:
            self.broken = LEFT
        self.used = self.used._replace(tokens_out=made)
        self.used = self.used._replace(money=self.site.price(self.model).of(self.used))


class Site:
    """An account in action: its limits, its books, its prices and its dialect."""

    def __init__(self, plan: AccountPlan) -> None:
        self.plan = plan
        self.dialect: Dialect = dialects.find(plan.dialect)
        self.talker = self.dialect if isinstance(self.dialect, Talker) else None
        self.account = Account(plan.limits)
        self.total = Page()
        self.pages = {key: Page() for key in plan.keys or ("any",)}
        self._prices = dict(plan.prices)

    def page(self, key: str) -> Page:
        """A key that the script does not name is not written down: it might be a real one."""
        return self.pages["any" if not self.plan.keys else key]

    def price(self, model: str) -> Price:
        return self._prices.get(model) or self._prices.get("*", _FREE)

    def has(self, key: str) -> bool:
        return not self.plan.keys or key in self.plan.keys

    def locked(self, key: str, seconds: float) -> Refused | None:
        """A key that has been revoked, or credit that has run out by the script."""
        weather = self.plan.weather
        if seconds >= weather.revoked.get(key, float("inf")):
            return Refused(Kind.AUTH, "This key has been revoked.")
        if seconds >= weather.credit_ends:
            return Refused(Kind.QUOTA, "This account has no credit left; see its billing.")
        return None

    def unfit(self, facts: Facts, weight: Weight) -> Refused | None:
        """What no quota has to be asked about."""
        plan = self.plan
        if plan.models and facts.task != "models" and facts.model and facts.model not in plan.models:
            return Refused(Kind.UNKNOWN, f"There is no model {facts.model!r} here.")
        if plan.largest and facts.task == "translation" and facts.longest > plan.largest:
            message = f"A text has {facts.longest} characters, of which {plan.largest} are allowed."
            return Refused(Kind.TOO_BIG, message, most=plan.largest)
        if plan.largest and facts.task != "translation" and (asked := weight.tokens_in + weight.tokens_out) > plan.largest:
            return Refused(Kind.TOO_BIG, f"This model takes {plan.largest} tokens, prompt and answer together, not {asked}.")
        return None
