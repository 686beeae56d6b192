"""Apertium's dialect: `apertium-apy`, a server of one's own that translates by rules, one text a request.

Pure. Shapes: apertium-apy's handlers (0.11). Characters are code points. Languages have codes of three letters; what is installed
is asked for. There are no keys and no quotas: overload shows as slowness, then as 503 from a pipe that is started anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Inquiry, Languages, canonical, languages, table
from engine.core.parse import Malformed, json_object
from engine.core.translations import STATUSES, failed, malformed, replies, shortened, translation, translations, weights
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

HOME = "http://127.0.0.1:2737"

_CODES = table(
    "af=afr an=arg ar=ara be=bel bg=bul br=bre ca=cat cy=cym da=dan de=deu en=eng eo=epo es=spa et=est eu=eus fi=fin fo=fao "
    "fr=fra gl=glg hi=hin ht=hat id=ind is=isl it=ita kk=kaz ky=kir mk=mkd ms=msa mt=mlt nb=nob nl=nld nn=nno oc=oci pl=pol "
    "pt=por ro=ron ru=rus sc=srd se=sme sl=slv sv=swe tr=tur tt=tat uk=ukr ur=urd uz=uzb zh=zho"
)
"""Languages with released pairs whose tag is another than their code (ISO 639-3)."""
_TAGS = {code: tag for tag, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Apertium:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    models: bool = False

    @property
    def languages(self) -> Inquiry:
        return Inquiry(HOME, "/listPairs", _listed)

    def key(self, lane: LanePlan) -> str | None:
        return None

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return Usage(characters=len(translation(call).text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = translations(calls)
        form = {
            "langpair": f"{_code(call.source)}|{_code(call.target)}",
            "q": call.text,
            "format": "txt",  # else the text is read as HTML
            "markUnknown": "no",  # else unknown words have a star before them
        }
        url = (lane.base_url or HOME).rstrip("/") + "/translate"
        body = urlencode({**form, **lane.extra}).encode()
        return HttpRequest("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body)

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        inner = body.get("responseStatus", response.status)
        if response.status != 200:
            return failed(calls, response, None, None, body.get("explanation") or shortened(response.body))
        if inner != 200:
            kind = STATUSES.get(inner, FaultKind.OVERLOAD) if isinstance(inner, int) else FaultKind.MALFORMED
            return failed(calls, response, kind, inner, body.get("responseDetails"))
        data = body.get("responseData")
        text = data.get("translatedText") if isinstance(data, dict) else None
        return replies(calls, [text], weights(calls, self.weigh), response)

    def reader(self, call: Call) -> None:
        return None


def _code(tag: str) -> str:
    """Regions have modes of their own on few servers, so they are left out."""
    language = canonical(tag).partition("-")[0]
    return _CODES.get(language, language)


def _listed(response: HttpResponse) -> Languages:
    """What `/listPairs` says, without the modes of regions (`spa-eng_US`)."""
    try:
        rows = orjson.loads(response.body)["responseData"] if response.status == 200 else None
        pairs = {(str(row["sourceLanguage"]), str(row["targetLanguage"])) for row in rows or ()}
    except (ValueError, TypeError, KeyError):
        rows = None
    if rows is None:
        raise Fault(FaultKind.MALFORMED, f"HTTP {response.status}: no list of pairs")
    return languages(frozenset(pair for pair in pairs if "_" not in "".join(pair)), lambda code: _TAGS.get(code, code))


PROVIDER = Apertium()
