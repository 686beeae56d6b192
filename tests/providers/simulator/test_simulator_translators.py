"""Translators' servers as the simulator spells them, each asked by our own dialect of it: units, quotas, errors, signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest
from engine.core.types import Reply
from providers.simulator.calls import Facts, Kind, Received, Refused, Response, Slip
from providers.simulator.cipher import translated
from providers.simulator.dialects import Opened, Unreadable, find, names
from tests.translators import UNITS, calls, characters, texts
from tests.vendors import VENDORS, Vendor, ask, played, post

every = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
every_signer = pytest.mark.parametrize("vendor", [v for v in VENDORS if v.signs], ids=lambda vendor: vendor.name)
SLIP = Slip(7, 0.0)


def some(vendor: Vendor) -> tuple[str, ...]:
    """As many texts as one request carries, up to four, with characters of every size."""
    return (UNITS, "Two & 2.", "Three\nlines\n\nhere.", "Four")[: vendor.provider.texts]


def book(world: Any, vendor: Vendor) -> Any:
    return world.books()["accounts"][vendor.name]


# Our own dialects


@every
@pytest.mark.parametrize(("source", "target"), [("en", "es"), ("en", "zh"), ("zh-Hans", "en")])
def test_texts_come_back_translated_and_in_order(vendor: Vendor, source: str, target: str) -> None:
    """Every dialect is answered by its vendor: key, signature, codes and texts arrive, whichever way the languages go."""
    asked = calls(*some(vendor), source=source, target=target)
    arrival, outcomes = ask(played(vendor.account()), vendor, asked)
    assert arrival.status == 200
    wanted = ["\n".join(translated(line, target) for line in text.split("\n")) for text in some(vendor)]
    assert texts(outcomes) == wanted


@every
def test_books_of_both_sides_agree(vendor: Vendor) -> None:
    """Characters are counted alike, each in the vendor's own unit, and a request is one request."""
    world = played(vendor.account())
    asked = calls(*some(vendor), target="es")
    _, outcomes = ask(world, vendor, asked)
    page = book(world, vendor)
    assert sum(characters(outcomes)) == page["characters"]
    assert characters(outcomes)[0] == vendor.unit(UNITS)
    replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    assert sum(reply.usage.requests for reply in replies) == page["accepted_per_second"][0][1] == 1
    assert not any(reply.usage.estimated for reply in replies)


@every
def test_quota_of_characters_is_met_to_the_last_one(vendor: Vendor) -> None:
    """What we weigh is what binds: a limit of just as many characters lets the request pass, one less does not."""
    weight = vendor.provider.weigh(calls(UNITS)[0]).characters
    for limit, passes in ((weight, True), (weight - 1, False)):
        world = played(vendor.account(more=f"limits = [{{ kind = 'sliding', of = 'characters', limit = {limit} }}]"))
        arrival, _ = ask(world, vendor, calls(UNITS, target="es"))
        assert arrival.admitted is passes


@every
def test_rate_is_told_and_clears(vendor: Vendor) -> None:
    """A second request in a minute that takes one is turned away in the vendor's way, and passes in the next minute."""
    world = played(vendor.account(more="limits = [{ kind = 'fixed', limit = 1 }]"))
    asked = calls("One.", target="es")
    assert isinstance(ask(world, vendor, asked)[1][0], Reply)
    (fault,) = ask(world, vendor, asked, 1.0)[1]
    assert isinstance(fault, Fault)
    assert fault.kind is (FaultKind.OVERLOAD if vendor.name == "apertium" else FaultKind.RATE)
    assert isinstance(ask(world, vendor, asked, 61.0)[1][0], Reply)


@every
def test_quota_is_told_apart_from_a_rate(vendor: Vendor) -> None:
    """A day that is used up is no rate, but where the server cannot say so."""
    world = played(vendor.account(more="limits = [{ kind = 'day', limit = 1 }]"))
    asked = calls("One.", target="es")
    ask(world, vendor, asked)
    (fault,) = ask(world, vendor, asked, 1.0)[1]
    assert isinstance(fault, Fault)
    assert fault.kind is (FaultKind.OVERLOAD if vendor.name == "apertium" else FaultKind.QUOTA)


@every
def test_unknown_key_is_turned_away(vendor: Vendor) -> None:
    """A name that is not known here, and none at all; only Apertium asks for no key."""
    for key in ("someone else", ""):
        (fault,) = ask(played(vendor.account()), vendor, calls("One.", target="es"), key=key)[1]
        if vendor.key:
            assert isinstance(fault, Fault)
            assert fault.kind is FaultKind.AUTH
        else:
            assert isinstance(fault, Reply)


@every
def test_outage_is_the_servers_fault(vendor: Vendor) -> None:
    """Whatever status it has, it is no rate and no quota."""
    (fault,) = ask(played(vendor.account("errors = { 500 = 1.0 }")), vendor, calls("One.", target="es"))[1]
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.OVERLOAD


@every
def test_text_that_is_missing_shifts_no_other(vendor: Vendor) -> None:
    """Where answers tell whose they are, one is asked again; else all are. Nobody gets another's text."""
    world = played(vendor.account("partial_answers = 1.0"), seed=3)
    asked = calls(*some(vendor), target="es")
    _, outcomes = ask(world, vendor, asked)
    found = texts(outcomes)
    wanted = ["\n".join(translated(line, "es") for line in text.split("\n")) for text in some(vendor)]
    lost = [n for n, text in enumerate(found) if text is FaultKind.MALFORMED]
    assert len(lost) == (0 if len(asked) == 1 else 1 if vendor.ids else len(asked))
    assert all(text == want for n, (text, want) in enumerate(zip(found, wanted, strict=True)) if n not in lost)


@every
def test_broken_json_is_malformed(vendor: Vendor) -> None:
    """A body that ends in the middle is no answer."""
    (fault,) = ask(played(vendor.account("malformed_json = 1.0")), vendor, calls("One.", target="es"))[1]
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.MALFORMED


@every
def test_text_above_a_limit_of_the_script_is_too_big(vendor: Vendor) -> None:
    """`largest` is in the vendor's unit; a text of just that size passes."""
    weight = vendor.unit(UNITS)
    asked = calls(UNITS, target="es")
    assert isinstance(ask(played(vendor.account(more=f"largest = {weight}")), vendor, asked)[1][0], Reply)
    arrival, (fault,) = ask(played(vendor.account(more=f"largest = {weight - 1}")), vendor, asked)
    assert arrival.kind is Kind.TOO_BIG
    assert isinstance(fault, Fault)
    exact = {"apertium": FaultKind.OVERLOAD, "baidu": FaultKind.BAD}  # these cannot say it
    assert fault.kind is exact.get(vendor.name, FaultKind.TOO_BIG)


# Signatures


@every_signer
def test_wrong_secret_is_told_apart_from_a_wrong_name(vendor: Vendor) -> None:
    """The name is known, and the signature is not made with its secret."""
    world = played(vendor.account())
    arrival, (fault,) = ask(world, vendor, calls("One.", target="es"), key=f"{vendor.key.partition(' ')[0]} another")
    assert arrival.kind is Kind.UNSIGNED
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.AUTH
    assert book(world, vendor)["refused"] == {"unsigned": 1}


def changed(request: HttpRequest, vendor: Vendor) -> HttpRequest:
    """The request with another text, of the same length."""
    body = request.body.replace(b"One.", b"Two.").replace(b"One%2E", b"Two%2E")
    assert body != request.body
    return replace(request, body=body)


@every_signer
def test_request_that_was_changed_on_its_way_is_refused(vendor: Vendor) -> None:
    """The text is signed."""
    asked = calls("One.", target="es")
    request = vendor.request("http://simulator", asked)
    assert isinstance(post(played(vendor.account()), vendor, asked, request)[1][0], Reply)
    arrival, _ = post(played(vendor.account()), vendor, asked, changed(request, vendor))
    assert arrival.kind is Kind.UNSIGNED


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("amazon_translate", "X-Amz-Date", "20260102T000000Z"),
        ("amazon_translate", "X-Amz-Date", "20260101T000001Z"),
        ("amazon_translate", "Content-Type", "application/json"),
        ("amazon_translate", "X-Amz-Security-Token", "not signed"),
        ("alibaba_mt", "x-acs-date", "2026-01-01T00:00:01Z"),
        ("alibaba_mt", "x-acs-signature-nonce", "other"),
        ("alibaba_mt", "x-acs-content-sha256", "0" * 64),
        ("alibaba_mt", "x-acs-security-token", "not signed"),
    ],
)
def test_headers_are_signed(name: str, header: str, value: str) -> None:
    """One that was changed or put in makes the signature wrong."""
    vendor = next(vendor for vendor in VENDORS if vendor.name == name)
    asked = calls("One.", target="es")
    request = vendor.request("http://simulator", asked)
    arrival, _ = post(played(vendor.account()), vendor, asked, replace(request, headers={**request.headers, header: value}))
    assert arrival.kind is Kind.UNSIGNED


@every_signer
def test_anybody_is_let_in_where_there_are_no_keys(vendor: Vendor) -> None:
    """An account without keys checks none."""
    world = played(replace(vendor, key="").account())
    assert isinstance(ask(world, vendor, calls("One.", target="es"), key="a b")[1][0], Reply)


# Errors as the vendor spells them


def refused(name: str, kind: Kind, status: int = 0, hint: float | None = None) -> Response:
    return find(name).refuse(Facts("translation"), Refused(kind, "no", status=status), replace(SLIP, hint=hint))


@pytest.mark.parametrize(
    ("name", "kind", "status", "told"),
    [
        ("libretranslate", Kind.RATE, 429, "Slowdown: "),
        ("libretranslate", Kind.BANNED, 403, "Too many request limits violations"),
        ("libretranslate", Kind.AUTH, 403, "Invalid API key"),
        ("apertium", Kind.PAIR, 400, "That pair is not installed"),
        ("apertium", Kind.RATE, 503, "internal error"),
        ("deepl", Kind.RATE, 429, "Too many requests"),
        ("deepl", Kind.QUOTA, 456, "Quota exceeded"),
        ("deepl", Kind.TOO_BIG, 413, "Too Large"),
        ("deepl", Kind.AUTH, 403, "Authorization failure"),
        ("deepl", Kind.OVERLOAD, 503, "unavailable"),
        ("google_translate", Kind.RATE, 403, '"reason":"userRateLimitExceeded"'),
        ("google_translate", Kind.QUOTA, 403, '"reason":"dailyLimitExceeded"'),
        ("google_translate", Kind.BURST, 429, '"status":"RESOURCE_EXHAUSTED"'),
        ("google_translate", Kind.AUTH, 400, '"reason":"keyInvalid"'),
        ("google_translate", Kind.BAD, 400, '"status":"INVALID_ARGUMENT"'),
        ("azure_translator", Kind.RATE, 429, '"code":429001'),
        ("azure_translator", Kind.QUOTA, 403, '"code":403001'),
        ("azure_translator", Kind.TOO_BIG, 400, '"code":400077'),
        ("azure_translator", Kind.PAIR, 400, '"code":400036'),
        ("azure_translator", Kind.OVERLOAD, 503, '"code":503000'),
        ("baidu", Kind.RATE, 200, '"error_code":"54003"'),
        ("baidu", Kind.BURST, 200, '"error_code":"54005"'),
        ("baidu", Kind.QUOTA, 200, '"error_code":"54004"'),
        ("baidu", Kind.UNSIGNED, 200, '"error_code":"54001"'),
        ("baidu", Kind.AUTH, 200, '"error_code":"52003"'),
        ("baidu", Kind.BAD, 200, '"error_code":"54000"'),
        ("youdao", Kind.RATE, 200, '"errorCode":"411"'),
        ("youdao", Kind.QUOTA, 200, '"errorCode":"401"'),
        ("youdao", Kind.UNSIGNED, 200, '"errorCode":"202"'),
        ("youdao", Kind.AUTH, 200, '"errorCode":"108"'),
        ("youdao", Kind.BAD, 200, '"errorCode":"101"'),
        ("amazon_translate", Kind.RATE, 400, '"__type":"ThrottlingException"'),
        ("amazon_translate", Kind.QUOTA, 400, '"__type":"LimitExceededException"'),
        ("amazon_translate", Kind.UNSIGNED, 400, '"__type":"InvalidSignatureException"'),
        ("amazon_translate", Kind.BAD, 400, '"__type":"InvalidRequestException"'),
        ("amazon_translate", Kind.OVERLOAD, 500, '"__type":"InternalServerException"'),
        ("alibaba_mt", Kind.RATE, 400, '"Code":"Throttling.User"'),
        ("alibaba_mt", Kind.QUOTA, 400, '"Code":"InsufficientBalance"'),
        ("alibaba_mt", Kind.UNSIGNED, 400, '"Code":"SignatureDoesNotMatch"'),
        ("alibaba_mt", Kind.TOO_BIG, 200, '"Code":108'),
        ("alibaba_mt", Kind.BAD, 200, '"Code":104'),
    ],
)
def test_errors_have_the_vendors_status_and_code(name: str, kind: Kind, status: int, told: str) -> None:
    """Many under 200, a rate under 403 or 400: what a client must not be misled by."""
    response = refused(name, kind)
    assert response.status == status
    assert told in response.body.decode()


def test_azure_sends_nothing_with_a_wrong_key_and_a_wait_with_a_rate() -> None:
    """An empty 401; `retry-after` in whole seconds, rounded up, beside a 429 alone."""
    assert (refused("azure_translator", Kind.AUTH).status, refused("azure_translator", Kind.AUTH).body) == (401, b"")
    assert refused("azure_translator", Kind.RATE, hint=2.1).headers["retry-after"] == "3"
    assert "retry-after" not in refused("azure_translator", Kind.QUOTA, hint=2.1).headers


@pytest.mark.parametrize(
    "name", ["deepl", "google_translate", "azure_translator", "amazon_translate", "alibaba_mt", "libretranslate"]
)
def test_weather_may_name_the_status_of_an_error(name: str) -> None:
    """Any from 500 to 599, where the vendor has statuses at all."""
    assert refused(name, Kind.OVERLOAD, 529).status == 529


# What they do not take


def opened(name: str, body: Any, query: str = "", **headers: str) -> Opened:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {header.replace("_", "-"): value for header, value in headers.items()}
    return find(name).opened(Received("POST", "/", query, named, data), ())


def unreadable(name: str, body: Any, method: str = "POST", query: str = "", **headers: str) -> Kind:
    with pytest.raises(Unreadable) as caught:
        find(name).read(method, find(name).paths[0], opened(name, body, query, **headers).fields)
    return caught.value.kind


AMAZON = {"x_amz_target": "AWSShineFrontendService_20170701.TranslateText"}
ALIBABA = {"x_acs_action": "GetBatchTranslate", "x_acs_version": "2018-10-12"}
FORM = b"FormatType=text&ApiType=translate_standard&"


@pytest.mark.parametrize(
    ("name", "body", "more", "kind"),
    [
        ("libretranslate", b"[", {}, Kind.BAD),
        ("apertium", b"langpair=eng&q=x&format=txt", {}, Kind.BAD),
        ("apertium", b"langpair=eng|spa&q=x", {}, Kind.BAD),
        ("apertium", b"langpair=eng|xxx&q=x&format=txt", {}, Kind.PAIR),
        ("apertium", b"langpair=eng|spa&format=txt", {}, Kind.BAD),
        ("deepl", b"[]", {}, Kind.BAD),
        ("deepl", {"text": "x", "source_lang": "EN", "target_lang": "DE"}, {}, Kind.BAD),
        ("deepl", {"text": ["x"], "source_lang": "EN", "target_lang": "EN"}, {}, Kind.PAIR),
        ("deepl", {"text": ["x"], "source_lang": "EN-GB", "target_lang": "DE"}, {}, Kind.PAIR),
        ("deepl", {"text": ["x"] * 51, "source_lang": "EN", "target_lang": "DE"}, {}, Kind.TOO_BIG),
        ("deepl", {"text": ["x" * 140_000], "source_lang": "EN", "target_lang": "DE"}, {}, Kind.TOO_BIG),
        ("google_translate", {"q": ["x"], "source": "en", "target": "de"}, {}, Kind.BAD),
        ("google_translate", {"q": ["x"], "source": "en", "target": "xx", "format": "text"}, {}, Kind.PAIR),
        ("google_translate", {"q": ["x"] * 129, "source": "en", "target": "de", "format": "text"}, {}, Kind.TOO_BIG),
        ("azure_translator", [{"Text": "x"}], {"query": "from=en&to=de"}, Kind.BAD),
        ("azure_translator", {"Text": "x"}, {"query": "api-version=3.0&from=en&to=de"}, Kind.BAD),
        ("azure_translator", [{"text": "x"}], {"query": "api-version=3.0&from=en&to=de"}, Kind.BAD),
        ("azure_translator", [{"Text": "x"}], {"query": "api-version=3.0&from=en&to=zh"}, Kind.PAIR),
        ("azure_translator", [{"Text": "x" * 50_001}], {"query": "api-version=3.0&from=en&to=de"}, Kind.TOO_BIG),
        ("baidu", b"q=x&from=en&to=zh", {}, Kind.BAD),
        ("baidu", b"q=%0A&from=en&to=zh&salt=1", {}, Kind.BAD),
        ("baidu", b"q=x&from=en&to=es&salt=1", {}, Kind.PAIR),
        ("baidu", b"q=" + b"x" * 6_001 + b"&from=en&to=zh&salt=1", {}, Kind.TOO_BIG),
        ("youdao", b"q=x&from=en&to=fr&curtime=1", {}, Kind.BAD),
        ("youdao", b"q=x&from=en&to=zh&curtime=1&signType=v3", {}, Kind.PAIR),
        ("youdao", b"q=" + b"x" * 5_001 + b"&from=en&to=fr&curtime=1&signType=v3", {}, Kind.TOO_BIG),
        ("amazon_translate", {"Text": "x"}, {}, Kind.UNKNOWN),
        ("amazon_translate", {"SourceLanguageCode": "en", "TargetLanguageCode": "es"}, AMAZON, Kind.BAD),
        ("amazon_translate", {"Text": "x", "SourceLanguageCode": "en", "TargetLanguageCode": "zh-Hans"}, AMAZON, Kind.PAIR),
        (
            "amazon_translate",
            {"Text": "中" * 3_334, "SourceLanguageCode": "zh", "TargetLanguageCode": "en"},
            AMAZON,
            Kind.TOO_BIG,
        ),
        ("alibaba_mt", b"", {}, Kind.UNKNOWN),
        ("alibaba_mt", b'SourceText={"0":"x"}&SourceLanguage=en&TargetLanguage=zh', ALIBABA, Kind.BAD),
        ("alibaba_mt", FORM + b"SourceText=x&SourceLanguage=en&TargetLanguage=zh", ALIBABA, Kind.BAD),
        ("alibaba_mt", FORM + b'SourceText={"0":"x"}&SourceLanguage=en&TargetLanguage=zh-tw', ALIBABA, Kind.PAIR),
        (
            "alibaba_mt",
            FORM + b'SourceText={"0":"' + b"x" * 1_001 + b'"}&SourceLanguage=en&TargetLanguage=zh',
            ALIBABA,
            Kind.TOO_BIG,
        ),
    ],
)
def test_bad_requests_are_refused(name: str, body: Any, more: dict[str, str], kind: Kind) -> None:
    """Missing fields, languages that are not there, more than the vendor takes: each by its own kind."""
    assert unreadable(name, body, **more) is kind


@pytest.mark.parametrize("name", ["deepl", "google_translate", "azure_translator"])
def test_what_is_posted_cannot_be_fetched(name: str) -> None:
    """Another method is another path."""
    assert unreadable(name, b"{}", method="GET") is Kind.UNKNOWN


def test_lists_of_languages_are_read_by_our_dialects() -> None:
    """LibreTranslate's and Apertium's servers tell their pairs; the vendors' lists are not played."""
    for name in ("libretranslate", "apertium"):
        vendor = next(vendor for vendor in VENDORS if vendor.name == name)
        facts = find(name).read("GET", find(name).paths[1], {})
        response = find(name).models((), SLIP)
        assert facts.task == "models"
        inquiry: Any = vendor.provider.languages
        found = inquiry.read(response)
        assert found.pair("en", "es")
        assert found.pair("es", "en")
    assert find("deepl").models((), SLIP).status == 404


@every
def test_every_dialect_of_ours_is_played(vendor: Vendor) -> None:
    """A file of the folder is named as the dialect that it answers, and its paths are those that are asked."""
    assert vendor.name in names()
    path = urlsplit(vendor.request("http://simulator", calls("One.", target="es")).url).path
    assert path.removeprefix(f"/{vendor.name}") in find(vendor.name).paths
