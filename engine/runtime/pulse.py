"""How a run stands: its states and exit codes, what a look at it tells, and when it has come to an end.

For the scheduler, and for whoever shows or runs one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from engine.core.agenda import Agenda
from engine.core.budget import RUN, Standing, of_lane
from engine.core.recipe import Step
from engine.core.till import Till
from engine.core.types import Quota
from engine.runtime.account import Account, LaneState
from engine.runtime.lane import Lane


class RunState(Enum):
    RUNNING = "running"
    DRAINING = "draining"
    DONE = "done"
    INTERRUPTED = "interrupted"
    NO_LANE = "no_lane"
    BUDGET = "budget"
    STALLED = "stalled"
    FAILED = "failed"


EXIT_CODES = {
    RunState.DONE: 0,
    RunState.FAILED: 1,
    RunState.INTERRUPTED: 3,
    RunState.NO_LANE: 4,
    RunState.BUDGET: 5,
    RunState.STALLED: 6,
}


@dataclass(frozen=True, slots=True)
class LanePulse:
    """A lane in a pulse. `in_flight` is its account's, `held` says why somebody wants it paused."""

    name: str
    state: str
    in_flight: int
    closed: str | None
    notice: str | None = None
    """Why it is parked, and for how long."""
    held: str | None = None
    limit: float | None = None
    """Requests a minute that its account may send, headroom left out; `None` where nothing is declared."""
    paused: float | None = None
    """Seconds until it may send again, while it is paused or parked; `None` where that is not known, or it is neither."""
    faults: dict[str, int] = field(default_factory=dict)
    """Attempts that failed since this process began, by kind."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A look at a run. `seconds` since this process began it, `lag` the event loop's worst delay in the last second."""

    state: RunState
    reason: str
    seconds: float
    goal: int | None
    kept: int
    records: int
    in_flight: int
    lag: float
    lanes: tuple[LanePulse, ...]
    tally: dict[str, Any]
    currency: str = ""
    """Of all costs in the tally, which are in its nano-units; "" where nothing has a price."""
    budget: tuple[Standing, ...] = ()
    documents: int | None = None
    """Documents of the input that are settled; `None` in a run that has no input."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "state": self.state.value}


def ended(agenda: Agenda, lanes: Sequence[Lane], till: Till) -> tuple[RunState, str] | None:
    """How a run has come to its end, and why; `None` while it has not."""
    if agenda.quiet():
        stalled = agenda.stalled
        return (RunState.STALLED, stalled) if stalled else (RunState.DONE, "")
    if RUN in till.spent:
        return RunState.BUDGET, till.spent[RUN]
    for step in agenda.steps_wanted():
        serving = _serving(lanes, step)
        if all(lane.closed is not None for lane in serving):
            reasons = "; ".join(f"{lane.name}: {lane.closed}" for lane in serving)
            broke = any(of_lane(lane.name) in till.spent for lane in serving)
            return (RunState.BUDGET if broke else RunState.NO_LANE), f"no lane is left for the role {step.role!r} ({reasons})"
    for name, engine in agenda.unlike_wanted():
        others = [lane for lane in _serving(lanes, agenda.recipe.step(name)) if lane.engine != engine]
        if all(lane.closed is not None for lane in others):
            reasons = "; ".join(f"{lane.name}: {lane.closed}" for lane in others)
            asked = f"{engine.partition('|')[0]}, which was asked first"
            return RunState.NO_LANE, f"no lane is left for the step {name} that is another engine than {asked} ({reasons})"
    open_roles = {step.role for step in agenda.recipe.steps} - till.shut
    if till.shut and not agenda.in_flight and not agenda.wants(open_roles):
        return RunState.BUDGET, "; ".join(till.spent.values())
    return None


def _serving(lanes: Sequence[Lane], step: Step) -> list[Lane]:
    return [lane for lane in lanes if step.role in lane.roles and step.name not in lane.lacks]


def parked(roles: Iterable[str], lanes: Iterable[tuple[Account, Lane]], now: float) -> str | None:
    """What to say where every open lane of a role that is needed is parked: the run waits, and until when."""
    for role in sorted(roles):
        serving = [account.notice(now) for account, lane in lanes if role in lane.roles and lane.closed is None]
        if serving and all(serving):
            return f"every lane for the role {role!r} is parked: {'; '.join(filter(None, serving))}"
    return None


def idle(roles: set[str], lanes: Collection[tuple[Account, Lane]], now: float) -> str:
    """Why a run waits, in words; "" while every role that is needed has a lane at work."""
    return parked(roles, lanes, now) or held_up(roles, [lane for _, lane in lanes])


def seen(account: Account, lane: Lane, now: float) -> LanePulse:
    state, left = account.lane_state(lane, now), account.opening(now)
    return LanePulse(
        name=lane.name,
        state=state.value,
        in_flight=account.ledger.in_flight,
        closed=lane.closed,
        notice=account.notice(now),
        held=lane.held,
        limit=requests_a_minute(lane.plan.quota),
        paused=left if state in (LaneState.PAUSED, LaneState.PARKED) and 0 < left < math.inf else None,
        faults=dict(lane.faults),
    )


def requests_a_minute(quota: Quota) -> float | None:
    """The smallest rate of requests that a quota allows, in a minute; `None` where it says nothing of requests."""
    periods = (("requests_per_second", 60.0), ("requests_per_minute", 1.0), ("requests_per_day", 1 / 1440))
    rates = [limit * factor for name, factor in periods if (limit := getattr(quota, name)) is not None]
    return min(rates) * (1 - quota.headroom) if rates else None


def held_up(roles: set[str], lanes: Sequence[Lane]) -> str:
    """Which of the roles wait because every lane that is left for them is held, in words; "" where there is none."""
    left = {role: [lane for lane in lanes if role in lane.roles and lane.closed is None] for role in sorted(roles)}
    waiting = [role for role, serving in left.items() if serving and not any(lane.working for lane in serving)]
    held = dict.fromkeys(f"{lane.name} is paused {lane.held}" for role in waiting for lane in left[role])
    return f"no lane is at work for {', '.join(waiting)}: {', '.join(held)}" if waiting else ""
