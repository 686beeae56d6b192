"""A whole run in parity mode on canned replies of a real model, against the published procedure written out again, plainly."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rapidfuzz.distance import LCSseq

from engine import seedfile
from engine.core.http import HttpResponse
from engine.core.rng import digest
from engine.core.text import reference_words
from engine.runtime.pulse import RunState
from tests import brain
from tests.drive import LANE, Drive
from tests.fakes import answered, refused

CALLS = 200
CASES = [json.loads(line) for line in (Path(__file__).parent / "golden" / "parity.jsonl").read_text().splitlines()]
STOPS = {"propose": ("\n\n", "\n16", "16.", "16 ."), "instances": ("Task:",), "alpaca": ()}
"""Where the calls of this run end: no server goes on past them, as the model did when it was recorded without."""
SAID = [case for case in CASES if not any(stop in case["raw"] for stop in STOPS[case["kind"]])]
PROPOSALS = [case for case in SAID if case["kind"] == "propose"][:CALLS]
INSTANCES = {
    labelled: [case for case in SAID if case["kind"] == "instances" and case["classification"] is labelled]
    for labelled in (True, False)
}
SEEDS = [seed["instruction"] for seed in seedfile.read(seedfile.folder() / "self_instruct.en.jsonl")[0]]


def instruction_of(body: dict[str, Any]) -> str:
    """What the last "Task:" of a prompt asks about."""
    return brain.prompt_of(body).rsplit("\nTask: ", 1)[1].split("\nIs it classification?")[0].strip()


def is_classification(instruction: str) -> bool:
    return int(digest(instruction), 16) % 4 == 0


def case_for(instruction: str) -> dict[str, Any]:
    """The canned instances of an instruction: always the same one."""
    cases = INSTANCES[is_classification(instruction)]
    return cases[int(digest(instruction), 16) % len(cases)]


def collapsed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


class Canned:
    """Proposals in their order, then a closed door; classes and instances by what is asked about."""

    def __init__(self) -> None:
        self.proposals = 0

    def __call__(self, body: dict[str, Any], count: int) -> HttpResponse:
        match brain.step_of(body):
            case "classify":
                return answered(" Yes" if is_classification(instruction_of(body)) else " No")
            case "instance":
                case = case_for(instruction_of(body))
                return answered(case["raw"], finish=case["finish_reason"])
            case _:
                if self.proposals == CALLS:
                    return refused(401)
                self.proposals += 1
                case = PROPOSALS[self.proposals - 1]
                return answered(case["raw"], finish=case["finish_reason"])


def published_accepts() -> list[list[str]]:
    """Which instructions of each reply the published loop takes in: those above 0.7 to any seed or earlier one are dropped."""
    pool = [reference_words(seed) for seed in SEEDS]
    accepted: list[list[str]] = []
    for case in PROPOSALS:
        accepted.append([])
        for text in case["expected"]:
            words = reference_words(text)
            if all(f_measure(other, words) <= 0.7 for other in pool):
                pool.append(words)
                accepted[-1].append(text)
    return accepted


def f_measure(a: list[str], b: list[str]) -> float:
    """rouge_score's own expression."""
    lcs = LCSseq.similarity(a, b)
    if not lcs:
        return 0.0
    precision, recall = lcs / len(a), lcs / len(b)
    return 2 * precision * recall / (precision + recall)


def test_parity_run_of_200_calls() -> None:
    """Prompts are composed, instructions accepted and instances made as the published scripts would, reply by reply."""
    lanes = {"main": {**LANE, "concurrent": 1}}
    drive = Drive(goal=10_000, answer=Canned(), lanes=lanes, options={"parity": True, "max_instances": 10_000})
    assert drive.start().state is RunState.NO_LANE

    lines = drive.settled()
    grown = [line for line in lines if line["s"] == "instruct"]
    assert [[item["instruction"] for item in line["kept"]] for line in grown] == published_accepts()
    assert len(grown) == CALLS
    assert sum(len(line["kept"]) for line in grown) > 150

    proposals = [body for body in drive.wire.sent if brain.step_of(body) == "instruct"]
    known = dict(enumerate(SEEDS))
    made: dict[str, str] = {}
    for line, body in zip(grown, proposals, strict=False):
        shown = line["shown"]
        assert len(shown) == len(set(shown)) == 8
        assert sum(not id.startswith("seed/") for id in shown) == min(2, len(made))
        texts = [made.get(id) or known[int(id.split("/")[1])] for id in shown]
        listed = "\n".join(f"{n}. {collapsed(text).rstrip(':')}" for n, text in enumerate(texts, 1))
        assert body["prompt"].endswith(f"{listed}\n9.")
        assert {key: body[key] for key in ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty")} == {
            "max_tokens": 1024,
            "temperature": 0.7,
            "top_p": 0.5,
            "frequency_penalty": 0.0,
            "presence_penalty": 2.0,
        }
        assert body["stop"] == ["\n\n", "\n16", "16.", "16 ."]
        made.update((f"instruct/{line['i']}.{item['n']}", item["instruction"]) for item in line["kept"])

    instances = [line for line in lines if line["s"] == "instance"]
    assert len(instances) == len(made)
    for line in instances:
        (classify,) = [other for other in lines if other["s"] == "classify" and f"classify/{other['i']}.0" == line["of"]]
        instruction = made[classify["of"]]
        assert classify["kept"][0]["is_classification"] is is_classification(instruction)
        expected = sorted([given, output] for _, given, output in case_for(instruction)["expected"])
        assert sorted([item["input"], item["output"]] for item in line["kept"]) == expected
