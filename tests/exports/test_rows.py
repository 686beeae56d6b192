"""Rows: what each format makes of an example."""

from __future__ import annotations

from engine.exports import rows
from engine.exports.example import Neighbour
from tests.exports.examples import STEPS, example, setting

PLAIN = example(input="Country: Austria")


def test_alpaca_has_three_fields() -> None:
    """In the published order."""
    assert list(rows.alpaca(PLAIN, setting()).items()) == [
        ("instruction", "Name river number 0."),
        ("input", "Country: Austria"),
        ("output", "River 0."),
    ]


def test_chat_is_a_question_and_its_answer() -> None:
    """The input stands behind the instruction; a system message is there only where one is set; blank answers are left out."""
    (row,) = rows.chat([PLAIN], setting())
    question = {"role": "user", "content": "Name river number 0.\n\nCountry: Austria"}
    answer = {"role": "assistant", "content": "River 0."}
    assert row == {"messages": [question, answer]}
    (row,) = rows.chat([example()], setting(system="Be brief."))
    assert row["messages"][0] == {"role": "system", "content": "Be brief."}
    assert row["messages"][1] == {"role": "user", "content": "Name river number 0."}
    assert list(rows.chat([example(output=" \n"), example(output="")], setting())) == []


def test_sharegpt_has_other_names_for_the_same() -> None:
    """`from` and `value`, human and gpt."""
    turns = [{"from": "human", "value": "Name river number 0.\n\nCountry: Austria"}, {"from": "gpt", "value": "River 0."}]
    assert rows.sharegpt(PLAIN, setting()) == {"conversations": turns}
    assert rows.sharegpt(PLAIN, setting(system="s")) == {"conversations": [{"from": "system", "value": "s"}, *turns]}


def test_prompt_and_completion_can_be_joined() -> None:
    """The prompt ends where the completion may begin."""
    assert rows.prompt_completion(PLAIN, setting()) == {
        "prompt": "Name river number 0.\n\nCountry: Austria\n\n",
        "completion": "River 0.",
    }


def test_jsonl_tells_where_a_record_comes_from() -> None:
    """Ids, lanes, models and times by step, what else the recipe tells, and neighbours where they were looked for."""
    row = rows.jsonl(example(more={"pivot": "p"}), setting())
    assert (row["id"], row["language"]) == ("instance/0.0", "en")
    assert row["provenance"] == {
        "ids": {"instruct": "instruct/0.0", "classify": "classify/0.0", "instance": "instance/0.0"},
        "lanes": dict.fromkeys(STEPS, "main"),
        "models": dict.fromkeys(STEPS, "m-1"),
        "times": {"instruct": 100.0, "classify": 101.0, "instance": 102.0},
        "pivot": "p",
    }
    near = rows.jsonl(example(nearest=[Neighbour("seed/1", "t", 0.6)], mean=0.2), setting())["provenance"]
    assert near["nearest"] == [{"id": "seed/1", "instruction": "t", "score": 0.6}]
    assert near["mean"] == 0.2


def test_rows_of_seeds_have_the_same_keys() -> None:
    """A reader of columns finds every step in every row, with nothing in it where a person wrote the row."""
    row = rows.jsonl(example(ids={}, lanes={}, models={}, times={}), setting())
    nothing = dict.fromkeys(STEPS)
    assert row["provenance"] == {"ids": nothing, "lanes": nothing, "models": nothing, "times": nothing}


def test_self_instruct_has_an_instruction_a_row() -> None:
    """Instances of one instruction stand together, with the fields as published."""
    near = [Neighbour("seed/1", "t", 0.6)]
    ids = {"instruct": "instruct/41.3", "classify": "classify/9.0"}
    first = example(0, ids=ids | {"instance": "instance/8.0"}, instruction="i", nearest=near, mean=0.2, classification=True)
    second = example(1, ids=ids | {"instance": "instance/8.1"}, instruction="i", input="x", nearest=near, mean=0.2)
    seed = example(2, id="seed/5.0", ids={}, lanes={}, models={}, times={}, classification=None)
    row, other, of_seed = rows.self_instruct([first, second, example(3), seed], setting())
    assert row == {
        "id": "instruct/41.3",
        "instruction": "i",
        "is_classification": True,
        "instances": [{"input": "", "output": "River 0."}, {"input": "x", "output": "River 1."}],
        "most_similar": [{"id": "seed/1", "instruction": "t", "score": 0.6}],
        "avg_similarity_score": 0.2,
        "request_idx": 41,
        "metadata": {"lane": "main", "model": "m-1", "created": 100.0},
    }
    assert (other["id"], other["request_idx"], len(other["instances"])) == ("instruct/3.0", 3, 1)
    assert (of_seed["id"], of_seed["request_idx"], of_seed["metadata"]["lane"]) == ("seed/5.0", None, None)
