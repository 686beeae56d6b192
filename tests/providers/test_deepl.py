"""DeepL's dialect: what is sent, what every kind of answer means. Bodies as its server sends them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from engine.core.faults import FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.types import Reply, Stop
from providers.deepl import PROVIDER
from tests.translators import STAMP, UNITS, T, calls, characters, decoded, fault, lane, reads_anything, texts

KEY = "0b1c-deepl-key"
TWO = calls("One.", "Two.")


def encoded(*said: str, source: str = "en", target: str = "de", key: str = KEY, **more: Any) -> HttpRequest:
    return PROVIDER.encode(calls(*said, source=source, target=target), lane(**more), Stamp(T, "", key))


def sent(source: str = "en", target: str = "de", **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(encoded("x", source=source, target=target, **more).body)
    return body


def answer(*said: str, **more: Any) -> dict[str, Any]:
    return {"translations": [{"detected_source_language": "EN", "text": text, **more} for text in said]}


def test_texts_are_sent_together() -> None:
    """One list in order, the pair in DeepL's codes, and the wish to be told what is billed."""
    request = encoded("One.", "Two.")
    assert (request.method, request.url) == ("POST", "https://api.deepl.com/v2/translate")
    assert request.headers == {"Content-Type": "application/json", "Authorization": f"DeepL-Auth-Key {KEY}"}
    assert orjson.loads(request.body) == {
        "text": ["One.", "Two."],
        "source_lang": "EN",
        "target_lang": "DE",
        "show_billed_characters": True,
    }
    assert PROVIDER.texts == 50


@pytest.mark.parametrize(
    ("key", "base_url", "url"),
    [
        ("abc:fx", None, "https://api-free.deepl.com/v2/translate"),
        ("abc", None, "https://api.deepl.com/v2/translate"),
        ("abc:fx", "http://127.0.0.1:1/d/", "http://127.0.0.1:1/d/v2/translate"),
    ],
)
def test_key_tells_whose_server_it_is(key: str, base_url: str | None, url: str) -> None:
    """Free keys have an end of their own, and a server of their own."""
    assert encoded("x", key=key, base_url=base_url).url == url


def test_usual_key_goes_to_deepl_alone() -> None:
    """Another address is never sent it."""
    assert PROVIDER.key(lane()) == "env:DEEPL_AUTH_KEY"
    assert PROVIDER.key(lane(base_url="http://other")) is None
    assert "Authorization" not in encoded("x", key="").headers


@pytest.mark.parametrize(
    ("source", "target", "codes"),
    [
        ("en", "zh", ("EN", "ZH-HANS")),
        ("en-GB", "zh-Hans", ("EN", "ZH-HANS")),
        ("en", "zh-TW", ("EN", "ZH-HANT")),
        ("zh-Hant", "en", ("ZH", "EN-US")),
        ("zh", "en-GB", ("ZH", "EN-GB")),
        ("pt-BR", "pt-PT", ("PT", "PT-PT")),
        ("es", "pt", ("ES", "PT-BR")),
        ("no", "tl", ("NB", "TL")),
        ("en", "es-419", ("EN", "ES-419")),
        ("en", "es-MX", ("EN", "ES")),
    ],
)
def test_variants_are_known_of_targets(source: str, target: str, codes: tuple[str, str]) -> None:
    """A source is a language, a target may be a variant of it, and one of English and Portuguese has to be named."""
    body = sent(source, target)
    assert (body["source_lang"], body["target_lang"]) == codes


def test_model_and_more_fields_are_sent() -> None:
    """A lane's `model` is DeepL's type of model, and `extra` part of the body."""
    body = sent(model="quality_optimized", extra={"formality": "more"})
    assert (body["model_type"], body["formality"]) == ("quality_optimized", "more")


def test_answers_are_read_in_order() -> None:
    """Texts, what was billed for each, and the model."""
    body = {
        "translations": [
            {"text": "Eins.", "billed_characters": 4, "model_type_used": "latency_optimized"},
            {"text": "Zwei.", "billed_characters": 7},
        ]
    }
    outcomes = decoded(PROVIDER, TWO, body)
    assert texts(outcomes) == ["Eins.", "Zwei."]
    assert characters(outcomes) == [4, 7]
    first, second = outcomes
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert (first.stop, first.model, first.seconds, first.usage.estimated) == (Stop.END, "latency_optimized", 2.0, False)
    assert (first.usage.requests, second.usage.requests) == (1, 0)


def test_characters_are_code_points() -> None:
    """Where nothing is told, ours are as DeepL counts: astral characters are one."""
    asked = calls(UNITS)
    assert characters(decoded(PROVIDER, asked, answer("x"))) == [9]
    assert PROVIDER.weigh(asked[0]).characters == 9
    assert characters(decoded(PROVIDER, asked, answer("x", billed_characters="many"))) == [9]


@pytest.mark.parametrize(
    "body", [answer("Eins."), answer("Eins.", "Zwei.", "Drei."), answer(), {}, {"translations": {}}, b"<html>"]
)
def test_another_number_of_texts_shifts_nothing(body: Any) -> None:
    """There are no ids, so all calls are asked again."""
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED] * 2


def test_item_without_a_text_is_missing_alone() -> None:
    """As many items as texts keep their places."""
    body = {"translations": [{"text": None}, {"text": "Zwei."}]}
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED, "Zwei."]
    assert texts(decoded(PROVIDER, TWO, {"translations": [3, {"text": "Zwei."}]})) == [FaultKind.MALFORMED, "Zwei."]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"message": "Value for 'target_lang' not supported."}, FaultKind.BAD),
        (403, {"message": "Authorization failure, check auth_key"}, FaultKind.AUTH),
        (403, b"", FaultKind.AUTH),
        (404, {"message": "Not found"}, FaultKind.AUTH),
        (413, {"message": "Request Entity Too Large"}, FaultKind.TOO_BIG),
        (414, b"", FaultKind.TOO_BIG),
        (429, {"message": "Too many requests"}, FaultKind.RATE),
        (456, {"message": "Quota exceeded"}, FaultKind.QUOTA),
        (456, b"", FaultKind.QUOTA),
        (500, {"message": "Internal error"}, FaultKind.OVERLOAD),
        (503, {"message": "Resource currently unavailable"}, FaultKind.OVERLOAD),
        (504, b"<html>", FaultKind.OVERLOAD),
        (529, {"message": "Too many requests"}, FaultKind.OVERLOAD),
    ],
)
def test_error_means_its_kind(status: int, body: Any, kind: FaultKind) -> None:
    """By the status, of which DeepL has some of its own."""
    found = fault(PROVIDER, body, status)
    assert found.kind is kind
    assert f"HTTP {status}" in found.detail


def test_fault_holds_what_was_said_but_no_key() -> None:
    """The reason is told, unless it may repeat the key."""
    assert "target_lang" in fault(PROVIDER, {"message": "Value for 'target_lang' not supported."}, 400).detail
    assert "bad lang" in fault(PROVIDER, {"message": "Bad request", "detail": "bad lang"}, 400).detail
    assert KEY not in fault(PROVIDER, {"message": f"bad key {KEY}"}, 403).detail
    assert fault(PROVIDER, b"", 429, retry_after="3").retry_after == 3.0


def test_every_call_of_a_failed_request_fails() -> None:
    """One fault for each."""
    assert texts(decoded(PROVIDER, TWO, b"", 429)) == [FaultKind.RATE] * 2


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(
        PROVIDER, TWO, answer("Eins.", "Zwei.", billed_characters=4, model_type_used="x"), {"message": "no", "detail": "no"}
    )


def test_request_of_the_largest_characters_fits() -> None:
    """Six bytes a character, as JSON writes the worst of them, stay below 128 KiB."""
    assert PROVIDER.request_limit is not None
    asked = calls("\x01" * PROVIDER.request_limit)
    assert len(PROVIDER.encode(asked, lane(), STAMP).body) < 128 * 1024
