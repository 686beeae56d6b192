"""Alibaba's dialect: what is sent and signed, what every kind of answer means. Bodies as its server sends them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.types import Reply
from providers.alibaba_mt import PROVIDER, signed
from tests.translators import STAMP, UNITS, calls, characters, decoded, fault, lane, reads_anything, texts

TWO = calls("One.", "Two.")


def encoded(*said: str, source: str = "en", target: str = "zh", stamp: Stamp = STAMP, **more: Any) -> HttpRequest:
    return PROVIDER.encode(calls(*said, source=source, target=target), lane(**more), stamp)


def form(*said: str, **more: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(encoded(*said, **more).body.decode()).items()}


def item(index: int | str, text: Any, **more: Any) -> dict[str, Any]:
    return {"code": "200", "index": str(index), "translated": text, "detectedLanguage": "en", **more}


def answer(*items: dict[str, Any]) -> dict[str, Any]:
    return {"Code": 200, "Message": "success", "RequestId": "86D18195", "TranslatedList": list(items)}


def test_signature_is_that_of_alibabas_example() -> None:
    """The worked example with fixed parameters of Alibaba's page on the V3 signature."""
    t = datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC).timestamp()
    stamp = Stamp(t, "3156853299f313e23d1673dc12e1703d", "YourAccessKeyId\nYourAccessKeySecret")
    query = "RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"
    request = HttpRequest("POST", f"https://ecs.cn-shanghai.aliyuncs.com/?{query}", {}, b"")
    found = signed(request, {"x-acs-action": "RunInstances", "x-acs-version": "2014-05-26"}, stamp)
    assert found.headers["Authorization"] == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )
    assert found.headers["x-acs-date"] == "2023-10-26T10:22:32Z"


def test_texts_are_sent_by_their_ids() -> None:
    """A map in one field, the general edition, its action in headers that are signed; the secret is sent nowhere."""
    request = encoded("One & two.", "三。")
    assert (request.method, request.url) == ("POST", "https://mt.cn-hangzhou.aliyuncs.com/")
    sent = form("One & two.", "三。")
    assert orjson.loads(sent.pop("SourceText")) == {"0": "One & two.", "1": "三。"}
    assert sent == {
        "FormatType": "text",
        "Scene": "general",
        "ApiType": "translate_standard",
        "SourceLanguage": "en",
        "TargetLanguage": "zh",
    }
    assert request.headers["x-acs-action"] == "GetBatchTranslate"
    assert request.headers["x-acs-signature-nonce"] == STAMP.nonce
    signing = "content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    assert f"Credential=name-of-the-key,SignedHeaders={signing}," in request.headers["Authorization"]
    assert "secret-of-the-key" not in str(dict(request.headers)) + request.body.decode()


@pytest.mark.parametrize(
    "changed",
    [
        {"stamp": replace(STAMP, nonce="other")},
        {"stamp": replace(STAMP, t=STAMP.t + 1)},
        {"target": "fr"},
        {"base_url": "http://x"},
    ],
)
def test_everything_that_matters_is_signed(changed: dict[str, Any]) -> None:
    """Another nonce, time, body or address has another signature."""
    assert encoded("x", **changed).headers["Authorization"] != encoded("x").headers["Authorization"]


def test_region_address_and_token_are_the_lanes() -> None:
    """A region is part of the address; a third part of the key goes with the request, signed."""
    assert encoded("x", region="ap-southeast-1").url == "https://mt.ap-southeast-1.aliyuncs.com/"
    assert encoded("x", base_url="http://127.0.0.1:1/a/").url == "http://127.0.0.1:1/a/"
    request = encoded("x", stamp=replace(STAMP, key="a\nb\ntoken"))
    assert request.headers["x-acs-security-token"] == "token"
    assert "x-acs-security-token" in request.headers["Authorization"]
    assert "x-acs-security-token" not in encoded("x", stamp=replace(STAMP, key="a\nb\n")).headers
    assert form("x", extra={"ApiType": "translate_ecommerce"})["ApiType"] == "translate_ecommerce"
    assert PROVIDER.key(lane()) == (
        "env:ALIBABA_CLOUD_ACCESS_KEY_ID env:ALIBABA_CLOUD_ACCESS_KEY_SECRET env:ALIBABA_CLOUD_SECURITY_TOKEN?"
    )


def test_some_languages_go_with_chinese_only() -> None:
    """Traditional Chinese, Cantonese and Mongolian; all others with each other."""
    assert form("x", source="zh-Hans", target="zh-Hant")["TargetLanguage"] == "zh-tw"
    assert form("x", source="yue", target="zh")["SourceLanguage"] == "yue"
    assert form("x", source="nb", target="cy")["SourceLanguage"] == "no"
    for source, target in (("en", "zh-Hant"), ("zh-TW", "en"), ("mn", "yue")):
        with pytest.raises(Fault) as caught:
            encoded("x", source=source, target=target)
        assert caught.value.kind is FaultKind.BAD


def test_answers_are_told_apart_by_their_ids() -> None:
    """In any order; words are counted by the server, and by us where it tells none."""
    outcomes = decoded(PROVIDER, TWO, answer(item(1, "二。", wordCount="4"), item(0, "一。", wordCount=5)))
    assert texts(outcomes) == ["一。", "二。"]
    assert characters(outcomes) == [5, 4]
    assert [outcome.usage.requests for outcome in outcomes if isinstance(outcome, Reply)] == [1, 0]
    assert characters(decoded(PROVIDER, calls(UNITS), answer(item(0, "x")))) == [10]
    assert PROVIDER.weigh(calls(UNITS)[0]).characters == 10


def test_missing_and_failed_items_shift_nothing() -> None:
    """Each has a fault of its own, and the others their texts."""
    asked = calls("a", "b", "c", "d")
    body = answer(item(3, "D"), item(1, None, code="10008", message="too long"), item(0, "A"))
    outcomes = decoded(PROVIDER, asked, body)
    assert texts(outcomes) == ["A", FaultKind.TOO_BIG, FaultKind.MALFORMED, "D"]
    assert str(outcomes[1]) == "too_big: item 10008 too long"
    assert texts(decoded(PROVIDER, asked, answer(item(9, "X"), item("x", "Y")))) == [FaultKind.MALFORMED] * 4


@pytest.mark.parametrize(
    "body", [{}, answer(), {"Code": 200, "TranslatedList": {}}, b"<html>", b"", answer(item(0, None), item(1, 3))]
)
def test_answer_of_another_shape_is_malformed(body: Any) -> None:
    """What cannot be read is asked for again."""
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED] * 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "Throttling", FaultKind.RATE),
        (400, "Throttling.User", FaultKind.RATE),
        (429, "Throttling.Api", FaultKind.RATE),
        (400, "InsufficientBalance", FaultKind.QUOTA),
        (400, "Arrearage", FaultKind.QUOTA),
        (404, "InvalidAccessKeyId.NotFound", FaultKind.AUTH),
        (400, "SignatureDoesNotMatch", FaultKind.AUTH),
        (400, "InvalidTimeStamp.Expired", FaultKind.AUTH),
        (403, "Forbidden.RAM", FaultKind.AUTH),
        (400, "SignatureNonceUsed", FaultKind.NETWORK),
        (503, "ServiceUnavailable", FaultKind.OVERLOAD),
        (500, "InternalError", FaultKind.OVERLOAD),
        (400, "MissingParameter", FaultKind.BAD),
        (200, 10001, FaultKind.OVERLOAD),
        (200, "10002", FaultKind.OVERLOAD),
        (200, 10003, FaultKind.BAD),
        (200, 10004, FaultKind.BAD),
        (200, 10005, FaultKind.BAD),
        (200, 10007, FaultKind.MALFORMED),
        (200, 10008, FaultKind.TOO_BIG),
        (200, 101, FaultKind.OVERLOAD),
        (200, "108", FaultKind.TOO_BIG),
        (200, "System.RequestTimeOut", FaultKind.OVERLOAD),
        (200, 19999, FaultKind.OVERLOAD),
        (200, 777, FaultKind.BAD),
    ],
)
def test_code_means_its_kind(status: int, code: Any, kind: FaultKind) -> None:
    """Codes of the gateway under 400 and others, codes of the service under 200."""
    found = fault(PROVIDER, {"Code": code, "Message": "no", "RequestId": "x"}, status)
    assert found.kind is kind
    assert str(code) in found.detail


@pytest.mark.parametrize(("status", "kind"), [(502, FaultKind.OVERLOAD), (429, FaultKind.RATE), (403, FaultKind.AUTH)])
def test_what_stands_before_the_server_is_understood(status: int, kind: FaultKind) -> None:
    """A proxy has the status alone."""
    assert fault(PROVIDER, b"<html>", status).kind is kind


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(
        PROVIDER, TWO, answer(item(0, "一。", wordCount="4"), item(1, "二。")), {"Code": "Throttling", "Message": "no"}
    )
