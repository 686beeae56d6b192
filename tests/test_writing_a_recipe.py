"""The page on writing a recipe says what is true: its example is a recipe, and the real scheduler runs it."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from engine import planning
from engine.core.http import HttpResponse
from engine.core.recipe import Recipe, Step
from engine.plan import load
from engine.recipes import find
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Scheduler
from tests.drive import Drive
from tests.fakes import answered
from tests.translator import text

PAGE = (Path(__file__).parents[1] / "docs" / "writing-a-recipe.md").read_text(encoding="utf-8")
CODE, PLAN = re.findall(r"^```(?:python|toml)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NAME = "my_recipes.quiz"


@pytest.fixture
def quiz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipe]:
    """The example, as a module of the user's own."""
    (tmp_path / "my_recipes").mkdir()
    (tmp_path / "my_recipes" / "__init__.py").touch()
    (tmp_path / "my_recipes" / "quiz.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield find(NAME)
    for module in (NAME, "my_recipes"):
        sys.modules.pop(module)


def plan(folder: Path, count: int = 40) -> dict[str, Any]:
    """Texts, the last of them too short to be asked about."""
    texts = [*(text(n) for n in range(count - 1)), "Too short."]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in texts))
    lane = {"provider": "local", "base_url": "http://127.0.0.1:9/v1", "concurrent": 4, "style": "chat"}
    return {"recipe": NAME, "input": {"path": str(folder / "texts.jsonl")}, "lanes": {"main": lane}}


def answer(body: dict[str, Any], count: int) -> HttpResponse:
    """A question with the text's own words; an answer; now and then nothing, an assertion, or that it is not known."""
    task, about = (turn["content"] for turn in body["messages"])
    year, *_ = re.findall(r"In (\d+) the", about)
    number = int(year) - 1000
    if "Ask one question" in task:
        if number == 3 and not body["temperature"]:
            return answered(" ")
        return answered(f"{about.split('.')[0]}{'.' if number == 5 else '?'}")
    return answered("Unknown." if number == 7 else f"It was in {year}.")


def test_example_makes_records(quiz: Recipe, tmp_path: Path) -> None:
    """One record a text; the others are lost for the reasons that the example gives, and an empty answer is drawn anew."""
    run = Drive(plan=plan(tmp_path), answer=answer)
    pulse = run.start()
    assert pulse.state is RunState.DONE
    assert pulse.records == 37
    reasons = {line["dropped"][0][2]: line["of"] for line in run.settled() if line["dropped"]}
    assert reasons == {"too_short": "input/39.0", "no_question": "input/5.0", "unknown": "question/7.0"}
    assert next(line for line in run.settled() if (line["s"], line["i"]) == ("question", 3))["try"] == 1


def test_example_goes_on_after_a_stop(quiz: Recipe, tmp_path: Path) -> None:
    """Interrupted and resumed, it asks each question once, and ends with the same records."""
    asking = Drive(plan=plan(tmp_path), answer=answer, meanwhile=stop)
    assert asking.start().state is RunState.INTERRUPTED
    assert 0 < len(asking.settled()) < 78
    again = Drive(plan=asking.plan, answer=answer, disk=asking.disk)
    assert again.start().records == 37
    keys = [(line["s"], line["i"]) for line in again.settled()]
    assert len(keys) == len(set(keys)) == 40 + 38


def stop(scheduler: Scheduler) -> None:
    """Ask the run to end after eight seconds."""
    asyncio.get_running_loop().call_later(8.0, scheduler.interrupt, "SIGTERM")


def test_plan_of_the_page_is_good(quiz: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`plan check` knows the recipe, and shows its prompt."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    plan(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    said = planning.check(load(tmp_path / "plan.toml"), 1)
    assert said.startswith("The plan is good: quiz")
    assert "Ask one question" in said and text(0) in said


def test_page_names_every_part_of_a_step() -> None:
    """The table has each field of a step."""
    assert not {field.name for field in fields(Step) if f"`{field.name}" not in PAGE}
