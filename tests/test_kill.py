"""kill -9 at random moments of a real process: resumed, it goes on, settles everything once, and leaves no server behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine import rundir
from engine.core.types import Settled
from tests import brain
from tests.embedded import needs_model, until

PLAN = """\
recipe = "self_instruct"
goal = 50
[lanes.main]
provider = "openai"
model = "brain"
style = "completion"
base_url = "http://127.0.0.1:{port}/v1"
concurrent = 6
"""
SMALL = """\
recipe = "self_instruct"
goal = 1
options = { human = 3, machine = 0, new = 2, instance_tokens = 40 }
lanes.main.provider = "local"
"""
"""The embedded model's least work."""


class Server(ThreadingHTTPServer):
    """Answers like a good model, and kills `victim` in the middle of its `kill_at`-th request."""

    daemon_threads = True
    victim: subprocess.Popen[bytes] | None = None
    requests = 0
    kill_at = -1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        if self.server.requests == self.server.kill_at and self.server.victim is not None:
            self.server.victim.kill()
            return
        answer = brain.answer(body, 0).body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            pass  # the client was killed


@contextmanager
def serving(handler: type[Handler] = Handler) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


LAUNCH = """\
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # the shell of a background job has it ignored
runpy.run_module("engine", run_name="__main__", alter_sys=True)
"""


def start(*args: str) -> subprocess.Popen[bytes]:
    """The command line as a process of its own."""
    command = [sys.executable, "-c", LAUNCH, *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def settled(directory: Path) -> Counter[tuple[str, int]]:
    return Counter((line.step, line.index) for line in rundir.journal(directory) if isinstance(line, Settled))


def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Killed in the middle of four random requests and resumed each time, a run ends with everything settled once."""
    moments = sorted(Random(5).sample(range(2, 25), 4))
    run = tmp_path / "run"
    plan = tmp_path / "plan.toml"
    seen: Counter[tuple[str, int]] = Counter()
    with serving() as server:
        plan.write_text(PLAN.format(port=server.server_port))
        for moment in [*moments, -1]:
            server.requests, server.kill_at = 0, moment
            server.victim = start("run", str(plan), str(run), "--quiet")
            out, err = server.victim.communicate(timeout=60)
            if moment > 0:
                assert server.victim.returncode == -signal.SIGKILL, err.decode()
                now = settled(run)
                assert seen <= now, "a settled answer was lost"
                seen = now
            else:
                assert (server.victim.returncode, err) == (0, b""), err.decode()
                assert b"Done: " in out
    assert set(settled(run).values()) == {1}
    assert sum(step == "instance" for step, _ in settled(run)) == 50


def test_closed_stdout_and_stderr_do_not_end_a_run(tmp_path: Path) -> None:
    """With nobody reading its output, and both pipes broken, a run goes to its end."""
    plan = tmp_path / "plan.toml"
    with serving() as server:
        plan.write_text(PLAN.format(port=server.server_port))
        process = start("run", str(plan), str(tmp_path / "run"))
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(timeout=60) == 0
    assert sum(step == "instance" for step, _ in settled(tmp_path / "run")) == 50


def test_blocked_stdout_does_not_hold_a_run(tmp_path: Path) -> None:
    """With an output that takes nothing, a run goes to its end and its process ends too."""
    plan = tmp_path / "plan.toml"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    with serving() as server:
        plan.write_text(PLAN.format(port=server.server_port))
        command = [sys.executable, "-m", "engine", "run", str(plan), str(tmp_path / "run")]
        process = subprocess.Popen(command, stdout=writer, stderr=writer, start_new_session=True)
        assert process.wait(timeout=60) == 0
    os.close(reader)
    os.close(writer)
    assert sum(step == "instance" for step, _ in settled(tmp_path / "run")) == 50


@needs_model
@pytest.mark.parametrize("moment", ["loading", "asking"])
def test_killed_run_leaves_no_model_server_and_goes_on(tmp_path: Path, moment: str) -> None:
    """kill -9 while the model loads, or while it answers: the server dies with its parent, and the same command goes on."""
    run, plan = tmp_path / "run", tmp_path / "plan.toml"
    plan.write_text(SMALL)
    first = start("run", str(plan), str(run))
    assert first.stderr is not None
    until(lambda: bool(children(first.pid)), "the model server to start")
    (server,) = children(first.pid)
    if moment == "asking":
        first.stderr.readline()  # the first progress is told when the model is loaded
    first.kill()
    first.communicate()
    until(lambda: not alive(server), "the model server to die with its parent")
    if moment == "loading":
        return  # nothing was asked yet; going on from here is the other case's
    second = start("run", str(plan), str(run))
    until(lambda: bool(settled(run)), "an answer of the model")
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=60)
    assert second.returncode in (0, 3), err.decode()
    assert set(settled(run).values()) == {1}


@needs_model
def test_ctrl_c_while_the_model_loads_is_an_orderly_end(tmp_path: Path) -> None:
    """Stopped before the first call: one sentence, exit code 3, no traceback, no model server."""
    process = start("quickstart", str(tmp_path / "run"), "--goal", "1")
    until(lambda: bool(children(process.pid)), "the model server to start")
    (server,) = children(process.pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err.decode()
    assert b"the same command goes on" in err
    assert b"Traceback" not in err
    until(lambda: not alive(server), "the model server to end")


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False
