"""The embedded model's dialect: OpenAI's, but for the key, the model's name and the style."""

from __future__ import annotations

import pytest

import providers
from engine.core.http import HttpResponse, Stamp
from engine.core.types import Chat, Completion, Decoding, LanePlan, Message

LOCAL, OPENAI = providers.find("local"), providers.find("openai")
DECODING = Decoding(max_tokens=8)


def test_speaks_the_dialect_of_openai() -> None:
    """The same calls are sent and read alike, so that a plan may name either provider for the embedded server."""
    lane = LanePlan(provider="local", model="gemma3-270m", base_url="http://127.0.0.1:9/v1")
    response = HttpResponse(200, {}, b'{"choices": [{"text": "Wien", "message": {"content": "Wien"}, "finish_reason": "stop"}]}')
    for call in (Chat((Message("user", "A river?"),), DECODING), Completion("A river:", DECODING)):
        assert LOCAL.encode((call,), lane, Stamp(0.0, "")) == OPENAI.encode((call,), lane, Stamp(0.0, ""))
        assert LOCAL.decode((call,), response) == OPENAI.decode((call,), response)


def test_needs_no_key_and_no_model() -> None:
    """A lane of two words is enough: the model that comes with the product, asked without a key."""
    assert LOCAL.key(LanePlan(provider="local")) is None
    assert not LOCAL.models


@pytest.mark.parametrize(
    ("model", "style"),
    [
        ("", "completion"),
        ("gemma3-270m", "completion"),
        ("smollm2", "completion"),
        ("models/Qwen3-0.6B-Instruct-Q8_0.gguf", "chat"),
        ("models/gemma-3-1b-it-Q4_K_M.gguf", "chat"),
        ("models/zephyr-7b-chat.gguf", "chat"),
        ("models/gemma-3-1b-pt-Q4_K_M.gguf", "completion"),
        ("chat-models/pythia-160m.gguf", "completion"),
        ("models/Titan-7B.gguf", "completion"),
    ],
)
def test_name_of_a_model_tells_how_to_ask_it(model: str, style: str) -> None:
    """A tuned model's file says so in its own name, whatever the folder is called; any other is asked as a base model."""
    assert LOCAL.style(LanePlan(provider="local", model=model)) == style
