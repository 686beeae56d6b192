"""The whole engine but the model: real runs from Python against a make-believe model behind a real socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from aiohttp import web

import engine
from engine.core.faults import PlanError
from engine.core.http import HttpResponse
from engine.runtime.pulse import Pulse, RunState
from tests import brain
from tests.fakes import refused

Model = Callable[[dict[str, Any], int], HttpResponse]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxies of whoever runs the tests are not asked for a way to loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def ran(folder: Path, model: Model = brain.answer, goal: int = 6) -> tuple[engine.Outcome, int]:
    """How a run in `folder` ended, and how many requests it sent."""
    sent = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal sent
        sent += 1
        answer = model(orjson.loads(await request.read()), sent - 1)
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    async def main() -> engine.Outcome:
        app = web.Application()
        app.router.add_post("/v1/completions", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            lane = {"provider": "openai", "model": "m", "style": "completion", "base_url": address}
            plan = {"recipe": "self_instruct", "goal": goal, "lanes": {"main": lane}}
            return await engine.arun(plan, folder, on_pulse=pulses.append)
        finally:
            await runner.cleanup()

    pulses: list[Pulse] = []
    outcome = anyio.run(main)
    assert pulses[-1] == outcome.pulse
    return outcome, sent


@pytest.mark.parametrize(("key", "good"), [("env:ID", False), ("env:ID env:SECRET", True), ("env:ID env:SECRET env:TOKEN", True)])
def test_key_of_parts_needs_a_place_for_each(tmp_path: Path, key: str, good: bool) -> None:
    """A lane whose vendor signs names both parts of its key, before anything is looked up; what is said then is about roles."""
    lane = {"provider": "amazon_translate", "key": key}
    with pytest.raises(PlanError) as caught:
        engine.run({"recipe": "self_instruct", "goal": 1, "lanes": {"main": lane}}, tmp_path / "run")
    assert ("a key of amazon_translate has 2 parts" in str(caught.value)) is not good


def test_run_ends_with_records(tmp_path: Path) -> None:
    """A server that speaks OpenAI's dialect at any `base_url` is enough: the run ends at its goal, and its records are there."""
    outcome, sent = ran(tmp_path / "run")
    assert (outcome.exit_code, outcome.pulse.state, outcome.directory) == (0, RunState.DONE, tmp_path / "run")
    assert outcome.pulse.kept >= 6
    found = list(engine.records(tmp_path / "run"))
    assert len(found) == outcome.pulse.records > 0
    assert all(list(record) == ["instruction", "input", "output"] for record in found)
    assert sent == sum(step["settled"] for step in outcome.pulse.tally["steps"].values())
    assert orjson.loads((tmp_path / "run" / "pulse.json").read_bytes())["state"] == "done"


def test_finished_run_goes_on_from_where_it_is(tmp_path: Path) -> None:
    """The same plan again asks nothing; a higher goal, an operation, asks only for what is missing."""
    first, sent = ran(tmp_path / "run")
    again, more = ran(tmp_path / "run")
    assert (more, again.pulse.tally["steps"]) == (0, first.pulse.tally["steps"])
    further, more = ran(tmp_path / "run", goal=20)
    assert further.pulse.kept >= 20
    settled = sum(step["settled"] for step in further.pulse.tally["steps"].values())
    assert settled == sent + more


def test_run_outlives_a_fault(tmp_path: Path) -> None:
    """A request that the provider declines is settled as such, shows in the pulses of this run and the next, and ends neither."""

    def declining(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(400, "content_filter") if count == 1 else brain.answer(body, count)

    outcome, _ = ran(tmp_path / "run", declining)
    assert outcome.pulse.state is RunState.DONE
    ran(tmp_path / "run")
    steps = orjson.loads((tmp_path / "run" / "pulse.json").read_bytes())["tally"]["steps"]
    assert sum(step["faults"].get("refused", 0) for step in steps.values()) == 1


def test_stopped_run_says_why(tmp_path: Path) -> None:
    """A refused key closes the only lane: the outcome has its own code and the reason, and nothing is lost by it."""
    outcome, sent = ran(tmp_path / "run", lambda body, count: refused(401, "invalid_api_key"))
    assert (outcome.exit_code, outcome.pulse.state) == (4, RunState.NO_LANE)
    assert "main: auth: HTTP 401 invalid_api_key" in outcome.pulse.reason
    assert sent <= 8
    assert ran(tmp_path / "run")[0].exit_code == 0
