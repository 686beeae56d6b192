"""Youdao's server of batches: one field many times, a SHA-256 signature, every error under status 200.

Pure. Shapes: Youdao's page on translation in batches (2026). A text without a translation is left out, and its place told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from providers.simulator import signing
from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import NOTHING_LISTED, Rules, as_form, asked, codes, first, json_response, owner

_LANGUAGES = codes("ar de en es fr hi id it ja ko nl pt ru th vi zh-CHS zh-CHT cs da el fi he hu no pl ro sk sv tr uk")
_RULES = Rules(_LANGUAGES | {"auto"}, _LANGUAGES, texts=100, whole=5_000)
_ERRORS = {
    Kind.RATE: "411",
    Kind.BURST: "412",
    Kind.OVERLOAD: "303",
    Kind.QUOTA: "401",
    Kind.TOO_BIG: "103",
    Kind.AUTH: "108",
    Kind.UNSIGNED: "202",
    Kind.BANNED: "203",
    Kind.PAIR: "102",
}


@dataclass(frozen=True, slots=True)
class Youdao:
    """The dialect."""

    paths: tuple[str, ...] = ("/v2/api",)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        form = as_form(received.body)
        key, secret = owner(keys, first(form, "appKey"))
        text = "".join(form.get("q", []))
        ends = text if len(text) <= 20 else text[:10] + str(len(text)) + text[-10:]
        wanted = signing.sha256(first(form, "appKey") + ends + signing.parts(form, "salt", "curtime") + secret)
        return Opened(key, form, signing.flaw(first(form, "sign"), wanted) if keys else "")

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        form = fields or {}
        if method != "POST" or first(form, "signType") != "v3" or not first(form, "curtime").isdecimal():
            raise Unreadable(Kind.BAD, "a field is missing")
        return asked(form.get("q"), first(form, "from"), first(form, "to"), _RULES)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return NOTHING_LISTED

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        pairs = list(zip(facts.texts, answered.said, strict=True))
        kind = f"{facts.source}2{facts.target}"
        items = [{"query": text, "translation": said.text, "type": kind} for text, said in pairs if said.finish != "missing"]
        lost = [n for n, (_, said) in enumerate(pairs) if said.finish == "missing"]
        return json_response({"errorCode": "0", "translateResults": items, **({"errorIndex": lost} if lost else {})})

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        return json_response({"errorCode": _ERRORS.get(refused.kind, "101"), "requestId": str(slip.number)})


DIALECT = Youdao()
