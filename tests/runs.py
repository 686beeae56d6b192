"""A small run directory of known content, made by the real settler from canned replies: for the doors that read one.

Three instructions are kept and three dropped; one growth request is refused, and one classification cannot be read, so that it
is paid and drawn anew. The records are two of the first instruction, one of the second and none of the third.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import structs

from engine import app, context, funds, rundir
from engine.core.agenda import Agenda
from engine.core.faults import Fault, FaultKind
from engine.core.lines import write_settled
from engine.core.settler import Settler
from engine.core.till import Till
from engine.core.types import Call, Heard, LaneView, Reply, Settled, Stop, Usage
from engine.plan import from_data
from engine.runtime.disk import Directory
from engine.runtime.journal import SEGMENT, Journal
from engine.runtime.segments import FOLDER

PLAN = """\
recipe = "self_instruct"
goal = 3

[lanes.main]
provider = "openai"
model = "m-1"
key = "env:SEEDDRILL_TEST_KEY"
base_url = "http://127.0.0.1:9/v1"
"""
SENT = 1_767_225_600.0
"""When everything was sent: 2026-01-01, midnight UTC."""

Answers = Mapping[tuple[str, int, int], str | Fault]

ANSWERS: Answers = {
    ("instruct", 0, 0): """\
1. Name three rivers that flow through Vienna.
2. Too short.
3. Decide whether the review below is friendly.
4. Name three rivers that flow through old Vienna.""",
    ("instruct", 1, 0): Fault(FaultKind.REFUSED, "HTTP 400 content_filter"),
    ("instruct", 2, 0): "1. Draw a map of the harbour.\n2. Explain why bread dough has to rest.",
    ("classify", 0, 0): "No",
    ("classify", 1, 0): "Yes",
    ("classify", 2, 0): "That depends.",
    ("classify", 2, 1): "No, it is open.",
    ("instance", 0, 0): """\
Example 1
Output: Danube, Wien and Liesing.
Example 2
Country: Austria
Output: Danube, Wien and Alserbach.""",
    ("instance", 1, 0): "Class label: friendly\nReview: What a day!\nClass label: rude\nReview: Never again:",
    ("instance", 2, 0): "Example 1\nOutput: I'm sorry, but I cannot help with that.",
}
"""What comes back, by step, index and try."""


def make(folder: Path, segment: int = SEGMENT, answers: Answers = ANSWERS, **changes: Any) -> Path:
    """A finished run of `PLAN`, with changes to its keys, in `folder`: everything in `answers`, settled and journaled."""
    loaded = context.load(from_data(tomllib.loads(PLAN) | changes))
    folder.mkdir(parents=True)
    disk = Directory(folder)
    money = funds.money(loaded, app.lanes(loaded))
    rundir.prepare(loaded, disk, str(folder), money.currency if money.counted else None)
    journal = Journal(disk, app.header(loaded), str(folder), segment=segment)
    agenda = app.replayed(loaded, journal, folder)
    settle(loaded, agenda, journal, answers)
    assert agenda.quiet()
    disk.close()
    return folder


Task = tuple[str, Sequence[tuple[str, str]]]
"""An instruction with its instances, input and output each."""


def known(folder: Path, tasks: Iterable[Task], lanes: Sequence[str] = ("main",), **changes: Any) -> Path:
    """A run of these records, whatever is in them, written straight into a journal: nothing was asked or judged. The lanes take
    turns at the instructions; each says that its model is named like itself."""
    plan = tomllib.loads(PLAN)
    plan["lanes"] = {name: plan["lanes"]["main"] | {"model": f"m-{name}", "account": name} for name in lanes}
    loaded = context.load(from_data({**plan, "goal": 1_000_000, **changes}))
    folder.mkdir(parents=True)
    disk = Directory(folder)
    rundir.prepare(loaded, disk, str(folder))
    journal = Journal(disk, app.header(loaded), str(folder))
    app.replayed(loaded, journal, folder)
    lines = (line for n, task in enumerate(tasks) for line in settled(n, task, lanes[n % len(lanes)]))
    while group := b"".join(islice(lines, SEGMENT)):
        journal.append(group)
    disk.close()
    return folder


def settled(n: int, task: Task, lane: str = "main") -> Iterator[bytes]:
    """The journal lines of the instruction number `n` and its instances, sent a second each after the one before."""
    instruction, instances = task
    steps: tuple[tuple[str, str | None, tuple[dict[str, Any], ...]], ...] = (
        ("instruct", None, ({"instruction": instruction},)),
        ("classify", f"instruct/{n}.0", ({"is_classification": n % 2 == 1},)),
        ("instance", f"classify/{n}.0", tuple({"input": given, "output": output} for given, output in instances)),
    )
    reply = structs.replace(_reply(""), model=f"m-{lane}")
    for second, (step, of, items) in enumerate(steps):
        yield write_settled(
            Settled(
                step=step,
                index=n,
                of=of,
                try_=0,
                t=SENT + 3 * n + second,
                shown=(),
                style="chat",
                q="0" * 16,
                lane=lane,
                replies=(reply,),
                kept=tuple(enumerate(items)),
            )
        )


def settle(loaded: context.Loaded, agenda: Agenda, journal: Journal, answers: Answers, most: int = 100) -> None:
    """Ask up to `most` questions and settle their canned answers."""
    settler = Settler(agenda, loaded.context, 900.0, weigh=_weigh, sick=lambda lane: False)
    till = Till(funds.money(loaded, app.lanes(loaded)), funds.steps(loaded.recipe))
    lane = LaneView("main", frozenset(step.role for step in loaded.recipe.steps), alone=True)
    for _ in range(most):
        if (request := agenda.next(lane, SENT)) is None:
            return
        request = settler.composed(request, "chat")
        answer = answers[request.step, request.index, request.try_]
        replies = (_reply(answer),) if isinstance(answer, str) else ()
        fault = answer if isinstance(answer, Fault) else None
        cost = till.settle(till.bill("main", request.step, request.calls, lambda call: _weigh("main", call)), replies, fault)
        heard = Heard(request, "main", SENT, replies, fault, cost=cost)
        for line in settler.decide(heard, settler.judge(heard), SENT):
            journal.append(line)


def _reply(text: str) -> Reply:
    usage = Usage(tokens_in=80, tokens_cached=20, tokens_out=10)
    return Reply(text=text, stop=Stop.END, usage=usage, model="m-1-2026", seconds=1.5, first_byte=0.5)


def _weigh(lane: str, call: Call) -> Usage:
    return Usage(tokens_in=100, tokens_out=1000, estimated=True)


def segment(folder: Path) -> Path:
    """The file that the journal of a small run is."""
    return folder / FOLDER / "00000.jsonl"
