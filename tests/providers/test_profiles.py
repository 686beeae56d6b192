"""Vendors that speak OpenAI's dialect: where they are asked, which settings they get, and which are left out and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from msgspec import structs

import providers
from engine.core.http import Stamp
from engine.core.schema import in_words
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message

VENDORS = ("deepseek", "dashscope", "zhipu", "moonshot", "mistral", "openrouter", "vllm", "llama_cpp")
FULL = Decoding(
    max_tokens=100,
    temperature=0.7,
    top_p=0.5,
    presence_penalty=1.5,
    frequency_penalty=0.5,
    stop=("\n\n", "Task:"),
    seed=7,
    logit_bias=((50256, -100.0),),
)
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": False}


def chat(decoding: Decoding = FULL, **changes: Any) -> Chat:
    return Chat((Message("user", "Name a river."),), structs.replace(decoding, **changes))


def sent(provider: str, call: Call, model: str = "m", **lane: Any) -> dict[str, Any]:
    request = providers.find(provider).encode((call,), LanePlan(provider=provider, model=model, **lane), Stamp(0.0, ""))
    body: dict[str, Any] = orjson.loads(request.body)
    return body


def lost(provider: str, call: Call, model: str = "m", **lane: Any) -> tuple[str, ...]:
    return providers.find(provider).leaves_out(LanePlan(provider=provider, model=model, **lane), call)


@pytest.mark.parametrize(
    ("provider", "home", "key"),
    [
        ("deepseek", "https://api.deepseek.com", "env:DEEPSEEK_API_KEY"),
        ("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", "env:DASHSCOPE_API_KEY"),
        ("zhipu", "https://open.bigmodel.cn/api/paas/v4", "env:ZHIPUAI_API_KEY"),
        ("moonshot", "https://api.moonshot.cn/v1", "env:MOONSHOT_API_KEY"),
        ("mistral", "https://api.mistral.ai/v1", "env:MISTRAL_API_KEY"),
        ("openrouter", "https://openrouter.ai/api/v1", "env:OPENROUTER_API_KEY"),
        ("vllm", "http://127.0.0.1:8000/v1", None),
        ("llama_cpp", "http://127.0.0.1:8080/v1", None),
    ],
)
def test_vendor_is_asked_at_home_with_its_own_key(provider: str, home: str, key: str | None) -> None:
    """A lane that names nothing but a model finds the vendor; its key goes to none but the vendor's own addresses."""
    it = providers.find(provider)
    plain = LanePlan(provider=provider, model="m")
    assert it.encode((chat(),), plain, Stamp(0.0, "")).url == f"{home}/chat/completions"
    assert it.key(plain) == key
    assert it.key(replace(plain, base_url=f"{home}/")) == key
    assert it.key(replace(plain, base_url="https://gateway.example/v1")) is None


@pytest.mark.parametrize("provider", VENDORS)
def test_what_is_left_out_is_what_is_not_sent(provider: str) -> None:
    """Every setting is either on the wire as it is, or named; nothing is both."""
    body, names = sent(provider, chat()), lost(provider, chat())
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias"):
        wire = {"seed": "random_seed"}.get(name, name) if provider == "mistral" else name
        assert (wire in body) is (name not in names), name
    assert body["max_tokens"] == 100


@pytest.mark.parametrize(
    ("provider", "model", "names"),
    [
        ("openai", "gpt-4o", ()),
        ("openai", "gpt-5-chat-latest", ()),
        ("openai", "gpt-35-turbo", ()),
        ("openai", "o3-mini", ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "stop")),
        ("openai", "gpt-5.1", ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "stop")),
        ("deepseek", "deepseek-chat", ("seed", "logit_bias")),
        (
            "deepseek",
            "deepseek-reasoner",
            ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias"),
        ),
        ("dashscope", "qwen-plus", ("frequency_penalty", "logit_bias")),
        ("zhipu", "glm-4.5", ("presence_penalty", "frequency_penalty", "seed", "logit_bias", "stop")),
        ("moonshot", "moonshot-v1-8k", ("seed", "logit_bias")),
        ("moonshot", "kimi-k2.5", ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "logit_bias")),
        ("mistral", "mistral-small-latest", ("logit_bias",)),
        ("openrouter", "x/y", ()),
        ("vllm", "m", ()),
        ("llama_cpp", "m", ()),
    ],
)
def test_models_are_known_by_their_names(provider: str, model: str, names: tuple[str, ...]) -> None:
    """What a model refuses is left out for it and not for its relations."""
    assert lost(provider, chat(), model) == names


def test_reasoning_models_take_the_newer_name_of_the_limit_anywhere() -> None:
    """Through a gateway as well; other models of another server know the older one."""
    for model, name in (("o3", "max_completion_tokens"), ("openai/gpt-5-mini", "max_completion_tokens"), ("llama", "max_tokens")):
        body = sent("openai", chat(), model, base_url="https://gateway.example/v1", reasoning_tokens=900)
        assert body[name] == 1000


def test_stops_that_are_too_many_or_too_long_are_cut_at_by_ourselves() -> None:
    """As many are sent as the server takes, the first ones."""
    many = chat(stop=("a", "b", "c", "d", "e", "f"))
    assert sent("openai", many)["stop"] == ["a", "b", "c", "d"]
    assert sent("zhipu", many)["stop"] == ["a"]
    assert sent("moonshot", chat(stop=("x" * 33, "b")))["stop"] == ["b"]
    assert lost("openai", many) == (*lost("openai", chat(stop=("a",))), "stop")
    assert "stop" not in sent("openai", many, "o3")


@pytest.mark.parametrize(
    ("provider", "temperature", "wire", "named"),
    [
        ("zhipu", 0.0, {"do_sample": False}, False),
        ("zhipu", 1.5, {"temperature": 1.0}, True),
        ("moonshot", 1.5, {"temperature": 1.0}, True),
        ("dashscope", 2.0, {"temperature": 1.99}, True),
        ("deepseek", 0.0, {"temperature": 0.0}, False),
    ],
)
def test_temperature_is_kept_within_what_is_taken(provider: str, temperature: float, wire: dict[str, Any], named: bool) -> None:
    """A temperature of 0 stays greedy; one that is too hot is lowered and named."""
    call = Chat((Message("user", "x"),), Decoding(max_tokens=5, temperature=temperature))
    body = sent(provider, call)
    assert {name: body[name] for name in ("temperature", "do_sample") if name in body} == wire
    assert (lost(provider, call) == ("temperature",)) is named


def test_top_p_of_nothing_is_left_out_where_it_is_an_error() -> None:
    """Greedy steps set it to 0 beside a temperature of 0; OpenAI and llama.cpp take it."""
    greedy = Chat((Message("user", "x"),), Decoding(max_tokens=5, temperature=0.0, top_p=0.0, presence_penalty=0.0))
    assert "top_p" not in sent("vllm", greedy)
    assert lost("vllm", greedy) == ("top_p",)
    assert sent("openai", greedy)["top_p"] == sent("llama_cpp", greedy)["top_p"] == 0.0
    assert "frequency_penalty" not in lost("zhipu", chat(presence_penalty=0.0, frequency_penalty=0.0))


@pytest.mark.parametrize(
    ("provider", "call", "fields"),
    [
        ("openai", Chat, ("response_format",)),
        ("openai", Completion, ()),
        ("vllm", Completion, ("response_format",)),
        ("llama_cpp", Chat, ("response_format",)),
        ("llama_cpp", Completion, ("json_schema",)),
        ("deepseek", Chat, ("response_format",)),
        ("dashscope", Chat, ()),
    ],
)
def test_schema_is_enforced_as_the_server_can(provider: str, call: type, fields: tuple[str, ...]) -> None:
    """Natively where it does, and in words where it does not, or enforces no more than any JSON object."""
    decoding = Decoding(max_tokens=5, schema=SCHEMA)
    asked = Chat((Message("user", "x"),), decoding) if call is Chat else Completion("x", decoding)
    body = sent(provider, asked)
    assert tuple(name for name in ("response_format", "json_schema") if name in body) == fields
    prompt = body["messages"][-1]["content"] if call is Chat else body["prompt"]
    worded = in_words(SCHEMA) in prompt
    assert worded is (lost(provider, asked) == ("schema",))
    assert worded is (not fields or body[fields[0]] == {"type": "json_object"})
    if fields == ("response_format",) and not worded:
        form = {"name": "answer", "schema": SCHEMA, "strict": True}
        assert body["response_format"] == {"type": "json_schema", "json_schema": form}
    assert providers.find(provider).weigh(asked).prompt > len(in_words(SCHEMA)) / 5


def test_lane_has_the_last_word() -> None:
    """Its own fields are merged into the body's objects, and take the place of all else."""
    body = sent("vllm", chat(), stream=True, extra={"top_k": 5, "seed": 8, "stream_options": {"continuous_usage_stats": True}})
    assert (body["top_k"], body["seed"]) == (5, 8)
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


def test_usage_of_a_stream_is_asked_for_where_it_has_to_be() -> None:
    """Those that tell it anyway are not asked: some refuse the field."""
    for provider in VENDORS:
        body = sent(provider, chat(), stream=True)
        assert body["stream"] is True
        assert ("stream_options" in body) is (provider not in ("zhipu", "moonshot", "mistral", "openrouter"))
    assert "stream" not in sent("vllm", chat())


def test_call_that_a_vendor_has_no_path_for_is_not_sent() -> None:
    """Chat alone, for most."""
    with pytest.raises(TypeError, match="does not take a Completion"):
        sent("zhipu", Completion("x", FULL))


def test_one_served_model_needs_no_name() -> None:
    """llama.cpp's server has but one."""
    assert not providers.find("llama_cpp").models
    assert "model" not in sent("llama_cpp", chat(), model="")
