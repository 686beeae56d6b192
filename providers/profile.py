"""Profiles: what a server that speaks OpenAI's dialect does its own way, as data. One file each for well-known vendors.

Pure. A profile says where the server is, how it names and limits settings, what its error codes and finish reasons mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from engine.core import limits
from engine.core.faults import Fault, FaultKind
from engine.core.http import MOVED, REDIRECTS, HttpResponse
from engine.core.schema import is_closed
from engine.core.types import Chat, Completion, Decoding, Stop
from providers.reading import Body, shortened

STOPS = MappingProxyType(
    {
        "stop": Stop.END,
        "length": Stop.LENGTH,
        "content_filter": Stop.REFUSED,
        "error": Stop.BROKEN,  # OpenRouter, Mistral
        "abort": Stop.BROKEN,  # vLLM
        "repetition": Stop.LENGTH,  # vLLM, which cuts a text that repeats itself
    }
)
CODES = MappingProxyType(
    {
        "insufficient_quota": FaultKind.QUOTA,
        "billing_hard_limit_reached": FaultKind.QUOTA,
        "credit_balance_exhausted": FaultKind.QUOTA,
        "rate_limit_exceeded": FaultKind.RATE,
        "slow_down": FaultKind.BURST,
        "context_length_exceeded": FaultKind.TOO_BIG,
        "exceed_context_size_error": FaultKind.TOO_BIG,  # llama.cpp
        "string_above_max_length": FaultKind.TOO_BIG,
        "content_filter": FaultKind.REFUSED,
        "content_policy_violation": FaultKind.REFUSED,
        "invalid_api_key": FaultKind.AUTH,
        "model_not_found": FaultKind.AUTH,
        "unavailable_error": FaultKind.OVERLOAD,  # llama.cpp, while it loads
    }
)
"""Error codes and types, from OpenAI's API reference and from servers that follow it."""
_STATUSES = MappingProxyType(
    {
        400: FaultKind.BAD,
        401: FaultKind.AUTH,
        402: FaultKind.QUOTA,
        403: FaultKind.AUTH,
        404: FaultKind.AUTH,
        405: FaultKind.AUTH,
        408: FaultKind.NETWORK,
        409: FaultKind.OVERLOAD,
        413: FaultKind.TOO_BIG,
        422: FaultKind.BAD,
        429: FaultKind.RATE,
        501: FaultKind.BAD,
    }
)
_LIMIT = re.compile(r"\bLimit:? (\d+)\b.{0,80}?\bRequested:? (\d+)\b", re.DOTALL)
SETTINGS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias")


class Enforced(StrEnum):
    """How a server can be made to answer in JSON."""

    SCHEMA = "schema"
    """By `response_format` of type `json_schema`."""
    FIELD = "field"
    """By a field `json_schema`."""
    OBJECT = "object"
    """By `response_format` of type `json_object`, for any object; the schema is asked for in words."""
    WORDS = "words"
    """Not at all; the schema is asked for in words."""


class Rule(NamedTuple):
    """What models whose name matches do differently."""

    models: re.Pattern[str]
    refuses: tuple[str, ...]
    """Settings: any of `SETTINGS`, or `stop`."""
    limit: str | None = None
    """Their name for the most tokens of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A server's peculiarities. What is not said here is as in OpenAI's own reference."""

    homes: tuple[str, ...] = ()
    """Addresses of the vendor, the usual one first; the key is sent to none but these, unless a lane names a key."""
    key: str | None = None
    """Where the key usually is."""
    accepts: tuple[type, ...] = (Chat, Completion)
    models: bool = True
    """Whether a request has to name a model."""
    limit: str = "max_tokens"
    """The name of the most tokens that a chat's answer may have; completions have but one name for it."""
    refuses: tuple[str, ...] = ()
    """Settings that are refused, or have no effect."""
    rules: tuple[Rule, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Settings that have another name on the wire."""
    hottest: float = 2.0
    """A temperature above it is lowered to it."""
    greedy: Mapping[str, Any] = field(default_factory=dict)
    """What is sent for a temperature of 0, where that is not taken."""
    no_top_p: bool = True
    """A `top_p` of 0 is left out: most servers want it above 0, and with a temperature of 0 it says nothing more."""
    stops: int = 64
    """Stop sequences that a request may have."""
    longest_stop: int = 1000
    """Bytes of one."""
    schema: Enforced = Enforced.SCHEMA
    schema_of_completions: Enforced = Enforced.SCHEMA
    asks_usage: bool = True
    """A stream tells its usage only when it is asked for (`stream_options`)."""
    codes: Mapping[str, FaultKind] = field(default_factory=dict)
    """Error codes and types that mean something else, or something more, than in `CODES`."""
    finishes: Mapping[str, Stop] = field(default_factory=dict)
    """Finish reasons beside those of `STOPS`."""

    @property
    def meanings(self) -> Mapping[str, FaultKind]:
        return {**CODES, **self.codes}

    def refused(self, model: str) -> frozenset[str]:
        """Settings that are not sent for this model."""
        return _refused(self.refuses, self.rules, model)

    def limited(self, model: str) -> str:
        """The name of a chat's limit."""
        return _limited(self.rules, model) or self.limit

    def settings(self, decoding: Decoding, model: str) -> dict[str, Any]:
        """The decoding settings that are set, under their names on the wire; those that the server does not take are missing."""
        refused = self.refused(model)
        chosen = {name: getattr(decoding, name) for name in SETTINGS if name not in refused}
        if "logit_bias" in chosen:
            chosen["logit_bias"] = {str(token): bias for token, bias in decoding.logit_bias} or None
        if self.no_top_p and not chosen.get("top_p"):
            chosen.pop("top_p", None)
        if chosen.get("temperature") is not None:
            chosen["temperature"] = min(chosen["temperature"], self.hottest)
            if chosen["temperature"] == 0 and self.greedy:
                del chosen["temperature"]
                chosen |= self.greedy
        if "stop" not in refused:
            chosen["stop"] = list(self.taken(decoding.stop)) or None
        return {self.names.get(name, name): value for name, value in chosen.items() if value is not None}

    def taken(self, stops: tuple[str, ...]) -> tuple[str, ...]:
        """The stop sequences that are sent; the others are cut at by ourselves."""
        return tuple(stop for stop in stops if len(stop.encode("utf-8", "surrogatepass")) <= self.longest_stop)[: self.stops]

    def left_out(self, decoding: Decoding, model: str, *, enforced: Enforced) -> tuple[str, ...]:
        """Names of the settings that a call sets and that are not sent as they are."""
        sent = self.settings(decoding, model)
        changed = [
            name for name in SETTINGS if (value := getattr(decoding, name)) not in (None, ()) and self._lost(name, value, sent)
        ]
        if len(sent.get("stop", ())) < len(decoding.stop):
            changed.append("stop")
        if decoding.schema is not None and enforced in (Enforced.OBJECT, Enforced.WORDS):
            changed.append("schema")
        return tuple(changed)

    def _lost(self, name: str, value: Any, sent: Mapping[str, Any]) -> bool:
        if name.endswith("penalty") and value == 0:  # says nothing
            return False
        there = sent.get(self.names.get(name, name))
        if name == "temperature":
            return there != value and not (value == 0 and self.greedy and self.greedy.items() <= sent.items())
        return there is None


@lru_cache(maxsize=256)
def _refused(refuses: tuple[str, ...], rules: tuple[Rule, ...], model: str) -> frozenset[str]:
    return frozenset(refuses).union(*(rule.refuses for rule in rules if rule.models.search(model)))


@lru_cache(maxsize=256)
def _limited(rules: tuple[Rule, ...], model: str) -> str | None:
    return next((rule.limit for rule in rules if rule.limit and rule.models.search(model)), None)


def shaped(enforced: Enforced, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that make a server answer as `schema` says. Strict is asked for where the schema allows it."""
    match enforced:
        case Enforced.SCHEMA:
            form = {"name": "answer", "schema": schema, "strict": is_closed(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": form}}
        case Enforced.FIELD:
            return {"json_schema": schema}
        case Enforced.OBJECT:
            return {"response_format": {"type": "json_object"}}
        case Enforced.WORDS:
            return {}


def merged(body: Body, extra: Mapping[str, Any]) -> Body:
    """The body with a lane's own fields; objects are merged, all else takes the place of what was there."""
    if not extra:
        return body
    result = dict(body)
    for name, value in extra.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return result


def fault(meanings: Mapping[str, FaultKind], response: HttpResponse, body: Body) -> Fault:
    """What an error answer means, by its code and its status; nested and flat forms are read."""
    error = body.get("error")
    if not isinstance(error, dict):
        error = {"message": error} if isinstance(error, str) else body
    code, type_ = error.get("code"), error.get("type")
    status = response.status
    if status == 200:  # OpenRouter: an error after the headers were sent has its status in the body
        status = code if isinstance(code, int) else 502
    kind = meanings.get(str(code)) or meanings.get(str(type_)) or meaning(status)
    if kind is FaultKind.AUTH and isinstance(error.get("metadata"), dict) and error["metadata"].get("reasons"):
        kind = FaultKind.REFUSED  # OpenRouter's moderation
    if kind is FaultKind.RATE and _exceeds(str(error.get("message", ""))):
        kind = FaultKind.TOO_BIG
    kind = obeyed(kind, response)
    named = " ".join(str(part) for part in (code, type_) if isinstance(part, str | int) and part != status)
    return failed(kind, response, f"HTTP {status} {named}".rstrip(), error.get("message"))


def obeyed(kind: FaultKind, response: HttpResponse) -> FaultKind:
    """The kind, where the server says beside it whether it is worth asking again (`x-should-retry`, as OpenAI's and Anthropic's
    clients obey it)."""
    told = response.headers.get("x-should-retry")
    if kind is FaultKind.OVERLOAD and told == "false":
        return FaultKind.BAD
    return FaultKind.OVERLOAD if kind is FaultKind.BAD and told == "true" else kind


def meaning(status: int) -> FaultKind:
    """What a status means where no code says more."""
    if status in REDIRECTS:
        return FaultKind.AUTH
    return _STATUSES.get(status) or (FaultKind.OVERLOAD if status >= 500 else FaultKind.BAD)


def failed(kind: FaultKind, response: HttpResponse, named: str, message: object) -> Fault:
    """The fault with what the server said, shortened, and with its hint. `named` is the status and what codes there are."""
    # a refused key is echoed, half hidden, in the message of some servers: it is not repeated here
    said = "" if kind is FaultKind.AUTH else str(message or shortened(response.body))
    said = MOVED if response.status in REDIRECTS else said
    return Fault(kind, f"{named} {shortened(said.encode('utf-8', 'surrogatepass'))}".rstrip(), _hint(kind, response))


def _hint(kind: FaultKind, response: HttpResponse) -> float | None:
    """Seconds that the server asks to wait. Resets of its limits say something only where a limit was passed."""
    limited = kind in (FaultKind.RATE, FaultKind.BURST)
    told = limits.hint(response.headers, None) if limited else limits.asked(response.headers, None)
    return told if told is not None or not limited else limits.body_hint(response.body)


def _exceeds(message: str) -> bool:
    """Whether one request alone asks for more than the minute allows: two numbers that only the message has."""
    found = _LIMIT.search(message)
    return found is not None and int(found.group(2)) > int(found.group(1))
