"""Anthropic's server: the system prompt apart, named events, usage that adds up, limits with times of reset, errors by type.

Pure. It refuses what its models refuse: stop sequences of white space, and a temperature for those after Claude 4.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType

import orjson

from providers.simulator.answers import count_tokens
from providers.simulator.calls import (
    SECOND,
    Answered,
    Facts,
    Frame,
    Kind,
    Measure,
    Part,
    Received,
    Refused,
    Response,
    Slip,
    Stream,
)
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.dialects.openai import told
from providers.simulator.streams import counted, deltas
from providers.simulator.talk import EPOCH, Fields, joined, limit, plain, turns

MESSAGES, MODELS = "/v1/messages", "/v1/models"
_COLD = re.compile(r"claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku|fable)-[5-9])")
_SHOWN = MappingProxyType(
    {
        Measure.REQUESTS: "requests",
        Measure.TOKENS: "tokens",
        Measure.TOKENS_IN: "input-tokens",
        Measure.TOKENS_OUT: "output-tokens",
    }
)
_STOPS = MappingProxyType({"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"})
_ERRORS = MappingProxyType(
    {
        Kind.RATE: (429, "rate_limit_error"),
        Kind.BURST: (429, "rate_limit_error"),
        Kind.QUOTA: (402, "billing_error"),
        Kind.TOO_BIG: (413, "request_too_large"),
        Kind.AUTH: (401, "authentication_error"),
        Kind.BANNED: (403, "permission_error"),
        Kind.UNKNOWN: (404, "not_found_error"),
    }
)


@dataclass(frozen=True, slots=True)
class Anthropic:
    """The dialect."""

    paths: tuple[str, ...] = (MESSAGES, MODELS)
    waits: bytes = b""
    home: str = ""

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        scheme, _, token = received.headers.get("authorization", "").partition(" ")
        fields = plain(received.body)
        if fields is not None and "anthropic-version" not in received.headers:
            fields = {**fields, "anthropic-version": None}
        return Opened(received.headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else ""), fields)

    def read(self, method: str, path: str, fields: Fields | None) -> Facts:
        if method != ("GET" if path == MODELS else "POST"):
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}")
        if path == MODELS:
            return Facts("models", requests=0)
        if fields is None:
            raise Unreadable(Kind.BAD, "the body is not a JSON object")
        if (why := _wrong(fields)) is not None:
            raise Unreadable(Kind.BAD, why)
        said = [*_system(fields.get("system")), *turns(_plain(fields.get("messages")))]
        texts = joined(said)
        return Facts(
            task="chat",
            model=str(fields["model"]),
            texts=texts,
            max_tokens=limit(fields, 0),
            extra_tokens=4 * len(said) + 3,
            stop=tuple(str(stop) for stop in _listed(fields.get("stop_sequences"))),
            drawn=str(fields.get("temperature")),
            characters=sum(map(len, texts)),
            stream=bool(fields.get("stream")),
            schema=_schema(fields),
            usage=True,
        )

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        data = [{"id": name, "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names]
        return Response(200, _headers(slip), orjson.dumps({"data": data, "has_more": False, "first_id": None, "last_id": None}))

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        (said,), thought = answered.said, answered.thought(0)
        blocks: list[dict[str, object]] = [{"type": "thinking", "thinking": thought, "signature": "none"}] if thought else []
        blocks += [{"type": "text", "text": said.text}] if said.text else []
        usage = {} if slip.silent else {"usage": _usage(answered)}
        body = _message(facts, slip) | {"content": blocks, "stop_reason": _STOPS[said.finish]} | usage
        return Response(200, _headers(slip), orjson.dumps(body))

    def stream(self, facts: Facts, answered: Answered, slip: Slip) -> Stream:
        (said,), thought = answered.said, answered.thought(0)
        before = {} if slip.silent else {"usage": _usage(answered) | {"output_tokens": 1}}
        frames = [Frame(Part.OPEN, _event("message_start", message=_message(facts, slip) | before))]
        tokens = iter(counted([*deltas(thought), *deltas(said.text)], thought, said.text))
        index = 0
        for kind, field, text in (("thinking", "thinking", thought), ("text", "text", said.text)):
            if not text and kind == "thinking":
                continue
            frames.append(Frame(Part.OPEN, _event("content_block_start", index=index, content_block={"type": kind, field: ""})))
            for piece in deltas(text):
                delta = {"type": f"{kind}_delta", field: piece}
                frames.append(Frame(Part.TEXT, _event("content_block_delta", index=index, delta=delta), next(tokens)))
            frames.append(Frame(Part.OPEN, _event("content_block_stop", index=index)))
            index += 1
        counters = {
            "output_tokens": answered.used.tokens_out,
            "output_tokens_details": {"thinking_tokens": count_tokens(thought)},
        }
        usage = {} if slip.silent else {"usage": counters}
        end = {"stop_reason": _STOPS[said.finish], "stop_sequence": None}
        frames.append(Frame(Part.CLOSE, _event("message_delta", delta=end, **usage)))
        frames.append(Frame(Part.END, _event("message_stop")))
        error = _event("error", error={"type": "overloaded_error", "message": "Overloaded"})
        headers = _headers(slip) | {"content-type": "text/event-stream; charset=utf-8"}
        return Stream(headers, tuple(frames), error, _event("ping"))

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status, type_ = _ERRORS.get(refused.kind, (400, "invalid_request_error"))
        if refused.kind is Kind.OVERLOAD:
            status = refused.status or 529
            type_ = {500: "api_error", 504: "timeout_error"}.get(status, "overloaded_error")
        headers = _headers(slip)
        if slip.hint is not None and status == 429:
            headers["retry-after"] = str(max(1, int(-(-slip.hint // 1))))
        error = {"type": type_, "message": told(facts, refused)}
        return Response(status, headers, orjson.dumps({"type": "error", "error": error, "request_id": headers["request-id"]}))


def _wrong(fields: Fields) -> str | None:
    """Why it is not taken."""
    model, heat = fields.get("model"), fields.get("temperature")
    if "anthropic-version" in fields:
        return "anthropic-version: header is required"
    if not isinstance(model, str) or not model:
        return "model: Field required"
    if fields.get("max_tokens") is None:
        return "max_tokens: Field required"
    if any(not str(stop).strip() for stop in _listed(fields.get("stop_sequences"))):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    if _COLD.match(model) and ("top_p" in fields or heat not in (None, 1)):
        return "`temperature` is deprecated for this model."
    if isinstance(heat, int | float) and not 0 <= heat <= 1:
        return "temperature: range: 0..1"
    strange = [name for name in ("seed", "presence_penalty", "frequency_penalty", "logit_bias", "n") if name in fields]
    return f"{strange[0]}: Extra inputs are not permitted" if strange else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _system(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(block.get("text")) for block in _listed(value) if isinstance(block, dict)]


def _plain(messages: object) -> object:
    """Turns with their blocks as one text."""
    if not isinstance(messages, list):
        return messages
    return [
        {**turn, "content": "\n".join(_system(turn["content"]))}
        if isinstance(turn, dict) and isinstance(turn.get("content"), list)
        else turn
        for turn in messages
    ]


def _schema(fields: Fields) -> Mapping[str, object] | None:
    config = fields.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    schema = form.get("schema") if isinstance(form, dict) else None
    return schema if isinstance(schema, dict) else None


def _message(facts: Facts, slip: Slip) -> dict[str, object]:
    about = {"id": f"msg_{slip.number:012}", "type": "message", "role": "assistant", "model": facts.model, "content": []}
    return about | {"stop_reason": None, "stop_sequence": None}


def _usage(answered: Answered) -> dict[str, object]:
    """What came from the cache is not part of the input."""
    used = answered.used
    thought = sum(map(count_tokens, answered.thoughts))
    return {
        "input_tokens": used.tokens_in - answered.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answered.cached,
        "output_tokens": used.tokens_out,
        "output_tokens_details": {"thinking_tokens": thought},
        "service_tier": "standard",
    }


def _event(name: str, **fields: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **fields}))


def _headers(slip: Slip) -> dict[str, str]:
    """Times of reset are whole seconds of the simulator's own clock, which the answer's date tells."""
    now = datetime.fromtimestamp(EPOCH + int(slip.seconds), UTC)
    headers = {
        "content-type": "application/json",
        "request-id": f"req_{slip.number:012}",
        "date": format_datetime(now, usegmt=True),
    }
    for of, most, remaining, reset in slip.readings:
        if (name := _SHOWN.get(of)) is not None:
            until = datetime.fromtimestamp(EPOCH + int(slip.seconds + -(-reset // SECOND)), UTC)
            headers[f"anthropic-ratelimit-{name}-limit"] = str(most)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(remaining)
            headers[f"anthropic-ratelimit-{name}-reset"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    return headers


DIALECT = Anthropic()
