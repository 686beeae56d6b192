"""OpenRouter's server: comments while it waits, statuses as codes, and errors that come after the headers.

Pure.
"""

from __future__ import annotations

from types import MappingProxyType

from providers.simulator.calls import Kind, Refused, Slip
from providers.simulator.dialects.deepseek import bare
from providers.simulator.dialects.openai import OpenAI, Spelled, Vendor, nothing

_STATUSES = MappingProxyType(
    {Kind.RATE: 429, Kind.BURST: 429, Kind.QUOTA: 402, Kind.AUTH: 401, Kind.BANNED: 403, Kind.UNKNOWN: 404, Kind.TOO_BIG: 413}
)


def spelled(refused: Refused) -> Spelled:
    status = (refused.status or 503) if refused.kind is Kind.OVERLOAD else _STATUSES.get(refused.kind, 400)
    return Spelled(status, None, status)


def headers(slip: Slip) -> dict[str, str]:
    return bare(slip) | {"x-generation-id": f"gen-{slip.number}"}


DIALECT = OpenAI(
    Vendor(
        root="/api/v1",
        spelled=spelled,
        body=lambda message, spelled: {"error": {"code": spelled.code, "message": message, "metadata": {"provider_name": "any"}}},
        headers=headers,
        refuses=nothing,
        usage="always",
        thinks="reasoning",
        comment=b": OPENROUTER PROCESSING\n\n",
    )
)
