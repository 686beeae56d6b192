"""Encoding: lines that nobody can cut in two, CSV that Excel opens, Parquet whose columns are found in the rows."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence

import orjson
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.faults import PlanError
from engine.exports.encode import Encode, json_lines, json_list, parquet, spreadsheet
from engine.exports.rows import Row
from tests.exports.examples import HOSTILE, LONG, quick

printable = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from([*HOSTILE, LONG])
cells = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(HOSTILE)
tables = st.lists(st.fixed_dictionaries({"a": printable, "b": st.lists(printable, max_size=2)}), max_size=4)


def encoded(encode: Encode, rows: Sequence[Row]) -> bytes:
    return b"".join(encode(lambda: rows))


@quick
@given(tables)
def test_json_comes_back(rows: list[Row]) -> None:
    """As a list and as lines; a line stays one for whoever cuts at any line break that Unicode knows."""
    assert orjson.loads(encoded(json_list, rows)) == rows
    lines = encoded(json_lines, rows)
    assert [orjson.loads(line) for line in lines.splitlines()] == rows
    assert [orjson.loads(line) for line in lines.decode().splitlines()] == rows


@quick
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
def test_spreadsheet_is_read_by_any_reader(rows: list[tuple[str, str]]) -> None:
    """A byte order mark, CRLF between rows, quotes around every cell, and the texts as they were."""
    data = encoded(spreadsheet, [{"id": id, "text": text} for id, text in rows])
    assert data.startswith(b'\xef\xbb\xbf"id","text"\r\n')
    assert data.endswith(b'"\r\n')
    read = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert read == [["id", "text"], *map(list, rows)]


def table(rows: Sequence[Row]) -> pyarrow.Table:
    return pyarrow.parquet.read_table(io.BytesIO(encoded(parquet, rows)))


@quick
@given(tables)
def test_parquet_comes_back(rows: list[Row]) -> None:
    """Texts of every kind, and lists of them."""
    if rows and any(row["b"] for row in rows):
        assert table(rows).to_pylist() == rows
    else:
        assert table(rows).num_rows == len(rows)


def test_columns_of_parquet_are_those_of_all_rows() -> None:
    """A part that comes late, a number that is whole at first, and what is always empty, over many row groups."""
    rows: list[Row] = [{"id": str(n), "p": {"n": n, "none": None, "empty": {}, "list": []}} for n in range(2500)]
    rows[2400]["p"] |= {"n": 0.5, "late": "x", "list": [{"q": 1}]}
    found = table(rows).to_pylist()
    assert found[0] == {"id": "0", "p": {"n": 0.0, "list": [], "late": None}}
    assert found[2400] == {"id": "2400", "p": {"n": 0.5, "list": [{"q": 1}], "late": "x"}}
    assert len(found) == 2500
    assert pyarrow.parquet.ParquetFile(io.BytesIO(encoded(parquet, rows))).num_row_groups == 3


def test_parquet_of_nothing_has_columns() -> None:
    """A run without records is a table without rows."""
    assert table([]).column_names == ["id", "instruction", "input", "output"]


def test_rows_that_are_no_table_are_told() -> None:
    """A field that is a text here and a number there is no column: another format is offered."""
    with pytest.raises(PlanError, match="choose the format jsonl"):
        table([{"a": "x"}, {"a": 1}])
    with pytest.raises(PlanError, match="choose the format jsonl"):
        table([*({"a": "x"} for _ in range(1000)), {"a": 1}])


def test_missing_pyarrow_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: without it there is a way to get it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PlanError, match=r"pip install 'seeddrill\[parquet\]'"):
        table([])
