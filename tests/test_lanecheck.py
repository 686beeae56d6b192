"""`seeddrill lanes check`: what each lane's server says, side by side, and no secret in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from aiohttp import web

from engine import lanecheck
from engine.core.http import HttpResponse
from engine.lanecheck import Checked
from engine.plan import from_data
from tests.fakes import answered, refused
from tests.runtime.test_wire import no_proxy, serving

__all__ = ["no_proxy"]

KEY = "sk-a-secret-of-forty-characters-12345678901"
LIMITS = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499", "x-ratelimit-reset-requests": "120ms"}


def served(path: str) -> HttpResponse:
    ok = answered("4")
    answers = {
        "/good": HttpResponse(200, LIMITS, ok.body),
        "/auth": refused(401, "invalid_api_key"),
        "/echo": HttpResponse(403, {}, orjson.dumps({"error": {"message": f"no access for {KEY}", "code": "forbidden"}})),
        "/busy": refused(429, "rate_limit_exceeded", retry_after="1"),
        "/broke": refused(429, "insufficient_quota"),
        "/html": HttpResponse(200, {}, b"<html>Welcome</html>"),
    }
    return answers["/" + path.split("/")[1]]


def checked(lanes: dict[str, dict[str, Any]]) -> tuple[list[Checked], list[dict[str, Any]]]:
    """What comes of the lanes, each a part of one server's path or an address, and the bodies that were sent."""
    bodies: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append(orjson.loads(await request.read()))
        answer = served(request.path)
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    async def main() -> list[Checked]:
        async with serving(handler) as url:
            usual = {"provider": "openai", "model": "m", "key": "env:SEEDDRILL_TEST_KEY"}
            made = {name: {"base_url": f"{url}/{name}", **usual, **lane} for name, lane in lanes.items()}
            return await lanecheck.acheck(from_data({"recipe": "self_instruct", "goal": 5, "lanes": made}))

    return anyio.run(main), bodies


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDDRILL_TEST_KEY", KEY)
    monkeypatch.delenv("SEEDDRILL_TEST_NONE", raising=False)


def test_each_lane_gets_one_call_and_says_what_is_wrong() -> None:
    """A good key, a wrong one, a quota used up for now and for good, another server, none at all: each has its words."""
    lanes = {name: {} for name in ("good", "auth", "busy", "broke", "html")}
    lanes["gone"] = {"base_url": "http://127.0.0.1:9/v1"}
    lanes["keyless"] = {"key": "env:SEEDDRILL_TEST_NONE"}
    found, bodies = checked(lanes)
    assert [lane.name for lane in found] == list(lanes)
    assert len(bodies) == 5
    assert all(body["max_tokens"] == 1 for body in bodies)
    told = {lane.name: lane.fault or "" for lane in found}
    assert told["good"] == ""
    assert "does not accept the key" in told["auth"]
    assert "used up just now" in told["busy"]
    assert "no credit" in told["broke"]
    assert "something else" in told["html"]
    assert "cannot be reached" in told["gone"]
    assert "SEEDDRILL_TEST_NONE is not set" in told["keyless"]


def test_limits_of_the_headers_are_shown() -> None:
    """What the server says of its limits stands in the table."""
    (lane,), _ = checked({"good": {}})
    assert lane.limits == {"requests": 500, "requests left": 499}
    assert lane.seconds > 0
    assert "requests 500, requests left 499" in lanecheck.as_text([lane])


def test_no_secret_is_shown() -> None:
    """A server that echoes the key does not get it printed, in the table or as JSON."""
    found, _ = checked({"echo": {}, "good": {}})
    shown = lanecheck.as_text(found) + lanecheck.as_json(found) + repr(found)
    assert "forbidden" in shown
    assert KEY[:12] not in shown


def test_table_names_the_remedy_below() -> None:
    """Each lane that failed has a sentence: which, where, what it means, what the server said."""
    found, _ = checked({"auth": {}, "good": {}})
    *_, last = lanecheck.as_text(found).splitlines()
    assert last.startswith("auth: the server at http://127.0.0.1:")
    assert "does not accept the key, the model's name or the address (HTTP 401 invalid_api_key" in last


def test_command_ends_with_four_where_a_lane_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code tells a script what the table tells a person."""
    from engine import __main__ as door

    plan = tmp_path / "plan.toml"
    plan.write_text(
        'recipe = "self_instruct"\ngoal = 5\n[lanes.a]\nprovider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    monkeypatch.setattr("sys.argv", ["seeddrill", "lanes", "check", str(plan)])
    with pytest.raises(SystemExit) as caught:
        door.main()
    assert caught.value.code == 4
    assert "cannot be reached" in capsys.readouterr().out
