"""`seeddrill quickstart`: the whole method on the embedded model, then what came out of it and what to do next."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn

from engine import app, live, rundir
from engine.core.types import LanePlan
from engine.export import Existing, export
from engine.plan import Plan
from engine.runtime import local
from engine.runtime.pulse import RunState
from engine.status import fold

SAMPLES = 3


def plan(model: str, goal: int) -> Plan:
    """What the quickstart runs: Self-Instruct as it is, on one lane."""
    name = model if model in local.MODELS else str(Path(os.path.expanduser(model)).resolve())
    return Plan(recipe="self_instruct", goal=goal, lanes={"local": LanePlan(provider="local", model=name)})


def run(directory: Path, model: str, goal: int) -> NoReturn:
    """Run it, or go on with it, and leave with its exit code."""
    teller = live.Teller(live.Progress.SHOWN)
    began = time.monotonic()
    try:
        outcome = app.run(plan(model, goal), directory, on_pulse=teller.tell)
        if outcome.pulse.state is RunState.DONE:
            export(directory, directory / "data.json", "alpaca", Existing.REPLACE)
            teller.say("\n".join(report(directory, model, time.monotonic() - began)))
        else:
            teller.say(live.ending(outcome))
    finally:
        told = teller.close()
    live.leave(outcome.exit_code, told)


def report(directory: Path, model: str, seconds: float) -> Iterator[str]:
    """A short table, a few records, and what to do next."""
    figures = fold(directory)
    steps = figures["steps"]
    lanes = figures["lanes"].values()
    title, licence = _named(model)
    yield f"Self-Instruct on {title}, on this machine. Licence of the model: {licence}."
    yield ""
    yield f"  {'step':<10}{'asked':>7}{'kept':>7}   dropped"
    for name, step in steps.items():
        yield f"  {name:<10}{step['settled']:>7}{step['kept']:>7}   {live.reasons(step, most=5)}".rstrip()
    tokens_in = sum(lane["tokens_in"] + lane["tokens_cached"] for lane in lanes)
    tokens_out = sum(lane["tokens_out"] for lane in lanes)
    yield ""
    yield (
        f"  {figures['instructions']} instructions, {figures['records']} records; {tokens_in} tokens in, {tokens_out} out; "
        f"{live.duration(seconds)} min"
    )
    by_instruction = {record.fields["instruction"]: record for record in rundir.records(directory)}
    for record in islice(by_instruction.values(), SAMPLES):
        yield ""
        yield from _record(record)
    yield ""
    yield "A model this small writes clumsy data; what you saw is the machinery. Next:"
    yield f"  seeddrill status {directory}              figures of this run"
    yield f"  seeddrill why {directory} {_first(directory)}    one record's whole story"
    yield f"  {directory}/data.json                     the records in Alpaca's form"
    yield "  seeddrill plan new self_instruct > plan.toml   a plan with a model of your own"


def _named(model: str) -> tuple[str, str]:
    known = local.MODELS.get(model)
    return (known.title, known.licence) if known else (model, "see where you got it")


def _record(record: rundir.Record) -> Iterator[str]:
    for name in ("instruction", "input", "output"):
        text = " ".join(str(record.fields[name]).split())
        if text:
            yield f"  {name + ':':<13}{text if len(text) <= 200 else text[:197] + '...'}"


def _first(directory: Path) -> str:
    return next((record.id for record in rundir.records(directory)), "instruct/0")
