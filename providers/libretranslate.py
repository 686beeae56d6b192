"""LibreTranslate's dialect: one text a request, the key in the body, errors as one sentence without a code.

Pure. Shapes and sentences: LibreTranslate's `app.py`, `language.py`, `flood.py` and `scheduler.py` (2026). Characters are code
points. A server counts each text of a list as a request of its own, so that a list saves nothing: `texts` is 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Inquiry, Languages, canonical, languages
from engine.core.parse import Malformed, json_object
from engine.core.translations import failed, malformed, replies, shortened, translation, translations, weights
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

HOME = "http://127.0.0.1:5000"

_CODES = {"zh-Hans": "zh", "zh-Hant": "zt", "pt-BR": "pb", "fil": "tl"}
"""Names of models, which servers of every age take; newer ones list tags in their place."""
_TAGS = {"zt": "zh-Hant", "pb": "pt-BR"}
_SPAN = re.compile(r"\bper \d+ (minute|hour|day)\b")
_WAITS = {"minute": 60.0, "hour": 600.0, "day": 3600.0}
"""Seconds to leave a server alone whose window is full: it names the window and no time, and each refusal is an offence there."""
_FORGIVEN = 600.0
"""Seconds until a server forgives an offence."""
_SIZES = re.compile(r"\((\d+)\)\D+\((\d+)\)")
"""Of a request, and its limit: the numbers of a sentence that comes in the server's language."""


@dataclass(frozen=True, slots=True)
class LibreTranslate:
    """The dialect. Its limits are the server's own, unknown here."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    models: bool = False

    @property
    def languages(self) -> Inquiry:
        return Inquiry(HOME, "/languages", _listed)

    def key(self, lane: LanePlan) -> str | None:
        return None if lane.base_url else "env:LIBRETRANSLATE_API_KEY?"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return Usage(characters=len(translation(call).text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = translations(calls)
        body = {"q": call.text, "source": _code(call.source), "target": _code(call.target), "format": "text"}
        if stamp.key:
            body["api_key"] = stamp.key
        url = (lane.base_url or HOME).rstrip("/") + "/translate"
        return HttpRequest("POST", url, {"Content-Type": "application/json"}, orjson.dumps({**body, **lane.extra}))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        if response.status != 200:
            return _failed(calls, response, str(body.get("error") or ""))
        return replies(calls, [body.get("translatedText")], weights(calls, self.weigh), response)

    def reader(self, call: Call) -> None:
        return None


def _failed(calls: tuple[Call, ...], response: HttpResponse, said: str) -> tuple[Fault, ...]:
    """There are no codes, so the sentence tells cases apart that share a status."""
    status = response.status
    if status in (400, 403) and "API" in said:
        return failed(calls, response, FaultKind.AUTH, "api_key")
    if status == 403 and said:  # after too many refusals every request is one, until the server forgives
        return failed(calls, response, FaultKind.QUOTA, "banned", said, _FORGIVEN)
    if status == 429:
        span = match.group(1) if (match := _SPAN.search(said)) else "minute"
        kind = FaultKind.QUOTA if span == "day" else FaultKind.RATE
        return failed(calls, response, kind, None, said, _WAITS[span])
    if status == 400 and (sizes := _SIZES.search(said)) and int(sizes[1]) > int(sizes[2]):
        return failed(calls, response, FaultKind.TOO_BIG, None, said)
    return failed(calls, response, None, None, said or shortened(response.body))


def _code(tag: str) -> str:
    tag = canonical(tag)
    return _CODES.get(tag) or tag.partition("-")[0]


def _listed(response: HttpResponse) -> Languages:
    """What `/languages` says; servers before 2023 name no targets and have all pairs."""
    try:
        rows = orjson.loads(response.body)
        codes = [str(row["code"]) for row in rows] if response.status == 200 else []
        pairs = {(str(row["code"]), str(target)) for row in rows for target in row.get("targets", codes)}
    except (ValueError, TypeError, KeyError, AttributeError):
        codes, pairs = [], set()
    if not codes:
        raise Fault(FaultKind.MALFORMED, f"HTTP {response.status}: no list of languages")
    return languages(frozenset((one, other) for one, other in pairs if one != other), _tag)


def _tag(code: str) -> str:
    return _TAGS.get(code) or canonical(code)


PROVIDER = LibreTranslate()
