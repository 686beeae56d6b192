"""The world without a socket: whose a call is, what it meets, what it costs, and that it all adds up."""

from __future__ import annotations

import heapq
import json
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import providers
from providers.simulator import data, script
from providers.simulator.calls import Kind
from providers.simulator.world import Arrival, Break, Call, World

ANYBODY = "[accounts.a]\n"


def world(text: str, seed: int = 0) -> World:
    return World(script.read(text), seed)


def chat(key: str = "", *, prompt: str = "Name a river.", model: str = "small", max_tokens: int = 50, prefix: str = "") -> Call:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
    return Call("POST", f"{prefix}/v1/chat/completions", {"Authorization": f"Bearer {key}"} if key else {}, orjson.dumps(body))


def translate(text: str | list[str], key: str = "") -> Call:
    body = {"q": text, "source": "en", "target": "zh", "api_key": key}
    return Call("POST", "/translate", {}, orjson.dumps(body))


def body(arrival: Arrival) -> Any:
    return orjson.loads(arrival.body)


def told(world: World, account: str = "a") -> Any:
    """An account's book, as it goes over the wire."""
    return orjson.loads(orjson.dumps(world.books()))["accounts"][account]


def done(world: World, call: Call, now: float = 0.0) -> Arrival:
    """A call that comes and ends."""
    arrival = world.arrive(call, now)
    world.depart(arrival, now + arrival.seconds)
    return arrival


# Whose it is


def test_a_call_belongs_to_the_account_of_its_prefix_or_key() -> None:
    """Prefixes come first; without one the key decides; without keys anybody may come; paths tell dialects apart."""
    it = world("""
        [accounts.a]
        keys = ["sk-a"]
        [accounts.b]
        keys = ["sk-b", "sk-c"]
        [accounts.c]
        prefix = "/c"
        [accounts.d]
        dialect = "libretranslate"
    """)
    calls = [chat("sk-a"), chat("sk-c"), chat("sk-a", prefix="/c"), chat(prefix="/c"), translate("Hi")]
    assert [it.arrive(call, 0).account for call in calls] == ["a", "b", "c", "c", "d"]
    stranger = it.arrive(chat("sk-z"), 0)
    assert (stranger.status, stranger.kind) == (401, Kind.AUTH)
    assert it.arrive(chat("sk-a", prefix="/nowhere"), 0).status == 404
    assert it.books()["strangers"] == 2


def test_an_unknown_key_is_written_nowhere() -> None:
    """It may be a real one that was sent to the wrong place."""
    it = world('[accounts.a]\nkeys = ["sk-a"]\n[accounts.b]\nprefix = "/b"')
    for call in (chat("sk-secret"), chat("sk-secret", prefix="/b")):
        done(it, call)
    assert b"sk-secret" not in orjson.dumps([it.books(), it.truth()])


def test_failed_calls_count_but_not_those_of_strangers() -> None:
    """Where refused calls count, a bad request of the account's own uses up its quota; a stranger's does not."""
    it = world("""
        [accounts.a]
        keys = ["sk-a"]
        [[accounts.a.limits]]
        kind = "fixed"
        limit = 2
        counts_refused = true
    """)
    for _ in range(5):
        assert it.arrive(chat("sk-z"), 0).status == 401
    assert it.arrive(chat("sk-a"), 0).status == 200
    assert it.arrive(chat("sk-a", max_tokens=0), 0).status == 400
    assert it.arrive(chat("sk-a"), 0).status == 429


def test_paths_and_models_that_are_not_there() -> None:
    """A wrong path is nobody's, a wrong model is the vendor's 404, a wrong method too."""
    it = world('[accounts.a]\nmodels = ["small"]')
    assert it.arrive(Call("POST", "/v2/chat", {}, b""), 0).account == ""
    assert body(it.arrive(chat(model="big"), 0))["error"]["code"] == "model_not_found"
    assert it.arrive(Call("GET", "/v1/chat/completions", {}, b""), 0).status == 404
    assert [m["id"] for m in body(it.arrive(Call("GET", "/v1/models", {}, b""), 0))["data"]] == ["small"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["model", "messages", "prompt", "max_tokens", "stop", "stream", "n", "temperature", "q", "source", "target", "api_key"]


@given(
    st.sampled_from(["POST", "GET", "PUT"]),
    st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/models", "/translate", "/languages", "", "/", "//v1"]),
    st.dictionaries(st.sampled_from(NAMES), JSON).map(json.dumps) | st.text() | JSON.map(json.dumps),
)
def test_whatever_comes_is_answered(method: str, path: str, sent: str) -> None:
    """No request makes the simulator stumble: each gets an answer of the vendor's, with a body that is JSON."""
    it = world("[answers]\nnear_duplicates = 0.5\n[accounts.a]\n[accounts.b]\ndialect = 'libretranslate'")
    arrival = done(it, Call(method, path, {"Authorization": sent[:9]}, sent.encode("utf-8", "surrogatepass")))
    assert arrival.status in (200, 400, 404)
    assert body(arrival)


# What it meets


def test_headers_of_a_bucket_are_the_vendors_numbers() -> None:
    """5,000 requests a minute, one used: 4,999 remain, and 12 ms fill them up; 60 used of 60: a wait of a second."""
    it = world(f"{ANYBODY}[[accounts.a.limits]]\nkind = 'bucket'\nlimit = 5_000")
    headers = it.arrive(chat(), 0).headers
    assert [headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining", "reset")] == ["5000", "4999", "12ms"]
    it = world(f"{ANYBODY}[[accounts.a.limits]]\nkind = 'bucket'\nlimit = 60")
    assert [it.arrive(chat(), 0).status for _ in range(60)] == [200] * 60
    refused = it.arrive(chat(), 0.9996)
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    assert [refused.headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining", "reset")] == ["60", "0", "59s"]
    error = body(refused)["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert it.arrive(chat(), 1.0).status == 200


def test_time_passes_from_coming_to_the_last_byte() -> None:
    """The first byte after the weather's time, the last when all tokens have been written."""
    it = world(f"{ANYBODY}[accounts.a.weather]\nfirst_byte = 0.5\ntokens_per_second = 10\nrefusal_seconds = 0.1")
    arrival = it.arrive(chat(max_tokens=5), 0)
    assert (arrival.first_byte, arrival.seconds) == (0.5, 1.0)
    assert body(arrival)["usage"]["completion_tokens"] == 5
    assert it.arrive(Call("POST", "/v1/completions", {}, b"{"), 0).seconds == 0.1


@pytest.mark.parametrize(
    ("weather", "broken", "billed"),
    [
        ("reset_before_headers = 1.0", Break.BEFORE_HEADERS, False),
        ("reset_after_headers = 1.0", Break.AFTER_HEADERS, True),
        ("cut_body = 1.0", Break.IN_BODY, True),
    ],
)
def test_connections_break(weather: str, broken: Break, billed: bool) -> None:
    """The answer is cut where it is said to be; it costs what it used once its headers had come."""
    it = world(f"{ANYBODY}[accounts.a.prices.'*']\ntokens_out = 1.0\n[accounts.a.weather]\n{weather}")
    arrival = done(it, chat())
    assert arrival.broken is broken
    assert arrival.sent < len(arrival.body)
    assert bool(arrival.sent) == (broken is Break.IN_BODY)
    book = told(it)
    assert (book["answered"], book["broken"]) == (0, {broken: 1})
    assert bool(book["money_nano"]) is billed


def test_bodies_drip_and_are_malformed() -> None:
    """A drip takes its time in many pieces; a malformed body is whole, and no JSON."""
    slow = world(f"{ANYBODY}[accounts.a.weather]\nslow_drip = 1.0\ndrip_seconds = 40").arrive(chat(), 0)
    assert slow.seconds >= 40
    assert slow.pieces > 1
    assert body(slow)["choices"]
    wrong = world(f"{ANYBODY}[accounts.a.weather]\nmalformed_json = 1.0").arrive(chat(), 0)
    assert (wrong.status, wrong.sent) == (200, len(wrong.body))
    with pytest.raises(orjson.JSONDecodeError):
        body(wrong)


def test_headers_and_hints_may_lie() -> None:
    """Missing, a tenth of the limit all free, no hint, a hint of a day."""
    limit = "[[accounts.a.limits]]\nkind = 'fixed'\nlimit = 50\n"

    def headers(weather: str) -> dict[str, str]:
        it = world(f"{ANYBODY}{limit}[accounts.a.weather]\n{weather}")
        return dict([it.arrive(chat(), 0) for _ in range(51)][-1].headers)

    assert headers("")["retry-after"] == "60"
    assert "x-ratelimit-limit-requests" not in headers("headers_missing = 1.0")
    assert headers("headers_wrong = 1.0")["x-ratelimit-remaining-requests"] == "5"
    assert "retry-after" not in headers("hint_missing = 1.0")
    assert headers("hint_absurd = 1.0")["retry-after"] == "86400"


def test_the_script_runs_over_time() -> None:
    """An outage, a revoked key and the end of the credit come at their times, each in its form."""
    it = world("""
        [accounts.a]
        keys = ["sk-a", "sk-b"]
        [accounts.a.weather]
        outages = [[10, 20]]
        revoked = { sk-b = 30 }
        credit_ends = 40
    """)
    seen = [(it.arrive(chat("sk-a"), t).kind, it.arrive(chat("sk-b"), t).kind) for t in (9, 10, 20, 30, 40)]
    assert seen == [
        (None, None),
        (Kind.OVERLOAD, Kind.OVERLOAD),
        (None, None),
        (None, Kind.AUTH),
        (Kind.QUOTA, Kind.AUTH),
    ]


def test_too_large_calls_are_refused() -> None:
    """By the model's own length, by a limit that can never hold them, and by the characters of one text."""
    it = world("""
        [accounts.a]
        largest = 1000
        [[accounts.a.limits]]
        kind = "bucket"
        of = "tokens"
        limit = 500
        [accounts.b]
        dialect = "libretranslate"
        largest = 10
    """)
    assert body(it.arrive(chat(max_tokens=2000), 0))["error"]["code"] == "context_length_exceeded"
    assert it.arrive(chat(max_tokens=600), 0).kind is Kind.TOO_BIG
    assert it.arrive(chat(max_tokens=400), 0).kind is None
    assert it.arrive(translate("x" * 11), 0).status == 400
    assert it.arrive(translate(["x" * 10] * 3), 0).status == 200


def test_a_translator_slows_down_then_bans() -> None:
    """Two texts cost two requests; each refusal is an offence, and after the third everything is 403 for a while."""
    it = world("""
        [accounts.a]
        dialect = "libretranslate"
        [[accounts.a.limits]]
        kind = "sliding"
        limit = 4
        [[accounts.a.limits]]
        kind = "ban"
        limit = 3
        period = 100
    """)
    assert [it.arrive(translate(["Hi", "Ho"]), 0).status for _ in range(6)] == [200, 200, 429, 429, 429, 403]
    assert it.arrive(translate("Hi"), 99).status == 403
    assert it.arrive(translate("Hi"), 100).status == 200


# What it costs


def test_money_is_billed_to_the_nano_unit() -> None:
    """0.15 in and 0.6 out a million tokens: 150 and 600 nano-units each, whole, by the model's own price."""
    it = world("""
        [accounts.a]
        [accounts.a.prices.small]
        tokens_in = 0.15
        tokens_out = 0.6
        [accounts.a.prices."*"]
        tokens_in = 0.0375
    """)
    usage = body(done(it, chat()))["usage"]
    assert told(it)["money_nano"] == 150 * usage["prompt_tokens"] + 600 * usage["completion_tokens"]
    it.reset()
    usage = body(done(it, chat(model="large")))["usage"]
    assert told(it)["money_nano"] == -(-375 * usage["prompt_tokens"] // 10)


def test_credit_runs_out() -> None:
    """Calls are answered until what is left is spent, and not billed after."""
    it = world(f"{ANYBODY}prices.'*'.tokens_out = 1.0\n[[accounts.a.limits]]\nkind = 'money'\nlimit = 0.0001")
    seen = [done(it, chat()).status for _ in range(9)]
    assert seen == sorted(seen)
    assert {200, 429} == set(seen)
    assert 100_000 <= told(it)["money_nano"] < 150_000


# The books


SCRIPT = """
[answers]
malformed = 0.1
truncated = 0.1
[accounts.a]
keys = ["sk-a", "sk-b"]
[accounts.a.prices."*"]
tokens_in = 1.0
tokens_out = 3.0
[[accounts.a.limits]]
kind = "sliding"
limit = 40
period = 10
[[accounts.a.limits]]
kind = "bucket"
of = "tokens"
limit = 30_000
[[accounts.a.limits]]
kind = "concurrent"
limit = 7
[accounts.a.weather]
first_byte = { lognormal = [0.5, 0.8] }
errors = { 500 = 0.05 }
cut_body = 0.05
reset_before_headers = 0.05
"""


def traffic(it: World, gaps: list[float]) -> list[tuple[float, float, str, Arrival]]:
    """Calls at these gaps, each ended when it is done: when it came, when it ended, its key, what it met."""
    ends: list[tuple[float, int, Arrival]] = []
    log, now, rng = [], 0.0, Random(1)
    for n, gap in enumerate(gaps):
        now += gap
        while ends and ends[0][0] <= now:
            end, _, arrival = heapq.heappop(ends)
            it.depart(arrival, end)
        key = rng.choice(["sk-a", "sk-b"])
        arrival = it.arrive(chat(key, prompt=f"River {n}", max_tokens=rng.randint(1, 500)), now)
        heapq.heappush(ends, (now + arrival.seconds, n, arrival))
        log.append((now, now + arrival.seconds, key, arrival))
    for end, _, arrival in sorted(ends, key=lambda one: one[:2]):
        it.depart(arrival, end)
    return log


@given(st.lists(st.floats(0, 2), max_size=120))
def test_the_books_add_up(gaps: list[float]) -> None:
    """Every call is in them once, each key and their sum, and no limit was passed."""
    it = world(SCRIPT)
    log = traffic(it, gaps)
    book = told(it)
    passed = [one for one in log if one[3].admitted]
    assert book["calls"] == len(log) == book["admitted"] + sum(book["refused"].values())
    assert book["admitted"] == len(passed) == book["answered"] + sum(book["broken"].values())
    assert book["in_flight"] == 0
    for name in ("calls", "admitted", "answered", "tokens_in", "tokens_out", "money_nano"):
        assert book[name] == sum(page[name] for page in book["keys"].values())
    used = [arrival.charge.used for *_, arrival in passed if arrival.charge]
    assert (book["tokens_in"], book["money_nano"]) == (sum(u.tokens_in for u in used), sum(u.money for u in used))
    assert sum(row[1] for row in book["accepted_per_second"]) == len(passed)
    inside = [sum(came <= t < end for came, end, _, arrival in passed) for t, *_ in passed]
    assert book["peak_in_flight"] == max(inside, default=0) <= 7
    for t, *_ in passed:
        assert sum(t <= came < t + 10 - 1e-6 for came, *_ in passed) <= 40
    requests, tokens, door = book["limits"]
    assert requests["accepted"] == door["accepted"] == len(passed)
    assert all(limit["accepted"] <= limit["most"] for limit in (requests, tokens) if limit["accepted"])


def test_the_same_calls_meet_the_same_world() -> None:
    """Twice the same traffic gives the same bytes at the same times; another seed another day."""
    gaps = [0.05] * 300

    def seen(seed: int) -> list[Any]:
        return [(a.status, a.body, a.first_byte, a.seconds, a.broken, a.sent) for *_, a in traffic(world(SCRIPT, seed), gaps)]

    assert seen(4) == seen(4)
    assert seen(4) != seen(5)


def test_a_call_departs_once() -> None:
    """A second departure, or one of a call that was refused, changes nothing."""
    it = world(f"{ANYBODY}[[accounts.a.limits]]\nkind = 'concurrent'\nlimit = 1")
    first, refused = it.arrive(chat(), 0), it.arrive(chat(), 0)
    assert (first.status, refused.status) == (200, 429)
    it.depart(refused, 1)
    assert it.arrive(chat(), 1).status == 429
    it.depart(first, 2)
    it.depart(first, 2)
    assert it.arrive(chat(), 3).status == 200
    assert it.arrive(chat(), 3).status == 429


def test_a_reset_begins_anew() -> None:
    """Quotas are full, books empty; a call from before leaves no trace in them."""
    it = world(SCRIPT)
    first = it.arrive(chat("sk-a"), 0)
    traffic(it, [0.01] * 50)
    it.reset()
    it.depart(first, 1)
    assert told(it)["calls"] == 0
    assert told(it) == told(world(SCRIPT))


def test_use_can_be_reckoned() -> None:
    """What a limit let through stands beside the most it could have, and what it refills in that time."""
    it = world(f"{ANYBODY}[[accounts.a.limits]]\nkind = 'bucket'\nlimit = 60\nburst = 10")
    for tenth in range(1_201):
        it.arrive(chat(), tenth / 10)
    (limit,) = told(it)["limits"]
    assert (limit["accepted"], limit["seconds"], limit["most"], limit["steady"]) == (130, 120, 130, 120)


def test_the_truth_is_the_script() -> None:
    """The hidden limits of the example, as plain data that can be sent."""
    truth = orjson.loads(orjson.dumps(World(script.read(data.example())).truth()))
    limits = truth["accounts"][0]["limits"]
    assert [(limit["kind"], limit["limit"]) for limit in limits[:2]] == [("bucket", 600), ("sliding", 200_000)]


def test_the_simulator_is_no_provider() -> None:
    """It stands in the folder of the providers, and a plan cannot name it."""
    assert "simulator" not in providers.names()
