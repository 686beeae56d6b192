"""DeepL's server: several texts, characters billed told with each, 456 for a quota that is used up, no headers of limits.

Pure. Shapes: DeepL's OpenAPI description (2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import NOTHING_LISTED, Rules, as_object, asked, code_points, codes, json_response

_BOTH = "AR BG CS DA DE EL ES ET FI FR HE HU ID IT JA KO LT LV NB NL PL RO RU SK SL SV TH TR UK VI"
_RULES = Rules(codes(f"{_BOTH} EN PT ZH"), codes(f"{_BOTH} EN-GB EN-US PT-BR PT-PT ZH ZH-HANS ZH-HANT"), code_points, texts=50)
_BYTES = 128 * 1024
_ERRORS = {
    Kind.RATE: (429, "Too many requests"),
    Kind.BURST: (429, "Too many requests"),
    Kind.QUOTA: (456, "Quota exceeded"),
    Kind.TOO_BIG: (413, "Request Entity Too Large"),
    Kind.AUTH: (403, "Authorization failure, check auth_key"),
    Kind.BANNED: (403, "Authorization failure, check auth_key"),
    Kind.UNKNOWN: (404, "Not found"),
    Kind.OVERLOAD: (503, "Service unavailable"),
    Kind.PAIR: (400, "Value for 'target_lang' not supported."),
}


@dataclass(frozen=True, slots=True)
class DeepL:
    """The dialect."""

    paths: tuple[str, ...] = ("/v2/translate",)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        scheme, _, key = received.headers.get("authorization", "").partition(" ")
        fields = as_object(received.body)
        if fields is not None:
            fields = {**fields, "_bytes": len(received.body)}
        return Opened(key.strip() if scheme == "DeepL-Auth-Key" else "", fields)

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if method != "POST":
            raise Unreadable(Kind.UNKNOWN, "Not found")
        if fields is None or not isinstance(fields.get("text"), list):
            raise Unreadable(Kind.BAD, "Parameter 'text' not specified.")
        if int(str(fields["_bytes"])) > _BYTES:
            raise Unreadable(Kind.TOO_BIG, "")
        return asked(fields["text"], fields.get("source_lang"), fields.get("target_lang"), _RULES)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return NOTHING_LISTED

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        items = [
            {"detected_source_language": facts.source, "text": said.text, "billed_characters": code_points(text)}
            for text, said in zip(facts.texts, answered.said, strict=True)
            if said.finish != "missing"
        ]
        return json_response({"translations": items})

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status, message = _ERRORS.get(refused.kind, (400, f"Bad request. Reason: {refused.message}"))
        if refused.kind is Kind.OVERLOAD and refused.status:
            status = refused.status
        return json_response({"message": message}, status)


DIALECT = DeepL()
