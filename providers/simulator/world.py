"""The simulator itself, without a socket: calls come as plain values, what happens to each is returned as plain data.

Pure: `now` is seconds since the simulator started, and nothing sleeps. A server in real time and a fake wire in virtual time
drive the same accounts through `arrive` and `depart`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from providers.simulator import books, data, dialects
from providers.simulator.account import Account
from providers.simulator.answers import AUTO, Answers, count_tokens, read_grammar
from providers.simulator.books import Page, Price
from providers.simulator.calls import (
    SECOND,
    Answered,
    Facts,
    Kind,
    Reading,
    Received,
    Refusal,
    Refused,
    Response,
    Said,
    Slip,
    Weight,
)
from providers.simulator.dialects import Dialect, Opened, Unreadable
from providers.simulator.script import AccountPlan, Script
from providers.simulator.tables import parsed
from providers.simulator.weather import ABSURD_SECONDS, Event, Fate, Telling, fate

_NOBODY = Facts("", requests=0)
_FREE = Price()
_UNREAD = Weight(requests=1)


class Break(StrEnum):
    """How a connection fails."""

    BEFORE_HEADERS = "before_headers"
    """Reset before anything came back."""
    AFTER_HEADERS = "after_headers"
    """Reset when status and headers had come."""
    IN_BODY = "in_body"
    """Closed when `sent` bytes of the body had come, fewer than the headers promise."""


_BREAKS = MappingProxyType(
    {Event.RESET_BEFORE: Break.BEFORE_HEADERS, Event.RESET_AFTER: Break.AFTER_HEADERS, Event.CUT: Break.IN_BODY}
)


class Call(NamedTuple):
    """A request as it comes. Header names may have any case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    """What stands behind the path, as it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What happens to a call. Whoever drives the world sends it back to `depart` when the call has ended, however it ended."""

    number: int
    account: str
    """Empty where the call belongs to none."""
    admitted: bool
    kind: Kind | None
    """Why there is no answer."""
    status: int
    headers: Mapping[str, str]
    body: bytes
    first_byte: float
    """Seconds from its coming to the first byte that goes back."""
    seconds: float
    """Seconds from its coming to the last one."""
    broken: Break | None = None
    sent: int = 0
    """Bytes of the body that go out."""
    pieces: int = 1
    """Parts in which the body goes out, spread evenly from the first byte to the last."""
    charge: Charge | None = field(default=None, repr=False)


@dataclass(slots=True)
class Charge:
    """What an admitted call still owes its account. Settled once."""

    site: Site
    key: str
    model: str
    weight: Weight
    used: Weight
    broken: str
    settled: bool = False


class Site:
    """An account in action: its limits, its books, its prices and its dialect."""

    def __init__(self, plan: AccountPlan) -> None:
        self.plan = plan
        self.dialect: Dialect = dialects.find(plan.dialect)
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


class World:
    """A script being played. The same calls at the same times meet the same things, whatever runs them."""

    def __init__(self, script: Script, seed: int = 0) -> None:
        self.script = script
        self._seed = seed
        spoken = data.languages() if script.answers.language == AUTO else [script.answers.language]
        grammars = tuple(read_grammar(parsed(data.grammar(language))) for language in spoken)
        self._answers = Answers(grammars, script.answers, seed)
        self.reset()

    def reset(self) -> None:
        """Begin anew, with full quotas and empty books. Calls under way end outside of them."""
        self._sites = {plan.name: Site(plan) for plan in self.script.accounts}
        self._by_prefix: dict[str, list[Site]] = {}
        for site in self._sites.values():
            self._by_prefix.setdefault(site.plan.prefix, []).append(site)
        self._count = 0
        self._strangers = 0

    def arrive(self, call: Call, now: float) -> Arrival:
        """A call comes at `now`, which never decreases: what happens to it, and when."""
        self._count += 1
        at = round(now * SECOND)
        found = self._found(call)
        if found is None:
            self._strangers += 1
            response = Response(
                404, {"content-type": "application/json"}, b'{"error":"no account of the script serves this path"}'
            )
            return self._arrival("", Kind.UNKNOWN, response, 0.0)
        site, path, opened = found
        rng = Random(self._seed * 0x1_0000_0000 + self._count)
        met = fate(site.plan.weather, now, rng)
        visit = _Visit(self._count, site, opened.key, met, now, at, rng)
        if not site.has(opened.key):
            self._strangers += 1
            return self._refused(visit, _NOBODY, _UNREAD, Refused(Kind.AUTH, "This key is not known here."))
        if opened.flaw:
            return self._refused(visit, _NOBODY, _UNREAD, Refused(Kind.UNSIGNED, opened.flaw))
        try:
            facts = site.dialect.read(call.method, path, opened.fields)
        except Unreadable as error:
            return self._refused(visit, _NOBODY, _UNREAD, Refused(error.kind, error.message, status=-1))
        weight = _weight(facts)
        if facts.task == "models":
            return self._arrival(site.plan.name, None, site.dialect.models(site.plan.models, visit.slip(facts.model)), 0.0)
        refused = (
            _struck(met)
            or site.locked(opened.key, now)
            or site.unfit(facts, weight)
            or _bound(site.account.admit(facts.model, weight, at))
        )
        if refused is not None:
            return self._refused(visit, facts, weight, refused)
        return self._admitted(visit, facts, weight)

    def _found(self, call: Call) -> tuple[Site, str, Opened] | None:
        """The account that a call belongs to, its path there, and whose it is. An unknown key falls to the first that serves
        the path, which turns it away."""
        head = "/" + call.path[1:].partition("/")[0]
        own = self._by_prefix.get(head)
        path = call.path[len(head) :] if own else call.path
        headers = {name.lower(): value for name, value in call.headers.items()}
        received = Received(call.method, call.path, call.query, headers, call.body)
        first: tuple[Site, str, Opened] | None = None
        for site in own or self._by_prefix.get("", []):
            if path in site.dialect.paths:
                opened = site.dialect.opened(received, site.plan.keys)
                if site.has(opened.key):
                    return site, path, opened
                first = first or (site, path, opened)
        return first

    def _refused(self, visit: _Visit, facts: Facts, weight: Weight, refused: Refused) -> Arrival:
        site, bound = visit.site, refused.bound
        if site.has(visit.key):
            for page in (site.total, site.page(visit.key)):
                page.refuse(refused.kind, bound.limit if bound else "")
            if bound is None:  # a limit that binds has counted it by itself
                site.account.refused(facts.model, weight, visit.at)
        wait = bound.wait / SECOND if bound and bound.wait is not None else None
        response = site.dialect.refuse(facts, refused, visit.slip(facts.model, wait))
        sky = site.plan.weather.sky_at(visit.now)
        return self._arrival(site.plan.name, refused.kind, response, sky.refusal_seconds.draw(visit.rng))

    def _admitted(self, visit: _Visit, facts: Facts, weight: Weight) -> Arrival:
        site, met = visit.site, visit.met
        said = [self._answers.said(text, facts) for text in facts.texts]
        if met.event is Event.PARTIAL and facts.task == "translation" and len(said) > 1:
            said[int(visit.rng.random() * len(said))] = Said("", "missing")
        out = sum(count_tokens(answer.text) for answer in said) if facts.max_tokens else 0
        used = weight._replace(tokens_out=out)
        response = site.dialect.answer(facts, Answered(tuple(said), used), visit.slip(facts.model))
        broken = _BREAKS.get(met.event)
        if broken is not Break.BEFORE_HEADERS:  # what never reached the client is not billed
            used = used._replace(money=site.price(facts.model).of(used))
        seconds = met.first_byte + out / met.tokens_per_second
        sent, pieces = len(response.body), 1
        match met.event:
            case Event.MALFORMED:
                response = Response(response.status, response.headers, response.body[: sent // 2] + b"<html>")
                sent = len(response.body)
            case Event.CUT:
                sent = int(sent * visit.rng.random())
            case Event.RESET_AFTER | Event.RESET_BEFORE:
                sent = 0
            case Event.DRIP:
                pieces, seconds = 20, met.first_byte + max(seconds, site.plan.weather.sky_at(visit.now).drip_seconds)
        for page in (site.total, site.page(visit.key)):
            page.admit(visit.number, weight, visit.at)
        return Arrival(
            number=visit.number,
            account=site.plan.name,
            admitted=True,
            kind=None,
            status=response.status,
            headers=response.headers,
            body=response.body,
            first_byte=met.first_byte,
            seconds=met.first_byte if broken in (Break.BEFORE_HEADERS, Break.AFTER_HEADERS) else seconds,
            broken=broken,
            sent=sent,
            pieces=pieces,
            charge=Charge(site, visit.key, facts.model, weight, used, broken or ""),
        )

    def _arrival(self, account: str, kind: Kind | None, response: Response, seconds: float) -> Arrival:
        return Arrival(
            number=self._count,
            account=account,
            admitted=False,
            kind=kind,
            status=response.status,
            headers=response.headers,
            body=response.body,
            first_byte=seconds,
            seconds=seconds,
            sent=len(response.body),
        )

    def depart(self, arrival: Arrival, now: float) -> None:
        """The call has ended, or its client has gone: free its place and charge what it used. A second time does nothing."""
        charge = arrival.charge
        if charge is None or charge.settled:
            return
        charge.settled = True
        site = charge.site
        site.account.settle(charge.model, charge.weight, charge.used, round(now * SECOND))
        for page in (site.total, site.page(charge.key)):
            page.depart(arrival.number, charge.used, charge.broken)

    def books(self) -> dict[str, object]:
        """What every account did, as plain data."""
        accounts = {name: books.told(site.total, site.pages, site.account) for name, site in self._sites.items()}
        return {"calls": self._count, "strangers": self._strangers, "accounts": accounts}

    def truth(self) -> dict[str, object]:
        """What clients have to find out: the script's limits, prices and weather, as plain data."""
        return {"seed": self._seed, "answers": asdict(self.script.answers), "accounts": [asdict(a) for a in self.script.accounts]}


class _Visit(NamedTuple):
    """A call on its way through an account."""

    number: int
    site: Site
    key: str
    met: Fate
    now: float
    at: int
    rng: Random

    def slip(self, model: str, hint: float | None = None) -> Slip:
        """Headers as the weather lets them be."""
        match self.met.headers:
            case Telling.TRUE:
                readings = self.site.account.readings(model, self.at)
            case Telling.MISSING:
                readings = ()
            case Telling.WRONG:
                readings = tuple(map(_wrong, self.site.account.readings(model, self.at)))
        match self.met.hint:
            case Telling.MISSING:
                hint = None
            case Telling.WRONG:
                hint = ABSURD_SECONDS
        return Slip(self.number, self.now, readings, hint)


def _wrong(reading: Reading) -> Reading:
    """A tenth of the limit, and all of it free."""
    tenth = max(1, reading.limit // 10)
    return reading._replace(limit=tenth, remaining=tenth, reset=0)


def _struck(met: Fate) -> Refused | None:
    """What the weather refuses, whatever the quota says."""
    if met.event is Event.ERROR:
        return Refused(Kind.OVERLOAD, "The server cannot answer at the moment.", status=met.status)
    if met.event is Event.BARE_429:
        return Refused(Kind.RATE, "Too many requests at the moment.")
    return None


def _bound(refusal: Refusal | None) -> Refused | None:
    return Refused(refusal.kind, f"The limit of {refusal.limit} is reached.", bound=refusal) if refusal else None


def _weight(facts: Facts) -> Weight:
    return Weight(
        requests=facts.requests,
        tokens_in=sum(map(count_tokens, facts.texts)) + facts.extra_tokens if facts.max_tokens else 0,
        tokens_out=facts.max_tokens * len(facts.texts),
        characters=facts.characters,
    )
