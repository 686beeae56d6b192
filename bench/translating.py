"""A dialect of the benches' own: asks LibreTranslate's server to translate prompts, so that characters can be what binds.

Pure. It takes completions, since no recipe asks for translations yet; their decoding settings mean nothing to a translator.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.types import Call, Completion, LanePlan, Reply, Stop, Style, Usage

_STATUSES = {400: FaultKind.BAD, 403: FaultKind.AUTH, 404: FaultKind.AUTH, 429: FaultKind.RATE}


@dataclass(frozen=True, slots=True)
class Translating:
    """The dialect."""

    accepts: tuple[type, ...] = (Completion,)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return None

    def style(self, lane: LanePlan) -> Style:
        return "completion"

    def weigh(self, call: Call) -> Usage:
        assert isinstance(call, Completion)
        return Usage(characters=len(call.prompt))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = calls
        assert isinstance(call, Completion)
        body = {"q": call.prompt, "source": "en", "target": "zh"}
        return HttpRequest("POST", f"{lane.base_url}/translate", {"Content-Type": "application/json"}, orjson.dumps(body))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        (call,) = calls
        if response.status != 200:
            return (Fault(_STATUSES.get(response.status, FaultKind.OVERLOAD), f"HTTP {response.status}"),)
        try:
            text = orjson.loads(response.body)["translatedText"]
        except (ValueError, KeyError, TypeError):
            return (Fault(FaultKind.MALFORMED, "no translation", billed=True),)
        return (Reply(text=text, stop=Stop.END, usage=self.weigh(call), seconds=response.seconds),)


PROVIDER = Translating()
