"""Apertium's server: `/translate` as a form, one text; whatever goes wrong inside is a 503 without a reason.

Pure. It has no keys and no quotas of its own; a limit of the script shows as a pipe that is stuck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from providers.simulator.calls import Answered, Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.translating import Rules, as_form, asked, codes, first, json_response

LANGUAGES = codes("cat deu eng epo fra ita por spa zho")
_RULES = Rules(LANGUAGES, LANGUAGES)
_STATUSES = {Kind.BAD: (400, "Bad Request"), Kind.PAIR: (400, "Bad Request"), Kind.UNKNOWN: (404, "Not Found")}


@dataclass(frozen=True, slots=True)
class Apertium:
    """The dialect."""

    paths: tuple[str, ...] = ("/translate", "/listPairs")

    def opened(self, received: Received, keys: Sequence[str]) -> Opened:
        return Opened("", {**as_form(received.query), **as_form(received.body)})

    def read(self, method: str, path: str, fields: Mapping[str, object] | None) -> Facts:
        if path == "/listPairs":
            return Facts("models", requests=0)
        form = fields or {}
        source, bar, target = first(form, "langpair").partition("|")
        if not bar:
            raise Unreadable(Kind.BAD, "That pair is invalid, use e.g. eng|spa")
        if first(form, "format") != "txt":
            raise Unreadable(Kind.BAD, "Only plain text is translated here")
        return asked(first(form, "q"), source, target, _RULES)

    def models(self, names: Sequence[str], slip: Slip) -> Response:
        pairs = [
            {"sourceLanguage": one, "targetLanguage": other} for one in sorted(LANGUAGES) for other in sorted(LANGUAGES - {one})
        ]
        return json_response({"responseData": pairs, "responseDetails": None, "responseStatus": 200})

    def answer(self, facts: Facts, answered: Answered, slip: Slip) -> Response:
        ((text, _),) = answered.said
        return json_response({"responseData": {"translatedText": text}, "responseDetails": None, "responseStatus": 200})

    def refuse(self, facts: Facts, refused: Refused, slip: Slip) -> Response:
        status, message = _STATUSES.get(refused.kind, (503, "Service Unavailable"))
        explanation = (
            "That pair is not installed" if refused.kind is Kind.PAIR else refused.message if status < 500 else "internal error"
        )
        return json_response({"status": "error", "code": status, "message": message, "explanation": explanation}, status)


DIALECT = Apertium()
