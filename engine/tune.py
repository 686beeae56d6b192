"""`seeddrill tune`, `pause`, `resume` and `stop`: commands to the run that goes on in a directory, and its answers.

The run itself decides; here is only said where nobody is there to hear.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import rundir
from engine.core.faults import EngineError, LaneError
from engine.runtime.control import PATIENCE, Unheard, command


def tune(directory: Path, changes: Sequence[str]) -> str:
    """Change quotas or the goal of a running job: `lanes.fast.requests_per_minute=300`, `goal=1000`."""
    return _told(directory, {"do": "tune", "changes": list(changes)})


def pause(directory: Path, lane: str) -> str:
    """A lane takes no new work until it is resumed."""
    return _told(directory, {"do": "pause", "lane": lane})


def resume(directory: Path, lane: str) -> str:
    return _told(directory, {"do": "resume", "lane": lane})


def stop(directory: Path) -> str:
    """End a run as the first Ctrl-C does; returns before it has ended."""
    return _told(directory, {"do": "stop"})


def _told(directory: Path, order: dict[str, Any]) -> str:
    """The run's answer; raises `EngineError` with its words where it refuses."""
    rundir.read_plan(directory)
    try:
        return command(directory, order)
    except TimeoutError:
        raise LaneError(f"the run in {directory} did not answer within {PATIENCE:g} seconds: try again") from None
    except Unheard as error:
        raise _nobody(directory, str(error)) from None


def _nobody(directory: Path, reason: str) -> EngineError:
    if (process := rundir.holder(directory)) is None:
        return LaneError(
            f"no run goes on in {directory} on this machine: 'seeddrill run PLAN {directory}' starts or resumes it, and takes "
            "--set KEY=VALUE for what is to be different"
        )
    return LaneError(
        f"the run in {directory} (process {process}) takes no commands ({reason}): it is starting or ending, or "
        f"{directory / rundir.LOG} says why. 'kill -TERM {process}' stops it in order"
    )
