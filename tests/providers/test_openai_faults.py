"""Every answer of the table of faults means what the table says, for each server that speaks OpenAI's dialect."""

from __future__ import annotations

import pytest

import providers
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.types import Chat, Decoding, Message
from tests.providers.openai_faults import EXCHANGES, STREAMS, Broken, Exchange

CALL = Chat((Message("user", "Name a river."),), Decoding(max_tokens=50))
TEXT = 'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"The Wi"},"finish_reason":null}]}\n\n'


def fault_of(exchange: Exchange) -> Fault:
    """What its dialect makes of an answer."""
    response = HttpResponse(exchange.status, exchange.headers, exchange.body.encode())
    (outcome,) = providers.find(exchange.provider).decode((CALL,), response)
    assert isinstance(outcome, Fault)
    return outcome


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange.name for exchange in EXCHANGES])
def test_answer_means_what_the_table_says(exchange: Exchange) -> None:
    """Kind and hint of each answer are as the vendor means them, and its text is short."""
    fault = fault_of(exchange)
    assert (fault.kind, fault.retry_after) == (exchange.kind, exchange.retry_after)
    assert len(fault.detail) < 300


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange.name for exchange in EXCHANGES])
def test_only_an_answer_under_200_may_have_been_paid_for(exchange: Exchange) -> None:
    """What is turned away costs nothing; an answer that came and cannot be read was made."""
    assert fault_of(exchange).billed == (exchange.kind is FaultKind.MALFORMED)


def test_table_has_every_kind_of_fault() -> None:
    """No kind lacks an example, and no two rows have the same name."""
    assert {exchange.kind for exchange in EXCHANGES} == set(FaultKind)
    assert len({exchange.name for exchange in EXCHANGES}) == len(EXCHANGES)


@pytest.mark.parametrize("broken", STREAMS, ids=[f"{broken.vendor}: {broken.kind}" for broken in STREAMS])
def test_error_inside_a_stream_means_its_kind(broken: Broken) -> None:
    """An error that comes after some text, under status 200, is the same fault as one that comes alone."""
    reader = providers.find("openai").reader(CALL)
    assert reader is not None
    assert reader.feed(TEXT.encode()) == "The Wi"
    with pytest.raises(Fault) as caught:
        reader.feed(f"data: {broken.event}\n\n".encode())
    assert caught.value.kind is broken.kind
