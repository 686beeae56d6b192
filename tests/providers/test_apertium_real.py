"""Apertium's own server and our dialect of it, over a real socket: pairs, translations, what it cannot do."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import pytest

from engine.core.faults import FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.runtime.clock import Clock
from engine.runtime.wire import Wire
from providers.apertium import PROVIDER
from tests.embedded import apertium, needs_apertium
from tests.translators import STAMP, calls, lane, texts


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with apertium() as found:
        yield found


def answered(request: HttpRequest) -> HttpResponse:
    async def main() -> HttpResponse:
        async with Wire(Clock(anyio.current_time, time.time)) as wire:
            return await wire.send(request, 30.0)

    return anyio.run(main)


def translated(address: str, text: str, source: str, target: str) -> str | FaultKind:
    asked = calls(text, source=source, target=target)
    response = answered(PROVIDER.encode(asked, lane(base_url=address), STAMP))
    (outcome,) = texts(PROVIDER.decode(asked, response))
    return outcome


@needs_apertium
def test_real_server_tells_its_pairs(address: str) -> None:
    """English and Spanish, in both directions, by our tags, and no modes of regions."""
    found = PROVIDER.languages.read(answered(PROVIDER.languages.request(lane(base_url=address))))
    assert found.pair("en", "es") == ("eng", "spa")
    assert found.pair("es", "en") == ("spa", "eng")
    assert found.pair("en", "zh") is None
    assert "_" not in str(found)


@needs_apertium
def test_real_server_translates(address: str) -> None:
    """There and back, with the marks of a form and of HTML as they were, and unknown words without a star."""
    assert translated(address, "The house is red.", "en", "es") == "La casa es roja."
    assert translated(address, "La casa es roja.", "es", "en") == "The house is red."
    assert translated(address, "The house & the Zqxwv <b>=1+1%?", "en", "es") == "La casa & el Zqxwv <b>=1+1%?"
    assert translated(address, "The house is red.\n\nThe cat is white.", "en", "es") == "La casa es roja.\n\nEl gato es blanco."


@needs_apertium
def test_real_server_refuses_what_it_has_not(address: str) -> None:
    """A pair that is not installed is the request's fault, a path that is not there the lane's."""
    assert translated(address, "The house is red.", "en", "zh") is FaultKind.BAD
    assert translated(f"{address}/nowhere", "The house is red.", "en", "es") is FaultKind.AUTH
