"""Metrics of a run as Prometheus reads them, from its last pulse or from what its journal says. Names as its conventions ask:
base units, `_total` for what only grows, one name for one thing.

A door's part: the library is `prometheus_client`. `docs/logs.md` lists the names.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from engine.core.faults import PlanError
from engine.core.money import NANO
from engine.runtime.account import LaneState
from engine.runtime.pulse import Pulse, RunState

PORTS = 20
"""So many are tried where one is in use."""
_TOKENS = ("in", "cached", "out", "reasoning")

Seen = Mapping[str, Any]
"""A pulse as plain data, as it lies in pulse.json."""


def text(pulse: Seen) -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Told(pulse))
    return generate_latest(registry)


class _Told:
    """A collector of what one pulse says."""

    def __init__(self, pulse: Seen) -> None:
        self._pulse = pulse

    def collect(self) -> Iterable[Metric]:
        yield from _run(self._pulse)
        yield from _steps(self._pulse["tally"]["steps"])
        yield from _used(self._pulse["tally"]["lanes"], str(self._pulse.get("currency") or ""))
        yield from _lanes(self._pulse.get("lanes", ()))
        yield from _budget(self._pulse)


class Exposed:
    """The newest pulse of a run of this process, served at `/metrics` on loopback by a thread of its own."""

    def __init__(self, port: int) -> None:
        self._pulse: Seen | None = None
        self._lock = threading.Lock()
        registry = CollectorRegistry()
        registry.register(self)
        for self.port in range(port, min(port + PORTS, 65536)):
            try:
                self._server, self._thread = start_http_server(self.port, addr="127.0.0.1", registry=registry)
                return
            except OSError:
                continue
        raise PlanError(f"no port from {port} on is free for metrics: choose another one")

    def tell(self, pulse: Pulse) -> None:
        with self._lock:
            self._pulse = pulse.as_json()

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            pulse = self._pulse
        return _Told(pulse).collect() if pulse is not None else ()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _run(pulse: Seen) -> Iterator[Metric]:
    state = GaugeMetricFamily("seeddrill_run_state", "1 for the state that the run is in, 0 for the others.", labels=["state"])
    for name in dict.fromkeys([*(known.value for known in RunState), str(pulse["state"])]):
        state.add_metric([name], float(name == pulse["state"]))
    yield state
    gauges = (
        ("goal", "goal", "What the run is to make: instructions, or records where it has an input."),
        ("records", "records", "Records made so far, in all lives of the run."),
        ("in_flight_requests", "in_flight", "Requests that are waiting for their answer."),
        ("event_loop_lag_seconds", "lag", "Worst delay of the event loop in the last second."),
        ("process_run_seconds", "seconds", "Since this process began the run."),
        ("pulse_timestamp_seconds", "t", "When the run last said how it is, in seconds since the epoch."),
    )
    for name, key, told in gauges:
        if pulse.get(key) is not None:
            yield GaugeMetricFamily(f"seeddrill_{name}", told, float(pulse[key]))


def _steps(steps: Seen) -> Iterator[Metric]:
    settled = CounterMetricFamily("seeddrill_answers_settled", "Requests settled, given up ones included.", labels=["step"])
    kept = CounterMetricFamily("seeddrill_items_kept", "Items kept.", labels=["step"])
    dropped = CounterMetricFamily("seeddrill_items_dropped", "Items dropped.", labels=["step", "reason"])
    failed = CounterMetricFamily("seeddrill_requests_failed", "Requests given up.", labels=["step", "kind"])
    for name, step in steps.items():
        settled.add_metric([name], step["settled"])
        kept.add_metric([name], step["kept"])
        for reason, count in step["dropped"].items():
            dropped.add_metric([name, reason], count)
        for kind, count in step["faults"].items():
            failed.add_metric([name, kind], count)
    yield from (settled, kept, dropped, failed)


def _used(lanes: Seen, currency: str) -> Iterator[Metric]:
    calls = CounterMetricFamily("seeddrill_calls", "Answered HTTP attempts.", labels=["lane"])
    lost = CounterMetricFamily("seeddrill_unsettled_attempts", "Attempts that cost and settled nothing.", labels=["lane"])
    tokens = CounterMetricFamily("seeddrill_tokens", "Tokens, by kind.", labels=["lane", "kind"])
    characters = CounterMetricFamily("seeddrill_characters", "Characters translated, as billed.", labels=["lane"])
    seconds = CounterMetricFamily("seeddrill_answer_seconds", "Seconds spent waiting for answers.", labels=["lane"])
    cost = CounterMetricFamily("seeddrill_cost", "Money spent, in units of the currency.", labels=["lane", "currency"])
    for name, lane in lanes.items():
        calls.add_metric([name], lane["calls"])
        lost.add_metric([name], lane["unsettled"])
        for kind in _TOKENS:
            tokens.add_metric([name, kind], lane[f"tokens_{kind}"])
        characters.add_metric([name], lane["characters"])
        seconds.add_metric([name], lane["seconds"])
        if currency:
            cost.add_metric([name, currency], lane["cost"] / NANO)
    yield from (calls, lost, tokens, characters, seconds, cost)


def _lanes(lanes: Iterable[Seen]) -> Iterator[Metric]:
    state = GaugeMetricFamily("seeddrill_lane_state", "1 for the state that the lane is in.", labels=["lane", "state"])
    flight = GaugeMetricFamily("seeddrill_account_in_flight_calls", "Calls in flight of the lane's account.", labels=["lane"])
    limit = GaugeMetricFamily("seeddrill_lane_limit_requests_per_minute", "Declared rate, less headroom.", labels=["lane"])
    faults = CounterMetricFamily("seeddrill_faults", "Attempts that failed in this process.", labels=["lane", "kind"])
    for lane in lanes:
        for known in LaneState:
            state.add_metric([lane["name"], known.value], float(lane["state"] == known.value))
        flight.add_metric([lane["name"]], lane["in_flight"])
        if lane.get("limit") is not None:
            limit.add_metric([lane["name"]], lane["limit"])
        for kind, count in lane.get("faults", {}).items():
            faults.add_metric([lane["name"], kind], count)
    yield from (state, flight, limit, faults)


def _budget(pulse: Seen) -> Iterator[Metric]:
    currency = str(pulse.get("currency") or "")
    spent = GaugeMetricFamily("seeddrill_budget_spent", "Spent of a limit of the budget.", labels=["measure", "currency"])
    limit = GaugeMetricFamily("seeddrill_budget_limit", "A limit of the budget.", labels=["measure", "currency"])
    for one in pulse.get("budget", ()):
        spent.add_metric([one["measure"], currency], one["spent"] / NANO)
        limit.add_metric([one["measure"], currency], one["limit"] / NANO)
    yield from (spent, limit)
