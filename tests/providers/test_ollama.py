"""Ollama's own dialect: what is sent. What its answers mean is recorded in `ollama/`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from engine.core.http import Stamp
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Translation
from providers.ollama import PROVIDER

FULL = Decoding(
    max_tokens=100, temperature=0.7, top_p=0.0, presence_penalty=1.5, stop=("\n\n",), seed=7, schema={"type": "object"}
)
CHAT = Chat((Message("system", "Be brief."), Message("user", "A river?")), FULL)
LANE = LanePlan(provider="ollama", model="llama3.2")


def sent(call: Call, **lane: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(PROVIDER.encode((call,), replace(LANE, **lane), Stamp(0.0, "")).body)
    return body


def test_chat_has_its_settings_in_options() -> None:
    """And says that it is not streamed, which it would be by itself."""
    assert sent(CHAT, reasoning_tokens=900) == {
        "model": "llama3.2",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A river?"}],
        "stream": False,
        "options": {
            "num_predict": 1000,
            "temperature": 0.7,
            "top_p": 0.0,
            "presence_penalty": 1.5,
            "seed": 7,
            "stop": ["\n\n"],
        },
        "format": {"type": "object"},
    }
    assert sent(CHAT, stream=True)["stream"] is True


def test_completion_goes_past_the_template() -> None:
    """A base model goes on from the prompt as it is."""
    body = sent(Completion("A river:", Decoding(max_tokens=5)), extra={"options": {"num_ctx": 8192}, "think": False})
    assert body == {
        "model": "llama3.2",
        "prompt": "A river:",
        "raw": True,
        "stream": False,
        "options": {"num_predict": 5, "num_ctx": 8192},
        "think": False,
    }


@pytest.mark.parametrize(
    ("base_url", "url", "key"),
    [
        (None, "http://127.0.0.1:11434/api/chat", None),
        ("http://gpu:11434/", "http://gpu:11434/api/chat", None),
        ("https://ollama.com/api", "https://ollama.com/api/chat", "env:OLLAMA_API_KEY"),
    ],
)
def test_server_of_ones_own_wants_no_key(base_url: str | None, url: str, key: str | None) -> None:
    """The cloud does, as a bearer."""
    lane = replace(LANE, base_url=base_url)
    assert PROVIDER.encode((CHAT,), lane, Stamp(0.0, "")).url == url
    assert PROVIDER.key(lane) == key
    assert PROVIDER.encode((CHAT,), lane, Stamp(0.0, "", "k")).headers["Authorization"] == "Bearer k"
    assert "Authorization" not in PROVIDER.encode((CHAT,), lane, Stamp(0.0, "")).headers


def test_all_but_a_bias_is_taken() -> None:
    """Stops and schemas are the server's own business."""
    assert PROVIDER.leaves_out(LANE, CHAT) == ()
    biased = Completion("x", Decoding(max_tokens=5, logit_bias=((1, 1.0),)))
    assert PROVIDER.leaves_out(LANE, biased) == ("logit_bias",)


def test_translations_are_not_its_own() -> None:
    """It has no path for them."""
    with pytest.raises(TypeError, match="Translation"):
        PROVIDER.encode((Translation("x", "en", "de"),), LANE, Stamp(0.0, ""))
