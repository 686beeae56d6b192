"""LibreTranslate's server: `/translate` with one text or several, the key in the body, errors as one sentence.

Pure. Several texts cost as many requests; there are no rate headers and no hints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import Rules, as_object, asked, codes, json_response

LANGUAGES = codes("ar cs da de en es fr it ja ko nl pl pt ru sv tr uk zh zh-Hans zh-Hant zt")
_RULES = Rules(LANGUAGES | {"auto"}, LANGUAGES, texts=1_000_000)
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

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        fields = as_object(received.body) if received.body else {}
        return Opened(str((fields or {}).get("api_key") or ""), fields)

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if path == "/languages":
            return Facts("models", requests=0)
        if method != "POST":
            raise Unreadable(Kind.UNKNOWN, f"{path} does not take {method}")
        if fields is None:
            raise Unreadable(Kind.BAD, "Invalid JSON format")
        given = fields.get("q")
        facts = asked(given, fields.get("source"), fields.get("target"), _RULES)
        return replace(facts, drawn="list" if isinstance(given, list) else "", requests=len(facts.texts))

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return json_response([{"code": code, "name": code, "targets": sorted(LANGUAGES)} for code in sorted(LANGUAGES)])

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        texts = [text for text, finish in answered.said if finish != "missing"]
        several = facts.drawn == "list"
        body: dict[str, object] = {"translatedText": texts if several else texts[0]}
        if facts.source == "auto":
            detected = [
                {"language": "zh" if any(c >= "\u3400" for c in text) else "en", "confidence": 90} for text in facts.texts
            ]
            body["detectedLanguage"] = detected if several else detected[0]
        return json_response(body)

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status = _STATUSES.get(refused.kind, 400)
        if refused.kind is Kind.OVERLOAD and refused.status:
            status = refused.status
        return json_response({"error": _sentence(facts, refused)}, status)


def _sentence(facts: Facts, refused: Refused) -> str:
    bound = refused.bound
    match refused.kind:
        case Kind.RATE | Kind.BURST | Kind.QUOTA:
            span = next((span for span in ("hour", "day") if bound and span in bound.limit), "minute")
            return f"Slowdown: {bound.most if bound else 1} per 1 {span}"
        case Kind.TOO_BIG:
            asked, most = (bound.asked, bound.most) if bound else (facts.longest, refused.most)
            return f"Invalid request: request ({asked}) exceeds text limit ({most})"
        case Kind.AUTH:
            return "Invalid API key"
        case Kind.BANNED:
            return "Too many request limits violations"
        case _:
            return refused.message


DIALECT = LibreTranslate()
