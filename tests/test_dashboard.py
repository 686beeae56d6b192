"""The live page of a run in a real browser, its metrics, and who may see them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler as Proxies
from urllib.request import Request, build_opener

import orjson
import pytest
from playwright.sync_api import Browser, expect
from prometheus_client.parser import text_string_to_metric_families

from engine import app, context, rundir
from engine.core.faults import PlanError
from engine.dashboard import Access, Follower, Place, bound, last_pulse, serve
from engine.plan import from_data
from engine.runtime.disk import Directory
from engine.runtime.journal import Journal
from tests import runs
from tests.browser import chromium, dashboard, needs_chromium, opened
from tests.embedded import until


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


class Growing:
    """A run that goes on as far as it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._loaded = context.load(from_data(runs.tomllib.loads(runs.PLAN)))
        self._disk = Directory(folder)
        rundir.prepare(self._loaded, self._disk, str(folder))
        self._journal = Journal(self._disk, app.header(self._loaded), str(folder), segment=4)
        self._agenda = app.replayed(self._loaded, self._journal, folder)

    def settle(self, most: int) -> None:
        runs.settle(self._loaded, self._agenda, self._journal, runs.ANSWERS, most)

    def close(self) -> None:
        self._disk.close()


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    run = Growing(tmp_path / "run")
    yield run
    run.close()


def fetched(address: str, **headers: str) -> tuple[int, str]:
    """Status and text of an answer, past any proxy."""
    try:
        with build_opener(Proxies({})).open(Request(address, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@needs_chromium
def test_page_follows_the_run(growing: Growing, browser: Browser) -> None:
    """What the run settles appears on the page without a word from anybody, over segments that are sealed meanwhile; what was
    searched for stays; the page asks nobody but its own server, and says nothing on its console."""
    growing.settle(1)
    with dashboard(growing.folder) as address:
        tab = opened(browser, address)
        calls = tab.page.locator("dl div", has_text="Calls").locator("dd")
        expect(calls).to_have_text("1", timeout=30_000)
        tab.page.locator("section[data-kind=dropped] input").fill("vienna")
        tab.page.locator("h1").click()
        tab.page.evaluate("document.activeElement.blur()")
        growing.settle(100)
        expect(calls).to_have_text("9", timeout=30_000)
        expect(tab.page.locator("section[data-kind=dropped] input")).to_have_value("vienna")
        expect(tab.page.locator("section[data-kind=dropped] article:visible")).to_have_count(1)
        expect(tab.page.locator("#live")).to_contain_text("10 lines of the journal read; follows the run")
        assert not tab.said
        assert {one.partition("?")[0] for one in tab.asked} == {address.partition("?")[0] + "data"}


def test_nobody_sees_it_without_its_token(finished: Path) -> None:
    """Page, data and metrics are for who has the token, in the address or as a bearer; with it, nothing is kept or framed."""
    with dashboard(finished) as address:
        base, _, query = address.partition("?")
        for path in ("", "data", "metrics"):
            assert fetched(base + path)[0] == 403
            assert fetched(f"{base}{path}?token=wrong")[0] == 403
            assert fetched(f"{base}{path}?{query}")[0] == 200
        assert fetched(f"{base}metrics", Authorization=f"Bearer {query.removeprefix('token=')}")[0] == 200
        assert fetched(f"{base}run.json?{query}")[0] == 404


def test_metrics_are_prometheus(finished: Path) -> None:
    """Prometheus' own parser reads what /metrics says of a run that was never seen alive; the figures are the journal's."""
    with dashboard(finished, "--no-token") as address:
        _, text = fetched(f"{address}metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    kept = {sample.labels["step"]: sample.value for sample in families["seeddrill_items_kept"].samples}
    assert kept == {"instruct": 3, "classify": 3, "instance": 3}
    dropped = {(one.labels["step"], one.labels["reason"]): one.value for one in families["seeddrill_items_dropped"].samples}
    assert dropped["instruct", "duplicate"] == 1 and len(dropped) == 5
    assert (
        families["seeddrill_calls"].type == "counter" and families["seeddrill_calls"].samples[0].name == "seeddrill_calls_total"
    )
    assert families["seeddrill_records"].samples[0].value == 3
    states = {one.labels["state"]: one.value for one in families["seeddrill_run_state"].samples}
    assert states["new"] == 1 and sum(states.values()) == 1


def test_metrics_of_a_run_without_a_pulse_follow_its_journal(growing: Growing) -> None:
    """Nobody says anything new but the journal, as after a repair: what was read of it before is not told again."""
    calls = []
    for most in (1, 100):
        growing.settle(most)
        calls.append(sum(step["settled"] for step in last_pulse(growing.folder)["tally"]["steps"].values()))
    assert calls == [1, 9]


def test_data_is_sent_once(growing: Growing) -> None:
    """Who has the newest body is not sent it again."""
    growing.settle(100)
    with dashboard(growing.folder, "--no-token") as address:
        first = {"stamp": ""}

        def read() -> bool:
            first.update(orjson.loads(fetched(f"{address}data")[1]))
            return bool(first["stamp"])

        until(read, "the first reading")
        again = orjson.loads(fetched(f"{address}data?since={first['stamp']}")[1])
    assert "Name three rivers that flow through Vienna." in first["body"]
    assert again["body"] is None and again["stamp"] == first["stamp"]


def test_page_writes_nothing(finished: Path) -> None:
    """Nothing in the run directory is another after it was looked at."""

    def seen() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(finished.rglob("*"))}

    before = seen()
    with dashboard(finished, "--no-token") as address:
        for path in ("", "data", "metrics"):
            assert fetched(address + path)[0] == 200
    assert seen() == before


def test_follower_reads_each_line_once(growing: Growing) -> None:
    """Read again and again while a run goes on, over sealed segments, the page counts what one whole reading counts."""
    follower = Follower(growing.folder)
    for most in (1, 2, 1, 100):
        growing.settle(most)
        follower.read()
        assert not follower.more
    follower.run = follower._reading.run("run")
    assert {name: step["settled"] for name, step in follower.run.figures["steps"].items()} == dict.fromkeys(
        ("instruct", "classify", "instance"), 3
    )


def test_port_in_use_gives_way_to_the_next_one() -> None:
    """The next free port is taken; where none is, or the address is nobody's, that is said."""
    with bound(Place("127.0.0.1", 0, Access.TOKEN)) as first:
        port = first.getsockname()[1]
        with bound(Place("127.0.0.1", port, Access.TOKEN)) as second:
            assert port < second.getsockname()[1] < port + 50
    with pytest.raises(PlanError, match="is no address to listen on"):
        bound(Place("192.0.2.1", 8390, Access.TOKEN))


def test_listens_on_loopback_only(finished: Path) -> None:
    """The default address is this machine's own."""
    with dashboard(finished) as address:
        assert address.startswith("http://127.0.0.1:") and "?token=" in address
        assert socket.gethostbyname(address.split("/")[2].partition(":")[0]) == "127.0.0.1"


def test_no_run_no_page(tmp_path: Path) -> None:
    """A directory that is no run: what one looks like and what makes one."""
    with pytest.raises(PlanError, match="'seeddrill run PLAN DIR'"):
        serve(tmp_path, Place("127.0.0.1", 0, Access.TOKEN))
