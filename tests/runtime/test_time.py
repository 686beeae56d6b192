"""When time does what it should not: a process that is stopped, a wall clock that is set, a day that outlives its process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.runtime.clock import Clock
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Patience, Scheduler
from engine.runtime.wire import Deadlines, Expired
from tests import brain, virtual
from tests.drive import LANE, Drive
from tests.fakes import FakeDisk

HOUR, DAY = 3600.0, 86_400.0


def later(seconds: float, act: Callable[[Scheduler], Any]) -> Callable[[Scheduler], None]:
    """Calls `act(scheduler)` once the run is `seconds` old."""
    return lambda scheduler: asyncio.get_running_loop().call_later(seconds, act, scheduler) and None


def stopped(seconds: float) -> None:
    """The process does not run for so long (SIGSTOP, then SIGCONT): the clock goes on, nothing else does."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual.VirtualLoop)
    loop.now += seconds


@pytest.mark.parametrize("seconds", [600.0, 5 * HOUR])
def test_stopped_process_loses_nothing_and_storms_nobody(seconds: float) -> None:
    """Stopped in the middle of its calls, with every connection lost meanwhile: no request is given up for it though its patience
    would have been over, only those in flight are sent again, and no minute sees more requests than it may."""
    in_flight: set[int] = set()

    def stop(scheduler: Scheduler) -> None:
        in_flight.update(range(drive.wire.answered, len(drive.wire.sent)))
        stopped(seconds)

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if drive.wire.times[count] < 8.0 and anyio.current_time() > seconds:
            return Fault(FaultKind.NETWORK, "the connection broke", billed=True)
        return brain.answer(body, count)

    drive = Drive(
        goal=40,
        answer=answer,
        lanes={"main": {**LANE, "concurrent": 20, "requests_per_minute": 90}},
        delay=lambda rng: rng.uniform(3.0, 6.0),
        patience=Patience(request=60.0),
        meanwhile=later(8.0, stop),
    )
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert in_flight, "nothing was in flight when it stopped"
    assert not any("fault" in line for line in drive.settled())
    assert len(drive.wire.sent) - len(drive.settled()) <= len(in_flight)
    times = drive.wire.times
    assert max(sum(start <= t < start + 60 for t in times) for start in times) <= 90


def test_deadline_waits_for_a_process_that_was_stopped() -> None:
    """An answer that came while the process was stopped is read, however late; one that is really late is cut off."""

    async def main(stop: float, wait: float) -> float:
        clock = Clock(anyio.current_time, anyio.current_time)
        deadlines = Deadlines(clock)
        asyncio.get_running_loop().call_later(2.0, stopped, stop)
        with deadlines.within(10.0):
            await anyio.sleep(2.5)  # the clock has moved: this wakes at once
            await anyio.sleep(wait)
        deadlines.close()
        return anyio.current_time()

    assert virtual.run(lambda: main(600.0, 5.0)) > 600
    for stop, wait in ((0.0, 9.0), (600.0, 9.0)):
        with pytest.raises(Expired):
            virtual.run(lambda stop=stop, wait=wait: main(stop, wait))


def test_one_timer_serves_all_deadlines() -> None:
    """Deadlines of very many calls are kept exactly, the short ones beside the long ones."""

    async def one(deadlines: Deadlines, seconds: float, ended: list[tuple[float, float]]) -> None:
        began = anyio.current_time()
        with pytest.raises(Expired), deadlines.within(seconds):
            await anyio.sleep_forever()
        ended.append((seconds, anyio.current_time() - began))

    async def main() -> list[tuple[float, float]]:
        ended: list[tuple[float, float]] = []
        deadlines = Deadlines(Clock(anyio.current_time, anyio.current_time))
        async with anyio.create_task_group() as tasks:
            for n in range(300):
                tasks.start_soon(one, deadlines, 0.1 + n % 50, ended)
        deadlines.close()
        return ended

    for seconds, took in virtual.run(main):
        assert seconds <= took <= seconds + 0.01


def lived(disk: FakeDisk, began: float, quota: int, seconds: float, wall: Callable[[float], float]) -> list[float]:
    """One life of a run that wants far more than its day allows; returns the true times of its requests."""
    drive = Drive(
        goal=500,
        disk=disk,
        lanes={"main": {**LANE, "concurrent": 4, "requests_per_day": quota}},
        wall=lambda steady: wall(began + steady),
        meanwhile=later(seconds, lambda scheduler: scheduler.interrupt("SIGTERM")),
    )
    assert drive.start().state is RunState.INTERRUPTED
    return [began + t for t in drive.wire.times]


@pytest.mark.parametrize("step", [HOUR, -HOUR, 0.0])
def test_day_counters_survive_restarts_and_a_wall_clock_that_is_set(step: float) -> None:
    """The day's quota is used to the end and never exceeded within any true 24 hours, whether or not somebody sets the wall clock
    by an hour while the run goes on: restarted after 23.5 hours it still waits, after 24.1 it goes on."""
    disk, start = FakeDisk(), 1_000_000.0

    def wall(true: float) -> float:
        return start + true + (step if true > 20.0 else 0.0)

    sent = lived(disk, 0.0, 40, 30.0, wall)
    assert len(sent) == 40, "a day's quota is spent in the first half minute"
    assert lived(disk, 100.0, 40, 60.0, wall) == []
    early = lived(disk, 23.5 * HOUR, 40, 60.0, wall)
    assert early == [], "the day is not over"
    after = lived(disk, DAY + 0.1 * HOUR, 40, 60.0, wall)
    assert len(after) == 40, "what is over is over"
    times = sorted([*sent, *after])
    assert max(sum(t <= other < t + DAY for other in times) for t in times) <= 40


def test_step_of_the_wall_clock_is_journaled_once() -> None:
    """A step is a line of its own, and the times of all lines after it are the new clock's."""
    drive = Drive(goal=30, wall=lambda steady: 5000.0 + steady + (HOUR if steady > 10 else 0))
    assert drive.start().state is RunState.DONE
    from tests.fakes import lines

    steps = [line["clock"] for line in lines(drive.disk) if "clock" in line]
    assert steps == [pytest.approx(HOUR, abs=0.01)]
    assert max(line["t"] for line in drive.settled()) > 5000 + HOUR


def test_lines_wait_for_each_other_no_longer_than_the_plan_says() -> None:
    """With a longer group time there are fewer syncs, and no answer waits longer than that to be durable."""
    syncs = {}
    for group in (0.0, 2.0):
        drive = Drive(goal=30, lanes={"main": {**LANE, "concurrent": 20}}, patience=Patience(group=group))
        assert drive.start().state is RunState.DONE
        syncs[group] = drive.disk.operations["sync"]
    assert syncs[2.0] < syncs[0.0] / 2
