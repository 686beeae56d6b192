"""What happens to a call beside its quota: how long it takes, whether it breaks, whether its headers tell the truth.

Pure: the fate of a call follows from the time, the script and a source of randomness of the call's own. Times are seconds since
the simulator started.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import NamedTuple

from providers.simulator.tables import Table

ABSURD_SECONDS = 86_400.0
"""A hint that vendors have been seen to send for a limit that cleared within a minute."""
_SPREADS = ("fixed", "uniform", "lognormal")


class Event(StrEnum):
    """What becomes of a call, if its quota lets it pass."""

    ANSWER = "answer"
    BARE_429 = "bare_429"
    """A refusal for which the quota is no reason."""
    ERROR = "error"
    RESET_BEFORE = "reset_before"
    """The connection breaks before the headers."""
    RESET_AFTER = "reset_after"
    CUT = "cut"
    """The connection ends in the middle of the body."""
    DRIP = "drip"
    """The body comes whole, but very slowly."""
    MALFORMED = "malformed"
    """The body is no JSON, or one frame of a stream is none."""
    STREAM_ERROR = "stream_error"
    """A stream fails after some of its text, and says so; any other answer is not touched."""
    UNENDED = "unended"
    """A stream closes in good order after its text, without a word that it ended."""
    PARTIAL = "partial"
    """Of several texts one gets no translation."""


class Telling(StrEnum):
    """How far headers are to be trusted."""

    TRUE = "true"
    MISSING = "missing"
    WRONG = "wrong"
    """Numbers that have nothing to do with the limits; as a hint: a day."""


class Form(NamedTuple):
    """How an answer is written, beside what it says."""

    silent: bool = False
    """It does not tell its usage."""
    crlf: bool = False
    """Lines of a stream end with CR and LF."""
    ragged: bool = False
    """A stream's bytes go out in pieces that are cut anywhere, inside characters as well."""
    kept_alive: bool = False
    """While a call waits, comments come before a stream, and blank lines before JSON, of vendors that do so."""


class Fate(NamedTuple):
    """What the weather holds for one call."""

    event: Event
    status: int
    first_byte: float
    """Seconds."""
    tokens_per_second: float
    headers: Telling
    hint: Telling
    form: Form = Form()


@dataclass(frozen=True, slots=True)
class Spread:
    """Where a number is drawn from: `fixed` at a, `uniform` from a to b, `lognormal` around the median a with sigma b."""

    kind: str
    a: float
    b: float = 0.0

    def draw(self, rng: Random) -> float:
        if self.kind == "fixed":
            return self.a
        if self.kind == "uniform":
            return self.a + (self.b - self.a) * rng.random()
        return self.a * math.exp(rng.gauss(0.0, self.b))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The weather while it does not change."""

    first_byte: Spread = Spread("fixed", 0.3)
    tokens_per_second: Spread = Spread("fixed", 100.0)
    refusal_seconds: Spread = Spread("fixed", 0.02)
    drip_seconds: float = 30.0
    shares: tuple[tuple[Event, int, float], ...] = ()
    """Event, status, share of calls."""
    headers_missing: float = 0.0
    headers_wrong: float = 0.0
    hint_missing: float = 0.0
    hint_absurd: float = 0.0
    usage_missing: float = 0.0
    crlf: float = 0.0
    ragged: float = 0.0
    kept_alive: float = 0.0

    def fate(self, rng: Random) -> Fate:
        left = rng.random()
        event, status = Event.ANSWER, 200
        for kind, code, share in self.shares:
            if left < share:
                event, status = kind, code
                break
            left -= share
        return Fate(
            event,
            status,
            self.first_byte.draw(rng),
            self.tokens_per_second.draw(rng),
            _telling(self.headers_missing, self.headers_wrong, rng),
            _telling(self.hint_missing, self.hint_absurd, rng),
            Form(
                *(bool(share) and rng.random() < share for share in (self.usage_missing, self.crlf, self.ragged, self.kept_alive))
            ),
        )


def _telling(missing: float, wrong: float, rng: Random) -> Telling:
    if not missing and not wrong:
        return Telling.TRUE
    left = rng.random()
    return Telling.MISSING if left < missing else Telling.WRONG if left < missing + wrong else Telling.TRUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """An account's weather over time."""

    sky: Sky = field(default_factory=Sky)
    spells: tuple[tuple[float, float, Sky], ...] = ()
    """From, to, and the sky in between; the last that covers a time counts."""
    outages: tuple[tuple[float, float], ...] = ()
    revoked: Mapping[str, float] = field(default_factory=dict)
    """From when on a key is refused."""
    credit_ends: float = math.inf

    def sky_at(self, seconds: float) -> Sky:
        for start, end, sky in reversed(self.spells):
            if start <= seconds < end:
                return sky
        return self.sky

    def is_out(self, seconds: float) -> bool:
        return any(start <= seconds < end for start, end in self.outages)


_OUT = Fate(Event.ERROR, 503, 0.05, 1.0, Telling.MISSING, Telling.MISSING)


def fate(weather: Weather, seconds: float, rng: Random) -> Fate:
    """What a call that comes at this time meets."""
    if weather.outages and weather.is_out(seconds):
        return _OUT
    return weather.sky_at(seconds).fate(rng)


def read_weather(table: Table) -> Weather:
    """`[accounts.NAME.weather]`."""
    sky = _read_sky(table, Sky())
    spells = []
    for spell in table.tables("spells"):
        spells.append((*_span(spell, spell.number("from"), spell.number("to")), _read_sky(spell, sky)))
        spell.close()
    outages = []
    for pair in table.listed("outages"):
        if not isinstance(pair, list) or len(pair) != 2:
            raise table.wrong("outages", f"must be a list of pairs of seconds, but has {pair!r}")
        start, end = (table.measured("outages", value) for value in pair)
        outages.append(_span(table, start, end, "outages"))
    keys = table.table("revoked")
    weather = Weather(
        sky=sky,
        spells=tuple(spells),
        outages=tuple(outages),
        revoked={key: keys.number(key) for key in keys.names()},
        credit_ends=table.number("credit_ends", math.inf),
    )
    table.close()
    return weather


def _span(table: Table, start: float, end: float, key: str = "to") -> tuple[float, float]:
    if start >= end:
        raise table.wrong(key, f"must end after it starts, but goes from {start:g} to {end:g}")
    return start, end


def _read_sky(table: Table, usual: Sky) -> Sky:
    """A sky as the table says it, `usual` where it says nothing."""
    shares = {(event, status): share for event, status, share in usual.shares}
    named = {
        "rate_without_reason": (Event.BARE_429, 429),
        "reset_before_headers": (Event.RESET_BEFORE, 0),
        "reset_after_headers": (Event.RESET_AFTER, 200),
        "cut_body": (Event.CUT, 200),
        "slow_drip": (Event.DRIP, 200),
        "malformed_json": (Event.MALFORMED, 200),
        "stream_error": (Event.STREAM_ERROR, 200),
        "stream_without_end": (Event.UNENDED, 200),
        "partial_answers": (Event.PARTIAL, 200),
    }
    for key, what in named.items():
        shares[what] = table.share(key, shares.get(what, 0.0))
    errors = table.table("errors")
    for status in errors.names():
        if not status.isdecimal() or not 500 <= int(status) <= 599:
            raise errors.wrong(status, "must be a status from 500 to 599")
        shares[Event.ERROR, int(status)] = errors.share(status)
    if sum(shares.values()) > 1.0 + 1e-9:
        raise table.wrong("", f"has shares that add up to {sum(shares.values()):g}, which is more than 1")
    tellings = ("headers_missing", "headers_wrong", "hint_missing", "hint_absurd")
    forms = ("usage_missing", "crlf", "ragged", "kept_alive")
    told = {key: table.share(key, getattr(usual, key)) for key in (*tellings, *forms)}
    for one, other in (tellings[:2], tellings[2:]):
        if told[one] + told[other] > 1.0 + 1e-9:
            raise table.wrong(one, f"and {other} add up to more than 1")
    return replace(
        usual,
        first_byte=_read_spread(table, "first_byte", usual.first_byte),
        tokens_per_second=_read_spread(table, "tokens_per_second", usual.tokens_per_second, least=1e-3),
        refusal_seconds=_read_spread(table, "refusal_seconds", usual.refusal_seconds),
        drip_seconds=table.number("drip_seconds", usual.drip_seconds),
        shares=tuple((event, status, share) for (event, status), share in shares.items() if share),
        **told,
    )


def _read_spread(table: Table, key: str, usual: Spread, least: float = 0.0) -> Spread:
    """A number, or a table with one of the kinds of spread in it."""
    if key not in table:
        table.value(key)
        return usual
    value = table.value(key)
    if not isinstance(value, dict):
        return Spread("fixed", table.measured(key, value, least))
    inner = table.table(key)
    given = {kind: inner.value(kind) for kind in _SPREADS if kind in inner}
    for kind in _SPREADS:
        inner.value(kind)
    inner.close()
    if len(given) != 1:
        raise table.wrong(key, f"must be a number, or have one of {', '.join(_SPREADS)}")
    ((kind, numbers),) = given.items()
    if kind == "fixed":
        return Spread(kind, inner.measured(kind, numbers, least))
    if not isinstance(numbers, list) or len(numbers) != 2:
        raise inner.wrong(kind, f"must be a pair of numbers, not {numbers!r}")
    a, b = inner.measured(kind, numbers[0], least), inner.measured(kind, numbers[1])
    if kind == "uniform" and b < a:
        raise inner.wrong(kind, f"must go upwards, but goes from {a:g} to {b:g}")
    return Spread(kind, a, b)
