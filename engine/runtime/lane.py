"""Lane: a model of a provider as it runs, with its key, its own headers and its way through the network.

Made by the composition root from the plan; it belongs to an `Account`, which asks it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from msgspec import structs

from engine.core.http import HttpRequest, Route
from engine.core.reach import Reach
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Style, Translation, Usage
from engine.runtime.keys import Key, forms, found, of_address
from engine.runtime.wire import environment_proxies, trust
from providers import Provider


@dataclass(slots=True)
class Lane:
    """A model of a provider, as it runs."""

    name: str
    plan: LanePlan
    provider: Provider
    roles: frozenset[str]
    style: Style
    key: Key = field(default_factory=lambda: Key(None), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The plan's own headers, with what it only names looked up."""
    route: Route = field(default_factory=Route, repr=False)
    fate: Callable[[], str | None] = lambda: None
    """Why the lane's server is gone, where it is ours; asked when a call fails."""
    reach: Reach = field(default_factory=Reach, repr=False)
    """Whether its address was ever reached."""
    closed: str | None = None
    """Why it takes no more work."""
    dearness: float = 0.0
    """What it costs, in any unit that all lanes share: the cheaper one is asked first."""
    held: str | None = None
    """Why it takes no work for now, where somebody wants it so; calls in flight finish."""
    faults: Counter[str] = field(default_factory=Counter)
    """How its attempts have failed since the process began, by kind."""

    lacks: frozenset[str] = frozenset()
    """Steps of its roles that it cannot serve: it does not have the languages."""
    _weighed: tuple[Call | None, Usage] = field(default=(None, Usage()), repr=False)
    """The last call that was weighed, with its weight."""

    @property
    def engine(self) -> str:
        """Who answers here; a key, or a name in a plan, makes no other engine of it."""
        return "|".join((self.plan.provider, self.plan.base_url or "", self.plan.model))

    @property
    def working(self) -> bool:
        return self.closed is None and self.held is None

    def weigh(self, call: Call) -> Usage:
        """What a call weighs at the most: a model that may think does so on top of the answer that it is asked for."""
        if call is not self._weighed[0]:  # for its quota, and for its money
            usage, thinking = self.provider.weigh(call), self.plan.reasoning_tokens
            more = thinking and usage.tokens_out
            self._weighed = call, structs.replace(usage, tokens_out=usage.tokens_out + thinking) if more else usage
        return self._weighed[1]

    def bounded(self, usage: Usage, call: Call) -> Usage:
        """What a call used at the most of which its server did not tell: a model may have thought out of sight."""
        if not (self.plan.reasoning_tokens and usage.estimated) or usage.tokens_reasoning:
            return usage
        room = self.weigh(call).answer - usage.answer
        return structs.replace(usage, tokens_reasoning=max(0, min(self.plan.reasoning_tokens, room)))

    def equip(self) -> None:
        """Look up what the plan only names: key, headers, proxy and certificates. Raises `LaneError`, which shows none of it."""
        self.key = Key(self.plan.key or self.provider.key(self.plan))
        self.key.read()
        self.headers = {name: found(value) for name, value in self.plan.headers.items()}
        trust(self.plan.ca_bundle)
        self.route = Route(None if self.plan.proxy is None else found(self.plan.proxy), self.plan.ca_bundle)

    def equipped(self, request: HttpRequest) -> HttpRequest:
        """The request with what the plan adds to all of this lane's."""
        if not self.headers and self.route == request.route:
            return request
        return replace(request, headers={**request.headers, **self.headers}, route=self.route)

    def secrets(self) -> list[str]:
        """What must be told nowhere: its key, what its headers hold that the plan only names, passwords of its proxies; each in
        the forms that a server may repeat."""
        found = self.key.value.split("\n")
        for name, value in self.headers.items():
            if value != self.plan.headers.get(name):
                found += [value, value.rpartition(" ")[2]]  # "Bearer …" is told without its first word, too
        proxies = environment_proxies() if self.route.proxy is None else [self.route.proxy]
        found += [secret for proxy in proxies for secret in of_address(proxy)]
        return [form for secret in found if secret for form in forms(secret)]

    def close(self, reason: str) -> None:
        self.closed = self.closed or reason

    @property
    def rank(self) -> tuple[float, float]:
        """Lower is asked first."""
        return self.dearness, -self.plan.weight


def cheapest(lane: Lane) -> Call:
    """The least that can be asked of a lane: one token, or a word to translate."""
    decoding = Decoding(max_tokens=1)
    if Translation in lane.provider.accepts:
        return Translation("water", "en", "es")
    return Chat((Message("user", "Hi"),), decoding) if lane.style == "chat" else Completion("1, 2, 3,", decoding)
