"""`seeddrill probe` and `seeddrill load` as they are typed: what is refused, what is said first, what is left behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from engine import __main__ as door
from engine.plan import from_data
from providers.simulator import script, server
from tests.embedded import until
from tests.runtime.test_wire import no_proxy
from tests.test_kill import LAUNCH

__all__ = ["no_proxy"]

KEY = "sk-ours-of-forty-characters-1234567890abcd"
PLAN = """\
recipe = "self_instruct"
goal = 5
timeout = 0.4
[lanes.a]
provider = "openai"
model = "m"
base_url = "{url}/a/v1"
key = "env:SEEDDRILL_TEST_KEY"
{more}
"""
PRICED = "price = { tokens_in = 0.15, tokens_out = 0.6 }"
WORLD = f"""
[accounts.a]
prefix = "/a"
keys = ["{KEY}"]
prices."*" = {{ tokens_in = 0.15, tokens_out = 0.6 }}
[[accounts.a.limits]]
kind = "bucket"
limit = 600
burst = 10
[accounts.a.weather]
first_byte = 0.01
tokens_per_second = 1000
"""
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDDRILL_TEST_KEY", KEY)


@contextmanager
def simulator() -> Iterator[str]:
    """The simulator on a thread of its own; its address."""
    ready, over = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with server.running(script.read(WORLD), 0, seed=0) as address:
            found.append(address)
            ready.set()
            await anyio.to_thread.run_sync(over.wait)

    thread = threading.Thread(target=anyio.run, args=(serve,))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        over.set()
        thread.join()


def typed(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The exit code of the command line in this process."""
    monkeypatch.setattr("sys.argv", ["seeddrill", *args])
    with pytest.raises(SystemExit) as caught:
        door.main()
    code = caught.value.code
    return code if isinstance(code, int) else 0


def written(tmp_path: Path, more: str = PRICED, url: str = NOBODY) -> str:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.format(url=url, more=more), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("more", "args", "said"),
    [
        ("", ["probe"], "has no price, and the test no cap: the worst of each call is"),
        ("", ["probe", "--active"], "has no price, and the test no cap: the worst of each call is"),
        ("", ["load", "--rate", "5"], "has no price, and the test no cap: the worst of each call is"),
        ("", ["probe", "--spend", "1"], "has no price, so that --spend cannot be kept"),
        (PRICED, ["probe", "--spend", "0.000001"], "could pass the cap of 0.000001 usd: at worst it uses 2"),
        (PRICED, ["probe", "--active", "--tokens", "20"], "tokens, which costs 0.00000"),
        (PRICED, ["load", "--rate", "5", "--spend", "0.00001"], "could pass the cap of 0.00001 usd: at worst it uses"),
        (PRICED, ["probe", "--spend", "0"], "--spend is 0: a cap is above zero"),
        (PRICED, ["probe", "--slo", "ttft=soon"], "--slo: 'soon' is no time above zero"),
        (PRICED, ["probe", "--active", "--what", "rpn"], "--what: there is no 'rpn'; choose among rpm, tpm"),
        (PRICED, ["load"], "either a rate (--rate 50) or calls in flight (--concurrency 64)"),
        (PRICED, ["load", "--rate", "5", "--arrivals", "gauss"], "--arrivals: there is no 'gauss'"),
        (PRICED, ["probe", "--lane", "b"], "the plan has no lane 'b'; there are a"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: str, args: list[str], said: str
) -> None:
    """One sentence with the worst cost or the right word, exit code 2, no folder."""
    verb, *rest = args
    lane = [] if "--lane" in rest else ["--lane", "a"]
    out = tmp_path / "out"
    assert typed(monkeypatch, verb, written(tmp_path, more), *lane, *rest, "--out", str(out)) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_dry_run_tells_the_worst_and_needs_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How long others may be refused, what it may cost, each part with its most; no key is looked up, nothing is sent."""
    monkeypatch.delenv("SEEDDRILL_TEST_KEY")
    plan = written(tmp_path)
    assert typed(monkeypatch, "probe", plan, "--lane", "a", "--active", "--requests", "3000", "--dry-run") == 0
    told = capsys.readouterr().err
    assert "Everybody else who uses this account may be refused for up to 13 minutes in all" in told
    assert "At worst it costs 0.50 usd. It never passes 3,000 requests, 25 minutes" in told
    assert "requests a minute: up to 3,000 calls in 245 s, each 0.00000" in told
    assert told.endswith("Nothing was sent.\n")
    assert typed(monkeypatch, "load", plan, "--lane", "a", "--rate", "5", "--minutes", "2", "--dry-run") == 0
    told = capsys.readouterr().err
    assert "5 calls a second, constant for 2 minutes, about 600 calls of up to" in told
    assert "The cap is 0.50 usd. The test ends before a call could pass it." in told


def test_load_over_sockets_leaves_all_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second of load against the simulator: every attempt with its headers, figures as JSON, goodput, and a page."""
    out = tmp_path / "out"
    options = [
        "--rate",
        "30",
        "--minutes",
        "0.02",
        "--out",
        str(out),
        "--slo",
        "ttft=1s,total=5s",
        "--answer-tokens",
        "5",
        "--json",
    ]
    with simulator() as url:
        assert typed(monkeypatch, "load", written(tmp_path, url=url), "--lane", "a", *options, "--out", str(out)) == 0
    told = json.loads(capsys.readouterr().out)
    lines = attempts(out)
    assert len(lines) == 36 == told["times"]["sent"]
    kinds = [line["kind"] for line in lines]
    assert set(kinds) == {"answered", "rate"}
    assert all(line["headers"]["x-ratelimit-limit-requests"] == "600" for line in lines)
    assert told["times"]["good"] == kinds.count("answered")
    assert told == json.loads((out / "report.json").read_text())
    assert told["spent"]["nano"] == sum(line["cost_nano"] for line in lines)
    page = (out / "report.html").read_text()
    assert page.count("<svg") == 2
    assert KEY not in page + (out / "attempts.jsonl").read_text()


def attempts(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "attempts.jsonl").read_text().splitlines()]


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results never lie upon others."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "attempts.jsonl").write_text("mine")
    assert typed(monkeypatch, "probe", written(tmp_path), "--lane", "a", "--out", str(tmp_path / "out")) == 2
    assert "is not empty, and was left alone" in capsys.readouterr().err
    assert (tmp_path / "out" / "attempts.jsonl").read_text() == "mine"


def test_a_server_that_hangs_ends_the_load_with_four(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that takes connections and never answers: the plan's timeout, the test's own rules, every attempt on disk."""
    out = tmp_path / "out"
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        plan = written(tmp_path, url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert typed(monkeypatch, "load", plan, "--lane", "a", "--rate", "20", "--minutes", "5", "--out", str(out)) == 4
    assert "Ended: the server does not answer, or answers nonsense" in capsys.readouterr().out
    lines = attempts(out)
    assert 3 <= len(lines) < 40
    assert {line["kind"] for line in lines} == {"network"}


def test_ctrl_c_is_an_orderly_end(tmp_path: Path) -> None:
    """A real process and a real signal: exit code 3, the table, every attempt, figures and page; no traceback."""
    out = tmp_path / "out"
    with simulator() as url:
        command = ["load", written(tmp_path, url=url), "--lane", "a", "--concurrency", "3", "--minutes", "10", "--out", str(out)]
        process = subprocess.Popen([sys.executable, "-c", LAUNCH, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: (out / "attempts.jsonl").exists() and len(attempts_so_far(out)) >= 10, "ten attempts")
        process.send_signal(signal.SIGINT)
        told, err = process.communicate(timeout=60)
    assert process.returncode == 3, err.decode()
    assert b"Traceback" not in err
    assert b"Ended: stopped by SIGINT." in told
    report = json.loads((out / "report.json").read_text())
    assert report["interrupted"] is True
    assert report["spent"]["requests"] == len(attempts(out)) >= 10
    assert "stopped by SIGINT" in (out / "report.html").read_text()


def attempts_so_far(out: Path) -> list[str]:
    return (out / "attempts.jsonl").read_text().split("\n")[:-1]


def test_a_passive_probe_writes_a_lane_that_a_plan_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four looks at the headers name the limit and its law; the block that comes of it is one that a plan accepts."""
    monkeypatch.setattr("engine.core.probing.GAP", 0.0)
    out = tmp_path / "out"
    with simulator() as url:
        assert typed(monkeypatch, "probe", written(tmp_path, url=url), "--lane", "a", "--out", str(out)) == 0
    told = capsys.readouterr()
    assert "it reads what headers say and causes no refusals. At worst it costs" in told.err
    block = tomllib.loads(json.loads((out / "report.json").read_text())["block"])
    assert block["lanes"]["a"]["requests_per_minute"] == 540
    made = from_data({"recipe": "self_instruct", "goal": 5, **block}).lanes["a"]
    assert (made.quota.requests_per_minute, made.key) == (540, "env:SEEDDRILL_TEST_KEY")
    assert len(attempts(out)) == 4
