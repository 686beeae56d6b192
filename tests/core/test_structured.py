"""Answers in JSON: read wherever they stand, and as far as they go."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.parse import Malformed
from engine.core.structured import TEXT, a_list, an_object, field, listed

VALUES = st.lists(st.text(max_size=30) | st.dictionaries(st.sampled_from("ab"), st.text(max_size=20)), max_size=8)


@given(VALUES, st.sampled_from(["", "Here it is:\n```json\n", "Sure. {not json} "]), st.sampled_from(["", "\n```\nI hope so."]))
def test_list_is_found_among_other_words(values: list[object], before: str, after: str) -> None:
    """A fence, a remark before or after, braces that are no object."""
    text = before + json.dumps({"tasks": values}, ensure_ascii=False) + after
    assert listed(text, "tasks") == (values, True)


@given(VALUES, st.data())
def test_of_a_cut_answer_the_whole_values_stay(values: list[object], data: st.DataObject) -> None:
    """Wherever an answer breaks off, what is read is a beginning of what was meant, and never a part of a value."""
    text = json.dumps({"tasks": values}, ensure_ascii=False)
    cut = data.draw(st.integers(0, len(text) - 1))
    try:
        found = listed(text[:cut], "tasks")
    except Malformed:
        assert '["' not in text[:cut].replace(" ", "") or '"tasks":[' not in text[:cut].replace(" ", "")
        return
    assert not found.whole
    assert found.values == values[: len(found.values)]
    assert len(json.dumps({"tasks": found.values}, ensure_ascii=False)) >= min(cut, len(text)) - 300


@given(st.text(max_size=200))
def test_any_text_is_read_or_malformed(text: str) -> None:
    """Nothing that a model says raises anything else."""
    for read in (field, listed):
        try:
            read(text, "tasks")
        except Malformed as malformed:
            assert malformed.reason == "no_json"


def test_line_breaks_inside_texts_are_taken() -> None:
    """Models write them as they are, which JSON forbids."""
    assert field('{"text": "two\nlines"}', "text") == "two\nlines"


def test_deep_nesting_is_no_crash() -> None:
    """A model that opens brackets for ever has said nothing."""
    with pytest.raises(Malformed):
        field("[" * 100_000 + "{" * 50, "tasks")


def test_schema_says_order_and_that_there_is_no_more() -> None:
    """What servers need to enforce it strictly."""
    schema = an_object(tasks=a_list(an_object(output=TEXT, input=TEXT)))
    item = schema["properties"]["tasks"]["items"]
    assert list(item["properties"]) == item["required"] == ["output", "input"]
    assert item["additionalProperties"] is schema["additionalProperties"] is False
