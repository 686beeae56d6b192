"""Every language model's server of the simulator against the engine's own dialect: each understands what the other says."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest
from msgspec import structs

import providers
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.types import Call as EngineCall
from engine.core.types import Chat, Completion, Decoding, LanePlan, Message, Reply, Stop
from providers.simulator import dialects, script
from providers.simulator.world import Arrival, Break, Call, World

VENDORS = [name for name in dialects.names() if name in providers.names() and Chat in providers.find(name).accepts]
PLAIN = Decoding(max_tokens=300, temperature=0.5, stop=("###",))
CHAT = Chat((Message("system", "Be brief."), Message("user", "Name a river.")), PLAIN)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "minItems": 4,
            "maxItems": 4,
            "items": {
                "type": "object",
                "properties": {"instruction": {"type": "string"}, "kind": {"type": "string", "enum": ["open", "closed"]}},
                "required": ["instruction", "kind"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}

every = pytest.mark.parametrize("vendor", VENDORS)


def world(vendor: str, weather: str = "", more: str = "", answers: str = "") -> World:
    return World(
        script.read(
            f"[answers]\n{answers}\n[accounts.a]\ndialect = '{vendor}'\nkeys = ['sk-a']\n{more}\n[accounts.a.weather]\n{weather}"
        )
    )


def lane(vendor: str, **changes: Any) -> LanePlan:
    """A lane at the simulator, which has the vendor's paths at its root."""
    home = getattr(dialects.find(vendor), "home", "")
    model = {"anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}.get(vendor, "m")
    plan = LanePlan(provider=vendor, model=model, base_url=f"http://simulator{home}")
    return replace(plan, **changes)


def request(vendor: str, call: EngineCall = CHAT, key: str = "sk-a", **changes: Any) -> HttpRequest:
    return providers.find(vendor).encode((call,), lane(vendor, **changes), Stamp(0.0, "", key))


def arrived(it: World, sent: HttpRequest, now: float = 0.0) -> Arrival:
    path = sent.url.removeprefix("http://simulator").partition("?")[0]
    return it.arrive(Call(sent.method, path, sent.headers, sent.body), now)


def whole(it: World, vendor: str, call: EngineCall = CHAT, key: str = "sk-a", **changes: Any) -> Reply | Fault:
    """What the engine makes of an answer in one piece."""
    arrival = arrived(it, request(vendor, call, key, **changes))
    it.depart(arrival, arrival.seconds)
    (outcome,) = providers.find(vendor).decode((call,), HttpResponse(arrival.status, arrival.headers, arrival.body))
    return outcome


def streamed(it: World, vendor: str, call: EngineCall = CHAT, **changes: Any) -> Reply | Fault:
    """What the engine makes of a stream, fed piece by piece."""
    arrival = arrived(it, request(vendor, call, stream=True, **changes))
    it.depart(arrival, arrival.seconds)
    assert arrival.status == 200
    assert arrival.stream
    reader = providers.find(vendor).reader(call)
    assert reader is not None
    try:
        for _, piece in arrival.stream:
            reader.feed(piece)
    except Fault as fault:
        return fault
    return reader.close()


def used(it: World) -> tuple[int, int, int]:
    book = orjson.loads(orjson.dumps(it.books()))["accounts"]["a"]
    return book["tokens_in"], book["tokens_cached"], book["tokens_out"]


@every
@pytest.mark.parametrize("answers", ["", "reasoned = 1.0"])
def test_an_answer_is_the_same_streamed_or_not(vendor: str, answers: str) -> None:
    """Text, stop, model and usage to the token, with thoughts and without; the books of the stranger say the same."""
    it = world(vendor, more="cached = 0.25", answers=answers)
    reply = whole(it, vendor)
    assert isinstance(reply, Reply)
    assert reply.text
    assert (reply.stop, reply.usage.estimated) == (Stop.END, False)
    assert "<think>" not in reply.text
    assert (reply.usage.tokens_reasoning > 0) is bool(answers)
    cached = 0 if vendor == "ollama" else reply.usage.tokens_cached
    assert used(it) == (reply.usage.prompt, used(it)[1], reply.usage.answer)
    assert cached == (0 if vendor == "ollama" else used(it)[1])
    it.reset()
    again = streamed(it, vendor)
    assert isinstance(again, Reply)
    assert (again.text, again.stop, again.model) == (reply.text, reply.stop, reply.model)
    assert structs.replace(again.usage, tokens_out=0, tokens_reasoning=0) == structs.replace(
        reply.usage, tokens_out=0, tokens_reasoning=0
    )
    assert again.usage.answer == reply.usage.answer == used(it)[2]


@every
def test_a_short_limit_and_a_filter_are_told(vendor: str) -> None:
    """Cut by length, and taken away by a filter, in both forms; Ollama has no word for the latter."""
    short = Chat(CHAT.messages, Decoding(max_tokens=5))
    for ask in (whole, streamed):
        reply = ask(world(vendor), vendor, short)
        assert isinstance(reply, Reply)
        assert (reply.stop, reply.usage.answer) == (Stop.LENGTH, 5)
        filtered = ask(world(vendor, answers="filtered = 1.0"), vendor)
        assert isinstance(filtered, Reply)
        assert (filtered.stop, filtered.text) == (Stop.END if vendor == "ollama" else Stop.REFUSED, "")


@every
def test_thoughts_that_use_up_the_limit_leave_nothing(vendor: str) -> None:
    """The text is empty and cut, whatever way the vendor tells its thoughts."""
    short = Chat(CHAT.messages, Decoding(max_tokens=5))
    for ask in (whole, streamed):
        reply = ask(world(vendor, answers="reasoned = 1.0"), vendor, short)
        assert isinstance(reply, Reply)
        assert (reply.text, reply.stop, reply.usage.answer) == ("", Stop.LENGTH, 5)
        more = ask(world(vendor, answers="reasoned = 1.0"), vendor, short, reasoning_tokens=400)
        assert isinstance(more, Reply)
        assert more.text


@every
def test_json_fits_its_schema(vendor: str) -> None:
    """Enforced by the server, or in words: four tasks, as it says; Anthropic's knows no such bounds."""
    for ask in (whole, streamed):
        reply = ask(world(vendor), vendor, Chat(CHAT.messages, Decoding(max_tokens=2000, schema=SCHEMA)))
        assert isinstance(reply, Reply)
        tasks = orjson.loads(reply.text)["tasks"]
        assert [sorted(task) for task in tasks] == [["instruction", "kind"]] * (7 if vendor == "anthropic" else 4)
        assert {task["kind"] for task in tasks} <= {"open", "closed"}


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if Completion in providers.find(vendor).accepts])
def test_completions_are_served(vendor: str) -> None:
    """By those that have them, both ways."""
    call = Completion("Tasks:\n1. Name a river.\n2.", structs.replace(PLAIN, stop=("\n16.",)))
    reply = whole(world(vendor), vendor, call)
    again = streamed(world(vendor), vendor, call)
    assert isinstance(reply, Reply)
    assert isinstance(again, Reply)
    assert reply.text.count("\n") >= 10
    assert (reply.text, reply.usage) == (again.text, again.usage)
    if vendor == "openai":
        return
    shaped = whole(world(vendor), vendor, Completion("Tasks:", Decoding(max_tokens=2000, schema=SCHEMA)))
    assert isinstance(shaped, Reply)
    assert len(orjson.loads(shaped.text)["tasks"]) == 4


# What goes wrong


@every
@pytest.mark.parametrize(
    ("weather", "more", "kinds"),
    [
        ("", "limits = [{ kind = 'fixed', limit = 1 }]", {FaultKind.RATE}),
        ("", "limits = [{ kind = 'fixed', of = 'tokens', counts = 'used', limit = 60 }]", {FaultKind.RATE}),
        ("", "limits = [{ kind = 'growth', limit = 1 }]", {FaultKind.RATE, FaultKind.BURST}),
        ("", "limits = [{ kind = 'day', limit = 1 }]", {FaultKind.QUOTA}),
        ("errors = { 503 = 1.0 }", "", {FaultKind.OVERLOAD}),
        ("errors = { 500 = 1.0 }", "", {FaultKind.OVERLOAD}),
        ("rate_without_reason = 1.0", "", {FaultKind.RATE}),
        ("", "models = ['other']", {FaultKind.AUTH}),
        ("", "largest = 30", {FaultKind.TOO_BIG, FaultKind.BAD}),
    ],
)
def test_refusals_mean_what_they_mean(vendor: str, weather: str, more: str, kinds: set[FaultKind]) -> None:
    """In the vendor's own words; a stream that is refused is refused in one piece."""
    if vendor in ("vllm", "llama_cpp") and FaultKind.QUOTA in kinds:
        kinds = {FaultKind.RATE, FaultKind.OVERLOAD}  # which have no quotas: it is a gateway's 429
    for stream in (False, True):
        it = world(vendor, weather, more)
        outcomes = [whole(it, vendor, stream=stream) for _ in range(2)]
        assert isinstance(outcomes[1], Fault)
        assert outcomes[1].kind in kinds, outcomes[1]


@every
def test_wrong_keys_are_turned_away(vendor: str) -> None:
    """As a wrong key, not as a wrong request."""
    outcome = whole(world(vendor), vendor, key="sk-wrong")
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.AUTH


@pytest.mark.parametrize("vendor", ["openai", "azure_openai", "anthropic", "gemini", "mistral"])
def test_hints_are_heard(vendor: str) -> None:
    """How long to wait stands in a header, in two, in a time of reset, or in the details of the error."""
    it = world(vendor, more="limits = [{ kind = 'fixed', of = 'tokens', counts = 'used', limit = 60, period = 40 }]")
    outcome = [whole(it, vendor) for _ in range(2)][1]
    assert isinstance(outcome, Fault)
    assert outcome.retry_after == pytest.approx(40, abs=1.5)
    it = world(vendor, "hint_missing = 1.0\nheaders_missing = 1.0", "limits = [{ kind = 'fixed', limit = 1 }]")
    outcome = [whole(it, vendor) for _ in range(2)][1]
    assert isinstance(outcome, Fault)
    assert outcome.retry_after is None


FULL = Decoding(
    max_tokens=50,
    temperature=1.2,
    top_p=0.0,
    presence_penalty=1.5,
    frequency_penalty=0.5,
    stop=("\n\n", "Task:", "x" * 40, "a", "b", "c"),
    seed=7,
    logit_bias=((50256, -100.0),),
)


@every
@pytest.mark.parametrize("model", ["m", "o3", "claude-opus-4-8", "kimi-k2.5"])
def test_whatever_is_set_no_server_refuses_it(vendor: str, model: str) -> None:
    """Settings that a model would answer with an error are not among those that are sent."""
    for decoding in (FULL, structs.replace(FULL, temperature=0.0)):
        outcome = whole(world(vendor), vendor, Chat(CHAT.messages, decoding), model=model)
        assert isinstance(outcome, Reply), outcome


def test_stops_that_a_server_goes_past_cut_all_the_same() -> None:
    """A reasoning model knows none, and Anthropic none of white space: the text ends there, and what was made is paid for."""
    call = Chat((Message("user", "Come up with tasks.\n\nTasks 1 to 9"),), Decoding(max_tokens=500, stop=("\n3.", "\n\n")))
    for ask in (whole, streamed):
        reply = ask(world("openai"), "openai", call, model="o3")
        assert isinstance(reply, Reply)
        assert reply.text.startswith("1. ")
        assert (reply.text.count("\n"), reply.stop) == (1, Stop.END)
        assert reply.usage.tokens_out > len(reply.text) / 4


# Streams in bad weather


@every
def test_streams_take_any_form(vendor: str) -> None:
    """CRLF, pieces cut anywhere, comments while it waits, a drip: the answer is the same."""
    plain = streamed(world(vendor), vendor)
    for weather in (
        "crlf = 1.0",
        "ragged = 1.0",
        "kept_alive = 1.0\nfirst_byte = 21",
        "slow_drip = 1.0",
        "crlf = 1.0\nragged = 1.0",
    ):
        assert streamed(world(vendor, weather), vendor) == plain, weather


@every
def test_streams_break(vendor: str) -> None:
    """Cut off, ended without a word, without usage: what came is kept, and its cost is estimated."""
    plain = streamed(world(vendor), vendor)
    assert isinstance(plain, Reply)
    for weather, stop in (
        ("cut_body = 1.0", Stop.BROKEN),
        ("stream_without_end = 1.0", Stop.BROKEN),
        ("usage_missing = 1.0", Stop.END),
    ):
        reply = streamed(world(vendor, weather), vendor)
        assert isinstance(reply, Reply)
        assert plain.text.startswith(reply.text)
        assert (reply.stop, reply.usage.estimated) == (stop, True)
    missing = whole(world(vendor, "usage_missing = 1.0"), vendor)
    assert isinstance(missing, Reply)
    assert missing.usage.estimated


@every
def test_streams_fail_in_words(vendor: str) -> None:
    """An error inside is the vendor's overload; a frame that is no JSON makes the answer malformed. Both were paid for."""
    failed = streamed(world(vendor, "stream_error = 1.0"), vendor)
    assert isinstance(failed, Fault)
    assert failed.kind is FaultKind.OVERLOAD
    malformed = streamed(world(vendor, "malformed_json = 1.0"), vendor)
    assert isinstance(malformed, Fault)
    assert (malformed.kind, malformed.billed) == (FaultKind.MALFORMED, True)


def test_deepseek_waits_with_blank_lines() -> None:
    """Before JSON, and with comments before a stream; the first of them at once."""
    it = world("deepseek", "kept_alive = 1.0\nfirst_byte = 21")
    arrival = arrived(it, request("deepseek"))
    assert [(when, data) for when, data in arrival.stream[:-1]] == [(n * 5.0, b"\n") for n in range(5)]
    assert arrival.first_byte == 0.0
    assert isinstance(whole(it, "deepseek"), Reply)
    stream = arrived(it, request("deepseek", stream=True)).stream
    assert stream[0] == (0.0, b": keep-alive\n\n")
    assert stream[5][0] == 21


# Who pays


def test_a_client_that_goes_pays_for_what_was_made() -> None:
    """Its place is free at once, and the books call the call left; one that hears all of it pays for all of it."""
    price = "prices.'*' = { tokens_in = 1.0, tokens_out = 1.0 }\nlimits = [{ kind = 'concurrent', limit = 1 }]"
    it = world("openai", "first_byte = 1\ntokens_per_second = 10", price)
    arrival = arrived(it, request("openai", stream=True))
    assert arrived(it, request("openai", stream=True), 2.0).status == 429
    it.depart(arrival, 2.0)
    tokens_in, _, tokens_out = used(it)
    assert 4 <= tokens_out <= 10
    book = orjson.loads(orjson.dumps(it.books()))["accounts"]["a"]
    assert (book["broken"], book["answered"], book["money_nano"]) == ({"left": 1}, 0, 1000 * (tokens_in + tokens_out))
    last = arrived(it, request("openai", stream=True), 2.0)
    assert last.status == 200
    it.depart(last, 2.0 + last.seconds)
    assert orjson.loads(orjson.dumps(it.books()))["accounts"]["a"]["answered"] == 1


@every
def test_what_breaks_costs_what_was_made_of_it(vendor: str) -> None:
    """A stream that is cut, fails or ends early is billed as far as it came, and never for more than all of it."""
    it = world(vendor)
    streamed(it, vendor)
    all_of_it = used(it)[2]
    for weather in ("cut_body = 1.0", "stream_error = 1.0", "stream_without_end = 1.0"):
        it = world(vendor, weather)
        for n in range(5):
            streamed(it, vendor, Chat((Message("user", "Name a river."),), structs.replace(PLAIN, seed=n)))
        assert 0 <= used(it)[2] <= 5 * (all_of_it + 200)
        assert orjson.loads(orjson.dumps(it.books()))["accounts"]["a"]["in_flight"] == 0


def test_times_never_go_backwards() -> None:
    """Whatever the weather does to the pieces, each leaves after the one before, and together they are the body."""
    for vendor in VENDORS:
        for n, weather in enumerate(
            ("ragged = 1.0\nkept_alive = 1.0\nfirst_byte = 12", "slow_drip = 1.0\ncrlf = 1.0", "cut_body = 1.0")
        ):
            it = World(world(vendor, weather).script, seed=n)
            arrival = arrived(it, request(vendor, stream=True))
            times = [when for when, _ in arrival.stream]
            assert times == sorted(times)
            assert b"".join(data for _, data in arrival.stream) == arrival.body
            assert (arrival.broken is Break.IN_BODY) is weather.startswith("cut")
            assert not times or times[-1] == pytest.approx(arrival.seconds)


def test_same_seed_same_stream() -> None:
    """A seed is a day: the same calls, the same pieces at the same times."""
    rng = Random(1)
    weather = "ragged = 0.5\ncrlf = 0.5\nkept_alive = 0.5\nusage_missing = 0.3\nstream_error = 0.2\ncut_body = 0.2"
    calls = [Chat((Message("user", f"River {rng.random()}"),), PLAIN) for _ in range(20)]

    def day(seed: int) -> list[Any]:
        it = World(world("openai", weather).script, seed)
        return [arrived(it, request("openai", call, stream=True)).stream for call in calls]

    assert day(3) == day(3)
    assert day(3) != day(4)
