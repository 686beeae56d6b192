"""Azure's dialect of Translator 3.0: up to a thousand texts a request, errors by codes of six digits.

Pure. Shapes: Microsoft's pages on `translate`, response codes and service limits (2026). Characters are code points. A request
may have 50,000; the free tier turns away more than 33,300 a minute, so that less is sent here. `model` is a lane's `category`;
`region` is needed for a resource that belongs to one, and makes part of the address in China; `extra` are more parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages, table
from engine.core.parse import Malformed, json_value
from engine.core.translations import batch, count, failed, field, malformed, replies, shares, shortened, translation, weights
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

HOME, CHINA = "https://api.cognitive.microsofttranslator.com", "https://api.translator.azure.cn"

_CODES = table(
    "af sq am ar hy as az bn ba eu bho brx bs bg yue ca lzh hne zh=zh-Hans zh-Hant sn hr cs da prs dv doi nl en et "
    "fo fj fil fi fr fr-CA=fr-ca gl ka de el gu ht ha he hi mww hu is ig id ikt iu iu-Latn ga it ja kn ks kk km rw tlh-Latn gom "
    "ko ku kmr ky lo lv lt ln dsb lg=lug mk mai mg ms ml mt mi mr mn-Cyrl mn=mn-Cyrl mn-Mong my nb ne ny=nya or ps fa pl pt "
    "pt-PT=pt-pt pa otq ro rn=run ru sm sr=sr-Cyrl sr-Cyrl sr-Latn st nso tn sd si sk sl so es sw sv ty ta tt te th bo ti to tr "
    "tk uk hsb ur ug uz vi cy xh yo yua zu"
)
LANGUAGES = Languages(_CODES, _CODES)
"""Microsoft's page of languages of Translator (2026)."""
_CODES_OF_ERRORS = {
    400050: FaultKind.TOO_BIG,
    400072: FaultKind.TOO_BIG,
    400077: FaultKind.TOO_BIG,
    403: FaultKind.QUOTA,  # of the gateway: the calls of a tier are used up
    403000: FaultKind.AUTH,
    403001: FaultKind.QUOTA,
    408001: FaultKind.OVERLOAD,  # a custom model is being made ready
    408002: FaultKind.NETWORK,
}


@dataclass(frozen=True, slots=True)
class AzureTranslator:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 1_000
    limit: int | None = 30_000
    request_limit: int | None = 30_000
    languages: Languages = LANGUAGES
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return None if lane.base_url else "env:AZURE_TRANSLATOR_KEY"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return Usage(characters=len(translation(call).text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        texts, source, target = batch(calls, self.languages)
        query = {"api-version": "3.0", "from": source, "to": target, "textType": "plain"}
        if lane.model:
            query["category"] = lane.model
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        if stamp.key:
            headers["Ocp-Apim-Subscription-Key"] = stamp.key
        if lane.region:
            headers["Ocp-Apim-Subscription-Region"] = lane.region
        base = lane.base_url or (CHINA if (lane.region or "").startswith("china") else HOME)
        url = f"{base.rstrip('/')}/translate?{urlencode({**query, **lane.extra})}"
        return HttpRequest("POST", url, headers, orjson.dumps([{"Text": text} for text in texts]))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_value(response.body)
        except Malformed:
            body = None
        if response.status != 200:
            code, message = field(field(body, "error"), "code"), field(field(body, "error"), "message")
            number = count(code)
            kind = _CODES_OF_ERRORS.get(number) if number is not None else None
            return failed(calls, response, kind, code, message or shortened(response.body))
        if not isinstance(body, list):
            return malformed(calls, shortened(response.body))
        texts = [field(field(field(item, "translations"), 0), "text") for item in body]
        own = weights(calls, self.weigh)
        metered = count(response.headers.get("x-metered-usage"))
        characters = own if metered is None else shares(metered, own)
        return replies(calls, texts, characters, response, response.headers.get("x-mt-system", ""))

    def reader(self, call: Call) -> None:
        return None


PROVIDER = AzureTranslator()
