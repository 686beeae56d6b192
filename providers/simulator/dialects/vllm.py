"""vLLM's server: no limit of its own, thoughts in the content, and an end behind the error of a stream.

Pure.
"""

from __future__ import annotations

from providers.simulator.calls import Kind, Refused
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor, nested, nothing


def spelled(refused: Refused) -> Spelled:
    match refused.kind:
        case Kind.OVERLOAD:
            return Spelled(refused.status or 503, "InternalServerError", refused.status or 503)
        case Kind.UNKNOWN:
            return Spelled(404, "NotFoundError", 404)
        case Kind.AUTH | Kind.BANNED:
            return Spelled(401, "Unauthorized", 401)
        case Kind.RATE | Kind.BURST | Kind.QUOTA:  # of a gateway in front of it
            return Spelled(429, "TooManyRequests", 429)
        case _:
            return Spelled(400, "BadRequestError", 400)


DIALECT = OpenAI(Vendor(spelled=spelled, body=nested, headers=bare, refuses=nothing, thinks="content", ends_errors=True))
