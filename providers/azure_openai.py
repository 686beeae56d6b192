"""Azure OpenAI: OpenAI's dialect under an address, a key and error codes of Azure's own.

Pure. `base_url` is any of the addresses that Azure shows for a resource, its API version behind a question mark:
`https://NAME.openai.azure.com` (the lane's model is then the name of the deployment), the address of a deployment, with or
without the operation behind it, or that of the v1 surface, `https://NAME.openai.azure.com/openai/v1`. Source: Azure OpenAI's REST
reference and its pages on quota and content filtering (2026). An Entra token goes in place of the key: where the key is called
`…TOKEN`, or looks like one (three parts, the first a JSON object).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import orjson

from engine.core.faults import Fault, FaultKind, PlanError
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.types import Call, Chat, Completion, LanePlan, Reply, Style, Usage
from providers import Reader
from providers.openai import REASONING, OpenAI, asked
from providers.profile import Enforced, Profile

VERSION = "2024-10-21"
"""The API version of a deployment's address that names none."""
PROFILE = Profile(
    rules=(REASONING,),
    no_top_p=False,
    stops=4,
    schema_of_completions=Enforced.WORDS,
    codes={
        "429": FaultKind.RATE,
        "RateLimitReached": FaultKind.RATE,
        "NoCapacity": FaultKind.OVERLOAD,
        "DeploymentNotFound": FaultKind.AUTH,
        "unknown_model": FaultKind.AUTH,
        "OperationNotSupported": FaultKind.BAD,
        "quota_exceeded": FaultKind.QUOTA,
        "ResponsibleAIPolicyViolation": FaultKind.REFUSED,
    },
)
_INNER = OpenAI(PROFILE)
_OPERATIONS = ("/chat/completions", "/completions")


@dataclass(frozen=True, slots=True)
class AzureOpenAI:
    """The dialect."""

    accepts: tuple[type, ...] = (Chat, Completion)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    models: bool = True

    def key(self, lane: LanePlan) -> str | None:
        return "env:AZURE_OPENAI_API_KEY"

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return _INNER.weigh(call)

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        return _INNER.leaves_out(lane, call)

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = calls
        path, body = asked(PROFILE, call, lane)
        headers = {"Content-Type": "application/json"}
        if stamp.key and _is_token(lane.key or "", stamp.key):
            headers["Authorization"] = f"Bearer {stamp.key}"
        elif stamp.key:
            headers["api-key"] = stamp.key
        return HttpRequest("POST", _address(lane, path), headers, orjson.dumps(body))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        return _INNER.decode(calls, response)

    def reader(self, call: Call) -> Reader:
        return _INNER.reader(call)


def _address(lane: LanePlan, operation: str) -> str:
    if lane.base_url is None:
        raise PlanError('azure_openai has no address of its own; name that of your resource, "https://NAME.openai.azure.com"')
    parts = urlsplit(lane.base_url)
    base, query = parts.path.rstrip("/"), dict(parse_qsl(parts.query))
    for other in _OPERATIONS:
        base = base.removesuffix(other)
    if not base.endswith("/v1"):
        if "/deployments/" not in base:
            base = f"{base.removesuffix('/openai')}/openai/deployments/{quote(lane.model, safe='')}"
        query.setdefault("api-version", VERSION)
    return parts._replace(path=base + operation, query=urlencode(query)).geturl()


def _is_token(source: str, key: str) -> bool:
    """Whether it is an Entra token, by the name of its place or by its form, a JSON Web Token (RFC 7519)."""
    return source.endswith("TOKEN") or (key.startswith("eyJ") and key.count(".") == 2)


PROVIDER = AzureOpenAI()
