"""A run in a process of its own is looked at from all sides while it writes: nothing torn is seen, and nothing holds it up."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine import rundir, status
from engine.core.types import Settled
from engine.export import Existing, export
from engine.report import as_json, read
from tests.browser import dashboard
from tests.test_dashboard import fetched
from tests.test_kill import PLAN, Handler, children, serving, settled, start

GOAL, SOON, ROUNDS = 120, 60, 3
"""Instructions of a run, requests after which it is held, and how often it is looked at before it may end."""


class Held(Handler):
    """Answers no more once `SOON` requests have come, until `go`."""

    go = threading.Event()

    def do_POST(self) -> None:
        if self.server.requests >= SOON:
            assert self.go.wait(60)
        super().do_POST()


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return tmp_path / "plan.toml"


def test_everything_can_be_asked_of_a_run_that_goes_on(tmp_path: Path, plan: Path) -> None:
    """Until it ends, its records are exported, its figures folded, its metrics and its live page fetched, again and again: each
    time whole lines, each time at least as much as before; the run ends as if nobody had looked."""
    run = tmp_path / "run"
    Held.go.clear()
    with serving(Held) as server:
        plan.write_text(PLAN.format(port=server.server_port).replace("goal = 50", f"goal = {GOAL}"))
        process = start("run", str(plan), str(run), "--json", "--metrics-port", "0")
        assert process.stderr is not None
        address = process.stderr.readline().decode().split(" at ")[1].strip()
        rounds, before = 0, -1
        assert process.stdout is not None
        assert orjson.loads(process.stdout.readline())["state"] == "running"
        with dashboard(run, "--no-token") as page:
            while process.poll() is None:
                records = len(exported(run, tmp_path / "out.jsonl"))
                assert before <= records
                rounds, before = rounds + 1, records
                if rounds == ROUNDS:
                    Held.go.set()
                assert status.fold(run)["steps"]["instruct"]["settled"] >= 0
                assert orjson.loads(as_json([read(run, "run")]))["run"]["table"]["instances"] >= records
                assert 'id="live"' in fetched(page)[1]
                assert "seeddrill_records" in families(fetched(f"{page}metrics")[1])  # of the last pulse, up to a second old
                try:
                    told = fetched(address)[1]
                except OSError:
                    continue  # it has just ended
                assert families(told)["seeddrill_records"] >= 0
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b""), err.decode()
    assert rounds >= ROUNDS
    pulses = [orjson.loads(line) for line in out.splitlines()]
    assert pulses[-1]["state"] == "done"
    assert pulses[-1]["kept"] >= GOAL
    assert [one["seconds"] for one in pulses] == sorted(one["seconds"] for one in pulses)
    assert set(settled(run).values()) == {1}
    assert len(exported(run, tmp_path / "out.jsonl")) == pulses[-1]["records"]


def exported(run: Path, out: Path) -> list[dict[str, object]]:
    """The records of the run so far, from an export."""
    export(run, out, "jsonl", Existing.REPLACE)
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


def families(text: str) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in text_string_to_metric_families(text) if family.samples}


def test_crashed_run_has_its_page_and_its_metrics(tmp_path: Path, plan: Path) -> None:
    """After kill -9 the page tells what the journal has, and says that nobody works on it; the last pulse is not believed."""
    run = tmp_path / "run"
    with serving() as server:
        plan.write_text(PLAN.format(port=server.server_port).replace("goal = 50", f"goal = {GOAL}"))
        process = start("run", str(plan), str(run), "--json")
        assert process.stdout is not None
        while not orjson.loads(process.stdout.readline())["records"]:
            pass
        process.kill()
        process.communicate()
    assert not children(process.pid)
    lines = sum(isinstance(line, Settled) for line in rundir.journal(run))
    with dashboard(run, "--no-token") as page:
        found = families(fetched(f"{page}metrics")[1])
        assert 'id="live"' in fetched(page)[1]
        data = fetched(f"{page}data")[1]
    assert found["seeddrill_records"] == status.fold(run)["records"] > 0
    assert lines
    assert "killed" in data
    watched = subprocess.run([sys.executable, "-m", "engine", "watch", str(run)], capture_output=True, text=True, timeout=60)
    assert watched.returncode == 0, watched.stderr
    assert ", killed: its process ended without a word" in watched.stdout
