"""OpenAI's server as the simulator spells it: what it reads, its headers and errors, and what our own dialect makes of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse, Stamp
from engine.core.types import Chat, Completion, Decoding, LanePlan, Message, Reply, Stop
from providers.openai import PROVIDER
from providers.simulator.calls import (
    SECOND,
    Answered,
    Facts,
    Kind,
    Measure,
    Reading,
    Received,
    Refusal,
    Refused,
    Response,
    Said,
    Slip,
    Weight,
)
from providers.simulator.dialects import Opened, Unreadable
from providers.simulator.dialects.openai import CHAT, COMPLETIONS, DIALECT, MODELS, duration

CALL = Chat((Message("system", "Be brief."), Message("user", "Name a river.")), Decoding(max_tokens=50, stop=("\n",)))
FACTS = Facts("chat", model="gpt", texts=("x",), max_tokens=50)


def received(headers: dict[str, str], body: bytes) -> Opened:
    return DIALECT.opened(Received("POST", CHAT, "", headers, body), ())


def read(path: str, **body: Any) -> Facts:
    opened = received({}, orjson.dumps(body))
    return DIALECT.read("POST", path, opened.fields)


def bound(kind: Kind, of: Measure = Measure.REQUESTS, wait: int | None = 0, most: int = 60, asked: int = 1) -> Refused:
    """A refusal by a quota."""
    return Refused(kind, "no", bound=Refusal(f"{of} a minute", kind, of, wait, most, most, asked))


def heard(response: Response) -> Reply | Fault:
    """What the engine's own dialect makes of an answer."""
    (outcome,) = PROVIDER.decode((CALL,), HttpResponse(response.status, response.headers, response.body))
    return outcome


# What is read


def test_our_own_requests_are_read() -> None:
    """A chat and a completion as the engine sends them: words, limits, stops, settings and the key."""
    lane = LanePlan(provider="openai", model="gpt", base_url="http://127.0.0.1:1/v1")
    sent = PROVIDER.encode((CALL,), lane, Stamp(0.0, "", "sk-one"))
    opened = received({name.lower(): value for name, value in sent.headers.items()}, sent.body)
    assert opened.key == "sk-one"
    facts = DIALECT.read("POST", CHAT, opened.fields)
    assert (facts.texts, facts.max_tokens, facts.stop) == (("Be brief.\n\nName a river.",), 50, ("\n",))
    sent = PROVIDER.encode((Completion("A river: ", Decoding(max_tokens=7, temperature=0.5)),), lane, Stamp(0.0, ""))
    opened = received({}, sent.body)
    assert opened.key == ""
    facts = DIALECT.read("POST", COMPLETIONS, opened.fields)
    assert (facts.task, facts.texts, facts.max_tokens, facts.drawn) == ("completion", ("A river: ",), 7, "0.5 None")


def test_both_names_of_the_limit_are_read() -> None:
    """The newer name comes first; a completion that names none gets sixteen tokens."""
    messages = [{"role": "user", "content": "x"}]
    assert read(CHAT, model="m", messages=messages, max_tokens=5, max_completion_tokens=6).max_tokens == 6
    assert read(COMPLETIONS, model="m", prompt="x").max_tokens == 16
    assert read(COMPLETIONS, model="m", prompt=["x", "yz"]).texts == ("x", "yz")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        {"model": "m"},
        {"model": "m", "messages": []},
        {"model": "m", "messages": "x"},
        {"model": "m", "messages": [{"role": "user"}]},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": "9"},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "stop": [1]},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 2},
    ],
)
def test_bad_requests_are_bad(body: dict[str, Any]) -> None:
    """What the vendor would not take is a fault of the request."""
    with pytest.raises(Unreadable) as caught:
        read(CHAT, **body)
    assert caught.value.kind is Kind.BAD
    fault = heard(DIALECT.refuse(Facts(""), Refused(caught.value.kind, caught.value.message, -1), Slip(1, 0.0)))
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.BAD


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_bad(body: bytes) -> None:
    """Whatever bytes come, they are read or refused."""
    with pytest.raises(Unreadable):
        DIALECT.read("POST", CHAT, received({}, body).fields)


# What is answered


def test_an_answer_is_heard_as_it_was_said() -> None:
    """Text, reason and usage reach the engine."""
    for finish, stop in (("stop", Stop.END), ("length", Stop.LENGTH), ("content_filter", Stop.REFUSED)):
        said = Said("" if stop is Stop.REFUSED else "The Wien.", finish)
        reply = heard(DIALECT.answer(FACTS, Answered((said,), Weight(1, 20, 4)), Slip(3, 1.5)))
        assert isinstance(reply, Reply)
        assert (reply.text, reply.stop, reply.model) == (said.text, stop, "gpt")
        assert (reply.usage.prompt, reply.usage.answer, reply.usage.estimated) == (20, 4, False)


def test_a_completion_has_a_choice_for_each_prompt() -> None:
    """In order, under the name that completions use."""
    facts = Facts("completion", model="m", texts=("x", "y"), max_tokens=5)
    body = orjson.loads(DIALECT.answer(facts, Answered((Said("1"), Said("2")), Weight()), Slip(1, 0.0)).body)
    assert body["object"] == "text_completion"
    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [(0, "1"), (1, "2")]


def test_models_are_listed() -> None:
    """Those of the account, by GET only."""
    assert DIALECT.read("GET", MODELS, {}).task == "models"
    body = orjson.loads(DIALECT.models(("small", "large"), Slip(1, 0.0)).body)
    assert [model["id"] for model in body["data"]] == ["small", "large"]
    with pytest.raises(Unreadable):
        DIALECT.read("POST", MODELS, {})


# Headers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0000001, "1ms"),
        (0.012, "12ms"),
        (0.9994, "999ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (1.2, "1.2s"),
        (7.66, "7.66s"),
        (59.001, "59.001s"),
        (360, "6m0s"),
        (3_723, "1h2m3s"),
        (86_400.5, "24h0m0.5s"),
    ],
)
def test_durations_are_spelled_as_go_does(seconds: float, text: str) -> None:
    """Milliseconds below a second, then seconds with their fraction, minutes and hours in front."""
    assert duration(round(seconds * SECOND)) == text


@given(st.integers(0, 10**15))
def test_durations_can_be_read_back(nanoseconds: int) -> None:
    """The text means the same time to half a millisecond, or a whole one for what is next to nothing."""
    text, total = duration(nanoseconds), 0.0
    for unit, scale in (("h", 3_600.0), ("m", 60.0), ("s", 1.0)):
        if text.endswith("ms"):
            total, text = float(text[:-2]) / 1_000, ""
        head, found, rest = text.partition(unit)
        if found:
            total, text = total + float(head) * scale, rest
    assert abs(total - nanoseconds / SECOND) <= 0.001


@pytest.mark.parametrize(
    ("of", "limit", "used", "reset"),
    [
        (Measure.REQUESTS, 5_000, 1, "12ms"),
        (Measure.TOKENS, 160_000, 24, "9ms"),
        (Measure.REQUESTS, 60, 6, "6s"),
        (Measure.REQUESTS, 50, 1, "1.2s"),
        (Measure.REQUESTS, 10, 60, "6m0s"),
    ],
)
def test_headers_tell_the_time_to_full(of: Measure, limit: int, used: int, reset: str) -> None:
    """A used part u of a limit L a minute is back after 60 u / L seconds."""
    reading = Reading(of, limit, limit - used, used * 60 * SECOND // limit)
    headers = DIALECT.answer(FACTS, Answered((Said("x"),), Weight()), Slip(1, 0.0, (reading,))).headers
    name = str(of)
    assert headers[f"x-ratelimit-limit-{name}"] == str(limit)
    assert headers[f"x-ratelimit-remaining-{name}"] == str(limit - used)
    assert headers[f"x-ratelimit-reset-{name}"] == reset


def test_there_are_no_headers_without_a_limit() -> None:
    """Nor for measures that the vendor does not tell."""
    reading = Reading(Measure.CHARACTERS, 9, 9, 0)
    headers = DIALECT.answer(FACTS, Answered((Said("x"),), Weight()), Slip(1, 0.0, (reading,))).headers
    assert not [name for name in headers if name.startswith("x-ratelimit")]


# Errors


@pytest.mark.parametrize(
    ("refused", "status", "type_", "code", "kind"),
    [
        (bound(Kind.RATE), 429, "requests", "rate_limit_exceeded", FaultKind.RATE),
        (bound(Kind.RATE, Measure.TOKENS), 429, "tokens", "rate_limit_exceeded", FaultKind.RATE),
        (Refused(Kind.RATE, "no"), 429, "requests", "rate_limit_exceeded", FaultKind.RATE),
        (bound(Kind.BURST), 503, "server_error", "slow_down", FaultKind.BURST),
        (bound(Kind.QUOTA, wait=None), 429, "insufficient_quota", "insufficient_quota", FaultKind.QUOTA),
        (Refused(Kind.QUOTA, "no"), 429, "insufficient_quota", "insufficient_quota", FaultKind.QUOTA),
        (bound(Kind.TOO_BIG, Measure.TOKENS, None, 30_000, 30_601), 429, "tokens", "rate_limit_exceeded", FaultKind.TOO_BIG),
        (Refused(Kind.TOO_BIG, "no"), 400, "invalid_request_error", "context_length_exceeded", FaultKind.TOO_BIG),
        (Refused(Kind.OVERLOAD, "no", 500), 500, "server_error", None, FaultKind.OVERLOAD),
        (Refused(Kind.OVERLOAD, "no", 503), 503, "server_error", "overloaded", FaultKind.OVERLOAD),
        (Refused(Kind.OVERLOAD, "no", 529), 529, "server_error", "overloaded", FaultKind.OVERLOAD),
        (Refused(Kind.AUTH, "no"), 401, "invalid_request_error", "invalid_api_key", FaultKind.AUTH),
        (Refused(Kind.UNKNOWN, "no"), 404, "invalid_request_error", "model_not_found", FaultKind.AUTH),
        (bound(Kind.BANNED), 403, "invalid_request_error", "account_suspended", FaultKind.AUTH),
    ],
)
def test_errors_have_their_form(refused: Refused, status: int, type_: str, code: str | None, kind: FaultKind) -> None:
    """Status, type and code are the vendor's, and the engine's dialect takes each for what it is."""
    response = DIALECT.refuse(FACTS, refused, Slip(1, 0.0))
    error = orjson.loads(response.body)["error"]
    assert (response.status, error["type"], error["code"]) == (status, type_, code)
    assert error.keys() == {"message", "type", "param", "code"}
    fault = heard(response)
    assert isinstance(fault, Fault)
    assert fault.kind is kind


@pytest.mark.parametrize(("seconds", "told"), [(0.2, "1"), (1.0, "1"), (1.2, "2"), (59.0, "59"), (86_400.0, "86400")])
def test_hints_are_whole_seconds(seconds: float, told: str) -> None:
    """Rounded up, at least one; never with an error that waiting does not mend."""
    assert DIALECT.refuse(FACTS, bound(Kind.RATE), Slip(1, 0.0, (), seconds)).headers["retry-after"] == told
    assert "retry-after" not in DIALECT.refuse(FACTS, bound(Kind.RATE), Slip(1, 0.0)).headers
    for kind in (Kind.QUOTA, Kind.TOO_BIG, Kind.AUTH, Kind.BANNED):
        assert "retry-after" not in DIALECT.refuse(FACTS, bound(kind), Slip(1, 0.0, (), seconds)).headers
