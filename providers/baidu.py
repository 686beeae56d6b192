"""Baidu's dialect of general translation: texts as lines of one field, signed with MD5, and HTTP 200 for every fault.

Pure. Shapes: Baidu's page on the general API (2026). Characters are code points. The standard service takes 1,000 a request, line
breaks included; the others take 6,000, but their months are soon used up either way. Empty lines get no answer, and each answer
repeats its line, which tells whose it is. The key has two parts, the application's id and its secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from urllib.parse import urlencode

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages, table
from engine.core.parse import Malformed, json_object
from engine.core.translations import batch, failed, field, listed, malformed, matched, replies, shortened, translation, weights
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

HOME = "https://fanyi-api.baidu.com"

_CODES = table(
    "zh en yue lzh=wyw ja=jp ko=kor fr=fra es=spa th ar=ara ru pt de it el nl pl bg=bul et=est da=dan fi=fin cs ro=rom sl=slo "
    "sv=swe hu zh-Hant=cht vi=vie"
)
LANGUAGES = Languages(_CODES, _CODES)
"""Baidu's list of languages that every service has (2026)."""
_GOOD = ("0", "52000")
_KINDS = {
    "52001": FaultKind.OVERLOAD,
    "52002": FaultKind.OVERLOAD,
    "52003": FaultKind.AUTH,
    "54000": FaultKind.BAD,
    "54001": FaultKind.AUTH,
    "54003": FaultKind.RATE,
    "54004": FaultKind.QUOTA,
    "54005": FaultKind.RATE,
    "58000": FaultKind.AUTH,
    "58001": FaultKind.BAD,
    "58002": FaultKind.AUTH,
    "58003": FaultKind.AUTH,
    "90107": FaultKind.AUTH,
    "20003": FaultKind.REFUSED,
}
_WAITS = {"54005": 3.0}
"""Seconds that Baidu's page asks to wait."""


def signature(app: str, text: str, salt: str, secret: str) -> str:
    """MD5 over id, text as it is before it is escaped, salt and secret, in hexadecimal."""
    return md5(f"{app}{text}{salt}{secret}".encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Baidu:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 20
    limit: int | None = 1_000
    request_limit: int | None = 1_000
    languages: Languages = LANGUAGES
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return "env:BAIDU_APPID env:BAIDU_KEY"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        """With the line break that parts it from another text, if it does not go alone."""
        return Usage(characters=1 + len(_plain(translation(call).text)))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        texts, source, target = batch(calls, self.languages)
        app, secret = (*stamp.parts, "", "")[:2]
        text = "\n".join(map(_plain, texts))
        form = {
            "q": text,
            "from": source,
            "to": target,
            "appid": app,
            "salt": stamp.nonce,
            "sign": signature(app, text, stamp.nonce, secret),
        }
        url = (lane.base_url or HOME).rstrip("/") + "/api/trans/vip/translate"
        body = urlencode({**form, **lane.extra}).encode()
        return HttpRequest("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body)

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        code = str(body.get("error_code", "0"))
        if response.status != 200 or code not in _GOOD:
            kind = _KINDS.get(code) if response.status != 200 else _KINDS.get(code, FaultKind.BAD)
            named = code if code != "0" else None
            return failed(calls, response, kind, named, body.get("error_msg") or shortened(response.body), _WAITS.get(code))
        answered = [(field(item, "src"), field(item, "dst")) for item in listed(body.get("trans_result"))]
        texts = _texts([_plain(translation(call).text) for call in calls], answered)
        own = weights(calls, self.weigh)
        return replies(calls, texts, [own[0] - 1, *own[1:]], response)

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        return ()

    def reader(self, call: Call) -> None:
        return None


def _texts(asked: Sequence[str], answered: Sequence[tuple[object, object]]) -> list[str | None]:
    """The translations of texts of one line or several, with their empty lines; `None` for a text that lacks one of its lines."""
    lines = [text.split("\n") for text in asked]
    told = [(line, text) for line, text in answered if isinstance(line, str) and line.strip()]
    found = iter(matched([line for text in lines for line in text if line.strip()], told))
    texts: list[str | None] = []
    for parts in lines:
        put = [next(found) if line.strip() else "" for line in parts]
        good = [line for line in put if isinstance(line, str)]
        texts.append("\n".join(good) if len(good) == len(put) else None)
    return texts


def _plain(text: str) -> str:
    """With one kind of line break, which parts lines at the server."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


PROVIDER = Baidu()
