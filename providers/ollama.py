"""Ollama's own dialect: lines of JSON, options in an object of their own, a schema as the format.

Pure. Source: Ollama's API documentation for `/api/chat` and `/api/generate`, and the types of its Python client (2026). A server
of one's own wants no key and has no limit: calls beyond its slots wait, and it answers 503 when its queue is full. How much of a
prompt it reads is set by its `num_ctx` (`extra = { options = { num_ctx = 8192 } }`): the rest is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from engine.core.events import Documents
from engine.core.faults import Fault
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.speech import THINK
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Reply, Stop, Style, Usage
from providers import Reader
from providers.profile import failed, meaning, merged
from providers.reading import Body, Piece, Reading, Spelling, count, decode, weigh

HOME = "http://127.0.0.1:11434"
CLOUD = "https://ollama.com"
_STOPS = MappingProxyType({"stop": Stop.END, "length": Stop.LENGTH, "load": Stop.BROKEN, "unload": Stop.BROKEN})
_SETTINGS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")


@dataclass(frozen=True, slots=True)
class Ollama:
    """The dialect."""

    accepts: tuple[type, ...] = (Chat, Completion)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    models: bool = True

    def key(self, lane: LanePlan) -> str | None:
        return "env:OLLAMA_API_KEY" if _base(lane) == CLOUD else None

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return weigh(call)

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        assert isinstance(call, Chat | Completion)
        return ("logit_bias",) if call.decoding.logit_bias else ()

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = calls
        asked: Body
        match call:
            case Chat(messages=messages, decoding=decoding):
                path, asked = "/api/chat", {"messages": [{"role": turn.role, "content": turn.content} for turn in messages]}
            case Completion(prompt=prompt, decoding=decoding):
                path, asked = "/api/generate", {"prompt": prompt, "raw": True}
            case _:
                raise TypeError(f"this dialect does not take a {type(call).__name__}")
        body: Body = {"model": lane.model, **asked, "stream": lane.stream, "options": _options(decoding, lane)}
        if decoding.schema is not None:
            body["format"] = decoding.schema
        headers = {"Content-Type": "application/json"}
        if stamp.key:
            headers["Authorization"] = f"Bearer {stamp.key}"
        return HttpRequest("POST", _base(lane) + path, headers, orjson.dumps(merged(body, lane.extra)))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        (call,) = calls
        return (decode(SPELLING, call, response),)

    def reader(self, call: Call) -> Reader:
        return Reading(SPELLING, call, Documents())


def _base(lane: LanePlan) -> str:
    return (lane.base_url or HOME).rstrip("/").removesuffix("/api")


def _options(decoding: Decoding, lane: LanePlan) -> Body:
    chosen: dict[str, Any] = {"num_predict": decoding.max_tokens + lane.reasoning_tokens}
    chosen |= {name: getattr(decoding, name) for name in _SETTINGS}
    chosen["stop"] = list(decoding.stop) or None
    return {name: value for name, value in chosen.items() if value is not None}


def _part(call: Call, body: Body) -> Piece:
    message = body["message"] if isinstance(call, Chat) else {"content": body["response"], "thinking": body.get("thinking")}
    text, thought, done = message.get("content") or "", message.get("thinking") or "", bool(body.get("done"))
    if not isinstance(text, str) or not isinstance(thought, str):
        raise TypeError("no text")
    return Piece(
        text=text,
        reasoning=thought,
        stop=_STOPS.get(body.get("done_reason") or "stop", Stop.END) if done else None,
        usage={name: body[name] for name in ("prompt_eval_count", "eval_count") if name in body},
        model=str(body.get("model") or ""),
        last=done,
    )


def _counts(usage: Mapping[str, Any]) -> Usage:
    return Usage(tokens_in=count(usage.get("prompt_eval_count")), tokens_out=count(usage.get("eval_count")))


def _fault(response: HttpResponse, body: Body) -> Fault:
    """An error is a text and nothing else: its status says what it means; one inside a stream says that the model failed."""
    status = 502 if response.status == 200 else response.status
    return failed(meaning(status), response, f"HTTP {response.status}", body.get("error"))


SPELLING = Spelling(whole=_part, part=_part, counts=_counts, fault=_fault, marks=THINK)
PROVIDER = Ollama()
