"""The simulator itself, without a socket: calls come as plain values, what happens to each is returned as plain data.

Pure: `now` is seconds since the simulator started, and nothing sleeps. A server in real time and a fake wire in virtual time
drive the same accounts through `arrive` and `depart`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from providers.simulator import books, data
from providers.simulator.answers import AUTO, Answers, count_tokens, read_grammar
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
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.script import Script
from providers.simulator.site import Charge, Site
from providers.simulator.streams import ALIVE_SECONDS, Piece, Played, play
from providers.simulator.tables import parsed
from providers.simulator.weather import ABSURD_SECONDS, Event, Fate, Telling, fate

_NOBODY = Facts("", requests=0)
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
    stream: tuple[Piece, ...] = ()
    """Where the answer is a stream, or begins while its call still waits: bytes, and the seconds from its coming when they go
    out, in order; together they are the body. Its length is not told beforehand."""
    charge: Charge | None = field(default=None, repr=False)


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
        answered = _answered(self._answers, facts, weight, site.plan.cached)
        if met.event is Event.PARTIAL and facts.task == "translation" and len(answered.said) > 1:
            answered = _partial(answered, visit.rng)
        for page in (site.total, site.page(visit.key)):
            page.admit(visit.number, weight, visit.at)
        broken = _BREAKS.get(met.event)
        charge = Charge(site, visit.key, facts.model, weight, answered.used, broken or "", visit.now)
        if broken is not Break.BEFORE_HEADERS:  # what never reached the client is not billed
            charge.used = charge.used._replace(money=site.price(facts.model).of(charge.used))
        slip = visit.slip(facts.model)
        if facts.stream and site.talker is not None:
            stream = site.talker.stream(facts, answered, slip)
            drip = site.plan.weather.sky_at(visit.now).drip_seconds
            return self._streamed(visit, stream.headers, play(stream, met, drip, visit.rng), charge)
        arrival = self._whole(visit, site.dialect.answer(facts, answered, slip), charge)
        if site.talker is not None and site.talker.waits and met.form.kept_alive and broken is None:
            waits = tuple((n * ALIVE_SECONDS, site.talker.waits) for n in range(int(met.first_byte / ALIVE_SECONDS) + 1))
            body = b"".join(data for _, data in waits) + arrival.body
            return replace(arrival, stream=(*waits, (arrival.seconds, arrival.body)), body=body, sent=len(body), first_byte=0.0)
        return arrival

    def _whole(self, visit: _Visit, response: Response, charge: Charge) -> Arrival:
        """An answer in one piece, or what the weather leaves of it."""
        met, broken = visit.met, _BREAKS.get(visit.met.event)
        seconds = met.first_byte + charge.used.tokens_out / met.tokens_per_second
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
                pieces, seconds = 20, met.first_byte + max(seconds, visit.site.plan.weather.sky_at(visit.now).drip_seconds)
        return Arrival(
            number=visit.number,
            account=visit.site.plan.name,
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
            charge=charge,
        )

    def _streamed(self, visit: _Visit, headers: Mapping[str, str], played: Played, charge: Charge) -> Arrival:
        """A stream, or what the weather leaves of it. It costs what was made of it."""
        early = charge.broken in (Break.BEFORE_HEADERS, Break.AFTER_HEADERS)
        pieces = () if early else played.pieces
        charge.spoken = () if early else played.spoken
        body = b"".join(data for _, data in pieces)
        return Arrival(
            number=visit.number,
            account=visit.site.plan.name,
            admitted=True,
            kind=None,
            status=200,
            headers=headers,
            body=body,
            first_byte=min(pieces[0][0], visit.met.first_byte) if pieces else visit.met.first_byte,
            seconds=visit.met.first_byte if early else played.seconds,
            broken=_BREAKS.get(visit.met.event),
            sent=len(body),
            stream=pieces,
            charge=charge,
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
        if charge.spoken:
            charge.left(now)
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
        return Slip(self.number, self.now, readings, hint, self.met.form.silent)


def _answered(answers: Answers, facts: Facts, weight: Weight, cached: float) -> Answered:
    """What is said to each text, after what is thought; both share the tokens that the call allows."""
    said, thoughts = [], []
    for text in facts.texts:
        thought = answers.thought(text, facts)
        left = facts.max_tokens - count_tokens(thought)
        thoughts.append(thought)
        if not thought:
            said.append(answers.said(text, facts))
        elif left > 0:
            said.append(answers.said(text, replace(facts, max_tokens=left)))
        else:
            said.append(Said("", "length"))
    made = [*thoughts, *(answer.text for answer in said)]
    out = sum(map(count_tokens, made)) if facts.max_tokens else 0
    from_cache = int(weight.tokens_in * cached)
    used = weight._replace(tokens_out=out, tokens_cached=from_cache)
    return Answered(tuple(said), used, tuple(thoughts), from_cache)


def _partial(answered: Answered, rng: Random) -> Answered:
    """Of several texts one gets no translation."""
    said = list(answered.said)
    said[int(rng.random() * len(said))] = Said("", "missing")
    return replace(answered, said=tuple(said))


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
        bytes=facts.bytes,
    )
