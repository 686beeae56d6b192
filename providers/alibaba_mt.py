"""Alibaba's dialect of machine translation: up to fifty texts a request by their ids, signed with ACS3-HMAC-SHA256.

Pure. Shapes: Alibaba's pages on GetBatchTranslate, on its error codes and on the V3 signature (2026). Characters are units of
UTF-16, as Java counts them; a text may have 1,000 and a request 8,000. The key has two parts, an id and a secret, and a third
with temporary credentials. `region` makes part of the address; cn-hangzhou is usual.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlencode, urlsplit

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages, table
from engine.core.parse import Malformed, json_object
from engine.core.text import utf16_units
from engine.core.translations import batch, count, failed, field, listed, malformed, replies, shortened, translation
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

REGION = "cn-hangzhou"

_CODES = table(
    "ab ace af ak am an ar as ast ay az ba bal be bem ber bg bho bi bm bn br bs byn ca cbk ceb ch chr co cs cv cy da de dv ee "
    "el en eo es et eu fa fi fil fj fo fr fur ga gd gl gn gu ha haw he hi hr ht hu hy id ig ilo is it ja jv ka kab kg kk kl km "
    "kn ko ku ky la lb lg ln lo lt lv mg mi mk ml mn mr ms mt my nb=no nch nds ne nl oc oj om or os pa pag pl ps pt qu rn ro ru "
    "rw sa sc sco sd se sg shn si sk sl sm sn so sq sr st su sv sw ta te tet tg th ti tk tn to tpi tr ts tt ty ug uk ur uz vi "
    "wo xh yi yo yue zh zh-Hant=zh-tw zu"
)
LANGUAGES = Languages(_CODES, _CODES, hubs={"zh-tw": "zh", "yue": "zh", "mn": "zh"})
"""Alibaba's page of language codes (2026), of which some go with Chinese only."""
_GATEWAY = {
    "Throttling": FaultKind.RATE,
    "InsufficientBalance": FaultKind.QUOTA,
    "Arrearage": FaultKind.QUOTA,
    "InvalidAccessKeyId": FaultKind.AUTH,
    "InvalidSecurityToken": FaultKind.AUTH,
    "MissingSecurityToken": FaultKind.AUTH,
    "InvalidTimeStamp": FaultKind.AUTH,
    "SignatureDoesNotMatch": FaultKind.AUTH,
    "IncompleteSignature": FaultKind.AUTH,
    "InvalidApi": FaultKind.AUTH,
    "Forbidden": FaultKind.AUTH,
    "NoPermission": FaultKind.AUTH,
    "SignatureNonceUsed": FaultKind.NETWORK,  # it came twice: a proxy sent it again
    "ServiceUnavailable": FaultKind.OVERLOAD,
    "InternalError": FaultKind.OVERLOAD,
}
"""Codes of the gateway, without what stands behind a dot."""
_NUMBER = re.compile(r"10(?:00)?([1-8])")
_NUMBERS = {
    "1": FaultKind.OVERLOAD,  # timed out
    "2": FaultKind.OVERLOAD,
    "3": FaultKind.BAD,
    "4": FaultKind.BAD,
    "5": FaultKind.BAD,  # the pair
    "6": FaultKind.BAD,
    "7": FaultKind.MALFORMED,  # the translation failed
    "8": FaultKind.TOO_BIG,
}
"""Codes of the service: 10001 to 10008, and 101 to 108 of a batch."""
_NAMES = {
    "System.RequestTimeOut": FaultKind.OVERLOAD,
    "System.Error": FaultKind.OVERLOAD,
    "System.TextTooLong": FaultKind.TOO_BIG,
    "10010": FaultKind.AUTH,
    "19999": FaultKind.OVERLOAD,
    "199": FaultKind.OVERLOAD,
}


def signed(request: HttpRequest, action: Mapping[str, str], stamp: Stamp) -> HttpRequest:
    """The request with the headers that Alibaba's V3 signature adds. `action` is what is called: `x-acs-action` and
    `x-acs-version`. The content's type is signed where there is one."""
    name, secret, token = (*stamp.parts, "", "", "")[:3]
    url, content = urlsplit(request.url), sha256(request.body).hexdigest()
    signing = {
        **{name.lower(): value for name, value in request.headers.items()},
        **action,
        "host": url.netloc,
        "x-acs-content-sha256": content,
        "x-acs-date": datetime.fromtimestamp(int(stamp.t), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": stamp.nonce,
    } | ({"x-acs-security-token": token} if token else {})
    names = ";".join(sorted(signing))
    lines = "".join(f"{name}:{signing[name].strip()}\n" for name in sorted(signing))
    query = "&".join(sorted(url.query.split("&")))
    canonical = "\n".join((request.method, quote(url.path or "/"), query, lines, names, content))
    told = f"ACS3-HMAC-SHA256\n{sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(secret.encode(), told.encode(), "sha256").hex()
    del signing["host"]  # whoever sends the request says it
    signing["Authorization"] = f"ACS3-HMAC-SHA256 Credential={name},SignedHeaders={names},Signature={signature}"
    return replace(request, headers=signing)


@dataclass(frozen=True, slots=True)
class AlibabaMT:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 50
    limit: int | None = 1_000
    request_limit: int | None = 8_000
    languages: Languages = LANGUAGES
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        names = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN?")
        return " ".join(f"env:ALIBABA_CLOUD_{name}" for name in names)

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return Usage(characters=utf16_units(translation(call).text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        texts, source, target = batch(calls, self.languages)
        form = {
            "FormatType": "text",
            "Scene": "general",
            "ApiType": "translate_standard",
            "SourceLanguage": source,
            "TargetLanguage": target,
            "SourceText": orjson.dumps({str(n): text for n, text in enumerate(texts)}).decode(),
        }
        base = lane.base_url or f"https://mt.{lane.region or REGION}.aliyuncs.com"
        body = urlencode({**form, **lane.extra}).encode()
        request = HttpRequest("POST", base.rstrip("/") + "/", {"content-type": "application/x-www-form-urlencoded"}, body)
        return signed(request, {"x-acs-action": "GetBatchTranslate", "x-acs-version": "2018-10-12"}, stamp)

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        code = str(body.get("Code", "200"))
        if response.status != 200 or code != "200":
            kind = _kind(code) or (FaultKind.BAD if response.status == 200 else None)
            named = code if "Code" in body else None
            return failed(calls, response, kind, named, body.get("Message") or shortened(response.body))
        found = {str(field(item, "index")): item for item in listed(body.get("TranslatedList"))}
        items = [found.get(str(n)) for n in range(len(calls))]
        told = [count(field(item, "wordCount")) for item in items]
        own = [self.weigh(call).characters for call in calls]
        characters = [mine if theirs is None else theirs for mine, theirs in zip(own, told, strict=True)]
        return replies(calls, [_text(item) for item in items], characters, response)

    def reader(self, call: Call) -> None:
        return None


def _text(item: object) -> object:
    """The translation in an item, or the fault that it has in its place."""
    code = str(field(item, "code") or "200")
    if code == "200":
        return field(item, "translated")
    return Fault(_kind(code) or FaultKind.BAD, f"item {code} {field(item, 'message') or ''}".strip()[:200])


def _kind(code: str) -> FaultKind | None:
    number = _NUMBER.fullmatch(code)
    return _NAMES.get(code) or (_NUMBERS[number[1]] if number else _GATEWAY.get(code.partition(".")[0]))


PROVIDER = AlibabaMT()
