"""Google's dialect: what is sent, what every kind of answer means. Bodies as its server sends them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from engine.core.faults import FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.types import Reply
from providers.google_translate import PROVIDER
from tests.translators import STAMP, UNITS, T, calls, characters, decoded, fault, lane, reads_anything, texts

KEY = "AIza-google-key"
TWO = calls("One.", "Two.")


def encoded(*said: str, source: str = "en", target: str = "de", **more: Any) -> HttpRequest:
    return PROVIDER.encode(calls(*said, source=source, target=target), lane(**more), Stamp(T, "", KEY))


def answer(*said: str) -> dict[str, Any]:
    return {"data": {"translations": [{"translatedText": text, "model": "nmt"} for text in said]}}


def error(code: int, reason: str = "", status: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    errors = [{"message": "no", "domain": "global", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": "no", "errors": errors, "status": status, "details": list(details)}}


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


def test_texts_are_sent_together() -> None:
    """One list in order, as plain text; the key in a header, since addresses are logged."""
    request = encoded("One.", "Two.", target="zh")
    assert (request.method, request.url) == ("POST", "https://translation.googleapis.com/language/translate/v2")
    assert request.headers == {"Content-Type": "application/json", "X-Goog-Api-Key": KEY}
    assert orjson.loads(request.body) == {"q": ["One.", "Two."], "source": "en", "target": "zh-CN", "format": "text"}
    assert KEY not in repr(request)
    assert "X-Goog-Api-Key" not in PROVIDER.encode(TWO, lane(), Stamp(T, "")).headers


def test_model_fields_and_address_are_the_lanes() -> None:
    """`model`, `extra` and `base_url` say what differs."""
    request = encoded("x", model="nmt", extra={"cid": 1}, base_url="http://127.0.0.1:1/g/")
    assert request.url == "http://127.0.0.1:1/g/language/translate/v2"
    body = orjson.loads(request.body)
    assert (body["model"], body["cid"]) == ("nmt", 1)
    assert PROVIDER.key(lane()) == "env:GOOGLE_API_KEY"
    assert PROVIDER.key(lane(base_url="http://other")) is None


@pytest.mark.parametrize(
    ("source", "target", "codes"),
    [
        ("zh", "en-GB", ("zh-CN", "en")),
        ("zh-Hant", "zh-Hans", ("zh-TW", "zh-CN")),
        ("nb", "he", ("no", "he")),
        ("iw", "pt-BR", ("he", "pt")),
        ("fil", "pt-PT", ("fil", "pt-PT")),
    ],
)
def test_codes_are_googles(source: str, target: str, codes: tuple[str, str]) -> None:
    """Regions for Chinese, one Norwegian."""
    body = orjson.loads(encoded("x", source=source, target=target).body)
    assert (body["source"], body["target"]) == codes


def test_answers_are_read_in_order() -> None:
    """Texts, their model, and our own count, which is Google's."""
    asked = calls(UNITS, "Two.")
    outcomes = decoded(PROVIDER, asked, answer("一", "二"))
    assert texts(outcomes) == ["一", "二"]
    assert characters(outcomes) == [9, 4]
    assert isinstance(outcomes[0], Reply)
    assert (outcomes[0].model, outcomes[0].usage) == ("nmt", PROVIDER.weigh(asked[0]))


@pytest.mark.parametrize(
    "body", [answer("一"), answer("一", "二", "三"), {}, {"data": {}}, {"data": {"translations": 3}}, b"<html>"]
)
def test_another_number_of_texts_shifts_nothing(body: Any) -> None:
    """There are no ids, so all calls are asked again."""
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED] * 2


def test_item_without_a_text_is_missing_alone() -> None:
    """As many items as texts keep their places."""
    body = {"data": {"translations": [{}, {"translatedText": "二"}]}}
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED, "二"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(400, "invalid", "INVALID_ARGUMENT"), FaultKind.BAD),
        (400, error(400, "badRequest", "INVALID_ARGUMENT", info("API_KEY_INVALID")), FaultKind.AUTH),
        (400, error(400, "keyInvalid"), FaultKind.AUTH),
        (400, error(400, "textTooLong"), FaultKind.TOO_BIG),
        (401, error(401, "required", "UNAUTHENTICATED"), FaultKind.AUTH),
        (403, error(403, "dailyLimitExceeded"), FaultKind.QUOTA),
        (403, error(403, "quotaExceeded"), FaultKind.QUOTA),
        (403, error(403, "userRateLimitExceeded"), FaultKind.RATE),
        (403, error(403, "rateLimitExceeded"), FaultKind.RATE),
        (403, error(403, "forbidden", "PERMISSION_DENIED"), FaultKind.AUTH),
        (403, error(403, "", "PERMISSION_DENIED", info("SERVICE_DISABLED")), FaultKind.AUTH),
        (
            403,
            error(403, "rateLimitExceeded", "", info("RATE_LIMIT_EXCEEDED", quota_limit="CharsPerDayPerProject")),
            FaultKind.QUOTA,
        ),
        (413, b"", FaultKind.TOO_BIG),
        (429, error(429, "rateLimitExceeded", "RESOURCE_EXHAUSTED"), FaultKind.RATE),
        (429, error(429, "", "RESOURCE_EXHAUSTED"), FaultKind.RATE),
        (429, error(429, "", "", info("RATE_LIMIT_EXCEEDED", quota_limit="RequestsPerMinutePerProject")), FaultKind.RATE),
        (429, error(429, "", "", info("RATE_LIMIT_EXCEEDED", quota_limit="RequestsPerDayPerProject")), FaultKind.QUOTA),
        (500, error(500, "backendError"), FaultKind.OVERLOAD),
        (503, error(503, "", "UNAVAILABLE"), FaultKind.OVERLOAD),
        (502, b"<html>", FaultKind.OVERLOAD),
        (403, b"<html>", FaultKind.AUTH),
    ],
)
def test_reason_tells_a_rate_from_a_day(status: int, body: Any, kind: FaultKind) -> None:
    """403 is a rate, a quota or a key, by the reasons beside it."""
    assert fault(PROVIDER, body, status).kind is kind


def test_error_under_status_200_is_none_of_the_answers() -> None:
    """Whatever else the body has."""
    assert fault(PROVIDER, error(403, "dailyLimitExceeded") | answer("一"), 200).kind is FaultKind.QUOTA


def test_wait_is_read_from_the_details() -> None:
    """Google's RetryInfo says for how long."""
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    assert fault(PROVIDER, error(429, "", "RESOURCE_EXHAUSTED", retry), 429).retry_after == 17.0
    assert fault(PROVIDER, error(403, "userRateLimitExceeded"), 403).retry_after is None


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(PROVIDER, TWO, answer("一", "二"), error(403, "x", "y", info("z", quota_limit="w")))


def test_request_of_the_largest_characters_fits() -> None:
    """Six bytes a character, as JSON writes the worst of them, stay below 100 KB."""
    assert PROVIDER.request_limit is not None
    assert len(PROVIDER.encode(calls("\x01" * PROVIDER.request_limit), lane(), STAMP).body) < 100_000
