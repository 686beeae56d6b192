"""LibreTranslate's server: `/translate` with one text or several, the key in the body, errors as one text.

Pure. Several texts cost as many requests; there are no rate headers and no hints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from providers.simulator.calls import Answered, Facts, Kind, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable

_CODES = "ar cs da de en es fr it ja ko nl pl pt ru sv tr uk zh zh-Hans zh-Hant zt"
LANGUAGES = frozenset(_CODES.split(" "))
_STATUSES = {
    Kind.RATE: 429,
    Kind.BURST: 429,
    Kind.OVERLOAD: 500,
    Kind.QUOTA: 429,
    Kind.AUTH: 403,
    Kind.BANNED: 403,
    Kind.UNKNOWN: 404,
}


@dataclass(frozen=True, slots=True)
class LibreTranslate:
    """The dialect."""

    paths: tuple[str, ...] = ("/translate", "/languages")

    def opened(self, headers: Mapping[str, str], body: bytes) -> Opened:
        try:
            fields = orjson.loads(body) if body else {}
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict):
            return Opened("", None)
        return Opened(str(fields.get("api_key") or ""), fields)

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if path == "/languages":
            return Facts("models", requests=0)
        if method != "POST":
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}")
        if fields is None:
            raise Unreadable(Kind.BAD, "The body is not a JSON object")
        given = fields.get("q")
        several = given if isinstance(given, list) else [given]
        texts = tuple(text for text in several if isinstance(text, str) and text)
        if not texts or len(texts) < len(several):
            raise Unreadable(Kind.BAD, "The parameter q must be a text or a list of texts")
        source, target = fields.get("source"), fields.get("target")
        if not isinstance(source, str) or (source != "auto" and source not in LANGUAGES):
            raise Unreadable(Kind.BAD, f"{source} is no language that can be translated from")
        if not isinstance(target, str) or target not in LANGUAGES:
            raise Unreadable(Kind.BAD, f"{target} is no language that can be translated into")
        return Facts(
            task="translation",
            texts=texts,
            drawn="list" if isinstance(given, list) else "",
            source=source,
            target=target,
            requests=len(texts),
            characters=sum(map(len, texts)),
        )

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        body = [{"code": code, "name": code, "targets": sorted(LANGUAGES)} for code in sorted(LANGUAGES)]
        return Response(200, {"content-type": "application/json"}, orjson.dumps(body))

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        texts = [text for text, _ in answered.said]
        several = facts.drawn == "list"
        body: dict[str, object] = {"translatedText": texts if several else texts[0]}
        if facts.source == "auto":
            detected = [
                {"language": "zh" if any(c >= "\u3400" for c in text) else "en", "confidence": 90} for text in facts.texts
            ]
            body["detectedLanguage"] = detected if several else detected[0]
        return Response(200, {"content-type": "application/json"}, orjson.dumps(body))

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        match refused.kind:
            case Kind.RATE | Kind.BURST | Kind.QUOTA:
                message = f"Slowdown: {refused.bound.limit if refused.bound else refused.message}"
            case Kind.TOO_BIG if refused.bound:
                message = f"{refused.bound.asked} {refused.bound.of} are more than the limit of {refused.bound.most}"
            case _:
                message = refused.message
        status = _STATUSES.get(refused.kind, 400)
        if refused.kind is Kind.OVERLOAD and refused.status:
            status = refused.status
        return Response(status, {"content-type": "application/json"}, orjson.dumps({"error": message}))


DIALECT = LibreTranslate()
