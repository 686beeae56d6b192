"""OpenAI's server: chat and legacy completions, streams, the list of models, rate headers in Go's durations, errors by code.

Pure. What other vendors' servers do their own way is a `Vendor`, one file each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import orjson

from providers.simulator.answers import count_tokens
from providers.simulator.calls import Answered, Facts, Frame, Kind, Measure, Part, Received, Refused, Response, Said, Slip, Stream
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.streams import counted, deltas
from providers.simulator.talk import EPOCH, Fields, duration, joined, limit, plain, prompts, schema, sse, stops, turns

CHAT, COMPLETIONS, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/models"
_UNSAID = 256
"""Tokens of a chat that names no limit."""
_SHOWN = MappingProxyType({Measure.REQUESTS: "requests", Measure.TOKENS: "tokens"})
_REASONING = re.compile(r"(?:o\d|gpt-[5-9])(?!.*chat)")
_NEVER = ("max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "stop")
"""What models that reason refuse."""


class Spelled(NamedTuple):
    """Status, type and code of an error."""

    status: int
    type: str | None
    code: str | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """What a server that speaks this dialect does its own way."""

    root: str = "/v1"
    completions: bool = True
    spelled: Callable[[Refused], Spelled]
    """How it spells an error."""
    body: Callable[[str, Spelled], object]
    """An error as it goes out."""
    headers: Callable[[Slip], dict[str, str]]
    refuses: Callable[[Fields], str | None]
    """Why it would not take a request's settings."""
    usage: str = "asked"
    """Where a stream tells its usage: in a chunk of its own, `always` or if `asked`; in the `last`; in that one's `choice`."""
    thinks: str = "hidden"
    """Where a thought stands: in a field of that name, in the `content` between marks, in `parts` of the content, or `hidden`."""
    filtered: str = "content_filter"
    comment: bytes = b""
    waits: bytes = b""
    ends_errors: bool = False
    """A stream that failed has the usual end behind its error."""


@dataclass(frozen=True, slots=True)
class OpenAI:
    """The dialect, as a vendor bends it."""

    vendor: Vendor

    @property
    def paths(self) -> tuple[str, ...]:
        root = self.vendor.root
        served = (f"{root}/chat/completions", f"{root}/models")
        return (*served, f"{root}/completions") if self.vendor.completions else served

    @property
    def home(self) -> str:
        return self.vendor.root

    @property
    def waits(self) -> bytes:
        return self.vendor.waits

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        scheme, _, key = received.headers.get("authorization", "").partition(" ")
        return Opened(key.strip() if scheme.lower() == "bearer" else "", plain(received.body))

    def read(self, method: str, path: str, fields: Fields | None) -> Facts:
        if method != ("GET" if path.endswith("/models") else "POST"):
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}.")
        if path.endswith("/models"):
            return Facts("models", requests=0)
        if fields is None:
            raise Unreadable(Kind.BAD, "The body is not a JSON object.")
        model = fields.get("model")
        if not isinstance(model, str) or not model:
            raise Unreadable(Kind.BAD, "The parameter 'model' is missing.")
        return asked(fields, model, chat=path.endswith("/chat/completions"), refuses=self.vendor.refuses)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        data = [{"id": name, "object": "model", "created": EPOCH, "owned_by": "simulator"} for name in names]
        return Response(200, self.vendor.headers(slip), orjson.dumps({"object": "list", "data": data}))

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        chat = facts.task == "chat"
        choices: list[dict[str, object]] = []
        for n, said in enumerate(answered.said):
            message = self._message(said, answered.thought(n)) if chat else {"text": said.text}
            choices.append({"index": n, **message, "logprobs": None, "finish_reason": self._finish(said)})
        body = _about(facts, slip) | {"object": "chat.completion" if chat else "text_completion", "choices": choices}
        told = {} if slip.silent else {"usage": usage(answered)}
        return Response(200, self.vendor.headers(slip), orjson.dumps(body | told))

    def stream(self, facts: Facts, answered: Answered, slip: Slip) -> Stream:
        vendor, chat = self.vendor, facts.task == "chat"
        about = _about(facts, slip) | {"object": "chat.completion.chunk" if chat else "text_completion"}
        told = vendor.usage != "asked" or facts.usage

        def chunk(n: int, delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
            said = {"delta": delta} if chat else {"text": delta.get("content", "")}
            return sse(about | {"choices": [{"index": n, **said, "logprobs": None, "finish_reason": finish, **more}]})

        frames: list[Frame] = []
        for n, said in enumerate(answered.said):
            if chat:
                frames.append(Frame(Part.OPEN, chunk(n, {"role": "assistant", "content": ""})))
            for delta, tokens in self._deltas(said, answered.thought(n)):
                frames.append(Frame(Part.TEXT, chunk(n, delta), tokens))
            last = n == len(answered.said) - 1 and told and not slip.silent
            close = {"usage": usage(answered)} if last and vendor.usage in ("choice", "last") else {}
            if vendor.usage == "last" and close:
                whole = about | {"choices": [{"index": n, "delta": {}, "finish_reason": self._finish(said)}]} | close
                frames.append(Frame(Part.CLOSE, sse(whole)))
            else:
                frames.append(Frame(Part.CLOSE, chunk(n, {}, self._finish(said), **close)))
        if told and not slip.silent and vendor.usage in ("asked", "always"):
            frames.append(Frame(Part.USAGE, sse(about | {"choices": [], "usage": usage(answered)})))
        frames.append(Frame(Part.END, _DONE))
        broken = vendor.spelled(Refused(Kind.OVERLOAD, "", status=502))
        error = sse(vendor.body("The server failed while it answered.", broken)) + (_DONE if vendor.ends_errors else b"")
        headers = vendor.headers(slip) | {"content-type": "text/event-stream"}
        return Stream(headers, tuple(frames), error, vendor.comment)

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        spelled = self.vendor.spelled(refused)
        headers = self.vendor.headers(slip)
        if slip.hint is not None and refused.kind in (Kind.RATE, Kind.BURST, Kind.OVERLOAD):
            headers["retry-after"] = str(max(1, int(-(-slip.hint // 1))))
        return Response(spelled.status, headers, orjson.dumps(self.vendor.body(told(facts, refused), spelled)))

    def _finish(self, said: Said) -> str:
        return self.vendor.filtered if said.finish == "content_filter" else said.finish

    def _message(self, said: Said, thought: str) -> dict[str, object]:
        text: object = said.text if said.finish != "content_filter" else None
        message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None}
        match self.vendor.thinks:
            case "hidden":
                pass
            case "content" if thought:
                message["content"] = f"<think>\n{thought}\n</think>\n\n{said.text}"
            case "parts" if thought:
                message["content"] = [_thinking(thought), {"type": "text", "text": said.text}]
            case field if thought:
                message[field] = thought
        return {"message": message}

    def _deltas(self, said: Said, thought: str) -> list[tuple[dict[str, object], int]]:
        """What the chunks say, with their tokens; together they have as many as the answer and its thought."""
        thinks = self.vendor.thinks
        pieces: list[tuple[dict[str, object], str]] = []
        if thinks == "content" and thought:
            pieces += [({"content": piece}, "") for piece in deltas("<think>\n")]
        for piece in deltas(thought):
            shown: dict[str, object] = (
                {"content": piece} if thinks == "content" else {"content": [_thinking(piece)]} if thinks == "parts" else {}
            )
            pieces.append((shown or ({} if thinks == "hidden" else {thinks: piece}), piece))
        if thinks == "content" and thought:
            pieces.append(({"content": "\n</think>\n\n"}, ""))
        pieces += [({"content": piece}, piece) for piece in deltas(said.text)]
        return list(zip((shown for shown, _ in pieces), counted([piece for _, piece in pieces], thought, said.text), strict=True))


_DONE = b"data: [DONE]\n\n"


def usage(answered: Answered) -> dict[str, object]:
    """OpenAI's counters."""
    used = answered.used
    return {
        "prompt_tokens": used.tokens_in,
        "completion_tokens": used.tokens_out,
        "total_tokens": used.tokens_in + used.tokens_out,
        "prompt_tokens_details": {"cached_tokens": answered.cached},
        "completion_tokens_details": {"reasoning_tokens": sum(map(count_tokens, answered.thoughts))},
    }


def asked(fields: Fields, model: str, *, chat: bool, refuses: Callable[[Fields], str | None]) -> Facts:
    """What a request asks for."""
    if fields.get("n") not in (None, 1) or fields.get("best_of") not in (None, 1):
        raise Unreadable(Kind.BAD, "More than one choice is not supported here.")
    if (why := refuses({**fields, "model": model})) is not None:
        raise Unreadable(Kind.BAD, why)
    if chat:
        said = turns(fields.get("messages"))
        task, texts, extra, usual = "chat", joined(said), 4 * len(said) + 3, _UNSAID
    else:
        task, texts, extra, usual = "completion", prompts(fields.get("prompt")), 0, 16
    options = fields.get("stream_options")
    return Facts(
        task=task,
        model=model,
        texts=texts,
        max_tokens=limit(fields, usual),
        extra_tokens=extra,
        stop=stops(fields.get("stop")),
        drawn=f"{fields.get('temperature')} {fields.get('seed')}",
        characters=sum(map(len, texts)),
        stream=bool(fields.get("stream")),
        schema=schema(fields),
        usage=isinstance(options, dict) and bool(options.get("include_usage")),
    )


def _about(facts: Facts, slip: Slip) -> dict[str, object]:
    chat = facts.task == "chat"
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{slip.number:012}",
        "created": EPOCH + int(slip.seconds),
        "model": facts.model,
    }


def _thinking(thought: str) -> dict[str, object]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": thought}]}


def headers(slip: Slip) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "x-request-id": f"req_{slip.number:012}",
        "openai-processing-ms": "1",
    }
    for of, most, remaining, reset in slip.readings:
        if (name := _SHOWN.get(of)) is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(most)
            headers[f"x-ratelimit-remaining-{name}"] = str(remaining)
            headers[f"x-ratelimit-reset-{name}"] = duration(reset)
    return headers


def spelled(refused: Refused) -> Spelled:
    """Status, type and code of an error."""
    match refused.kind:
        case Kind.RATE:
            counted = refused.bound.of if refused.bound else Measure.REQUESTS
            return Spelled(429, "requests" if counted is Measure.REQUESTS else "tokens", "rate_limit_exceeded")
        case Kind.BURST:
            return Spelled(503, "server_error", "slow_down")
        case Kind.QUOTA:
            return Spelled(429, "insufficient_quota", "insufficient_quota")
        case Kind.TOO_BIG if refused.bound:
            return Spelled(429, "tokens", "rate_limit_exceeded")
        case Kind.TOO_BIG:
            return Spelled(400, "invalid_request_error", "context_length_exceeded")
        case Kind.OVERLOAD:
            return Spelled(refused.status or 503, "server_error", "overloaded" if refused.status in (0, 503, 529) else None)
        case Kind.AUTH:
            return Spelled(401, "invalid_request_error", "invalid_api_key")
        case Kind.BANNED:
            return Spelled(403, "invalid_request_error", "account_suspended")
        case Kind.UNKNOWN:
            return Spelled(404, "invalid_request_error", "model_not_found" if refused.status == 0 else None)
        case _:
            return Spelled(400, "invalid_request_error", None)


def told(facts: Facts, refused: Refused) -> str:
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


def nested(message: str, spelled: Spelled) -> object:
    """An error's body as OpenAI's is."""
    return {"error": {"message": message, "type": spelled.type, "param": None, "code": spelled.code}}


def refuses(fields: Fields) -> str | None:
    """What OpenAI's own models refuse."""
    many = fields.get("stop")
    if isinstance(many, list) and len(many) > 4:
        return "The parameter 'stop' must be a text or a list of up to four texts."
    model = fields.get("model")
    strange = [name for name in _NEVER if name in fields] if isinstance(model, str) and _REASONING.match(model) else []
    return f"The parameter {strange[0]!r} is not supported with this model." if strange else None


def nothing(fields: Fields) -> str | None:
    """A server that takes any setting."""
    return None


VENDOR = Vendor(spelled=spelled, body=nested, headers=headers, refuses=refuses)
DIALECT = OpenAI(VENDOR)
