"""Money through the whole run, in virtual time: no bill passes a limit, whatever fails and whenever the process dies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import orjson
import pytest

from engine import context
from engine.core.budget import RUN, of_lane, of_role
from engine.core.faults import Fault, FaultKind
from engine.core.types import HttpRequest, HttpResponse
from engine.plan import from_data
from engine.runtime.scheduler import Patience, Pulse
from tests import brain
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
                return Fault(FaultKind.NETWORK, "cannot connect")
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

    def __init__(self, seed: int) -> None:
        rng = self.rng = Random(seed)
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
            | {"concurrent": 1 + place * 3, "style": "completion"}
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
