"""Seed files: every fault has its line and reason, and the file that comes with the product has none."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from engine import context, seedfile
from engine.core.faults import PlanError
from engine.core.filters import DEFAULT, FILTERS
from engine.core.text import has_cjk
from engine.core.types import Item
from engine.recipes.self_instruct import Options, rules
from tests.tasks import seed, written

LANGUAGES = ("en", "zh")


def ours(language: str) -> Path:
    return seedfile.folder() / f"self_instruct.{language}.jsonl"


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        (b'{"id": "a"', ["not JSON"]),
        (b'{"id": "\xff"}', ["not JSON"]),
        (b"[1, 2]", ["not a JSON object"]),
        (seed(id=None), ["'id' is missing"]),
        (seed(instruction=None, instances=None), ["'instruction' is missing", "'instances' is missing"]),
        (seed(is_classification=None), ["'is_classification' is missing"]),
        (seed(instruction=" \n"), ["'instruction' must be a text that says something"]),
        (seed(instruction=5), ["'instruction' must be a text that says something"]),
        (seed(is_classification="no"), ["'is_classification' must be true or false"]),
        (seed(instances=[]), ["'instances' must be a list of at least one instance"]),
        (seed(instances={"input": "", "output": "x"}), ["'instances' must be a list of at least one instance"]),
        (seed(instances=[{"output": "x"}]), ["instance 1 must have 'input' and 'output', both texts"]),
        (
            seed(instances=[{"input": "", "output": "x"}, {"input": 5, "output": "x"}, "text"]),
            ["instance 2 must have 'input' and 'output', both texts", "instance 3 must have 'input' and 'output', both texts"],
        ),
        (seed(instances=[{"input": "x", "output": " \n"}]), ["instance 1 has no output"]),
        (seed(instances=[{"input": "same ", "output": " same"}]), ["instance 1 gives its input back as output"]),
    ],
)
def test_each_fault_has_its_line_and_reason(tmp_path: Path, line: Item | bytes, reasons: list[str]) -> None:
    """What is wrong with a task is said in words, all of it at once, with the number of its line; the others are read."""
    path = written(tmp_path, seed(1), b"", line, seed(2))
    seeds, faults = seedfile.read(path)
    assert [fault.line for fault in faults] == [3] * len(reasons)
    assert all(fault.reason.startswith(reason) for fault, reason in zip(faults, reasons, strict=True))
    assert [good["id"] for good in seeds] == ["seed_task_1", "seed_task_2"]


def test_good_tasks_are_read_with_all_they_have(tmp_path: Path) -> None:
    """Further keys, several instances and Windows line ends do no harm, and each task knows its line."""
    task = seed(instances=[{"input": "a", "output": "b"}, {"input": "c", "output": "b"}], author="me", is_classification=True)
    seeds, faults = seedfile.read(written(tmp_path, orjson.dumps(task) + b"\r", seed(1)))
    assert faults == []
    assert seeds == [task | {"line": 1}, seed(1) | {"line": 2}]


def test_repeated_tasks_are_faults(tmp_path: Path) -> None:
    """The same id, or the same instruction, twice: the later line is told with the earlier one's number, in the file's order."""
    report = seedfile.check(written(tmp_path, seed(0), seed(1, id="seed_task_0"), seed(0, id="other"), b"{"))
    assert [str(fault).partition(" (")[0] for fault in report.faults] == [
        "line 2: the id 'seed_task_0' stands in line 1 already",
        "line 3: the instruction 'Name three rivers of Austria.' stands in line 1 already",
        "line 4: not JSON",
    ]


def test_similar_tasks_are_shown_with_their_score(tmp_path: Path) -> None:
    """A pair above the threshold is no fault, but it is listed with both lines and ROUGE-L."""
    near = seed(1, instruction="Name three big rivers of Austria.")
    report = seedfile.check(written(tmp_path, seed(0), seed(2), near))
    (pair,) = report.similar
    assert (pair.line, pair.earlier) == (3, 1)
    assert pair.score == pytest.approx(10 / 11)
    assert "lines 1 and 3: 0.909" in seedfile.as_text(report)
    assert "1 pair above ROUGE-L 0.5" in seedfile.as_text(report)


def test_summary_counts_what_is_there(tmp_path: Path) -> None:
    """Instances, kinds, lengths and first words are counted over the good tasks."""
    labelled = seed(1, is_classification=True, instances=[{"input": "a b c", "output": "x"}, {"input": "d", "output": "y z"}])
    summary = seedfile.check(written(tmp_path, seed(0), labelled)).summary
    assert summary["instances"] == "3"
    assert summary["classification"] == "1 (50%)"
    assert summary["without input"] == "1 (33%)"
    assert summary["words an input"] == "1 to 3, median 3"
    assert summary["first words"].startswith("2 different")


def test_empty_file_has_no_tasks(tmp_path: Path) -> None:
    """Nothing is no fault of a line, and nothing is counted."""
    report = seedfile.check(written(tmp_path, b"\n\n"))
    assert (report.tasks, report.faults, report.summary) == (0, (), {})
    assert seedfile.as_text(report).startswith("0 tasks, 0 faults")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and a folder are the user's to mend."""
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(PlanError, match="cannot be read") as caught:
            seedfile.read(path)
        assert str(path) in str(caught.value)


def test_chinese_tasks_are_counted_in_characters(tmp_path: Path) -> None:
    """Where most of what is asked is Chinese, lengths are characters, and two of them stand for a first word."""
    tasks = [seed(n, instruction=f"写一句话，说说{word}。") for n, word in enumerate(("春天", "故乡", "Beijing"))]
    summary = seedfile.check(written(tmp_path, *tasks)).summary
    assert summary["characters an instruction"] == "7 to 8, median 8"
    assert summary["characters an output"] == "3 to 3, median 3"
    assert summary["first words"] == "1 different; most often 写一 (3)"


@pytest.mark.parametrize("language", LANGUAGES)
def test_our_own_seeds_are_without_fault(language: str) -> None:
    """175 tasks, of which 26 are classification, no fault, and no two that resemble each other."""
    report = seedfile.check(ours(language))
    assert seedfile.as_text(report).splitlines()[:2] == ["175 tasks, 0 faults", "no pair above ROUGE-L 0.5"]
    assert report.summary["classification"] == "26 (15%)"


def test_our_own_seeds_are_written_alike() -> None:
    """Both languages have as many tasks without input, names that are their own, and no Chinese task is without Chinese."""
    english, chinese = (seedfile.read(ours(language))[0] for language in LANGUAGES)
    assert [sum(not task["instances"][0]["input"] for task in tasks) for tasks in (english, chinese)] == [54, 54]
    for tasks in (english, chinese):
        assert [task["id"] for task in tasks] == [f"seed_task_{n}" for n in range(175)]
        assert len({task["name"] for task in tasks}) == 175
        assert all(re.fullmatch("[a-z0-9_]+", task["name"]) and len(task["instances"]) == 1 for task in tasks)
    assert all(has_cjk(task["instruction"]) for task in chinese)


@pytest.mark.parametrize("language", LANGUAGES)
def test_our_own_seeds_pass_our_own_filters(language: str) -> None:
    """What is asked of a model's instructions and records holds for the tasks that it is shown."""
    limits = rules(Options(language=language))
    seeds, _ = seedfile.read(ours(language))
    chosen = [FILTERS[name] for name in DEFAULT]
    assert [context.resolve(name) for name in DEFAULT] == chosen
    for task in seeds:
        for instance in task["instances"]:
            record = {"instruction": task["instruction"], **instance}
            assert not [(task["name"], reason) for check in chosen if (reason := check(record, limits))]
