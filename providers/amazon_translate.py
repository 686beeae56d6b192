"""Amazon's dialect: one text a request, signed with SigV4, and 400 for a rate as well as for a bad request.

Pure. Shapes: Amazon's API reference of TranslateText and its pages on signing (2026). Characters that are billed are code points;
a text is limited, and an account throttled, by bytes of UTF-8. The key has two parts, an id and a secret, and a third with
temporary credentials. `region` makes part of the address; us-east-1 is usual.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit

import orjson
from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages, table
from engine.core.parse import Malformed, json_object
from engine.core.text import utf8_bytes
from engine.core.translations import batch, failed, malformed, replies, shortened, translation, weights
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

REGION, SERVICE = "us-east-1", "translate"

_CODES = table(
    "af sq am ar hy az bn bs bg ca zh zh-Hant=zh-TW hr cs da fa-AF nl en et fa fil=tl fi fr fr-CA ka de el gu ht ha he hi hu is "
    "id ga it ja kn kk ko lv lt mk ms ml mt mr mn nb=no ps pl pt pt-PT pa ro ru sr si sk sl so es es-MX sw sv ta te th tr uk ur "
    "uz vi cy"
)
LANGUAGES = Languages(_CODES, _CODES)
"""Amazon's page of languages (2026)."""
_KINDS = {
    "ThrottlingException": FaultKind.RATE,
    "Throttling": FaultKind.RATE,
    "TooManyRequestsException": FaultKind.RATE,
    "RequestLimitExceeded": FaultKind.RATE,
    "LimitExceededException": FaultKind.QUOTA,
    "TextSizeLimitExceededException": FaultKind.TOO_BIG,
    "UnsupportedLanguagePairException": FaultKind.BAD,
    "InvalidRequestException": FaultKind.BAD,
    "InternalServerException": FaultKind.OVERLOAD,
    "InternalFailure": FaultKind.OVERLOAD,
    "ServiceUnavailableException": FaultKind.OVERLOAD,
    "ServiceUnavailable": FaultKind.OVERLOAD,
    "AccessDeniedException": FaultKind.AUTH,
    "ExpiredTokenException": FaultKind.AUTH,
    "IncompleteSignatureException": FaultKind.AUTH,
    "InvalidSignatureException": FaultKind.AUTH,
    "MissingAuthenticationTokenException": FaultKind.AUTH,
    "OptInRequired": FaultKind.AUTH,
    "SubscriptionRequiredException": FaultKind.AUTH,
    "UnrecognizedClientException": FaultKind.AUTH,
}


def signed(request: HttpRequest, region: str, service: str, stamp: Stamp) -> HttpRequest:
    """The request with the headers that AWS Signature Version 4 adds; all headers that it had before are signed."""
    name, secret, token = (*stamp.parts, "", "", "")[:3]
    moment = datetime.fromtimestamp(int(stamp.t), UTC).strftime("%Y%m%dT%H%M%SZ")
    url = urlsplit(request.url)
    headers = {**request.headers, "X-Amz-Date": moment} | ({"X-Amz-Security-Token": token} if token else {})
    signing = {"host": url.netloc} | {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(signing))
    lines = "".join(f"{name}:{signing[name]}\n" for name in sorted(signing))
    query = "&".join(sorted(url.query.split("&")))
    canonical = "\n".join((request.method, quote(url.path or "/"), query, lines, names, _hash(request.body)))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    told = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{_hash(canonical.encode())}"
    signature = hmac.digest(key, told.encode(), "sha256").hex()
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={name}/{scope}, SignedHeaders={names}, Signature={signature}"
    return replace(request, headers=headers)


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class AmazonTranslate:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 1
    limit: int | None = 10_000
    request_limit: int | None = 10_000
    languages: Languages = LANGUAGES
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return "env:AWS_ACCESS_KEY_ID env:AWS_SECRET_ACCESS_KEY env:AWS_SESSION_TOKEN?"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        text = translation(call).text
        return Usage(characters=len(text), bytes=utf8_bytes(text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        ((text,), source, target) = batch(calls, self.languages)
        region = lane.region or REGION
        base = lane.base_url or f"https://translate.{region}.amazonaws.com"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSShineFrontendService_20170701.TranslateText",
        }
        body = {"Text": text, "SourceLanguageCode": source, "TargetLanguageCode": target, **lane.extra}
        return signed(HttpRequest("POST", base.rstrip("/") + "/", headers, orjson.dumps(body)), region, SERVICE, stamp)

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        if response.status != 200:
            told = str(body.get("__type") or response.headers.get("x-amzn-errortype", ""))
            code = told.partition(":")[0].rpartition("#")[2]
            message = body.get("message") or body.get("Message") or shortened(response.body)
            return failed(calls, response, _KINDS.get(code), code or None, message)
        (outcome,) = replies(calls, [body.get("TranslatedText")], weights(calls, self.weigh), response)
        if isinstance(outcome, Fault):
            return (outcome,)
        return (structs.replace(outcome, usage=structs.replace(outcome.usage, bytes=self.weigh(calls[0]).bytes)),)

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        return ()

    def reader(self, call: Call) -> None:
        return None


PROVIDER = AmazonTranslate()
