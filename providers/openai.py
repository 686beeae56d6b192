"""OpenAI's dialect, chat and legacy completions, which most other servers speak too: give their address as `base_url`.

Pure. Shapes: OpenAI's API reference for `/chat/completions` and `/completions` (2026); llama.cpp's and vLLM's server pages
for what theirs do differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from engine.core import limits
from engine.core.events import Event, Events
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.parse import Malformed, json_object
from engine.core.text import estimate_tokens
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Reply, Stop, Style, Usage, prompt_text
from providers import Reader

HOME = "https://api.openai.com/v1"

_STOPS = {"stop": Stop.END, "length": Stop.LENGTH, "content_filter": Stop.REFUSED}
_BROKEN = ("error", "abort", "network_error")  # OpenRouter, vLLM: generation broke off; what came was paid for
_CODES = {
    "insufficient_quota": FaultKind.QUOTA,
    "billing_hard_limit_reached": FaultKind.QUOTA,
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
_STATUSES = {
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
_LIMIT = re.compile(r"\bLimit:? (\d+)\b.{0,80}?\bRequested:? (\d+)\b", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OpenAI:
    """The dialect. Stateless: all that a call needs are its arguments."""

    accepts: tuple[type, ...] = (Chat, Completion)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    models: bool = True

    def key(self, lane: LanePlan) -> str | None:
        return "env:OPENAI_API_KEY" if lane.base_url is None else None

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        assert isinstance(call, Chat | Completion)
        around = 4 * len(call.messages) + 3 if isinstance(call, Chat) else 1  # tokens of the chat's own marks
        return Usage(
            tokens_in=estimate_tokens(prompt_text((call,))) + around,
            tokens_out=call.decoding.max_tokens,
            estimated=True,
        )

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = calls
        base = (lane.base_url or HOME).rstrip("/")
        headers = {"Content-Type": "application/json"}
        if stamp.key:
            headers["Authorization"] = f"Bearer {stamp.key}"
        match call:
            case Chat(messages=messages, decoding=decoding):
                limit = "max_completion_tokens" if base == HOME else "max_tokens"  # reasoning models refuse the older name
                turns = [{"role": message.role, "content": message.content} for message in messages]
                path, asked = "/chat/completions", {"messages": turns, limit: decoding.max_tokens}
            case Completion(prompt=prompt, decoding=decoding):
                path, asked = "/completions", {"prompt": prompt, "max_tokens": decoding.max_tokens}
            case _:
                raise TypeError(f"this dialect does not take a {type(call).__name__}")
        body = {"model": lane.model, **asked, **_settings(decoding)}
        if lane.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return HttpRequest("POST", base + path, headers, orjson.dumps(body))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        (call,) = calls
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return (Fault(FaultKind.MALFORMED, _shortened(response.body), billed=True),)
            body = {}
        if response.status != 200 or body.get("error"):
            return (fault(response, body),)
        try:
            return (self._reply(call, response, body),)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError):
            return (Fault(FaultKind.MALFORMED, _shortened(response.body), billed=True),)

    def reader(self, call: Call) -> Reader:
        return Reading(call, self.weigh(call))

    def _reply(self, call: Call, response: HttpResponse, body: dict[str, Any]) -> Reply:
        choice = body["choices"][0]
        message = choice["message"] if isinstance(call, Chat) else {"content": choice["text"]}
        text = message.get("content")
        reason = choice.get("finish_reason")
        stop = Stop.BROKEN if reason in _BROKEN else _STOPS.get(reason, Stop.END)
        if message.get("refusal"):
            text, stop = message["refusal"], Stop.REFUSED
        if not isinstance(text, str) and not (text is None and stop is not Stop.END):
            raise TypeError("no text")
        return Reply(
            text=text or "",
            stop=stop,
            usage=_usage(body["usage"]) if body.get("usage") else self.weigh(call),
            model=str(body.get("model", "")),
            seconds=response.seconds,
            first_byte=response.first_byte,
        )


@dataclass(slots=True)
class Reading:
    """A streamed answer: chunks with one delta each, then one with the usage where it was asked for, then `[DONE]`."""

    call: Call
    weight: Usage
    """What the call weighs where no usage is told."""
    began: bool = False
    ended: bool = False
    _events: Events = field(default_factory=Events)
    _text: list[str] = field(default_factory=list)
    _stop: Stop | None = None
    _usage: Usage | None = None
    _model: str = ""

    def feed(self, chunk: bytes) -> str:
        return "".join([self._take(event) for event in self._events.feed(chunk)])

    def close(self) -> Reply:
        for event in self._events.close():
            try:
                self._take(event)
            except Fault:  # the rest of a line that was cut off
                break
        text = "".join(self._text)
        whole = self.ended or (self._stop is not None and self._usage is not None)
        heard = replace(self.weight, tokens_out=min(self.weight.tokens_out, estimate_tokens(text) if text else 0))
        return Reply(
            text=text,
            stop=self._stop if whole and self._stop is not None else Stop.BROKEN,
            usage=self._usage or heard,
            model=self._model,
        )

    def _take(self, event: Event) -> str:
        if event.data == "[DONE]":
            self.ended = True
            return ""
        try:
            body = json_object(event.data.encode("utf-8", "surrogatepass"))
            if body.get("error"):
                raise fault(HttpResponse(200, {}, event.data.encode("utf-8", "replace")), body)
            return self._delta(body)
        except (Malformed, KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError):
            raise Fault(FaultKind.MALFORMED, _shortened(event.data.encode("utf-8", "replace")), billed=True) from None

    def _delta(self, body: dict[str, Any]) -> str:
        self._model = self._model or str(body.get("model") or "")
        if body.get("usage"):
            self._usage = _usage(body["usage"])
        if not body.get("choices"):
            return ""
        choice = body["choices"][0]
        delta = (choice.get("delta") or {}) if isinstance(self.call, Chat) else {"content": choice.get("text")}
        text = delta.get("content") or ""
        if not isinstance(text, str):
            raise TypeError("no text")
        if delta.get("refusal"):
            text, self._stop = str(delta["refusal"]), Stop.REFUSED
        self.began = self.began or bool(text or delta.get("reasoning_content") or delta.get("reasoning"))
        self._text.append(text)
        reason = choice.get("finish_reason")
        if reason and self._stop is None:
            self._stop = Stop.BROKEN if reason in _BROKEN else _STOPS.get(reason, Stop.END)
        return text


def _settings(decoding: Decoding) -> dict[str, Any]:
    """The decoding settings that are set, under their names on the wire."""
    chosen: dict[str, Any] = {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "presence_penalty": decoding.presence_penalty,
        "frequency_penalty": decoding.frequency_penalty,
        "seed": decoding.seed,
        "stop": list(decoding.stop) or None,
        "logit_bias": {str(token): bias for token, bias in decoding.logit_bias} or None,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _usage(usage: dict[str, Any]) -> Usage:
    """OpenAI counts cached tokens inside the prompt's, and reasoning inside the completion's."""
    cached = _count((usage.get("prompt_tokens_details") or {}).get("cached_tokens"))
    reasoning = _count((usage.get("completion_tokens_details") or {}).get("reasoning_tokens"))
    return Usage(
        tokens_in=max(0, _count(usage["prompt_tokens"]) - cached),
        tokens_cached=cached,
        tokens_out=max(0, _count(usage.get("completion_tokens")) - reasoning),
        tokens_reasoning=reasoning,
    )


def _count(value: Any) -> int:
    """A number of tokens; `ValueError` for what cannot be one."""
    count = int(value or 0)
    if not 0 <= count <= 10**12:
        raise ValueError(f"{count} tokens")
    return count


def fault(response: HttpResponse, body: dict[str, Any]) -> Fault:
    """What an error answer means, by its code and its status; both of vLLM's forms, nested and flat, are read."""
    error = body.get("error")
    if not isinstance(error, dict):
        error = {"message": error} if isinstance(error, str) else body
    code, type_ = error.get("code"), error.get("type")
    status = response.status
    if status == 200:  # OpenRouter: an error after the headers were sent has its status in the body
        status = code if isinstance(code, int) else 502
    kind = _CODES.get(str(code)) or _CODES.get(str(type_)) or _STATUSES.get(status)
    if kind is None:
        kind = FaultKind.OVERLOAD if status >= 500 else FaultKind.BAD
    if kind is FaultKind.AUTH and isinstance(error.get("metadata"), dict) and error["metadata"].get("reasons"):
        kind = FaultKind.REFUSED  # OpenRouter's moderation
    if kind is FaultKind.RATE and _exceeds(str(error.get("message", ""))):
        kind = FaultKind.TOO_BIG
    if kind is FaultKind.OVERLOAD and response.headers.get("x-should-retry") == "false":
        kind = FaultKind.BAD
    named = " ".join(str(part) for part in (code, type_) if isinstance(part, str | int) and part != status)
    # a refused key is echoed, half hidden, in the message of some servers: it is not repeated here
    message = "" if kind is FaultKind.AUTH else str(error.get("message") or _shortened(response.body))
    detail = " ".join(part for part in (f"HTTP {status}", named, _shortened(message.encode())) if part)
    return Fault(kind, detail, _hint(kind, response))


def _hint(kind: FaultKind, response: HttpResponse) -> float | None:
    """Seconds that the server asks to wait. Resets of its limits say something only where a limit was passed."""
    limited = kind in (FaultKind.RATE, FaultKind.BURST)
    told = limits.hint(response.headers, None) if limited else limits.asked(response.headers, None)
    return told if told is not None or not limited else limits.body_hint(response.body)


def _exceeds(message: str) -> bool:
    """Whether one request alone asks for more than the minute allows: two numbers that only the message has."""
    found = _LIMIT.search(message)
    return found is not None and int(found.group(2)) > int(found.group(1))


def _shortened(body: bytes) -> str:
    return " ".join(body[:800].decode("utf-8", "replace").split())[:200]


PROVIDER = OpenAI()
