"""Every documented error of every vendor means what the table says, and the table leaves out nothing that a dialect knows."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import MappingProxyType
from typing import Any

import orjson
import pytest

import providers
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.types import Chat, Decoding, Message, Translation
from providers import profile
from tests.providers.documented_faults import STREAMS, TABLE, Row

SAME = {"local": "llama_cpp", "llm_translate": "openai"}
"""Dialects that send what another one does."""
ROWS = [(name, n) for name, rows in TABLE.items() for n in range(len(rows))]


def asked(name: str) -> Chat | Translation:
    accepts = providers.find(name).accepts
    chat = Chat((Message("user", "Name a river."),), Decoding(max_tokens=50))
    return chat if Chat in accepts else Translation("Fluss", "de", "en")


def data(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


@pytest.mark.parametrize(("name", "n"), ROWS, ids=[f"{name} {n}: {TABLE[name][n].status}" for name, n in ROWS])
def test_an_error_means_what_its_vendor_says(name: str, n: int) -> None:
    """Kind, seconds to wait, and whether it may have been paid for; the same under any number of texts; its words are short."""
    row: Row = TABLE[name][n]
    call = asked(name)
    response = HttpResponse(row.status, row.headers, data(row.body))
    (fault,) = providers.find(name).decode((call,), response)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.retry_after, fault.billed, fault.reached) == (row.kind, row.hint, row.billed, True)
    assert len(fault.detail) < 300
    if providers.find(name).texts > 1:
        assert [str(one) for one in providers.find(name).decode((call, call), response)] == [str(fault)] * 2


@pytest.mark.parametrize("name", STREAMS)
def test_an_error_inside_a_stream_is_the_same_fault(name: str) -> None:
    """It comes under status 200, after some words, which were paid for; however the bytes are cut."""
    for text, kind in STREAMS[name]:
        for size in (1, 7, 10_000):
            reader = providers.find(name).reader(asked(name))
            assert reader is not None
            chunks = [text.encode()[at : at + size] for at in range(0, len(text.encode()), size)]
            with pytest.raises(Fault) as caught:
                for chunk in chunks:
                    reader.feed(chunk)
            assert (caught.value.kind, caught.value.billed) == (kind, True), text
            assert reader.close().text == "The Wi"


def test_every_dialect_is_in_the_table() -> None:
    """All that there are, each with at least ten answers; all kinds of fault; streams for each language model."""
    own = set(providers.names()) - SAME.keys()
    assert TABLE.keys() == own
    assert min(map(len, TABLE.values())) >= 10
    assert {row.kind for rows in TABLE.values() for row in rows} == set(FaultKind)
    assert STREAMS.keys() == {name for name in own if providers.find(name).reader(asked(name)) is not None}
    for name, rows in TABLE.items():
        assert len({(row.status, data(row.body), *row.headers.values()) for row in rows}) == len(rows), name


def known(name: str) -> Iterator[str]:
    """The codes that a dialect knows: of its profile, or of the tables in its file."""
    own = vars(import_module(f"providers.{name}"))
    if isinstance(found := own.get("PROFILE"), profile.Profile):
        yield from found.codes
    for table in (own[one] for one in own if one.startswith("_") and one.isupper()):
        if isinstance(table, MappingProxyType | dict) and FaultKind in map(type, table.values()):
            yield from map(str, table)


@pytest.mark.parametrize("name", TABLE)
def test_every_code_that_a_dialect_knows_has_its_row(name: str) -> None:
    """A code in a dialect that no answer of the table has would be one that nobody tried."""
    text = b" ".join(data(row.body) + str(row.status).encode() for row in TABLE[name]).decode()
    assert not [code for code in known(name) if code not in text]


def test_every_code_of_openai_s_family_has_a_row() -> None:
    """What all of them share is tried with OpenAI's own, or with llama.cpp's."""
    text = b" ".join(data(row.body) for name in ("openai", "llama_cpp") for row in TABLE[name]).decode()
    assert not [code for code in profile.CODES if code not in text]
