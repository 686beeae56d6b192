"""Balance: what vendors tell of credit and of quotas too long to be tested, at an address of its own. Asking costs nothing.

Pure. Addresses and fields: DeepL's `usage`, OpenRouter's `key`, DeepSeek's and Moonshot's `balance` (2026).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from engine.core.http import HttpRequest, HttpResponse


class _Place(NamedTuple):
    """Where a vendor tells it: what stands behind its base address there, in place of what stands there in a call."""

    call: str
    place: str
    read: Callable[[Any], list[str]]


def _deepl(body: Any) -> list[str]:
    return [f"{body['character_count']:,} of {body['character_limit']:,} characters of this period are used"]


def _openrouter(body: Any) -> list[str]:
    key = body["data"]
    limit, left = key.get("limit"), key.get("limit_remaining")
    spent = f"{key['usage']:g} credits are used"
    return [spent if limit is None else f"{spent}, {left:g} of {limit:g} are left"]


def _deepseek(body: Any) -> list[str]:
    return [f"{row['total_balance']} {row['currency']} are left" for row in body["balance_infos"]]


def _moonshot(body: Any) -> list[str]:
    return [f"{body['data']['available_balance']:g} are left"]


_PLACES: Mapping[str, _Place] = MappingProxyType(
    {
        "deepl": _Place("/v2/translate", "/v2/usage", _deepl),
        "openrouter": _Place("/chat/completions", "/key", _openrouter),
        "deepseek": _Place("/chat/completions", "/user/balance", _deepseek),
        "moonshot": _Place("/chat/completions", "/users/me/balance", _moonshot),
    }
)


def inquiry(provider: str, call: HttpRequest) -> HttpRequest | None:
    """The question, with the address and the key of a call to the same lane; `None` where the vendor is not known to answer."""
    place = _PLACES.get(provider)
    if place is None or not call.url.endswith(place.call):
        return None
    base = call.url.removesuffix(place.call)
    if provider == "deepseek":
        base = base.removesuffix("/v1")
    headers = {name: value for name, value in call.headers.items() if name.lower() != "content-type"}
    return HttpRequest("GET", base + place.place, headers, b"", call.route)


def told(provider: str, response: HttpResponse) -> list[str]:
    """What the answer says, in words; nothing where it cannot be read."""
    try:
        return _PLACES[provider].read(orjson.loads(response.body)) if response.status == 200 else []
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
