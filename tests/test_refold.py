"""Refold: the same replies under other thresholds give what a naive fold of them gives; nothing is asked for what is answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from rouge_score.rouge_scorer import RougeScorer

from bench import journals
from engine import app, rundir
from engine.core import recipe as acts
from engine.core.agenda import Agenda
from engine.core.faults import PlanError
from engine.core.types import LaneView, Request, Settled
from engine.diff import KEPT, diff, fates
from engine.refold import refold, replanned
from engine.runtime.disk import Directory
from engine.runtime.journal import Journal
from engine.verify import Extent, verify
from tests import runs

GOAL = 45


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of some size, with near-duplicates in its replies."""
    folder = tmp_path_factory.mktemp("grown") / "run"
    journals.make(folder, GOAL)
    return folder


def settled(directory: Path) -> list[Settled]:
    return [line for line in rundir.journal(directory) if isinstance(line, Settled)]


def opened(directory: Path) -> tuple[Agenda, Journal, Directory]:
    """A run as it is when it goes on."""
    loaded, disk = replanned(directory, []), Directory(directory)
    journal = Journal(disk, app.header(loaded), str(directory))
    return app.replayed(loaded, journal, directory), journal, disk


def missing(agenda: Agenda) -> list[Request]:
    """What a run would ask about items now; growth left aside."""
    lane = LaneView("main", frozenset(("classify", "answer")), alone=True)
    return list(iter(lambda: agenda.next(lane, 0.0), None))


def brute_force(directory: Path, changes: list[str]) -> set[str]:
    """Lineages of what is kept under other options, found out without the index, the agenda or the fold: growth replies in the
    order of the journal, each draft compared by rouge_score with every text before it, answers found by what they are about."""
    loaded = replanned(directory, changes)
    given, steps = loaded.context, {step.name: step for step in loaded.recipe.steps}
    scorer = RougeScorer(["rougeL"])
    texts = [seed["instruction"] for seed in given.seeds]
    lines = settled(directory)
    answers = {line.of: line for line in lines if line.of is not None}
    kept: set[str] = set()

    def judge(line: Settled, item: dict[str, Any], lineage: str) -> None:
        step = steps[line.step]
        request = Request(
            step=line.step, index=line.index, item=item, style=line.style, shown=tuple({"id": id} for id in line.shown)
        )
        left = []
        for n, draft in enumerate(acts.read(step, request, given, line.replies)):
            whole = {**item, **draft.item}
            subjects = [one for one in given.filters if one.subject is None or one.subject in step.subjects]
            lost = draft.lost or any(check(draft.item, acts.asked(request, given)) for check in step.checks)
            if not lost and not any(one(whole, given.rules) for one in subjects if step.subjects):
                left.append((n, draft.item))
        if step.together is not None:
            verdicts = step.together([one for _, one in left], acts.asked(request, given))
            left = [pair for pair, verdict in zip(left, verdicts, strict=True) if verdict is None]
        for n, made in left:
            if step.unique:
                text = made["instruction"]
                if any(scorer.score(other, text)["rougeL"].fmeasure > given.rouge_max for other in texts):
                    continue
                texts.append(text)
            here = f"{lineage}.{n}"
            kept.add(here)
            if (answer := answers.get(f"{line.step}/{line.index}.{n}")) is not None:
                judge_later.append((answer, {**item, **made}, f"{here}>{answer.step}"))

    judge_later: list[tuple[Settled, dict[str, Any], str]] = [
        (line, {}, f"{line.step}/{line.index}") for line in lines if line.of is None
    ]
    while judge_later:
        judge(*judge_later.pop(0))
    return kept


@pytest.mark.parametrize("change", ["options.rouge_max=0.4", "options.rouge_max=0.95", "options.max_length=14"])
def test_refold_equals_a_naive_fold(grown: Path, tmp_path: Path, change: str) -> None:
    """What is kept under another limit, stricter or looser, is exactly what a naive fold of the same replies keeps."""
    new = tmp_path / "new"
    refold(grown, new, [change])
    found = {lineage for lineage, reason in fates(new).reasons.items() if reason == KEPT}
    assert found == brute_force(grown, [change])
    before = {lineage for lineage, reason in fates(grown).reasons.items() if reason == KEPT}
    assert found != before, "the change changed nothing, so the test proves nothing"
    assert verify(new, Extent.ALL).differences == []


def test_refold_asks_only_what_is_missing(grown: Path, tmp_path: Path) -> None:
    """Items that come anew wait to be asked about; what was answered keeps the prompt, the examples and the hash it had."""
    new = tmp_path / "new"
    refold(grown, new, ["options.rouge_max=0.95", f"goal={10 * GOAL}"])
    agenda, _, disk = opened(new)
    classified = {request.of for request in missing(agenda)}
    disk.close()
    came = {lineage for lineage, reason in fates(new).reasons.items() if reason == KEPT and ">" not in lineage}
    old = fates(grown).reasons
    asked = {line.of for line in settled(grown) if line.step == "classify"}
    assert classified == {lineage for lineage in came if lineage not in asked}
    assert any(old.get(lineage, KEPT) != KEPT for lineage in classified), "none came that had been dropped"
    was = {line.q: (line.shown, line.replies, line.t, line.lane) for line in settled(grown)}
    assert all((line.shown, line.replies, line.t, line.lane) == was[line.q] for line in settled(new))


def test_refold_under_the_same_plan_is_the_same_journal(grown: Path, tmp_path: Path) -> None:
    """Without a change every line comes out as it went in, headers apart."""
    refold(grown, tmp_path / "new", [])
    assert settled(tmp_path / "new") == settled(grown)


def test_answers_that_nobody_needs_stay_in_the_books(grown: Path, tmp_path: Path) -> None:
    """Answers about items that are dropped now settle nothing, and their tokens are still counted."""
    new = tmp_path / "new"
    refold(grown, new, ["options.rouge_max=0.4"])
    totals = []
    for directory in (grown, new):
        from engine.status import fold

        (lane,) = fold(directory)["lanes"].values()
        totals.append((lane["calls"], lane["tokens_in"], lane["tokens_out"]))
    assert totals[0] == totals[1]
    assert Counter(line.step for line in settled(new))["classify"] < Counter(line.step for line in settled(grown))["classify"]


def test_faults_and_unreadable_answers_are_folded_too(run: Path, tmp_path: Path) -> None:
    """A refused request stays refused, an attempt that settled nothing stays paid for, and the numbers of children may shift."""
    new = tmp_path / "new"
    refold(run, new, ["options.rouge_max=0.95"])
    kept = {record.fields["instruction"] for record in rundir.records(new)}
    assert kept == {record.fields["instruction"] for record in rundir.records(run)}
    assert [str(line.fault) for line in settled(new) if line.fault] == ["refused: HTTP 400 content_filter"]
    text = diff(run, new, most=5)
    assert "instruct: 3 kept before, 4 now; 1 came, 0 went" in text
    assert "1 came: dropped there before as duplicate" in text
    assert (
        "+ instruct/0.3  duplicate of instruct/0.0 (0.9333333333333333): Name three rivers that flow through old Vienna." in text
    )


def test_diff_says_what_went_with_its_instruction(grown: Path, tmp_path: Path) -> None:
    """Records of an instruction that is dropped now went because of it, and the longest list is cut as told."""
    new = tmp_path / "new"
    refold(grown, new, ["options.rouge_max=0.4"])
    text = diff(grown, new, most=1)
    assert "went: dropped now as duplicate" in text
    assert "went: what it is about is not kept on the other side" in text
    assert "(--most" in text
    assert "0 came, 0 went" in diff(grown, grown, most=3)


def test_change_of_what_is_asked_is_refused(grown: Path, tmp_path: Path) -> None:
    """A topic would have asked for something else: that is another run, not a refold."""
    with pytest.raises(PlanError, match=r"this changes what is asked \(instruct/0 would have another prompt\)"):
        refold(grown, tmp_path / "new", ["options.topic=bees"])
    assert not (tmp_path / "new" / "plan.json").exists(), "what is half folded is no run"


def test_refold_into_something_is_refused(grown: Path, tmp_path: Path) -> None:
    """A directory that is in use, or a file, is left alone."""
    (tmp_path / "file").write_text("precious")
    with pytest.raises(PlanError, match="is in use, and was left alone: a refold makes a new directory"):
        refold(grown, tmp_path / "file", [])
    with pytest.raises(PlanError, match="is in use"):
        refold(grown, grown, [])


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    yield from (orjson.loads(line) for line in path.read_bytes().splitlines())


def test_refolded_run_goes_on(run: Path, tmp_path: Path) -> None:
    """A refolded run is a run: its plan has the changes, its identity is its own, and it is answered on like any other."""
    new = tmp_path / "new"
    refold(run, new, ["options.rouge_max=0.95", "goal=4"])
    agenda, _, disk = opened(new)
    asked = missing(agenda)
    disk.close()
    assert [(request.step, request.of) for request in asked] == [("classify", "instruct/0.3")]
    assert rundir.read_plan(new)["fingerprint"] != rundir.read_plan(run)["fingerprint"]
    assert rundir.reopen(new).context.rouge_max == 0.95
    assert next(lines_of(runs.segment(new)))["plan"] == rundir.read_plan(new)["fingerprint"]
