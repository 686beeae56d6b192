"""Azure OpenAI's server: deployments in the path, a key in a header of its own, hints twice over, and limits told in parts.

Pure. Of its limits it tells what remains; an answer without a hint has figures of -1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from providers.simulator.calls import Answered, Facts, Kind, Measure, Received, Refused, Response, Slip, Stream
from providers.simulator.dialects import Opened, Unreadable, openai
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, asked, refuses
from providers.simulator.talk import Fields, plain, sse

_PATH = re.compile(r"/openai/(?:deployments/(?P<deployment>[^/]+)/|v1/)(?P<operation>chat/completions|completions|models)")


def spelled(refused: Refused) -> Spelled:
    match refused.kind:
        case Kind.RATE | Kind.BURST:
            return Spelled(429, None, "429")
        case Kind.QUOTA:
            return Spelled(403, None, "quota_exceeded")
        case Kind.OVERLOAD:
            return Spelled(refused.status or 503, None, "InternalServerError")
        case Kind.AUTH | Kind.BANNED:
            return Spelled(401, None, "401")
        case Kind.UNKNOWN:
            return Spelled(404, None, "DeploymentNotFound")
        case Kind.TOO_BIG:
            return Spelled(400, "invalid_request_error", "context_length_exceeded")
        case _:
            return Spelled(400, "invalid_request_error", None)


def headers(slip: Slip) -> dict[str, str]:
    """What remains, and seconds to the reset; no limits."""
    found = bare(slip) | {"apim-request-id": f"{slip.number:012}"}
    for of, _, remaining, _ in slip.readings:
        if of in (Measure.REQUESTS, Measure.TOKENS):
            found[f"x-ratelimit-remaining-{of}"] = str(remaining)
    return found


_VENDOR = replace(openai.VENDOR, spelled=spelled, headers=headers, body=lambda message, spelled: _error(message, spelled))
_INNER = OpenAI(_VENDOR)


def _error(message: str, spelled: Spelled) -> object:
    return {"error": {"code": spelled.code, "message": message, "type": spelled.type}}


class _Paths:
    """Any deployment's."""

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and _PATH.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class AzureOpenAI:
    """The dialect."""

    paths: _Paths = _Paths()  # noqa: RUF009
    waits: bytes = b""
    home: str = ""

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        opened = _INNER.opened(received, keys)
        return opened._replace(key=received.headers.get("api-key") or opened.key)

    def read(self, method: str, path: str, fields: Fields | None) -> Facts:
        found = _PATH.fullmatch(path)
        assert found is not None, "a path of this dialect"
        if found["operation"] == "models":
            return Facts("models", requests=0)
        if method != "POST":
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}.")
        if fields is None:
            raise Unreadable(Kind.BAD, "The body is not a JSON object.")
        model = found["deployment"] or fields.get("model")
        if not isinstance(model, str) or not model:
            raise Unreadable(Kind.BAD, "The parameter 'model' is missing.")
        return asked(fields, model, chat=found["operation"] == "chat/completions", refuses=refuses)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return _INNER.models(names, slip)

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        response = _INNER.answer(facts, answered, slip)
        body = plain(response.body) or {}
        return response._replace(body=orjson.dumps(body | {"prompt_filter_results": _RESULTS}))

    def stream(self, facts: Facts, answered: Answered, slip: Slip) -> Stream:
        """Its first chunk has no choices."""
        stream = _INNER.stream(facts, answered, slip)
        first = sse({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": _RESULTS})
        opening, *rest = stream.frames
        return stream._replace(frames=(opening._replace(data=first + opening.data), *rest))

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        response = _INNER.refuse(facts, refused, slip)
        if refused.kind not in (Kind.RATE, Kind.BURST):
            return response
        if slip.hint is None:
            unknown = {f"x-ratelimit-{what}-requests": "-1" for what in ("limit", "remaining")} | {
                "x-ratelimit-reset-requests": "0"
            }
            return response._replace(headers={**response.headers, **unknown})
        return response._replace(headers={**response.headers, "retry-after-ms": str(int(slip.hint * 1000) + 1)})


_RESULTS = ({"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}},)

DIALECT = AzureOpenAI()
