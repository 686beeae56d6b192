"""The till: what a request can cost and did cost, and what closes when a limit is spent."""

from __future__ import annotations

import pytest

from engine.core import types
from engine.core.budget import RUN, Lease, Limits, Short, Spending, Why, of_lane, of_role
from engine.core.faults import Fault, FaultKind
from engine.core.money import Prices, own_server
from engine.core.till import MOST, Bill, Books, Money, Till
from engine.core.types import Call, Completion, Decoding, LaneView, Paid, Reply, Settled, Stop, Usage

STEPS = (("instruct", "propose"), ("classify", "classify"), ("instance", "answer"))
PRICES = Prices(currency="usd", tokens_in=1_000_000, tokens_out=2_000_000)
"""One nano-unit a token of a prompt, two a token of an answer."""
CALL = Completion("x", Decoding(max_tokens=50))


def weigh(call: Call) -> Usage:
    return Usage(tokens_in=100, tokens_out=50, estimated=True)


def till(*, lane: Prices = PRICES, books: Books | None = None, **limits: object) -> Till:
    money = Money(prices={"fast": lane}, limits=Limits(**limits))  # type: ignore[arg-type]
    return Till(money, STEPS, books)


def reply(fresh: int = 60, out: int = 20, **usage: bool) -> Reply:
    return Reply(text="", stop=Stop.END, usage=Usage(tokens_in=fresh, tokens_out=out, **usage))  # type: ignore[arg-type]


def bill(of: Till, step: str = "instance", calls: int = 1) -> Bill:
    return of.bill("fast", step, (CALL,) * calls, weigh)


def funded(of: Till, one: Bill) -> Bill:
    for lease in of.draw(one):
        of.grant(lease)
    return of.reserve(one)


def test_a_request_costs_what_its_replies_cost() -> None:
    """Held is the worst of every call; settled what was used, each call rounded up for itself; the rest is free again."""
    mine = till(run=1000)
    one = funded(mine, bill(mine, calls=2))
    assert one.worst == (200, 200)
    assert [standing.held for standing in mine.standings()] == [400]
    assert mine.settle(one, (reply(), reply(10, 0)), None) == 110
    assert [(standing.spent, standing.held) for standing in mine.standings()] == [(110, 0)]


def test_what_nobody_knows_costs_the_worst() -> None:
    """A broken attempt that may be billed costs the whole of the call that broke, an answer without usage likewise; calls that
    were never sent cost nothing, and neither does a refusal."""
    mine = till(run=10_000)
    lost, refused = Fault(FaultKind.NETWORK, billed=True), Fault(FaultKind.RATE)
    assert mine.settle(funded(mine, bill(mine, calls=3)), (reply(),), lost) == 100 + 200
    assert mine.settle(funded(mine, bill(mine, calls=3)), (reply(),), refused) == 100
    assert mine.settle(funded(mine, bill(mine)), (reply(estimated=True),), None) == 200
    assert [standing.spent for standing in mine.standings()] == [600]


def test_a_lane_that_costs_nothing_is_not_weighed() -> None:
    """Its calls pass whatever the limits say, and what servers report is not counted."""

    def never(call: Call) -> Usage:
        raise AssertionError

    mine = till(lane=own_server("usd"), run=1)
    one = mine.bill("fast", "instance", (CALL,), never)
    assert mine.short(one) is None
    assert mine.settle(mine.reserve(one), (reply(),), None) == 0


def test_nonsense_from_a_server_is_bounded() -> None:
    """A call of a million million tokens is booked at a million, so that the journal can hold every sum."""
    mine = till(lane=Prices(currency="usd", tokens_in=10**15, tokens_out=10**15))
    assert mine.settle(bill(mine), (reply(10**12, 10**12),), None) == MOST


def test_a_bound_that_was_broken_is_raised() -> None:
    """A vendor that counts more tokens than we do costs at most what it had in flight when it first did so."""
    mine = till(run=10_000)
    assert mine.settle(funded(mine, bill(mine)), (reply(200, 50),), None) == 300
    assert bill(mine).most == 300
    mine.settle(funded(mine, bill(mine)), (reply(200, 80),), None)
    assert bill(mine).most == 360
    mine.settle(funded(mine, bill(mine)), (reply(10**6, 0),), None)
    assert bill(mine).most == 20 * 200


def test_a_spent_run_serves_nobody() -> None:
    """The reason has the limit, what was spent and what the next request can cost."""
    mine = till(run=250)
    mine.settle(funded(mine, bill(mine)), (reply(),), None)
    one = bill(mine)
    short = mine.short(one)
    assert short == Short(Why.SPENT, RUN, 250, 150)
    assert mine.close(short, one) == (
        "the budget of 0.00000025 usd is spent: 0.0000001 usd so far, and the next request can cost up to 0.0000002 usd"
    )
    assert not mine.serves(bill(mine, "instruct"))


@pytest.mark.parametrize(
    ("role", "step", "shut"),
    [
        ("propose", "instruct", {"propose"}),
        ("classify", "classify", {"propose", "classify"}),
        ("answer", "instance", {"propose", "classify", "answer"}),
    ],
)
def test_a_spent_role_rests_with_all_before_it(role: str, step: str, shut: set[str]) -> None:
    """What comes after a spent role goes on; what comes before would only pile up."""
    mine = till(roles={role: 100})
    one = bill(mine, step)
    short = mine.short(one)
    assert short is not None
    assert short.measure == of_role(role)
    assert f"the budget of the role {role!r}" in mine.close(short, one)
    assert mine.shut == shut
    view = LaneView("fast", frozenset(role for _, role in STEPS), alone=True)
    assert mine.narrowed(view).roles == view.roles - shut


def test_a_spent_lane_closes_alone() -> None:
    """Other lanes of its roles are served."""
    mine = till(lanes={"fast": 100})
    one = bill(mine)
    short = mine.short(one)
    assert short is not None
    mine.close(short, one)
    assert (mine.spent.keys(), mine.shut) == ({of_lane("fast")}, set())
    assert not mine.serves(one)
    assert mine.serves(mine.bill("slow", "instance", (CALL,), weigh))


def test_books_are_a_fold_of_the_journal() -> None:
    """Costs by lane and role, and leases of money in their order; leases of quotas are another matter."""
    books = Books(STEPS)
    settled = Settled(
        step="instance", index=0, of="classify/0.0", try_=0, t=0.0, shown=(), style="chat", q="", lane="fast", cost=7
    )
    books.add(types.Lease(measure=RUN, lane="", amount=100, rest=0, t=0.0))
    books.add(types.Lease(measure="requests_per_day", lane="fast", amount=5, rest=0, t=0.0))
    books.add(settled)
    books.add(settled)
    books.add(Paid(step="instruct", index=1, try_=0, t=0.0, lane="slow", why="network", usage=Usage(), cost=5))
    assert list(books.lines()) == [Lease(RUN, "", 100, 0), Spending("fast", "answer", 14), Spending("slow", "propose", 5)]
    assert books.settled == 19
    (standing,) = till(run=200, books=books).standings()
    assert (standing.spent, standing.wasted) == (100, 81)
