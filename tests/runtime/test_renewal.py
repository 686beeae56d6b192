"""Keys that are renewed while a run goes on, and what else a lane adds to its requests."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
import trustme
from aiohttp import web

from engine import app, context
from engine.core.faults import Fault, FaultKind, LaneError
from engine.core.http import HttpRequest, HttpResponse, Route
from engine.plan import from_data
from engine.runtime.keys import LOOK, Key
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Scheduler
from engine.runtime.wire import Wire, trust
from tests import brain
from tests.drive import LANE, Drive
from tests.fakes import FakeWire, refused
from tests.runtime.test_wire import no_proxy, real_clock, serving

__all__ = ["no_proxy"]


def written(path: Path, text: str) -> None:
    """Write a file so that it is seen to have changed, however coarse the clock of the disk is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def test_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """A new token is in use within `LOOK` seconds; one that is half written, or gone, leaves the old one in use."""
    path = tmp_path / "token"
    written(path, "one\n")
    key = Key(f"file:{path}")
    assert key.read()
    key.look(0.0)
    written(path, "two")
    key.look(LOOK - 1)
    assert key.value == "one"
    key.look(LOOK)
    assert (key.value, key.renewals) == ("two", 2)
    written(path, "")
    key.look(2 * LOOK)
    path.unlink()
    key.look(3 * LOOK)
    assert (key.value, key.renewals) == ("two", 2)
    written(path, "three")
    key.look(4 * LOOK)
    assert key.value == "three"
    assert "three" not in repr(key)


def test_file_that_is_the_same_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking costs a glance at the file's time, not a read."""
    path = tmp_path / "token"
    written(path, "one")
    key = Key(f"file:{path}")
    key.read()
    monkeypatch.setattr(Key, "read", lambda self: pytest.fail("it was read"))
    for n in range(10):
        key.look(n * LOOK)


class Guarded(FakeWire):
    """A server that takes the key in a file, which somebody renews after twenty requests, and only that one."""

    def __init__(self, drive: Drive, path: Path) -> None:
        super().__init__(drive.answer, drive.delay)
        self._path = path
        self.turned_away = 0

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        if len(self.sent) == 20:
            written(self._path, "new")
        if len(self.sent) >= 20 and request.headers["Authorization"] != "Bearer new":
            self.turned_away += 1
            self.sent.append({})
            await anyio.sleep(1.0)
            return refused(401, "invalid_api_key")
        return await super().send(request, timeout)


def keyed(drive: Drive) -> Callable[[Scheduler], None]:
    """Gives each lane the key that its plan names, as a real run does."""

    def look_up(scheduler: Scheduler) -> None:
        for account in drive.accounts:
            for lane in account.lanes:
                lane.key = Key(lane.plan.key)
                lane.key.read()

    return look_up


def test_expired_token_loses_nothing(tmp_path: Path) -> None:
    """Calls with the old token are refused and asked again with the new one; the lane stays open."""
    path = tmp_path / "token"
    written(path, "old")
    drive = Drive(goal=40, lanes={"main": {**LANE, "provider": "openai", "model": "m", "key": f"file:{path}"}})
    drive.wired = lambda drive: Guarded(drive, path)
    drive.meanwhile = keyed(drive)
    assert drive.start().state is RunState.DONE
    assert isinstance(drive.wire, Guarded)
    assert 1 <= drive.wire.turned_away <= 10
    assert not any("fault" in line for line in drive.settled())


def test_key_that_stays_wrong_closes_the_lane(tmp_path: Path) -> None:
    """A file that was not renewed has nothing to try again with: the run ends with no lane, and says what the server said."""
    path = tmp_path / "token"
    written(path, "old")

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return refused(401, "invalid_api_key") if count >= 10 else brain.answer(body, count)

    drive = Drive(goal=40, answer=answer, lanes={"main": {**LANE, "key": f"file:{path}"}})
    drive.meanwhile = keyed(drive)
    pulse = drive.start()
    assert pulse.state is RunState.NO_LANE
    assert "invalid_api_key" in pulse.reason


def test_lane_s_headers_go_with_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers of the plan are added; one may name where its value is found; a place with nothing in it is an error at once."""
    monkeypatch.setenv("SEEDDRILL_TEST_HEADER", "found there")
    monkeypatch.delenv("SEEDDRILL_TEST_NONE", raising=False)
    headers = {"X-Title": "mine", "X-Secret": "env:SEEDDRILL_TEST_HEADER"}
    data = {"recipe": "self_instruct", "goal": 5, "lanes": {"main": {**LANE, "headers": headers}}}
    (lane,) = app.opened(context.load(from_data(data)))
    request = lane.equipped(HttpRequest("POST", "http://x", {"A": "1"}, b""))
    assert request.headers == {"A": "1", "X-Title": "mine", "X-Secret": "found there"}
    assert "found there" not in repr(lane) + repr(request)
    data["lanes"]["main"]["headers"] = {"X-Secret": "env:SEEDDRILL_TEST_NONE"}  # type: ignore[index]
    with pytest.raises(LaneError, match="SEEDDRILL_TEST_NONE"):
        app.opened(context.load(from_data(data)))


def test_lane_has_its_own_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane's proxy is asked for the way to any host, and "" means none where the environment names one."""

    async def relay(request: web.Request) -> web.Response:
        return web.json_response({"asked": str(request.url)})

    async def main() -> tuple[HttpResponse, HttpResponse]:
        async with serving(relay) as proxy, Wire(real_clock()) as wire:
            far = HttpRequest("POST", "http://far.invalid/v1/x", {}, b"{}", Route(proxy=proxy))
            near = HttpRequest("POST", f"{proxy}/v1/y", {}, b"{}", Route(proxy=""))
            return await wire.send(far, 20.0), await wire.send(near, 20.0)

    monkeypatch.setenv("http_proxy", "http://nobody.invalid:9")
    far, near = anyio.run(main)
    assert orjson.loads(far.body) == {"asked": "http://far.invalid/v1/x"}
    assert orjson.loads(near.body)["asked"].endswith("/v1/y")


def test_certificates_of_a_lane_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose certificate nobody knows closes its lane with advice; with `ca_bundle`, or the environment's, it answers."""
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context_ = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context_)

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def main(route: Route) -> HttpResponse | Fault:
        runner = web.AppRunner(_app(hello), shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context_).start()
            async with Wire(real_clock()) as wire:
                url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
                return await wire.send(HttpRequest("GET", url, {}, b"", route), 20.0)
        except Fault as fault:
            return fault
        finally:
            await runner.cleanup()

    unknown = anyio.run(main, Route())
    assert isinstance(unknown, Fault)
    assert unknown.kind is FaultKind.AUTH
    assert "ca_bundle" in unknown.detail
    known = anyio.run(main, Route(ca_bundle=str(bundle)))
    assert isinstance(known, HttpResponse)
    assert known.body == b"hello"
    with pytest.raises(LaneError, match="cannot be used"):
        trust(str(tmp_path / "none.pem"))


def _app(handler: Any) -> web.Application:
    application = web.Application()
    application.router.add_get("/", handler)
    return application
