"""The vendors' own clients against the simulator, over a real socket: its dialects are right by somebody else's judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anthropic
import ollama
import openai
import orjson
import pytest
from google import genai
from google.genai import errors as google
from google.genai import types

from providers.simulator import script, server

pytestmark = [
    # Google's client does so itself when it is used with aiohttp
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]
CASES = {
    "good": "",
    "rate": "rate_without_reason = 1.0",
    "down": "errors = { 503 = 1.0 }",
    "fails": "stream_error = 1.0",
    "ragged": "crlf = 1.0\nragged = 1.0\nkept_alive = 1.0",
    "cut": "cut_body = 1.0",
}
VENDORS = ("openai", "azure_openai", "anthropic", "gemini", "ollama", "deepseek", "openrouter", "vllm")
SCRIPT = "\n".join(
    f"""
    [accounts.{vendor}_{case}]
    dialect = "{vendor}"
    prefix = "/{vendor}-{case}"
    keys = ["sk-a"]
    models = ["m", "claude-haiku-4-5"]
    cached = 0.5
    [accounts.{vendor}_{case}.weather]
    first_byte = 0
    tokens_per_second = 1e9
    refusal_seconds = 0
    {weather}
    """
    for vendor in VENDORS
    for case, weather in CASES.items()
)
ASKED: list[Any] = [{"role": "user", "content": "Name a river."}]


class Heard(NamedTuple):
    """What a client makes of an answer."""

    text: str
    stop: str
    tokens: tuple[int, int]
    """Of the prompt and of the answer."""


class Sdk(NamedTuple):
    """A vendor's client: how it asks, whole and streamed, with a model, a key and a limit, and what it raises."""

    whole: Callable[..., Awaitable[Heard]]
    streamed: Callable[..., Awaitable[Heard]]
    stops: tuple[str, str]
    rate: Callable[[Exception], bool]
    auth: Callable[[Exception], bool]
    missing: Callable[[Exception], bool]
    bad: Callable[[Exception], bool]
    down: Callable[[Exception], bool]


def _openai(client: Callable[[str, str], openai.AsyncOpenAI]) -> Sdk:
    async def whole(address: str, *, key: str = "sk-a", model: str = "m", limit: int = 200, **more: Any) -> Heard:
        async with client(address, key) as it:
            answer = await it.chat.completions.create(model=model, messages=ASKED, max_tokens=limit, **more)
        (choice,), usage = answer.choices, answer.usage
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens // 2
        return Heard(choice.message.content or "", choice.finish_reason, (usage.prompt_tokens, usage.completion_tokens))

    async def streamed(address: str, *, key: str = "sk-a", model: str = "m", limit: int = 200) -> Heard:
        text, stop, usage = "", "", None
        async with client(address, key) as it:
            options: Any = {"stream_options": {"include_usage": True}}
            async for chunk in await it.chat.completions.create(
                model=model, messages=ASKED, max_tokens=limit, stream=True, **options
            ):
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    stop = choice.finish_reason or stop
        assert usage is not None
        return Heard(text, stop, (usage.prompt_tokens, usage.completion_tokens))

    def status(error: Exception) -> int:
        return error.status_code if isinstance(error, openai.APIStatusError) else 0

    return Sdk(
        whole,
        streamed,
        ("stop", "length"),
        rate=lambda error: isinstance(error, openai.RateLimitError),
        auth=lambda error: isinstance(error, openai.AuthenticationError),
        missing=lambda error: isinstance(error, openai.NotFoundError) or status(error) == 400,
        bad=lambda error: isinstance(error, openai.BadRequestError) or status(error) == 422,
        down=lambda error: status(error) in (429, 503) or (isinstance(error, openai.APIError) and not status(error)),
    )


def _anthropic() -> Sdk:
    def client(address: str, key: str) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key=key, base_url=address, max_retries=0)

    async def whole(address: str, *, key: str = "sk-a", model: str = "claude-haiku-4-5", limit: int = 200, **more: Any) -> Heard:
        async with client(address, key) as it:
            answer = await it.messages.create(model=model, messages=ASKED, max_tokens=limit, **more)
        return said(answer)

    async def streamed(address: str, *, key: str = "sk-a", model: str = "claude-haiku-4-5", limit: int = 200) -> Heard:
        async with client(address, key) as it, it.messages.stream(model=model, messages=ASKED, max_tokens=limit) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            answer = await stream.get_final_message()
        heard = said(answer)
        assert heard.text == text
        return heard

    def said(answer: Any) -> Heard:
        text = "".join(block.text for block in answer.content if block.type == "text")
        usage = answer.usage
        assert usage.cache_read_input_tokens > 0
        return Heard(text, answer.stop_reason, (usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens))

    return Sdk(
        whole,
        streamed,
        ("end_turn", "max_tokens"),
        rate=lambda error: isinstance(error, anthropic.RateLimitError),
        auth=lambda error: isinstance(error, anthropic.AuthenticationError),
        missing=lambda error: isinstance(error, anthropic.NotFoundError),
        bad=lambda error: isinstance(error, anthropic.BadRequestError),
        down=lambda error: isinstance(error, anthropic.APIStatusError) and "verloaded" in str(error),
    )


def _gemini() -> Sdk:
    def client(address: str, key: str) -> genai.Client:
        return genai.Client(api_key=key, vertexai=False, http_options=types.HttpOptions(base_url=address))

    async def whole(address: str, *, key: str = "sk-a", model: str = "m", limit: int = 200, **more: Any) -> Heard:
        async with client(address, key).aio as it:
            config: Any = {"max_output_tokens": limit, **more}
            answer = await it.models.generate_content(model=model, contents="Name a river.", config=config)
        return said([answer])

    async def streamed(address: str, *, key: str = "sk-a", model: str = "m", limit: int = 200) -> Heard:
        async with client(address, key).aio as it:
            config: Any = {"max_output_tokens": limit}
            stream = await it.models.generate_content_stream(model=model, contents="Name a river.", config=config)
            return said([part async for part in stream])

    def said(parts: list[Any]) -> Heard:
        last, usage = parts[-1], parts[-1].usage_metadata
        assert usage.cached_content_token_count == usage.prompt_token_count // 2
        text = "".join(part.text or "" for part in parts)
        return Heard(text, last.candidates[0].finish_reason.name, (usage.prompt_token_count, usage.candidates_token_count))

    def coded(*codes: int) -> Callable[[Exception], bool]:
        return lambda error: isinstance(error, google.APIError) and error.code in codes

    return Sdk(whole, streamed, ("STOP", "MAX_TOKENS"), coded(429), coded(400), coded(404), coded(400), coded(503))


def _ollama() -> Sdk:
    def client(address: str, key: str) -> ollama.AsyncClient:
        return ollama.AsyncClient(host=address, headers={"Authorization": f"Bearer {key}"})

    async def whole(address: str, *, key: str = "sk-a", model: str = "m", limit: int = 200, **more: Any) -> Heard:
        async with client(address, key) as it:
            answer = await it.chat(model=model, messages=ASKED, options={"num_predict": limit, **more})
        return said([answer])

    async def streamed(address: str, *, key: str = "sk-a", model: str = "m", limit: int = 200) -> Heard:
        async with client(address, key) as it:
            return said(
                [part async for part in await it.chat(model=model, messages=ASKED, options={"num_predict": limit}, stream=True)]
            )

    def said(parts: list[Any]) -> Heard:
        last = parts[-1]
        assert last.done
        return Heard("".join(part.message.content for part in parts), last.done_reason, (last.prompt_eval_count, last.eval_count))

    def coded(*codes: int) -> Callable[[Exception], bool]:
        return lambda error: isinstance(error, ollama.ResponseError) and error.status_code in codes

    return Sdk(whole, streamed, ("stop", "length"), coded(429), coded(401), coded(404), coded(400), coded(503, -1))


def _compatible(root: str) -> Sdk:
    return _openai(lambda address, key: openai.AsyncOpenAI(api_key=key, base_url=address + root, max_retries=0))


SDKS = {
    "openai": _compatible("/v1"),
    "deepseek": _compatible(""),
    "openrouter": _compatible("/api/v1"),
    "vllm": _compatible("/v1"),
    "azure_openai": _openai(
        lambda address, key: openai.AsyncAzureOpenAI(api_key=key, azure_endpoint=address, api_version="2024-10-21", max_retries=0)
    ),
    "anthropic": _anthropic(),
    "gemini": _gemini(),
    "ollama": _ollama(),
}
every = pytest.mark.parametrize("vendor", VENDORS)


def served(use: Callable[[str], Awaitable[Any]]) -> Any:
    """Run `use` with the address of the simulator."""

    async def main() -> Any:
        async with server.running(script.read(SCRIPT), 0) as address:
            return await use(address)

    return asyncio.run(main())


async def failed(answer: Awaitable[Heard]) -> Exception:
    with pytest.raises(Exception) as caught:  # the caller looks at what it is
        await answer
    return caught.value


@every
def test_answers_are_understood(vendor: str) -> None:
    """Whole and streamed, in good weather and in an odd form: the same text, the same reason to stop, the same usage."""
    sdk = SDKS[vendor]

    async def use(address: str) -> list[Heard]:
        good, ragged = f"{address}/{vendor}-good", f"{address}/{vendor}-ragged"
        whole, streamed = await sdk.whole(good), await sdk.streamed(good)
        return [whole, streamed, await sdk.streamed(ragged), await sdk.whole(good, limit=5), await sdk.streamed(good, limit=5)]

    whole, streamed, ragged, short, short_streamed = served(use)
    assert whole.text
    assert whole == streamed == ragged
    assert short == short_streamed
    assert whole.stop == sdk.stops[0]
    assert (short.stop, short.tokens[1]) == (sdk.stops[1], 5)


@every
def test_refusals_are_understood(vendor: str) -> None:
    """A rate, a wrong key, a model that is not there, a bad request, and a server that is down are the client's own errors."""
    sdk = SDKS[vendor]

    async def use(address: str) -> None:
        good = f"{address}/{vendor}-good"
        assert sdk.rate(await failed(sdk.whole(f"{address}/{vendor}-rate")))
        assert sdk.rate(await failed(sdk.streamed(f"{address}/{vendor}-rate")))
        assert sdk.auth(await failed(sdk.whole(good, key="sk-wrong")))
        assert sdk.missing(await failed(sdk.whole(good, model="claude-none")))
        assert sdk.bad(await failed(sdk.whole(good, limit=-1)))
        assert sdk.down(await failed(sdk.whole(f"{address}/{vendor}-down")))

    served(use)


@every
def test_broken_streams_are_understood(vendor: str) -> None:
    """An error inside a stream is an error of the client's, and a connection that breaks is one too."""
    sdk = SDKS[vendor]

    async def use(address: str) -> None:
        assert sdk.down(await failed(sdk.streamed(f"{address}/{vendor}-fails")))
        assert not isinstance(await failed(sdk.streamed(f"{address}/{vendor}-cut")), AssertionError)

    served(use)


def test_json_is_understood() -> None:
    """A schema of OpenAI's, of Anthropic's, and of Google's form is kept to."""
    schema = {
        "type": "object",
        "properties": {"tasks": {"type": "array", "items": {"type": "string"}}},
        "required": ["tasks"],
        "additionalProperties": False,
    }

    async def use(address: str) -> list[Heard]:
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
        config = {"format": {"type": "json_schema", "schema": schema}}
        google_schema = {key: value for key, value in schema.items() if key != "additionalProperties"}
        return [
            await SDKS["openai"].whole(f"{address}/openai-good", limit=2000, response_format=form),
            await SDKS["anthropic"].whole(f"{address}/anthropic-good", limit=2000, output_config=config),
            await SDKS["gemini"].whole(
                f"{address}/gemini-good", limit=2000, response_mime_type="application/json", response_schema=google_schema
            ),
        ]

    for heard in served(use):
        assert all(isinstance(task, str) for task in orjson.loads(heard.text)["tasks"])
