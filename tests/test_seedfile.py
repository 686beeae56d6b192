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
from tests.tasks import seed, text, written

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
    assert (report.kind, report.count, report.faults, report.warnings, report.summary) == ("tasks", 0, (), (), {})
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


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        (b'{"id": "a"', ["not JSON"]),
        (b'"text"', ["not a JSON object"]),
        (seed(), ["a seed task, not a text: 'text' is missing"]),
        ({"name": "x"}, ["'id' is missing", "'text' is missing", "'language' is missing"]),
        (text(language=None), ["'language' is missing"]),
        (text(text="\u3000\n"), ["'text' must be a text that says something"]),
        (text(text=["a", "b"]), ["'text' must be a text that says something"]),
        (text(id=" "), ["'id' must be a text or a whole number"]),
        (text(id=True, language="English"), ["'id' must be a text or a whole number", "'language' must be a tag such as"]),
        (text(language=5), ["'language' must be a tag such as 'en' or 'zh', not 5"]),
        (text(language="en_GB"), ["'language' must be a tag such as 'en' or 'zh', not 'en_GB'"]),
        (text(language="zh-Hans"), ["'language' says 'zh-Hans', but only 0% of its letters are of that language's script"]),
        (text(language="en", text="把面粉和水揉成面团。盖上 wet 布。"), ["'language' says 'en', but only 20% of its letters"]),
        (text(language="ru"), ["'language' says 'ru', but only 0% of its letters"]),
    ],
)
def test_each_fault_of_a_text_has_its_line_and_reason(tmp_path: Path, line: Item | bytes, reasons: list[str]) -> None:
    """What is wrong with a text is said in words with the number of its line, and the others are counted."""
    report = seedfile.check(written(tmp_path, text(1), b"", line, text(2)))
    assert (report.kind, report.count) == ("texts", 2)
    assert [fault.line for fault in report.faults] == [3] * len(reasons)
    assert all(fault.reason.startswith(reason) for fault, reason in zip(report.faults, reasons, strict=True))


@pytest.mark.parametrize(
    "good",
    [
        text(id=7),
        text(language="en-GB"),
        text(language="EN"),
        text(language="zh", text="用 `git commit --amend` 修改上一次提交的说明。"),
        text(language="zh-Hant", text="請在五分鐘以內回到座位上，謝謝您的合作與體諒。"),
        text(language="ja", text="パンを焼くには、まず小麦粉と水を混ぜます。"),
        text(language="el", text="Το ψωμί χρειάζεται χρόνο για να φουσκώσει."),
        text(language="qu", text="Kay qillqa runasimipi qillqasqa kachkan."),
        text(text="3.14159 26535 89793 23846 26433"),
    ],
)
def test_texts_of_every_language_are_good(tmp_path: Path, good: Item) -> None:
    """A text in its language's script is no fault, names and commands in Latin letters included, nor is one without letters."""
    assert seedfile.check(written(tmp_path, good)).faults == ()


@pytest.mark.parametrize("length", [1, 19, 20, 2_000, 2_001, 12_345])
def test_length_of_a_text_is_a_warning(tmp_path: Path, length: int) -> None:
    """A text under 20 or over 2,000 characters, white space around it apart, is counted and warned of; it is no fault."""
    report = seedfile.check(written(tmp_path, text(0), text(text=f" {'x' * length}\n", id="odd")))
    assert (report.count, report.faults) == (2, ())
    assert len(report.warnings) == (length < 20 or length > 2_000)
    page = seedfile.as_text(report).splitlines()
    if report.warnings:
        side = "fewer than 20" if length < 20 else "more than 2,000"
        assert page[:2] == [
            "2 texts, 0 faults, 1 warning",
            f"  line 2: {length:,} characters, {side}: back-translation drops it unless the plan says otherwise (warning)",
        ]
    else:
        assert page[0] == "2 texts, 0 faults"


def test_repeated_and_similar_texts(tmp_path: Path) -> None:
    """An id or a text that stood in an earlier line is a fault; a near copy, in any script, is listed with its score."""
    chinese = text(language="zh", id="zh-1", text="面团要先醒半个小时，再擀成薄片。")
    near = text(language="zh", id="zh-2", text="面团要先醒三个小时，再擀成薄片。")
    report = seedfile.check(written(tmp_path, text(0), text(1, id="en-000"), text(0, id="copy"), chinese, near))
    assert [str(fault) for fault in report.faults] == [
        "line 2: the id 'en-000' stands in line 1 already",
        f"line 3: the text {text(0)['text'][:60]!r} stands in line 1 already",
    ]
    assert [(pair.earlier, pair.line) for pair in report.similar] == [(1, 3), (4, 5)]
    assert report.similar[1].score == pytest.approx(13 / 14)


def test_most_lines_decide_what_a_file_is(tmp_path: Path) -> None:
    """Texts among tasks are faults of the texts, tasks among texts faults of the tasks; in a tie it is a file of tasks."""
    tasks = seedfile.check(written(tmp_path, seed(0), text(0), seed(1)))
    assert (tasks.kind, tasks.count) == ("tasks", 2)
    assert [str(fault) for fault in tasks.faults] == ["line 2: a text, not a seed task: 'instruction' is missing"]
    texts = seedfile.check(written(tmp_path, text(0), seed(0), text(1)))
    assert (texts.kind, texts.count) == ("texts", 2)
    assert seedfile.check(written(tmp_path, text(0), seed(0))).kind == "tasks"


def test_a_task_with_a_text_is_a_task(tmp_path: Path) -> None:
    """A field called "text" beside the instruction does not make a text of a task."""
    report = seedfile.check(written(tmp_path, seed(0, text="more"), seed(1, text="more")))
    assert (report.kind, report.count, report.faults) == ("tasks", 2, ())


def test_summary_of_texts(tmp_path: Path) -> None:
    """Languages and lengths are counted over the good texts."""
    chinese = text(language="zh", id="zh-1", text="面团要先醒半个小时。")
    summary = seedfile.check(written(tmp_path, text(0), text(1), chinese, b"{")).summary
    assert summary["languages"] == "en (2), zh (1)"
    assert summary["tokens a text"] == "9 to 11, median 10"
    assert summary["characters a text"] == "10 to 56, median 56"


SHIPPED = sorted(path.name for path in seedfile.folder().glob("*.jsonl"))


def test_all_our_seed_files_are_found() -> None:
    """The folder that comes with the product has tasks and texts."""
    assert {"self_instruct.en.jsonl", "self_instruct.zh.jsonl", "texts.en.jsonl", "texts.zh.jsonl"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_our_own_files_are_without_fault(name: str) -> None:
    """Every file that comes with the product is without fault, warning, or two lines that resemble each other."""
    kind = "120 texts" if name.startswith("texts.") else "175 tasks"
    page = seedfile.as_text(seedfile.check(seedfile.folder() / name))
    assert page.splitlines()[:2] == [f"{kind}, 0 faults", "no pair above ROUGE-L 0.5"]


@pytest.mark.parametrize(("language", "shortest", "longest"), [("en", 20, 200), ("zh", 30, 350)])
def test_our_own_texts_are_as_described(language: str, shortest: int, longest: int) -> None:
    """Lengths, ids and languages are what the demos count on, and the first 20 are short: a small model translates them."""
    lines = (seedfile.folder() / f"texts.{language}.jsonl").read_bytes().splitlines()
    texts = [orjson.loads(line) for line in lines]
    assert [one["id"] for one in texts] == [f"{language}-{n:03}" for n in range(1, 121)]
    assert {one["language"] for one in texts} == {language}
    units = [len(one["text"].split()) if language == "en" else len("".join(one["text"].split())) for one in texts]
    assert all(shortest <= count <= longest for count in units)
    assert max(units[:20]) <= {"en": 45, "zh": 80}[language]
    assert not [one["id"] for one in texts[:20] if any(sign in one["text"] for sign in "`{@\n")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_our_own_seeds_have_the_published_share_of_classification(language: str) -> None:
    """Of the 175 tasks, 26 are classification."""
    assert seedfile.check(ours(language)).summary["classification"] == "26 (15%)"


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
