"""Anthropic's Messages: the system prompt apart and marked for the cache, usage that adds up over a stream, errors by type.

Pure. Source: Anthropic's API reference for `/v1/messages`, errors, rate limits, streaming and structured outputs, and its Python
client's types (2026). The environment's usual key is an API key; a token (`ANTHROPIC_AUTH_TOKEN`) is sent as a bearer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.schema import worded
from engine.core.types import Call, Chat, Decoding, LanePlan, Reply, Stop, Style, Usage
from providers import Reader
from providers.profile import failed, meaning, merged, obeyed
from providers.reading import Body, Piece, Reading, Spelling, count, decode, weigh

HOME = "https://api.anthropic.com"
VERSION = "2023-06-01"
_STOPS = MappingProxyType(
    {
        "end_turn": Stop.END,
        "stop_sequence": Stop.END,
        "max_tokens": Stop.LENGTH,
        "model_context_window_exceeded": Stop.LENGTH,
        "pause_turn": Stop.LENGTH,
        "refusal": Stop.REFUSED,
    }
)
_TYPES = MappingProxyType(
    {
        "invalid_request_error": FaultKind.BAD,
        "authentication_error": FaultKind.AUTH,
        "billing_error": FaultKind.QUOTA,
        "permission_error": FaultKind.AUTH,
        "not_found_error": FaultKind.AUTH,
        "request_too_large": FaultKind.TOO_BIG,
        "rate_limit_error": FaultKind.RATE,
        "api_error": FaultKind.OVERLOAD,
        "timeout_error": FaultKind.OVERLOAD,
        "overloaded_error": FaultKind.OVERLOAD,
    }
)
_OLD = re.compile(r"claude-(?:instant|[23]\b|(?:opus|sonnet)-4(?:-0)?(?:[-@]\d{8})?$)")
"""Claude 4 and before it."""
_SAMPLED = re.compile(rf"{_OLD.pattern}|claude-(?:opus|sonnet|haiku)-4-[1-6](?:[-@]\d{{8}})?$")
"""Claude up to 4.6; those after it refuse `temperature` and `top_p` ("What's new in Claude 4.7", 2026)."""
_NEVER = ("top_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias")
"""Settings that it does not have; `top_p` it has, but not beside a temperature."""
_KEPT = ("$ref", "type", "enum", "const", "description", "title", "format", "required")
"""Of a schema, what structured outputs know beside `properties`, `items`, `anyOf`, `$defs` and a `minItems` of 0 or 1."""
_BOUNDS = ("minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "pattern")
"""What they do not know, and a model may keep to if it is told."""


@dataclass(frozen=True, slots=True)
class Anthropic:
    """The dialect."""

    accepts: tuple[type, ...] = (Chat,)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    models: bool = True

    def key(self, lane: LanePlan) -> str | None:
        return "env:ANTHROPIC_API_KEY" if lane.base_url is None or _base(lane) == HOME else None

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return weigh(call)

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        assert isinstance(call, Chat)
        decoding = call.decoding
        sent = _settings(decoding, lane)
        lost = [name for name in _NEVER if getattr(decoding, name) and name not in sent]
        if decoding.temperature != sent.get("temperature"):
            lost.insert(0, "temperature")
        if len(sent.get("stop_sequences", ())) < len(decoding.stop):
            lost.append("stop")
        if decoding.schema is not None and not _enforces(lane.model):
            lost.append("schema")
        return tuple(lost)

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = calls
        if not isinstance(call, Chat):
            raise TypeError(f"this dialect does not take a {type(call).__name__}")
        headers = {"Content-Type": "application/json", "anthropic-version": VERSION}
        if stamp.key and (lane.key or "").endswith("TOKEN"):
            headers["Authorization"] = f"Bearer {stamp.key}"
        elif stamp.key:
            headers["x-api-key"] = stamp.key
        return HttpRequest("POST", f"{_base(lane)}/v1/messages", headers, orjson.dumps(merged(_body(call, lane), lane.extra)))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        (call,) = calls
        return (decode(SPELLING, call, response),)

    def reader(self, call: Call) -> Reader:
        return Reading(SPELLING, call)


def _base(lane: LanePlan) -> str:
    return (lane.base_url or HOME).rstrip("/").removesuffix("/v1")


def _body(call: Chat, lane: LanePlan) -> Body:
    schema, shape = call.decoding.schema, {}
    if schema is not None and _enforces(lane.model):
        shape = {"output_config": {"format": {"type": "json_schema", "schema": _reduced(schema)}}}
    else:
        worded_call = worded(call)
        assert isinstance(worded_call, Chat)
        call = worded_call
    system: list[Body] = [{"type": "text", "text": turn.content} for turn in call.messages if turn.role == "system"]
    turns = [{"role": turn.role, "content": turn.content} for turn in call.messages if turn.role != "system"]
    if system and turns:
        system[-1]["cache_control"] = {"type": "ephemeral"}
    return {
        "model": lane.model,
        "max_tokens": call.decoding.max_tokens + lane.reasoning_tokens,
        **(
            {"system": system, "messages": turns}
            if system and turns
            else {"messages": turns or [{"role": "user", "content": system}]}
        ),
        **_settings(call.decoding, lane),
        **shape,
        **({"stream": True} if lane.stream else {}),
    }


def _settings(decoding: Decoding, lane: LanePlan) -> Body:
    """What is taken of the settings. A model that thinks takes no temperature."""
    thinking = lane.extra.get("thinking")
    thinks = isinstance(thinking, Mapping) and thinking.get("type") != "disabled"
    samples = not thinks and ("claude" not in lane.model or _SAMPLED.search(lane.model) is not None)
    settings: Body = {}
    if samples and decoding.temperature is not None:
        settings["temperature"] = min(decoding.temperature, 1.0)
    elif samples and decoding.top_p:
        settings["top_p"] = decoding.top_p
    stops = [stop for stop in decoding.stop if stop.strip()]  # those of nothing but white space are refused
    return settings | ({"stop_sequences": stops} if stops else {})


def _enforces(model: str) -> bool:
    """Whether the model has structured outputs: Claude since 4.1."""
    return "claude" in model and _OLD.search(model) is None


def _reduced(schema: Mapping[str, Any]) -> Body:
    """The part of a schema that is enforced. Every object has to be closed."""
    kept: Body = {name: schema[name] for name in _KEPT if name in schema}
    for name in ("properties", "$defs"):
        if name in schema:
            kept[name] = {key: _reduced(inner) for key, inner in schema[name].items()}
    if "items" in schema:
        kept["items"] = _reduced(schema["items"])
    if "anyOf" in schema:
        kept["anyOf"] = [_reduced(inner) for inner in schema["anyOf"]]
    if schema.get("minItems") in (0, 1):
        kept["minItems"] = schema["minItems"]
    bounds = ", ".join(f"{name}: {schema[name]}" for name in _BOUNDS if name in schema and name not in kept)
    if bounds:
        kept["description"] = f"{schema.get('description', '')} ({bounds})".strip()
    if schema.get("type") == "object":
        kept["additionalProperties"] = False
    return kept


def _whole(call: Call, body: Body) -> Piece:
    blocks = body["content"]
    return Piece(
        text="".join([block["text"] for block in blocks if block["type"] == "text"]),
        reasoning="".join([block["thinking"] for block in blocks if block["type"] == "thinking"]),
        stop=_stop(body["stop_reason"]),
        usage=body.get("usage") or {},
        model=str(body.get("model") or ""),
    )


def _part(call: Call, body: Body) -> Piece:
    match body["type"]:
        case "message_start":
            message = body["message"]
            return Piece(usage=message.get("usage") or {}, model=str(message.get("model") or ""))
        case "content_block_delta":
            delta = body["delta"]
            return Piece(text=delta.get("text") or "", reasoning=delta.get("thinking") or "")
        case "message_delta":
            return Piece(stop=_stop(body["delta"].get("stop_reason")), usage=body.get("usage") or {})
        case "message_stop":
            return Piece(last=True)
        case _:  # pings, and blocks' starts and ends
            return Piece()


def _stop(reason: str | None) -> Stop | None:
    return _STOPS.get(reason, Stop.END) if reason else None


def _counts(usage: Mapping[str, Any]) -> Usage:
    """Input, what was written to the cache and what was read from it add up to the prompt; what thinking took is part of the
    output."""
    thought = count((usage.get("output_tokens_details") or {}).get("thinking_tokens"))
    return Usage(
        tokens_in=count(usage.get("input_tokens")) + count(usage.get("cache_creation_input_tokens")),
        tokens_cached=count(usage.get("cache_read_input_tokens")),
        tokens_out=max(0, count(usage.get("output_tokens")) - thought),
        tokens_reasoning=thought,
    )


def _fault(response: HttpResponse, body: Body) -> Fault:
    """By the error's type, which inside a stream is all there is."""
    error = body.get("error")
    error = error if isinstance(error, dict) else {"message": error}
    type_, status = str(error.get("type") or ""), response.status
    kind = _TYPES.get(type_) or (FaultKind.OVERLOAD if status == 200 else meaning(status))
    return failed(obeyed(kind, response), response, f"HTTP {status} {type_}".rstrip(), error.get("message"))


SPELLING = Spelling(whole=_whole, part=_part, counts=_counts, fault=_fault)
PROVIDER = Anthropic()
