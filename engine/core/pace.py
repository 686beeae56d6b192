"""Pace: how fast a run went, what it waited for and what failed, by lane, by step and over time. A fold of the journal.

Pure; one owner. Memory does not grow with the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from engine.core.sketches import Durations, Timeline
from engine.core.types import Line, Paid, Settled, Usage

TOKENS = ("tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning", "characters")


class Pace:
    """Times are those of sending. Faults over time are requests that were given up, attempts those that cost and settled nothing:
    an attempt that cost nothing leaves no line."""

    def __init__(self) -> None:
        self._usage: dict[str, dict[str, Counter[str]]] = {}
        self._answers: dict[str, Durations] = {}
        self._first_bytes: dict[str, Durations] = {}
        self._models: dict[str, Counter[str]] = {}
        self._time = Timeline()
        self._lane_time = Timeline()

    def line(self, line: Line) -> None:
        if isinstance(line, Settled):
            self._settled(line)
        elif isinstance(line, Paid):
            self._time.add(line.t, "attempts")
            self._use(line, [line.usage])

    def _settled(self, line: Settled) -> None:
        self._time.add(line.t, "answers")
        for name, amount in (("kept", len(line.kept)), ("dropped", len(line.dropped))):
            if amount:
                self._time.add(line.t, name, amount)
        if line.fault is not None:
            self._time.add(line.t, f"fault {line.fault.kind.value}")
        fresh = line.replies[line.before :]
        if fresh or line.cost:
            self._use(line, [reply.usage for reply in fresh])
        for reply in fresh:
            self._answers.setdefault(line.lane, Durations()).add(reply.seconds)
            if reply.first_byte > 0:
                self._first_bytes.setdefault(line.lane, Durations()).add(reply.first_byte)
            self._models.setdefault(line.lane, Counter())[reply.model[:100]] += 1

    def _use(self, line: Settled | Paid, usages: Iterable[Usage]) -> None:
        used = self._usage.setdefault(line.lane, {}).setdefault(line.step, Counter())
        used["cost"] += line.cost
        for usage in usages:
            used["calls"] += usage.requests
            for name in TOKENS:
                used[name] += getattr(usage, name)
            self._lane_time.add(line.t, f"calls {line.lane}", usage.requests)
            if usage.tokens:
                self._lane_time.add(line.t, f"tokens {line.lane}", usage.tokens)

    def as_json(self) -> dict[str, Any]:
        """Plain data under stable names; durations in seconds, costs in nano-units."""
        names = ("calls", *TOKENS, "cost")
        return {
            "usage": {
                lane: {step: {name: used[name] for name in names} for step, used in steps.items()}
                for lane, steps in self._usage.items()
            },
            "latency": {
                lane: {
                    "answer": answers.as_json(),
                    "first_byte": self._first_bytes.get(lane, Durations()).as_json(),
                }
                for lane, answers in self._answers.items()
            },
            "models": {lane: dict(models.most_common(20)) for lane, models in self._models.items()},
            "time": self._time.as_json(),
            "lane_time": self._lane_time.as_json(),
        }
