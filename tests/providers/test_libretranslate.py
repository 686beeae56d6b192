"""LibreTranslate's dialect: what is sent, what its sentences mean. Bodies as its server sends them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse, Stamp
from engine.core.types import Reply, Stop
from providers.libretranslate import PROVIDER
from tests.translators import STAMP, UNITS, T, calls, characters, decoded, fault, lane, reads_anything, texts

ASKED = calls("One.")
ANSWER = {"translatedText": "一。"}


def sent(source: str = "en", target: str = "zh", stamp: Stamp = STAMP, **more: Any) -> dict[str, Any]:
    request = PROVIDER.encode(calls("One.", source=source, target=target), lane(**more), stamp)
    body: dict[str, Any] = orjson.loads(request.body)
    return body


def test_text_is_sent_with_the_key_in_the_body() -> None:
    """One text, its pair, plain text, the key beside them."""
    stamp = Stamp(T, "", "secret-of-the-key")
    request = PROVIDER.encode(ASKED, lane(base_url="https://libre.example/x/"), stamp)
    assert (request.method, request.url) == ("POST", "https://libre.example/x/translate")
    assert request.headers == {"Content-Type": "application/json"}
    assert orjson.loads(request.body) == {
        "q": "One.",
        "source": "en",
        "target": "zh",
        "format": "text",
        "api_key": "secret-of-the-key",
    }
    assert PROVIDER.encode(ASKED, lane(), Stamp(T, "")).url == "http://127.0.0.1:5000/translate"
    assert "api_key" not in sent(stamp=Stamp(T, ""))


def test_more_fields_are_sent_as_the_lane_says() -> None:
    """`extra` is part of the body."""
    assert sent(extra={"alternatives": 0})["alternatives"] == 0


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en-GB", "en"), ("zh", "zh"), ("zh-Hans", "zh"), ("zh-Hant", "zt"), ("zh-TW", "zt"), ("pt-BR", "pb"), ("pt-PT", "pt")],
)
def test_codes_are_those_that_every_server_takes(tag: str, code: str) -> None:
    """Names of models, which older servers know alone; a region has none of its own."""
    assert sent(source=tag, target="fr")["source"] == code
    assert sent(source="fr", target=tag)["target"] == code


def test_key_may_be_missing() -> None:
    """Most servers want none; another address is never sent the usual one."""
    assert PROVIDER.key(lane()) == "env:LIBRETRANSLATE_API_KEY?"
    assert PROVIDER.key(lane(base_url="http://other")) is None


def test_answer_is_read() -> None:
    """The text, counted in code points as the server counts."""
    asked = calls(UNITS)
    (reply,) = decoded(PROVIDER, asked, ANSWER)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.stop, reply.usage.characters, reply.usage.estimated) == ("一。", Stop.END, 9, False)
    assert PROVIDER.weigh(asked[0]) == reply.usage
    assert (reply.seconds, reply.first_byte) == (2.0, 0.5)
    assert characters(decoded(PROVIDER, calls(""), {"translatedText": ""})) == [0]


@pytest.mark.parametrize("body", [b"", b"<html>", {}, {"translatedText": None}, {"translatedText": ["一。"]}, []])
def test_answer_of_another_shape_is_malformed(body: Any) -> None:
    """What cannot be read is asked for again."""
    assert texts(decoded(PROVIDER, ASKED, body)) == [FaultKind.MALFORMED]


@pytest.mark.parametrize(
    ("status", "said", "kind", "wait"),
    [
        (400, "xx is not supported", FaultKind.BAD, None),
        (400, "Invalid request: missing q parameter", FaultKind.BAD, None),
        (400, "Chinese (zh) is not available as a target language from Irish (ga)", FaultKind.BAD, None),
        (400, "Invalid request: request (2001) exceeds text limit (2000)", FaultKind.TOO_BIG, None),
        (400, "Requête invalide : la requête (2001) dépasse la limite de texte (2000)", FaultKind.TOO_BIG, None),
        (400, "Please contact the server operator to get an API key", FaultKind.AUTH, None),
        (400, "Visit https://portal.libretranslate.com to get an API key", FaultKind.AUTH, None),
        (403, "Invalid API key", FaultKind.AUTH, None),
        (403, "Clé API invalide", FaultKind.AUTH, None),
        (400, "Invalid request: request (12) of the day, limit (2000)", FaultKind.BAD, None),
        (403, "Too many request limits violations", FaultKind.QUOTA, 600.0),
        (429, "Slowdown: 80 per 1 minute", FaultKind.RATE, 60.0),
        (429, "Slowdown: 3600 per 1 hour", FaultKind.RATE, 600.0),
        (429, "Slowdown: 500 per 1 day", FaultKind.QUOTA, 3600.0),
        (429, "", FaultKind.RATE, 60.0),
        (500, "Cannot translate text: out of memory", FaultKind.OVERLOAD, None),
    ],
)
def test_sentence_means_its_kind(status: int, said: str, kind: FaultKind, wait: float | None) -> None:
    """Without codes the sentence tells a ban from a bad key, and its numbers what is too long."""
    found = fault(PROVIDER, {"error": said}, status)
    assert (found.kind, found.retry_after) == (kind, wait)
    assert f"HTTP {status}" in found.detail


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"<html>forbidden</html>", FaultKind.AUTH),
        (404, b"", FaultKind.AUTH),
        (413, b"", FaultKind.TOO_BIG),
        (502, b"<html>", FaultKind.OVERLOAD),
        (429, b"Too Many Requests", FaultKind.RATE),
    ],
)
def test_what_stands_before_a_server_is_understood(status: int, body: bytes, kind: FaultKind) -> None:
    """A proxy has the status alone."""
    assert fault(PROVIDER, body, status).kind is kind


def test_hint_of_a_proxy_is_followed() -> None:
    """A time that is told comes before the one that is guessed."""
    assert fault(PROVIDER, {"error": "Slowdown: 80 per 1 minute"}, 429, retry_after="7").retry_after == 7.0


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(PROVIDER, ASKED, ANSWER, {"error": "no"})


def test_server_is_asked_for_its_languages() -> None:
    """Pairs by our tags, whether the server lists tags or names of models, or no targets as older ones do."""
    request = PROVIDER.languages.request(lane(base_url="http://mt"))
    assert (request.method, request.url) == ("GET", "http://mt/languages")
    rows = [{"code": "en", "targets": ["en", "zt", "pb"]}, {"code": "zt", "targets": ["en"]}]
    found = PROVIDER.languages.read(HttpResponse(200, {}, orjson.dumps(rows)))
    assert found.pair("en", "zh-TW") and found.pair("en-GB", "pt-BR")
    assert found.pair("en", "zh") is None
    assert str(found) == "en-pt-BR, en-zh-Hant, zh-Hant-en"
    found = PROVIDER.languages.read(HttpResponse(200, {}, orjson.dumps([{"code": "en"}, {"code": "zh-Hans"}])))
    assert str(found) == "en-zh-Hans, zh-Hans-en"


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"[]"), (200, b"{}"), (200, b"<html>"), (200, b'[{"name": "x"}]'), (200, b"3")]
)
def test_list_that_is_none_is_a_fault(status: int, body: bytes) -> None:
    """Who is no such server does not tell languages."""
    with pytest.raises(Fault) as caught:
        PROVIDER.languages.read(HttpResponse(status, {}, body))
    assert caught.value.kind is FaultKind.MALFORMED
