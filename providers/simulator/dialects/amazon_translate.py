"""Amazon's server of TranslateText: one text, a SigV4 signature, 400 with a name for nearly everything.

Pure. Shapes: Amazon's API reference and its pages on signing (2026). Any region is taken that the request is signed for. It bills
code points, limits a text by bytes of UTF-8, and has quotas of these (`of = "bytes"` in a script's limits).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from providers.simulator import signing
from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import NOTHING_LISTED, Rules, as_object, asked, codes, json_response, owner, utf8_bytes

_LANGUAGES = codes("ar bg cs da de el en es et fi fr fr-CA he hi hr hu id it ja ko no pl pt pt-PT ro ru sv th tr uk vi zh zh-TW")
_RULES = Rules(_LANGUAGES | {"auto"}, _LANGUAGES, sized=utf8_bytes, text=10_000)
_TARGET = "AWSShineFrontendService_20170701.TranslateText"
_ERRORS = {
    Kind.RATE: (400, "ThrottlingException"),
    Kind.BURST: (429, "TooManyRequestsException"),
    Kind.OVERLOAD: (500, "InternalServerException"),
    Kind.QUOTA: (400, "LimitExceededException"),
    Kind.TOO_BIG: (400, "TextSizeLimitExceededException"),
    Kind.AUTH: (400, "UnrecognizedClientException"),
    Kind.UNSIGNED: (400, "InvalidSignatureException"),
    Kind.BANNED: (400, "AccessDeniedException"),
    Kind.PAIR: (400, "UnsupportedLanguagePairException"),
    Kind.UNKNOWN: (400, "UnknownOperationException"),
}


@dataclass(frozen=True, slots=True)
class AmazonTranslate:
    """The dialect."""

    paths: tuple[str, ...] = ("/",)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        claim = signing.claim(received.headers.get("authorization", ""))
        fields = as_object(received.body) if received.headers.get("x-amz-target") == _TARGET else {"_": "another operation"}
        if claim is None:
            return Opened("", fields)
        name, _, scope = claim.credential.partition("/")
        key, secret = owner(keys, name)
        return Opened(key, fields, _flaw(received, claim, scope, secret) if keys else "")

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if fields is not None and "_" in fields:
            raise Unreadable(Kind.UNKNOWN, "There is no such operation here.")
        if method != "POST" or fields is None:
            raise Unreadable(Kind.BAD, "The body is no JSON object.")
        return asked(fields.get("Text"), fields.get("SourceLanguageCode"), fields.get("TargetLanguageCode"), _RULES)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return NOTHING_LISTED

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        ((text, _),) = answered.said
        body = {"TranslatedText": text, "SourceLanguageCode": facts.source, "TargetLanguageCode": facts.target}
        return json_response(body, x_amzn_requestid=str(slip.number))

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status, name = _ERRORS.get(refused.kind, (400, "InvalidRequestException"))
        if refused.kind is Kind.OVERLOAD and refused.status:
            status = refused.status
        return json_response({"__type": name, "message": refused.message}, status, x_amzn_requestid=str(slip.number))


def _flaw(received: Received, claim: signing.Claim, scope: str, secret: str) -> str:
    moment = received.headers.get("x-amz-date", "")
    if claim.algorithm != "AWS4-HMAC-SHA256" or not scope.startswith(f"{moment[:8]}/") or not scope.endswith("/aws4_request"):
        return "The credential is not scoped to the date of the request."
    if missing := signing.lacking(received, claim.headers, ("host", "x-amz-date", "x-amz-target", "x-amz-security-token")):
        return missing
    written = signing.sha256(signing.canonical(received, claim.headers, signing.sha256(received.body)))
    key: str | bytes = "AWS4" + secret
    for part in scope.split("/"):
        key = signing.mac(key, part)
    return signing.flaw(claim.signature, signing.mac(key, f"{claim.algorithm}\n{moment}\n{scope}\n{written}").hex())


DIALECT = AmazonTranslate()
