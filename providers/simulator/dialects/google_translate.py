"""Google's server of Cloud Translation v2: many texts, and 403 with a reason for a rate and for a day that is used up.

Pure. Shapes: Google's pages on quotas and errors (2026); bursts get the newer 429.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import NOTHING_LISTED, Rules, as_form, as_object, asked, codes, first, json_response

_LANGUAGES = codes("ar bg ca cs da de el en es fi fr hi hr hu id it iw ja ko no nl pl pt ro ru sk sv th tr uk vi zh zh-CN zh-TW")
_RULES = Rules(_LANGUAGES, _LANGUAGES, texts=128, whole=30_000)
_ERRORS = {
    Kind.RATE: (403, "userRateLimitExceeded", "PERMISSION_DENIED", "User Rate Limit Exceeded"),
    Kind.BURST: (429, "rateLimitExceeded", "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric"),
    Kind.QUOTA: (403, "dailyLimitExceeded", "PERMISSION_DENIED", "Daily Limit Exceeded"),
    Kind.TOO_BIG: (400, "textTooLong", "INVALID_ARGUMENT", "Text too long"),
    Kind.AUTH: (400, "keyInvalid", "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    Kind.BANNED: (403, "forbidden", "PERMISSION_DENIED", "The request is missing a valid API key."),
    Kind.UNKNOWN: (404, "notFound", "NOT_FOUND", "Not found"),
    Kind.OVERLOAD: (503, "backendError", "UNAVAILABLE", "The service is currently unavailable."),
}


@dataclass(frozen=True, slots=True)
class GoogleTranslate:
    """The dialect."""

    paths: tuple[str, ...] = ("/language/translate/v2",)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        key = received.headers.get("x-goog-api-key") or first(as_form(received.query), "key")
        return Opened(key, as_object(received.body))

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if method != "POST":
            raise Unreadable(Kind.UNKNOWN, "Not found")
        if fields is None or fields.get("format") != "text":
            raise Unreadable(Kind.BAD, "Invalid JSON payload received, or a text that is no plain one.")
        return asked(fields.get("q"), fields.get("source"), fields.get("target"), _RULES)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return NOTHING_LISTED

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        items = [{"translatedText": text} for text, finish in answered.said if finish != "missing"]
        return json_response({"data": {"translations": items}})

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        bad = (400, "invalid", "INVALID_ARGUMENT", refused.message)
        status, reason, name, message = _ERRORS.get(refused.kind, bad)
        if refused.kind is Kind.OVERLOAD and refused.status:
            status = refused.status
        errors = [{"message": message, "domain": "global", "reason": reason}]
        return json_response({"error": {"code": status, "message": message, "errors": errors, "status": name}}, status)


DIALECT = GoogleTranslate()
