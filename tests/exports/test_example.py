"""Examples: what a record tells, what belongs together, and texts that cannot be encoded."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from engine.exports.example import Example, Neighbour, of_record, of_seed, read, written
from engine.rundir import Record
from tests.exports.examples import example, quick

texts = st.text(st.characters())
"""Of any code points, lone surrogates included."""


@quick
@given(texts, texts, st.dictionaries(texts, texts | st.integers(-9, 9) | st.lists(texts), max_size=3))
def test_what_is_put_by_comes_back(instruction: str, output: str, more: dict[str, object]) -> None:
    """Every text comes back as it was, but for lone surrogates, which no file can hold: they are U+FFFD then."""
    one = example(instruction=instruction, output=output, more=more)
    line = written(one)
    assert b"\n" not in line
    back = read(line)
    assert back.instruction == mended(instruction)
    assert back.output == mended(output)
    assert written(back) == line
    everything = json.dumps([instruction, output, more], ensure_ascii=False)
    if mended(everything) == everything:
        assert back == one


def mended(text: str) -> str:
    return "".join("\ufffd" if 0xD800 <= ord(char) < 0xE000 else char for char in text)


def test_record_brings_everything_its_recipe_tells() -> None:
    """The three fields, what else is in the record, its own language before the run's, and whether it is classification."""
    item = {"is_classification": True, "language": "fr"}
    fields = {"instruction": "i", "input": "", "output": "o", "pivot": "p", "scores": {"chrf": 0.4}}
    one = of_record(Record("a/0.0", item, fields, {"doc": 3}, {"a": "x"}, {"a": "m"}, {"a": "a/0.0"}, {"a": 1.5}), "en")
    assert (one.id, one.instruction, one.input, one.output, one.language) == ("a/0.0", "i", "", "o", "fr")
    assert (one.lanes, one.models, one.ids, one.times) == ({"a": "x"}, {"a": "m"}, {"a": "a/0.0"}, {"a": 1.5})
    assert one.classification is True
    assert one.more == {"pivot": "p", "scores": {"chrf": 0.4}, "doc": 3}
    assert of_record(Record("a/0.0", {}, {"instruction": "i", "language": "zh"}, {}, {}, {}), "en").language == "zh"
    assert of_record(Record("a/0.0", {}, {"instruction": "i"}, {}, {}, {}), "en").language == "en"


def test_scores_are_the_numbers_at_any_depth() -> None:
    """Numbers are scores, by every end of their path; truth values and texts are none. Neighbours give two more."""
    one = example(more={"chrf": 0.4, "gate": {"rouge": 1, "good": True, "why": "0.3", "input": {"chrf": 0.2}}})
    assert one.scores == {
        "chrf": [0.4, 0.2],
        "rouge": [1.0],
        "gate.rouge": [1.0],
        "input.chrf": [0.2],
        "gate.input.chrf": [0.2],
    }
    near = example(nearest=[Neighbour("seed/1", "t", 0.6), Neighbour("seed/2", "u", 0.5)], mean=0.1)
    assert near.scores == {"nearest": [0.6], "mean": [0.1]}
    assert example(nearest=[], mean=0.0).scores == {"nearest": [0.0], "mean": [0.0]}


def test_group_is_the_instruction_or_that_of_the_parent() -> None:
    """Spaces and capitals make no other group; children belong to their parent, however they are worded, and to its other
    instances; a source that is a text is no parent."""
    assert example(instruction=" Name  a\nRiver. ").group == example(1, instruction="name a river.").group
    assert example(0).group != example(1).group
    parent = example(3)
    children = [example(n, more={"source": {"instruction": parent.instruction, "input": str(n)}}) for n in (1, 2)]
    assert {child.group for child in children} == {parent.group}
    assert example(1, more={"source": "a text"}).group == example(1).group


def test_seed_is_an_example_for_each_instance() -> None:
    """With ids that no record has, and no lane."""
    seed = {
        "instruction": "i",
        "is_classification": True,
        "instances": [{"input": "", "output": "a"}, {"input": "b", "output": "c"}],
    }
    first, second = of_seed(4, seed, "zh")
    assert first == Example(id="seed/4.0", instruction="i", input="", output="a", language="zh", classification=True)
    assert (second.id, second.input, second.output) == ("seed/4.1", "b", "c")
