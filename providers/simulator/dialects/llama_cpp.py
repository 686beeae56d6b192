"""llama.cpp's server: one model, statuses as codes, pings while it reads a long prompt.

Pure.
"""

from __future__ import annotations

from providers.simulator.calls import Kind, Refused
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor, nothing


def spelled(refused: Refused) -> Spelled:
    match refused.kind:
        case Kind.OVERLOAD if refused.status in (0, 503):
            return Spelled(503, "unavailable_error", 503)
        case Kind.OVERLOAD:
            return Spelled(refused.status, "server_error", refused.status)
        case Kind.UNKNOWN:
            return Spelled(404, "not_found_error", 404)
        case Kind.AUTH | Kind.BANNED:
            return Spelled(401, "authentication_error", 401)
        case Kind.TOO_BIG:
            return Spelled(400, "exceed_context_size_error", 400)
        case Kind.RATE | Kind.BURST | Kind.QUOTA:  # of a gateway in front of it
            return Spelled(429, "too_many_requests", 429)
        case _:
            return Spelled(400, "invalid_request_error", 400)


DIALECT = OpenAI(
    Vendor(
        spelled=spelled,
        body=lambda message, spelled: {"error": {"code": spelled.code, "message": message, "type": spelled.type}},
        headers=bare,
        refuses=nothing,
        thinks="reasoning_content",
        comment=b": ping\n\n",
    )
)
