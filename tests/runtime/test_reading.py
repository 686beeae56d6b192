"""The records of files: every format, packed and plain, wherever pieces end, and skipping that agrees with reading."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from engine.core.documents import LARGEST, NOT_JSON, TOO_LARGE, UNDECODABLE, Flaw, InputPlan, JsonLine
from engine.runtime import reading
from engine.runtime.reading import Blocks, JsonList, Lines, Records, Unreadable, records

PACK = {"": lambda data: data, ".gz": gzip.compress, ".zst": zstandard.compress}


def every(found: Records) -> list[Any]:
    return list(iter(found.next, None))


def plan(path: Path, **named: Any) -> InputPlan:
    return InputPlan(path=str(path), **named)


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The data in pieces that end at these places."""
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    yield from (data[start:end] for start, end in pairwise(ends))


SMALL = st.lists(st.sampled_from([b"", b"a", b" ", b"bb\r", "水".encode(), b"x" * 30]), max_size=40)
CUTS = st.lists(st.integers(0, 400), max_size=12)


@given(SMALL, CUTS, st.booleans())
def test_lines_are_those_of_the_text(lines: list[bytes], places: list[int], ended: bool) -> None:
    """Wherever pieces end, lines come whole and without their ends; a last one without an end is a line, too."""
    data = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert every(Lines(cut(data, places))) == [line.removesuffix(b"\r") for line in expected]


@given(SMALL, CUTS, st.lists(st.integers(0, 9), max_size=9), st.integers(0, 4))
def test_skipping_lines_is_reading_them_away(lines: list[bytes], places: list[int], steps: list[int], far: int) -> None:
    """What follows a skip is what follows as many lines, for both ways of counting; and a skip says how many there were."""
    data = b"\n".join(lines)
    before, reading.FAR = reading.FAR, far
    try:
        there, here = Lines(cut(data, places)), Lines(cut(data, places))
        for step in steps:
            assert there.skip(step) == sum(here.next() is not None for _ in range(step))
            assert there.next() == here.next()
    finally:
        reading.FAR = before


def test_lines_that_are_too_large_are_not_kept() -> None:
    """A line over the limit is a flaw, and the lines around it are read as ever."""
    data = b"one\n" + b"x" * (LARGEST + 1) + b"\ntwo\n"
    places = list(range(0, len(data), 1 << 20))
    assert every(Lines(cut(data, places))) == [b"one", Flaw(TOO_LARGE), b"two"]
    assert every(Lines(cut(b"x" * LARGEST, places))) == [b"x" * LARGEST]


def test_blocks_are_separated_by_blank_lines() -> None:
    """Any number of lines without a word separates blocks; a line inside one keeps its place; skipping counts the same blocks."""
    data = b"\n \nfirst line\nsecond line\r\n\t\n\n\nalone\n\nlast"
    assert every(Blocks(Lines(iter([data])))) == [b"first line\nsecond line", b"alone", b"last"]
    blocks = Blocks(Lines(iter([data])))
    assert blocks.skip(2) == 2
    assert blocks.next() == b"last"
    assert blocks.skip(3) == 0


def test_block_with_a_line_that_is_too_large_is_lost_as_a_whole() -> None:
    """Half a document is none; its neighbours stay."""
    data = b"a\n\nb\n" + b"x" * (LARGEST + 1) + b"\nc\n\nd"
    assert every(Blocks(Lines(iter([data])))) == [b"a", Flaw(TOO_LARGE), b"d"]


@pytest.mark.parametrize("packer", PACK)
def test_json_lines_plain_and_packed(tmp_path: Path, packer: str) -> None:
    """JSON lines come as they stand, with gzip, zstd or without; a byte order mark is no part of the first."""
    path = tmp_path / f"data.jsonl{packer}"
    path.write_bytes(PACK[packer]("\ufeff".encode() + b'{"text": "a"}\n\n{"text": "b"}'))
    assert every(records(path, plan(path))) == [JsonLine(b'{"text": "a"}'), JsonLine(b""), JsonLine(b'{"text": "b"}')]


def test_zstd_frames_one_after_the_other_are_one_file(tmp_path: Path) -> None:
    """Files of several frames, as parallel packers write them, are read to the end."""
    path = tmp_path / "data.txt.zst"
    path.write_bytes(zstandard.compress(b"one\ntw") + zstandard.compress(b"o\nthree\n"))
    assert every(records(path, plan(path, document="line"))) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("packer", [".gz", ".zst"])
def test_packed_file_that_ends_too_early_is_an_error(tmp_path: Path, packer: str) -> None:
    """A file that was cut off is not taken for a short one."""
    path = tmp_path / f"data.jsonl{packer}"
    lines = b"".join(b'{"text": "%d"}\n' % (n * 7919) for n in range(20_000))
    path.write_bytes(PACK[packer](lines)[:-20])
    with pytest.raises(reading.faults()):
        every(records(path, plan(path)))


def test_plain_file_is_read_as_long_as_it_was(tmp_path: Path) -> None:
    """Lines that are appended while a run reads belong to another input."""
    path = tmp_path / "data.txt"
    path.write_bytes(b"one\ntwo\n")
    found = records(path, plan(path, document="line"))
    assert found.next() == b"one"
    with path.open("ab") as file:
        file.write(b"three\n")
    assert every(found) == [b"two"]


@pytest.mark.parametrize(
    ("unit", "expected"), [("file", [b"a\nb\n\nc\n"]), ("block", [b"a\nb", b"c"]), ("line", [b"a", b"b", b"", b"c"])]
)
def test_text_file_is_one_document_or_many(tmp_path: Path, unit: Any, expected: list[bytes]) -> None:
    """A text file is a document, or its blocks are, or its lines."""
    path = tmp_path / "data.txt"
    path.write_bytes(b"a\nb\n\nc\n")
    assert every(records(path, plan(path, document=unit))) == expected


def test_whole_file_is_skipped_unopened_and_limited(tmp_path: Path) -> None:
    """A file that is one document needs not even be there to be passed over, and a huge one is a flaw."""
    assert records(tmp_path / "gone.txt", plan(tmp_path, document="file")).skip(5) == 1
    path = tmp_path / "big.txt"
    path.write_bytes(b"x" * (LARGEST + 1))
    assert every(records(path, plan(path, document="file"))) == [Flaw(TOO_LARGE)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(VALUES, max_size=8), CUTS, st.sampled_from([None, 2]))
def test_json_list_gives_its_values_one_by_one(values: list[Any], places: list[int], indent: int | None) -> None:
    """Wherever pieces end, inside a number or a character too, each value comes once; what is no object is a flaw."""
    data = json.dumps(values, ensure_ascii=False, indent=indent).encode()
    expected = [value if isinstance(value, dict) else Flaw(NOT_JSON) for value in values]
    assert every(JsonList(cut(data, places), "utf-8")) == expected
    assert JsonList(cut(data, places), "utf-8").skip(99) == len(values)


def test_json_list_with_bad_values_goes_on_behind_them() -> None:
    """A value that does not decode, or that no journal can hold, is a flaw and no end."""
    data = b'[{"text": "\xff\xfe"}, {"text": "\\ud800"}, {"n": 123456789012345678901234567890}, {"text": "b"}]'
    assert every(JsonList(iter([data]), "utf-8")) == [
        Flaw(UNDECODABLE, b'{"text": "\xff\xfe"}'),
        Flaw(NOT_JSON),
        Flaw(NOT_JSON),
        {"text": "b"},
    ]


@pytest.mark.parametrize("data", [b'[{"a": 1}', b'[{"a": 1}, {"b"', b'[{"a": 1} "\x00'])
def test_json_list_without_an_end_is_an_error(data: bytes) -> None:
    """A list that was cut off is not taken for a short one."""
    with pytest.raises(Unreadable):
        every(JsonList(iter([data]), "utf-8"))


def test_json_file_may_hold_a_list_or_lines(tmp_path: Path) -> None:
    """What a `.json` file is shows in its first character: exports are lists, many data sets are lines."""
    path = tmp_path / "data.json"
    path.write_bytes(b' [\n{"text": "a"}]')
    assert every(records(path, plan(path))) == [{"text": "a"}]
    path.write_bytes(b'{"text": "a"}\n')
    assert every(records(path, plan(path))) == [JsonLine(b'{"text": "a"}')]


def parquet(path: Path, count: int, group: int) -> None:
    columns = {"text": [f"text {n}" for n in range(count)], "n": list(range(count)), "image": [b"\x89PNG"] * count}
    pq.write_table(pa.table(columns), path, row_group_size=group)


@pytest.mark.parametrize("group", [7, 300, 2000])
def test_parquet_rows_in_any_order_of_skips(tmp_path: Path, group: int) -> None:
    """Rows come with their columns, bytes apart; skipping inside batches, across them and across row groups finds its row."""
    path = tmp_path / "data.parquet"
    parquet(path, 1500, group)
    assert [row["n"] for row in every(records(path, plan(path)))] == list(range(1500))
    found, at = records(path, plan(path)), 0
    for step in (0, 1, 255, 3, 600, 0, 311):
        assert found.skip(step) == step
        at += step
        assert found.next() == {"text": f"text {at}", "n": at}
        at += 1
    assert found.skip(5000) == 1500 - at
    assert found.next() is None


def test_parquet_values_become_json(tmp_path: Path) -> None:
    """Times, decimals and structures are written as JSON can hold them."""
    from datetime import datetime
    from decimal import Decimal

    path = tmp_path / "data.parquet"
    row = {"at": [datetime(2026, 1, 2)], "price": [Decimal("1.50")], "tags": [["a", "b"]], "who": [{"name": "x"}], "f": [0.5]}
    pq.write_table(pa.table(row), path)
    assert every(records(path, plan(path))) == [
        {"at": "2026-01-02 00:00:00", "price": "1.50", "tags": ["a", "b"], "who": {"name": "x"}, "f": 0.5}
    ]


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow is an extra: where it is missing, the error names it."""
    path = tmp_path / "data.parquet"
    parquet(path, 1, 1)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(Unreadable, match=r"pip install 'seeddrill\[parquet\]'"):
        records(path, plan(path))
