"""Azure's dialect: what is sent, what every kind of answer means. Bodies as its server sends them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from engine.core.faults import FaultKind
from engine.core.http import HttpRequest, Stamp
from engine.core.types import Reply
from providers.azure_translator import PROVIDER
from tests.translators import UNITS, T, calls, characters, decoded, fault, lane, reads_anything, texts

KEY = "azure-subscription-key"
TWO = calls("One.", "Two.")


def encoded(*said: str, source: str = "en", target: str = "de", **more: Any) -> HttpRequest:
    return PROVIDER.encode(calls(*said, source=source, target=target), lane(**more), Stamp(T, "", KEY))


def query(source: str = "en", target: str = "de", **more: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(encoded("x", source=source, target=target, **more).url).query)


def answer(*said: str) -> list[dict[str, Any]]:
    return [{"translations": [{"text": text, "to": "zh-Hans"}]} for text in said]


def error(code: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no"}}


def test_texts_are_sent_together() -> None:
    """A list of objects, the pair in the query, the key in a header."""
    request = encoded("One.", "Two.", target="zh")
    assert request.method == "POST"
    assert request.url == (
        "https://api.cognitive.microsofttranslator.com/translate?api-version=3.0&from=en&to=zh-Hans&textType=plain"
    )
    assert request.headers == {"Content-Type": "application/json; charset=UTF-8", "Ocp-Apim-Subscription-Key": KEY}
    assert orjson.loads(request.body) == [{"Text": "One."}, {"Text": "Two."}]
    assert "Ocp-Apim-Subscription-Key" not in PROVIDER.encode(TWO, lane(), Stamp(T, "")).headers


@pytest.mark.parametrize(
    ("region", "base_url", "home"),
    [
        (None, None, "https://api.cognitive.microsofttranslator.com/translate"),
        ("westeurope", None, "https://api.cognitive.microsofttranslator.com/translate"),
        ("chinaeast2", None, "https://api.translator.azure.cn/translate"),
        ("chinaeast2", "http://127.0.0.1:1/z/", "http://127.0.0.1:1/z/translate"),
    ],
)
def test_region_is_a_header_and_may_be_an_address(region: str | None, base_url: str | None, home: str) -> None:
    """A resource of a region is asked with its name; China has servers of its own."""
    request = encoded("x", region=region, base_url=base_url)
    assert request.url.partition("?")[0] == home
    assert request.headers.get("Ocp-Apim-Subscription-Region") == region


def test_category_and_more_parameters_are_sent() -> None:
    """A lane's `model` is the category of a custom system."""
    told = query(model="my-category", extra={"profanityAction": "Marked"})
    assert (told["category"], told["profanityAction"]) == (["my-category"], ["Marked"])
    assert "category" not in query()
    assert PROVIDER.key(lane()) == "env:AZURE_TRANSLATOR_KEY"
    assert PROVIDER.key(lane(base_url="http://other")) is None


@pytest.mark.parametrize(
    ("source", "target", "codes"),
    [
        ("zh-CN", "zh-TW", ("zh-Hans", "zh-Hant")),
        ("en-US", "fr-CA", ("en", "fr-ca")),
        ("sr", "sr-Latn", ("sr-Cyrl", "sr-Latn")),
        ("pt-PT", "no", ("pt-pt", "nb")),
    ],
)
def test_codes_are_azures(source: str, target: str, codes: tuple[str, str]) -> None:
    """Scripts as we write them, regions in small letters."""
    told = query(source, target)
    assert (told["from"], told["to"]) == ([codes[0]], [codes[1]])


def test_answers_are_read_in_order() -> None:
    """Texts of the one target, and what was metered, parted by the weight of each."""
    outcomes = decoded(PROVIDER, calls("12345678", "1234"), answer("一", "二"), x_metered_usage="12", x_mt_system="Team")
    assert texts(outcomes) == ["一", "二"]
    assert characters(outcomes) == [8, 4]
    assert isinstance(outcomes[0], Reply)
    assert outcomes[0].model == "Team"
    twice = decoded(PROVIDER, calls("12345678", "1234"), answer("一", "二"), x_metered_usage="24")
    assert characters(twice) == [16, 8]


@pytest.mark.parametrize("metered", [None, "many", "-1"])
def test_characters_are_code_points(metered: str | None) -> None:
    """Where nothing is metered, ours are as Azure counts."""
    headers = {} if metered is None else {"x_metered_usage": metered}
    outcomes = decoded(PROVIDER, calls(UNITS), answer("x"), **headers)
    assert characters(outcomes) == [9]
    assert PROVIDER.weigh(calls(UNITS)[0]).characters == 9


@pytest.mark.parametrize("body", [answer("一"), answer("一", "二", "三"), [], {}, b"", b"<html>", 3])
def test_another_number_of_texts_shifts_nothing(body: Any) -> None:
    """There are no ids, so all calls are asked again."""
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED] * 2


def test_item_without_a_text_is_missing_alone() -> None:
    """As many items as texts keep their places."""
    body = [{"translations": []}, {"translations": [{"text": "二"}]}]
    assert texts(decoded(PROVIDER, TWO, body)) == [FaultKind.MALFORMED, "二"]


def test_half_a_character_in_an_answer_is_mended() -> None:
    """A lone surrogate becomes the mark of what cannot be read."""
    assert texts(decoded(PROVIDER, calls("x"), b'[{"translations": [{"text": "a\\ud800"}]}]')) == ["a\ufffd"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(400000), FaultKind.BAD),
        (400, error(400036), FaultKind.BAD),
        (400, error(400050), FaultKind.TOO_BIG),
        (400, error(400072), FaultKind.TOO_BIG),
        (400, error(400077), FaultKind.TOO_BIG),
        (401, b"", FaultKind.AUTH),
        (401, error(401000), FaultKind.AUTH),
        (401, error("401"), FaultKind.AUTH),
        (403, error(403000), FaultKind.AUTH),
        (403, error(403001), FaultKind.QUOTA),
        (403, error("403"), FaultKind.QUOTA),
        (405, error(405000), FaultKind.AUTH),
        (408, error(408001), FaultKind.OVERLOAD),
        (408, error(408002), FaultKind.NETWORK),
        (415, error(415000), FaultKind.BAD),
        (429, error(429000), FaultKind.RATE),
        (429, error(429001), FaultKind.RATE),
        (429, b"", FaultKind.RATE),
        (500, error(500000), FaultKind.OVERLOAD),
        (503, error(503000), FaultKind.OVERLOAD),
        (400, {"error": "no"}, FaultKind.BAD),
    ],
)
def test_code_means_its_kind(status: int, body: Any, kind: FaultKind) -> None:
    """Six digits, of which the first three are the status; the gateway before it has a code of its own."""
    assert fault(PROVIDER, body, status).kind is kind


def test_fault_names_the_code_and_the_wait() -> None:
    """The code is told; a header says for how long."""
    found = fault(PROVIDER, error(429001), 429, retry_after="12")
    assert (found.detail, found.retry_after) == ("HTTP 429 429001 no", 12.0)


def test_anything_is_an_answer_or_a_fault() -> None:
    """Whatever a server sends."""
    reads_anything(PROVIDER, TWO, answer("一", "二"), error(429001))
