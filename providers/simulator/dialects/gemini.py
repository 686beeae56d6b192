"""Gemini's server: the model in the path, contents in parts, no rate headers, and quotas named in the details of an error.

Pure. A stream is one of server-sent events, as its clients ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from providers.simulator.answers import count_tokens
from providers.simulator.calls import Answered, Facts, Frame, Kind, Measure, Part, Received, Refused, Response, Said, Slip, Stream
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.dialects.openai import told
from providers.simulator.streams import counted, deltas
from providers.simulator.talk import Fields, joined, limit, plain, sse

_PATH = re.compile(r"/v1(?:beta)?/models(?:/(?P<model>[^/:]+):(?P<method>generateContent|streamGenerateContent))?")
_FINISHES = MappingProxyType({"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"})
_ERRORS = MappingProxyType(
    {
        Kind.RATE: (429, "RESOURCE_EXHAUSTED"),
        Kind.BURST: (429, "RESOURCE_EXHAUSTED"),
        Kind.QUOTA: (429, "RESOURCE_EXHAUSTED"),
        Kind.BANNED: (403, "PERMISSION_DENIED"),
        Kind.UNKNOWN: (404, "NOT_FOUND"),
        Kind.TOO_BIG: (413, "INVALID_ARGUMENT"),
    }
)
_QUOTAS = MappingProxyType(
    {
        Measure.REQUESTS: "GenerateRequestsPer{span}PerProjectPerModel",
        Measure.TOKENS: "GenerateContentInputTokensPerModelPer{span}",
        Measure.TOKENS_IN: "GenerateContentInputTokensPerModelPer{span}",
    }
)
_STATES = MappingProxyType({500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"})
_TYPE = "type.googleapis.com/google.rpc."


class _Paths:
    """Any model's."""

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and _PATH.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Gemini:
    """The dialect."""

    paths: _Paths = _Paths()  # noqa: RUF009
    waits: bytes = b""
    home: str = "/v1beta"

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        scheme, _, token = received.headers.get("authorization", "").partition(" ")
        return Opened(
            received.headers.get("x-goog-api-key") or (token.strip() if scheme.lower() == "bearer" else ""), plain(received.body)
        )

    def read(self, method: str, path: str, fields: Fields | None) -> Facts:
        found = _PATH.fullmatch(path)
        assert found is not None, "a path of this dialect"
        if method != ("POST" if found["model"] else "GET"):
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}.")
        if not found["model"]:
            return Facts("models", requests=0)
        config = fields.get("generationConfig", {}) if fields is not None else None
        if fields is None or not isinstance(config, dict):
            raise Unreadable(Kind.BAD, "Invalid JSON payload received.")
        said = [*_texts([fields.get("systemInstruction")]), *_texts(fields.get("contents"))]
        if not said:
            raise Unreadable(Kind.BAD, "contents is not specified")
        if (why := _wrong(config, found["model"])) is not None:
            raise Unreadable(Kind.BAD, why)
        shape = config.get("responseSchema") or config.get("responseJsonSchema")
        texts = joined(said)
        return Facts(
            task="chat",
            model=found["model"],
            texts=texts,
            max_tokens=limit({"max_tokens": config.get("maxOutputTokens")}, 1024),
            extra_tokens=4 * len(said) + 3,
            stop=tuple(map(str, config.get("stopSequences") or ())),
            drawn=f"{config.get('temperature')} {config.get('seed')}",
            characters=sum(map(len, texts)),
            stream=found["method"] == "streamGenerateContent",
            schema=shape if isinstance(shape, dict) else {} if config.get("responseMimeType") == "application/json" else None,
            usage=True,
        )

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        data = [{"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]} for name in names]
        return Response(200, {"content-type": "application/json"}, orjson.dumps({"models": data}))

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        (said,), thought = answered.said, answered.thought(0)
        parts = [*_parts(thought, "thought"), *_parts(said.text, "text")]
        body = _candidate(parts, said) | _told(facts, answered, slip)
        return Response(200, {"content-type": "application/json"}, orjson.dumps(body))

    def stream(self, facts: Facts, answered: Answered, slip: Slip) -> Stream:
        """Each event is a whole answer with a part of the text; the last says why it ended, and what was used."""
        (said,), thought = answered.said, answered.thought(0)
        pieces = [(piece, "thought") for piece in deltas(thought)] + [(piece, "text") for piece in deltas(said.text)]
        tokens = counted([piece for piece, _ in pieces], thought, said.text)
        about = {"modelVersion": facts.model, "responseId": f"{slip.number:012}"}
        frames = [
            Frame(Part.TEXT, sse(_candidate(_parts(piece, kind), None) | about), many)
            for (piece, kind), many in zip(pieces, tokens, strict=True)
        ]
        frames.append(Frame(Part.CLOSE, sse(_candidate(_parts("", "text"), said) | _told(facts, answered, slip))))
        error = sse({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})
        return Stream({"content-type": "text/event-stream"}, tuple(frames), error)

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        """Quotas and waits stand in its details. The wait for a day's quota is as short as any."""
        status, state = _ERRORS.get(refused.kind, (400, "INVALID_ARGUMENT"))
        details: list[dict[str, object]] = []
        if refused.kind is Kind.OVERLOAD:
            status = refused.status or 503
            state = _STATES.get(status, "UNAVAILABLE")
        if refused.kind is Kind.AUTH:
            details.append({"@type": f"{_TYPE}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
        if status == 429:
            span = "Day" if refused.kind is Kind.QUOTA else "Minute"
            name = _QUOTAS.get(refused.bound.of if refused.bound else Measure.REQUESTS, _QUOTAS[Measure.REQUESTS])
            violation = {"quotaMetric": "generativelanguage.googleapis.com/any", "quotaId": name.format(span=span)}
            details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [violation]})
            if slip.hint is not None:
                details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{-(-slip.hint // 1):.0f}s"})
        error = {"code": status, "message": told(facts, refused), "status": state, "details": details}
        return Response(status, {"content-type": "application/json"}, orjson.dumps({"error": error}))


def _wrong(config: Mapping[str, object], model: str) -> str | None:
    stops = config.get("stopSequences")
    if isinstance(stops, list) and len(stops) > 5:
        return "The number of stop sequences must be at most 5."
    if any(config.get(name) for name in ("presencePenalty", "frequencyPenalty")) and not model.startswith("gemini-2.0"):
        return "Penalty is not enabled for this model"
    return None


def _texts(contents: object) -> list[str]:
    """The words of each turn."""
    turns = contents if isinstance(contents, list) else [contents]
    found = []
    for turn in turns:
        parts = turn.get("parts") if isinstance(turn, dict) else None
        if isinstance(parts, list) and parts:
            found.append("".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part))
    return found


def _parts(text: str, kind: str) -> list[dict[str, object]]:
    if kind == "thought":
        return [{"text": text, "thought": True}] if text else []
    return [{"text": text}]


def _candidate(parts: list[dict[str, object]], said: Said | None) -> dict[str, object]:
    content: dict[str, object] = {"role": "model"} | ({"parts": parts} if parts else {})
    if said is None:
        return {"candidates": [{"content": content, "index": 0}]}
    if said.finish == "content_filter":
        return {"candidates": [{"finishReason": "SAFETY", "index": 0, "safetyRatings": []}]}
    return {"candidates": [{"content": content, "finishReason": _FINISHES[said.finish], "index": 0}]}


def _told(facts: Facts, answered: Answered, slip: Slip) -> dict[str, object]:
    """Thoughts are counted beside the candidates."""
    used = answered.used
    about: dict[str, object] = {"modelVersion": facts.model, "responseId": f"{slip.number:012}"}
    if slip.silent:
        return about
    thought = sum(map(count_tokens, answered.thoughts))
    usage = {
        "promptTokenCount": used.tokens_in,
        "candidatesTokenCount": used.tokens_out - thought,
        "totalTokenCount": used.tokens_in + used.tokens_out,
    }
    usage |= {"thoughtsTokenCount": thought} if thought else {}
    return about | {"usageMetadata": usage | ({"cachedContentTokenCount": answered.cached} if answered.cached else {})}


DIALECT = Gemini()
