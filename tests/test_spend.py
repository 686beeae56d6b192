"""Money through the whole run, in virtual time: no bill passes a limit, whatever fails and whenever the process dies."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from msgspec import structs

from engine import app, context, rundir, status
from engine.core.budget import RUN, of_lane, of_role
from engine.core.faults import Fault, FaultKind, JournalError
from engine.core.http import HttpRequest, HttpResponse
from engine.core.lines import read
from engine.core.settler import Settler
from engine.core.types import Heard, LaneView, Paid, Reply, Request, Settled, Stop, Usage
from engine.plan import from_data
from engine.refold import refold
from engine.runtime.disk import Directory
from engine.runtime.pulse import EXIT_CODES, Pulse, RunState
from engine.runtime.scheduler import Patience
from engine.verify import Extent, verify
from tests import brain, runs
from tests.drive import LANE, Drive
from tests.fakes import Crash, FakeDisk, FakeWire, lines, refused

NANO = 10**9
ROLES = {"instruct": "propose", "classify": "classify", "instance": "answer"}
TABLES: tuple[dict[str, Any], ...] = (
    {"tokens_in": 2.5, "tokens_cached": 1.25, "tokens_out": 10},
    {"tokens_in": 0.333333333, "tokens_out": 1.000000001, "tokens_reasoning": 3.1, "request": 0.000000007},
    {"tokens_in": 0.15, "tokens_cached": 0.3, "tokens_out": 0.6, "currency": "eur"},
    {"request": 0.0004},
)
FREE = {"tokens_in": 0, "tokens_out": 0}
EUR = "1.0837"


def priced(table: dict[str, Any], usage: dict[str, int]) -> int:
    """The bill for one call, worked out as a stranger would: fractions of a nano-unit are rounded up once."""
    fresh, answer = Fraction(str(table.get("tokens_in", 0))), Fraction(str(table.get("tokens_out", 0)))
    cached, reasoning = Fraction(str(table.get("tokens_cached", fresh))), Fraction(str(table.get("tokens_reasoning", answer)))
    millionths = (
        (usage["in"] - usage["cached"]) * fresh
        + usage["cached"] * cached
        + (usage["out"] - usage["reasoning"]) * answer
        + usage["reasoning"] * reasoning
    )
    units = millionths / 1_000_000 + Fraction(str(table.get("request", 0)))
    return -(-units * (Fraction(EUR) if table.get("currency") == "eur" else 1) * NANO // 1)


@dataclass
class Vendor:
    """A server that bills what it is sent, at once, by lane and role, and does whatever its seed says."""

    rng: Random
    tables: dict[str, dict[str, Any]]
    trouble: float
    bill: Counter[str] = field(default_factory=Counter)
    unheard: int = 0
    """Calls that were billed and whose answer did not arrive whole."""

    def outcome(self, request: HttpRequest) -> HttpResponse | Fault:
        body = orjson.loads(request.body)
        lane = request.url.split("/")[3]
        prompt = len(brain.prompt_of(body).encode()) // 4
        most = body.get("max_tokens") or body["max_completion_tokens"]
        out = self.rng.randint(1, most)
        usage = {"in": prompt, "cached": self.rng.randint(0, prompt), "out": out, "reasoning": self.rng.randint(0, out)}
        luck = self.rng.random()
        if luck < self.trouble:
            return self._trouble(lane, body, usage)
        self._charge(lane, body, priced(self.tables[lane], usage))
        answer = orjson.loads(brain.answer(body, 0).body)
        answer["usage"] = {
            "prompt_tokens": usage["in"],
            "completion_tokens": usage["out"],
            "prompt_tokens_details": {"cached_tokens": usage["cached"]},
            "completion_tokens_details": {"reasoning_tokens": usage["reasoning"]},
        }
        if self.rng.random() < self.trouble / 3:
            answer["choices"][0]["text"] = answer["choices"][0]["message"]["content"] = "no idea"
        if self.rng.random() < self.trouble / 3:
            del answer["usage"]
            self.unheard += 1
        return HttpResponse(200, {}, orjson.dumps(answer), seconds=1.0, first_byte=0.5)

    def _trouble(self, lane: str, body: dict[str, Any], usage: dict[str, int]) -> HttpResponse | Fault:
        """Refusals cost nothing; an answer that breaks off is billed, in part or in whole."""
        match self.rng.randrange(5):
            case 0:
                return refused(429)
            case 1:
                return refused(500)
            case 2:
                return Fault(FaultKind.NETWORK, "cannot connect", reached=False)
            case 3:
                self.unheard += 1
                if self.rng.random() < 0.7:
                    self._charge(lane, body, priced(self.tables[lane], usage))
                return Fault(FaultKind.NETWORK, "the connection broke", billed=True)
            case _:
                self.unheard += 1
                self._charge(lane, body, priced(self.tables[lane], usage))
                return HttpResponse(200, {}, b'{"choices": [{"mess')

    def _charge(self, lane: str, body: dict[str, Any], cost: int) -> None:
        for measure in (RUN, of_lane(lane), of_role(ROLES[brain.step_of(body)])):
            self.bill[measure] += cost


class Billing(FakeWire):
    """Bills when a request is sent: who is killed before the answer arrives has to pay for it all the same."""

    vendor: Vendor

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        outcome = self.vendor.outcome(request)
        delayed = FakeWire(lambda body, count: outcome, self._delay)
        delayed._rng = self._rng
        return await delayed.send(request, timeout)


@cache
def loaded(lanes: str, budget: str) -> context.Loaded:
    plan = {"recipe": "self_instruct", "goal": 4, "lanes": orjson.loads(lanes), "options": {"machine": 0, "new": 3}}
    if budget:
        plan["budget"] = orjson.loads(budget)
    whole = context.load(from_data(plan))
    return replace(whole, context=replace(whole.context, seeds=whole.context.seeds[:8]))


class Story:
    """A run with drawn prices, limits, lengths and faults, through up to three lives."""

    def __init__(self, seed: int, reasoning: int = 0) -> None:
        rng = self.rng = Random(seed)
        self.reasoning = reasoning
        """Tokens that every lane lets its model think for."""
        self.tables = {name: rng.choice((*TABLES, *TABLES, FREE)) for name in ("dear", "odd")[: rng.randint(1, 2)]}
        self.limits: dict[str, int] = {}
        self.budget: dict[str, Any] = {"usd": self._limit(RUN), "rates": {"eur": float(EUR)}}
        if rng.random() < 0.4:
            self.budget["roles"] = {role: self._limit(of_role(role)) for role in rng.sample(sorted(ROLES.values()), 1)}
        if rng.random() < 0.4:
            self.budget["lanes"] = {lane: self._limit(of_lane(lane)) for lane in rng.sample(sorted(self.tables), 1)}
        self.vendor = Vendor(rng, self.tables, trouble=rng.choice((0.0, 0.1, 0.4)))
        self.group = rng.choice((0.0, 0.05, 2.0))
        self.lives = rng.choice((1, 1, 2, 3))
        self.files: dict[str, bytes] = {}

    def _limit(self, measure: str) -> float:
        """From too little for one call to more than enough for all."""
        units = round(10 ** self.rng.uniform(-3.0, -0.5), self.rng.choice((3, 9)))
        self.limits[measure] = int(Fraction(str(units)) * NANO)
        return units

    def live(self, crash_at: int | None) -> Pulse | None:
        lanes = {
            name: {**LANE, "provider": "openai", "base_url": f"http://127.0.0.1:9/{name}/v1", "model": "m", "price": table}
            | {"concurrent": 1 + place * 3, "style": "completion", "reasoning_tokens": self.reasoning}
            for place, (name, table) in enumerate(self.tables.items())
        }
        disk = FakeDisk(self.files)
        disk.rng, disk.crash_at = self.rng, crash_at
        drive = Drive(
            disk=disk,
            loaded=loaded(orjson.dumps(lanes).decode(), orjson.dumps(self.budget).decode()),
            patience=Patience(group=self.group, request=60.0),
        )
        drive.wired = self._wire
        try:
            pulse = drive.start()
        except Crash:
            pulse = None
        self.files = disk.survivors() if crash_at is not None else disk.files
        return pulse

    def _wire(self, drive: Drive) -> FakeWire:
        wire = Billing(drive.answer, drive.delay)
        wire.vendor = self.vendor
        return wire

    def books(self) -> Counter[str]:
        """What the journal says was spent, by limit: the lines' own costs."""
        spent: Counter[str] = Counter()
        for line in lines(FakeDisk(self.files)):
            for measure in (RUN, of_lane(line.get("lane", "")), of_role(ROLES.get(line.get("s", ""), ""))):
                spent[measure] += line.get("cost", 0) if "s" in line else 0
        return spent


@pytest.mark.parametrize("block", range(10))
def test_no_bill_passes_a_limit(block: int) -> None:
    """200 runs of prices, lengths, faults and kills: the vendor's bill stays within every limit; the books are never below it,
    but for what a kill swallowed, and to the nano-unit the same where every answer arrived."""
    ends: Counter[str] = Counter()
    for seed in range(block * 20, block * 20 + 20):
        story = Story(seed)
        killed = 0
        for life in range(story.lives):
            pulse = story.live(story.rng.randint(3, 60) if life + 1 < story.lives else None)
            killed += pulse is None
            for measure, limit in story.limits.items():
                assert story.vendor.bill[measure] <= limit, f"seed {seed}: {measure}"
        assert pulse is not None, f"seed {seed}"
        ends[pulse.state.value] += 1
        ends["killed"] += killed
        books = story.books()
        for standing in pulse.budget:
            assert standing.spent <= standing.limit, f"seed {seed}: {standing}"
            assert story.vendor.bill[standing.measure] <= standing.spent, f"seed {seed}: {standing}"
            assert standing.held == 0
            if not killed:
                assert books[standing.measure] == standing.spent, f"seed {seed}: {standing}"
                assert standing.wasted == 0
        if not killed and not story.vendor.unheard:
            assert books[RUN] == story.vendor.bill[RUN], f"seed {seed}"
    assert ends.keys() == {"done", "budget", "killed"}


# How a run ends when money does

PLAN = {"tokens_in": 2.5, "tokens_out": 10}
RICH, GOAL = 1000.0, 60


def drive(budget: dict[str, Any] | None = None, disk: FakeDisk | None = None, **lanes: dict[str, Any]) -> Drive:
    """A run of priced lanes; `budget` is the plan's table, plenty of usd where it says no sum."""
    made = {name: {**LANE, "price": PLAN} | lane for name, lane in (lanes or {"main": {}}).items()}
    plan = {"recipe": "self_instruct", "goal": GOAL, "lanes": made}
    if budget is not None:
        plan["budget"] = {"usd": RICH, **budget}
    return Drive(disk=disk or FakeDisk(), loaded=context.load(from_data(plan)))


def spent(pulse: Pulse, measure: str = RUN) -> int:
    return next(standing.spent for standing in pulse.budget if standing.measure == measure)


def asked(drive: Drive) -> Counter[str]:
    return Counter(brain.step_of(body) for body in drive.wire.sent)


def test_a_spent_budget_ends_the_run_and_more_of_it_goes_on() -> None:
    """The run drains with a reason that has limit and sum; with a higher limit the same run goes on, and asks nothing twice."""
    first = drive({"usd": 0.05})
    pulse = first.start()
    assert pulse.state is RunState.BUDGET
    assert EXIT_CODES[pulse.state] == 5
    assert pulse.reason.startswith("the budget of 0.05 usd is spent: 0.0")
    assert 0 < spent(pulse) <= 50_000_000
    stuck = drive({"usd": 0.05}, first.disk)
    assert stuck.start().state is RunState.BUDGET
    again = drive({}, first.disk)
    end = again.start()
    assert end.state is RunState.DONE
    assert set(again.keys().values()) == {1}
    assert spent(end) == sum(line.get("cost", 0) for line in again.settled() + again.paid())
    assert end.budget[0].wasted == 0


def test_a_spent_lane_closes_and_others_go_on() -> None:
    """The other lane of its roles does the rest."""
    run = drive({"lanes": {"fast": 0.03}}, fast={}, slow={"base_url": "http://127.0.0.1:9/slow"})
    pulse = run.start()
    assert pulse.state is RunState.DONE
    closed = {lane.name: lane.closed for lane in pulse.lanes}
    assert "the budget of the lane 'fast' of 0.03 usd is spent" in (closed["fast"] or "")
    assert closed["slow"] is None
    assert spent(pulse, of_lane("fast")) <= 30_000_000


def test_without_another_lane_the_run_ends_for_its_money() -> None:
    """A run whose only lane is spent says that it is the budget, and ends with its exit code."""
    pulse = drive({"lanes": {"main": 0.03}}).start()
    assert pulse.state is RunState.BUDGET
    assert "the budget of the lane 'main'" in pulse.reason


def test_work_behind_a_spent_role_goes_on() -> None:
    """Growth has spent its share: what it has made is classified and answered, then the run ends for its budget."""
    run = drive({"roles": {"propose": 0.025}})
    pulse = run.start()
    assert pulse.state is RunState.BUDGET
    assert "the budget of the role 'propose'" in pulse.reason
    steps = pulse.tally["steps"]
    assert 0 < pulse.kept < GOAL
    assert steps["classify"]["settled"] == steps["instance"]["settled"] == pulse.kept


def test_work_before_a_spent_role_rests() -> None:
    """Nobody pays for new instructions that nobody can answer."""
    run = drive({"roles": {"answer": 0.02}})
    pulse = run.start()
    assert pulse.state is RunState.BUDGET
    assert "the budget of the role 'answer'" in pulse.reason
    assert spent(pulse, of_role("answer")) <= 20_000_000
    assert run.wire.in_flight == 0


def test_costs_are_counted_without_a_budget() -> None:
    """Prices alone limit nothing: every line has its cost, lanes and steps have their sums."""
    run = drive()
    pulse = run.start()
    assert pulse.state is RunState.DONE
    assert (pulse.currency, pulse.budget) == ("usd", ())
    costs = [line["cost"] for line in run.settled()]
    tally = pulse.tally
    assert sum(costs) == tally["lanes"]["main"]["cost"] == sum(step["cost"] for step in tally["steps"].values()) > 0
    assert not [line for line in lines(run.disk) if "lease" in line]


def test_free_lanes_leave_no_trace() -> None:
    """An own server has no costs, no currency and no leases, under a budget too."""
    run = drive({}, main={"price": 0})
    pulse = run.start()
    assert pulse.state is RunState.DONE
    assert pulse.currency == ""
    assert not [line for line in lines(run.disk) if "lease" in line or "cost" in line]


def test_new_prices_do_not_rewrite_history() -> None:
    """Resumed at ten times the price, what was spent stays what it was."""
    first = drive({"usd": 0.05})
    before, written = spent(first.start()), len(lines(first.disk))
    dear = drive({}, first.disk, main={"price": {"tokens_in": 25, "tokens_out": 100}})
    pulse = dear.start()
    costs = [line.get("cost", 0) for line in dear.settled() + dear.paid()]
    assert spent(pulse) == sum(costs)
    assert spent(pulse) > before
    assert before == sum(line.get("cost", 0) for line in lines(first.disk)[:written])


def test_an_attempt_cut_short_books_the_replies_before_its_fault() -> None:
    """Of a request of two calls whose second one fails, the first is on a paid line at once, and on the settled one not again."""
    loaded = drive({}).loaded
    assert loaded is not None
    settler, request, replies = doubled(loaded)
    half = Heard(structs.replace(request, heard=replies[:1]), "main", 0.0, replies[:1], Fault(FaultKind.RATE), before=0, cost=5)
    (paid,) = map(read_line, settler.decide(half, settler.judge(half), 0.0))
    assert isinstance(paid, Paid)
    assert (paid.cost, paid.usage.tokens_in, paid.usage.estimated) == (5, 10, False)
    whole = Heard(request, "main", 0.0, replies, None, before=1, cost=7)
    settler.agenda.next(LaneView("main", frozenset(["propose"]), alone=True), 1e9)
    (settled,) = map(read_line, settler.decide(whole, settler.judge(whole), 0.0))
    assert isinstance(settled, Settled)
    assert (settled.cost, settled.before, len(settled.replies)) == (7, 1, 2)
    lane = settler.agenda.tally.lanes["main"]
    assert (lane.cost, lane.calls, lane.tokens_in) == (12, 2, 30)


def doubled(loaded: context.Loaded) -> tuple[Settler, Request, tuple[Reply, ...]]:
    """A settler that waits for the answer to a question of two calls, and the two replies."""
    grow, *others = loaded.recipe.steps
    steps = (replace(grow, read=lambda replies, ask: []), *others)
    agenda = app.empty_agenda(replace(loaded, recipe=replace(loaded.recipe, steps=steps)))
    settler = Settler(agenda, loaded.context, 900.0, weigh=lambda lane, call: Usage(estimated=True), sick=lambda lane: False)
    request = agenda.next(LaneView("main", frozenset(["propose"]), alone=True), 0.0)
    assert request is not None
    request = settler.composed(request, "completion")
    replies = tuple(Reply(text="1. Name a river.", stop=Stop.END, usage=Usage(tokens_in=n)) for n in (10, 20))
    return settler, structs.replace(request, calls=request.calls * 2), replies


def read_line(line: bytes) -> object:
    return read(line.removesuffix(b"\n"))


# The currency


@pytest.mark.parametrize(("first", "second", "refused"), [("usd", "eur", True), ("usd", "usd", False), (None, "eur", False)])
def test_a_run_keeps_its_currency(first: str | None, second: str, refused: bool, tmp_path: Path) -> None:
    """With costs in the journal the plan cannot count in another currency; nothing is changed by the refusal."""
    old = runs.make(tmp_path / "run", lanes=lane_in(first))
    before = (old / "plan.json").read_bytes()
    loaded = context.load(from_data(tomllib.loads(runs.PLAN) | {"lanes": lane_in(second)}), kept=old)
    if not refused:
        rundir.prepare(loaded, Directory(old), str(old), second)
        assert rundir.read_plan(old)["currency"] == second
        return
    with pytest.raises(JournalError, match="counts its costs in usd, and the plan in eur"):
        rundir.prepare(loaded, Directory(old), str(old), second)
    assert (old / "plan.json").read_bytes() == before


def test_a_currency_is_not_forgotten_by_a_plan_without_prices(tmp_path: Path) -> None:
    """What is in the journal stays in its currency, whatever comes between."""
    old = runs.make(tmp_path / "run", lanes=lane_in("usd"))
    loaded = context.load(from_data(tomllib.loads(runs.PLAN)), kept=old)
    rundir.prepare(loaded, Directory(old), str(old), None)
    assert rundir.read_plan(old)["currency"] == "usd"


def lane_in(currency: str | None) -> dict[str, Any]:
    lane = tomllib.loads(runs.PLAN)["lanes"]["main"]
    return {"main": lane | ({"price": {**PLAN, "currency": currency}} if currency else {})}


@pytest.mark.parametrize("options", [[], ["options.min_length=6"]])
def test_a_refold_keeps_every_cost(options: list[str], tmp_path: Path) -> None:
    """Judged again, kept or not asked for any more, each answer has the cost that it had; so have lanes, in the same currency."""
    old = runs.make(tmp_path / "run", lanes=lane_in("usd"), budget={"usd": 5.0})
    refold(old, tmp_path / "new", options)
    before, after = (status.fold(folder) for folder in (old, tmp_path / "new"))
    assert before["money"]["spent"] == after["money"]["spent"] == 9 * 350_000
    assert before["money"] == after["money"]
    assert before["lanes"]["main"]["cost"] == after["lanes"]["main"]["cost"]
    assert not verify(tmp_path / "new", Extent.ALL).differences
