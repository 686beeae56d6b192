"""Azure's server of Translator 3.0: up to a thousand texts, the pair in the query, errors by codes of six digits.

Pure. Shapes: Microsoft's pages on `translate`, response codes and service limits (2026). A wrong key gets an empty 401.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import NOTHING_LISTED, Rules, as_form, as_json, asked, codes, first, json_response

_LANGUAGES = codes("ar bg cs da de el en es fi fr he hi hr hu id it ja ko nb nl pl pt ro ru sk sv th tr uk vi zh-Hans zh-Hant")
_RULES = Rules(_LANGUAGES, _LANGUAGES, texts=1_000, text=50_000, whole=50_000)
_ERRORS = {
    Kind.RATE: (429001, "The server rejected the request because the client has exceeded request limits."),
    Kind.BURST: (429000, "The server rejected the request because the client has exceeded request limits."),
    Kind.QUOTA: (403001, "The operation isn't allowed because the subscription has exceeded its free quota."),
    Kind.TOO_BIG: (400077, "The maximum request size has been exceeded."),
    Kind.BANNED: (403000, "The operation isn't allowed."),
    Kind.UNKNOWN: (404000, "Not found"),
    Kind.OVERLOAD: (503000, "Service is temporarily unavailable."),
    Kind.PAIR: (400036, "The target language is not valid."),
}


@dataclass(frozen=True, slots=True)
class AzureTranslator:
    """The dialect."""

    paths: tuple[str, ...] = ("/translate",)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        items, query = as_json(received.body), as_form(received.query)
        fields = {**query, "texts": [_text(item) for item in items]} if isinstance(items, list) else None
        return Opened(received.headers.get("ocp-apim-subscription-key", ""), fields)

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if method != "POST":
            raise Unreadable(Kind.UNKNOWN, "Not found")
        if fields is None or first(fields, "api-version") != "3.0":
            raise Unreadable(Kind.BAD, "The API version parameter is missing, or the body isn't valid JSON.")
        return asked(fields["texts"], first(fields, "from"), first(fields, "to"), _RULES)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return NOTHING_LISTED

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        items = [{"translations": [{"text": text, "to": facts.target}]} for text, finish in answered.said if finish != "missing"]
        return json_response(items, x_requestid=str(slip.number), x_mt_system="Team", x_metered_usage=str(facts.characters))

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        if refused.kind is Kind.AUTH:
            return Response(401, {"x-requestid": str(slip.number)}, b"")
        code, message = _ERRORS.get(refused.kind, (400000, refused.message))
        if refused.kind is Kind.OVERLOAD and refused.status:
            code = refused.status * 1000
        hint = {} if slip.hint is None or code // 1000 != 429 else {"retry_after": str(max(1, -int(-slip.hint // 1)))}
        return json_response({"error": {"code": code, "message": message}}, code // 1000, x_requestid=str(slip.number), **hint)


def _text(item: object) -> object:
    return item.get("Text") if isinstance(item, dict) else None


DIALECT = AzureTranslator()
