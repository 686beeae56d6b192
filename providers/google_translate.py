"""Google's dialect of Cloud Translation v2: many texts a request, and 403 for a rate as well as for a day that is used up.

Pure. Shapes: Google's reference of `language/translate/v2` and its pages on quotas and errors (2026). Characters are code points,
white space included. A request may have 100 KB; Google advises 5,000 characters, which is what is sent at the most. The key goes
in a header, since an address may be logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages, table
from engine.core.parse import Malformed, json_object
from engine.core.translations import batch, failed, field, listed, malformed, replies, shortened, translation, weights
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

HOME = "https://translation.googleapis.com"

_CODES = table(
    "af sq am ar hy as ay az bm eu be bn bho bs bg ca ceb co hr cs da dv doi nl en eo et ee fil fi fr fr-CA fy gl ka de el gn "
    "gu ht ha haw he hi hmn hu is ig ilo id ga it ja jv kn kk km rw gom ko kri ku ckb ky lo la lv ln lt lg lb mk mai mg ms ml "
    "mt mi mr mni-Mtei lus mn my ne ny nb=no or om ps fa pl pt pt-PT pa qu ro ru sm sa gd nso sr st sn sd si sk sl so es su sw "
    "sv tg ta tt te th ti ts tr tk ak uk ur ug uz vi cy xh yi yo yue zu zh=zh-CN zh-Hant=zh-TW"
)
LANGUAGES = Languages(_CODES, _CODES)
"""Google's page of languages of the neural model (2026)."""
_REASONS = {
    "dailyLimitExceeded": FaultKind.QUOTA,
    "dailyLimitExceededUnreg": FaultKind.QUOTA,
    "quotaExceeded": FaultKind.QUOTA,
    "rateLimitExceeded": FaultKind.RATE,
    "userRateLimitExceeded": FaultKind.RATE,
    "RATE_LIMIT_EXCEEDED": FaultKind.RATE,
    "RESOURCE_EXHAUSTED": FaultKind.RATE,
    "API_KEY_INVALID": FaultKind.AUTH,
    "keyInvalid": FaultKind.AUTH,
    "textTooLong": FaultKind.TOO_BIG,
    "uploadTooLarge": FaultKind.TOO_BIG,
    "backendError": FaultKind.OVERLOAD,
}


@dataclass(frozen=True, slots=True)
class GoogleTranslate:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 128
    limit: int | None = 5_000
    request_limit: int | None = 5_000
    languages: Languages = LANGUAGES
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return None if lane.base_url else "env:GOOGLE_API_KEY"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return Usage(characters=len(translation(call).text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        texts, source, target = batch(calls, self.languages)
        body = {"q": texts, "source": source, "target": target, "format": "text"}  # else answers are escaped as HTML
        if lane.model:
            body["model"] = lane.model
        headers = {"Content-Type": "application/json"}
        if stamp.key:
            headers["X-Goog-Api-Key"] = stamp.key
        url = (lane.base_url or HOME).rstrip("/") + "/language/translate/v2"
        return HttpRequest("POST", url, headers, orjson.dumps({**body, **lane.extra}))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        if response.status != 200 or "error" in body:
            return _failed(calls, response, body)
        items = listed(field(body.get("data"), "translations"))
        model = str(field(items[0], "model") or "") if items else ""
        texts = [field(item, "translatedText") for item in items]
        return replies(calls, texts, weights(calls, self.weigh), response, model)

    def reader(self, call: Call) -> None:
        return None


def _failed(calls: tuple[Call, ...], response: HttpResponse, body: dict[str, Any]) -> tuple[Fault, ...]:
    """By the most exact of the reasons that an error has: of its details, of its list, its status."""
    error = body.get("error")
    details = listed(field(error, "details"))
    reasons = [field(detail, "reason") for detail in [*details, *listed(field(error, "errors"))]]
    code = next((reason for reason in [*reasons, field(error, "status")] if isinstance(reason, str) and reason in _REASONS), None)
    kind = _REASONS[code] if code else None
    limits = [str(field(field(detail, "metadata"), "quota_limit")) for detail in details]
    if kind is FaultKind.RATE and any("PerDay" in limit for limit in limits):
        kind = FaultKind.QUOTA
    named = code or next((reason for reason in reasons if isinstance(reason, str)), None)
    return failed(calls, response, kind, named, field(error, "message") or shortened(response.body))


PROVIDER = GoogleTranslate()
