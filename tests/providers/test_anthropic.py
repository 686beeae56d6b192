"""Anthropic's Messages: what is sent. What its answers mean is recorded in `anthropic/`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from msgspec import structs

from engine.core.http import Stamp
from engine.core.schema import in_words
from engine.core.types import Chat, Completion, Decoding, LanePlan, Message
from providers.anthropic import PROVIDER

FULL = Decoding(max_tokens=100, temperature=0.7, top_p=0.5, presence_penalty=1.5, stop=("\n\n", "Task:"), seed=7)
CHAT = Chat((Message("system", "Be brief."), Message("user", "Name a river.")), FULL)
LANE = LanePlan(provider="anthropic", model="claude-haiku-4-5")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"tasks": {"type": "array", "items": {"type": "string", "minLength": 3}, "minItems": 1, "maxItems": 8}},
    "required": ["tasks"],
}


def sent(call: Chat = CHAT, **lane: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(PROVIDER.encode((call,), replace(LANE, **lane), Stamp(0.0, "", "key")).body)
    return body


def test_system_prompt_stands_apart_with_its_mark() -> None:
    """The prompt that all calls share may be read from the cache; the limit has room for thinking."""
    assert sent(reasoning_tokens=900) == {
        "model": "claude-haiku-4-5",
        "max_tokens": 1000,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "Name a river."}],
        "temperature": 0.7,
        "stop_sequences": ["Task:"],
    }


def test_chat_of_a_system_prompt_alone_is_asked_by_the_user() -> None:
    """A call without a message would be refused."""
    body = sent(Chat((Message("system", "Name a river."),), Decoding(max_tokens=5)))
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Name a river."}]}]
    assert "system" not in body


@pytest.mark.parametrize(
    ("model", "sampled"),
    [
        ("claude-3-5-haiku-20241022", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-8-20260528", False),
        ("claude-sonnet-5", False),
        ("claude-fable-5", False),
        ("a-gateway-s-own-name", True),
    ],
)
def test_models_after_46_take_no_temperature(model: str, sampled: bool) -> None:
    """They answer it with an error; names that say nothing are taken at their word."""
    assert ("temperature" in sent(model=model)) is sampled
    assert ("temperature" in PROVIDER.leaves_out(replace(LANE, model=model), CHAT)) is not sampled


def test_what_is_left_out_is_named() -> None:
    """Settings that it does not have, the one that must not stand beside a temperature, and a stop of white space."""
    assert PROVIDER.leaves_out(LANE, CHAT) == ("top_p", "presence_penalty", "seed", "stop")
    hot = structs.replace(CHAT, decoding=Decoding(max_tokens=5, temperature=1.5))
    assert sent(hot)["temperature"] == 1.0
    assert PROVIDER.leaves_out(LANE, hot) == ("temperature",)
    nucleus = structs.replace(CHAT, decoding=Decoding(max_tokens=5, top_p=0.9, presence_penalty=0.0))
    assert sent(nucleus)["top_p"] == 0.9
    assert PROVIDER.leaves_out(LANE, nucleus) == ()


def test_thinking_takes_no_temperature() -> None:
    """A lane that lets its model think leaves the sampling to it."""
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert "temperature" not in sent(extra=thinking)
    assert sent(extra=thinking)["thinking"]["budget_tokens"] == 1024
    assert "temperature" in sent(extra={"thinking": {"type": "disabled"}})


def test_schema_is_enforced_where_the_model_has_it() -> None:
    """Closed, and with bounds that it does not know as remarks; older models get it in words."""
    call = structs.replace(CHAT, decoding=Decoding(max_tokens=5, schema=SCHEMA))
    assert sent(call)["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "tasks": {
                    "type": "array",
                    "items": {"type": "string", "description": "(minLength: 3)"},
                    "minItems": 1,
                    "description": "(maxItems: 8)",
                }
            },
            "required": ["tasks"],
            "additionalProperties": False,
        },
    }
    assert PROVIDER.leaves_out(LANE, call) == ()
    for model in ("claude-3-7-sonnet-20250219", "claude-opus-4-20250514", "claude-sonnet-4-0"):
        old = sent(call, model=model)
        assert "output_config" not in old
        assert in_words(SCHEMA) in old["messages"][0]["content"]
        assert PROVIDER.leaves_out(replace(LANE, model=model), call) == ("schema",)


@pytest.mark.parametrize(
    ("source", "header", "value"),
    [(None, "x-api-key", "key"), ("env:ANTHROPIC_AUTH_TOKEN", "Authorization", "Bearer key")],
)
def test_key_and_token_have_their_headers(source: str | None, header: str, value: str) -> None:
    """The address may have the version at its end."""
    for base_url in (None, "https://api.anthropic.com", "https://api.anthropic.com/v1/"):
        request = PROVIDER.encode((CHAT,), replace(LANE, key=source, base_url=base_url), Stamp(0.0, "", "key"))
        assert request.url == "https://api.anthropic.com/v1/messages"
        assert request.headers == {"Content-Type": "application/json", "anthropic-version": "2023-06-01", header: value}
        assert PROVIDER.key(replace(LANE, base_url=base_url)) == "env:ANTHROPIC_API_KEY"
    assert PROVIDER.key(replace(LANE, base_url="https://gateway.example")) is None


def test_completions_are_not_its_own() -> None:
    """It has no path for them."""
    with pytest.raises(TypeError, match="Completion"):
        PROVIDER.encode((Completion("x", FULL),), LANE, Stamp(0.0, ""))
