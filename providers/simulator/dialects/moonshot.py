"""Moonshot's server: types of errors in place of codes, and the usage of a stream inside its last choice.

Pure.
"""

from __future__ import annotations

import re

from providers.simulator.calls import Kind, Refused
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor
from providers.simulator.talk import Fields

_FIXED = re.compile(r"kimi-k(?:2\.[5-9]|[3-9])")


def spelled(refused: Refused) -> Spelled:
    match refused.kind:
        case Kind.RATE | Kind.BURST:
            return Spelled(429, "rate_limit_reached_error", None)
        case Kind.QUOTA:
            return Spelled(429, "exceeded_current_quota_error", None)
        case Kind.OVERLOAD if refused.status in (0, 503):
            return Spelled(429, "engine_overloaded_error", None)
        case Kind.OVERLOAD:
            return Spelled(refused.status, "server_error", None)
        case Kind.AUTH:
            return Spelled(401, "invalid_authentication_error", None)
        case Kind.BANNED:
            return Spelled(403, "permission_denied_error", None)
        case Kind.UNKNOWN:
            return Spelled(404, "resource_not_found_error", None)
        case _:
            return Spelled(400, "invalid_request_error", None)


def refuses(fields: Fields) -> str | None:
    """Newer models take no temperature but their own."""
    heat, stops = fields.get("temperature"), fields.get("stop")
    if isinstance(heat, int | float) and (not 0 <= heat <= 1 or (_FIXED.match(str(fields["model"])) and heat != 1)):
        return "invalid temperature: only 1 is allowed for this model"
    if isinstance(stops, list) and (len(stops) > 5 or any(len(str(stop).encode()) > 32 for stop in stops)):
        return "At most 5 stop sequences of at most 32 bytes are supported."
    return None


DIALECT = OpenAI(
    Vendor(
        completions=False,
        spelled=spelled,
        body=lambda message, spelled: {"error": {"type": spelled.type, "message": message}},
        headers=bare,
        refuses=refuses,
        usage="choice",
        thinks="reasoning_content",
    )
)
