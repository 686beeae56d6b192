"""Ollama's server: lines of JSON, streamed unless it is told not to, options in an object of their own, errors as one text.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from providers.simulator.calls import Answered, Facts, Frame, Kind, Part, Received, Refused, Response, Slip, Stream
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.dialects.openai import told
from providers.simulator.streams import counted, deltas
from providers.simulator.talk import Fields, joined, limit, plain, stops, turns

CHAT, GENERATE, TAGS = "/api/chat", "/api/generate", "/api/tags"
_STATUSES = MappingProxyType(
    {Kind.RATE: 429, Kind.BURST: 429, Kind.QUOTA: 402, Kind.AUTH: 401, Kind.BANNED: 403, Kind.UNKNOWN: 404}
)


@dataclass(frozen=True, slots=True)
class Ollama:
    """The dialect."""

    paths: tuple[str, ...] = (CHAT, GENERATE, TAGS)
    waits: bytes = b""
    home: str = ""

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        scheme, _, key = received.headers.get("authorization", "").partition(" ")
        return Opened(key.strip() if scheme.lower() == "bearer" else "", plain(received.body))

    def read(self, method: str, path: str, fields: Fields | None) -> Facts:
        if method != ("GET" if path == TAGS else "POST"):
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}")
        if path == TAGS:
            return Facts("models", requests=0)
        options = (fields.get("options") or {}) if fields is not None else None
        if fields is None or not isinstance(options, dict):
            raise Unreadable(Kind.BAD, "missing request body")
        model, prompt, form = fields.get("model"), fields.get("prompt"), fields.get("format")
        if not isinstance(model, str) or not model:
            raise Unreadable(Kind.BAD, "model is required")
        if path == GENERATE and not isinstance(prompt, str):
            raise Unreadable(Kind.BAD, "prompt is required")
        said = turns(fields.get("messages")) if path == CHAT else [str(prompt)]
        texts = joined(said)
        return Facts(
            task="chat" if path == CHAT else "completion",
            model=model,
            texts=texts,
            max_tokens=limit({"max_tokens": options.get("num_predict")}, 512),
            extra_tokens=4 * len(said) + 3 if path == CHAT else 0,
            stop=stops(options.get("stop")),
            drawn=f"{options.get('temperature')} {options.get('seed')}",
            characters=sum(map(len, texts)),
            stream=fields.get("stream") is not False,
            schema=form if isinstance(form, dict) else {} if form == "json" else None,
            usage=True,
        )

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        data = [{"name": name, "model": name} for name in names]
        return Response(200, {"content-type": "application/json"}, orjson.dumps({"models": data}))

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        (said,) = answered.said
        body = _said(facts, said.text, answered.thought(0)) | _last(answered, slip)
        return Response(200, {"content-type": "application/json; charset=utf-8"}, orjson.dumps(body))

    def stream(self, facts: Facts, answered: Answered, slip: Slip) -> Stream:
        (said,), thought = answered.said, answered.thought(0)
        pieces = [("", piece) for piece in deltas(thought)] + [(piece, "") for piece in deltas(said.text)]
        tokens = counted([text or thinking for text, thinking in pieces], thought, said.text)
        frames = [
            Frame(Part.TEXT, _line(_said(facts, text, thinking) | {"done": False}), many)
            for (text, thinking), many in zip(pieces, tokens, strict=True)
        ]
        frames.append(Frame(Part.END, _line(_said(facts, "", "") | _last(answered, slip))))
        error = _line({"error": "an error was encountered while running the model"})
        return Stream({"content-type": "application/x-ndjson"}, tuple(frames), error)

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status = (refused.status or 503) if refused.kind is Kind.OVERLOAD else _STATUSES.get(refused.kind, 400)
        return Response(status, {"content-type": "application/json"}, orjson.dumps({"error": told(facts, refused)}))


def _line(document: Mapping[str, object]) -> bytes:
    return orjson.dumps(document) + b"\n"


def _said(facts: Facts, text: str, thought: str) -> dict[str, object]:
    about: dict[str, object] = {"model": facts.model, "created_at": "2026-01-01T00:00:00Z"}
    thinking = {"thinking": thought} if thought else {}
    if facts.task == "chat":
        return about | {"message": {"role": "assistant", "content": text, **thinking}}
    return about | {"response": text, **thinking}


def _last(answered: Answered, slip: Slip) -> dict[str, object]:
    """It has no word for an answer that was filtered."""
    (said,) = answered.said
    done: dict[str, object] = {"done": True, "done_reason": "length" if said.finish == "length" else "stop"}
    if slip.silent:
        return done
    used = {"prompt_eval_count": answered.used.tokens_in, "eval_count": answered.used.tokens_out}
    return done | used | {"total_duration": 1_000_000, "eval_duration": 1_000_000, "prompt_eval_duration": 1, "load_duration": 1}


DIALECT = Ollama()
