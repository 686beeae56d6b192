"""`seeddrill watch`: the live view of a run that another shell started. Reads its pulse and nothing else, and leaves it alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import orjson

from engine import live, rundir, status
from engine.core.budget import Standing
from engine.runtime.pulse import LanePulse, Pulse, RunState

EVERY = 0.5
"""Seconds between two looks at the pulse, which is written once a second."""


class Form(Enum):
    VIEW = "view"
    JSON = "json"


def watch(directory: Path, form: Form) -> None:
    """Show the run until it ends, or until Ctrl-C. Raises `PlanError` where the directory is no run."""
    rundir.read_plan(directory)
    teller = live.Teller(live.Progress.JSON if form is Form.JSON else live.Progress.SHOWN)
    try:
        for pulse in pulses(directory, time.sleep):
            teller.tell(pulse)
        if form is Form.VIEW:
            teller.say(status.as_text(directory))
    except KeyboardInterrupt:
        pass  # the run goes on, and so may whoever looked at it
    finally:
        told = teller.close()
    live.leave(0, told)


def pulses(directory: Path, sleep: Callable[[float], None]) -> Iterator[Pulse]:
    """Each new pulse of a run while its process is there; at the end the last one, whatever state that was."""
    before = b""
    while True:
        alive = rundir.holder(directory) is not None
        data = _written(directory)
        if data and data != before:
            before = data
            yield parsed(orjson.loads(data))
        if not alive:
            return
        sleep(EVERY)


def _written(directory: Path) -> bytes:
    try:
        return (directory / rundir.PULSE).read_bytes()
    except OSError:
        return b""


def parsed(body: dict[str, Any]) -> Pulse:
    """A pulse as it lies in pulse.json; fields of a newer version are left out."""
    known = _known(Pulse, body)
    lanes = tuple(LanePulse(**_known(LanePulse, lane)) for lane in body["lanes"])
    budget = tuple(Standing(**_known(Standing, one)) for one in body.get("budget", ()))
    return Pulse(**{**known, "state": RunState(body["state"]), "lanes": lanes, "budget": budget})


def _known(kind: type, body: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in body.items() if name in names}
