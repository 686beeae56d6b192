"""OpenAI's dialect: what is sent, what every kind of answer means. Bodies are shaped as the vendors' servers send them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Reply, Stop
from providers.openai import PROVIDER

KEY = "sk-proj-0123456789abcdefghijklmnop"
STAMP = Stamp(1_767_225_600.0, "nonce", KEY)
LANE = LanePlan(provider="openai", model="gpt-4o-mini")
PLAIN = Decoding(max_tokens=50)
CHAT = Chat((Message("system", "Be brief."), Message("user", "Name a river.")), PLAIN)
COMPLETION = Completion("A river: ", PLAIN)


def encoded(call: Call, **lane: Any) -> HttpRequest:
    return PROVIDER.encode((call,), replace(LANE, **lane), STAMP)


def sent(call: Call, **lane: Any) -> dict[str, Any]:
    """The body that a call is sent as."""
    body: dict[str, Any] = orjson.loads(encoded(call, **lane).body)
    return body


def decoded(body: Any, status: int = 200, call: Call = CHAT, **headers: str) -> Reply | Fault:
    """What an answer means; `body` is bytes or plain data, headers have underscores for dashes."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    (outcome,) = PROVIDER.decode((call,), HttpResponse(status, named, data, seconds=2.0, first_byte=0.5))
    return outcome


def faulted(body: Any, status: int, **headers: str) -> Fault:
    outcome = decoded(body, status, CHAT, **headers)
    assert isinstance(outcome, Fault)
    return outcome


def replied(body: Any, call: Call = CHAT) -> Reply:
    outcome = decoded(body, call=call)
    assert isinstance(outcome, Reply)
    return outcome


def answer(finish: str | None = "stop", **changes: Any) -> dict[str, Any]:
    """A chat's answer, with changes to its message."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "The Wien.", **changes}, "finish_reason": finish}
    usage = {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}
    return {"object": "chat.completion", "model": "gpt-4o-mini-2024", "choices": [choice], "usage": usage}


def error(message: str = "no", type: str | None = None, code: str | int | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code, **more}}


# What is sent


def test_chat_is_sent_as_messages() -> None:
    """A chat goes to OpenAI's own address as messages, with the limit under the name that reasoning models take."""
    request = encoded(CHAT)
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert sent(CHAT) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a river."}],
        "max_completion_tokens": 50,
    }


def test_completion_is_sent_as_a_prompt() -> None:
    """A completion has its own path and always the older name of the limit."""
    assert encoded(COMPLETION).url == "https://api.openai.com/v1/completions"
    assert sent(COMPLETION) == {"model": "gpt-4o-mini", "prompt": "A river: ", "max_tokens": 50}


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/chat/completions"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"),
    ],
)
def test_another_server_is_asked_under_its_own_path(base_url: str, url: str) -> None:
    """`base_url` may have a path and a slash at its end, and other servers know the older name of the limit only."""
    assert encoded(CHAT, base_url=base_url).url == url
    assert sent(CHAT, base_url=base_url)["max_tokens"] == 50
    assert "max_completion_tokens" not in sent(CHAT, base_url=base_url)


def test_own_address_written_out_is_still_its_own() -> None:
    """OpenAI's address as `base_url` is the same as none, with a slash at the end or without."""
    assert encoded(CHAT, base_url="https://api.openai.com/v1/") == encoded(CHAT)


def test_settings_have_their_names_on_the_wire() -> None:
    """Every decoding setting that is set is sent; token ids of a bias are strings, as JSON keys are."""
    decoding = Decoding(
        max_tokens=7,
        temperature=0.0,
        top_p=0.5,
        presence_penalty=2.0,
        frequency_penalty=0.0,
        stop=("\n\n", "Task:"),
        seed=0,
        logit_bias=((50256, -100.0),),
    )
    body = sent(structs.replace(COMPLETION, decoding=decoding))
    del body["model"], body["prompt"]
    assert body == {
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 0.5,
        "presence_penalty": 2.0,
        "frequency_penalty": 0.0,
        "stop": ["\n\n", "Task:"],
        "seed": 0,
        "logit_bias": {"50256": -100.0},
    }


def test_key_is_sent_as_a_bearer_token() -> None:
    """The key stands in its header; a lane without one sends no such header."""
    assert encoded(CHAT).headers == {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    assert "Authorization" not in PROVIDER.encode((CHAT,), LANE, replace(STAMP, key="")).headers


def test_key_is_in_no_repr() -> None:
    """Neither the request nor the stamp shows the key to a log or a traceback."""
    assert KEY not in repr(encoded(CHAT)) + str(encoded(CHAT))
    assert KEY not in repr(STAMP)


def test_key_comes_from_the_usual_variable() -> None:
    """Only OpenAI's own address has a usual key: another server's lane names one, or has none."""
    assert PROVIDER.key(LANE) == "env:OPENAI_API_KEY"
    assert PROVIDER.key(replace(LANE, base_url="http://127.0.0.1:8080/v1")) is None


# What an answer means


def test_chat_answer_is_read() -> None:
    """Text, model, usage and times of an ordinary answer arrive."""
    reply = replied(answer())
    assert (reply.text, reply.stop, reply.model) == ("The Wien.", Stop.END, "gpt-4o-mini-2024")
    assert (reply.usage.tokens_in, reply.usage.tokens_out, reply.usage.estimated) == (20, 4, False)
    assert (reply.seconds, reply.first_byte) == (2.0, 0.5)


def test_completion_answer_is_read() -> None:
    """A completion's text stands in the choice itself, and an empty one is an answer."""
    body = answer() | {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    assert replied(body, COMPLETION).text == ""


@pytest.mark.parametrize(
    ("finish", "stop"),
    [("stop", Stop.END), ("length", Stop.LENGTH), ("content_filter", Stop.REFUSED), (None, Stop.END)],
)
def test_finish_reason_says_why_it_ended(finish: str | None, stop: Stop) -> None:
    """The reasons that all servers share have a meaning each; some servers leave it out."""
    assert replied(answer(finish)).stop is stop


@pytest.mark.parametrize("finish", ["error", "abort"])
def test_answer_that_broke_off_is_not_whole(finish: str) -> None:
    """OpenRouter's "error" and vLLM's "abort" mean that the text is a fragment."""
    outcome = decoded(answer(finish))
    assert isinstance(outcome, Fault) or outcome.stop is Stop.BROKEN


def test_refusal_has_a_field_of_its_own() -> None:
    """A model that declines says so in `refusal`, with no content, though its reason is "stop"."""
    reply = replied(answer(content=None, refusal="I cannot help with that."))
    assert (reply.stop, reply.text) == (Stop.REFUSED, "I cannot help with that.")


def test_nothing_but_reasoning_is_a_cut_answer() -> None:
    """A reasoning model that used up its limit has no content and reason "length": an empty text, cut."""
    reply = replied(answer("length", content=None))
    assert (reply.stop, reply.text) == (Stop.LENGTH, "")


def test_cached_and_reasoning_tokens_are_told_apart() -> None:
    """OpenAI counts cached tokens inside the prompt's and reasoning inside the answer's; we count each once."""
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 300,
        "prompt_tokens_details": {"cached_tokens": 768},
        "completion_tokens_details": {"reasoning_tokens": 250},
    }
    real = replied(answer() | {"usage": usage}).usage
    assert (real.tokens_in, real.tokens_cached, real.tokens_out, real.tokens_reasoning) == (232, 768, 50, 250)
    assert (real.prompt, real.answer, real.tokens) == (1000, 300, 1300)


@pytest.mark.parametrize("usage", [None, {}])
def test_missing_usage_is_estimated_and_says_so(usage: Any) -> None:
    """An answer without usage is charged what it was weighed at, marked as an estimate."""
    real = replied(answer() | {"usage": usage}).usage
    assert real == PROVIDER.weigh(CHAT)
    assert real.estimated


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b'{"choices": [{"mess',
        b"\xff\xfe\x00",
        b"[]",
        b'"text"',
        {},
        {"choices": []},
        {"choices": {"0": {}}},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": [{"text": "an answer to another kind of call"}]},
        answer(content=None),
        answer(content=["a", "list"]),
        answer(finish="tool_calls", content=None),
        answer(refusal={"not": "text"}),
        answer() | {"usage": "many"},
        orjson.dumps(answer()).replace(b"20", b"1e999"),
    ],
)
def test_answer_of_another_shape_is_malformed(body: Any) -> None:
    """An answer under status 200 that cannot be read was paid for, may be drawn anew, and never raises."""
    fault = faulted(body, 200)
    assert fault.kind is FaultKind.MALFORMED
    assert fault.billed


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=3),
    max_leaves=8,
)
_WHOLE = answer(refusal=None) | {"error": {"code": None, "type": None, "message": "", "metadata": {}}}
_WHOLE["usage"] |= {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}


def _paths(part: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value inside a tree of plain data."""
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    return [path, *(below for key in keys for below in _paths(part[key], (*path, key)))]


def _changed(part: Any, path: tuple[str | int, ...], junk: Any) -> Any:
    """The tree with what lies at `path` replaced."""
    if not path:
        return junk
    pairs = enumerate(part) if isinstance(part, list) else part.items()
    changed = {key: _changed(below, path[1:], junk) if key == path[0] else below for key, below in pairs}
    return list(changed.values()) if isinstance(part, list) else changed


@settings(derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from(_paths(_WHOLE)), _JUNK), min_size=1, max_size=3),
    st.sampled_from([200, 400, 429, 500]),
    st.sampled_from([CHAT, COMPLETION]),
)
def test_any_json_is_an_answer_or_a_fault(changes: list[tuple[Any, Any]], status: int, call: Call) -> None:
    """Whatever stands where something else should, an answer is read or classified, never raised on."""
    body: Any = _WHOLE
    for path, junk in changes:
        if path in _paths(body):
            body = _changed(body, path, junk)
    outcome = decoded(json.dumps(body).encode(), status, call)
    assert isinstance(outcome, Fault) or status == 200


@settings(derandomize=True)
@given(st.binary(max_size=60), st.integers(100, 599))
def test_any_bytes_are_a_fault(body: bytes, status: int) -> None:
    """Bytes that are no answer are a fault with a short text."""
    assert len(faulted(body, status).detail) < 300


# What an error means


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # OpenAI
        (400, error(type="invalid_request_error"), FaultKind.BAD),
        (400, error(type="invalid_request_error", code="context_length_exceeded"), FaultKind.TOO_BIG),
        (400, error(type="invalid_request_error", code="content_policy_violation"), FaultKind.REFUSED),
        (401, error(type="invalid_request_error", code="invalid_api_key"), FaultKind.AUTH),
        (403, error(type="invalid_request_error", code="unsupported_country_region_territory"), FaultKind.AUTH),
        (404, error(type="invalid_request_error", code="model_not_found"), FaultKind.AUTH),
        (408, error(), FaultKind.NETWORK),
        (409, error(), FaultKind.OVERLOAD),
        (413, error(), FaultKind.TOO_BIG),
        (422, error(), FaultKind.BAD),
        (429, error(type="requests", code="rate_limit_exceeded"), FaultKind.RATE),
        (429, error(type="tokens", code="rate_limit_exceeded"), FaultKind.RATE),
        (429, error(type="insufficient_quota", code="insufficient_quota"), FaultKind.QUOTA),
        (500, error(type="server_error"), FaultKind.OVERLOAD),
        (503, error(type="server_error", code="overloaded"), FaultKind.OVERLOAD),
        (503, error(code="slow_down"), FaultKind.BURST),
        # llama.cpp, which has its status as the code
        (400, error(type="invalid_request_error", code=400), FaultKind.BAD),
        (400, error(type="exceed_context_size_error", code=400, n_prompt_tokens=9000, n_ctx=4096), FaultKind.TOO_BIG),
        (401, error(type="authentication_error", code=401), FaultKind.AUTH),
        (500, error(type="server_error", code=500), FaultKind.OVERLOAD),
        (501, error(type="not_supported_error", code=501), FaultKind.BAD),
        (503, error(type="unavailable_error", code=503), FaultKind.OVERLOAD),
        # vLLM, nested as it is now and flat as it was
        (400, error(type="BadRequestError", code=400), FaultKind.BAD),
        (404, error(type="NotFoundError", code=404), FaultKind.AUTH),
        (400, {"object": "error", "message": "no", "type": "BadRequestError", "param": None, "code": 400}, FaultKind.BAD),
        (500, {"object": "error", "message": "no", "type": "InternalServerError", "code": 500}, FaultKind.OVERLOAD),
        # OpenRouter
        (402, {"error": {"code": 402, "message": "Insufficient credits"}}, FaultKind.QUOTA),
        (
            403,
            {"error": {"code": 403, "message": "no", "metadata": {"reasons": ["hate"], "flagged_input": "x"}}},
            FaultKind.REFUSED,
        ),
        (408, {"error": {"code": 408, "message": "Timed out"}}, FaultKind.NETWORK),
        (429, {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min"}}, FaultKind.RATE),
        (502, {"error": {"code": 502, "message": "Provider returned error"}}, FaultKind.OVERLOAD),
        (503, {"error": {"code": 503, "message": "No available model provider"}}, FaultKind.OVERLOAD),
        # nobody in particular
        (429, b"Too Many Requests", FaultKind.RATE),
        (504, b"<html>gateway time-out</html>", FaultKind.OVERLOAD),
        (404, b"404 page not found", FaultKind.AUTH),
        (400, {"error": "just a text"}, FaultKind.BAD),
        (418, b"", FaultKind.BAD),
        (301, b"", FaultKind.AUTH),
    ],
)
def test_error_means_its_kind(status: int, body: Any, kind: FaultKind) -> None:
    """Status and error code say what kind of fault it is, whichever server speaks."""
    fault = faulted(body, status)
    assert fault.kind is kind
    assert f"HTTP {status}" in fault.detail


@pytest.mark.parametrize(
    ("code", "kind"),
    [(502, FaultKind.OVERLOAD), (429, FaultKind.RATE), (402, FaultKind.QUOTA), (None, FaultKind.OVERLOAD)],
)
def test_error_under_status_200_has_its_status_in_the_body(code: int | None, kind: FaultKind) -> None:
    """OpenRouter sends what goes wrong after the headers as an error object under 200."""
    assert faulted({"error": {"code": code, "message": "upstream"}}, 200).kind is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 30601. "
            "The input or output tokens must be reduced in order to run successfully.",
            FaultKind.TOO_BIG,
        ),
        (
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29500, "
            "Requested 1200. Please try again in 1.4s.",
            FaultKind.RATE,
        ),
    ],
)
def test_request_above_the_whole_limit_never_fits(message: str, kind: FaultKind) -> None:
    """A 429 that asks for more than the minute allows is too big, and waiting does not help; any other is a rate."""
    assert faulted(error(message, type="tokens", code="rate_limit_exceeded"), 429).kind is kind


def test_server_that_says_never_again_is_believed() -> None:
    """`x-should-retry: false` turns a failure that would be tried again into one that is not."""
    assert faulted(error(), 500, x_should_retry="false").kind is FaultKind.BAD
    assert faulted(error(), 500, x_should_retry="true").kind is FaultKind.OVERLOAD


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "1"}, 1.0),
        ({"retry_after": "20.5"}, 20.5),
        ({"retry_after": "30", "retry_after_ms": "1250"}, 1.25),
        ({"retry_after_ms": "soon", "retry_after": "3"}, 3.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:47 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 47.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:00 GMT", "date": "Thu, 01 Jan 2026 00:00:09 GMT"}, 0.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:47 GMT"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
    ],
)
def test_wait_hint_is_read_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds come before seconds, a date counts from the answer's own; what is no wait is no hint."""
    assert faulted(error(code="rate_limit_exceeded"), 429, **headers).retry_after == seconds


def test_refused_key_is_not_repeated() -> None:
    """A server that echoes the key it refuses does not bring it into the fault's text."""
    fault = faulted(error(f"Incorrect API key provided: {KEY}.", code="invalid_api_key"), 401)
    assert KEY[:8] not in str(fault) + repr(fault)
