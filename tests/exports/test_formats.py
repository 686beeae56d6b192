"""All formats over the records of all recipes: whatever a recipe tells has its place, and nothing needs a recipe's name."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pyarrow.parquet
import pytest

from engine import recipes
from engine.core.faults import PlanError
from engine.exports.choose import clause, validates
from engine.exports.example import of_record
from engine.exports.formats import FORMATS, SHEET, find
from engine.exports.rows import Setting
from engine.exports.settings import Settings
from engine.rundir import Record
from tests.exports.examples import example

ITEMS: dict[str, dict[str, Any]] = {
    "backtranslation": {
        "text": "源文",
        "doc": "doc/7",
        "meta": {"year": 1998},
        "pivot": "source",
        "back": "原文",
        "scores": {"chrf": 0.4, "rouge": 0.9},
        "instruction": "写一句话。",
        "input": "",
        "output": "原文",
    },
    "augment": {
        "doc": "instance/3.0",
        "parent": "instance/3.0",
        "meta": {},
        "source": {"instruction": "Name river number 3.", "input": "in Peru"},
        "pivot": {"instruction": "…", "input": "…"},
        "task": "Tell river number 3.\n\nin Peru",
        "scores": {"instruction": {"chrf": 0.5}, "input": {"chrf": 0.7}},
        "instruction": "Tell river number 3.",
        "input": "in Peru",
        "output": "Amazon",
    },
}


def record(name: str) -> tuple[Record, Setting]:
    """A record of the recipe, as a run makes one of an item."""
    recipe = recipes.find(name)
    item = {"id": f"{recipe.last.name}/7.0", "language": "zh", **ITEMS[name]}
    steps = tuple(step.name for step in recipe.steps)
    ids = {step: f"{step}/7.0" for step in steps}
    told = recipe.provenance(item) if recipe.provenance is not None else {}
    lanes, times = dict.fromkeys(steps, "main"), dict.fromkeys(steps, 1.5)
    return Record(item["id"], item, recipe.record(item), told, lanes, lanes, ids, times), Setting(0, steps, steps[-1], Settings())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", ITEMS)
def test_every_format_takes_every_recipe(name: str, format: str) -> None:
    """One record is one row, which the file holds."""
    made, setting = record(name)
    chosen = FORMATS[format]
    rows = list(chosen.rows([of_record(made, "zh")], setting))
    assert len(rows) == 1
    data = b"".join(chosen.encode(lambda: rows))
    assert ITEMS[name]["output"] in (str(pyarrow.parquet.read_table(io.BytesIO(data))) if format == "parquet" else data.decode())
    assert ITEMS[name]["instruction"] in orjson.dumps(rows).decode()


def test_provenance_of_backtranslation_comes_along() -> None:
    """The source, both translations and the gate's scores, which conditions can ask for."""
    made, setting = record("backtranslation")
    one = of_record(made, "en")
    (row,) = FORMATS["jsonl"].rows([one], setting)
    told = row["provenance"]
    assert (told["source"], told["pivot"], told["back"]) == ("源文", "source", "原文")
    assert (told["scores"], told["meta"], told["doc"]) == ({"chrf": 0.4, "rouge": 0.9}, {"year": 1998}, "doc/7")
    assert row["language"] == "zh"
    assert clause("chrf>=0.4")(one)
    assert not clause("rouge<0.9")(one)


def test_child_keeps_to_its_parents_side() -> None:
    """Whatever becomes of the words, a child is in training where its parent's instruction is, under every seed."""
    made, _ = record("augment")
    child, parent = of_record(made, "en"), example(3)
    assert child.instruction != parent.instruction
    assert all(validates(child, seed, 0.5) == validates(parent, seed, 0.5) for seed in range(50))
    assert clause("chrf>=0.5")(child)
    assert not clause("chrf>0.5")(child)


def test_format_is_found_by_its_name() -> None:
    """Another name is told with the nearest, and with all there are; every format says what it is."""
    assert find("chat") is FORMATS["chat"]
    assert find(SHEET).suffix == ".csv"
    with pytest.raises(PlanError, match="'alpca'; did you mean 'alpaca'"):
        find("alpca")
    assert all(format.says and format.suffix.startswith(".") for format in FORMATS.values())
