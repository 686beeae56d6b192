"""Lanes as a recipe sees them: which steps they serve, whose languages they have, how long a text they take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

import providers
from engine import app, context, recipes
from engine.core.faults import Fault, FaultKind, PlanError
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.language import Languages
from engine.core.types import Chat, Decoding, LanePlan, Message, Translation
from engine.lanes import check_languages, lane_of
from engine.plan import from_data
from engine.runtime.inquiring import inquire
from tests import translator, virtual
from tests.drive import Drive
from tests.translator import TRANSLATOR, WRITER, corpus, plan

PAIRS = [{"code": "en", "targets": ["es"]}, {"code": "es", "targets": ["en"]}]


def loaded(tmp_path: Path, **changes: Any) -> context.Loaded:
    return context.load(from_data(plan(corpus(tmp_path / "corpus.jsonl", 12), **changes)))


def refusal(tmp_path: Path, **changes: Any) -> str:
    with pytest.raises(PlanError) as caught:
        app.opened(loaded(tmp_path, **changes))
    return str(caught.value)


def test_pair_that_no_lane_has_is_named_with_what_they_offer(tmp_path: Path) -> None:
    """A vendor's list that lacks a language is told in the error, before anything is asked."""
    lanes = {"deepl": {"provider": "deepl", "key": "file:/dev/null"}, "llm": WRITER}
    told = refusal(tmp_path, lanes=lanes, options={"pivot": "tlh"})
    assert "the step translate translates from en into tlh, which no lane does. deepl (deepl) translates from" in told
    assert "fr" in told


def test_texts_must_fit_into_what_a_vendor_takes(tmp_path: Path) -> None:
    """A lane whose vendor takes shorter texts than the parts that are made of long ones is a plan error; bytes count as bytes."""
    lanes = {"amazon": {"provider": "amazon_translate", "key": "env:A env:B"}, "llm": WRITER}
    told = refusal(tmp_path, lanes=lanes, options={"part_characters": 9000})
    assert "options.part_characters is 9000, and amazon_translate (lanes.amazon) takes texts of 10000 characters" in told


def refusal_of(data: dict[str, Any]) -> str:
    with pytest.raises(PlanError) as caught:
        app.lanes(context.load(from_data(data)))
    return str(caught.value)


def test_lane_that_nobody_asks_is_told_what_it_is(tmp_path: Path) -> None:
    """A language model is of no use to `augment` that keeps the outputs, unless another lane translates with it, or new outputs
    are asked for; a translator is of none to recipes without texts."""
    records = tmp_path / "records.jsonl"
    records.write_text(json.dumps({"instruction": "Name three towns by the sea.", "input": "", "output": "Riga, Kiel, Gdynia."}))
    lanes: dict[str, Any] = {"mt": TRANSLATOR, "llm": WRITER}
    data = {"recipe": "augment", "input": {"path": str(records)}, "options": {"language": "en"}, "lanes": lanes}
    with pytest.raises(PlanError, match=r"lanes\.llm: the provider local does not translate"):
        app.lanes(context.load(from_data(data)))
    told = refusal_of({**data, "lanes": {**lanes, "llm": {**WRITER, "role": "answer"}}})
    assert told == "lanes.llm.role: the recipe augment has no role 'answer' under these options; it has translate"
    lent = {"llm": WRITER, "mt": {"provider": "llm_translate", "via": "llm"}}
    assert [lane.roles for lane in app.lanes(context.load(from_data({**data, "lanes": lent})))] == [set(), {"translate"}]
    again = app.lanes(context.load(from_data({**data, "options": {"language": "en", "answer": "again"}})))
    assert [lane.roles for lane in again] == [{"translate"}, {"answer"}]
    with pytest.raises(PlanError, match=r"lanes\.mt: the provider libretranslate only translates, which the recipe"):
        app.lanes(context.load(from_data({"recipe": "self_instruct", "goal": 5, "lanes": lanes})))


def offer(pairs: set[tuple[str, str]]) -> Languages:
    return Languages({one: one for one, _ in pairs}, {other: other for _, other in pairs}, frozenset(pairs))


def test_lane_that_has_one_way_only_serves_that_way(tmp_path: Path) -> None:
    """Of two servers that each translate one way, each is asked for its own, however dear it is; the run ends."""
    lanes = {
        "there": {**TRANSLATOR, "weight": 9.0},
        "back": {**TRANSLATOR, "base_url": "http://127.0.0.1:8"},
        "llm": WRITER,
    }
    run = Drive(plan={}, loaded=loaded(tmp_path, lanes=lanes), answer=translator.answer)

    def meanwhile(scheduler: Any) -> None:
        found = [lane for _, lane in scheduler._lanes.values()]
        check_languages(run.loaded, found, {"there": offer({("en", "zh")}), "back": offer({("zh", "en")})})  # type: ignore[arg-type]

    run.meanwhile = meanwhile
    assert run.start().records == 12
    used = {(line["s"], line["lane"]) for line in run.settled()}
    assert used == {("translate", "there"), ("return", "back"), ("instruct", "llm")}


class Server:
    """A network on which one server tells its languages, and another does not."""

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        await anyio.sleep(1.0)
        if ":8" in request.url:
            raise Fault(FaultKind.NETWORK, "refused")
        assert (request.method, request.url) == ("GET", "http://127.0.0.1:9/languages")
        return HttpResponse(200, {}, json.dumps(PAIRS).encode())


def test_servers_are_asked_for_their_languages(tmp_path: Path) -> None:
    """What a server says counts; one that says nothing is taken to have every language."""
    lanes = {"one": TRANSLATOR, "other": {**TRANSLATOR, "base_url": "http://127.0.0.1:8"}, "llm": WRITER}
    found = loaded(tmp_path, lanes=lanes)
    made = app.lanes(found)

    async def main() -> dict[str, Languages]:
        return await inquire(made, Server())  # type: ignore[arg-type]

    told = virtual.run(main)
    assert told.keys() == {"one"}
    check_languages(found, made, told)
    assert {lane.name: lane.lacks for lane in made} == {"one": {"translate", "return"}, "other": set(), "llm": set()}
    alone = replace(found, plan=from_data(plan(tmp_path / "corpus.jsonl", lanes={"one": TRANSLATOR, "llm": WRITER})))
    with pytest.raises(PlanError, match=r"one \(libretranslate\) translates en-es, es-en"):
        check_languages(alone, app.lanes(alone), told)


def test_dearer_engine_brings_back_what_the_cheaper_one_translated(tmp_path: Path) -> None:
    """Work for which the lane that is asked first is barred does not wait for it."""
    lanes = {
        "first": {**TRANSLATOR, "weight": 9.0},
        "second": {**TRANSLATOR, "base_url": "http://127.0.0.1:8"},
        "llm": WRITER,
    }
    made = loaded(tmp_path, lanes=lanes, options={"two_engines": True})
    run = Drive(plan={}, loaded=made, answer=translator.answer, delay=lambda rng: Random(rng.random()).uniform(0.5, 1.5))
    assert run.start().records == 12
    there = {f"translate/{line['i']}.0": line["lane"] for line in run.settled() if line["s"] == "translate"}
    back = [(there[line["of"]], line["lane"]) for line in run.settled() if line["s"] == "return"]
    assert ("first", "second") in back
    assert all(one != other for one, other in back)


# Addresses


def lane_at(name: str, **changes: Any) -> dict[str, Any]:
    """A plan with a lane of this provider, as sparse as it may be."""
    dialect = providers.find(name)
    translates = Translation in dialect.accepts
    lane = {"provider": name, **({"model": "m"} if dialect.models else {}), **changes}
    recipe = {"recipe": "backtranslation"} if translates else {"recipe": "self_instruct", "goal": 1}
    return {**recipe, "lanes": {"main": lane, **({"llm": WRITER} if translates else {})}}


def refused(made: dict[str, Any]) -> str | None:
    """What the plan error says, `None` where there is none."""
    try:
        recipe = recipes.find(made["recipe"])
        for name, lane in from_data(made).lanes.items():
            lane_of(name, lane, recipe)
    except PlanError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", providers.names())
def test_a_vendor_has_an_address_or_the_plan_is_refused(name: str) -> None:
    """Whoever has no address of its own says so at once, as a plan error that names the key; all others can be asked."""
    dialect = providers.find(name)
    chat = Chat((Message("user", "Hi"),), Decoding(max_tokens=1))
    call = Translation("water", "en", "es") if Translation in dialect.accepts else chat
    said = refused(lane_at(name))
    if said is None:
        url = dialect.encode((call,), LanePlan(provider=name, model="m"), Stamp(0.0, "")).url
        assert url.startswith(("https://", "http://127.0.0.1:"))
        return
    assert said.startswith(f"lanes.main.base_url: {name} has no address of its own")
    assert name == "azure_openai", "the one of ours"
    assert refused(lane_at(name, base_url="https://mine.openai.azure.com")) is None


@pytest.mark.parametrize(
    "address", ["api.example.com/v1", "htp://api.example.com", "https:///v1", "https://host:port/v1", "env:URL"]
)
@pytest.mark.parametrize("name", [name for name in providers.names() if name != "local"])
def test_an_address_that_is_none_is_a_plan_error(name: str, address: str) -> None:
    """Before anything is asked, with the key's name and how an address is written."""
    said = refused(lane_at(name, base_url=address))
    assert said is not None
    assert said.startswith("lanes.main.base_url is no address that can be asked: write it as")


@pytest.mark.parametrize("key", ["base_url", "proxy"])
def test_a_password_in_an_address_is_a_plan_error(key: str) -> None:
    """It is told where to put it, and it is not shown."""
    said = refused(lane_at("openai", **{key: "http://me:hush-hush@127.0.0.1:9/v1"}))
    assert said is not None
    assert said.startswith(f"lanes.main.{key} has a name or a password in it, which has no place in a plan")
    assert "env:NAME" in said
    assert "hush" not in said
