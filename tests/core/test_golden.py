"""Golden cases: messy replies of a real model, with what the published scripts make of them. `tests/golden` holds both files.

`parity.jsonl` has raw replies with the items that the published parsers and text filters keep; `instructions.jsonl` is a
stream of instructions in the order a model wrote them, near-duplicates included.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from rapidfuzz.distance import LCSseq
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize

from engine import context, plan, recipes
from engine.core.dedup import Index, Match
from engine.core.recipe import Context, judge, read
from engine.core.types import Item, Reply, Request, Stop, Usage

GOLDEN = Path(__file__).parent.parent / "golden"
EXAMPLE = {"id": "seed/0", "instruction": "Name a river.", "input": "", "output": "The Elbe."}


def lines(name: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (GOLDEN / name).read_bytes().splitlines()]


def parity(recipe: str, **options: Any) -> Context:
    """A context that follows the published scripts; at a threshold of 1 nothing is a duplicate, so only texts decide."""
    chosen = {"parity": True, "rouge_max": 1.0, **options}
    data = {"recipe": recipe, "goal": 1, "lanes": {"base": {"provider": "local"}}, "options": chosen}
    return context.load(plan.from_data(data)).context


def kept(recipe: str, request: Request, case: dict[str, Any], made: Context) -> list[Item]:
    """The items that the engine keeps of a case's reply."""
    step = recipes.find(recipe).step(request.step)
    stop = Stop.LENGTH if case["finish_reason"] == "length" else Stop.END
    drafts = read(step, request, made, (Reply(text=case["raw"], stop=stop, usage=Usage()),))
    return [item for _, item in judge(step, request, made, drafts, Index(made.tokens)).kept]


def propose(cases: list[dict[str, Any]]) -> list[Any]:
    made = parity("self_instruct")
    request = Request(step="instruct", index=0, style="completion", shown=(EXAMPLE,) * 8)
    return [[item["instruction"] for item in kept("self_instruct", request, case, made)] for case in cases]


def instances(cases: list[dict[str, Any]]) -> list[Any]:
    made = parity("self_instruct", max_instances=10_000)
    answers = []
    for case in cases:
        item = {"instruction": case["instruction"], "is_classification": case["classification"]}
        request = Request(step="instance", index=0, style="completion", item=item)
        found = kept("self_instruct", request, case, made)
        answers.append(sorted([case["instruction"], one["input"], one["output"]] for one in found))
    return answers


def alpaca(cases: list[dict[str, Any]]) -> list[Any]:
    made = parity("alpaca")
    request = Request(step="generate", index=0, style="completion", shown=(EXAMPLE,) * 3)
    return [kept("alpaca", request, case, made) for case in cases]


@pytest.mark.parametrize(("count", "answers"), [(323, propose), (316, instances), (109, alpaca)])
def test_parity_keeps_what_the_published_scripts_keep(count: int, answers: Callable[[list[dict[str, Any]]], list[Any]]) -> None:
    """Of every reply the engine in parity keeps the same texts, letter for letter, as the published parsers and filters."""
    cases = [case for case in lines("parity.jsonl") if case["kind"] == answers.__name__]
    assert len(cases) == count
    for case, answer in zip(cases, answers(cases), strict=True):
        assert answer == case["expected"], case["id"]


def test_a_real_stream_is_judged_as_rouge_score_would() -> None:
    """Every instruction of the stream finds the same nearest one of those kept before it, with the same float, as by force.

    By force means rouge_score's tokens and expression over every pair. rouge_score itself, too slow for all of them, judges
    each verdict that lies within 0.02 of the threshold, and 200 others.
    """
    texts = [line["instruction"] for line in lines("instructions.jsonl")]
    scorer = RougeScorer(["rougeL"])
    sample = set(Random(0).sample(range(len(texts)), 200))
    index = Index()
    before: list[tuple[str, list[str]]] = []
    judged = 0
    for n, text in enumerate(texts):
        tokens = tokenize(text, None)
        best = Match("", 0.0)
        for id, earlier in before:
            if lcs := LCSseq.similarity(earlier, tokens):
                precision, recall = lcs / len(earlier), lcs / len(tokens)
                score = 2 * precision * recall / (precision + recall)
                best = Match(id, score) if score > best.score else best
        assert index.nearest(text) == (best if best.score else None)
        assert index.near(text, 0.7) == (best if best.score > 0.7 else None)
        if best.score and (n in sample or abs(best.score - 0.7) < 0.02):
            assert scorer.score(texts[int(best.id)], text)["rougeL"].fmeasure == best.score
            judged += 1
        if best.score <= 0.7:
            index.add(str(n), text)
            before.append((str(n), tokens))
    assert (len(texts), len(index), judged > 200) == (1813, 838, True)
