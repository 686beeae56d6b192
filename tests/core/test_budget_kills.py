"""Budget under stories: no bill passes a limit, whatever fails and whenever the process dies; without kills books are exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.budget import RUN, Budget, Hold, Lease, Limits, Spending, Why, of_lane, of_role
from engine.core.money import Prices, cost, worst
from engine.core.types import Usage

quick = settings(max_examples=120, deadline=None, derandomize=True)
seeds = st.integers(0, 10**9)

Line: TypeAlias = Lease | Spending

PRICES = {
    "dear": Prices(currency="usd", tokens_in=2_500_000_000, tokens_cached=1_250_000_000, tokens_out=10_000_000_000, request=7),
    "odd": Prices(currency="usd", tokens_in=333_333_333, tokens_out=1_000_000_001, tokens_reasoning=3_000_000_001),
    "free": Prices(currency="usd", tokens_in=0, tokens_out=0),
}
ROLES = ("propose", "answer")


def measures(lane: str, role: str) -> tuple[str, str, str]:
    return RUN, of_role(role), of_lane(lane)


def priced(usage: Usage, lane: str, of: Any) -> int:
    amount = of(usage, PRICES[lane])
    assert isinstance(amount, int)
    return amount


@dataclass
class Vendor:
    """A run with a stranger who keeps the true bill, and a disk that holds only what was written, in order."""

    limits: Limits
    journal: list[Line] = field(default_factory=list)
    unwritten: list[Line] = field(default_factory=list)
    written: list[Lease] = field(default_factory=list)
    """Leases that are durable while the budget does not know it yet."""
    flying: list[tuple[Hold, int]] = field(default_factory=list)
    """Calls in flight, and what the vendor will bill for each."""
    bill: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def __post_init__(self) -> None:
        self.budget = Budget(self.limits)

    def start(self, lane: str, role: str, asked: Usage, share: float) -> None:
        """Start a call if it has room; the leases that it wants go to the disk's queue either way."""
        most = priced(asked, lane, worst)
        if self.budget.room(most, lane, role) is None:
            part = Usage(
                tokens_cached=int(asked.prompt * share),
                tokens_in=asked.prompt - int(asked.prompt * share),
                tokens_reasoning=int(asked.answer * share * share),
                tokens_out=int(asked.answer * (share - share * share)),
            )
            self.flying.append((self.budget.reserve(most, lane, role), priced(part, lane, cost)))
        self.unwritten += self.budget.draw(most, lane, role)

    def insist(self, lane: str, role: str, asked: Usage, share: float) -> None:
        """Start a call after all that it waits for is written, as a pump does."""
        most = priced(asked, lane, worst)
        while (short := self.budget.room(most, lane, role)) is not None and short.why is Why.LEASE:
            drawn = self.budget.draw(most, lane, role)
            assert drawn or self.unwritten or self.written, "a call waits for a lease that nobody draws"
            self.unwritten += drawn
            self.flush()
        self.start(lane, role, asked, share)

    def end(self, place: int, outcome: str) -> None:
        """A call ends: billed as expected, or never seen by the vendor."""
        if not self.flying:
            return None
        hold, real = self.flying.pop(place % len(self.flying))
        if outcome == "lost":
            return self.budget.release(hold)
        self.charge(hold, real)
        self.budget.settle(hold, real)
        self.unwritten.append(Spending(hold.lane, hold.role, real))
        return None

    def charge(self, hold: Hold, real: int) -> None:
        for measure in measures(hold.lane, hold.role):
            self.bill[measure] += real

    def write(self, lines: int) -> None:
        """So many lines become durable."""
        done, self.unwritten = self.unwritten[:lines], self.unwritten[lines:]
        self.journal += done
        self.written += [line for line in done if isinstance(line, Lease)]

    def grant(self) -> None:
        """The budget hears of the leases that are durable."""
        while self.written:
            self.budget.grant(self.written.pop(0))

    def flush(self) -> None:
        self.write(len(self.unwritten))
        self.grant()

    def kill(self) -> None:
        """The vendor bills what was in flight; the next life knows only the journal."""
        self.kills += 1
        for hold, real in self.flying:
            self.charge(hold, real)
        self.reopen(self.limits)

    def give_back(self) -> None:
        """Money goes back, and the run goes on all the same."""
        self.unwritten += self.budget.give_back()

    def hurry(self, lines: int) -> None:
        """Money goes back while calls are in flight, and the process dies before all of it is written."""
        self.unwritten += self.budget.give_back()
        self.write(lines)
        self.check()
        self.end(0, "billed")
        self.kill()

    def close(self) -> None:
        """An orderly end: calls land, lines are written, money goes back."""
        while self.flying:
            self.end(0, "billed")
        self.flush()
        self.unwritten += self.budget.give_back()
        self.flush()
        self.reopen(self.limits)

    def reopen(self, limits: Limits) -> None:
        self.limits = limits
        self.flying, self.unwritten, self.written = [], [], []
        self.budget = Budget(limits)
        self.budget.restore(iter(self.journal))

    def check(self) -> None:
        """Whatever happens next, a kill included, bill <= books <= limit."""
        coming = Counter(self.bill)
        for hold, real in self.flying:
            for measure in measures(hold.lane, hold.role):
                coming[measure] += real
        reborn = Budget(self.limits)
        reborn.restore(self.journal)
        for now, after in zip(self.budget.standings(), reborn.standings(), strict=True):
            assert coming[now.measure] <= now.spent + now.held <= now.limit
            assert coming[now.measure] <= after.spent <= now.limit
            assert after.spent == max(booked(self.journal, now.measure), settled(self.journal, now.measure))
            if not self.kills:
                assert now.spent == self.bill[now.measure]
                assert now.wasted == 0


def settled(journal: Sequence[Line], measure: str) -> int:
    """What the settled lines of the journal cost together."""
    lines = [line for line in journal if isinstance(line, Spending)]
    return sum(line.cost for line in lines if measure in measures(line.lane, line.role))


def booked(journal: Sequence[Line], measure: str) -> int:
    """What a reader of the journal counts as spent, by the formula alone."""
    spent = balance = 0
    for line in journal:
        if isinstance(line, Lease) and line.measure == measure:
            spent += balance - line.rest
            balance = line.rest + line.amount
    return spent + balance


Step: TypeAlias = tuple[Any, ...]
KILLS = (("kill",), ("hurry", 0), ("hurry", 1), ("hurry", 9))


def some_limits(rng: Random) -> Limits:
    """Limits of very different sizes on some of run, roles and lanes; at times none, nothing, or a single nano-unit."""

    def limit() -> int:
        return rng.choice([0, 1, *[int(10 ** rng.uniform(4, 8)) for _ in range(12)]])

    def some(names: Iterable[str]) -> dict[str, int]:
        return {name: limit() for name in names if rng.random() < 0.25}

    return Limits(run=limit() if rng.random() < 0.7 else None, roles=some(ROLES), lanes=some(PRICES))


def story(rng: Random, length: int, kills: float = 0.0) -> Iterator[Step]:
    """What happens to a run; some runs have only small calls, some write rarely."""
    longest, lazy = rng.choice([10, 100, 1000]), rng.choice([0.05, 0.3])

    def tokens() -> int:
        return int(longest ** rng.random()) - 1

    for _ in range(length):
        if rng.random() < kills:
            yield rng.choice(KILLS)
        elif (draw := rng.random()) < 0.5:
            asked = Usage(tokens_in=tokens(), tokens_cached=tokens(), tokens_out=tokens())
            how = "start" if rng.random() < 0.5 else "insist"
            yield how, rng.choice(["dear", "dear", "odd", "free"]), rng.choice(ROLES), asked, rng.choice([0.0, 1.0, rng.random()])
        elif draw < 0.7:
            yield "end", rng.randrange(9), rng.choice(["billed", "billed", "lost"])
        elif draw < 0.98:
            yield ("flush",) if rng.random() < lazy else rng.choice([("write", 1), ("write", 3), ("grant",)])
        else:
            yield rng.choice([("close",), ("give_back",)])


def play(vendor: Vendor, steps: Iterable[Step]) -> None:
    for what, *how in steps:
        getattr(vendor, what)(*how)
        vendor.check()


@quick
@given(seeds)
def test_no_bill_passes_a_limit_whatever_is_killed(seed: int) -> None:
    """Calls, lengths, failures and kills in any order, before a lease is durable and after: bill <= books <= budget."""
    rng = Random(seed)
    play(Vendor(some_limits(rng)), story(rng, 120, kills=rng.choice([0.02, 0.1])))


@quick
@given(seeds)
def test_without_kills_the_books_are_the_bill(seed: int) -> None:
    """To the nano-unit, at every moment and over orderly restarts, and nothing drawn is lost in the end."""
    rng = Random(seed)
    vendor = Vendor(some_limits(rng))
    play(vendor, story(rng, 120))
    vendor.close()
    for standing in vendor.budget.standings():
        assert standing.spent == vendor.bill[standing.measure] == booked(vendor.journal, standing.measure)


@quick
@given(seeds)
def test_limits_may_change_between_runs(seed: int) -> None:
    """A limit that is new counts what was settled before it, and holds from then on."""
    rng = Random(seed)
    vendor = Vendor(some_limits(rng))
    play(vendor, story(rng, 40))
    vendor.close()
    new = some_limits(rng)
    raised = Limits(
        run=None if new.run is None else new.run + vendor.bill[RUN],
        roles={name: limit + vendor.bill[of_role(name)] for name, limit in new.roles.items()},
        lanes={name: limit + vendor.bill[of_lane(name)] for name, limit in new.lanes.items()},
    )
    vendor.reopen(raised)
    assert all(standing.spent == vendor.bill[standing.measure] for standing in vendor.budget.standings())
    play(vendor, story(rng, 80, kills=0.05))


def test_stories_are_not_trivial() -> None:
    """The properties above see calls in flight, limits that are reached, waits of all kinds and money that kills waste."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        rng = Random(seed)
        vendor = Vendor(some_limits(rng))
        for what, *how in story(rng, 120, kills=0.05):
            if what == "insist" and (short := vendor.budget.room(priced(how[2], how[0], worst), how[0], how[1])) is not None:
                seen[short.why] += 1
            getattr(vendor, what)(*how)
            seen["flying"] += len(vendor.flying)
            seen["wasted"] += any(standing.wasted for standing in vendor.budget.standings())
    assert min(seen[name] for name in (*Why, "flying", "wasted")) > 25
