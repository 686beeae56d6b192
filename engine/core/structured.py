"""Answers in JSON: what they have to look like, and what can be read of one that came with other words, or came cut off.

Pure; recipes say with it what they want, dialects have it enforced where a server can.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine.core.parse import Malformed

Schema = Mapping[str, Any]
_DECODER = json.JSONDecoder(strict=False)
"""Lenient in one thing: models write line breaks inside of texts as they are."""
_BETWEEN = re.compile(r"[\s,]*")

TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}


def an_object(**fields: Schema) -> Schema:
    """An object with these fields, all of them, in this order, and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def a_list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


class Listed(NamedTuple):
    """The values of a list, and whether it came to its end."""

    values: list[Any]
    whole: bool


def field(text: str, name: str) -> Any:
    """The field of the first JSON object in `text` that has it. Raises `Malformed`."""
    for found in _objects(text):
        if name in found:
            return found[name]
    raise Malformed("no_json")


def listed(text: str, name: str) -> Listed:
    """The list that stands under `name` in a JSON object. Of an answer that was cut off, the values that are whole. Raises
    `Malformed` where there is none."""
    for found in _objects(text):
        if isinstance(found.get(name), list):
            return Listed(found[name], whole=True)
    begun = re.search(rf'"{re.escape(name)}"\s*:\s*\[', text)
    if begun is None:
        raise Malformed("no_json")
    return Listed(list(_values(text, begun.end())), whole=False)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand in `text`, one after the other; those inside of another one only where that is broken."""
    at = text.find("{")
    while at >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


def _values(text: str, at: int) -> Iterator[Any]:
    """The values from `at` on, up to the first that is not whole."""
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield value
