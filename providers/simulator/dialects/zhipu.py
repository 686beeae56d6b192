"""Zhipu's server: numbers as error codes, most of them under 429, and one stop sequence.

Pure.
"""

from __future__ import annotations

from providers.simulator.calls import Kind, Refused
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor
from providers.simulator.talk import Fields


def spelled(refused: Refused) -> Spelled:
    match refused.kind:
        case Kind.RATE:
            return Spelled(429, None, "1302")
        case Kind.BURST:
            return Spelled(429, None, "1313")
        case Kind.QUOTA:
            return Spelled(429, None, "1113")
        case Kind.OVERLOAD:
            return Spelled(429, None, "1305") if refused.status in (0, 503) else Spelled(refused.status, None, "1234")
        case Kind.AUTH:
            return Spelled(401, None, "1002")
        case Kind.BANNED:
            return Spelled(429, None, "1112")
        case Kind.UNKNOWN:
            return Spelled(400, None, "1211")
        case Kind.TOO_BIG:
            return Spelled(400, None, "1261")
        case _:
            return Spelled(400, None, "1210")


def refuses(fields: Fields) -> str | None:
    stops, heat = fields.get("stop"), fields.get("temperature")
    if isinstance(stops, list) and len(stops) > 1:
        return "Only one stop sequence is supported."
    return "The temperature must be between 0 and 1." if isinstance(heat, int | float) and not 0 <= heat <= 1 else None


DIALECT = OpenAI(
    Vendor(
        root="/api/paas/v4",
        completions=False,
        spelled=spelled,
        body=lambda message, spelled: {"error": {"code": spelled.code, "message": message}},
        headers=bare,
        refuses=refuses,
        usage="last",
        thinks="reasoning_content",
        filtered="sensitive",
    )
)
