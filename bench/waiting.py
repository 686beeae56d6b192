"""What a run costs that waits, and whether it stays awake: CPU and event-loop lag in real time. One JSON line a case.

    python bench/waiting.py [--quick] [--seconds 15] [--case NAME]

`paused`: all lanes paused by hand. `stalled`: a provider that takes 2,000 calls and answers none. `slow_disk`: 100 answers a
second, and a disk on which every sync takes half a second. The provider is the simulator, in another process; journal, sockets
and commands are those of a real run. `idle_cpu_share` is the CPU time of this process over the time, of one core, the probe's own
ten looks a second included; `loop_lag_p99_ms` is how late a task came that wanted to run every 100 ms. `ok` says whether a run
that waits takes less than 2% of a core, and a task never much longer than 50 ms to come. Other work on the machine counts in.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import numpy as np
import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.sockets import simulator
from engine import app, tune
from engine.runtime.disk import Directory
from engine.runtime.mailbox import Bell
from engine.runtime.pulse import Pulse

EVERY = 0.1
SYNC = 0.5

SCRIPT = """
[accounts.a]
prefix = "/a"
dialect = "openai"
[accounts.a.weather]
first_byte = {first_byte}
tokens_per_second = 1000
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A way to wait."""

    name: str
    quota: dict[str, int]
    in_flight: int | None
    """Calls that are in flight while it waits; `None` where it is at work."""
    first_byte: float = 0.5


CASES = (
    Case("paused", {"requests_per_minute": 6000}, 0),
    Case("stalled", {"concurrent": 2000, "requests_per_minute": 60_000}, 2000, first_byte=1e6),
    Case("slow_disk", {"requests_per_minute": 6000}, None),
)


def plan(case: Case, home: str) -> dict[str, Any]:
    lane = {"provider": "openai", "model": "m", "style": "completion", "base_url": f"{home}/a/v1", **case.quota}
    return {"recipe": "bench.questions", "goal": 10**7, "grace": 0, "lanes": {"a": lane}}


@contextmanager
def disk(case: Case) -> Iterator[None]:
    """The real one; slow, where the case says so."""
    if case.name != "slow_disk":
        yield
        return
    sync = Directory.sync

    def slowly(self: Directory, name: str) -> None:
        time.sleep(SYNC)  # in the worker's thread, as a disk would
        sync(self, name)

    with patch.object(Directory, "sync", slowly):
        yield


class Run:
    """A real run in this process, and its pulses."""

    def __init__(self) -> None:
        self.pulse: Pulse | None = None
        self._bell = Bell()

    async def go(self, plan: dict[str, Any], folder: Path) -> None:
        await app.arun(plan, folder, on_pulse=self._see)

    async def seen(self, moment: Callable[[Pulse], bool]) -> Pulse:
        """The first pulse from now on of which that is true."""
        while True:
            await self._bell.wait()
            if self.pulse is not None and moment(self.pulse):
                return self.pulse

    def _see(self, pulse: Pulse) -> None:
        self.pulse = pulse
        self._bell.ring()


def settled(pulse: Pulse) -> int:
    return int(pulse.tally["steps"]["ask"]["settled"])


async def measured(case: Case, home: str, folder: Path, seconds: float) -> dict[str, Any]:
    """A run that is looked at once it has settled into its wait."""
    run = Run()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.go, plan(case, home), folder)
        await run.seen(lambda pulse: pulse.in_flight > 0 and pulse.seconds > 5)
        if case.name == "paused":
            await anyio.to_thread.run_sync(tune.pause, folder, "a")
        before = await run.seen(lambda pulse: case.in_flight is None or pulse.in_flight == case.in_flight)
        gc.collect()
        share, late = await probed(seconds)
        after = await run.seen(lambda pulse: True)
        tasks.cancel_scope.cancel()
    lag = float(np.percentile(late, 99))
    waits = case.in_flight is not None
    return {
        "case": case.name,
        "idle_cpu_share" if waits else "cpu_share": round(share, 4),
        "loop_lag_p99_ms": round(lag * 1e3, 2),
        "loop_lag_max_ms": round(max(late) * 1e3, 2),
        "in_flight": after.in_flight,
        "answers_per_s": round((settled(after) - settled(before)) / (after.seconds - before.seconds)),
        "seconds": seconds,
        "ok": lag < 0.05 and (share < 0.02 or not waits),
    }


async def probed(seconds: float) -> tuple[float, list[float]]:
    """The share of a core that this process takes, and by how many seconds the probe's task came late each time."""
    late: list[float] = []
    began, used = time.monotonic(), time.process_time()
    for _ in range(round(seconds / EVERY)):
        due = time.monotonic() + EVERY
        await anyio.sleep(EVERY)
        late.append(time.monotonic() - due)
    return (time.process_time() - used) / (time.monotonic() - began), late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="five seconds a case")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--case", choices=[case.name for case in CASES])
    chosen = parser.parse_args()
    for case in CASES:
        if chosen.case in (None, case.name):
            with tempfile.TemporaryDirectory() as name, disk(case):
                script = SCRIPT.format(first_byte=case.first_byte)
                with simulator(script, Path(name), 0) as home:
                    seconds = 5.0 if chosen.quick else chosen.seconds
                    print(orjson.dumps(anyio.run(measured, case, home, Path(name) / "run", seconds)).decode(), flush=True)


if __name__ == "__main__":
    main()
