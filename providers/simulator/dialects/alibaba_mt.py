"""Alibaba's server of GetBatchTranslate: a map of texts by their ids, an ACS3 signature, 400 from the gateway for a rate.

Pure. Shapes: Alibaba's pages on the batch, the error codes and the V3 signature (2026). A text that got nothing has an item with
a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from providers.simulator import signing
from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import (
    NOTHING_LISTED,
    Rules,
    as_form,
    as_object,
    asked,
    codes,
    first,
    json_response,
    owner,
    utf16_units,
)

_LANGUAGES = codes(
    "ar bg cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk sv th tr uk vi zh zh-tw"
)
_RULES = Rules(_LANGUAGES | {"auto"}, _LANGUAGES, utf16_units, texts=50, text=1_000, whole=8_000)
_ERRORS: Mapping[Kind, tuple[int, str | int]] = {
    Kind.RATE: (400, "Throttling.User"),
    Kind.BURST: (400, "Throttling"),
    Kind.OVERLOAD: (503, "ServiceUnavailable"),
    Kind.QUOTA: (400, "InsufficientBalance"),
    Kind.TOO_BIG: (200, 108),
    Kind.AUTH: (404, "InvalidAccessKeyId.NotFound"),
    Kind.UNSIGNED: (400, "SignatureDoesNotMatch"),
    Kind.BANNED: (403, "Forbidden"),
    Kind.PAIR: (200, 105),
    Kind.UNKNOWN: (404, "InvalidAction.NotFound"),
}


@dataclass(frozen=True, slots=True)
class AlibabaMT:
    """The dialect."""

    paths: tuple[str, ...] = ("/",)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        headers = received.headers
        called = (headers.get("x-acs-action"), headers.get("x-acs-version")) == ("GetBatchTranslate", "2018-10-12")
        form: dict[str, object] = {**as_form(received.body)} if called else {"_": "another action"}
        claim = signing.claim(headers.get("authorization", ""))
        if claim is None:
            return Opened("", form)
        key, secret = owner(keys, claim.credential)
        return Opened(key, form, _flaw(received, claim, secret) if keys else "")

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        form = fields or {}
        if "_" in form:
            raise Unreadable(Kind.UNKNOWN, "Specified api is not found.")
        texts = as_object(first(form, "SourceText").encode())
        if not texts or (first(form, "FormatType"), first(form, "ApiType")) != ("text", "translate_standard"):
            raise Unreadable(Kind.BAD, "Some required parameters are missing.")
        source, target = first(form, "SourceLanguage"), first(form, "TargetLanguage")
        if "zh-tw" in (source, target) and "zh" not in (source, target):
            raise Unreadable(Kind.PAIR, "The specified language pair is not supported.")
        return replace(asked(list(texts.values()), source, target, _RULES), drawn="\n".join(texts))

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return NOTHING_LISTED

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        items = []
        for index, text, (translated, finish) in zip(facts.drawn.split("\n"), facts.texts, answered.said, strict=True):
            told = {"code": "107"} if finish == "missing" else {"code": "200", "translated": translated}
            items.append({**told, "index": index, "wordCount": str(utf16_units(text)), "detectedLanguage": facts.source})
        body = {"Code": 200, "Message": "success", "RequestId": str(slip.number), "TranslatedList": items}
        return json_response(body)

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status, code = _ERRORS.get(refused.kind, (200, 104))
        if refused.kind is Kind.OVERLOAD and refused.status:
            status = refused.status
        body = {"RequestId": str(slip.number), "Code": code, "Message": refused.message}
        return Response(status, {"content-type": "application/json;charset=utf-8"}, orjson.dumps(body))


def _flaw(received: Received, claim: signing.Claim, secret: str) -> str:
    digest = received.headers.get("x-acs-content-sha256", "")
    if claim.algorithm != "ACS3-HMAC-SHA256" or digest != signing.sha256(received.body):
        return "The digest of the body is another one."
    named = [name for name in received.headers if name.startswith("x-acs-")]
    if missing := signing.lacking(received, claim.headers, ("host", "content-type", *named)):
        return missing
    written = signing.sha256(signing.canonical(received, claim.headers, digest))
    return signing.flaw(claim.signature, signing.mac(secret, f"{claim.algorithm}\n{written}").hex())


DIALECT = AlibabaMT()
