"""`seeddrill quickstart`: a whole method on the embedded model, then what came out of it and what to do next."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import anyio

from engine import app, live, rundir, seedfile
from engine.core.documents import InputPlan
from engine.core.faults import Interrupted, PlanError
from engine.core.types import LanePlan, Quota
from engine.export import Existing, export
from engine.plan import Plan
from engine.runtime import apertium, local, loop
from engine.runtime.pulse import RunState
from engine.status import fold

SAMPLES = 3
GOALS = MappingProxyType({"self_instruct": 24, "backtranslation": 12})
"""What is made where nobody says how much: instructions, records."""
HERE = "starts with the run"
"""Stands for the address of a server that is not there yet."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Texts of ours, the language that they go through, and what suits who translates them."""

    language: str
    pivot: str
    options: Mapping[str, Any] = field(default_factory=dict)
    vendor: str = "llm_translate"


PAIRS = MappingProxyType(
    {
        "zh-en": Pair("zh", "en", {"part_characters": 90, "documents": {"max_characters": 160}, "gate": {"chrf_min": 0.09}}),
        "en-zh": Pair("en", "zh", {"part_characters": 90, "documents": {"max_characters": 400}, "gate": {"chrf_min": 0.22}}),
        "en-es": Pair("en", "es", vendor="apertium"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be run. `pair` and `address`, of Apertium's server, are of back-translation."""

    recipe: str = "self_instruct"
    model: str = local.DEFAULT
    goal: int | None = None
    pair: str | None = None
    address: str | None = None

    @property
    def translator(self) -> Pair | None:
        """Who translates, if anybody has to. Raises `PlanError` for a wish that cannot be granted."""
        if self.recipe not in GOALS:
            raise PlanError(f"the quickstart knows the recipes {', '.join(GOALS)}, not {self.recipe!r}")
        if self.recipe == "self_instruct":
            if self.pair is not None or self.address is not None:
                raise PlanError(
                    "self_instruct translates nothing: add --recipe backtranslation, or leave --pair and --apertium out"
                )
            return None
        name = self.pair or next(iter(PAIRS))
        if name not in PAIRS:
            raise PlanError(f"the quickstart has no texts and translator for the pair {name!r}; its pairs are {', '.join(PAIRS)}")
        if self.address is not None and PAIRS[name].vendor != "apertium":
            raise PlanError(f"--apertium is for the pair en-es; {name} is translated by the embedded model")
        return PAIRS[name]


def folder(wish: Wish) -> Path:
    """Where the run is kept where nobody says it: each pair has a directory of its own."""
    if (pair := wish.translator) is None:
        return Path("quickstart")
    return Path(f"quickstart-{pair.language}-{pair.pivot}")


def plan(wish: Wish) -> Plan:
    """What the quickstart runs: the method as it is, on one lane; translations by the same model, or by Apertium."""
    model = wish.model if wish.model in local.MODELS else str(Path(os.path.expanduser(wish.model)).resolve())
    writer = LanePlan(provider="local", model=model)
    goal = wish.goal or GOALS[wish.recipe]
    if (pair := wish.translator) is None:
        return Plan(recipe=wish.recipe, goal=goal, lanes={"local": writer})
    translator = LanePlan(provider="llm_translate", via="local")
    if pair.vendor == "apertium":
        translator = LanePlan(provider="apertium", base_url=wish.address or HERE, quota=Quota(concurrent=2), price=0)
    return Plan(
        recipe=wish.recipe,
        goal=goal,
        lanes={"local": writer, "translator": translator},
        input=InputPlan(path=str(seedfile.folder() / f"texts.{pair.language}.jsonl")),
        options={"language": pair.language, "pivot": pair.pivot, **pair.options},
    )


def run(directory: Path | None, wish: Wish) -> NoReturn:
    """Run it, or go on with it, and leave with its exit code."""
    where = directory or folder(wish)
    if (pair := wish.translator) is not None and pair.vendor == "apertium" and not (wish.address or apertium.installed()):
        raise PlanError(
            f"Apertium, which translates the pair {pair.language}-{pair.pivot}, is not installed. On Debian or Ubuntu: "
            f"{apertium.INSTALL}; or name a server with --apertium URL; or take {' or '.join(_embedded())}"
        )
    teller = live.Teller(live.Progress.SHOWN)
    began = time.monotonic()
    try:
        outcome = _ran(where, wish, teller)
        if outcome.pulse.state is RunState.DONE:
            export(where, where / "data.json", "alpaca", Existing.REPLACE)
            teller.say("\n".join(report(where, wish, time.monotonic() - began)))
        else:
            teller.say(live.ending(outcome))
    finally:
        told = teller.close()
    live.leave(outcome.exit_code, told)


def _embedded() -> list[str]:
    return [name for name, pair in PAIRS.items() if pair.vendor != "apertium"]


def _ran(directory: Path, wish: Wish, teller: live.Teller) -> app.Outcome:
    async def main() -> app.Outcome:
        async with AsyncExitStack() as stack:
            address = wish.address
            if (pair := wish.translator) is not None and pair.vendor == "apertium":
                if address is None:
                    address = await stack.enter_async_context(apertium.serve(_log(directory)))
                await apertium.check(address, (pair.language, pair.pivot), (pair.pivot, pair.language))
            return await app.arun(plan(replace(wish, address=address)), directory, on_pulse=teller.tell)

    try:
        return anyio.run(main, backend_options=loop.options())
    except KeyboardInterrupt:
        raise Interrupted("stopped before anything was asked; the same command goes on") from None


def _log(directory: Path) -> Path:
    """Where Apertium's server writes what it says, in a directory that may be made, but not in one that is somebody else's."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        rundir.refuse_foreign(directory)
    except OSError as error:
        raise PlanError(f"{directory} cannot be the run's directory: {error.strerror or error}; choose another one") from error
    return directory / rundir.TRANSLATOR_LOG


def report(directory: Path, wish: Wish, seconds: float) -> Iterator[str]:
    """A short table, a few records, and what to do next."""
    figures = fold(directory)
    steps = figures["steps"]
    lanes = figures["lanes"].values()
    title, licence = _named(wish.model)
    yield f"{_method(wish)} on {title}, on this machine. Licence of the model: {licence}."
    yield ""
    yield f"  {'step':<10}{'asked':>7}{'kept':>7}   dropped"
    for name, step in steps.items():
        yield f"  {name:<10}{step['settled']:>7}{step['kept']:>7}   {live.reasons(step, most=5)}".rstrip()
    tokens_in = sum(lane["tokens_in"] + lane["tokens_cached"] for lane in lanes)
    tokens_out = sum(lane["tokens_out"] for lane in lanes)
    yield ""
    yield f"  {_made(wish, figures)}; {tokens_in} tokens in, {tokens_out} out; {live.duration(seconds)} min"
    by_instruction = {record.fields["instruction"]: record for record in rundir.records(directory)}
    for record in islice(by_instruction.values(), SAMPLES):
        yield ""
        yield from _record(record)
    yield ""
    yield "A model this small writes clumsy data; what you saw is the machinery. Next:"
    yield f"  seeddrill status {directory}              figures of this run"
    yield f"  seeddrill why {directory} {_first(directory)}    one record's whole story"
    yield f"  {directory}/data.json                     the records in Alpaca's form"
    yield f"  seeddrill plan new {wish.recipe} > plan.toml   a plan with a model of your own"


def _method(wish: Wish) -> str:
    if (pair := wish.translator) is None:
        return "Self-Instruct"
    by = "by Apertium, instructions written" if pair.vendor == "apertium" else "and written"
    return f"Back-translation of {pair.language}-{pair.pivot}-{pair.language}, translated {by}"


def _made(wish: Wish, figures: Mapping[str, Any]) -> str:
    if wish.translator is not None:
        return f"{figures['records']} records of {figures['steps']['translate']['settled']} texts"
    return f"{figures['instructions']} instructions, {figures['records']} records"


def _named(model: str) -> tuple[str, str]:
    known = local.MODELS.get(model)
    return (known.title, known.licence) if known else (model, "see where you got it")


def _record(record: rundir.Record) -> Iterator[str]:
    told = {"source": record.provenance.get("source"), "pivot": record.provenance.get("pivot"), **record.fields}
    for name in ("source", "pivot", "instruction", "input", "output"):
        if text := " ".join(str(told[name] or "").split()):
            yield f"  {name + ':':<13}{text if len(text) <= 200 else text[:197] + '...'}"


def _first(directory: Path) -> str:
    return next((record.id for record in rundir.records(directory)), "instruct/0")
