"""`status` and `why` on a small run of known content: figures that add up, and one item's story told whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine import rundir, status
from engine.core.faults import JournalError, PlanError
from engine.core.types import Usage
from engine.runtime.journal import Lock
from engine.why import story, weighed
from tests import runs


def pulsed(run: Path, **pulse: Any) -> Path:
    """The run with a last pulse that says this."""
    (run / "pulse.json").write_bytes(orjson.dumps(pulse))
    return run


# Status


def test_instructions_and_records_are_counted_apart(finished: Path) -> None:
    """Kept instructions and records have a figure each, beside the goal."""
    figures = status.fold(finished)
    assert (figures["recipe"], figures["goal"], figures["instructions"], figures["records"]) == ("self_instruct", 3, 3, 3)


def test_steps_add_up(finished: Path) -> None:
    """Each step tells its settled answers, kept items, and what was dropped or failed by reason, without the details."""
    assert status.fold(finished)["steps"] == {
        "instruct": {
            "settled": 3,
            "kept": 3,
            "dropped": {"too_short": 1, "duplicate": 1, "keyword": 1},
            "faults": {"refused": 1},
            "cost": 0,
        },
        "classify": {"settled": 3, "kept": 3, "dropped": {}, "faults": {}, "cost": 0},
        "instance": {"settled": 3, "kept": 3, "dropped": {"ends_with_colon": 1, "refusal": 1}, "faults": {}, "cost": 0},
    }


def test_lanes_add_up(finished: Path) -> None:
    """Every answer that came is a call, one of which was paid and settled nothing."""
    lane = status.fold(finished)["lanes"]["main"]
    assert (lane["calls"], lane["unsettled"]) == (9, 1)
    assert (lane["tokens_in"], lane["tokens_cached"], lane["tokens_out"]) == (720, 180, 90)
    assert lane["seconds"] == 8 * 1.5


def test_json_says_what_the_figures_say(finished: Path) -> None:
    """`--json` is the same figures as JSON under the same names."""
    assert orjson.loads(status.as_json(finished)) == status.fold(finished)


def test_text_says_it_for_people(finished: Path) -> None:
    """The text has the counts, the reasons in order, and the lane's tokens, cached ones included."""
    text = status.as_text(finished)
    assert f"{finished}: self_instruct, new\n  3 of 3 instructions, 3 records\n" in text
    assert "too_short 1, duplicate 1, keyword 1, refused fault 1" in text
    assert text.splitlines()[-1].split() == ["main", "9", "900", "180", "90", "1"]


def test_state_is_that_of_the_last_pulse(run: Path) -> None:
    """How the run ended is told with its reason."""
    figures = status.fold(pulsed(run, state="interrupted", reason="stopped by SIGINT"))
    assert (figures["state"], figures["reason"]) == ("interrupted", "stopped by SIGINT")


@pytest.mark.parametrize("state", ["running", "draining"])
def test_run_that_is_neither_alive_nor_ended_was_killed(run: Path, state: str) -> None:
    """A pulse without a process behind it is the last word of a killed run."""
    figures = status.fold(pulsed(run, state=state, reason=""))
    assert figures["state"] == "killed"
    assert "goes on from here" in figures["reason"]


def test_run_that_is_alive_is_running(run: Path) -> None:
    """Beside a live writer the last pulse is believed."""
    with Lock(run):
        assert status.fold(pulsed(run, state="running", reason=""))["state"] == "running"
        assert rundir.holder(run) == os.getpid()
    assert rundir.holder(run) is None


@pytest.mark.parametrize("pulse", [b"", b"{", b"{}", b"[]", b"null"])
def test_damaged_pulse_costs_only_the_state(run: Path, pulse: bytes) -> None:
    """A pulse that cannot be read is no more than a missing one: the journal tells everything else."""
    (run / "pulse.json").write_bytes(pulse)
    assert status.fold(run)["state"] == "new"


def test_half_written_line_is_not_counted_yet(run: Path) -> None:
    """Status works beside a writer: the line that is being written counts when it is whole, and is left alone."""
    segment = runs.segment(run)
    torn = segment.read_bytes()[:-10]
    segment.write_bytes(torn)
    assert status.fold(run)["steps"]["instance"]["settled"] == 2
    assert segment.read_bytes() == torn


def test_directory_that_is_no_run_is_told_what_one_is(tmp_path: Path) -> None:
    """A directory without a plan, and one with a damaged plan, are no runs."""
    with pytest.raises(PlanError, match=r"is not a run directory: one has a plan\.json"):
        status.fold(tmp_path)
    for text in ("{", "[]", "{}"):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(JournalError, match=r"plan\.json is damaged"):
            status.fold(tmp_path)


# Why


def test_story_of_a_kept_item(finished: Path) -> None:
    """Lane and time, the prompt with its hash, the reply with its cost, the verdict, and the nearest earlier ones with scores."""
    told = story(finished, "instruct/0.2")
    assert told.startswith("instruct/0, asked of the lane 'main' at 2026-01-01 00:00:00 UTC")
    assert "is the one in the journal" in told
    assert "[system]" in told
    assert "Continue the list with 7 new tasks, numbered 9. to 15." in told
    assert "Reply of m-1-2026 in 1.5 s, ended by end, 100 tokens in (20 cached), 10 out:\n  1. Name three rivers" in told
    verdict = told.partition("Verdict:\n")[2].splitlines()
    assert verdict[:2] == [
        "  instruct/0.2 kept: instruction: Decide whether the review below is friendly.",
        "    nearest earlier ones by ROUGE-L (0.7 is the limit):",
    ]
    assert verdict[2].split()[:2] == ["0.4706", "seed/173"]
    assert len(verdict) == 7


def test_story_of_a_dropped_item(finished: Path) -> None:
    """A duplicate names what it resembles, and how much."""
    assert story(finished, "instruct/0.3").endswith(
        "Verdict:\n  instruct/0.3 dropped, duplicate of instruct/0.0 (0.9333333333333333): "
        "instruction: Name three rivers that flow through old Vienna."
    )


def test_story_of_a_request_tells_of_all_its_items(finished: Path) -> None:
    """Without a place in the reply every draft has its verdict, in the order of the reply."""
    verdict = story(finished, "instruct/0").partition("Verdict:\n")[2]
    heads = [line.split()[:2] for line in verdict.splitlines() if line.startswith("  instruct/")]
    assert heads == [[f"instruct/0.{n}", word] for n, word in enumerate(("kept:", "dropped,", "kept:", "dropped,"))]


def test_story_of_a_record_names_its_instruction(finished: Path) -> None:
    """A record is told with the item that it was made of."""
    told = story(finished, "instance/1.0")
    assert "About classify/1.0: Decide whether the review below is friendly." in told
    assert told.endswith("instance/1.0 kept: input: Review: What a day! | output: friendly")


def test_story_tells_of_attempts_that_were_paid_for_nothing(finished: Path) -> None:
    """An earlier answer that could not be read is told with its cost and reason."""
    assert "An earlier attempt cost 110 tokens and settled nothing: malformed unclear." in story(finished, "classify/2.0")


def test_story_of_a_request_that_failed(finished: Path) -> None:
    """A request that was settled with a fault has a prompt and a fault, and no verdict to give."""
    told = story(finished, "instruct/1")
    assert "is the one in the journal" in told
    assert "No answer: refused: HTTP 400 content_filter." in told


def test_story_of_a_seed(finished: Path) -> None:
    """A seed was there from the start, and that is all."""
    told = story(finished, "seed/173")
    assert told.startswith("seed/173 is a seed task:")
    assert "Decide whether this campsite review is positive, negative or mixed." in told


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("instruct", "is no id: an item is written as instruct/96.3"),
        ("instruct/-1", "is no id"),
        ("instruct/0.1 ", "is no id"),
        ("instance/x.1", "is no id"),
        ("translate/0", "has no step 'translate'; it has instruct, classify, instance"),
        ("instruct/0.9", "instruct/0 has no item 9; its items are 0, 1, 2, 3"),
        ("instruct/99", "instruct/99 is not settled in"),
        ("seed/175", "there are 175 seeds, seed/0 to seed/174"),
    ],
)
def test_unknown_id_is_told_why(finished: Path, id: str, words: str) -> None:
    """Each way of naming nothing has its own answer."""
    with pytest.raises(PlanError) as caught:
        story(finished, id)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("id", "template"),
    [("instruct/0", "propose.chat.txt"), ("classify/2", "classify.chat.txt"), ("instance/1", "output_first.demos.txt")],
)
def test_prompt_is_really_compared_with_what_was_sent(run: Path, id: str, template: str) -> None:
    """A template that was changed after the run gives another prompt, and the story says so; the other steps are untouched."""
    path = run / "templates" / template
    path.write_text("Changed. " + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert "NOT the one that was sent" in story(run, id)
    assert "NOT" not in story(run, "instance/0").partition(":\n")[0]


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (Usage(tokens_in=80, tokens_cached=20, tokens_out=10), "100 tokens in (20 cached), 10 out"),
        (Usage(characters=120), "120 characters"),
        (Usage(tokens_in=3, characters=12), "3 tokens in (0 cached), 0 out"),
    ],
)
def test_reply_is_weighed_as_it_is_billed(usage: Usage, words: str) -> None:
    """A translator's reply has characters and no tokens; a model that translates has both, and tokens are what it costs."""
    assert weighed(usage) == words
