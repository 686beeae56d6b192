"""Several texts a request: which travel together, and that each of them succeeds, fails, is asked again and is paid by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import app
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.runtime.pulse import RunState
from providers.simulator.cipher import translated
from tests.drive import Drive
from tests.fakes import Answer
from tests.test_input_run import loaded, of_step
from tests.translator import BATCHES, WRITER, answer, corpus, deepl, step_of, text

LANES = {"mt": BATCHES, "llm": WRITER}


def drive(path: Path, answer: Answer = answer, lane: dict[str, Any] | None = None, **changes: Any) -> Drive:
    lanes = {"mt": {**BATCHES, **(lane or {})}, "llm": WRITER}
    return Drive(plan={}, loaded=loaded(path, lanes=lanes, **changes), answer=answer)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return corpus(tmp_path / "corpus.jsonl", 120)


def sent(run: Drive) -> list[list[str]]:
    """The texts of each request to the translator."""
    return [body["text"] for body in run.wire.sent if "target_lang" in body]


def right(run: Drive, count: int) -> None:
    """Every document has its own translation, and no other one's."""
    lines = {line["i"]: line for line in of_step(run, "translate")}
    assert len(lines) == count
    for line in lines.values():
        assert line["kept"][0]["pivot"] == translated(line["item"]["text"], "zh")
    assert set(run.keys().values()) == {1}


def test_texts_travel_together_and_come_back_as_their_own(path: Path) -> None:
    """A vendor that takes fifty texts gets many at once, far fewer requests are made, and no translation is another text's."""
    run = drive(path)
    pulse = run.start()
    assert (pulse.state, pulse.records) == (RunState.DONE, 120)
    right(run, 120)
    assert max(map(len, sent(run))) > 10
    assert len(sent(run)) < 60
    assert {len({step_of(body)}) for body in run.wire.sent} == {1}
    lane = pulse.tally["lanes"]["mt"]
    assert lane["calls"] == len(sent(run)), "one request to the vendor, however many texts"
    assert lane["characters"] == sum(len(one) for texts in sent(run) for one in texts)


@pytest.mark.parametrize(("texts", "size"), [(7, None), (50, 500)])
def test_no_request_is_larger_than_the_vendor_takes(
    path: Path, monkeypatch: pytest.MonkeyPatch, texts: int, size: int | None
) -> None:
    """Neither more texts nor more characters than the provider says are in one request."""
    made = app.lanes(drive(path).loaded)  # type: ignore[arg-type]
    (provider,) = (lane.provider for lane in made if lane.name == "mt")
    monkeypatch.setattr(type(provider), "__setattr__", object.__setattr__)  # it is frozen
    monkeypatch.setattr(provider, "texts", texts)
    monkeypatch.setattr(provider, "request_limit", size)
    run = drive(path)
    assert run.start().records == 120
    assert max(map(len, sent(run))) == (7 if size is None else 3)
    assert max(sum(map(len, together)) for together in sent(run)) <= (size or 10_000)


def test_missing_texts_are_asked_again_and_nothing_is_shifted(path: Path) -> None:
    """Where an answer lacks some of its texts, those are asked again, each alone, and all others keep theirs."""

    def gappy(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if "target_lang" not in body or len(body["text"]) == 1:
            return answer(body, count)
        return deepl([None if n % 4 == 1 else translated(one, body["target_lang"]) for n, one in enumerate(body["text"])])

    run = drive(path, gappy)
    assert run.start().records == 120
    right(run, 120)
    again = [texts for texts in sent(run) if len(texts) == 1]
    assert len(again) >= 20
    assert all("malformed" in line["paid"] for line in run.paid())


@pytest.mark.parametrize("shift", [lambda texts: texts[1:], lambda texts: [*texts, "more"]], ids=["too_few", "too_many"])
def test_answer_with_another_number_of_texts_gives_nobody_another_ones(
    path: Path, shift: Callable[[list[str]], list[str]]
) -> None:
    """More or fewer translations than texts: nobody knows whose they are, so all are asked again."""

    def odd(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if "target_lang" in body and len(body["text"]) > 1 and count % 3 == 0:
            return deepl(shift([translated(one, body["target_lang"]) for one in body["text"]]))
        return answer(body, count)

    run = drive(path, odd)
    assert run.start().records == 120
    right(run, 120)


@pytest.mark.parametrize("status", [400, 413])
def test_one_bad_text_costs_no_other_one_its_answer(path: Path, status: int) -> None:
    """A request that is refused because of one of its texts is asked again text by text: the bad one fails, and no other one."""

    def strict(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if "target_lang" in body and text(17) in body["text"]:
            return HttpResponse(status, {}, b'{"message": "no"}')
        return answer(body, count)

    run = drive(path, strict)
    pulse = run.start()
    assert pulse.records == 119
    assert [line["i"] for line in of_step(run, "translate") if "fault" in line] == [17]


def test_overloaded_server_is_asked_again_in_batches(path: Path) -> None:
    """A fault that says nothing of the texts separates nobody."""

    def shaky(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return Fault(FaultKind.OVERLOAD, "HTTP 503") if "target_lang" in body and count % 3 == 1 else answer(body, count)

    run = drive(path, shaky)
    assert run.start().records == 120
    right(run, 120)
    assert len(sent(run)) < 90


def test_money_is_settled_text_by_text_and_never_exceeded(path: Path) -> None:
    """Each line has the price of its own text; a budget ends the run before it is passed, down to the last text that it pays."""
    price = {"price": {"characters": 1_000_000.0}}  # a unit each
    run = drive(path, lane=price)
    run.start()
    for line in of_step(run, "translate"):
        assert line["cost"] == len(line["item"]["text"]) * 10**9
    limit = 3_000.0
    short = drive(path, lane=price, budget={"usd": limit})
    short.loaded = replace(short.loaded, context=replace(short.loaded.context, identify=lambda text: None))  # type: ignore[type-var, union-attr]
    pulse = short.start()
    assert pulse.state is RunState.BUDGET
    spent = sum(line.get("cost", 0) for line in short.settled()) / 1e9
    assert limit - 200 < spent <= limit


def test_characters_a_minute_are_kept_with_batches(path: Path) -> None:
    """Batches are as large as the quota has room for at the moment, and no minute sees more than it."""
    run = drive(path, lane={"characters_per_minute": 6_000, "concurrent": 20})
    assert run.start().records == 120
    times = [
        (at, sum(map(len, body["text"]))) for at, body in zip(run.wire.times, run.wire.sent, strict=True) if "target_lang" in body
    ]
    for start, _ in times:
        assert sum(size for at, size in times if start <= at < start + 60) <= 6_000


def test_interrupted_batch_is_asked_again_text_by_text_or_together(path: Path) -> None:
    """A run that is stopped with batches in flight settles what it has; resumed, each document is there once."""
    run = drive(path)

    def third(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        """With the third batch's answer the user stops the run, twice."""
        if len(sent(run)) >= 3 and run.scheduler.interrupts == 0:
            run.scheduler.interrupt("SIGINT")
            run.scheduler.interrupt("SIGINT")
        return answer(body, count)

    run.answer = third
    assert run.start().state is RunState.INTERRUPTED
    assert 0 < len(of_step(run, "translate")) < 120
    run.answer = answer
    assert run.start().records == 120
    right(run, 120)


def test_long_texts_of_several_documents_share_their_requests(tmp_path: Path) -> None:
    """Documents that are cut in parts travel side by side, one part of each a request, and are put together from their own."""
    path = corpus(tmp_path / "corpus.jsonl", 30)
    run = drive(path, options={"part_characters": 100})
    assert run.start().records == 30
    assert max(map(len, sent(run))) > 3
    assert len(sent(run)) < 60
    for line in of_step(run, "translate"):
        assert len(line["replies"]) > 1
        assert line["kept"][0]["pivot"].replace(" ", "") == translated(line["item"]["text"], "zh").replace(" ", "")
