"""Neighbours of a run's instructions, held against rouge_score."""

from __future__ import annotations

from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer

from engine import rundir
from engine.exports.example import of_record
from engine.exports.neighbours import MOST, TOGETHER, compared
from tests import runs
from tests.exports.examples import example

TASKS = [(f"Name {n} rivers of {place} in one line.", [("", "x")]) for n in range(40) for place in ("Austria", "old France")]


def test_neighbours_are_those_that_the_judge_finds(tmp_path: Path) -> None:
    """For every instruction the ten best among the seeds and those before it, and the mean over all of them, in more than one
    batch; each example carries them."""
    run = runs.known(tmp_path / "run", TASKS)
    assert len(TASKS) > TOGETHER
    loaded = rundir.reopen(run)
    compare = compared(run, loaded)
    judge = RougeScorer(["rougeL"])
    before = [(f"seed/{n}", seed["instruction"]) for n, seed in enumerate(loaded.context.seeds)]
    for record in rundir.records(run):
        found = compare(of_record(record, "en"))
        assert found is not None
        scores = [(judge.score(text, found.instruction)["rougeL"].fmeasure, id, text) for id, text in before]
        best = sorted(scores, key=lambda score: -score[0])[:MOST]
        assert found.nearest is not None
        assert [(near.score, near.id, near.instruction) for near in found.nearest] == best
        assert found.mean == pytest.approx(sum(score for score, _, _ in scores) / len(scores), abs=1e-12)
        before.append((record.ids["instruct"], found.instruction))


def test_what_came_later_has_none(tmp_path: Path) -> None:
    """An example of an instruction that the journal did not have yet is no example of this export."""
    run = runs.known(tmp_path / "run", TASKS[:2])
    compare = compared(run, rundir.reopen(run))
    assert compare(example(1)) is not None
    assert compare(example(2)) is None
