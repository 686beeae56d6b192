"""What cutting streamed answers short saves: tokens paid for each accepted instruction, with the cut against without it.

The real engine on virtual time, over a network that streams what a make-believe model says: new tasks and copies of accepted
ones, each item drawn by itself or whole replies of copies, and replies that run into a loop. Prompts are counted, too.

    python -m bench.cut [--quick]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from random import Random
from typing import Any

from engine.core.bet import LEARNING
from engine.core.http import HttpResponse
from engine.core.rng import stream
from engine.core.text import estimate_tokens
from engine.runtime.scheduler import Patience
from tests import brain
from tests.drive import LANE, Drive
from tests.fakes import answered

ITEMS = 17
COPIES = 60
"""Tasks that have been said before any is said again: those that are copied have been accepted by then."""
LEARNT = COPIES // 2 + LEARNING + 10
"""Replies, two new tasks of each of which may be copied, after which answers are cut; a few more are in flight then."""
PROPOSING = {**LANE, "role": ["propose"], "stream": True}
OTHERS = {**LANE, "role": ["classify", "answer"], "concurrent": 64}


class Model:
    """Says `ITEMS` tasks a reply. `stale(rng)` is the share of a reply's items that are copies; `loops` that of replies which
    repeat one task to the end."""

    def __init__(self, stale: Callable[[Random], float], loops: float = 0.0) -> None:
        self._stale = stale
        self._loops = loops
        self._said: list[str] = []
        self._replies = 0

    def __call__(self, body: dict[str, Any], count: int) -> HttpResponse:
        if brain.step_of(body) != "instruct":
            return brain.answer(body, count)
        self._replies += 1
        rng = stream(1, self._replies)  # the same replies in the same order, cut or not
        if rng.random() < self._loops:
            task = fresh(rng)
            tasks = [task] * 100
        else:
            share = self._stale(rng)
            old = len(self._said) > COPIES
            tasks = [rng.choice(self._said) if old and rng.random() < share else fresh(rng) for _ in range(ITEMS)]
            self._said += tasks[:2]
        text = "\n".join(f"{n}. {task}" for n, task in enumerate(tasks, 9)).removeprefix("9.")
        tokens = (estimate_tokens(brain.prompt_of(body)), estimate_tokens(text))
        return answered(text, finish="length" if len(tasks) > ITEMS else "stop", tokens=tokens)


def fresh(rng: Random) -> str:
    """A task of about 16 words, the mean of the published run, that resembles no other."""
    words = ["".join(rng.choice("bcdfglmnprst") + rng.choice("aeiou") for _ in range(3)) for _ in range(8)]
    return f"Explain how {words[0]} and {words[1]} of the {words[2]} change {' '.join(words[3:])} in the end."


def told(model: Callable[[], Model], goal: int, cut_after: int | None, streamed: bool) -> tuple[float, float, float]:
    """Tokens for each kept instruction, of the whole run and once there are copies and the bet has learnt; and answer tokens of
    each reply of which little was kept."""
    lanes = {"new": PROPOSING if streamed else {**PROPOSING, "stream": False}, "old": OTHERS}
    options = {"new": ITEMS, "human": 6, "machine": 2}
    drive = Drive(goal=goal, answer=model(), lanes=lanes, options=options, patience=Patience(cut_after=cut_after))
    drive.start()
    lines = [line for line in drive.settled() if line["s"] == "instruct"]
    used = [sum(reply["usage"].get(key, 0) for reply in line["replies"] for key in ("tokens_in", "tokens_out")) for line in lines]
    ends = [n for n, line in enumerate(lines) if line["replies"] and 2 * len(line["kept"]) < ITEMS]
    kept = [len(line["kept"]) for line in lines]
    answers = [sum(reply["usage"].get("tokens_out", 0) for reply in lines[n]["replies"]) for n in ends]
    late = sum(used[LEARNT:]) / max(sum(kept[LEARNT:]), 1)
    return sum(used) / max(sum(kept), 1), late, sum(answers) / max(len(answers), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="runs of 1,200 instructions in place of 4,000")
    parser.add_argument("--case", choices=("independent", "clustered", "half_stale", "loops"), help="one of them alone")
    asked = parser.parse_args()
    goal = 1200 if asked.quick else 4000
    cases: list[tuple[str, float, int, Callable[[], Model]]] = []
    for share in (0.3, 0.6):
        cases.append(("independent", share, 2, lambda share=share: Model(lambda rng: share)))
        cases.append(("clustered", share, 2, lambda share=share: Model(lambda rng: float(rng.random() < share))))
    cases += [("half_stale", 0.5, n, lambda: Model(lambda rng: float(rng.random() < 0.5))) for n in (1, 2)]
    for name, share, after, model in [case for case in cases if asked.case in (None, case[0])]:
        whole, whole_late, _ = told(model, goal, None, streamed=True)
        cut, cut_late, _ = told(model, goal, after, streamed=True)
        figures = {"tokens_per_kept": round(cut, 2), "uncut": round(whole, 2), "ratio": round(cut / whole, 3)}
        figures["ratio_once_learnt"] = round(cut_late / whole_late, 3)
        print(json.dumps({"case": name, "duplicates": share, "cut_after": after, **figures}), flush=True)
    if asked.case not in (None, "loops"):
        return
    looping = lambda: Model(lambda rng: 0.0, loops=0.2)  # noqa: E731
    (*_, whole), (*_, cut) = told(looping, goal // 4, None, streamed=False), told(looping, goal // 4, None, streamed=True)
    figures = {"tokens_of_a_loop": round(cut, 1), "uncut": round(whole, 1), "ratio": round(cut / whole, 3)}
    print(json.dumps({"case": "loops", "loops": 0.2, **figures}), flush=True)


if __name__ == "__main__":
    main()
