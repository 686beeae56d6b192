"""What a run's texts are like, told from a run whose every figure is known by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import context, rundir
from engine.core.harvest import COMPARED, LONGEST, REASONS, Harvest, cut, length
from engine.core.types import Settled
from engine.plan import from_data
from tests import runs
from tests.runs import Task

TASKS: list[Task] = [
    ("Name three rivers of Austria.", [("", "Danube, Inn, Mur."), ("Styria only", "Mur, Enns, Raab.")]),
    ("Decide whether the review is friendly.", [("What a day!", "friendly")]),
    ("Name three rivers of old Austria.", [("", "Danube.")]),
    ("Explain why bread has to rest.", []),
]


def harvested(folder: Path, **changes: Any) -> dict[str, Any]:
    """What the journal in a folder yields."""
    loaded = context.load(from_data(runs.tomllib.loads(runs.PLAN) | changes))
    harvest = Harvest(loaded.recipe, loaded.context)
    for line in rundir.journal(folder):
        if isinstance(line, Settled):
            harvest.settled(line)
    return harvest.as_json()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return harvested(runs.known(tmp_path_factory.mktemp("harvest") / "run", TASKS))


def test_table_has_the_published_rows(told: dict[str, Any]) -> None:
    """Instructions and instances are counted; means are of words between blanks; every second task here is a classification."""
    table = told["table"]
    assert (table["instructions"], table["instances"]) == (4, 4)
    assert (table["classification"], table["other"]) == (2, 2)
    assert table["without_input"] == 2
    assert table["instruction_words"] == round((5 + 6 + 6 + 6) / 4, 1)
    assert table["input_words"] == round((2 + 3) / 2, 1)
    assert table["output_words"] == round((3 + 3 + 1 + 1) / 4, 1)


def test_lengths_are_histograms_of_all(told: dict[str, Any]) -> None:
    """Each text is in one bin, and no bin is made up."""
    lengths = told["lengths"]
    assert set(lengths) == {"instruction", "input", "output"}
    assert {name: sum(one["bins"].values()) for name, one in lengths.items()} == {"instruction": 4, "input": 2, "output": 4}
    assert lengths["instruction"]["bins"]["[5,10)"] == 4
    assert (lengths["output"]["least"], lengths["output"]["most"]) == (1, 3)


def test_neighbours_are_the_nearest(told: dict[str, Any]) -> None:
    """Of two instructions that share five of their words, each is the other's neighbour: ROUGE-L 10/11; none is its own."""
    found = told["rouge_l"]
    assert found["sampled"] == 4
    assert found["neighbour"]["bins"]["[0.9,0.95)"] == 2
    assert found["neighbour"]["most"] == round(10 / 11, 4), "no text is compared with itself"
    assert sum(found["neighbour"]["bins"].values()) == sum(found["seed"]["bins"].values()) == 4


def test_verbs_and_their_objects(told: dict[str, Any]) -> None:
    """The root verb of each instruction, most frequent first, with its object where it has one."""
    assert told["verbs"]["found"] == 4
    assert list(told["verbs"]["verbs"].items()) == [("name", 2), ("decide", 1), ("explain", 1)]
    assert told["verbs"]["pairs"]["name rivers"] == 2


def test_samples_are_whole_and_dropped_ones_have_their_reason(told: dict[str, Any], tmp_path: Path) -> None:
    shown = {sample["fields"]["instruction"] for sample in told["samples"]}
    assert shown == {task for task, instances in TASKS if instances}
    dropped = harvested(runs.make(tmp_path / "run"))["dropped_samples"]
    assert {name: len(examples) for name, examples in dropped.items()} == {
        "duplicate": 1,
        "ends_with_colon": 1,
        "keyword": 1,
        "refusal": 1,
        "too_short": 1,
    }
    assert dropped["duplicate"][0]["reason"].startswith("duplicate of instruct/0.0 (0.9")


def test_sample_of_the_neighbours_is_bounded(tmp_path: Path) -> None:
    """However long a run is, only so many are held against all others, and the figure says how many that were."""
    tasks: list[Task] = [(f"Explain the word number {n} of a list.", [("", "It is one.")]) for n in range(COMPARED + 50)]
    told = harvested(runs.known(tmp_path / "run", tasks))
    assert told["rouge_l"]["sampled"] == COMPARED
    assert told["table"]["instructions"] == COMPARED + 50


def test_labels_are_those_of_classifications(told: dict[str, Any]) -> None:
    assert told["labels"]["different"] == 1
    assert told["labels"]["most"] == {"friendly": 1}


def test_distinct_n_is_the_share_of_different_grams(told: dict[str, Any]) -> None:
    """Of the four records' instructions: 22 words, of which `name three rivers of austria` come again and again."""
    texts = [task for task, instances in TASKS for _ in instances]
    words = [word.strip(".").lower() for text in texts for word in text.split()]
    assert told["distinct"]["after"]["1"] == round(len(set(words)) / len(words), 4)
    assert "before" not in told["distinct"]


@pytest.mark.parametrize(("text", "count"), [("one two  three", 3), ("", 0), ("今天下雨", 4), ("今天 rain", 3)])
def test_length_counts_words_or_ideographs(text: str, count: int) -> None:
    assert length(text) == count


def test_long_text_is_cut_and_says_so() -> None:
    assert cut("a" * LONGEST) == "a" * LONGEST
    assert cut("a" * (LONGEST + 1234)).endswith("… (1,234 characters more)")


def test_reasons_without_end_are_bounded(tmp_path: Path) -> None:
    """A user's own filter may give every text a reason of its own: memory does not grow with them."""
    loaded = context.load(from_data(runs.tomllib.loads(runs.PLAN)))
    harvest = Harvest(loaded.recipe, loaded.context)
    for n in range(REASONS + 20):
        harvest._drop(f"instruct/{n}.0", {"instruction": "x"}, f"reason_{n} of its own")
    assert len(harvest.as_json()["dropped_samples"]) == REASONS
