"""What a run is made of: templates, seeds and filters from the user or from us, and what its identity rests on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import context
from engine.context import Loaded
from engine.core.faults import PlanError
from engine.plan import from_data
from tests.tasks import seed, written

CHECK = "def check(item):\n    return 'about tea' if 'tea' in item['instruction'] else None\n"


def loaded(**changes: Any) -> Loaded:
    """A plan of self_instruct with changes, made ready to run."""
    return context.load(from_data({"recipe": "self_instruct", "goal": 5, "lanes": {"main": {"provider": "local"}}, **changes}))


def refusal(**changes: Any) -> str:
    with pytest.raises(PlanError) as caught:
        loaded(**changes)
    return str(caught.value)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's module `seeddrill_test_filters` in the working directory, forgotten after the test."""
    path = tmp_path / "seeddrill_test_filters.py"
    path.write_text(CHECK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield path
    sys.modules.pop(path.stem, None)


def test_growth_needs_a_goal_and_no_input() -> None:
    """A recipe that makes its own questions would never end without a goal, and has no use for documents."""
    assert "the plan lacks 'goal'" in refusal(goal=None)
    assert "has no use for [input]" in refusal(input={"path": "x.jsonl"})


# Templates


def test_own_templates_go_before_ours(tmp_path: Path) -> None:
    """A folder of one's own gives the templates that it has; those it lacks are ours."""
    (tmp_path / "propose.chat.txt").write_text("Invent tasks.\n---\n{tasks}\n{next}. to {last}.", encoding="utf-8")
    own = loaded(options={"templates": str(tmp_path)}).sources.templates
    ours = loaded().sources.templates
    assert own["propose.chat"].startswith("Invent tasks.")
    assert {name for name in ours if own[name] != ours[name]} == {"propose.chat"}


def test_unknown_template_is_refused(tmp_path: Path) -> None:
    """A file that the recipe would never read is a typing error: it is named, with the names there are."""
    (tmp_path / "propose.chats.txt").write_text("x")
    told = refusal(options={"templates": str(tmp_path)})
    assert "propose.chats.txt" in told
    assert "propose.chat," in told


def test_templates_must_be_a_folder_of_texts(tmp_path: Path) -> None:
    """A folder that is none, and a template that is no UTF-8, are reported by their path."""
    assert "must be a folder" in refusal(options={"templates": str(tmp_path / "none")})
    (tmp_path / "propose.chat.txt").write_bytes(b"\xff")
    assert str(tmp_path / "propose.chat.txt") in refusal(options={"templates": str(tmp_path)})


# Seeds


def test_seeds_come_with_the_recipe(tmp_path: Path) -> None:
    """Without a word about seeds they are ours; with one they are the user's."""
    assert len(loaded().context.seeds) == 175
    assert [task["id"] for task in loaded(seeds=str(written(tmp_path, seed(0)))).context.seeds] == ["seed_task_0"]


def test_faulty_seed_file_is_refused(tmp_path: Path) -> None:
    """The first fault is told with file and line, the others by their number; a file without tasks is none."""
    path = written(tmp_path, seed(0), b"{", seed(1, instances=[]))
    told = refusal(seeds=str(path))
    assert str(path) in told
    assert "line 2: not JSON" in told
    assert "1 more" in told
    assert "no seeds in it" in refusal(seeds=str(written(tmp_path, b"")))


# Filters


def test_filters_stand_in_the_order_of_the_plan(module: Path) -> None:
    """Ours by name, the user's as module and function, in the order that was written."""
    names = ["length", "seeddrill_test_filters:check", "empty"]
    found = loaded(options={"filters": names})
    assert [chosen.name for chosen in found.context.filters] == names
    own = found.context.filters[1]
    assert own({"instruction": "Pour the tea."}, found.context.rules) == "about tea"
    assert own({"instruction": "Pour the milk."}, found.context.rules) is None
    assert found.sources.filters == {"seeddrill_test_filters:check": CHECK}


def test_filter_in_the_working_directory_is_found(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside the plan is importable though the command's own path does not name its folder."""
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(module.parent)])
    assert context.resolve("seeddrill_test_filters:check").name == "seeddrill_test_filters:check"


@pytest.mark.parametrize(
    "name",
    [
        "lenght",
        "seeddrill_test_filters",
        "no_such_module:check",
        "seeddrill_test_filters:chek",
        "seeddrill_test_filters:__name__",
        "math:sin",
        "seeddrill_test_filters:",
        ":check",
        ".seeddrill_test_filters:check",
    ],
)
def test_unknown_filter_is_refused(module: Path, name: str) -> None:
    """A name that is none of ours, and one of the user's that leads to no function with a source, are told as they stand."""
    assert repr(name) in refusal(options={"filters": [name]})


# Identity


def test_operations_are_no_part_of_the_identity() -> None:
    """Lanes, quotas, goal and patience may change between resumes."""
    lanes = {"other": {"provider": "openai", "model": "m", "requests_per_minute": 5}}
    changed = loaded(goal=50, lanes=lanes, timeout=5.0, patience=1.0, grace=0, backlog=1)
    assert changed.fingerprint == loaded().fingerprint


def test_whatever_shapes_the_data_is_part_of_the_identity(tmp_path: Path, module: Path) -> None:
    """Another seed, option, filter, seed file or template makes another run, and each differs from all the others."""
    (tmp_path / "propose.chat.txt").write_text("Invent tasks.\n---\n{tasks}", encoding="utf-8")
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 1},
        {"options": {"rouge_max": 0.6}},
        {"options": {"topic": "tea"}},
        {"options": {"parity": True}},
        {"options": {"filters": ["empty"]}},
        {"options": {"filters": ["empty", "seeddrill_test_filters:check"]}},
        {"options": {"templates": str(tmp_path)}},
        {"seeds": str(written(tmp_path, seed(0)))},
        {"recipe": "alpaca"},
    ]
    assert len({loaded(**change).fingerprint for change in changes}) == len(changes)


def test_text_of_a_filter_is_part_of_the_identity(module: Path) -> None:
    """A filter that was edited is another filter, though its name stayed."""
    options = {"filters": ["seeddrill_test_filters:check"]}
    before = loaded(options=options).fingerprint
    module.write_text(CHECK.replace("tea", "coffee"))
    del sys.modules[module.stem]
    assert loaded(options=options).fingerprint != before


def test_place_of_a_text_is_no_part_of_the_identity(tmp_path: Path) -> None:
    """What counts is what a seed file and a template say, not where they lie or that they are the user's."""
    copy = tmp_path / "t"
    copy.mkdir()
    for name, text in loaded().sources.templates.items():
        (copy / f"{name}.txt").write_text(text, encoding="utf-8")
    ours = tmp_path / "seeds.jsonl"
    ours.write_bytes(loaded().sources.seeds)
    assert loaded(seeds=str(ours), options={"templates": str(copy)}).fingerprint == loaded().fingerprint


# Texts to avoid


def test_texts_to_avoid_are_read_from_lines(tmp_path: Path) -> None:
    """A file is a text a line, or JSON: texts, or objects that have what is asked under one of the usual names."""
    (tmp_path / "plain.txt").write_text("Name a river.\n\n  Boil an egg. \n", encoding="utf-8")
    (tmp_path / "bench.jsonl").write_text('"Sort words."\n{"answer": "4", "question": "Add 2 and 2."}\n', encoding="utf-8")
    avoid = loaded(options={"avoid": [str(tmp_path / "plain.txt"), str(tmp_path / "bench.jsonl")]}).context.avoid
    assert [text for _, text in avoid] == ["Name a river.", "Boil an egg.", "Sort words.", "Add 2 and 2."]
    assert [id.rpartition(":")[2] for id, _ in avoid] == ["1", "3", "1", "2"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b'"a"\n{', "line 2: not JSON"),
        (b'{"answer": 4}', "line 1: no text"),
        (b"[]", "line 1: no text"),
    ],
)
def test_file_to_avoid_that_is_none_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A file that is missing, or has a line without a text, is told with its name and line."""
    path = tmp_path / "bench.jsonl"
    if content is not None:
        path.write_bytes(content)
    told = refusal(options={"avoid": [str(path)]})
    assert str(path) in told
    assert words in told


def test_what_is_avoided_is_part_of_the_identity_but_not_where_it_lies(tmp_path: Path) -> None:
    """Another text makes another run; the same texts in a file that has moved do not."""
    here, there, other = (tmp_path / name for name in ("here.txt", "there.txt", "other.txt"))
    here.write_text("Name a river.\n")
    there.write_text("Name a river.\n")
    other.write_text("Name a lake.\n")
    first, second, third = (loaded(options={"avoid": [str(path)]}).fingerprint for path in (here, there, other))
    assert first not in (third, loaded().fingerprint)
    assert first == second
