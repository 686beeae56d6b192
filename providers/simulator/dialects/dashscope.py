"""DashScope's server: three kinds of 429, one of which is called insufficient_quota and is a rate.

Pure.
"""

from __future__ import annotations

from providers.simulator.calls import Kind, Measure, Refused
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor, nested
from providers.simulator.talk import Fields


def spelled(refused: Refused) -> Spelled:
    match refused.kind:
        case Kind.RATE if refused.bound is not None and refused.bound.of is not Measure.REQUESTS:
            return Spelled(429, "insufficient_quota", "insufficient_quota")
        case Kind.RATE:
            return Spelled(429, "limit_requests", "limit_requests")
        case Kind.BURST:
            return Spelled(429, "limit_burst_rate", "limit_burst_rate")
        case Kind.QUOTA:
            return Spelled(400, "Arrearage", "Arrearage")
        case Kind.OVERLOAD:
            return Spelled(refused.status or 500, "internal_error", "internal_error")
        case Kind.AUTH:
            return Spelled(401, "invalid_request_error", "invalid_api_key")
        case Kind.BANNED:
            return Spelled(403, "access_denied", "access_denied")
        case Kind.UNKNOWN:
            return Spelled(404, "invalid_request_error", "model_not_found")
        case _:
            return Spelled(400, "invalid_request_error", "invalid_parameter_error")


def refuses(fields: Fields) -> str | None:
    heat, nucleus = fields.get("temperature"), fields.get("top_p")
    if isinstance(heat, int | float) and not 0 <= heat < 2:
        return "The temperature must be at least 0 and below 2."
    return "The top_p must be above 0 and at most 1." if isinstance(nucleus, int | float) and not 0 < nucleus <= 1 else None


DIALECT = OpenAI(
    Vendor(
        root="/compatible-mode/v1",
        completions=False,
        spelled=spelled,
        body=nested,
        headers=bare,
        refuses=refuses,
        thinks="reasoning_content",
    )
)
