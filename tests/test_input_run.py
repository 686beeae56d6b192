"""The real loop over a recipe that asks about documents: each one once, in order, none that need not be asked about."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import context
from engine.core.documents import LARGEST
from engine.core.faults import Fault, FaultKind, PlanError
from engine.core.growth import LATER_DRY
from engine.core.http import HttpResponse
from engine.core.intake import AHEAD
from engine.plan import from_data
from engine.runtime import source
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Scheduler
from tests.drive import Drive
from tests.fakes import refused
from tests.translator import LANES, TRANSLATOR, WRITER, answer, corpus, plan, step_of, text


def drive(path: Path, **changes: Any) -> Drive:
    named = {key: changes.pop(key) for key in ("disk", "answer", "worker", "meanwhile", "delay", "failures") if key in changes}
    return Drive(**{"answer": answer, "plan": plan(path, **changes), "loaded": loaded(path, **changes), **named})


def loaded(path: Path, **changes: Any) -> context.Loaded:
    """A plan made ready, without the model that identifies languages: nothing here depends on what it says."""
    found = context.load(from_data(plan(path, **changes)))
    return replace(found, context=replace(found.context, identify=lambda text: None))


def of_step(drive: Drive, step: str) -> list[dict[str, Any]]:
    return [line for line in drive.settled() if line["s"] == step]


def lost(drive: Drive) -> dict[int, str]:
    """Reasons of documents that were not asked about, by number."""
    return {line["i"]: line["dropped"][0][2] for line in of_step(drive, "translate") if not line["lane"]}


def line_of(words: str, **more: Any) -> bytes:
    return json.dumps({"text": words, **more}).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "corpus.jsonl"


def test_every_document_becomes_a_record(path: Path) -> None:
    """Each document is translated, brought back and given an instruction, once; the run ends when the input does."""
    run = drive(corpus(path, 150))
    pulse = run.start()
    assert pulse.state is RunState.DONE
    assert pulse.records == pulse.kept == pulse.documents == 150
    assert set(run.keys().values()) == {1}
    assert {line["i"] for line in of_step(run, "translate")} == set(range(150))
    assert len(run.wire.sent) == 450
    assert run.disk.synced == run.disk.files


def test_settled_line_carries_its_document(path: Path) -> None:
    """A line of the first step has the whole document, so that nobody needs the input to read the journal."""
    run = drive(corpus(path, 3))
    run.start()
    lines = {line["i"]: line for line in of_step(run, "translate")}
    assert lines[2]["of"] == "input/2.0"
    assert lines[2]["item"] == {"id": "input/2.0", "text": text(2), "language": None, "doc": "doc-2", "meta": {"topic": 2}}
    assert all("item" not in line for line in run.settled() if line["s"] != "translate")


def test_finished_run_asks_and_reads_nothing_more(path: Path) -> None:
    """Started again, a finished run ends at once."""
    run = drive(corpus(path, 10))
    run.start()
    before = dict(run.disk.files)
    assert run.start().state is RunState.DONE
    assert run.wire.sent == []
    assert run.disk.files == before


def test_documents_are_asked_about_in_order_and_children_first(path: Path) -> None:
    """Translation follows the input's order, and what is begun is finished before more is begun."""
    run = drive(corpus(path, 60), lanes={"mt": {**TRANSLATOR, "concurrent": 1}, "llm": WRITER}, delay=lambda rng: 1.0)
    run.start()
    steps = [step_of(body) for body in run.wire.sent]
    assert [body["q"] for body in run.wire.sent if step_of(body) == "translate"] == [text(n) for n in range(60)]
    begun = [steps[: n + 1].count("translate") - steps[: n + 1].count("return") for n in range(len(steps))]
    assert max(begun) == 1


# What is not asked about


def test_what_need_not_be_asked_costs_no_call(path: Path) -> None:
    """Documents with a flaw, those that the gate turns away, and copies are settled with their reasons, without a call."""
    bad = {
        "n1": b"",
        "n2": b'{"text": "caf\xe9 au lait and more of it, long enough"}',
        "n3": line_of("x" * (LARGEST + 1)),
        "n4": b'{"text": ',
        "n5": line_of("Too short."),
        "n6": line_of(text(0)),
        "n7": line_of(text(0).replace("old", "older")),
        "n8": line_of("Ein Text in einer anderen Sprache.", language="de"),
        "n9": line_of(f"{text(9)} \0"),
    }
    run = drive(corpus(path, 60, **bad))
    pulse = run.start()
    assert pulse.state is RunState.DONE
    reasons = {number: reason.split(" ")[0] for number, reason in lost(run).items()}
    assert reasons == {
        1: "empty",
        2: "undecodable",
        3: "too_large",
        4: "not_json",
        5: "too_short",
        6: "duplicate",
        7: "duplicate",
        8: "language",
        9: "binary",
    }
    assert pulse.records == 51
    assert len(run.wire.sent) == 3 * 51
    assert pulse.tally["steps"]["translate"]["dropped"]["duplicate"] == 2
    for line in of_step(run, "translate"):
        if line["i"] in reasons:
            assert (line["lane"], line["replies"], line["q"], line["kept"]) == ("", [], "", [])
            assert line["item"]["id"] == f"input/{line['i']}.0"


@pytest.mark.parametrize("concurrent", [1, 16])
def test_copies_are_found_whatever_is_under_way(path: Path, concurrent: int) -> None:
    """Of near copies that follow each other closely, the first is asked about and no other, however many calls are in flight."""
    copies = {f"n{n}": line_of(f"{text(0)} Part {n}.") for n in range(1, 12)}
    run = drive(corpus(path, 40, **copies), lanes={"mt": {**TRANSLATOR, "concurrent": concurrent}, "llm": WRITER})
    pulse = run.start()
    assert pulse.records == 29
    assert {number: reason.split(" (")[0] for number, reason in lost(run).items()} == dict.fromkeys(
        range(1, 12), "duplicate of input/0.0"
    )
    places = {line["i"]: place for place, line in enumerate(of_step(run, "translate"))}
    assert all(places[n] > places[0] for n in range(1, 12)), "a verdict rests on lines that stand before it"


def test_copy_of_a_document_that_failed_is_asked_about(path: Path) -> None:
    """A document whose question failed for good is no reason to leave out its copy; the copy's copy is left out."""
    copies = {"n1": line_of(f"{text(0)} Part 1."), "n2": line_of(f"{text(0)} Part 2.")}

    def failing(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return refused(400) if body.get("q") == text(0) else answer(body, count)

    run = drive(corpus(path, 4, **copies), answer=failing)
    assert run.start().records == 2
    assert [line["fault"]["kind"] for line in of_step(run, "translate") if "fault" in line] == ["bad"]
    assert lost(run) == {2: lost(run)[2]}
    assert lost(run)[2].startswith("duplicate of input/1.0")


def test_failed_documents_are_asked_again_on_request(path: Path) -> None:
    """With `--retry-failed`, documents that had failed get their answer, and every other line stays."""
    from engine import app

    broken = True

    def failing(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return refused(400) if broken and body.get("q") in (text(3), text(4)) else answer(body, count)

    run = drive(corpus(path, 8), answer=failing)
    assert run.start().records == 6
    broken = False
    assert run.start().records == 6
    again = replace(run, failures=app.Failures.RETRY)
    assert again.start().records == 8
    assert len(again.wire.sent) == 6
    assert Counter(run.keys().values()) == Counter({1: 22, 2: 2})


# Goal, sample, bounds


def test_goal_counts_records_and_is_not_overshot_by_far(path: Path) -> None:
    """At the goal nothing more is asked; a higher goal goes on from there, with what is begun first."""
    lanes = {"mt": {**TRANSLATOR, "concurrent": 50}, "llm": {**WRITER, "concurrent": 50}}
    run = drive(corpus(path, 400), goal=30, lanes=lanes)
    pulse = run.start()
    assert pulse.state is RunState.DONE
    assert 30 <= pulse.records <= 32
    assert len(run.wire.sent) <= 3 * 35
    more = replace(run, loaded=loaded(path, goal=60, lanes=lanes))
    pulse = more.start()
    assert 60 <= pulse.records <= 62
    assert set(more.keys().values()) == {1}


def test_goal_beyond_the_input_ends_with_the_input(path: Path) -> None:
    """Where the documents give fewer records than asked for, the run is done with what there is."""
    run = drive(corpus(path, 20, n4=line_of("short")), goal=1000)
    pulse = run.start()
    assert (pulse.state, pulse.records) == (RunState.DONE, 19)


def test_sample_asks_about_its_documents_and_no_others(path: Path) -> None:
    """A sample keeps record numbers, is the same in every life, and grows into a larger one."""
    run = drive(corpus(path, 500), options={"sample": 40})
    assert run.start().records == 40
    numbers = {line["i"] for line in of_step(run, "translate")}
    assert len(numbers) == 40
    assert all(line["item"]["doc"] == f"doc-{line['i']}" for line in of_step(run, "translate"))
    assert run.start().records == 40
    assert run.wire.sent == []
    larger = drive(path, options={"sample": 80})
    larger.start()
    assert numbers < {line["i"] for line in of_step(larger, "translate")}


@pytest.mark.parametrize("concurrent", [4, 100])
def test_documents_are_read_a_bounded_number_ahead(path: Path, concurrent: int) -> None:
    """However long the input is, no more is read than about twice what is in flight."""
    ahead: list[int] = []

    def watch(scheduler: Scheduler) -> None:
        reading = scheduler._world.documents
        assert reading is not None
        read = 0

        def counted(most: int) -> Any:
            nonlocal read
            found = reading(most)
            read += len(found)
            intake = scheduler._agenda.intake
            assert intake is not None
            ahead.append(read - len(intake.documents) - scheduler._agenda.in_flight)
            return found

        object.__setattr__(scheduler._world, "documents", counted)

    run = drive(corpus(path, 250), lanes={"mt": {**TRANSLATOR, "concurrent": concurrent}, "llm": WRITER}, meanwhile=watch)
    assert run.start().records == 250
    assert max(ahead) <= max(AHEAD, 2 * concurrent) + concurrent
    assert run.wire.peak >= concurrent


def test_slow_writers_hold_back_the_translation(path: Path) -> None:
    """While more items than the backlog wait for a later step, no more documents are begun."""
    run = drive(corpus(path, 120), lanes={"mt": {**TRANSLATOR, "concurrent": 30}, "llm": {**WRITER, "concurrent": 1}}, backlog=20)
    waiting: list[int] = []

    def watched(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        done = Counter(step_of(sent) for sent in run.wire.sent)
        waiting.append(done["translate"] - done["instruct"])
        return answer(body, count)

    run.answer = watched
    assert run.start().records == 120
    assert max(waiting) <= 20 + 2 * 30


def test_run_that_only_costs_money_stalls(path: Path) -> None:
    """When two hundred documents in a row come to nothing, the run stops before it has paid for all the others."""

    def lossy(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        changed = {**body, "q": body["q"].replace("1", "7")} if step_of(body) == "return" else body
        return answer(changed, count)

    run = drive(corpus(path, 1000), answer=lossy)
    pulse = run.start()
    assert pulse.state is RunState.STALLED
    assert "documents that were asked about kept nothing" in pulse.reason
    assert LATER_DRY <= pulse.tally["steps"]["return"]["settled"] <= LATER_DRY + 2 * AHEAD


def test_input_that_cannot_be_read_on_ends_the_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that breaks off is told as an error once everything that was answered is settled; mended, the run goes on."""
    monkeypatch.setattr(source, "FIRST", 20)  # otherwise the first look finds it
    folder = tmp_path / "corpus"
    folder.mkdir()
    corpus(folder / "a.jsonl", 90)
    data = gzip.compress("".join(json.dumps({"text": text(n)}) + "\n" for n in range(90, 120)).encode())
    (folder / "b.jsonl.gz").write_bytes(data)
    run = drive(folder, lanes={"mt": {**TRANSLATOR, "concurrent": 2}, "llm": WRITER})
    (folder / "b.jsonl.gz").write_bytes(data[:-30])
    with pytest.raises(PlanError, match=r"b\.jsonl\.gz cannot be read"):
        run.start()
    assert 0 < len(of_step(run, "translate")) < 90
    assert run.disk.synced == run.disk.files
    (folder / "b.jsonl.gz").write_bytes(data)
    assert run.start().records == 120
    assert set(run.keys().values()) == {1}


# Two engines


ENGINES = {"a": {**TRANSLATOR}, "b": {**TRANSLATOR, "base_url": "http://127.0.0.1:8"}, "llm": WRITER}


def engines(run: Drive) -> list[tuple[str, str]]:
    """Who translated, and who brought back, by document."""
    there = {f"translate/{line['i']}.0": line["lane"] for line in of_step(run, "translate") if line["lane"]}
    return [(there[line["of"]], line["lane"]) for line in of_step(run, "return") if "fault" not in line]


def test_two_engines_answer_each_document(path: Path) -> None:
    """With `two_engines`, whoever translated a text does not bring it back, also after a restart and a retry."""

    def shaky(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return Fault(FaultKind.OVERLOAD, "503") if count % 5 == 3 else answer(body, count)

    run = drive(corpus(path, 60), options={"two_engines": True}, lanes=ENGINES, answer=shaky, goal=20)
    run.start()
    run = replace(run, loaded=loaded(path, options={"two_engines": True}, lanes=ENGINES))
    assert run.start().records == 60
    pairs = engines(run)
    assert len(pairs) == 60
    assert all(one != other for one, other in pairs)
    assert {one for one, _ in pairs} == {"a", "b"}


def test_second_engine_that_fails_ends_the_run(path: Path) -> None:
    """Where the only other engine is lost, the run says so and does not fall back on the first one."""

    def half(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if step_of(body) == "return" and count > 20:
            return HttpResponse(403, {}, b'{"error": "Invalid API key"}')
        return answer(body, count)

    lanes = {"a": {**TRANSLATOR, "role": "translate"}, "b": {**ENGINES["b"], "role": "translate"}, "llm": WRITER}
    run = drive(corpus(path, 30), options={"two_engines": True}, lanes=lanes, answer=half)
    pulse = run.start()
    assert pulse.state is RunState.NO_LANE
    assert all(one != other for one, other in engines(run))


def refusal(path: Path, **changes: Any) -> str:
    from engine import app

    with pytest.raises(PlanError) as caught:
        app.opened(context.load(from_data(plan(path, **changes))))
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lanes": {"mt": TRANSLATOR}}, "no lane serves the role 'write'"),
        (
            {"lanes": {"llm": WRITER}},
            "no lane serves the role 'translate': add it to the role of a lane whose provider",
        ),
        ({"lanes": {**LANES, "llm": {**WRITER, "role": "translate"}}}, "does not translate, so it cannot serve"),
        ({"lanes": {**LANES, "mt": {**TRANSLATOR, "role": "write"}}}, "only translates, so it cannot serve the role 'write'"),
        ({"options": {"two_engines": True}}, "has to be answered by another engine than translate, and mt is only one"),
        ({"input": None}, "asks about documents: add a table [input]"),
        ({"seeds": "x.jsonl"}, "has no use for seeds"),
    ],
)
def test_plans_that_cannot_work_are_refused(path: Path, changes: dict[str, Any], words: str) -> None:
    """Missing roles, lanes that cannot do what they are given, one engine where two are asked for: told before anything runs."""
    assert words in refusal(corpus(path, 3), **changes)


def test_unknown_names_of_fields_are_refused(path: Path) -> None:
    """`fields` maps our names to the user's; a name that the recipe does not know is a typing error."""
    told = refusal(corpus(path, 3), input={"path": str(path), "fields": {"body": "text"}})
    assert "unknown name 'body' in fields of [input]; the recipe backtranslation knows text, id, language" in told
