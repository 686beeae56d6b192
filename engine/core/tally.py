"""Tally: the counts of a run, a fold over its settled lines. The same fold serves the live view, `status` and reports.

Pure; one owner.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.core.types import Line, Paid, Settled, Usage


@dataclass(slots=True)
class StepTally:
    """Counts of one step. `dropped` and `faults` are by reason, without the reason's details; `cost` is in nano-units."""

    settled: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    cost: int = 0


@dataclass(slots=True)
class LaneTally:
    """What a lane was used for. Calls are answered HTTP attempts; `unsettled` of them settled nothing but cost something."""

    calls: int = 0
    unsettled: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    tokens_reasoning: int = 0
    characters: int = 0
    seconds: float = 0.0
    cost: int = 0

    def add(self, usage: Usage) -> None:
        self.calls += usage.requests
        self.tokens_in += usage.tokens_in
        self.tokens_cached += usage.tokens_cached
        self.tokens_out += usage.tokens_out
        self.tokens_reasoning += usage.tokens_reasoning
        self.characters += usage.characters


def short(reason: str) -> str:
    """A reason's name, without its details: "duplicate of seed/3 (0.8)" is `duplicate`."""
    return reason.split(" ", 1)[0]


class Tally:
    """All counts of a run, by step and by lane."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self.steps = {name: StepTally() for name in steps}
        self.lanes: dict[str, LaneTally] = {}
        self._failed: dict[tuple[str, int], str] = {}
        """Faults that a later answer may take the place of."""

    def line(self, line: Line) -> None:
        """Count a line of a journal."""
        if isinstance(line, Settled):
            self.add(line)
        elif isinstance(line, Paid):
            self.paid(line)

    def add(self, settled: Settled) -> None:
        step, key = self.steps[settled.step], (settled.step, settled.index)
        if settled.again and (earlier := self._failed.pop(key, None)) is not None:
            step.settled -= 1
            step.faults[earlier] -= 1
        step.settled += 1
        step.kept += len(settled.kept)
        for _, _, reason in settled.dropped:
            step.dropped[short(reason)] += 1
        if settled.fault is not None:
            step.faults[settled.fault.kind.value] += 1
            self._failed[key] = settled.fault.kind.value
        step.cost += settled.cost
        replies = settled.replies[settled.before :]
        if replies or settled.cost:
            lane = self._lane(settled.lane)
            lane.cost += settled.cost
            for reply in replies:
                lane.add(reply.usage)
                lane.seconds += reply.seconds

    def _lane(self, name: str) -> LaneTally:
        lane = self.lanes.get(name)
        if lane is None:
            lane = self.lanes[name] = LaneTally()
        return lane

    def paid(self, paid: Paid) -> None:
        lane = self._lane(paid.lane)
        lane.add(paid.usage)
        lane.unsettled += 1
        lane.cost += paid.cost
        self.steps[paid.step].cost += paid.cost

    def as_json(self) -> dict[str, Any]:
        """Plain data under stable names."""
        return {
            "steps": {
                name: {
                    "settled": step.settled,
                    "kept": step.kept,
                    "dropped": dict(step.dropped.most_common()),
                    "faults": dict((+step.faults).most_common()),
                    "cost": step.cost,
                }
                for name, step in self.steps.items()
            },
            "lanes": {
                name: {key: getattr(lane, key) for key in LaneTally.__dataclass_fields__} for name, lane in self.lanes.items()
            },
        }
