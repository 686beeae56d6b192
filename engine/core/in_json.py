"""The growing recipes with answers in JSON (`options.format = "json"`): the same questions, another form of answer.

Pure. Servers that can are made to keep to the schema; the others are told it in words. Templates are those whose names end in
`_json`; an answer that cannot be read is asked for again, with what was wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from engine.core.parse import Malformed
from engine.core.recipe import Ask, messages
from engine.core.structured import TEXT, TRUTH, Schema, a_list, an_object, field, listed
from engine.core.text import collapse
from engine.core.types import Chat, Decoding, Draft, Reply, Stop

TASKS = an_object(tasks=a_list(TEXT))
KIND = an_object(is_classification=TRUTH)
INPUT_FIRST = an_object(examples=a_list(an_object(input=TEXT, output=TEXT)))
OUTPUT_FIRST = an_object(examples=a_list(an_object(output=TEXT, input=TEXT)))
"""Models write fields in the order of the schema: a label comes before the text that deserves it."""
WHOLE_TASKS = an_object(tasks=a_list(an_object(instruction=TEXT, input=TEXT, output=TEXT)))
AGAIN = "again_json"


def question(ask: Ask, name: str, values: Mapping[str, str], decoding: Decoding, schema: Schema) -> Chat:
    """The chat that the template `name_json` makes, its answer bound to `schema`."""
    system, _, user = ask.render(f"{name}_json.chat", **values).partition("\n---\n")
    if ask.try_:
        user = f"{user}\n\n{ask.render(AGAIN)}"
    return Chat(messages(system.strip(), user.strip()), structs.replace(decoding, stop=(), schema=schema))


def templates(names: Sequence[str]) -> tuple[str, ...]:
    return (*(f"{name}_json.chat" for name in names), AGAIN)


def read_tasks(reply: Reply) -> list[Draft]:
    """Instructions. What is not a text, or was cut off, is lost; the others stay."""
    return [
        Draft({"instruction": collapse(value)}, lost) if isinstance(value, str) else Draft({}, "malformed")
        for value, lost in _values(reply, "tasks")
    ]


def read_kind(reply: Reply) -> bool:
    said = field(reply.text, "is_classification")
    if not isinstance(said, bool):
        raise Malformed("unclear")
    return said


def read_records(reply: Reply, name: str, fields: Sequence[str]) -> list[Draft]:
    """Objects of texts, under `name`. One that lacks a text is lost."""
    found = _values(reply, name)
    if not found:
        raise Malformed("no_record")
    return [
        Draft({name: value[name].strip() for name in fields}, lost) if _has(value, fields) else Draft({}, lost or "malformed")
        for value, lost in found
    ]


def _has(value: Any, fields: Sequence[str]) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in fields)


def _values(reply: Reply, name: str) -> list[tuple[Any, str | None]]:
    """The values of the list, each with the reason why it is lost. Of an answer that has no end the last one may be half of what
    was meant, as in text; where an answer ended and its list did not, that was no JSON."""
    found = listed(reply.text, name)
    if not found.whole and reply.stop is Stop.END:
        raise Malformed("no_json")
    return [(value, None) for value in found.values]
