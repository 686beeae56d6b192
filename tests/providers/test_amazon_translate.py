"""Amazon's dialect: what is sent and signed, what every kind of answer means. Bodies as its server sends them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.faults import FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.quota import weight
from engine.core.types import Reply
from providers.amazon_translate import PROVIDER, signed
from tests.translators import STAMP, UNITS, T, calls, decoded, fault, lane, reads_anything, texts

ASKED = calls("One.")
ANSWER = {"TranslatedText": "一。", "SourceLanguageCode": "en", "TargetLanguageCode": "zh"}


def encoded(text: str = "One.", source: str = "en", target: str = "zh", stamp: Stamp = STAMP, **more: Any) -> HttpRequest:
    return PROVIDER.encode(calls(text, source=source, target=target), lane(**more), stamp)


def sent(**more: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(encoded(**more).body)
    return body


def authorisation(request: HttpRequest, region: str, stamp: Stamp) -> str:
    """What Amazon's own library signs the request with."""
    name, secret, token = (*stamp.parts, "")[:3]
    signer = auth.SigV4Auth(Credentials(name, secret, token or None), "translate", region)
    own = {name: value for name, value in request.headers.items() if name not in ("Authorization", "X-Amz-Date")}
    asked = AWSRequest(request.method, request.url, own, request.body)
    moment = datetime.fromtimestamp(int(stamp.t), UTC).replace(tzinfo=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda *_: moment)
        signer.add_auth(asked)
    found: str = asked.headers["Authorization"]
    return found


def test_signature_is_that_of_amazons_example() -> None:
    """`get-vanilla` of the test suite that Amazon published for Signature Version 4."""
    stamp = Stamp(
        datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp(), "", "AKIDEXAMPLE\nwJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    )
    request = signed(HttpRequest("GET", "https://example.amazonaws.com/", {}, b""), "us-east-1", "service", stamp)
    assert request.headers["X-Amz-Date"] == "20150830T123600Z"
    assert request.headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


@settings(derandomize=True, max_examples=60)
@given(
    text=st.text(min_size=1, max_size=20),
    t=st.floats(T, T + 1e9),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    key=st.sampled_from(["AKID\nsecret/+=", "AKID\nsecret\n", "AKID\nsecret\ntoken/+=="]),
    base=st.sampled_from([None, "http://127.0.0.1:8080", "http://127.0.0.1:8080/amazon/"]),
)
def test_signature_is_that_of_amazons_library(text: str, t: float, region: str, key: str, base: str | None) -> None:
    """Any text, time, region, kind of key and address: botocore signs the same."""
    stamp = Stamp(t, "", key)
    request = encoded(text, stamp=stamp, region=region, base_url=base)
    assert request.headers["Authorization"] == authorisation(request, region, stamp)


def test_text_is_sent_alone() -> None:
    """One text as JSON, to the region's own address, its action in a header; the secret is sent nowhere."""
    request = encoded()
    assert (request.method, request.url) == ("POST", "https://translate.us-east-1.amazonaws.com/")
    assert request.headers["X-Amz-Target"] == "AWSShineFrontendService_20170701.TranslateText"
    assert request.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert orjson.loads(request.body) == {"Text": "One.", "SourceLanguageCode": "en", "TargetLanguageCode": "zh"}
    assert "secret-of-the-key" not in str(dict(request.headers))
    assert "content-type;host;x-amz-date;x-amz-target" in request.headers["Authorization"]


def test_region_is_address_and_scope() -> None:
    """A lane's region is signed with, and asked there."""
    request = encoded(region="eu-west-1")
    assert request.url == "https://translate.eu-west-1.amazonaws.com/"
    assert "/eu-west-1/translate/aws4_request" in request.headers["Authorization"]


def test_token_of_temporary_credentials_is_sent_and_signed() -> None:
    """The third part of the key, where there is one."""
    request = encoded(stamp=replace(STAMP, key="a\nb\nsession"))
    assert request.headers["X-Amz-Security-Token"] == "session"
    assert "x-amz-security-token" in request.headers["Authorization"]
    assert "X-Amz-Security-Token" not in encoded(stamp=replace(STAMP, key="a\nb\n")).headers
    assert PROVIDER.key(lane()) == "env:AWS_ACCESS_KEY_ID env:AWS_SECRET_ACCESS_KEY env:AWS_SESSION_TOKEN?"


@pytest.mark.parametrize(
    ("tag", "code"), [("zh-Hans", "zh"), ("zh-Hant", "zh-TW"), ("nb", "no"), ("fil", "tl"), ("pt-PT", "pt-PT"), ("fr-FR", "fr")]
)
def test_codes_are_amazons(tag: str, code: str) -> None:
    """Regions where it has variants."""
    assert sent(target=tag)["TargetLanguageCode"] == code


def test_more_fields_are_sent_as_the_lane_says() -> None:
    """`extra` is part of the body, and signed with it."""
    assert sent(extra={"Settings": {"Formality": "FORMAL"}})["Settings"] == {"Formality": "FORMAL"}


def test_code_points_are_billed_and_bytes_limited() -> None:
    """The bill and a month's quota count the ones, the sizes of texts and the rate of an account those of UTF-8; a reply corrects
    neither by the other."""
    asked = calls(UNITS)
    weighed = PROVIDER.weigh(asked[0])
    assert (weighed.characters, weighed.bytes, weighed.size) == (9, 15, 15)
    (reply,) = decoded(PROVIDER, asked, ANSWER)
    assert isinstance(reply, Reply)
    assert reply.usage == weighed
    counted = ("characters_per_minute", "characters_per_hour", "characters_per_month")
    assert [weight(reply.usage, name) for name in counted] == [15, 15, 9]
    assert (PROVIDER.texts, PROVIDER.limit) == (1, 10_000)


@pytest.mark.parametrize("body", [{}, {"TranslatedText": None}, {"TranslatedText": ["x"]}, b"", b"<html>", []])
def test_answer_of_another_shape_is_malformed(body: Any) -> None:
    """What cannot be read is asked for again."""
    assert texts(decoded(PROVIDER, ASKED, body)) == [FaultKind.MALFORMED]
    assert texts(decoded(PROVIDER, ASKED, ANSWER)) == ["一。"]


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "ThrottlingException", FaultKind.RATE),
        (400, "TooManyRequestsException", FaultKind.RATE),
        (429, "TooManyRequestsException", FaultKind.RATE),
        (400, "LimitExceededException", FaultKind.QUOTA),
        (400, "TextSizeLimitExceededException", FaultKind.TOO_BIG),
        (400, "UnsupportedLanguagePairException", FaultKind.BAD),
        (400, "InvalidRequestException", FaultKind.BAD),
        (400, "SomethingNewException", FaultKind.BAD),
        (400, "AccessDeniedException", FaultKind.AUTH),
        (400, "UnrecognizedClientException", FaultKind.AUTH),
        (403, "InvalidSignatureException", FaultKind.AUTH),
        (400, "ExpiredTokenException", FaultKind.AUTH),
        (403, "", FaultKind.AUTH),
        (500, "InternalServerException", FaultKind.OVERLOAD),
        (503, "ServiceUnavailableException", FaultKind.OVERLOAD),
        (502, "", FaultKind.OVERLOAD),
    ],
)
@pytest.mark.parametrize("form", ["{}", "com.amazonaws.translate.v20170701#{}", "{}:http://internal.amazon.com/coral/"])
def test_name_means_its_kind(status: int, name: str, kind: FaultKind, form: str) -> None:
    """400 is a rate, a quota, a size or a bad request by the name of the exception, in the body or in a header."""
    told = form.format(name) if name else ""
    found = fault(PROVIDER, {"__type": told, "Message": "no"}, status)
    assert found.kind is kind
    assert name in found.detail
    assert fault(PROVIDER, b"", status, x_amzn_errortype=told).kind is kind


def test_message_is_told_however_it_is_spelled() -> None:
    """Small or large, and never for a key that was refused."""
    assert "slow" in fault(PROVIDER, {"__type": "ThrottlingException", "message": "slow"}, 400).detail
    assert "slow" in fault(PROVIDER, {"__type": "ThrottlingException", "Message": "slow"}, 400).detail
    assert "AKID" not in fault(PROVIDER, {"__type": "UnrecognizedClientException", "message": "AKID is none"}, 400).detail


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(PROVIDER, ASKED, ANSWER, {"__type": "ThrottlingException", "message": "no"})
