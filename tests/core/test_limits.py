"""Limits: every spelling that servers use for a rest, a limit and a wait; nonsense is no news."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.core.limits import Dimension, Reading, asked, body_hint, hint, readings

quick = settings(max_examples=150, deadline=None, derandomize=True)

REQUESTS, TOKENS, TOKENS_IN, TOKENS_OUT = Dimension.REQUESTS, Dimension.TOKENS, Dimension.TOKENS_IN, Dimension.TOKENS_OUT
NOON = "Sun, 06 Nov 1994 12:00:00 GMT"
NOON_UTC = 784_123_200.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("59", 59.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("12ms", 0.012),
        ("1s", 1.0),
        ("7.66s", 7.66),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("24h0m0s", 86_400.0),
        ("500us", 0.0005),
        ("500µs", 0.0005),
        ("1m30.5s", 90.5),
        ("1994-11-06T12:00:37Z", 37.0),
        ("1994-11-06T12:00:37.5Z", 37.5),
        ("1994-11-06T13:00:37+01:00", 37.0),
        ("1994-11-06T12:00:37", 37.0),
        ("1994-11-06T11:00:00Z", 0.0),
        ("Sun, 06 Nov 1994 12:00:37 GMT", 37.0),
        ("Sunday, 06-Nov-94 12:00:37 GMT", 37.0),
        ("Sun, 06 Nov 1994 12:00:37 -0000", 37.0),
        ("999999999", 999_999_999.0),
        *[
            (value, None)
            for value in ("", "soon", "-1", "-5s", "nan", "inf", "-inf", "1e999", "0x10", "7 s", "s", "6m 0s", "5d", "1994-11-06")
        ],
        *[(value, None) for value in ("1e11", "99999999999", "1e300", "9" * 65, "1" * 60 + "s", "1994-13-06T12:00:00Z")],
    ],
)
@pytest.mark.parametrize("header", ["retry-after", "x-ratelimit-reset"])
def test_a_wait_is_read_in_every_form_that_servers_use(header: str, value: str, seconds: float | None) -> None:
    """Seconds, durations as Go writes them, and times of two kinds; a reset that is over is no hint, a `retry-after` is."""
    told = hint({header: value, "date": NOON}, 0.0)
    if header == "x-ratelimit-reset" and seconds == 0.0:
        assert told is None
    else:
        assert told == (None if seconds is None else pytest.approx(seconds))


def test_times_since_1970_are_told_from_waits() -> None:
    """Ten digits are seconds, thirteen milliseconds; nobody asks to wait for 30 years."""
    now = 1_786_000_000.0
    assert hint({"x-ratelimit-reset": "1786000030"}, now) == 30.0
    assert hint({"x-ratelimit-reset": "1786000030500"}, now) == 30.5
    assert hint({"retry-after": "1786000030"}, now) == 30.0
    assert hint({"retry-after": "1786000030"}, None) is None
    assert hint({"retry-after-ms": "1786000030500", "retry-after": "3"}, now) == 3.0


def test_a_time_is_read_against_the_servers_own_clock() -> None:
    """Ours may be wrong by minutes; it serves where the answer has no date that can be read."""
    late = {"retry-after": "Sun, 06 Nov 1994 12:00:37 GMT"}
    assert hint(late | {"date": NOON}, NOON_UTC + 500) == 37.0
    assert hint(late, NOON_UTC + 7) == 30.0
    assert hint(late | {"date": "today"}, NOON_UTC + 7) == 30.0
    assert hint(late | {"date": NOON * 9}, NOON_UTC + 7) == 30.0
    assert hint(late, None) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "-250", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "inf", "retry-after": "7"}, 7.0),
        ({"retry-after": "Sun, 06 Nov 1994 12:00:37 GMT", "date": NOON}, 37.0),
        ({"retry-after": "Sunday, 06-Nov-94 12:00:37 GMT", "date": NOON}, 37.0),
        ({"retry-after": "Sun, 06 Nov 1994 11:00:00 GMT", "date": NOON}, 0.0),
        ({"retry-after": "Sun, 06 Nov 1994 12:00:37 GMT"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 12:00:37 GMT", "date": "today"}, None),
        ({"retry-after": "Sun, 99 Nov 1994 12:00:37 GMT", "date": NOON}, None),
        ({"retry-after": f"Sun, 06 Nov {'9' * 20} 12:00:37 GMT", "date": NOON}, None),
        *[
            ({"retry-after": value, "date": NOON}, None)
            for value in ("", "soon", "-1", "nan", "inf", "-inf", "1e999", "0x10", "7 s")
        ],
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds come before seconds, seconds before a date, read against the answer's own; what is no time to wait is none."""
    assert hint(headers, None) == asked(headers, None) == seconds


numbers = st.floats().map(str) | st.integers(-10, 10**14).map(str)
durations = st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["h", "m", "s", "ms", "ns", "d", ""])), max_size=4).map(
    lambda parts: "".join(f"{number}{unit}" for number, unit in parts)
)
dates = st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.sampled_from([NOON, "Sun, 06 Nov 1994 12:00:37 GMT"])
values = st.text(max_size=80) | numbers | durations | dates
names = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["x-ratelimit-", "x-rate-limit-", "ratelimit-", "anthropic-ratelimit-", "x-ratelimitbysize-", "limit"]),
        st.sampled_from(["", "limit", "remaining-", "reset-", "input-", "reset-reset-"]),
        st.sampled_from(["", "requests", "tokens", "tokens-limit", "tokens-reset", "minute", "day-minute", "x" * 99]),
    ),
)
strange = st.dictionaries(names | st.sampled_from(["retry-after", "retry-after-ms", "date"]) | st.text(max_size=9), values)


@quick
@given(strange, st.none() | st.floats(0, 4e9))
@example({"x-ratelimit-reset": "0001-01-01T00:00:00+14:00"}, 1.0)
@example({"retry-after": "Mon, 01 Jan 0001 00:00:00 +1400", "date": "Fri, 31 Dec 9999 23:59:59 -1400"}, 1.0)
def test_no_header_is_too_strange(headers: dict[str, str], now: float | None) -> None:
    """Whatever a server sends, waits are finite and not negative, and counts are counts."""
    for seconds in (hint(headers, now), asked(headers, now)):
        assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
    for reading in readings(headers, now):
        assert (reading.limit, reading.remaining, reading.reset_seconds) != (None, None, None)
        assert reading.limit is None or 0 <= reading.limit <= 10**15
        assert reading.remaining is None or 0 <= reading.remaining <= 10**15
        assert reading.reset_seconds is None or (math.isfinite(reading.reset_seconds) and reading.reset_seconds >= 0)


OPENAI = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-remaining-tokens": "159976",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-reset-tokens": "9ms",
    "x-ratelimit-limit-tokens_usage_based": "7",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "1994-11-06T12:00:02Z",
    "anthropic-ratelimit-tokens-limit": "38000",
    "anthropic-ratelimit-tokens-remaining": "36000",
    "anthropic-ratelimit-tokens-reset": "1994-11-06T12:00:05Z",
    "anthropic-ratelimit-input-tokens-limit": "30000",
    "anthropic-ratelimit-input-tokens-remaining": "28000",
    "anthropic-ratelimit-input-tokens-reset": "1994-11-06T12:00:04Z",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "8000",
    "anthropic-ratelimit-output-tokens-reset": "1994-11-06T12:00:00Z",
    "anthropic-ratelimit-unified-reset": "784123999",
    "date": NOON,
}
MISTRAL = {
    "x-ratelimitbysize-limit-minute": "500000",
    "x-ratelimitbysize-remaining-minute": "499000",
    "ratelimitbysize-reset": "23",
    "x-ratelimitbysize-query-cost": "32",
    "x-ratelimitbysize-limit-month": "1000000000",
    "x-ratelimit-limit-req-second": "1",
}
FULL = {"requests": 60.0, "tokens": 55.0}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (OPENAI, (Reading(REQUESTS, 5000, 4999, 0.012), Reading(TOKENS, 160_000, 159_976, 9 * 1e-3))),
        (
            ANTHROPIC,
            (
                Reading(REQUESTS, 50, 49, 2.0),
                Reading(TOKENS, 38_000, 36_000, 5.0),
                Reading(TOKENS_IN, 30_000, 28_000, 4.0),
                Reading(TOKENS_OUT, 8000, 8000, 0.0),
            ),
        ),
        (
            MISTRAL,
            (
                Reading(REQUESTS, 1, None, None, 1.0),
                Reading(TOKENS, 500_000, 499_000, 23.0, 60.0),
                Reading(TOKENS, 10**9, None, None, 30 * 86_400.0),
            ),
        ),
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "119"},
            (Reading(REQUESTS, None, 0, None), Reading(TOKENS, None, 119, None)),
        ),
        ({"x-rate-limit-reset-tokens": "55"}, (Reading(TOKENS, None, None, 55.0),)),
        (
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "784123260000"},
            (Reading(REQUESTS, 20, 0, None),),
        ),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-reset": "7"}, (Reading(REQUESTS, 100, None, 7.0),)),
        ({"x-ratelimit-limit-characters-hour": "5e3"}, (Reading(Dimension.CHARACTERS, 5000, None, None, 3600.0),)),
        ({"x-ratelimit-remaining-tokens-prompt": "9.7"}, (Reading(TOKENS_IN, None, 9, None),)),
        ({"x-ratelimit-limit-tokens-day": "9", "x-ratelimit-limit-images": "1"}, (Reading(TOKENS, 9, None, None, 86_400.0),)),
    ],
)
def test_limits_are_read_in_every_spelling(headers: dict[str, str], told: tuple[Reading, ...]) -> None:
    """OpenAI, Anthropic, Mistral, Azure with its misspelling, and what gateways send."""
    assert readings(headers, NOON_UTC) == told


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "told"),
    [
        ("-1", "-1", "0", ()),
        ("-1", "-1", None, ()),
        (None, "-1", "0", ()),
        ("-1", None, "6", (Reading(TOKENS, None, None, 6.0),)),
        ("100", "-1", "0", (Reading(TOKENS, 100, None, None),)),
        (None, "0", None, (Reading(TOKENS, None, 0, None),)),
        (None, "0", "0", (Reading(TOKENS, None, 0, 0.0),)),
        ("100", "0", "30", (Reading(TOKENS, 100, 0, 30.0),)),
        ("nan", "inf", "-3", ()),
        ("1e99", "", "later", ()),
    ],
)
def test_minus_one_is_unknown_and_zero_is_zero(
    limit: str | None, remaining: str | None, reset: str | None, told: tuple[Reading, ...]
) -> None:
    """Azure says -1, -1 and 0 where it does not know; a rest of 0 alone is real."""
    sent = {"limit": limit, "remaining": remaining, "reset": reset}
    headers = {f"x-ratelimit-{what}-tokens": value for what, value in sent.items() if value is not None}
    assert readings(headers, None) == told


def test_of_two_headers_for_one_limit_the_stricter_counts() -> None:
    """A gateway may add its own to the vendor's."""
    headers = {
        "x-ratelimit-remaining-tokens": "7",
        "x-rate-limit-remaining-tokens": "5",
        "x-ratelimit-reset-tokens": "3",
        "ratelimit-reset-tokens": "9",
    }
    assert readings(headers, None) == (Reading(TOKENS, None, 5, 9.0),)


def test_the_largest_reset_is_the_hint_where_none_is_given() -> None:
    """What the server asks outright comes first, even where it is shorter."""
    headers = {"x-ratelimit-reset-requests": "59s", "x-ratelimit-reset-tokens": "1.2s", "x-ratelimit-remaining-requests": "0"}
    assert hint(headers, None) == 59.0
    assert hint(headers | {"retry-after": "2"}, None) == 2.0
    assert hint(headers | {"retry-after": "soon"}, None) == 59.0
    assert hint({**ANTHROPIC, "anthropic-ratelimit-tokens-remaining": "0"}, None) == 5.0
    assert asked(headers, None) is None


def test_reset_of_a_limit_with_room_left_is_no_hint() -> None:
    """What is far from used up was not what was refused: its reset says when all is free again, which is no wait."""
    assert hint(ANTHROPIC, None) is None
    assert hint({"x-ratelimit-reset-requests": "59s", "x-ratelimit-remaining-requests": "300"}, None) is None
    assert hint({"x-ratelimit-reset-requests": "59s"}, None) == 59.0, "nobody knows what is left"


PLAIN = {f"header-{n}": "some value" for n in range(22)} | {"date": NOON, "content-type": "application/json"}


def test_answers_without_limits_say_nothing() -> None:
    """Two dozen other headers are no readings and no hint."""
    assert readings(PLAIN, 0.0) == ()
    assert hint(PLAIN, 0.0) is None


GEMINI = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota. Please retry in 46.9s.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "47s"},
        ],
    }
}


def said(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (GEMINI, 47.0),
        ([GEMINI], 47.0),
        ({"error": {"details": [{"retryDelay": "0.5s"}, {"retryDelay": 7}, None, {"retryDelay": "soon"}]}}, 0.5),
        ({"error": {"details": {"retryDelay": "5s"}, "message": "retry after 2 s"}}, 2.0),
        (said("Rate limit reached for gpt: Limit 3, Used 3. Please try again in 1.2s. Visit us."), 1.2),
        (said("Please try again in 6m0s."), 360.0),
        (said("Please try again in 120ms"), 0.12),
        (said("Please retry after 6 seconds."), 6.0),
        (said("Try again in 86400 seconds"), 86_400.0),
        (said("try again in 5 minutes"), 300.0),
        (said("try again in 5milliseconds"), 0.005),
        (said("try again in 250 ms,"), 0.25),
        (said("try again in 2 hours"), 7200.0),
        ({"message": "retry after 3 s"}, 3.0),
        ({"error": "retry after 3s"}, 3.0),
        (said("try again in a while"), None),
        (said("try again in 5 stages"), None),
        (said("retry after " + "9" * 99 + "s"), None),
        (said("Limit 30000, Requested 30601"), None),
        ({"error": {"message": 5}}, None),
        ([], None),
        ("retry after 3s", None),
        (17, None),
    ],
)
def test_bodies_may_say_how_long_to_wait(body: Any, seconds: float | None) -> None:
    """Google in a field, OpenAI and Azure in a sentence."""
    told = body_hint(orjson.dumps(body))
    assert told == (None if seconds is None else pytest.approx(seconds))


def test_bodies_that_are_no_json_or_too_long_say_nothing() -> None:
    """Proxies answer in HTML, and nobody explains an error in megabytes."""
    assert body_hint(b"<html>retry after 3s</html>") is None
    assert body_hint(b"") is None
    assert body_hint(b"[" * 5000) is None
    assert body_hint(b'{"error":"retry after 3s"}' + b" " * 70_000) is None


sentences = st.text(alphabet="try again in after 0123456789.smhileconduſK ", max_size=60).map(lambda text: "Retry after 1" + text)
trees = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | sentences | durations,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "details", "message", "retryDelay", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@quick
@given(st.binary(max_size=200) | trees.map(orjson.dumps))
def test_no_body_is_too_strange(body: bytes) -> None:
    """Whatever a server writes, the wait is finite and not negative, or there is none."""
    seconds = body_hint(body)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)
