"""Baidu's server of general translation: lines of one field, an MD5 signature, every error under status 200.

Pure. Shapes: Baidu's page on the general API (2026). Empty lines get no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from providers.simulator import signing
from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import NOTHING_LISTED, Rules, as_form, asked, codes, first, json_response, owner

_LANGUAGES = codes("zh en yue wyw jp kor fra spa th ara ru pt de it el nl pl bul est dan fin cs rom slo swe hu cht vie")
_RULES = Rules(_LANGUAGES | {"auto"}, _LANGUAGES, texts=1_000, whole=6_000)
_ERRORS = {
    Kind.RATE: ("54003", "Invalid Access Limit"),
    Kind.BURST: ("54005", "Long Query Limit"),
    Kind.OVERLOAD: ("52002", "SYSTEM ERROR"),
    Kind.QUOTA: ("54004", "Please recharge"),
    Kind.AUTH: ("52003", "UNAUTHORIZED USER"),
    Kind.UNSIGNED: ("54001", "Invalid Sign"),
    Kind.BANNED: ("58003", "IP BLOCKED"),
    Kind.PAIR: ("58001", "INVALID_TO_PARAM"),
}


@dataclass(frozen=True, slots=True)
class Baidu:
    """The dialect."""

    paths: tuple[str, ...] = ("/api/trans/vip/translate",)

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        form = {**as_form(received.query), **as_form(received.body)}
        key, secret = owner(keys, first(form, "appid"))
        wanted = signing.md5(signing.parts(form, "appid", "q", "salt") + secret)
        return Opened(key, form, signing.flaw(first(form, "sign"), wanted) if keys else "")

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        form = fields or {}
        text = first(form, "q")
        lines = [line for line in text.split("\n") if line.strip()]
        if not first(form, "salt"):
            raise Unreadable(Kind.BAD, "PARAM SALT EMPTY")
        facts = asked(lines, first(form, "from"), first(form, "to"), _RULES)
        return replace(facts, characters=len(text), longest=len(text))

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        return NOTHING_LISTED

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        pairs = zip(facts.texts, answered.said, strict=True)
        items = [{"src": text, "dst": said.text} for text, said in pairs if said.finish != "missing"]
        return json_response({"from": facts.source, "to": facts.target, "trans_result": items})

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        code, message = _ERRORS.get(refused.kind, ("54000", "PARAM ERROR"))
        return json_response({"error_code": code, "error_msg": message})


DIALECT = Baidu()
