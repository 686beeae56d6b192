"""Answers in JSON: an object that fits a schema, with the words of the grammar in it.

Pure. Of a schema it knows what schemas of data sets are made of: objects, arrays, texts, numbers, choices and references to
definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
_DEEPEST = 12


class Maker:
    """Makes values. `task` and `sentence` give new words, `many` is how long a list is whose length the schema leaves open."""

    def __init__(
        self, root: Schema, draw: Callable[[], float], task: Callable[[], str], sentence: Callable[[], str], many: int
    ) -> None:
        self._root = root
        self._draw = draw
        self._task = task
        self._sentence = sentence
        self._many = many

    def made(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        """A value for what is called `name`. What is called an instruction, a task or a question is a task; other texts are
        sentences."""
        if depth > _DEEPEST or not isinstance(schema, Mapping):
            return None
        if isinstance(reference := schema.get("$ref"), str):
            return self.made(self._defined(reference), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        for key in ("enum", "anyOf", "oneOf"):
            choices = schema.get(key)
            if isinstance(choices, list) and choices:
                chosen = choices[int(self._draw() * len(choices))]
                return chosen if key == "enum" else self.made(chosen, name, depth + 1)
        type_ = schema.get("type", "object" if "properties" in schema or not schema else "string")
        type_ = str(type_[0] if isinstance(type_, list) and type_ else type_).lower()
        match type_:
            case "object":
                properties = schema.get("properties")
                inner = properties if isinstance(properties, Mapping) else {}
                return {key: self.made(part, key, depth + 1) for key, part in inner.items()}
            case "array":
                return [self.made(schema.get("items", {"type": "string"}), name, depth + 1) for _ in range(self._length(schema))]
            case "integer" | "number":
                return int(_number(schema.get("minimum"), 0)) + int(self._draw() * 5)
            case "boolean":
                return self._draw() < 0.5
            case "null":
                return None
        return self._task() if name.rstrip("s") in ("instruction", "task", "question") else self._sentence()

    def _length(self, schema: Schema) -> int:
        least, most = _number(schema.get("minItems"), 0), _number(schema.get("maxItems"), 99)
        return int(min(max(self._many, least), most, 99))

    def _defined(self, reference: str) -> Schema:
        definitions = self._root.get("$defs")
        found = definitions.get(reference.rpartition("/")[2]) if isinstance(definitions, Mapping) else None
        return found if isinstance(found, Mapping) else {}


def _number(value: object, usual: float) -> float:
    return value if isinstance(value, int | float) and abs(value) < 1e9 else usual
