"""Objects that fit a schema."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from providers.simulator.shapes import Maker


def made(schema: dict[str, Any], many: int = 7, seed: int = 0) -> Any:
    return Maker(schema, Random(seed).random, lambda: "a task", lambda: "a sentence", many).made(schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "null"}, None),
        ({"const": 5}, 5),
        ({"enum": ["a"]}, "a"),
        ({"anyOf": [{"type": "string"}]}, "a sentence"),
        ({"type": ["string", "null"]}, "a sentence"),
        ({"type": "STRING"}, "a sentence"),
        ({}, {}),
        ({"type": "array", "items": {"type": "null"}}, [None] * 7),
        ({"type": "array", "maxItems": 2}, ["a sentence"] * 2),
        ({"type": "array", "minItems": 9}, ["a sentence"] * 9),
        ({"type": "array", "minItems": 10**6}, ["a sentence"] * 99),
        ({"type": "array", "minItems": "x"}, ["a sentence"] * 7),
        ({"properties": {"instruction": {"type": "string"}, "input": {}}}, {"instruction": "a task", "input": {}}),
        ({"$defs": {"it": {"const": 1}}, "type": "array", "maxItems": 1, "items": {"$ref": "#/$defs/it"}}, [1]),
        ({"$ref": "#/$defs/it", "$defs": {"it": {"$ref": "#/$defs/it"}}}, None),
        ({"properties": "x"}, {}),
    ],
)
def test_values_fit(schema: dict[str, Any], value: Any) -> None:
    """Each kind of schema gets a value of its kind; one that says nonsense, or turns in circles, gets one all the same."""
    assert made(schema) == value


def test_numbers_and_choices_are_drawn() -> None:
    """From the least that is allowed upwards, and among all choices."""
    assert {made({"type": "integer", "minimum": 3}, seed=seed) for seed in range(50)} <= set(range(3, 8))
    assert {made({"enum": ["a", "b"]}, seed=seed) for seed in range(50)} == {"a", "b"}
    assert {made({"type": "boolean"}, seed=seed) for seed in range(50)} == {True, False}
