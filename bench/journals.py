"""Made-up run directories for the benches: the real settler and journal, fed with made-up answers as fast as they take them.

A run of N instructions has about 2.3 N lines: growth replies of seven drafts of which a quarter are near-duplicates, a
classification and an answer for each instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from bench import corpus
from engine import app, context, rundir
from engine.core.settler import Settler
from engine.core.types import Call, Heard, LaneView, Reply, Request, Stop, Usage
from engine.plan import from_data
from engine.runtime.disk import Directory
from engine.runtime.journal import SEGMENT, Journal

SENT = 1_767_225_600.0
GROUP = 500
"""Lines written together."""


def plan(goal: int) -> dict[str, object]:
    lane = {"provider": "openai", "model": "m", "style": "completion", "base_url": "http://127.0.0.1:9/v1"}
    return {"recipe": "self_instruct", "goal": goal, "lanes": {"main": lane}}


def make(folder: Path, goal: int, *, compress: bool = False, segment: int = SEGMENT) -> int:
    """A finished run of `goal` instructions in `folder`; returns its number of lines."""
    loaded = context.load(from_data({**plan(goal), "compress": compress}))
    folder.mkdir(parents=True)
    disk = Directory(folder)
    rundir.prepare(loaded, disk, str(folder))
    journal = Journal(disk, app.header(loaded), str(folder), compress=compress, segment=segment)
    agenda = app.replayed(loaded, journal, folder)
    settler = Settler(agenda, loaded.context, 900.0, weigh=_weigh, sick=lambda lane: False)
    lane = LaneView("main", frozenset(step.role for step in loaded.recipe.steps), alone=True)
    answer, lines, count = answers(), [], 0
    while (request := agenda.next(lane, SENT)) is not None:
        request = settler.composed(request, "completion")
        heard = Heard(request, "main", SENT + count / 100, (answer(request),))
        lines += settler.decide(heard, settler.judge(heard), SENT)
        count += 1
        if len(lines) >= min(GROUP, segment):
            journal.append(b"".join(lines))
            lines.clear()
    if lines:
        journal.append(b"".join(lines))
    journal.seal()
    disk.close()
    return count


def answers() -> Callable[[Request], Reply]:
    """A model whose instructions come from the corpus, a quarter of them labelled as classification tasks."""
    texts = corpus.texts()

    def answer(request: Request) -> Reply:
        match request.step:
            case "instruct":
                text = "".join(f"\n{n}. {task}" for n, task in enumerate(islice(texts, 7), 9)).removeprefix("\n9.")
            case "classify":
                text = " Yes" if request.index % 4 == 0 else " No"
            case _ if request.item["is_classification"]:
                text = f"Class label: yes\nText: {next(texts)}\nClass label: no\nText: {next(texts)}"
            case _:
                text = f"Example 1\nText: {next(texts)}\nOutput: {' '.join(_some(texts))}"
        usage = Usage(tokens_in=300, tokens_out=len(text) // 4)
        return Reply(text=text, stop=Stop.END, usage=usage, model="m-1", seconds=1.25, first_byte=0.5)

    return answer


def _some(texts: Iterator[str]) -> Iterator[str]:
    yield from islice(texts, 2)


def _weigh(lane: str, call: Call) -> Usage:
    return Usage(tokens_in=300, tokens_out=500, estimated=True)
