"""LibreTranslate's server as the simulator spells it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers.simulator.calls import Answered, Facts, Kind, Measure, Received, Refusal, Refused, Said, Slip, Weight
from providers.simulator.dialects import Opened, Unreadable, find, names
from providers.simulator.dialects.libretranslate import DIALECT

SLIP = Slip(1, 0.0)


def read(**body: Any) -> Facts:
    return DIALECT.read("POST", "/translate", opened(orjson.dumps(body)).fields)


def opened(body: bytes) -> Opened:
    return DIALECT.opened(Received("POST", "/translate", "", {}, body), ())


def answered(facts: Facts, *texts: str) -> Any:
    return orjson.loads(DIALECT.answer(facts, Answered(tuple(Said(text) for text in texts), Weight()), SLIP).body)


def test_the_key_stands_in_the_body() -> None:
    """Without one it is empty, and a body that cannot be read has none."""
    assert opened(b'{"api_key": "k"}').key == "k"
    assert opened(b"{}").key == ""
    assert opened(b"[").fields is None


def test_one_text_and_several() -> None:
    """A list gets a list back, and weighs as many requests; characters are those of all texts."""
    one, several = read(q="Hi there", source="en", target="zh"), read(q=["Hi", "Ho!"], source="auto", target="zh-Hans")
    assert (one.requests, one.characters, several.requests, several.characters) == (1, 8, 2, 5)
    assert answered(one, "x") == {"translatedText": "x"}
    body = answered(several, "x", "y")
    assert body["translatedText"] == ["x", "y"]
    assert [found["language"] for found in body["detectedLanguage"]] == ["en", "en"]


@pytest.mark.parametrize(
    "body",
    [
        {"source": "en", "target": "zh"},
        {"q": "", "source": "en", "target": "zh"},
        {"q": [], "source": "en", "target": "zh"},
        {"q": ["x", 3], "source": "en", "target": "zh"},
        {"q": "x", "source": "xx", "target": "zh"},
        {"q": "x", "source": "en", "target": "auto"},
        {"q": "x", "source": "en"},
    ],
)
def test_bad_requests_are_refused(body: dict[str, Any]) -> None:
    """Missing texts and unknown languages are the caller's fault."""
    with pytest.raises(Unreadable):
        read(**body)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Kind.RATE, 429),
        (Kind.BURST, 429),
        (Kind.QUOTA, 429),
        (Kind.BANNED, 403),
        (Kind.AUTH, 403),
        (Kind.TOO_BIG, 400),
        (Kind.BAD, 400),
        (Kind.OVERLOAD, 500),
        (Kind.UNKNOWN, 404),
    ],
)
def test_errors_are_one_text(kind: Kind, status: int) -> None:
    """With the vendor's status, and no hint."""
    bound = Refusal("requests a minute", kind, Measure.REQUESTS, 10**9, 5, 5, 1) if kind in (Kind.RATE, Kind.TOO_BIG) else None
    response = DIALECT.refuse(Facts("translation"), Refused(kind, "No.", bound=bound), Slip(1, 0.0, (), 9.0))
    body = orjson.loads(response.body)
    assert response.status == status
    assert list(body) == ["error"]
    assert isinstance(body["error"], str)
    assert body["error"].startswith("Slowdown") == (status == 429)
    assert list(response.headers) == ["content-type"]


def test_dialects_are_found_by_their_file() -> None:
    """Each file of the folder has one, which serves some paths."""
    assert {"libretranslate", "openai", "anthropic"} <= set(names())
    assert all(find(name).paths for name in names())
