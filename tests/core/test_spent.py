"""What earlier lives have used of their quotas: nothing is forgotten that may still count, and nothing is counted for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.quota import BLOCK, Ledger
from engine.core.spent import Spent
from engine.core.types import Lease, Paid, Quota, Reply, Settled, Stepped, Stop, Usage

DAY = 86_400.0
NOON = 1_767_225_600.0 + DAY / 2


def answered(t: float, lane: str = "a", tokens: int = 10) -> Settled:
    usage = Usage(tokens_in=tokens)
    return Settled(
        step="s",
        index=0,
        of=None,
        try_=0,
        t=t,
        shown=(),
        style="chat",
        q="",
        lane=lane,
        replies=(Reply(text="", stop=Stop.END, usage=usage),),
    )


def lease(t: float, amount: float, rest: float = 0.0, lane: str = "a") -> Lease:
    return Lease(measure="requests_per_day", lane=lane, amount=amount, rest=rest, t=t)


def spent(quota: Quota, *lines: Settled | Paid | Lease | Stepped, homes: dict[str, str] | None = None) -> Spent:
    lanes = homes or {"a": "a"}
    fold = Spent(dict.fromkeys(lanes, quota), lanes)
    for line in lines:
        fold.add(line)
    return fold


def test_minutes_count_line_by_line() -> None:
    """What was sent within the window weighs at its own time, also where it settled nothing."""
    paid = Paid(step="s", index=1, try_=0, t=NOON + 1, lane="a", why="malformed", usage=Usage(tokens_in=7))
    uses = list(spent(Quota(tokens_per_minute=100), answered(NOON), paid).uses(NOON + 2))
    assert [(use.t, use.measure, use.amount) for use in uses] == [
        (NOON, "tokens_per_minute", 10),
        (NOON + 1, "tokens_per_minute", 7),
    ]


def test_memory_of_minutes_is_bounded() -> None:
    """Lines that no minute's window can hold any more are forgotten while the journal is read."""
    fold = spent(Quota(tokens_per_minute=100), *(answered(NOON + t) for t in range(0, 100_000, 10)))
    assert len(list(fold.uses(NOON + 100_000))) < 100


def test_days_before_the_first_lease_count_by_the_hour() -> None:
    """A quota that the plan gets only later knows what was sent before, each hour counted to its end."""
    uses = list(
        spent(Quota(requests_per_day=100), answered(NOON + 5), answered(NOON + 50), answered(NOON + 3700)).uses(NOON + 4000)
    )
    assert [(use.t - NOON, use.amount) for use in uses] == [(3600, 2), (7200, 1)]


def test_leases_count_what_was_drawn_and_not_what_came_back() -> None:
    """Between two leases their difference was used, at the time of the later one; what the last one left counts as used now; what
    was given back does not count at all; and settled lines beside them are not counted twice."""
    lines = (
        lease(NOON, 10),
        answered(NOON + 1),
        lease(NOON + 60, 10, rest=2),
        lease(NOON + 90, -7, rest=7),
        lease(NOON + 100, 5),
    )
    uses = list(spent(Quota(requests_per_day=100), *lines).uses(NOON + 200))
    assert [(use.t - NOON, use.amount) for use in uses] == [(60, 8), (90, 5), (200, 5)]


def test_what_a_kill_left_is_closed_once() -> None:
    """What a killed process had drawn is used at the next start, and not at every start after it again."""
    fold = spent(Quota(requests_per_day=100), lease(NOON, 10))
    (closed,) = fold.closing(NOON + 50)
    fold.add(closed)
    assert fold.closing(NOON + 99) == []
    assert [(use.t - NOON, use.amount) for use in fold.uses(NOON + 99)] == [(50, 10)]


def test_lanes_of_one_account_share_its_leases() -> None:
    """A lane whose account leases in another lane's name is not counted beside it."""
    lines = (lease(NOON, 10), answered(NOON + 1, lane="b"))
    uses = list(spent(Quota(requests_per_day=100), *lines, homes={"a": "a", "b": "a"}).uses(NOON + 2))
    assert [(use.lane, use.amount) for use in uses] == [("a", 10)]


def test_wall_clock_that_was_set_moves_what_was_before() -> None:
    """After a step of an hour, times before it are an hour later, so that their age is what it really was."""
    lines = (answered(NOON), Stepped(seconds=3600, t=NOON + 3610), answered(NOON + 3615))
    uses = list(spent(Quota(tokens_per_minute=100), *lines).uses(NOON + 3620))
    assert [use.t - NOON for use in uses] == [3600, 3615]


def test_lane_that_the_plan_has_no_more_is_left_out() -> None:
    """Lines of a lane that was taken out of the plan weigh on nobody."""
    assert not list(spent(Quota(tokens_per_minute=100), answered(NOON, lane="gone")).uses(NOON))


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 300), st.randoms(use_true_random=False))
def test_kills_waste_quota_and_never_exceed_it(lives: list[int], limit: int, rng: object) -> None:
    """Killed at any moment, with any lines lost that were not yet written, a day's quota is never exceeded; each kill wastes a
    lease at the most."""
    quota, journal, sent = Quota(requests_per_day=limit), [], 0
    for life in [*lives, limit]:
        fold, ledger, now = spent(quota, *journal), Ledger(quota), NOON
        for use in fold.uses(now):
            ledger.remember(use.measure, use.amount, use.t)
        for _ in range(life):
            if ledger.wait(Usage(), now) > 0:
                break
            if ledger.lacks(Usage()):
                for draft in ledger.draw(Usage(), now):
                    journal.append(lease(now, draft.amount, draft.rest))
                    ledger.grant(draft)
            ledger.charge(Usage(), now)
            sent += 1
    assert sent <= limit
    assert sent >= limit - len(lives) * max(1, BLOCK * limit) - 1


@given(st.lists(st.booleans(), max_size=60))
def test_orderly_ends_waste_nothing(ends: list[bool]) -> None:
    """Where every life gives its leases back, a day's quota is used to the last request."""
    quota, journal, sent = Quota(requests_per_day=40), [], 0
    for more in [*ends, *[True] * 40]:
        fold, ledger = spent(quota, *journal), Ledger(quota)
        for use in fold.uses(NOON):
            ledger.remember(use.measure, use.amount, use.t)
        if more and not ledger.wait(Usage(), NOON):
            for draft in ledger.draw(Usage(), NOON):
                journal.append(lease(NOON, draft.amount, draft.rest))
                ledger.grant(draft)
            ticket = ledger.charge(Usage(), NOON)
            ledger.settle(ticket, Usage(), NOON)
            sent += 1
        journal += [lease(NOON, draft.amount, draft.rest) for draft in ledger.returned()]
    assert sent == 40
