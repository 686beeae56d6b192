"""DeepSeek's server: a limit on calls at once, no rate headers, blank lines and comments while a call waits.

Pure.
"""

from __future__ import annotations

from providers.simulator.calls import Kind, Refused, Slip
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor, nested, nothing


def spelled(refused: Refused) -> Spelled:
    """Its errors have a status and a type, and no codes to go by."""
    match refused.kind:
        case Kind.RATE | Kind.BURST:
            return Spelled(429, "rate_limit_error", None)
        case Kind.QUOTA:
            return Spelled(402, "unknown_error", "invalid_request_error")
        case Kind.OVERLOAD:
            return Spelled(refused.status or 503, "server_error", None)
        case Kind.AUTH | Kind.BANNED:
            return Spelled(401, "authentication_error", "invalid_request_error")
        case Kind.UNKNOWN:
            return Spelled(404, "invalid_request_error", None)
        case _:
            return Spelled(400, "invalid_request_error", "invalid_request_error")


def bare(slip: Slip) -> dict[str, str]:
    """Nothing about limits."""
    return {"content-type": "application/json", "x-request-id": f"req_{slip.number:012}"}


DIALECT = OpenAI(
    Vendor(
        root="",
        completions=False,
        spelled=spelled,
        body=nested,
        headers=bare,
        refuses=nothing,
        thinks="reasoning_content",
        comment=b": keep-alive\n\n",
        waits=b"\n",
    )
)
