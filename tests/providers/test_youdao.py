"""Youdao's dialect: what is sent and signed, what every kind of answer means. Bodies as its server sends them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

import pytest

from engine.core.faults import FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.types import Reply
from providers.youdao import PROVIDER, signature
from tests.translators import STAMP, UNITS, T, calls, characters, decoded, fault, lane, reads_anything, texts

TWO = calls("One.", "Two.")


def encoded(*said: str, source: str = "en", target: str = "zh", stamp: Stamp = STAMP, **more: Any) -> HttpRequest:
    return PROVIDER.encode(calls(*said, source=source, target=target), lane(**more), stamp)


def form(*said: str, **more: Any) -> dict[str, list[str]]:
    return parse_qs(encoded(*said, **more).body.decode())


def answer(*pairs: tuple[str, Any], **more: Any) -> dict[str, Any]:
    results = [{"query": source, "translation": text, "type": "en2zh-CHS"} for source, text in pairs]
    return {"errorCode": "0", "translateResults": results, **more}


@pytest.mark.parametrize(
    ("text", "put"),
    [
        ("short", "short"),
        ("a" * 20, "a" * 20),
        ("0123456789" + "x" + "abcdefghij", "012345678921abcdefghij"),
        ("待输入的文字是这样长的一段话所以要缩短它", "待输入的文字是这样长的一段话所以要缩短它"),
        ("待输入的文字是这样长的一段话，所以要缩短它", "待输入的文字是这样长21一段话，所以要缩短它"),
    ],
)
def test_long_text_is_signed_by_its_ends(text: str, put: str) -> None:
    """Up to 20 characters whole, else the first ten, the length and the last ten; written out by hand after Youdao's page."""
    wanted = sha256(f"app{put}salt1700000000secret".encode()).hexdigest()
    assert signature("app", text, "salt", "1700000000", "secret") == wanted


def test_texts_are_sent_together() -> None:
    """One field many times, signed as one text; the secret is sent nowhere."""
    request = encoded("One & two.", "三。")
    assert (request.method, request.url) == ("POST", "https://openapi.youdao.com/v2/api")
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert form("One & two.", "三。") == {
        "q": ["One & two.", "三。"],
        "from": ["en"],
        "to": ["zh-CHS"],
        "appKey": ["name-of-the-key"],
        "salt": [STAMP.nonce],
        "curtime": ["1767225600"],
        "signType": ["v3"],
        "sign": [signature("name-of-the-key", "One & two.三。", STAMP.nonce, "1767225600", "secret-of-the-key")],
    }
    assert b"secret-of-the-key" not in request.body


def test_time_is_whole_seconds() -> None:
    """The part of a second is cut off."""
    assert form("x", stamp=Stamp(T + 0.99, "n", "a\nb"))["curtime"] == ["1767225600"]


def test_address_and_more_fields_are_the_lanes() -> None:
    """`base_url` and `extra`; without a key there is still a request to look at."""
    assert encoded("x", base_url="http://127.0.0.1:1/y/").url == "http://127.0.0.1:1/y/v2/api"
    assert form("x", extra={"vocabId": "v"})["vocabId"] == ["v"]
    assert "appKey" not in form("x", stamp=Stamp(T, "n"))
    assert PROVIDER.key(lane(base_url="http://other")) == "env:YOUDAO_APP_KEY env:YOUDAO_APP_SECRET"


@pytest.mark.parametrize(
    ("tag", "code"), [("zh-CN", "zh-CHS"), ("zh-Hant", "zh-CHT"), ("sr", "sr-Cyrl"), ("nb", "no"), ("en-GB", "en")]
)
def test_codes_are_youdaos(tag: str, code: str) -> None:
    """Scripts of Chinese in its own way."""
    assert form("x", source=tag, target="fr")["from"] == [code]


def test_answers_are_read_in_order() -> None:
    """Each text with its own, counted in code points."""
    asked = calls(UNITS, "Two.")
    outcomes = decoded(PROVIDER, asked, answer((UNITS, "一。"), ("Two.", "二。")))
    assert texts(outcomes) == ["一。", "二。"]
    assert characters(outcomes) == [9, 4]
    assert [outcome.usage.requests for outcome in outcomes if isinstance(outcome, Reply)] == [1, 0]
    assert PROVIDER.weigh(asked[0]).characters == 9


def test_missing_text_is_known_by_the_others() -> None:
    """Left out, or put in with its place among the errors: either way the others keep theirs."""
    asked = calls("a", "b", "c")
    assert texts(decoded(PROVIDER, asked, answer(("a", "A"), ("c", "C"), errorIndex=[1]))) == ["A", FaultKind.MALFORMED, "C"]
    whole = answer(("a", "A"), ("b", "b"), ("c", "C"), errorIndex=[1])
    assert texts(decoded(PROVIDER, asked, whole)) == ["A", FaultKind.MALFORMED, "C"]
    assert texts(decoded(PROVIDER, asked, answer(("b", "B"), ("c", "C")))) == [FaultKind.MALFORMED, "B", "C"]


@pytest.mark.parametrize(
    "body",
    [
        answer(("Two.", "二。"), ("One.", "一。")),
        answer(("One.", "一。"), ("Two.", "二。"), ("Three.", "三。")),
        answer(("One.", None), ("Two.", 2)),
        answer(),
        {},
        {"errorCode": "0", "translateResults": {}},
        b"<html>",
    ],
)
def test_answers_to_something_else_are_nobodys(body: Any) -> None:
    """Swapped, too many, none, no texts: nothing is given to a call that did not ask for it."""
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED] * 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("101", FaultKind.BAD),
        ("102", FaultKind.BAD),
        ("103", FaultKind.TOO_BIG),
        ("108", FaultKind.AUTH),
        ("110", FaultKind.AUTH),
        ("113", FaultKind.BAD),
        ("202", FaultKind.AUTH),
        ("203", FaultKind.AUTH),
        ("206", FaultKind.AUTH),
        ("207", FaultKind.NETWORK),
        ("301", FaultKind.OVERLOAD),
        ("302", FaultKind.OVERLOAD),
        ("303", FaultKind.OVERLOAD),
        ("401", FaultKind.QUOTA),
        ("411", FaultKind.RATE),
        ("412", FaultKind.RATE),
        (411, FaultKind.RATE),
        ("9999", FaultKind.BAD),
    ],
)
def test_code_under_status_200_means_its_kind(code: Any, kind: FaultKind) -> None:
    """Whatever goes wrong comes with status 200, and is never an answer."""
    found = fault(PROVIDER, answer(("One.", "一。")) | {"errorCode": code}, 200)
    assert found.kind is kind
    assert str(code) in found.detail


@pytest.mark.parametrize(("status", "kind"), [(502, FaultKind.OVERLOAD), (429, FaultKind.RATE), (404, FaultKind.AUTH)])
def test_what_stands_before_the_server_is_understood(status: int, kind: FaultKind) -> None:
    """A proxy has the status alone."""
    assert fault(PROVIDER, b"<html>", status).kind is kind


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(PROVIDER, TWO, answer(("One.", "一。"), ("Two.", "二。"), errorIndex=[]), {"errorCode": "411", "msg": "no"})
