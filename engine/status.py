"""`seeddrill status`: how far a run is, from its journal and its last pulse. Reads only; works on a live run, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from engine import rundir
from engine.core.tally import Tally
from engine.live import reasons


def fold(directory: Path) -> dict[str, Any]:
    """The figures of a run as plain data under stable names: instructions and records are counted apart."""
    loaded = rundir.reopen(directory)
    recipe = loaded.recipe
    tally = Tally(tuple(step.name for step in recipe.steps))
    for line in rundir.journal(directory):
        tally.line(line)
    figures = tally.as_json()
    instructions, records = (tally.steps[step.name].kept for step in (recipe.growing, recipe.last))
    state, reason, held = _state(directory)
    return {
        "state": state,
        "reason": reason,
        "recipe": recipe.name,
        "goal": loaded.plan.goal,
        "instructions": instructions,
        "records": records,
        "held": held,
        **figures,
    }


def _state(directory: Path) -> tuple[str, str, dict[str, str]]:
    """State, reason and the lanes that somebody has paused, as the last pulse said it; a run that is neither ended nor alive was
    killed."""
    try:
        pulse = orjson.loads((directory / rundir.PULSE).read_bytes())
        state, reason = str(pulse["state"]), str(pulse["reason"])
        held = {str(lane["name"]): str(lane["held"]) for lane in pulse.get("lanes", ()) if lane.get("held")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        state, reason, held = "new", "", {}
    if state not in ("running", "draining"):
        return state, reason, {}
    if rundir.holder(directory) is None:
        return "killed", "its process ended without a word; the command that started it goes on from here", {}
    return state, reason, held


def as_json(directory: Path) -> str:
    return orjson.dumps(fold(directory), option=orjson.OPT_INDENT_2).decode()


def as_text(directory: Path) -> str:
    """The figures as a person wants to read them."""
    figures = fold(directory)
    lines = [
        f"{directory}: {figures['recipe']}, {figures['state']}{': ' if figures['reason'] else ''}{figures['reason']}",
        f"  {figures['instructions']} of {figures['goal']} instructions, {figures['records']} records",
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
    return "\n".join(lines)
