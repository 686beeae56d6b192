"""Schema: what an answer in JSON has to look like, in words for models whose server enforces none.

Pure; dialects call it. JSON schemas are those that recipes write: objects, arrays, texts, numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from msgspec import structs

from engine.core.types import Chat, Completion


def in_words(schema: Mapping[str, Any]) -> str:
    """What to ask of a model that has to keep to `schema` by itself. It names JSON, without which some servers refuse to answer
    in it."""
    text = orjson.dumps(schema).decode()
    return (
        f"Answer with one JSON object and nothing else, no other words and no code fence. It must fit this JSON schema:\n{text}"
    )


def worded(call: Chat | Completion) -> Chat | Completion:
    """The call with its schema in words at the end of the prompt, and none to enforce."""
    schema = call.decoding.schema
    if schema is None:
        return call
    decoding = structs.replace(call.decoding, schema=None)
    match call:
        case Completion(prompt=prompt):
            return Completion(f"{prompt}\n\n{in_words(schema)}\n", decoding)
        case Chat(messages=(*before, last)):
            return Chat((*before, structs.replace(last, content=f"{last.content}\n\n{in_words(schema)}")), decoding)
    return structs.replace(call, decoding=decoding)


def is_closed(schema: Mapping[str, Any]) -> bool:
    """Whether every object in it has its properties and no others: what OpenAI's strict mode asks of a schema."""
    return all(
        part.get("additionalProperties") is False and set(part.get("required", ())) == set(part.get("properties", ()))
        for part in parts(schema)
        if part.get("type") == "object"
    )


def parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema and all schemas inside it."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        yield part
        inner = [part.get("items"), *part.get("anyOf", ()), *part.get("properties", {}).values(), *part.get("$defs", {}).values()]
        waiting += [one for one in inner if isinstance(one, Mapping)]
