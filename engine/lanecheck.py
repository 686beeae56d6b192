"""`seeddrill lanes check`: one call to each lane, the cheapest that there is, all at once, and what came of it.

Asks and prints; a run directory is not needed. The embedded model is left out: it starts with the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import anyio
import orjson
from rich.console import Console
from rich.table import Table

from engine import app, context
from engine.core.faults import Fault, FaultKind, LaneError
from engine.core.limits import Reading
from engine.core.types import Reply
from engine.plan import Plan
from engine.runtime.account import Account, declared, spacing
from engine.runtime.clock import Clock
from engine.runtime.lane import Lane, cheapest
from engine.runtime.wire import Timeouts, Wire

PATIENCE = Timeouts(60.0, 60.0, 60.0)
WORDS = 120
"""Characters of a server's words in the table; `--json` has all that we keep."""
MEANINGS = {
    FaultKind.RATE: "answers, but its quota is used up just now",
    FaultKind.BURST: "answers, but wants fewer calls at once",
    FaultKind.OVERLOAD: "is overloaded, or down",
    FaultKind.QUOTA: "has no credit or no quota left",
    FaultKind.TOO_BIG: "calls even the shortest request too big",
    FaultKind.NETWORK: "cannot be reached",
    FaultKind.MALFORMED: "answers something else than its dialect says",
    FaultKind.REFUSED: "refuses a harmless question",
    FaultKind.BAD: "does not take the request",
    FaultKind.AUTH: "does not accept the key, the model's name or the address",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What one lane said."""

    name: str
    provider: str
    model: str
    url: str
    """Where it was asked, "" where nothing was sent."""
    fault: str | None
    """What is wrong, in words; `None` where it answered."""
    said: str
    """The server's words, shortened, without secrets."""
    seconds: float
    limits: dict[str, float]
    """What its headers name: limits, and what is left of them."""


def check(plan: Plan) -> list[Checked]:
    """`acheck` where no event loop runs."""
    return anyio.run(acheck, plan)


async def acheck(plan: Plan) -> list[Checked]:
    """One call to each lane, in the order of the plan. Raises `EngineError` for a plan that is not usable as it stands."""
    lanes = [lane for lane in app.lanes(context.load(plan)) if lane.plan.provider != "local"]
    found: dict[str, Checked] = {}
    async with Wire(Clock(anyio.current_time, time.time)) as wire, anyio.create_task_group() as tasks:
        for lane in lanes:
            tasks.start_soon(_one, lane, wire, found)
    return [found[lane.name] for lane in lanes]


async def _one(lane: Lane, wire: Wire, found: dict[str, Checked]) -> None:
    try:
        lane.equip()
    except LaneError as error:
        found[lane.name] = Checked(lane.name, lane.plan.provider, lane.plan.model, "", str(error), "", 0.0, {})
        return
    quota = declared(lane.plan.quota)
    account = Account(lane.name, [lane], app.ledger(lane.plan.quota, quota), spacing(quota))
    began = anyio.current_time()
    call = cheapest(lane)
    outcome, readings, *_ = await account.attempt(lane, call, wire, PATIENCE, time.time)
    found[lane.name] = Checked(
        name=lane.name,
        provider=lane.plan.provider,
        model=lane.plan.model or (outcome.model if isinstance(outcome, Reply) else ""),
        url=lane.plan.base_url or "",
        fault=MEANINGS[outcome.kind] if isinstance(outcome, Fault) else None,
        said=outcome.detail if isinstance(outcome, Fault) else "",
        seconds=round(anyio.current_time() - began, 3),
        limits=told(readings),
    )


def told(readings: Iterable[Reading]) -> dict[str, float]:
    """Limits by name, and what is left of each, as the headers have them."""
    limits: dict[str, float] = {}
    for reading in readings:
        if reading.limit is not None:
            limits[str(reading.dimension)] = reading.limit
        if reading.remaining is not None:
            limits[f"{reading.dimension} left"] = reading.remaining
    return limits


def as_json(found: list[Checked]) -> str:
    return orjson.dumps([asdict(lane) for lane in found], option=orjson.OPT_INDENT_2).decode()


def as_text(found: list[Checked]) -> str:
    """A table, and under it what is wrong."""
    if not found:
        return "The plan has only embedded lanes, which start with the run; there is nothing to try."
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("lane", "provider", "model", "answers", "seconds", "limits in its headers"):
        table.add_column(title, overflow="fold")
    for lane in found:
        limits = ", ".join(f"{name} {value:,.0f}" for name, value in lane.limits.items()) or "none"
        took = f"{lane.seconds:.2f}" if lane.fault is None or lane.said else "-"
        table.add_row(lane.name, lane.provider, lane.model or "-", "no" if lane.fault else "yes", took, limits)
    console = Console(width=120, highlight=False)
    with console.capture() as capture:
        console.print(table)
    wrong = [f"{lane.name}: {_wrong(lane)}" for lane in found if lane.fault]
    return "\n".join([*(line.rstrip() for line in capture.get().rstrip().splitlines()), *wrong])


def _wrong(lane: Checked) -> str:
    if not lane.said:
        return str(lane.fault)
    where = f" at {lane.url}" if lane.url else ""
    short = lane.said if len(lane.said) <= WORDS else f"{lane.said[:WORDS]}..."
    return f"the server{where} {lane.fault} ({short})"
