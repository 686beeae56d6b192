"""`tune`, `pause`, `resume` and `stop` on real runs over real sockets, and what they say where there is nobody to hear."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import orjson
import pytest
from anyio.to_thread import run_sync

from engine import app, live, rundir, status, tune
from engine.core.faults import EngineError, LaneError, PlanError
from engine.plan import load
from engine.runtime.control import NOTE
from engine.runtime.journal import Lock
from engine.runtime.pulse import LanePulse, Pulse, RunState
from tests.embedded import until
from tests.test_kill import PLAN, Server, serving, start


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of the user's own; pytest's paths are longer than a socket's may be."""
    folder = tempfile.mkdtemp(prefix="sd-", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def plan(tmp_path: Path, server: Server) -> Path:
    """A plan that would go on for hours."""
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.format(port=server.server_port).replace("goal = 50", "goal = 1000000"))
    return path


class Watched:
    """A run in this process and its pulses."""

    def __init__(self, plan: Path, directory: Path) -> None:
        self._plan = plan
        self.directory = directory
        self.pulses: list[Pulse] = []
        self._changed = anyio.Event()

    async def run(self) -> None:
        self.outcome = await app.arun(load(self._plan), self.directory, on_pulse=self._see)

    def _see(self, pulse: Pulse) -> None:
        self.pulses.append(pulse)
        self._changed.set()
        self._changed = anyio.Event()

    async def pulse(self) -> Pulse:
        """The next one."""
        await self._changed.wait()
        return self.pulses[-1]


def test_running_job_is_paused_tuned_resumed_and_stopped(plan: Path, tmp_path: Path, server: Server) -> None:
    """A run over real sockets takes every command, shows what it was told, and ends as interrupted."""
    run = tmp_path / "run"

    async def main() -> Watched:
        watched = Watched(plan, run)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watched.run)
                await watched.pulse()
                said = await run_sync(tune.pause, run, "main")
                assert said.startswith("main takes no new work; ")
                while (await watched.pulse()).in_flight:
                    pass
                asked = server.requests
                pulse = await watched.pulse()
                assert server.requests == asked
                assert (pulse.state, pulse.lanes[0].state, pulse.lanes[0].held) == (RunState.RUNNING, "paused", "by hand")
                assert "main paused by hand" in live.line(pulse)
                figures = await run_sync(status.fold, run)
                assert figures["held"] == {"main": "by hand"}
                assert figures["reason"] == "no lane is at work for answer, classify, propose: main is paused by hand"
                assert f"main is paused by hand: 'seeddrill resume {run} main'" in await run_sync(status.as_text, run)
                said = await run_sync(tune.tune, run, ["lanes.main.requests_per_minute=6000", "goal=999"])
                assert said.splitlines()[1] == "lanes.main.requests_per_minute: none -> 6000"
                with pytest.raises(LaneError, match="no lane 'mian'; there are main"):
                    await run_sync(tune.resume, run, "mian")
                assert await run_sync(tune.resume, run, "main") == "main takes work again."
                pulse = await watched.pulse()
                assert pulse.goal == 999
                assert rundir.reopen(run).plan.goal == 999, "exports go by it"
                assert server.requests > asked
                assert "Nothing new is asked" in await run_sync(tune.stop, run)
        return watched

    watched = anyio.run(main)
    assert watched.outcome.exit_code == 3
    assert "stopped by seeddrill stop" in watched.outcome.pulse.reason
    assert not (run / NOTE).exists()
    logged = [orjson.loads(line) for line in (run / rundir.LOG).read_bytes().splitlines()]
    events = [line["event"] for line in logged if line["event"].startswith("command")]
    assert events == ["command", "command", "command_refused", "command", "command"]
    figures = status.fold(run)
    assert (figures["state"], figures["held"]) == ("interrupted", {})
    with pytest.raises(LaneError, match="no run goes on in"):
        tune.resume(run, "main")


def test_process_is_stopped_from_another_one(plan: Path, tmp_path: Path) -> None:
    """`seeddrill stop` in one process ends the run in the other with exit code 3."""
    run = tmp_path / "run"
    process = start("run", str(plan), str(run), "--quiet")
    until((run / NOTE).exists, "the run to take commands")
    out, err = start("stop", str(run)).communicate(timeout=60)
    assert out.startswith(b"Nothing new is asked"), err.decode()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (3, b"")
    assert b"stopped by seeddrill stop" in out


def test_killed_run_is_told_as_none_and_resumed_as_ever(plan: Path, tmp_path: Path) -> None:
    """After kill -9 the note and the socket that were left lead to nobody, and the next life listens in their place."""
    run = tmp_path / "run"
    process = start("run", str(plan), str(run), "--quiet")
    until((run / NOTE).exists, "the run to take commands")
    process.kill()
    process.communicate(timeout=60)
    assert (run / NOTE).exists()
    with pytest.raises(LaneError) as caught:
        tune.tune(run, ["goal=5"])
    assert f"'seeddrill run PLAN {run}' starts or resumes it" in str(caught.value)
    assert caught.value.exit_code == 2
    process = start("run", str(plan), str(run), "--quiet")

    def stopped() -> bool:
        try:
            tune.stop(run)
        except LaneError:
            return False  # it is not there yet
        return True

    until(stopped, "the second life to take a command")
    process.communicate(timeout=60)
    assert process.returncode == 3


def test_run_that_takes_no_commands(run: Path) -> None:
    """A process that holds the directory and does not listen is named, with the signal that stops it."""
    with Lock(run):
        with pytest.raises(EngineError) as caught:
            tune.pause(run, "main")
    for words in (f"process {os.getpid()}", "takes no commands", rundir.LOG, f"kill -TERM {os.getpid()}"):
        assert words in str(caught.value)


def test_directory_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="is not a run directory"):
        tune.stop(tmp_path)


@pytest.mark.parametrize(
    ("lane", "words"),
    [
        (LanePulse("a", "open", 1, None), "open"),
        (LanePulse("a", "paused", 1, None), "paused"),
        (LanePulse("a", "paused", 1, None, held="by hand"), "paused by hand"),
        (LanePulse("a", "closed", 1, "no credit", held="by hand"), "closed"),
    ],
)
def test_state_of_a_lane_in_words(lane: LanePulse, words: str) -> None:
    """A pause of one's own making is told from one of the provider's."""
    assert live.standing(lane) == words


def test_signal_after_a_stop_is_the_second(plan: Path, tmp_path: Path, server: Server) -> None:
    """SIGTERM after `stop` cancels calls in flight; the run ends in order all the same."""
    run = tmp_path / "run"
    process = start("run", str(plan), str(run), "--quiet")
    until((run / NOTE).exists, "the run to take commands")
    tune.stop(run)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 3
