"""Apertium's dialect: what is sent, what its errors mean."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.types import Reply, Stop
from providers.apertium import PROVIDER
from tests.translators import STAMP, UNITS, calls, decoded, fault, lane, reads_anything

ASKED = calls("One house.", target="es")
ANSWER = {"responseData": {"translatedText": "Una casa."}, "responseDetails": None, "responseStatus": 200}


def form(source: str = "en", target: str = "es", **more: Any) -> dict[str, list[str]]:
    return parse_qs(PROVIDER.encode(calls("x", source=source, target=target), lane(**more), STAMP).body.decode())


def test_text_is_sent_as_a_form() -> None:
    """Plain text without marks of unknown words, in the body so that it may be long; no key."""
    request = PROVIDER.encode(calls("a & b\n=?", target="es"), lane(base_url="http://mt:2737/"), STAMP)
    assert (request.method, request.url) == ("POST", "http://mt:2737/translate")
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert parse_qs(request.body.decode()) == {
        "langpair": ["eng|spa"],
        "q": ["a & b\n=?"],
        "format": ["txt"],
        "markUnknown": ["no"],
    }
    assert PROVIDER.encode(ASKED, lane(), STAMP).url == "http://127.0.0.1:2737/translate"
    assert form(extra={"prefs": "x"})["prefs"] == ["x"]
    assert PROVIDER.key(lane()) is None


@pytest.mark.parametrize(
    ("tag", "code"), [("en-GB", "eng"), ("cat", "cat"), ("ca", "cat"), ("ast", "ast"), ("no", "nob"), ("zh-TW", "zho")]
)
def test_codes_have_three_letters(tag: str, code: str) -> None:
    """Those of ISO 639-3, without regions."""
    assert form(source=tag)["langpair"] == [f"{code}|spa"]


def test_answer_is_read() -> None:
    """The text, counted in code points."""
    asked = calls(UNITS, target="es")
    (reply,) = decoded(PROVIDER, asked, ANSWER)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.stop, reply.usage.characters) == ("Una casa.", Stop.END, 9)
    assert reply.usage == PROVIDER.weigh(asked[0])


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            400,
            {"status": "error", "code": 400, "message": "Bad Request", "explanation": "That pair is not installed"},
            FaultKind.BAD,
        ),
        (400, {"status": "error", "code": 400, "explanation": "That pair is invalid, use e.g. eng|spa"}, FaultKind.BAD),
        (404, {"status": "error", "code": 404, "message": "Not Found"}, FaultKind.AUTH),
        (408, {"status": "error", "code": 408}, FaultKind.NETWORK),
        (413, b"", FaultKind.TOO_BIG),
        (500, {"status": "error", "code": 500}, FaultKind.OVERLOAD),
        (502, b"<html>", FaultKind.OVERLOAD),
        (503, {"status": "error", "code": 503, "explanation": "internal error"}, FaultKind.OVERLOAD),
        (200, {"responseStatus": 503, "responseDetails": "busy"}, FaultKind.OVERLOAD),
        (200, {"responseStatus": 400, "responseDetails": "no"}, FaultKind.BAD),
        (200, {"responseStatus": None}, FaultKind.MALFORMED),
        (200, {"responseData": {"translatedText": None}}, FaultKind.MALFORMED),
        (200, {"responseData": []}, FaultKind.MALFORMED),
        (200, b"<html>", FaultKind.MALFORMED),
    ],
)
def test_error_means_its_kind(status: int, body: Any, kind: FaultKind) -> None:
    """A pair that is not there is the request's fault, a stuck pipe the server's."""
    assert fault(PROVIDER, body, status).kind is kind


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(PROVIDER, ASKED, ANSWER, {"status": "error", "code": 400, "explanation": "no"})


def test_server_is_asked_for_its_pairs() -> None:
    """By our tags; modes of a region are left out, as regions are when a text is sent."""
    assert PROVIDER.languages.request(lane(base_url="http://mt")).url == "http://mt/listPairs"
    rows = [
        {"sourceLanguage": one, "targetLanguage": other}
        for one, other in [("eng", "spa"), ("spa", "eng"), ("spa", "eng_US"), ("oci", "cat"), ("hbs", "eng")]
    ]
    found = PROVIDER.languages.read(HttpResponse(200, {}, orjson.dumps({"responseData": rows, "responseStatus": 200})))
    assert str(found) == "en-es, es-en, hbs-en, oc-ca"
    assert found.pair("en-US", "es-MX") == ("eng", "spa")
    assert found.pair("ca", "oc") is None


@pytest.mark.parametrize(("status", "body"), [(404, b"{}"), (200, b"[]"), (200, b"<html>"), (200, b'{"responseData": [3]}')])
def test_list_that_is_none_is_a_fault(status: int, body: bytes) -> None:
    """Who is no such server does not tell pairs."""
    with pytest.raises(Fault) as caught:
        PROVIDER.languages.read(HttpResponse(status, {}, body))
    assert caught.value.kind is FaultKind.MALFORMED
