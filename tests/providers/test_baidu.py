"""Baidu's dialect: what is sent and signed, what every kind of answer means. Bodies as its server sends them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest

from engine.core.faults import FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.types import Reply
from providers.baidu import PROVIDER, signature
from tests.translators import STAMP, UNITS, T, calls, characters, decoded, fault, lane, reads_anything, texts

TWO = calls("One.", "Two.")


def encoded(*said: str, source: str = "en", target: str = "zh", stamp: Stamp = STAMP, **more: Any) -> HttpRequest:
    return PROVIDER.encode(calls(*said, source=source, target=target), lane(**more), stamp)


def form(*said: str, **more: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(encoded(*said, **more).body.decode()).items()}


def answer(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"from": "en", "to": "zh", "trans_result": [{"src": source, "dst": text} for source, text in pairs]}


def test_signature_is_that_of_baidus_example() -> None:
    """The worked example of Baidu's page on the general API."""
    assert signature("2015063000000001", "apple", "1435660288", "12345678") == "f89f9594663708c1605f3d736d01d2d4"


def test_texts_are_lines_of_one_field() -> None:
    """Signed as they are before they are escaped; the secret is sent nowhere."""
    request = encoded("One & two.", "三。")
    assert (request.method, request.url) == ("POST", "https://fanyi-api.baidu.com/api/trans/vip/translate")
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert form("One & two.", "三。") == {
        "q": "One & two.\n三。",
        "from": "en",
        "to": "zh",
        "appid": "name-of-the-key",
        "salt": STAMP.nonce,
        "sign": signature("name-of-the-key", "One & two.\n三。", STAMP.nonce, "secret-of-the-key"),
    }
    assert b"secret-of-the-key" not in request.body


def test_address_and_more_fields_are_the_lanes() -> None:
    """`base_url` and `extra`; without a key there is still a request to look at."""
    assert encoded("x", base_url="http://127.0.0.1:1/b/").url == "http://127.0.0.1:1/b/api/trans/vip/translate"
    assert form("x", extra={"action": "1"})["action"] == "1"
    assert "appid" not in form("x", stamp=Stamp(T, "n"))
    assert PROVIDER.key(lane(base_url="http://other")) == "env:BAIDU_APPID env:BAIDU_KEY"


@pytest.mark.parametrize(
    ("tag", "code"), [("zh-Hans", "zh"), ("zh-TW", "cht"), ("ja", "jp"), ("ko-KR", "kor"), ("es", "spa"), ("lzh", "wyw")]
)
def test_codes_are_baidus(tag: str, code: str) -> None:
    """It has its own for many languages."""
    assert form("x", target=tag)["to"] == code


def test_answers_are_read_in_order() -> None:
    """Each text with its own; the break before a text is sent and counted with it."""
    outcomes = decoded(PROVIDER, TWO, answer(("One.", "一。"), ("Two.", "二。")))
    assert texts(outcomes) == ["一。", "二。"]
    assert characters(outcomes) == [4, 5]
    assert sum(characters(outcomes)) == len(form("One.", "Two.")["q"])
    assert [outcome.usage.requests for outcome in outcomes if isinstance(outcome, Reply)] == [1, 0]


def test_lines_of_a_text_come_back_as_lines() -> None:
    """Empty lines, which get no answer, stay where they were, whatever kind of break there was."""
    asked = calls("a\r\n\r\nb", "c", "\nd\n", "")
    assert form("a\r\n\r\nb", "c")["q"] == "a\n\nb\nc"
    found = decoded(PROVIDER, asked, answer(("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")))
    assert texts(found) == ["A\n\nB", "C", "\nD\n", ""]
    told_empty = decoded(PROVIDER, asked, answer(("a", "A"), ("", ""), ("b", "B"), ("c", "C"), ("", ""), ("d", "D"), ("", "")))
    assert texts(told_empty) == texts(found)


def test_missing_line_is_known_by_the_others() -> None:
    """A text without one of its lines is asked again; the rest belongs to its own texts."""
    asked = calls("a\nb", "c", "d")
    assert texts(decoded(PROVIDER, asked, answer(("a", "A"), ("c", "C"), ("d", "D")))) == [FaultKind.MALFORMED, "C", "D"]
    assert texts(decoded(PROVIDER, asked, answer(("a", "A"), ("b", "B"), ("d", "D")))) == ["A\nB", FaultKind.MALFORMED, "D"]


@pytest.mark.parametrize(
    "body",
    [
        answer(("Two.", "二。"), ("One.", "一。")),
        answer(("One.", "一。"), ("Two.", "二。"), ("Three.", "三。")),
        answer(),
        {},
        {"trans_result": None},
        b"<html>",
    ],
)
def test_answers_to_something_else_are_nobodys(body: Any) -> None:
    """Swapped, too many, none: nothing is given to a call that did not ask for it."""
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED] * 2


def test_characters_are_code_points() -> None:
    """As Baidu counts, and so exactly; before, with a line break that may be needed."""
    assert PROVIDER.weigh(calls(UNITS)[0]).characters == 10
    assert characters(decoded(PROVIDER, calls(UNITS), answer((UNITS, "x")))) == [9]


@pytest.mark.parametrize(
    ("code", "kind", "wait"),
    [
        ("52001", FaultKind.OVERLOAD, None),
        ("52002", FaultKind.OVERLOAD, None),
        ("52003", FaultKind.AUTH, None),
        ("54000", FaultKind.BAD, None),
        ("54001", FaultKind.AUTH, None),
        ("54003", FaultKind.RATE, None),
        ("54004", FaultKind.QUOTA, None),
        ("54005", FaultKind.RATE, 3.0),
        ("58000", FaultKind.AUTH, None),
        ("58001", FaultKind.BAD, None),
        ("58002", FaultKind.AUTH, None),
        ("90107", FaultKind.AUTH, None),
        ("20003", FaultKind.REFUSED, None),
        (54003, FaultKind.RATE, None),
        ("99999", FaultKind.BAD, None),
    ],
)
def test_code_under_status_200_means_its_kind(code: Any, kind: FaultKind, wait: float | None) -> None:
    """Whatever goes wrong comes with status 200, and is never an answer."""
    found = fault(PROVIDER, {"error_code": code, "error_msg": "no"} | answer(("One.", "一。")), 200)
    assert (found.kind, found.retry_after) == (kind, wait)
    assert str(code) in found.detail


@pytest.mark.parametrize(("status", "kind"), [(502, FaultKind.OVERLOAD), (429, FaultKind.RATE), (404, FaultKind.AUTH)])
def test_what_stands_before_the_server_is_understood(status: int, kind: FaultKind) -> None:
    """A proxy has the status alone."""
    assert fault(PROVIDER, b"<html>", status).kind is kind


def test_good_code_is_no_fault() -> None:
    """52000 is success, where it is told."""
    assert texts(decoded(PROVIDER, TWO, {"error_code": "52000"} | answer(("One.", "一。"), ("Two.", "二。")))) == ["一。", "二。"]


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(PROVIDER, TWO, answer(("One.", "一。"), ("Two.", "二。")), {"error_code": "54003", "error_msg": "no"})


def test_largest_request_is_within_the_standard_service() -> None:
    """With all of its line breaks."""
    assert PROVIDER.request_limit is not None
    each = PROVIDER.request_limit // PROVIDER.texts
    asked = calls(*("x" * (each - 1) for _ in range(PROVIDER.texts)))
    assert sum(PROVIDER.weigh(call).size for call in asked) == PROVIDER.request_limit
    assert len(form(*(call.text for call in asked))["q"]) <= 1_000
