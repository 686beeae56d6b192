"""Google's Gemini: contents in parts, thoughts apart, quotas that a refusal names in its details and no header tells.

Pure. Source: the Gemini API's reference for `generateContent`, its pages on rate limits and structured output, and the types of
Google's Python client (2026). Vertex AI is the same under `base_url = "https://LOCATION-aiplatform.googleapis.com/v1/projects/
PROJECT/locations/LOCATION/publishers/google"`, with an access token as its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.schema import worded
from engine.core.types import Call, Chat, Decoding, LanePlan, Reply, Stop, Style, Usage
from providers import Reader
from providers.profile import failed, meaning, merged
from providers.reading import Body, Piece, Reading, Spelling, count, decode, weigh

HOME = "https://generativelanguage.googleapis.com/v1beta"
_REFUSED = (
    "SAFETY RECITATION LANGUAGE OTHER BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION "
    "IMAGE_OTHER NO_IMAGE MODEL_ARMOR ESCALATION PUP_LIMITED_DISABLED"
)
_STOPS = MappingProxyType(
    {
        "STOP": Stop.END,
        "MAX_TOKENS": Stop.LENGTH,
        "CONTINUATION": Stop.LENGTH,
        "MALFORMED_FUNCTION_CALL": Stop.BROKEN,
        "UNEXPECTED_TOOL_CALL": Stop.BROKEN,
        "TOO_MANY_TOOL_CALLS": Stop.BROKEN,
        "MALFORMED_RESPONSE": Stop.BROKEN,
        **dict.fromkeys(_REFUSED.split(), Stop.REFUSED),
    }
)
_STATES = MappingProxyType(
    {
        "INVALID_ARGUMENT": FaultKind.BAD,
        "FAILED_PRECONDITION": FaultKind.AUTH,  # no billing, or not in this country
        "UNAUTHENTICATED": FaultKind.AUTH,
        "PERMISSION_DENIED": FaultKind.AUTH,
        "NOT_FOUND": FaultKind.AUTH,
        "RESOURCE_EXHAUSTED": FaultKind.RATE,
        "INTERNAL": FaultKind.OVERLOAD,
        "UNAVAILABLE": FaultKind.OVERLOAD,
        "DEADLINE_EXCEEDED": FaultKind.OVERLOAD,
        "CANCELLED": FaultKind.OVERLOAD,
    }
)
_NAMES = MappingProxyType(
    {
        "temperature": "temperature",
        "top_p": "topP",
        "presence_penalty": "presencePenalty",
        "frequency_penalty": "frequencyPenalty",
        "seed": "seed",
    }
)
_PENALISED = re.compile(r"gemini-(?:2\.0|1\.5-\w+-002)")
"""Models that take penalties: all others refuse them."""
STOPS = 5
"""Stop sequences that a request may have."""
_KEPT = (
    *("description", "format", "title", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "pattern"),
    *("required", "propertyOrdering", "nullable"),
)
"""Of a schema, what `responseSchema` knows beside `type`, `properties`, `items`, `enum` and `anyOf`."""


@dataclass(frozen=True, slots=True)
class Gemini:
    """The dialect."""

    accepts: tuple[type, ...] = (Chat,)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    models: bool = True

    def key(self, lane: LanePlan) -> str | None:
        return "env:GEMINI_API_KEY" if lane.base_url is None or _base(lane) == HOME else None

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return weigh(call)

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        assert isinstance(call, Chat)
        decoding, sent = call.decoding, _settings(call.decoding, lane.model)
        lost = [name for name, spelt in _NAMES.items() if getattr(decoding, name) and spelt not in sent]
        lost += ["logit_bias"] if decoding.logit_bias else []
        lost += ["stop"] if len(decoding.stop) > STOPS else []
        return (*lost, "schema") if decoding.schema is not None and _reduced(decoding.schema) is None else tuple(lost)

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = calls
        if not isinstance(call, Chat):
            raise TypeError(f"this dialect does not take a {type(call).__name__}")
        headers = {"Content-Type": "application/json"}
        if stamp.key.startswith("ya29."):  # an access token of Google's
            headers["Authorization"] = f"Bearer {stamp.key}"
        elif stamp.key:
            headers["x-goog-api-key"] = stamp.key
        model = lane.model if "/" in lane.model else f"models/{lane.model}"
        method = "streamGenerateContent?alt=sse" if lane.stream else "generateContent"
        body = merged(_body(call, lane), lane.extra)
        return HttpRequest("POST", f"{_base(lane)}/{model}:{method}", headers, orjson.dumps(body))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        (call,) = calls
        return (decode(SPELLING, call, response),)

    def reader(self, call: Call) -> Reader:
        return Reading(SPELLING, call)


def _base(lane: LanePlan) -> str:
    return (lane.base_url or HOME).rstrip("/")


def _body(call: Chat, lane: LanePlan) -> Body:
    schema = call.decoding.schema
    shape = _reduced(schema) if schema is not None else None
    if schema is not None and shape is None:
        worded_call = worded(call)
        assert isinstance(worded_call, Chat)
        call = worded_call
    system = [{"text": turn.content} for turn in call.messages if turn.role == "system"]
    turns = [
        {"role": "model" if turn.role == "assistant" else "user", "parts": [{"text": turn.content}]}
        for turn in call.messages
        if turn.role != "system"
    ]
    config = {
        "maxOutputTokens": call.decoding.max_tokens + lane.reasoning_tokens,
        **_settings(call.decoding, lane.model),
        **({"responseMimeType": "application/json", "responseSchema": shape} if shape is not None else {}),
    }
    if not turns:
        system, turns = [], [{"role": "user", "parts": system}]
    return {"contents": turns, **({"systemInstruction": {"parts": system}} if system else {}), "generationConfig": config}


def _settings(decoding: Decoding, model: str) -> Body:
    chosen = {spelt: getattr(decoding, name) for name, spelt in _NAMES.items()}
    for spelt in ("presencePenalty", "frequencyPenalty"):
        if not chosen[spelt] or _PENALISED.search(model) is None:
            del chosen[spelt]
    if not chosen["topP"]:  # of 0 says no more than a temperature of 0
        del chosen["topP"]
    chosen["stopSequences"] = list(decoding.stop[:STOPS]) or None
    return {name: value for name, value in chosen.items() if value is not None}


def _reduced(schema: Mapping[str, Any]) -> Body | None:
    """The schema as the part of OpenAPI that `responseSchema` takes; `None` where that cannot say it."""
    types = schema.get("type")
    nullable = isinstance(types, list) and "null" in types
    plain = [one for one in types if one != "null"] if isinstance(types, list) else [types]
    enum = [schema["const"]] if "const" in schema else schema.get("enum")
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema["items"]] if isinstance(schema.get("items"), Mapping) else []
    parts = [_reduced(part) for part in inner]
    strange = {"$ref", "oneOf", "allOf", "not", "patternProperties", "prefixItems"} & schema.keys()
    if strange or len(plain) != 1 or None in parts or not all(isinstance(value, str) for value in enum or ()):
        return None
    made = iter(parts)
    kept: Body = {name: schema[name] for name in _KEPT if name in schema}
    if plain[0] is not None:
        kept["type"] = plain[0].upper()
    if nullable:
        kept["nullable"] = True
    if enum:
        kept |= {"type": "STRING", "format": "enum", "enum": enum}
    if "properties" in schema:
        kept["properties"] = {name: next(made) for name in schema["properties"]}
    if "anyOf" in schema:
        kept["anyOf"] = [next(made) for _ in schema["anyOf"]]
    if isinstance(schema.get("items"), Mapping):
        kept["items"] = next(made)
    return kept


def _whole(call: Call, body: Body) -> Piece:
    piece = _part(call, body)
    if not body.get("candidates") and piece.stop is None:
        raise TypeError("no candidate")
    return piece


def _part(call: Call, body: Body) -> Piece:
    usage, model = body.get("usageMetadata") or {}, str(body.get("modelVersion") or "")
    if not body.get("candidates"):
        blocked = (body.get("promptFeedback") or {}).get("blockReason")
        return Piece(stop=Stop.REFUSED if blocked else None, usage=usage, model=model, last=bool(blocked))
    candidate = body["candidates"][0]
    parts = (candidate.get("content") or {}).get("parts") or []
    reason = candidate.get("finishReason")
    stop = _STOPS.get(reason, Stop.END) if reason else None
    return Piece(
        text="".join([part["text"] for part in parts if "text" in part and not part.get("thought")]),
        reasoning="".join([part["text"] for part in parts if "text" in part and part.get("thought")]),
        stop=stop,
        usage=usage,
        model=model,
        last=stop is not None,
    )


def _counts(usage: Mapping[str, Any]) -> Usage:
    """Thoughts are counted beside the candidates, and what came from the cache inside the prompt."""
    cached = count(usage.get("cachedContentTokenCount"))
    prompt = count(usage["promptTokenCount"]) + count(usage.get("toolUsePromptTokenCount"))
    return Usage(
        tokens_in=max(0, prompt - cached),
        tokens_cached=cached,
        tokens_out=count(usage.get("candidatesTokenCount")),
        tokens_reasoning=count(usage.get("thoughtsTokenCount")),
    )


def _fault(response: HttpResponse, body: Body) -> Fault:
    """By the state that the error names, and by its details: which quota was passed, and why a key was refused."""
    error = body.get("error")
    error = error if isinstance(error, dict) else {"message": error}
    state, status = str(error.get("status") or ""), response.status
    if status == 200:
        status = error["code"] if isinstance(error.get("code"), int) else 502
    kind = _STATES.get(state) or meaning(status)
    if kind is FaultKind.RATE and status == 503:  # the model's load, though it says RESOURCE_EXHAUSTED
        kind = FaultKind.OVERLOAD
    if kind is FaultKind.RATE and any("PerDay" in quota or limit == "0" for quota, limit in _violations(error)):
        kind = FaultKind.QUOTA
    if kind is FaultKind.BAD and "API_KEY_INVALID" in [str(detail.get("reason")) for detail in _details(error)]:
        kind = FaultKind.AUTH
    return failed(kind, response, f"HTTP {status} {state}".rstrip(), error.get("message"))


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    yield from (detail for detail in details if isinstance(detail, dict)) if isinstance(details, list) else ()


def _violations(error: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and limits of the quotas that were passed."""
    for detail in _details(error):
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield str(violation.get("quotaId")), str(violation.get("quotaValue"))


SPELLING = Spelling(whole=_whole, part=_part, counts=_counts, fault=_fault)
PROVIDER = Gemini()
