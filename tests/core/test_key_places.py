"""Places of keys, as a plan names them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.keys import Source, required, sources


def test_places_are_told_apart() -> None:
    """A blank parts two places only where the next one begins; the mark of what may be missing is not part of the place."""
    assert sources(" env:ID\tfile:/my keys/env one  env:TOKEN? ") == (
        Source("env", "ID"),
        Source("file", "/my keys/env one"),
        Source("env", "TOKEN", optional=True),
    )
    assert [str(source) for source in sources("env:A file:b c?")] == ["env:A", "file:b c"]


def test_parts_that_must_be_there_are_counted() -> None:
    """Those without the mark."""
    assert (required("env:A env:B env:C?"), required("env:A?"), required(None)) == (2, 0, 0)


@given(st.text(max_size=30))
def test_what_is_no_place_is_none(text: str) -> None:
    """Any text is places or nothing; what is read is written in it."""
    for source in sources(text):
        assert source.kind in ("env", "file")
        assert str(source) in text
