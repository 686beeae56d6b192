"""OpenAI's server: chat and legacy completions, the list of models, rate headers in Go's durations, errors by code.

Pure. Streams come later; until then a request for one is refused as a value that is not supported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from providers.simulator.calls import Answered, Facts, Kind, Measure, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable

CHAT, COMPLETIONS, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/models"
_UNSAID = 256
"""Tokens of a chat that names no limit."""
_EPOCH = 1_767_225_600
"""The simulator's clock starts on 1 January 2026, so that the same calls get the same bytes."""
_SHOWN = MappingProxyType({Measure.REQUESTS: "requests", Measure.TOKENS: "tokens"})


def duration(nanoseconds: int) -> str:
    """As Go writes it, to the millisecond: `0s`, `9ms`, `1.2s`, `6m0s`, `1h0m0.5s`; more than nothing is at least `1ms`."""
    millis = max((nanoseconds + 500_000) // 1_000_000, 1 if nanoseconds > 0 else 0)
    if 0 < millis < 1000:
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000}" + (f".{rest % 1000:03}".rstrip("0") if rest % 1000 else "") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


@dataclass(frozen=True, slots=True)
class OpenAI:
    """The dialect."""

    paths: tuple[str, ...] = (CHAT, COMPLETIONS, MODELS)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        scheme, _, key = received.headers.get("authorization", "").partition(" ")
        try:
            fields = orjson.loads(received.body) if received.body else {}
        except orjson.JSONDecodeError:
            fields = None
        return Opened(key.strip() if scheme.lower() == "bearer" else "", fields if isinstance(fields, dict) else None)

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if method != ("GET" if path == MODELS else "POST"):
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}.")
        if path == MODELS:
            return Facts("models", requests=0)
        if fields is None:
            raise Unreadable(Kind.BAD, "The body is not a JSON object.")
        model = fields.get("model")
        if not isinstance(model, str) or not model:
            raise Unreadable(Kind.BAD, "The parameter 'model' is missing.")
        if fields.get("stream"):
            raise Unreadable(Kind.BAD, "The parameter 'stream' is not supported here.")
        if fields.get("n") not in (None, 1) or fields.get("best_of") not in (None, 1):
            raise Unreadable(Kind.BAD, "More than one choice is not supported here.")
        if path == CHAT:
            turns = _turns(fields.get("messages"))
            task, texts, extra, usual = "chat", _joined(turns), 4 * len(turns) + 3, _UNSAID
        else:
            task, texts, extra, usual = "completion", _prompts(fields.get("prompt")), 0, 16
        return Facts(
            task=task,
            model=model,
            texts=texts,
            max_tokens=_limit(fields, usual),
            extra_tokens=extra,
            stop=_stops(fields.get("stop")),
            drawn=f"{fields.get('temperature')} {fields.get('seed')}",
            characters=sum(map(len, texts)),
        )

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        data = [{"id": name, "object": "model", "created": _EPOCH, "owned_by": "simulator"} for name in names]
        return Response(200, _headers(slip), orjson.dumps({"object": "list", "data": data}))

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        chat = facts.task == "chat"
        choices: list[dict[str, object]] = []
        for n, (text, finish) in enumerate(answered.said):
            shown = text if finish != "content_filter" else None
            message = {"message": {"role": "assistant", "content": shown, "refusal": None}} if chat else {"text": shown or ""}
            choices.append({"index": n, **message, "logprobs": None, "finish_reason": finish})
        used = answered.used
        body = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{slip.number:012}",
            "object": "chat.completion" if chat else "text_completion",
            "created": _EPOCH + int(slip.seconds),
            "model": facts.model,
            "choices": choices,
            "usage": {
                "prompt_tokens": used.tokens_in,
                "completion_tokens": used.tokens_out,
                "total_tokens": used.tokens_in + used.tokens_out,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }
        return Response(200, _headers(slip), orjson.dumps(body))

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status, type_, code = _spelled(refused)
        headers = _headers(slip)
        if slip.hint is not None and refused.kind in (Kind.RATE, Kind.BURST, Kind.OVERLOAD):
            headers["retry-after"] = str(max(1, int(-(-slip.hint // 1))))
        error = {"message": _message(facts, refused), "type": type_, "param": None, "code": code}
        return Response(status, headers, orjson.dumps({"error": error}))


def _turns(messages: object) -> list[str]:
    """The words of a chat, turn by turn."""
    if not isinstance(messages, list) or not messages:
        raise Unreadable(Kind.BAD, "The parameter 'messages' must be a list of at least one message.")
    contents = [turn.get("content") if isinstance(turn, dict) else None for turn in messages]
    words = [text for text in contents if isinstance(text, str)]
    if len(words) < len(contents):
        raise Unreadable(Kind.BAD, "Each message needs a role and a text as its content.")
    return words


def _joined(turns: list[str]) -> tuple[str, ...]:
    """A chat gets one answer, to all of its words."""
    return ("\n\n".join(turns),)


def _prompts(prompt: object) -> tuple[str, ...]:
    texts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise Unreadable(Kind.BAD, "The parameter 'prompt' must be a text or a list of texts.")
    return tuple(texts)


def _limit(fields: Mapping[str, object], usual: int) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        value = fields.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise Unreadable(Kind.BAD, f"The parameter {name!r} must be a whole number of at least 1.")
            return value
    return usual


def _stops(stop: object) -> tuple[str, ...]:
    texts = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(texts, list) or len(texts) > 4 or not all(isinstance(text, str) for text in texts):
        raise Unreadable(Kind.BAD, "The parameter 'stop' must be a text or a list of up to four texts.")
    return tuple(texts)


def _headers(slip: Slip) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "x-request-id": f"req_{slip.number:012}",
        "openai-processing-ms": "1",
    }
    for of, limit, remaining, reset in slip.readings:
        if (name := _SHOWN.get(of)) is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(remaining)
            headers[f"x-ratelimit-reset-{name}"] = duration(reset)
    return headers


def _spelled(refused: Refused) -> tuple[int, str, str | None]:
    """Status, type and code of an error."""
    match refused.kind:
        case Kind.RATE:
            counted = refused.bound.of if refused.bound else Measure.REQUESTS
            return 429, "requests" if counted is Measure.REQUESTS else "tokens", "rate_limit_exceeded"
        case Kind.BURST:
            return 503, "server_error", "slow_down"
        case Kind.QUOTA:
            return 429, "insufficient_quota", "insufficient_quota"
        case Kind.TOO_BIG if refused.bound:
            return 429, "tokens", "rate_limit_exceeded"
        case Kind.TOO_BIG:
            return 400, "invalid_request_error", "context_length_exceeded"
        case Kind.OVERLOAD:
            return refused.status or 503, "server_error", "overloaded" if refused.status in (0, 503, 529) else None
        case Kind.AUTH:
            return 401, "invalid_request_error", "invalid_api_key"
        case Kind.BANNED:
            return 403, "invalid_request_error", "account_suspended"
        case Kind.UNKNOWN:
            return 404, "invalid_request_error", "model_not_found" if refused.status == 0 else None
        case _:
            return 400, "invalid_request_error", None


def _message(facts: Facts, refused: Refused) -> str:
    bound = refused.bound
    if bound is None:
        return refused.message
    numbers = f"Limit {bound.most}, Used {bound.used}, Requested {bound.asked}."
    if refused.kind is Kind.TOO_BIG:
        return f"One request to {facts.model} may not take so many {bound.of}: {numbers} Send less at once."
    if refused.kind is Kind.QUOTA:
        return "This account has used up what it may spend; see its plan and its billing."
    wait = f" Free again in {duration(bound.wait)}." if bound.wait is not None else ""
    return f"{facts.model} is at the limit of {bound.limit}: {numbers}{wait}"


DIALECT = OpenAI()
