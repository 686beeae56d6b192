"""Mistral's server: flat errors, limits by size, a random_seed, and thoughts as parts of the content.

Pure.
"""

from __future__ import annotations

from providers.simulator.calls import Kind, Measure, Refused, Slip
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor
from providers.simulator.talk import Fields


def spelled(refused: Refused) -> Spelled:
    match refused.kind:
        case Kind.RATE | Kind.BURST:
            return Spelled(429, "rate_limited", "1300")
        case Kind.QUOTA:
            return Spelled(402, "billing_error", None)
        case Kind.OVERLOAD if refused.status in (0, 503):
            return Spelled(429, "service_tier_capacity_exceeded", "3505")
        case Kind.OVERLOAD:
            return Spelled(refused.status, "internal_server_error", "1000")
        case Kind.AUTH:
            return Spelled(401, "unauthorized", None)
        case Kind.BANNED:
            return Spelled(403, "forbidden", None)
        case Kind.UNKNOWN:
            return Spelled(400, "invalid_model", "1500")
        case _:
            return Spelled(422, "invalid_request_error", None)


def headers(slip: Slip) -> dict[str, str]:
    """Of the tokens a minute alone."""
    found = bare(slip)
    for of, most, remaining, reset in slip.readings:
        if of is Measure.TOKENS:
            found["x-ratelimitbysize-limit-minute"] = str(most)
            found["x-ratelimitbysize-remaining-minute"] = str(remaining)
            found["ratelimitbysize-reset"] = str(-(-reset // 1_000_000_000))
    return found


def refuses(fields: Fields) -> str | None:
    strange = [name for name in ("seed", "logit_bias", "stream_options") if name in fields]
    return f"Extra inputs are not permitted: {strange[0]}" if strange else None


DIALECT = OpenAI(
    Vendor(
        completions=False,
        spelled=spelled,
        body=lambda message, spelled: {
            "object": "error",
            "message": message,
            "type": spelled.type,
            "param": None,
            "code": spelled.code,
        },
        headers=headers,
        refuses=refuses,
        usage="last",
        thinks="parts",
    )
)
