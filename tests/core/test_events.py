"""The decoders of streams: what the standard says, however the bytes are cut, and nothing without a bound."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.events import LONGEST, Documents, Event, Events, Lines
from engine.core.faults import Fault, FaultKind


def events(*chunks: bytes) -> list[Event]:
    decoder = Events()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.close()


def documents(*chunks: bytes) -> list[bytes]:
    decoder = Documents()
    return [document for chunk in chunks for document in decoder.feed(chunk)] + decoder.close()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at `places`."""
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


def plainly(data: bytes) -> list[Event]:
    """The standard's rules applied to the whole text at once, as its pseudocode has them."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found: list[Event] = []
    name, lines = "", list[str]()
    for line in [*text.split("\n"), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if lines:
                found.append(Event(name or "message", "\n".join(lines)))
            name, lines = "", []
        elif field == "data":
            lines.append(value)
        elif field == "event":
            name = value
    return found


PIECES = st.sampled_from(
    [b"data: ", b"data:", b"data", b"event: x", b"event:", b": ping", b":", b"id: 1", b"retry: 5", b"\n", b"\r", b"\r\n",
     b"\n\n", b"\r\n\r\n", b" ", "日本語".encode(), "🎻".encode(), b'{"a": 1}', b"[DONE]", b"\xff", b"\xef\xbb\xbf", b"data : x"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_the_events_of_the_whole(data: bytes, places: list[int]) -> None:
    """However the bytes are cut, the events are those that the standard finds in the text as a whole."""
    assert events(*cut(data, places)) == plainly(data)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=12))
def test_random_bytes_raise_nothing(data: bytes, places: list[int]) -> None:
    """Bytes that mean nothing give some events or none, the same for every split, and no error."""
    assert events(*cut(data, places)) == events(data)
    assert documents(*cut(data, places)) == documents(data)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_line_ends_of_all_three_kinds(end: bytes) -> None:
    """Names, data of several lines, comments and fields without meaning, whatever ends the lines."""
    lines = [b": hello", b"event: delta", b"data: one", b"data:two", b"id: 7", b"", b"event: ping", b"", b"data", b"", b""]
    assert events(end.join(lines)) == [Event("delta", "one\ntwo"), Event("message", "")]


def test_event_is_given_as_soon_as_a_carriage_return_ends_it() -> None:
    """A CR is not held back for an LF that may follow; the LF, when it comes, is not a line of its own."""
    decoder = Events()
    assert decoder.feed(b"data: a\r\r") == [Event("message", "a")]
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == [Event("message", "b")]


def test_character_split_between_chunks_is_whole() -> None:
    """The three bytes of a character that come in three pieces are one character."""
    data = "data: 犁\n\n".encode()
    assert events(*[data[n : n + 1] for n in range(len(data))]) == [Event("message", "犁")]


def test_last_event_needs_no_empty_line() -> None:
    """A stream that ends right after its last field has still said it."""
    assert events(b"data: a\n\ndata: [DONE]") == [Event("message", "a"), Event("message", "[DONE]")]


def test_documents_are_lines_that_are_not_blank() -> None:
    """Each line is a document; blank ones are not, and the last needs no end."""
    assert documents(b'{"a":1}\r\n\n  \n{"b"', b':2}\n{"c":3}') == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_long_line_passes() -> None:
    """A line of 200 KB, which some readers of lines refuse, is one event."""
    text = "x" * 200_000
    data = f"data: {text}\n\n".encode()
    assert events(*[data[n : n + 1000] for n in range(0, len(data), 1000)]) == [Event("message", text)]


@pytest.mark.parametrize("decoder", [Lines, Events, Documents])
def test_endless_line_is_a_fault(decoder: type[Lines | Events | Documents]) -> None:
    """A server that never ends its line is stopped at the limit, with a fault that says so."""
    stream = decoder()
    with pytest.raises(Fault, match="more than 8 MiB") as caught:
        for _ in range(LONGEST // 100_000 + 2):
            stream.feed(b"x" * 100_000)
    assert (caught.value.kind, caught.value.billed) == (FaultKind.MALFORMED, True)


def test_endless_event_is_a_fault() -> None:
    """Nor may an event gather lines for ever."""
    stream = Events()
    with pytest.raises(Fault, match="more than 8 MiB"):
        for _ in range(LONGEST // 100_000 + 2):
            stream.feed(b"data: " + b"x" * 100_000 + b"\n")
