"""Google's Gemini: what is sent. What its answers mean is recorded in `gemini/`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from engine.core.http import Stamp
from engine.core.schema import in_words
from engine.core.types import Chat, Completion, Decoding, LanePlan, Message
from providers.gemini import PROVIDER

FULL = Decoding(
    max_tokens=100, temperature=0.7, top_p=0.5, presence_penalty=1.5, stop=("\n\n", "Task:"), seed=7, logit_bias=((1, -1.0),)
)
CHAT = Chat(
    (Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Yes?"), Message("user", "A river?")), FULL
)
LANE = LanePlan(provider="gemini", model="gemini-2.5-flash")


def sent(call: Chat = CHAT, **lane: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(PROVIDER.encode((call,), replace(LANE, **lane), Stamp(0.0, "", "AIza-key")).body)
    return body


def test_chat_is_sent_in_parts() -> None:
    """The system prompt apart, the assistant called model, the settings in an object of their own."""
    assert sent(reasoning_tokens=900) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi."}]},
            {"role": "model", "parts": [{"text": "Yes?"}]},
            {"role": "user", "parts": [{"text": "A river?"}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 1000,
            "temperature": 0.7,
            "topP": 0.5,
            "seed": 7,
            "stopSequences": ["\n\n", "Task:"],
        },
    }
    assert PROVIDER.leaves_out(LANE, CHAT) == ("presence_penalty", "logit_bias")
    assert sent(model="gemini-2.0-flash")["generationConfig"]["presencePenalty"] == 1.5
    assert PROVIDER.leaves_out(replace(LANE, model="gemini-2.0-flash"), CHAT) == ("logit_bias",)


def test_chat_of_a_system_prompt_alone_is_asked_by_the_user() -> None:
    """Contents must not be empty."""
    body = sent(Chat((Message("system", "A river?"),), Decoding(max_tokens=5)))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "A river?"}]}]
    assert "systemInstruction" not in body


def test_stops_beyond_five_are_cut_at_by_ourselves() -> None:
    """The first five are sent."""
    call = Chat(CHAT.messages, Decoding(max_tokens=5, stop=tuple("abcdef")))
    assert sent(call)["generationConfig"]["stopSequences"] == list("abcde")
    assert PROVIDER.leaves_out(LANE, call) == ("stop",)


@pytest.mark.parametrize(
    ("lane", "key", "url", "header"),
    [
        (
            {},
            "AIza-key",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
            "x-goog-api-key",
        ),
        (
            {"stream": True},
            "AIza-key",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            "x-goog-api-key",
        ),
        (
            {"model": "tunedModels/mine"},
            "AIza-key",
            "https://generativelanguage.googleapis.com/v1beta/tunedModels/mine:generateContent",
            "x-goog-api-key",
        ),
        (
            {
                "base_url": "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google/"
            },
            "ya29.token",
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google"
            "/models/gemini-2.5-flash:generateContent",
            "Authorization",
        ),
    ],
)
def test_model_and_stream_stand_in_the_address(lane: dict[str, Any], key: str, url: str, header: str) -> None:
    """And a key never does; an access token of Google's, as Vertex AI wants it, is a bearer."""
    request = PROVIDER.encode((CHAT,), replace(LANE, **lane), Stamp(0.0, "", key))
    assert request.url == url
    assert request.headers[header] == (f"Bearer {key}" if header == "Authorization" else key)


def test_key_is_its_own() -> None:
    """It goes to no other address."""
    assert PROVIDER.key(LANE) == "env:GEMINI_API_KEY"
    assert PROVIDER.key(replace(LANE, base_url="https://gateway.example/v1beta")) is None


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        (
            {
                "type": "object",
                "properties": {"tasks": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
                "required": ["tasks"],
                "additionalProperties": False,
                "$schema": "x",
            },
            {
                "type": "OBJECT",
                "properties": {"tasks": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": 1}},
                "required": ["tasks"],
            },
        ),
        ({"type": ["integer", "null"]}, {"type": "INTEGER", "nullable": True}),
        ({"enum": ["a", "b"]}, {"type": "STRING", "format": "enum", "enum": ["a", "b"]}),
        ({"type": "string", "const": "a"}, {"type": "STRING", "format": "enum", "enum": ["a"]}),
        ({"anyOf": [{"type": "string"}, {"type": "boolean"}]}, {"anyOf": [{"type": "STRING"}, {"type": "BOOLEAN"}]}),
        ({"$ref": "#/$defs/x"}, None),
        ({"type": "array", "items": {"oneOf": []}}, None),
        ({"enum": [1, 2]}, None),
        ({"type": ["string", "integer"]}, None),
    ],
)
def test_schema_is_enforced_as_far_as_it_can_be_said(schema: dict[str, Any], shape: dict[str, Any] | None) -> None:
    """In the part of OpenAPI that is known there; one that cannot be said so is asked for in words."""
    call = Chat(CHAT.messages, Decoding(max_tokens=5, schema=schema))
    config, last = sent(call)["generationConfig"], sent(call)["contents"][-1]["parts"][0]["text"]
    assert config.get("responseSchema") == shape
    assert ("responseMimeType" in config) is (shape is not None)
    assert (in_words(schema) in last) is (shape is None)
    assert PROVIDER.leaves_out(LANE, call) == (("schema",) if shape is None else ())


def test_lane_sets_how_much_is_thought() -> None:
    """Its own fields go into the objects that are there."""
    config = sent(extra={"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}})["generationConfig"]
    assert config["thinkingConfig"] == {"thinkingBudget": 0}
    assert config["temperature"] == 0.7


def test_completions_are_not_its_own() -> None:
    """It has no path for them."""
    with pytest.raises(TypeError, match="Completion"):
        PROVIDER.encode((Completion("x", FULL),), LANE, Stamp(0.0, ""))
