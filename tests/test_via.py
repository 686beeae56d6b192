"""Lanes that go via another one: what they share in a plan, and whole runs of back-translation by one language model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from msgspec import structs

import engine
from engine import app, context, quickstart
from engine.core.documents import InputPlan
from engine.core.faults import LaneError, PlanError
from engine.core.http import HttpResponse
from engine.core.types import LanePlan, Translation
from engine.plan import from_data
from engine.runtime import apertium
from engine.runtime.pulse import RunState
from providers.llm_translate import LlmTranslate
from providers.simulator.cipher import translated
from tests import translator
from tests.drive import Drive
from tests.embedded import listens, needs_apertium, needs_model, until
from tests.fakes import answered

MODEL = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "base_url": "http://127.0.0.1:9/v1",
    "requests_per_minute": 600,
    "role": "write",
    "extra": {"user": "x"},
}
VIA = {"provider": "llm_translate", "via": "llm"}
SHORT = (
    "今天下午下雨了，我们在家里喝茶。",
    "这家面馆每天早上六点开门。",
    "她每个星期天都去河边跑步。",
    "请把窗户关上，外面很冷。",
    "他在图书馆借了三本书。",
)


def loaded(lanes: dict[str, Any]) -> context.Loaded:
    seeds = Path(__file__).parent.parent / "seeds" / "texts.en.jsonl"
    return context.load(from_data(translator.plan(seeds, lanes=lanes)))


# The plan


@pytest.mark.parametrize("order", [("llm", "mt"), ("mt", "llm")])
def test_lane_shares_all_but_its_role(order: tuple[str, str]) -> None:
    """Model, address, quota, price and account are the other lane's, in whatever order they stand; it takes translations only."""
    lanes = {"llm": MODEL, "mt": {**VIA, "weight": 2.0}}
    found = loaded({name: lanes[name] for name in order})
    made = {lane.name: lane for lane in app.lanes(found)}
    llm, mt = made["llm"], made["mt"]
    assert (mt.plan.model, mt.plan.base_url, mt.plan.quota, mt.plan.extra) == (
        llm.plan.model,
        llm.plan.base_url,
        llm.plan.quota,
        llm.plan.extra,
    )
    assert (mt.plan.weight, mt.plan.role, mt.roles, llm.roles) == (2.0, (), {"translate"}, {"write"})
    assert set(app.homes(found.plan).values()) == {order[0]}
    assert mt.engine == llm.engine
    assert mt.provider.accepts == (Translation,)
    assert isinstance(mt.provider, LlmTranslate)
    assert (mt.provider.inner, mt.provider.asks, mt.style) == (llm.provider, "chat", "chat")


def test_written_plan_can_be_read_again() -> None:
    """A run's own copy of its plan says of the lane what it shares, and means the same."""
    found = loaded({"llm": MODEL, "mt": VIA})
    again = from_data({**translator.plan(Path("x")), "lanes": {"llm": MODEL, "mt": {**MODEL, "role": [], "via": "llm"}}})
    assert context.plans.shared(again.lanes) == found.plan.lanes


@pytest.mark.parametrize(
    ("lanes", "words"),
    [
        ({"llm": MODEL, "mt": {**VIA, "via": "lm"}}, "did you mean 'llm'"),
        ({"mt": {**VIA, "via": "mt"}}, "there are no others"),
        ({"llm": MODEL, "mt": VIA, "too": {**VIA, "via": "mt"}}, "mt goes via llm itself"),
        ({"llm": MODEL, "mt": {**VIA, "model": "other", "requests_per_minute": 5}}, "leave out model, quota"),
        ({"llm": MODEL, "mt": {**VIA, "provider": "deepl"}}, 'provider = "llm_translate"'),
    ],
)
def test_lane_that_cannot_go_via_another_is_refused(lanes: dict[str, Any], words: str) -> None:
    """The message says what is wrong, and what to do."""
    with pytest.raises(PlanError, match=words):
        from_data(translator.plan(Path("x"), lanes=lanes))


def test_translator_is_no_language_model() -> None:
    """Nor can a lane of one write instructions."""
    with pytest.raises(PlanError, match=r"lanes\.mt\.via: deepl is no lane of a language model"):
        app.lanes(loaded({"deepl": {"provider": "deepl"}, "mt": {**VIA, "via": "deepl"}}))
    with pytest.raises(PlanError, match=r"lanes\.mt\.role: the provider llm_translate only translates"):
        app.lanes(loaded({"llm": MODEL, "mt": {**VIA, "role": "write"}}))


def test_plain_form_has_a_model_of_its_own() -> None:
    """Without `via` it speaks OpenAI's dialect to any address, in the style that the lane says."""
    lane = {**MODEL, "provider": "llm_translate", "role": "translate", "style": "completion"}
    (_, mt) = app.lanes(loaded({"llm": MODEL, "mt": lane}))
    assert isinstance(mt.provider, LlmTranslate)
    assert (mt.provider.asks, mt.plan.model) == ("completion", "gpt-4o-mini")


# A run in virtual time


def model(body: dict[str, Any], count: int) -> HttpResponse:
    """A language model that translates when it is asked to, with words around it, and now and then says nothing."""
    turns = body.get("messages") or [{"content": ""}, {"content": body["prompt"]}]
    target = next((name for name in ("into Chinese", "into English") if name in turns[0]["content"]), None)
    if target is None:
        return answered(translator.instruction([turns[-1]["content"]]))
    if count % 10 == 3:
        return answered("Here is the translation:\n")
    return answered(f"Here is the translation:\n\n“{translated(turns[-1]['content'], 'zh' if 'Chinese' in target else 'en')}”")


def test_documents_go_round_by_way_of_a_chat_lane(tmp_path: Path) -> None:
    """Every document becomes a record of its own text, which came back whole; empty answers are asked again."""
    corpus = translator.corpus(tmp_path / "texts.jsonl", 30)
    drive = Drive(plan=translator.plan(corpus, lanes={"llm": MODEL, "mt": VIA}), answer=model)
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert (pulse.records, set(drive.keys().values())) == (30, {1})
    settled = drive.settled()
    assert {line["lane"] for line in settled if line["s"] != "instruct"} == {"mt"}
    assert {line["lane"] for line in settled if line["s"] == "instruct"} == {"llm"}
    texts = {f"translate/{line['i']}.0": line["item"]["text"] for line in settled if line["s"] == "translate"}
    assert {line["of"]: item["back"] for line in settled if line["s"] == "return" for item in line["kept"]} == texts
    assert {line["paid"] for line in drive.paid()} == {"malformed answer"}
    mt = pulse.tally["lanes"]["mt"]
    assert mt["characters"] > 30 * 2 * 80
    assert mt["tokens_in"] >= 60 * 100


# Real servers


@needs_model
def test_embedded_model_goes_round_by_itself(tmp_path: Path) -> None:
    """One server for both lanes: short texts come back from English, one is kept by a gate that this small model can pass, and it
    gets an instruction."""
    wish = quickstart.Wish(recipe="backtranslation", goal=1)
    plan = quickstart.plan(wish)
    texts = tmp_path / "texts.jsonl"
    texts.write_bytes(b"\n".join(orjson.dumps({"text": text}) for text in SHORT))
    easy = {"documents": {"min_characters": 8}, "gate": {"chrf_min": 0.01, "ratio_max": 9, "rouge_max": 1}}
    plan = structs.replace(plan, input=InputPlan(path=str(texts)), options={**plan.options, **easy})
    outcome = engine.run(plan, tmp_path / "run")
    assert outcome.exit_code == 0
    assert outcome.pulse.records >= 1
    assert outcome.pulse.tally["lanes"]["translator"]["tokens_out"] > 10
    assert (tmp_path / "run" / "model.log").read_bytes().count(b"loading model '") == 1
    report = list(quickstart.report(tmp_path / "run", wish, 61.0))
    assert report[0].startswith("Back-translation of zh-en-zh")
    assert any(line.startswith("  source:") for line in report)


@needs_apertium
def test_apertium_is_started_and_ends_with_its_block(tmp_path: Path) -> None:
    """It answers at its address with its pairs while the block lasts, and nobody does afterwards."""

    async def main() -> str:
        async with apertium.serve(tmp_path / "apertium.log") as address:
            await apertium.check(address, ("en", "es"), ("es", "en"))
            with pytest.raises(LaneError, match=r"from en into zh, only .*apt-get install"):
                await apertium.check(address, ("en", "zh"))
        with pytest.raises(LaneError, match="no server of Apertium's answers"):
            await apertium.check(address, ("en", "es"))
        return address

    assert anyio.run(main).startswith("http://127.0.0.1:")
    assert (tmp_path / "apertium.log").stat().st_size > 0


HOLDER = """
import anyio, sys
from pathlib import Path
from engine.runtime import apertium

async def main():
    async with apertium.serve(Path(sys.argv[1])) as address:
        print(address, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@needs_apertium
def test_killed_parent_leaves_no_apertium(tmp_path: Path) -> None:
    """kill -9 of whoever started the server ends it, too."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "apertium.log")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    port = int(process.stdout.readline().decode().strip().rpartition(":")[2])
    assert listens(port)
    process.kill()
    process.communicate()
    until(lambda: not listens(port), "Apertium's server to die with its parent")


def test_apertium_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what to install, and what to do without it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlanError, match=r"apt-get install apertium-apy apertium-eng-spa.*--apertium URL.*zh-en or en-zh"):
        quickstart.run(tmp_path / "run", quickstart.Wish(recipe="backtranslation", pair="en-es"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (quickstart.Wish(recipe="augment"), "knows the recipes self_instruct, backtranslation"),
        (quickstart.Wish(recipe="backtranslation", pair="en-de"), "its pairs are zh-en, en-zh, en-es"),
        (quickstart.Wish(pair="zh-en"), "add --recipe backtranslation"),
        (quickstart.Wish(recipe="backtranslation", address="http://127.0.0.1:9"), "for the pair en-es"),
    ],
)
def test_wish_that_cannot_be_granted(wish: quickstart.Wish, words: str, tmp_path: Path) -> None:
    """What there is stands in the message, and nothing is made."""
    with pytest.raises(PlanError, match=words):
        quickstart.run(None, wish)


def test_each_pair_has_a_directory_of_its_own() -> None:
    """So that the command without one never finds another pair's run."""
    wishes = [quickstart.Wish(), *(quickstart.Wish(recipe="backtranslation", pair=pair) for pair in quickstart.PAIRS)]
    assert [str(quickstart.folder(wish)) for wish in wishes] == [
        "quickstart",
        "quickstart-zh-en",
        "quickstart-en-zh",
        "quickstart-en-es",
    ]


def test_quickstart_shares_one_model() -> None:
    """The translator goes via the writer, or is Apertium's server at its address."""
    plan = quickstart.plan(quickstart.Wish(recipe="backtranslation", pair="en-zh"))
    assert plan.lanes["translator"] == LanePlan(provider="llm_translate", via="local")
    assert (plan.goal, plan.options["language"], plan.options["pivot"]) == (12, "en", "zh")
    plan = quickstart.plan(quickstart.Wish(recipe="backtranslation", pair="en-es", address="http://127.0.0.1:7"))
    assert (plan.lanes["translator"].provider, plan.lanes["translator"].base_url) == ("apertium", "http://127.0.0.1:7")
