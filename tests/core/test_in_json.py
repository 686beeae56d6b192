"""The growing recipes with answers in JSON: what they ask, what they read, and that a whole run goes through."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from engine import app, context, plan
from engine.core.dedup import Index
from engine.core.faults import PlanError
from engine.core.http import HttpResponse
from engine.core.parse import Malformed
from engine.core.recipe import Context, compose, draw, judge, read
from engine.core.rng import stream
from engine.core.types import Chat, Draft, Item, Reply, Request, Stop, Usage
from engine.recipes import alpaca, self_instruct
from engine.runtime.pulse import RunState
from tests import brain
from tests.drive import LANE, Drive
from tests.fakes import answered

INSTRUCT, CLASSIFY, INSTANCE = self_instruct.RECIPE.steps
(GENERATE,) = alpaca.RECIPE.steps
PAIR = [{"input": "3 1 2", "output": "1 2 3"}, {"input": "", "output": "nothing"}]


def made(recipe: str = "self_instruct", **options: Any) -> Context:
    data = {"recipe": recipe, "goal": 1, "lanes": {"a": {"provider": "local"}}, "options": {"format": "json", **options}}
    return context.load(plan.from_data(data)).context


def asked(step: Any, context: Context, item: Item | None = None, try_: int = 0) -> Chat:
    request = draw(step, Request(step=step.name, index=0, item=item or {}, try_=try_), context, ())
    (call,) = compose(step, request, context, "chat").calls
    assert isinstance(call, Chat)
    return call


def drafts(step: Any, context: Context, text: str, *, stop: Stop = Stop.END, item: Item | None = None) -> tuple[Draft, ...]:
    request = Request(step=step.name, index=0, item=item or {}, style="chat")
    return read(step, request, context, (Reply(text=text, stop=stop, usage=Usage()),))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("step", "item", "fields"),
    [
        (INSTRUCT, {}, ["tasks"]),
        (CLASSIFY, {"instruction": "Sort."}, ["is_classification"]),
        (INSTANCE, {"instruction": "Sort.", "is_classification": False}, ["input", "output"]),
        (INSTANCE, {"instruction": "Sort.", "is_classification": True}, ["output", "input"]),
    ],
)
def test_prompt_names_the_form_and_binds_the_answer(language: str, step: Any, item: Item, fields: list[str]) -> None:
    """Each question says in words what JSON it wants, with the fields in the order of the schema that it sends along."""
    call = asked(step, made(language=language), item)
    schema = call.decoding.schema
    assert schema is not None
    inner = schema["properties"].get("examples", {}).get("items", schema)
    assert list(inner["properties"]) == fields
    system = call.messages[0].content
    places = [system.index(f'"{name}"') for name in fields]
    assert places == sorted(places)
    assert not call.decoding.stop
    assert "{" + fields[0] not in call.messages[1].content


def test_second_try_names_the_fault() -> None:
    """Asked again, the question says what was wrong with the last answer; the first one says nothing of it."""
    for step, item in ((INSTRUCT, {}), (INSTANCE, {"instruction": "Sort.", "is_classification": False})):
        first, second = (asked(step, made(), item, try_).messages[1].content for try_ in (0, 1))
        assert "could not be used" not in first
        assert second.endswith("Answer with that object, and with nothing before or after it.")


def test_instructions_are_read() -> None:
    """Texts, tidied; what is none is lost and its neighbours stay."""
    text = orjson.dumps({"tasks": ["name  three\nrivers", 7, "sort NASA's list"]}).decode()
    found = drafts(INSTRUCT, made(), f"```json\n{text}\n```")
    assert [draft.item.get("instruction") for draft in found] == ["Name three rivers", None, "Sort NASA's list"]
    assert [draft.lost for draft in found] == [None, "malformed", None]


def test_cut_answer_keeps_its_whole_items() -> None:
    """What came whole before the cut is kept: in JSON it is certain where an item ends."""
    found = drafts(INSTRUCT, made(), '{"tasks": ["Name rivers.", "Sort words.", "Explain wh', stop=Stop.LENGTH)
    assert [draft.item["instruction"] for draft in found] == ["Name rivers.", "Sort words."]
    assert not any(draft.lost for draft in found)
    with pytest.raises(Malformed):
        drafts(INSTRUCT, made(), '{"tasks": ["Name rivers.", "Explain wh')


def test_kind_is_a_truth_value() -> None:
    """`true` and `false`, not words for them."""
    assert drafts(CLASSIFY, made(), '{"is_classification": true}')[0].item == {"is_classification": True}
    with pytest.raises(Malformed):
        drafts(CLASSIFY, made(), '{"is_classification": "yes"}')


def test_instances_are_read_in_any_order_of_their_fields() -> None:
    """Fields have names; blanks around texts go; one that lacks a field is lost."""
    text = orjson.dumps({"examples": [{"output": " 1 2 3 ", "input": "3 1 2"}, {"input": "x"}, PAIR[1]]}).decode()
    item = {"instruction": "Sort.", "is_classification": True}
    found = drafts(INSTANCE, made(), text, item=item)
    assert [draft.item for draft in found] == [PAIR[0], {}, PAIR[1]]
    assert [draft.lost for draft in found] == [None, "malformed", None]


def test_alpaca_reads_whole_tasks() -> None:
    """One object a task; it goes through the same filters as text."""
    tasks = [{"instruction": "Sort the numbers in rising order.", **PAIR[0]}, {"instruction": "Hi", **PAIR[0]}]
    context = made("alpaca")
    found = drafts(GENERATE, context, orjson.dumps({"tasks": tasks}).decode())
    verdict = judge(GENERATE, Request(step="generate", index=0), context, found, Index(context.tokens))
    assert [item for _, item in verdict.kept] == tasks[:1]
    assert [reason for _, _, reason in verdict.dropped] == ["too_short"]
    call = asked(GENERATE, context)
    assert '"instruction"' in call.messages[0].content
    assert "###" in call.messages[1].content


def test_plans_that_cannot_be_asked_in_json() -> None:
    """A completion cannot be bound to JSON, and what was published was text."""
    loaded = context.load(
        plan.from_data({"recipe": "alpaca", "goal": 1, "lanes": {"a": {"provider": "local"}}, "options": {"format": "json"}})
    )
    with pytest.raises(PlanError, match=r"lanes\.a is a completion"):
        app.opened(loaded)
    with pytest.raises(PlanError, match="leave format out, or parity"):
        made(parity=True)


def answer(body: dict[str, Any], count: int) -> HttpResponse:
    """A model that answers in JSON, as the schema of the request says, and now and then says something else."""
    rng = stream(0, brain.prompt_of(body))
    schema = body["response_format"]["json_schema"]["schema"]
    (name,) = schema["properties"]
    if rng.random() < 0.05:
        return answered("I am sorry, what did you say?")
    values = {
        "tasks": lambda: [brain.task(rng) for _ in range(8)],
        "is_classification": lambda: rng.random() < 0.3,
        "examples": lambda: [{"input": str(rng.random()), "output": str(rng.random())} for _ in range(3)],
    }
    return answered(orjson.dumps({name: values[name]()}).decode(), tokens=(300, 100))


def test_run_in_json() -> None:
    """A whole run: every answer is bound to a schema, what cannot be read is asked again once, and records come out."""
    lane = {**LANE, "provider": "openai", "model": "m"}
    drive = Drive(goal=60, answer=answer, lanes={"main": lane}, options={"format": "json"})
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.records > 60
    again = [line for line in drive.settled() if line["try"] == 1]
    assert len(again) >= 3
    assert any(re.search("could not be used", brain.prompt_of(body)) for body in drive.wire.sent)
