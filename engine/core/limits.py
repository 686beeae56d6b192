"""Limits: what an answer's headers and body say about limits, and how long its server asks to wait.

Pure; anybody may call it with whatever a server sent: nothing here raises for it. Header names are lower-case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

_LONGEST = 64
"""Characters of a header's value that says anything about limits; regular expressions see no more."""
_GREATEST = 10**15
"""A count above it is no limit of anything."""
_BODY = 65_536
"""Bytes of an error answer that is read for a hint."""
_EPOCH, _EPOCH_END = 1e9, 1e10
"""A number in between is a time in seconds since 1970 (2001 to 2286), a thousand times that one in milliseconds. Less is a
wait, and what lies between or above is nothing."""

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|h|m|s))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")
_SENTENCE = re.compile(
    r"(?:try again|retry) (?:in|after) +(?:(?P<duration>(?:\d+(?:\.\d+)?(?:ms|h|m|s))+)\b"
    r"|(?P<number>\d+(?:\.\d+)?) *(?P<unit>milli|sec|min|hour|ms\b|s\b|m\b|h\b))",
    re.IGNORECASE | re.ASCII,
)
_SPOKEN_UNITS = _UNITS | {"milli": 1e-3, "sec": 1.0, "min": 60.0, "hour": 3600.0}


class Dimension(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    TOKENS_IN = "tokens_in"
    TOKENS_OUT = "tokens_out"
    CHARACTERS = "characters"


@dataclass(frozen=True, slots=True)
class Reading:
    """One limit as a server told it; `None` is not told, or told to be unknown."""

    dimension: Dimension
    limit: int | None
    remaining: int | None
    """Zero means that nothing is left."""
    reset_seconds: float | None
    """Until it is full again (OpenAI) or its window ends."""
    period: float | None = None
    """Seconds of its window where the name of the header tells it."""


@dataclass(slots=True)
class _Clock:
    """What time it is for the server: its answer's `date`, else ours. The date is read when first needed, and once."""

    date: str | None
    now_utc: float | None

    def now(self) -> float | None:
        if self.date is not None:
            told = _time(self.date) if len(self.date) <= _LONGEST else None
            self.date, self.now_utc = None, self.now_utc if told is None else told
        return self.now_utc


class _Name(NamedTuple):
    """What a header's name says."""

    dimension: Dimension
    period: float | None
    tells: str


_PREFIX = re.compile(r"(?:x-|anthropic-)?rate-?limit(bysize)?-")
_TELLS = ("limit", "remaining", "reset")
_WORDS = {
    "requests": Dimension.REQUESTS,
    "request": Dimension.REQUESTS,
    "req": Dimension.REQUESTS,
    "tokens": Dimension.TOKENS,
    "token": Dimension.TOKENS,
    "input-tokens": Dimension.TOKENS_IN,
    "tokens-input": Dimension.TOKENS_IN,
    "tokens-prompt": Dimension.TOKENS_IN,
    "output-tokens": Dimension.TOKENS_OUT,
    "tokens-output": Dimension.TOKENS_OUT,
    "tokens-generated": Dimension.TOKENS_OUT,
    "characters": Dimension.CHARACTERS,
    "chars": Dimension.CHARACTERS,
}
_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "month": 30 * 86_400.0}


def hint(headers: Mapping[str, str], now_utc: float | None) -> float | None:
    """Seconds that the server asks to wait: what it asks outright, else the largest reset of the limits that are used up, or of
    which it does not tell what is left.

    Only for an answer that says that a limit was passed: an overloaded server tells its limits too, and they are not why.
    """
    if (seconds := asked(headers, now_utc)) is not None:
        return seconds
    resets = [reading.reset_seconds or 0.0 for reading in readings(headers, now_utc) if not reading.remaining]
    return max(resets, default=0.0) or None  # a window that has just ended is no reason to ask at once, again and again


def asked(headers: Mapping[str, str], now_utc: float | None) -> float | None:
    """Seconds that the server asks to wait outright: `retry-after-ms`, or else `retry-after`.

    Times are read against the answer's own `date`, then `now_utc` (UTC seconds); with neither a time is no hint. A wait that
    would be over is 0. What is not finite, negative or no number is no hint.
    """
    if (value := headers.get("retry-after-ms")) is not None and (number := _number(value)) is not None and number < 1e3 * _EPOCH:
        return number * 1e-3
    value = headers.get("retry-after")
    return None if value is None else _seconds(value, _Clock(headers.get("date"), now_utc))


def readings(headers: Mapping[str, str], now_utc: float | None) -> tuple[Reading, ...]:
    """The limits that headers tell of, by dimension and period. Names without a meaning known here are passed over.

    Where several headers tell the same, the stricter one counts.
    """
    if "limit" not in "\n".join(headers):  # one search instead of one a header: most answers tell nothing
        return ()
    clock = _Clock(headers.get("date"), now_utc)
    found: dict[tuple[Dimension, float | None], dict[str, float]] = {}
    for name, value in headers.items():
        if (known := _name(name)) is None:
            continue
        told = found.setdefault((known.dimension, known.period), {})
        if known.tells == "reset":
            seconds = _seconds(value, clock)
            if seconds is not None:
                told["reset"] = max(seconds, told.get("reset", 0.0))
        elif (count := _count(value)) is not None:
            told[known.tells] = min(count, told.get(known.tells, count))
    made = [_reading(dimension, period, told) for (dimension, period), told in found.items()]
    return tuple(sorted((reading for reading in made if reading is not None), key=lambda it: (it.dimension, it.period or 0.0)))


def body_hint(body: bytes) -> float | None:
    """Seconds that the body of an error answer asks to wait: Google's `retryDelay`, or a sentence like "try again in 1.2s".

    The text of a message never says what kind of fault it is, only how long to wait once that is known otherwise.
    """
    try:
        data = orjson.loads(body) if len(body) <= _BODY else None
    except orjson.JSONDecodeError:
        return None
    if isinstance(data, list) and data:
        data = data[0]  # Gemini's stream without `alt=sse` wraps an error in a list
    error = data.get("error", data) if isinstance(data, dict) else None
    if isinstance(error, str):
        return _spoken(error)
    if not isinstance(error, dict):
        return None
    delays = [_delay(detail) for detail in _listed(error.get("details"))]
    told = [delay for delay in delays if delay is not None]
    message = error.get("message")
    return max(told) if told else _spoken(message) if isinstance(message, str) else None


def _reading(dimension: Dimension, period: float | None, told: Mapping[str, float]) -> Reading | None:
    """`None` where nothing is known. A limit or a rest of -1 says "unknown", and then a reset of 0 says so too."""
    limit, remaining, reset = told.get("limit"), told.get("remaining"), told.get("reset")
    unknown = (limit is not None and limit < 0) or (remaining is not None and remaining < 0)
    limit = None if limit is None or limit < 0 else int(limit)
    remaining = None if remaining is None or remaining < 0 else int(remaining)
    if unknown and not reset:
        reset = None
    if limit is None and remaining is None and reset is None:
        return None
    return Reading(dimension, limit, remaining, reset, period)


@lru_cache(maxsize=256)  # a vendor sends the same names with every answer, and taking one apart costs as much as all the rest
def _name(name: str) -> _Name | None:
    """OpenAI puts what is told before what it is about (`x-ratelimit-limit-tokens`), Anthropic behind it; Mistral's names end
    with a period, and Azure once misspelt the first word. Without a subject of its own a limit is about requests."""
    match = _PREFIX.match(name) if len(name) <= _LONGEST else None
    if match is None:
        return None
    words = name[match.end() :].split("-")
    tells = [word for word in words if word in _TELLS]
    period = [_PERIODS[word] for word in words if word in _PERIODS]
    subject = "-".join(word for word in words if word not in _TELLS and word not in _PERIODS)
    default = Dimension.TOKENS if match.group(1) else Dimension.REQUESTS
    dimension = _WORDS.get(subject) if subject else default
    if len(tells) != 1 or len(period) > 1 or dimension is None:
        return None
    if match.group(1) and not period:
        period = [60.0]  # Mistral's `ratelimitbysize-reset` is about the minute
    return _Name(dimension, period[0] if period else None, tells[0])


def _count(value: str) -> float | None:
    """A number of things, -1 included. Lists and parameters of the standard's drafts ("100, 100;w=60") are cut off."""
    try:
        number = float(value[:_LONGEST].partition(",")[0].partition(";")[0])
    except ValueError:
        return None
    return number if -_GREATEST <= number <= _GREATEST else None


def _number(value: str) -> float | None:
    """A finite number that is not negative."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds(value: str, clock: _Clock) -> float | None:
    """Seconds to wait, in any of the forms that servers use: a number, a duration like 6m0s, or a time."""
    if len(value) > _LONGEST:
        return None
    if (number := _number(value)) is not None:
        if number < _EPOCH:
            return number
        until = number if number < _EPOCH_END else number * 1e-3 if 1e3 * _EPOCH <= number < 1e3 * _EPOCH_END else None
    elif (length := _duration(value.strip())) is not None:
        return length if length < _EPOCH else None
    else:
        until = _time(value)
    if until is None:
        return None
    now = clock.now()
    return None if now is None else max(0.0, until - now)


def _duration(text: str) -> float | None:
    """A duration as Go writes it: 12ms, 7.66s, 1h2m3s."""
    if _DURATION.fullmatch(text) is None:
        return None
    return math.fsum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _time(text: str) -> float | None:
    """UTC seconds of an RFC 3339 or an HTTP date; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text.strip()) if _RFC3339.match(text.strip()) else parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):  # what the standard library does with nonsense
        return None


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _delay(detail: Any) -> float | None:
    """The wait in Google's `RetryInfo`, "47s"."""
    delay = detail.get("retryDelay") if isinstance(detail, dict) else None
    length = _duration(delay) if isinstance(delay, str) and len(delay) <= _LONGEST else None
    return length if length is not None and length < _EPOCH else None


def _spoken(text: str) -> float | None:
    """The wait in a sentence: "try again in 1.2s", "retry after 6 seconds", "try again in 6m0s"."""
    if (match := _SENTENCE.search(text[:_BODY])) is None:
        return None
    if (duration := match["duration"]) is not None:
        length = _duration(duration.lower())
    else:
        length = float(match["number"]) * _SPOKEN_UNITS[match["unit"].lower()]
    return length if length is not None and length < _EPOCH else None
