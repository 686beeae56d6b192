"""Schemas in words, and which of them a strict server takes."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.schema import in_words, is_closed, worded
from engine.core.types import Chat, Completion, Decoding, Message

ITEM: dict[str, Any] = {
    "type": "object",
    "properties": {"instruction": {"type": "string"}},
    "required": ["instruction"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"tasks": {"type": "array", "items": ITEM}},
    "required": ["tasks"],
    "additionalProperties": False,
}
DECODING = Decoding(max_tokens=9, stop=("x",), schema=SCHEMA)


def test_words_name_json_and_hold_the_schema() -> None:
    """Some servers refuse to answer in JSON unless the prompt has the word."""
    assert "JSON" in in_words(SCHEMA)
    assert '"instruction"' in in_words(SCHEMA)


def test_words_stand_at_the_end_of_the_prompt() -> None:
    """Of the last turn, or of the prompt; nothing is left to enforce, and all other settings stay."""
    chat = worded(Chat((Message("system", "Be brief."), Message("user", "Name rivers.")), DECODING))
    assert isinstance(chat, Chat)
    assert chat.messages[0].content == "Be brief."
    assert chat.messages[1].content == f"Name rivers.\n\n{in_words(SCHEMA)}"
    completion = worded(Completion("Rivers:", DECODING))
    assert isinstance(completion, Completion)
    assert completion.prompt.startswith(f"Rivers:\n\n{in_words(SCHEMA)}")
    for call in (chat, completion):
        assert call.decoding == Decoding(max_tokens=9, stop=("x",))


def test_without_a_schema_nothing_changes() -> None:
    """The call is the very same."""
    call = Completion("Rivers:", Decoding(max_tokens=9))
    assert worded(call) is call


@pytest.mark.parametrize(
    ("change", "closed"),
    [
        ({}, True),
        ({"additionalProperties": True}, False),
        ({"required": []}, False),
        ({"properties": {"tasks": {"type": "array", "items": {"type": "object", "properties": {}}}}}, False),
        ({"properties": {"tasks": {"anyOf": [{"type": "null"}, {**ITEM, "required": []}]}}}, False),
        ({"properties": {"tasks": {"anyOf": [{"type": "null"}, ITEM]}}}, True),
        ({"$defs": {"x": {"type": "object"}}}, False),
    ],
)
def test_closed_means_every_object(change: dict[str, Any], closed: bool) -> None:
    """One open object anywhere inside, and a strict server would refuse the schema."""
    assert is_closed({**SCHEMA, **change}) is closed
