"""Azure OpenAI: its addresses, and keys that may be tokens. What its answers mean is recorded in `azure_openai/`."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from engine.core.faults import PlanError
from engine.core.http import Stamp
from engine.core.types import Chat, Completion, Decoding, LanePlan, Message
from providers.azure_openai import PROVIDER

CHAT = Chat((Message("user", "Name a river."),), Decoding(max_tokens=50, temperature=0.5))
LANE = LanePlan(provider="azure_openai", model="gpt-4o", base_url="https://res.openai.azure.com")
TOKEN = "eyJ0eXAiOiJKV1Qi.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://res.openai.azure.com", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
        ("https://res.openai.azure.com/openai/", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
        (
            "https://res.openai.azure.com?api-version=2025-04-01-preview",
            "/openai/deployments/gpt-4o/chat/completions?api-version=2025-04-01-preview",
        ),
        (
            "https://res.openai.azure.com/openai/deployments/mine",
            "/openai/deployments/mine/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://res.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2025-01-01-preview",
            "/openai/deployments/mine/chat/completions?api-version=2025-01-01-preview",
        ),
        ("https://res.openai.azure.com/openai/v1/", "/openai/v1/chat/completions"),
        ("https://res.openai.azure.com/openai/v1?api-version=preview", "/openai/v1/chat/completions?api-version=preview"),
        ("https://res.openai.azure.com/gateway", "/gateway/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
    ],
)
def test_any_address_that_azure_shows_will_do(base_url: str, url: str) -> None:
    """A resource, a deployment, an operation of it as the portal shows it, the v1 surface, and a gateway in front."""
    request = PROVIDER.encode((CHAT,), replace(LANE, base_url=base_url), Stamp(0.0, "", "key"))
    assert request.url == f"https://res.openai.azure.com{url}"
    assert orjson.loads(request.body)["model"] == "gpt-4o"


def test_completions_and_odd_names_of_deployments() -> None:
    """The other operation in place of the one that was pasted; a deployment's name is quoted."""
    pasted = replace(LANE, base_url="https://res.openai.azure.com/openai/deployments/mine/chat/completions?api-version=x")
    request = PROVIDER.encode((Completion("x", Decoding(max_tokens=5)),), pasted, Stamp(0.0, ""))
    assert request.url == "https://res.openai.azure.com/openai/deployments/mine/completions?api-version=x"
    odd = PROVIDER.encode((CHAT,), replace(LANE, model="my model/1"), Stamp(0.0, ""))
    assert "/deployments/my%20model%2F1/" in odd.url


def test_without_an_address_the_user_is_told() -> None:
    """There is no address that would do for everybody."""
    with pytest.raises(PlanError, match="no address of its own"):
        PROVIDER.encode((CHAT,), replace(LANE, base_url=None), Stamp(0.0, ""))


@pytest.mark.parametrize(
    ("source", "key", "header", "value"),
    [
        (None, "0123456789abcdef", "api-key", "0123456789abcdef"),
        ("env:AZURE_OPENAI_AD_TOKEN", "opaque", "Authorization", "Bearer opaque"),
        ("file:/run/entra", TOKEN, "Authorization", f"Bearer {TOKEN}"),
        ("env:MINE", "eyJ-is-how-a-key-may-begin", "api-key", "eyJ-is-how-a-key-may-begin"),
    ],
)
def test_token_is_a_bearer_and_a_key_is_not(source: str | None, key: str, header: str, value: str) -> None:
    """The name of its place says so, or its form; never both headers."""
    headers = PROVIDER.encode((CHAT,), replace(LANE, key=source), Stamp(0.0, "", key)).headers
    assert headers == {"Content-Type": "application/json", header: value}
    assert PROVIDER.key(LANE) == "env:AZURE_OPENAI_API_KEY"


def test_reasoning_models_are_asked_as_openai_asks_them() -> None:
    """By the name of the model, which a deployment may keep."""
    lane = replace(LANE, model="o4-mini", base_url="https://res.openai.azure.com/openai/deployments/mine", reasoning_tokens=100)
    body = orjson.loads(PROVIDER.encode((CHAT,), lane, Stamp(0.0, "")).body)
    assert body["max_completion_tokens"] == 150
    assert "temperature" not in body
    assert PROVIDER.leaves_out(lane, CHAT) == ("temperature",)
