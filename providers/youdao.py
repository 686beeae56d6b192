"""Youdao's dialect: several texts a request, signed with SHA-256 (`v3`), and HTTP 200 for every fault.

Pure. Shapes: Youdao's pages on text translation, single and in batches (2026). Characters are code points; a request takes 5,000
of them. Each answer repeats its text, which tells whose it is. The key has two parts, the application's key and its secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlencode

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages, table
from engine.core.parse import Malformed, json_object
from engine.core.translations import batch, failed, field, listed, malformed, matched, replies, shortened, translation, weights
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

HOME = "https://openapi.youdao.com"

_CODES = table(
    "ar de en es fr hi id it ja ko nl pt ru th vi zh=zh-CHS zh-Hant=zh-CHT af am az be bg bn bs ca ceb co cs cy da el eo et eu "
    "fa fi fj fy ga gd gl gu ha haw he hr ht hu hy ig is jv=jw ka kk km kn ku ky la lb lo lt lv mg mi mk ml mn mr ms mt mww my "
    "ne nb=no ny otq pa pl ps ro sd si sk sl sm sn so sq sr=sr-Cyrl sr-Cyrl sr-Latn st su sv sw ta te tg fil=tl tlh to tr ty uk "
    "ur uz xh yi yo yua yue zu"
)
LANGUAGES = Languages(_CODES, _CODES)
"""Youdao's list of languages (2026)."""
_KINDS = {
    **dict.fromkeys(("101", "102", "104", "105", "106", "107", "109", "113", "114", "116"), FaultKind.BAD),
    "103": FaultKind.TOO_BIG,
    **dict.fromkeys(("108", "110", "111", "112", "201", "202", "203", "205", "206"), FaultKind.AUTH),
    "207": FaultKind.NETWORK,  # it came twice: a proxy sent it again
    **dict.fromkeys(("301", "302", "303"), FaultKind.OVERLOAD),
    "401": FaultKind.QUOTA,
    "411": FaultKind.RATE,
    "412": FaultKind.RATE,
}


def signature(app: str, text: str, salt: str, time: str, secret: str) -> str:
    """SHA-256 over key, text, salt, time and secret; a text of more than 20 characters is put in by its ends and its length."""
    short = text if len(text) <= 20 else f"{text[:10]}{len(text)}{text[-10:]}"
    return sha256(f"{app}{short}{salt}{time}{secret}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Youdao:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 20
    limit: int | None = 5_000
    request_limit: int | None = 5_000
    languages: Languages = LANGUAGES
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return "env:YOUDAO_APP_KEY env:YOUDAO_APP_SECRET"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return Usage(characters=len(translation(call).text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        texts, source, target = batch(calls, self.languages)
        app, secret = (*stamp.parts, "", "")[:2]
        time = str(int(stamp.t))
        form = {
            "q": texts,
            "from": source,
            "to": target,
            "appKey": app,
            "salt": stamp.nonce,
            "curtime": time,
            "signType": "v3",
            "sign": signature(app, "".join(texts), stamp.nonce, time, secret),
        }
        url = (lane.base_url or HOME).rstrip("/") + "/v2/api"
        body = urlencode({**form, **lane.extra}, doseq=True).encode()
        return HttpRequest("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body)

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        code = str(body.get("errorCode", ""))
        if response.status != 200 or code not in ("0", ""):
            kind = _KINDS.get(code) if response.status != 200 else _KINDS.get(code, FaultKind.BAD)
            return failed(calls, response, kind, code or None, body.get("msg") or shortened(response.body))
        answered = [(field(item, "query"), field(item, "translation")) for item in listed(body.get("translateResults"))]
        texts = matched([translation(call).text for call in calls], answered)
        wrong = listed(body.get("errorIndex"))
        found = [None if n in wrong else text for n, text in enumerate(texts)]
        return replies(calls, found, weights(calls, self.weigh), response)

    def reader(self, call: Call) -> None:
        return None


PROVIDER = Youdao()
