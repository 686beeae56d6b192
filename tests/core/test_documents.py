"""What a record of the input is to a recipe, what is wrong with it, which encoding it is in, and which records a sample has."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.documents import (
    BINARY,
    CODECS,
    EMPTY,
    FLAWS,
    NO_TEXT,
    NOT_JSON,
    RECORDS,
    SEVERAL_TURNS,
    TEXTS,
    UNDECODABLE,
    Flaw,
    Form,
    JsonLine,
    Raw,
    Wanted,
    likely,
    made,
    sample,
)
from engine.core.track import Frontier

PLAIN = Form(TEXTS, {})
SIMPLIFIED = "春天到了，公园里的樱花开得正好，许多家庭带着孩子来散步，还有人坐在湖边画画。"
TRADITIONAL = "春天到了，公園裡的櫻花開得正好，許多家庭帶著孩子來散步，還有人坐在湖邊畫畫。"


def test_row_becomes_a_document_with_what_travels_along() -> None:
    """Text, id and language are found under our names, or under the plan's; every other column travels as meta."""
    row = {"id": "a-1", "text": "Hello.", "language": "en", "source": "web", "stars": 3}
    assert made(7, row, PLAIN).item == {
        "id": "input/7.0",
        "text": "Hello.",
        "language": "en",
        "doc": "a-1",
        "meta": {"source": "web", "stars": 3},
    }
    named = Form(TEXTS, {"text": "content", "id": "doc_id", "language": "lang"})
    item = made(0, {"doc_id": 5, "content": "Hi.", "lang": "de", "text": "other"}, named).item
    assert item == {"id": "input/0.0", "text": "Hi.", "language": "de", "doc": 5, "meta": {"text": "other"}}


def test_language_of_the_plan_is_for_documents_without_one() -> None:
    """A document's own language goes before that of the plan."""
    form = Form(TEXTS, {}, "zh")
    assert made(0, {"text": "a"}, form).item["language"] == "zh"
    assert made(0, {"text": "a", "language": "en"}, form).item["language"] == "en"
    assert made(0, b"a", form).item["language"] == "zh"
    assert made(0, {"text": "a", "language": None}, PLAIN).item["language"] is None


@pytest.mark.parametrize("encoding", CODECS)
def test_text_and_json_lines_are_decoded(encoding: Any) -> None:
    """Each encoding is read, in texts and in lines of JSON."""
    form = Form(TEXTS, {}, None, encoding)
    text = SIMPLIFIED if encoding != "big5" else TRADITIONAL
    assert made(0, text.encode(CODECS[encoding]), form).item["text"] == text
    line = f'{{"text": "{text}", "n": 1}}'.encode(CODECS[encoding])
    assert made(0, JsonLine(line), form).item["text"] == text


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [
        (b"  \n ", EMPTY),
        (b"\x89PNG\r\n\x1a\n\0\0", BINARY),
        (SIMPLIFIED.encode("gb18030"), UNDECODABLE),
        (JsonLine(b" \r"), EMPTY),
        (JsonLine(b'{"text": "a'), NOT_JSON),
        (JsonLine(b'["a"]'), NOT_JSON),
        (JsonLine(b'{"text": "caf\xe9"}'), UNDECODABLE),
        (JsonLine(b'{"text": "\\ud800"}'), NOT_JSON),
        (JsonLine(b'{"text": "a\\u0000b"}'), BINARY),
        (JsonLine(b'{"text": ""}'), EMPTY),
        (JsonLine(b'{"content": "a"}'), NO_TEXT),
        ({"text": 5}, NO_TEXT),
        (Flaw("too_large"), "too_large"),
    ],
)
def test_flaws_are_named(raw: Raw, flaw: str) -> None:
    """A record that is no document says why, under its number, and without its text."""
    document = made(3, raw, PLAIN)
    assert document.flaw == flaw
    assert flaw in FLAWS
    assert document.item.keys() == {"id", "doc", "columns"}


def test_flawed_row_keeps_who_it_is() -> None:
    """The user's own id and the names of the columns stay, so that the document can be found and mended."""
    assert made(0, {"id": "x", "body": "a"}, PLAIN).item == {"id": "input/0.0", "doc": "x", "columns": ["id", "body"]}


def test_records_come_in_three_forms() -> None:
    """Alpaca's columns, OpenAI's messages and ShareGPT's conversations give the same record; a system's words travel along."""
    form = Form(RECORDS, {})
    expected = {"instruction": "Add.", "input": "", "output": "3"}
    openai = {"messages": [{"role": "user", "content": "Add."}, {"role": "assistant", "content": "3"}], "k": 1}
    sharegpt = {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Add."},
            {"from": "gpt", "value": "3"},
        ]
    }
    for row, meta in (
        ({"instruction": "Add.", "output": "3"}, {}),
        (openai, {"k": 1}),
        (sharegpt, {"system": "Be brief."}),
    ):
        document = made(0, row, form)
        assert document.flaw is None
        assert {name: document.item[name] for name in RECORDS} == expected
        assert document.item["meta"] == meta


@pytest.mark.parametrize(
    ("row", "flaw"),
    [
        ({"instruction": "Add."}, NO_TEXT),
        ({"instruction": "", "output": "3"}, EMPTY),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 2}, SEVERAL_TURNS),
        ({"messages": [{"role": "assistant", "content": "b"}, {"role": "user", "content": "a"}]}, NO_TEXT),
        ({"messages": ["a"]}, NO_TEXT),
        ({"messages": [{"role": "user", "content": None}, {"role": "assistant", "content": "b"}]}, NO_TEXT),
    ],
)
def test_flaws_of_records(row: dict[str, Any], flaw: str) -> None:
    """A record without an answer, or of several turns, is none to this."""
    assert made(0, row, Form(RECORDS, {})).flaw == flaw


@pytest.mark.parametrize(
    ("text", "codec", "expected"),
    [
        (SIMPLIFIED, "utf-8", "utf-8"),
        (SIMPLIFIED, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (TRADITIONAL, "gb18030", "gb18030"),
        ("Überall grüßen früh Bäcker.", "latin-1", None),
        (SIMPLIFIED, "utf-16", None),
    ],
)
def test_encoding_is_guessed_from_bytes(text: str, codec: str, expected: str | None) -> None:
    """UTF-8, GB18030 and Big5 are told apart, and what is none of them is not taken for one."""
    assert likely([text.encode(codec)] * 20) == expected


@given(st.integers(0, 3000), st.integers(1, 400), st.integers(0, 5))
def test_sample_is_a_part_of_every_larger_one(total: int, size: int, seed: int) -> None:
    """As many numbers as asked for, in order, each once; and a pilot's sample is in that of the whole run."""
    small, large = sample(seed, total, size), sample(seed, total, size + 100)
    assert len(small) == min(size, total)
    assert list(small) == sorted(set(small))
    assert set(small) <= set(large) <= set(range(total))


def test_sample_is_even_and_depends_on_the_seed() -> None:
    """Every tenth of the input has its share, across the pieces in which numbers are drawn; another seed draws others."""
    total, size = 3_000_000, 30_000
    drawn = sample(1, total, size)
    tenths = Counter(number * 10 // total for number in drawn)
    assert all(abs(tenths[n] - size / 10) < 4 * (size / 10) ** 0.5 for n in range(10))
    common = len(set(drawn) & set(sample(2, total, size)))
    assert common < 3 * size * size / total


def frontier(*settled: int) -> Frontier:
    made = Frontier()
    for number in settled:
        made.add(number)
    return made


def test_wanted_records_are_the_unsettled_ones() -> None:
    """Reading starts at the lowest unsettled number and leaves out what is settled above it."""
    wanted = Wanted(frontier(0, 1, 2, 5))
    assert [wanted.after(number) for number in range(8)] == [3, 3, 3, 3, 4, 6, 6, 7]


def test_wanted_records_of_a_sample() -> None:
    """With a sample, only its numbers are read, and after the last one none is."""
    wanted = Wanted(frontier(4, 10), [4, 7, 10, 12])
    assert [wanted.after(number) for number in (0, 7, 8, 12, 13)] == [7, 7, 12, 12, None]
