"""DeepL's dialect: up to fifty texts a request, characters billed told with each, 456 for a quota that is used up.

Pure. Shapes: DeepL's OpenAPI description and its Python client (2026). Characters are code points of the source. A request may
have 128 KiB; it is bounded here by characters, of which each has six bytes at the most. `model` is a lane's `model_type`.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages, table
from engine.core.parse import Malformed, json_object
from engine.core.translations import batch, count, failed, field, listed, malformed, replies, shortened, translation
from engine.core.types import Call, LanePlan, Reply, Style, Translation, Usage

HOME, FREE = "https://api.deepl.com", "https://api-free.deepl.com"

_BOTH = (
    "ace=ACE af=AF an=AN ar=AR as=AS ay=AY az=AZ ba=BA be=BE bg=BG bho=BHO bn=BN br=BR bs=BS ca=CA ceb=CEB ckb=CKB cs=CS cy=CY "
    "da=DA de=DE el=EL eo=EO es=ES et=ET eu=EU fa=FA fi=FI fr=FR ga=GA gl=GL gn=GN gom=GOM gu=GU ha=HA he=HE hi=HI hr=HR ht=HT "
    "hu=HU hy=HY id=ID ig=IG is=IS it=IT ja=JA jv=JV ka=KA kk=KK kmr=KMR ko=KO ky=KY la=LA lb=LB lmo=LMO ln=LN lt=LT lv=LV "
    "mai=MAI mg=MG mi=MI mk=MK ml=ML mn=MN mr=MR ms=MS mt=MT my=MY nb=NB ne=NE nl=NL oc=OC om=OM pa=PA pag=PAG pam=PAM pl=PL "
    "prs=PRS ps=PS qu=QU ro=RO ru=RU sa=SA scn=SCN sk=SK sl=SL sq=SQ sr=SR st=ST su=SU sv=SV sw=SW ta=TA te=TE tg=TG th=TH "
    "tk=TK fil=TL tn=TN tr=TR ts=TS tt=TT uk=UK ur=UR uz=UZ vi=VI wo=WO xh=XH yi=YI yue=YUE zu=ZU "
)
_SOURCES = table(_BOTH + "en=EN pt=PT zh=ZH zh-Hant=ZH")
_TARGETS = table(
    _BOTH + "en=EN-US en-US=EN-US en-GB=EN-GB pt=PT-BR pt-BR=PT-BR pt-PT=PT-PT es-419=ES-419 zh=ZH-HANS zh-Hant=ZH-HANT"
)
"""DeepL's page of languages (2026). Variants are known of targets only; it asks to name one of English and Portuguese."""
LANGUAGES = Languages(_SOURCES, _TARGETS)
_STATUSES = {456: FaultKind.QUOTA, 529: FaultKind.OVERLOAD}


@dataclass(frozen=True, slots=True)
class DeepL:
    """The dialect."""

    accepts: tuple[type, ...] = (Translation,)
    texts: int = 50
    limit: int | None = 20_000
    request_limit: int | None = 20_000
    languages: Languages = LANGUAGES
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return None if lane.base_url else "env:DEEPL_AUTH_KEY"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return Usage(characters=len(translation(call).text))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        texts, source, target = batch(calls, self.languages)
        body = {"text": texts, "source_lang": source, "target_lang": target, "show_billed_characters": True}
        if lane.model:
            body["model_type"] = lane.model
        base = lane.base_url or (FREE if stamp.key.endswith(":fx") else HOME)  # the end of a key tells whose server knows it
        headers = {"Content-Type": "application/json"}
        if stamp.key:
            headers["Authorization"] = f"DeepL-Auth-Key {stamp.key}"
        return HttpRequest("POST", base.rstrip("/") + "/v2/translate", headers, orjson.dumps({**body, **lane.extra}))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        try:
            body = json_object(response.body)
        except Malformed:
            if response.status == 200:
                return malformed(calls, shortened(response.body))
            body = {}
        if response.status != 200:
            message = body.get("detail") or body.get("message") or shortened(response.body)
            return failed(calls, response, _STATUSES.get(response.status), None, message)
        items = listed(body.get("translations"))
        billed = [count(field(item, "billed_characters")) for item in items]
        characters = [self.weigh(call).characters if told is None else told for call, told in zip(calls, billed, strict=False)]
        model = str(field(items[0], "model_type_used") or "") if items else ""
        return replies(calls, [field(item, "text") for item in items], characters, response, model)

    def reader(self, call: Call) -> None:
        return None


PROVIDER = DeepL()
