"""`watch`: the pulses of a run that another process makes, as they were written; and what the live view makes of them."""

from __future__ import annotations

import io
import os
import socket
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from engine import live, watch
from engine.core.budget import Standing
from engine.core.faults import PlanError
from engine.metrics import Exposed, text
from engine.runtime.pulse import LanePulse, Pulse, RunState
from tests.test_dashboard import fetched

STEP = {"settled": 9, "kept": 60, "dropped": {"duplicate": 30, "too_short": 10}, "faults": {"bad": 1}, "cost": 5}
LANE = {
    "calls": 10,
    "unsettled": 1,
    "tokens_in": 70,
    "tokens_cached": 30,
    "tokens_out": 40,
    "tokens_reasoning": 0,
    "characters": 0,
    "seconds": 12.5,
    "cost": 2_000_000_000,
}
PULSE = Pulse(
    state=RunState.RUNNING,
    reason="",
    seconds=10.0,
    goal=100,
    kept=60,
    records=50,
    in_flight=4,
    lag=0.012,
    lanes=(
        LanePulse("fast", "open", 3, None, limit=120.0, faults={"rate": 2, "network": 1}),
        LanePulse("slow", "parked", 1, None, notice="quota", paused=90.0),
    ),
    tally={"steps": {"instruct": STEP}, "lanes": {"fast": LANE}},
    currency="usd",
    budget=(Standing("money", 10, 2, 0, 0),),
)


def later(seconds: float, kept: int, calls: int) -> Pulse:
    lanes = {"fast": {**LANE, "calls": calls}}
    return replace(PULSE, seconds=seconds, kept=kept, tally={**PULSE.tally, "lanes": lanes})


def test_pulse_is_read_as_it_was_written() -> None:
    """Whatever a run writes into pulse.json comes back as the same pulse; what a newer version adds is passed over."""
    body = orjson.loads(orjson.dumps({"t": 1.0, "news": 1, **PULSE.as_json()}))
    assert watch.parsed(body) == PULSE


def test_watching_ends_with_the_run(run: Path) -> None:
    """Each new pulse is shown once while the run's process lives, the last one after its end."""

    def write(pulse: Pulse) -> None:
        (run / "pulse.json").write_bytes(orjson.dumps({"t": 1.0, **pulse.as_json()}))

    (run / "lock").write_text(f"{os.getpid()} {socket.gethostname()}\n")
    write(PULSE)
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            write(replace(PULSE, seconds=11.0))
        elif looks == 3:
            write(replace(PULSE, seconds=12.0, state=RunState.DONE))
            (run / "lock").write_text("")

    assert [(pulse.seconds, pulse.state.value) for pulse in watch.pulses(run, sleep)] == [
        (10.0, "running"),
        (11.0, "running"),
        (12.0, "done"),
    ]


def test_no_run_to_watch(tmp_path: Path) -> None:
    """A directory that is no run is told with what makes one."""
    with pytest.raises(PlanError, match="is not a run directory"):
        watch.watch(tmp_path, watch.Form.VIEW)


@pytest.mark.parametrize("width", [80, 140])
def test_view_tells_all_there_is_to_see(width: int) -> None:
    """Goal with its end in sight, funnel, rates against quota, faults, pauses, money, duplicates, lag: on 80 columns, too."""
    pace = live.Pace()
    for pulse in (later(10.0, 60, 10), later(30.0, 80, 40)):
        pace.add(pulse)
    out = io.StringIO()
    Console(file=out, width=width).print(live.panel(pulse, pace))
    told = out.getvalue()
    assert max(map(len, told.splitlines())) <= width
    for words in ("about 0:20 to go", "60% of drafts kept, 30% duplicates", "loop lag 12 ms", "90/120", "duplicate 30"):
        assert words in told
    fast, slow = (next(line for line in told.splitlines() if line.startswith(name)) for name in ("fast", "slow"))
    assert fast.split() == ["fast", "open", "3", "40", "90/120", "100", "+", "40", "3", "2.0000"]
    assert "parked for 1:31" in slow


def test_pace_looks_at_the_last_minute() -> None:
    """Rates are those of the last minute; there is none before a second has passed, and no end in sight without a goal."""
    pace = live.Pace()
    pace.add(later(0.0, 0, 0))
    assert pace.calls("fast") is None and pace.left(PULSE) is None
    pace.add(later(50.0, 0, 500))
    pace.add(later(110.0, 60, 560))
    assert pace.calls("fast") == 60 and pace.left(later(110.0, 60, 560)) == 40
    assert pace.left(replace(PULSE, goal=None)) is None


def test_run_serves_its_metrics() -> None:
    """With a port a run's own process tells Prometheus its newest pulse; a port in use gives way to the next one."""
    first = Exposed(18_390)
    exposed = Exposed(first.port)
    try:
        assert exposed.port > first.port
        exposed.tell(PULSE)
        _, told = fetched(f"http://127.0.0.1:{exposed.port}/metrics")
    finally:
        exposed.close()
        first.close()
    assert told == text(PULSE.as_json()).decode()
    assert 'seeddrill_lane_limit_requests_per_minute{lane="fast"} 120.0' in told
    assert 'seeddrill_faults_total{kind="rate",lane="fast"} 2.0' in told
    assert 'seeddrill_cost_total{currency="usd",lane="fast"} 2.0' in told
    assert "seeddrill_event_loop_lag_seconds 0.012" in told
