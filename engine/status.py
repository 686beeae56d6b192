"""`seeddrill status`: how far a run is, from its journal and its last pulse. Reads only; works on a live run, too."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from engine import context, funds, rundir
from engine.core.money import worded
from engine.core.recipe import INPUT
from engine.core.tally import Tally
from engine.core.till import Books
from engine.live import limited, reasons


def fold(directory: Path) -> dict[str, Any]:
    """The figures of a run as plain data under stable names: instructions and records are counted apart, money in nano-units."""
    loaded = rundir.reopen(directory)
    recipe = loaded.recipe
    tally = Tally(tuple(step.name for step in recipe.steps))
    books = Books(funds.steps(recipe))
    for line in rundir.journal(directory):
        tally.line(line)
        books.add(line)
    figures = tally.as_json()
    first, records = tally.steps[recipe.source_step.name], tally.steps[recipe.last.name].kept
    fed = recipe.source_step.source is INPUT
    now, reason, held = state(directory)
    return {
        "state": now,
        "reason": reason,
        "recipe": recipe.name,
        "goal": loaded.plan.goal,
        "instructions": None if fed else first.kept,
        "documents": first.settled if fed else None,
        "records": records,
        "held": held,
        **figures,
        "money": {
            "currency": rundir.read_plan(directory).get("currency"),
            "spent": books.settled,
            "limits": _limits(directory, loaded, books),
        },
    }


def _limits(directory: Path, loaded: context.Loaded, books: Books) -> list[dict[str, Any]]:
    """How the budget stands. Only a run that goes on knows what of its leases is still to be spent: its last pulse says it."""
    if rundir.holder(directory) is not None:
        try:
            return list(orjson.loads((directory / rundir.PULSE).read_bytes())["budget"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # there is none yet
    return [asdict(standing) for standing in funds.standings(loaded, books)]


def state(directory: Path) -> tuple[str, str, dict[str, str]]:
    """State, reason and the lanes that somebody has paused, as the last pulse said it; a run that is neither ended nor alive was
    killed."""
    try:
        pulse = orjson.loads((directory / rundir.PULSE).read_bytes())
        now, reason = str(pulse["state"]), str(pulse["reason"])
        held = {str(lane["name"]): str(lane["held"]) for lane in pulse.get("lanes", ()) if lane.get("held")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        now, reason, held = "new", "", {}
    if now not in ("running", "draining"):
        return now, reason, {}
    if rundir.holder(directory) is None:
        return "killed", "its process ended without a word; the command that started it goes on from here", {}
    return now, reason, held


def as_json(directory: Path) -> str:
    return orjson.dumps(fold(directory), option=orjson.OPT_INDENT_2).decode()


def as_text(directory: Path) -> str:
    """The figures as a person wants to read them."""
    figures = fold(directory)
    lines = [
        f"{directory}: {figures['recipe']}, {figures['state']}{': ' if figures['reason'] else ''}{figures['reason']}",
        f"  {_progress(figures)}",
        "",
        f"  {'step':<12}{'answers':>9}{'kept':>9}  dropped",
    ]
    for name, step in figures["steps"].items():
        lines.append(f"  {name:<12}{step['settled']:>9}{step['kept']:>9}  {reasons(step, most=20)}".rstrip())
    lines += ["", f"  {'lane':<12}{'calls':>9}{'tokens in':>12}{'cached':>10}{'tokens out':>12}{'unsettled':>11}"]
    for name, lane in figures["lanes"].items():
        tokens_in, tokens_out = lane["tokens_in"] + lane["tokens_cached"], lane["tokens_out"] + lane["tokens_reasoning"]
        counts = f"{lane['calls']:>9}{tokens_in:>12}{lane['tokens_cached']:>10}{tokens_out:>12}{lane['unsettled']:>11}"
        lines.append(f"  {name:<12}{counts}")
    if figures["held"]:
        lines.append("")
    for name, held in figures["held"].items():
        lines.append(f"  {name} is paused {held}: 'seeddrill resume {directory} {name}' lets it work")
    return "\n".join([*lines, *_money(figures)])


def _progress(figures: dict[str, Any]) -> str:
    goal, records = figures["goal"], figures["records"]
    if figures["documents"] is None:
        return f"{figures['instructions']} of {goal} instructions, {records} records"
    return f"{records} {'' if goal is None else f'of {goal} '}records, {figures['documents']} documents settled"


def _money(figures: dict[str, Any]) -> list[str]:
    """What was spent, by lane and by step, and how each limit stands; nothing where nothing has a price."""
    money = figures["money"]
    if (currency := money["currency"]) is None:
        return []

    def parts(kind: str) -> str:
        costs = {name: one["cost"] for name, one in figures[kind].items() if one["cost"]}
        return ", ".join(f"{name} {worded(cost, currency)}" for name, cost in costs.items())

    lines = ["", f"  {worded(money['spent'], currency)} spent by what is in the journal"]
    lines += [f"    by {kind[:-1]}: {told}" for kind in ("lanes", "steps") if (told := parts(kind))]
    for limit in money["limits"]:
        spent, most, wasted, held = (worded(limit[key], currency) for key in ("spent", "limit", "wasted", "held"))
        lost = f", {wasted} of it drawn before a kill and lost" if limit["wasted"] else ""
        flying = f", {held} held for calls in flight" if limit["held"] else ""
        lines.append(f"  {limited(limit['measure'])}: {spent} of {most} spent{lost}{flying}")
    return lines
