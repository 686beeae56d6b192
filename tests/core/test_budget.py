"""Budget: what is drawn, held, settled and given back, one step at a time. Whole runs are in `test_budget_kills`."""

from __future__ import annotations

import pytest

from engine.core.budget import RUN, Budget, Lease, Limits, Short, Spending, Standing, Why, of_lane, of_role

BOTH = ("dear", "propose")
"""Lane and role of most calls here."""


def granted(limits: Limits, most: int, lane: str = "dear", role: str = "propose") -> Budget:
    """A budget that has drawn what one call of this worst cost needs."""
    budget = Budget(limits)
    for lease in budget.draw(most, lane, role):
        budget.grant(lease)
    return budget


def test_without_limits_everything_has_room() -> None:
    """No limit draws nothing and journals nothing."""
    budget = Budget(Limits())
    assert budget.room(10**30, *BOTH) is None
    assert budget.draw(10**30, *BOTH) == budget.give_back() == ()
    assert budget.standings() == ()
    budget.settle(budget.reserve(10**30, *BOTH), 10**30)


def test_money_is_drawn_in_blocks_of_a_hundredth_before_it_is_spent() -> None:
    """Nothing is spent out of a lease on its way, and nothing is drawn twice."""
    budget = Budget(Limits(run=10_000))
    assert budget.room(60, *BOTH) == Short(Why.LEASE, RUN, 10_000, 10_000)
    (lease,) = budget.draw(60, *BOTH)
    assert lease == Lease(RUN, "", 100, 0)
    assert budget.draw(60, *BOTH) == ()
    assert budget.room(60, *BOTH) == Short(Why.LEASE, RUN, 10_000, 10_000)
    budget.grant(lease)
    assert budget.room(60, *BOTH) is None
    assert budget.room(101, *BOTH) == Short(Why.LEASE, RUN, 10_000, 10_000)


def test_a_lease_holds_at_least_one_call() -> None:
    """A call that costs more than a block gets what it needs in one line."""
    budget = Budget(Limits(run=10_000))
    assert budget.draw(2_500, *BOTH) == (Lease(RUN, "", 2_500, 0),)


def test_the_next_lease_is_drawn_before_the_last_is_used_up() -> None:
    """While half a block is left beyond this call nothing is drawn; then calls go on while the line is being written."""
    budget = granted(Limits(run=10_000), 1)
    assert budget.draw(50, *BOTH) == ()
    (lease,) = budget.draw(51, *BOTH)
    hold = budget.reserve(51, *BOTH)
    budget.settle(hold, 40)
    assert lease == Lease(RUN, "", 100, 100)
    budget.grant(lease)
    assert budget.room(160, *BOTH) is None
    (more,) = budget.draw(160, *BOTH)
    assert more == Lease(RUN, "", 100, 160)


def test_the_last_lease_takes_what_is_left_of_the_limit() -> None:
    """A block is cut where the limit ends, and beyond it nothing is drawn."""
    budget = granted(Limits(run=150), 100)
    assert budget.draw(100, *BOTH) == ()  # a block of one is drawn for each call here
    (lease,) = budget.draw(150, *BOTH)
    assert lease == Lease(RUN, "", 50, 100)
    budget.grant(lease)
    assert budget.draw(150, *BOTH) == ()
    assert budget.draw(151, *BOTH) == ()
    assert budget.room(151, *BOTH) == Short(Why.SPENT, RUN, 150, 150)


def test_a_call_may_have_to_wait_for_others_to_cost_less() -> None:
    """What is held may come back; what is spent will not."""
    budget = granted(Limits(run=100), 100)
    hold = budget.reserve(70, *BOTH)
    assert budget.room(40, *BOTH) == Short(Why.HELD, RUN, 100, 30)
    assert budget.draw(40, *BOTH) == ()
    budget.settle(hold, 60)
    assert budget.room(40, *BOTH) is None
    assert budget.room(41, *BOTH) == Short(Why.SPENT, RUN, 100, 40)


def test_limits_hold_at_once_and_the_longest_wait_is_told() -> None:
    """A lane that is spent closes, though the run has money left; other lanes go on."""
    limits = Limits(run=1000, roles={"propose": 500}, lanes={"dear": 50})
    budget = Budget(limits)
    leases = budget.draw(20, *BOTH)
    assert leases == (Lease(RUN, "", 20, 0), Lease(of_role("propose"), "", 20, 0), Lease(of_lane("dear"), "dear", 20, 0))
    assert budget.draw(60, *BOTH) == ()
    assert budget.room(60, *BOTH) == Short(Why.SPENT, "money:lane/dear", 50, 50)
    assert budget.room(60, "odd", "propose") == Short(Why.LEASE, "money", 1000, 1000)
    assert budget.room(501, "odd", "propose") == Short(Why.SPENT, "money:role/propose", 500, 500)


def test_a_call_that_costs_nothing_always_has_room() -> None:
    """An own server works on when the budget is spent."""
    budget = granted(Limits(run=100), 100)
    budget.settle(budget.reserve(100, *BOTH), 100)
    assert budget.room(0, "free", "propose") is None
    assert budget.draw(0, "free", "propose") == ()
    budget.settle(budget.reserve(0, "free", "propose"), 0)
    assert Budget(Limits(run=0)).room(0, *BOTH) is None
    assert Budget(Limits(run=0)).room(1, *BOTH) == Short(Why.SPENT, RUN, 0, 0)


def test_a_released_call_costs_nothing() -> None:
    """It failed before it was sent, or the vendor does not bill failures."""
    budget = granted(Limits(run=100), 80)
    budget.release(budget.reserve(80, *BOTH))
    assert budget.room(80, *BOTH) is None
    assert budget.standings() == (Standing(RUN, 100, spent=0, held=0, wasted=0),)


def test_mistakes_of_the_caller_are_no_decisions() -> None:
    """To reserve without room, to settle twice and to grant what was not drawn are bugs."""
    budget = granted(Limits(run=100), 80)
    with pytest.raises(ValueError, match="no room"):
        budget.reserve(81, *BOTH)
    hold = budget.reserve(80, *BOTH)
    budget.settle(hold, 1)
    with pytest.raises(KeyError):
        budget.settle(hold, 1)
    with pytest.raises(ValueError, match="not the lease"):
        budget.grant(Lease(RUN, "", 10, 0))


def test_an_orderly_end_returns_what_is_not_spent() -> None:
    """The next run has it again; what is still held for a call stays drawn."""
    budget = granted(Limits(run=1000), 400)
    budget.settle(budget.reserve(300, *BOTH), 120)
    budget.reserve(50, *BOTH)
    (lease,) = budget.give_back()
    assert lease == Lease(RUN, "", -230, 280)
    assert budget.room(1, *BOTH) == Short(Why.LEASE, RUN, 1000, 830)
    assert budget.give_back() == ()
    budget.grant(lease)
    reborn = Budget(Limits(run=1000))
    reborn.restore([Lease(RUN, "", 400, 0), Spending(*BOTH, 120), lease])
    assert reborn.standings() == (Standing(RUN, 1000, spent=170, held=0, wasted=50),)


def test_nothing_is_returned_while_a_lease_is_on_its_way() -> None:
    """Whether its line will be durable nobody knows, so the line behind it could not say what was left."""
    budget = Budget(Limits(run=1000))
    budget.draw(10, *BOTH)
    assert budget.give_back() == ()


def test_after_a_kill_the_last_balance_counts_as_spent() -> None:
    """What was settled out of it is within it; the waste is told."""
    budget = Budget(Limits(run=1000, lanes={"odd": 5}))
    budget.restore(
        [Lease(RUN, "", 100, 0), Spending(*BOTH, 90), Lease(RUN, "", 100, 10), Spending(*BOTH, 30), Lease("money:x", "", 9, 9)]
    )
    assert budget.standings() == (Standing(RUN, 1000, 200, 0, 80), Standing(of_lane("odd"), 5, 0, 0, 0))
    assert budget.draw(50, *BOTH) == (Lease(RUN, "", 50, 0),)


def test_a_new_limit_counts_what_was_spent_before_it() -> None:
    """The first lease is drawn for that as well, so that the journal's formula still holds, over a kill too."""
    past = [Spending(*BOTH, 300), Spending("odd", "propose", 50)]
    budget = Budget(Limits(run=1000))
    budget.restore(past)
    assert budget.standings() == (Standing(RUN, 1000, 350, 0, 0),)
    assert budget.room(651, *BOTH) == Short(Why.SPENT, RUN, 1000, 650)
    (lease,) = budget.draw(40, *BOTH)
    assert lease == Lease(RUN, "", 390, -350)
    budget.grant(lease)
    assert budget.room(41, *BOTH) == Short(Why.LEASE, RUN, 1000, 650)
    reborn = Budget(Limits(run=1000))
    reborn.restore([*past, lease])
    assert reborn.standings() == (Standing(RUN, 1000, 390, 0, 40),)


def test_a_call_that_costs_more_than_its_upper_bound_is_booked_in_full() -> None:
    """An estimate of ours was too low: the limit may be overrun by that, but neither hidden nor spent again."""
    budget = granted(Limits(run=100), 90)
    budget.settle(budget.reserve(90, *BOTH), 130)
    assert budget.standings() == (Standing(RUN, 100, 130, 0, 0),)
    assert budget.room(1, *BOTH) == Short(Why.SPENT, RUN, 100, -30)
    assert budget.draw(1, *BOTH) == ()
    assert budget.give_back() == (Lease(RUN, "", 40, -40),)
    reborn = Budget(Limits(run=100))
    reborn.restore([Lease(RUN, "", 90, 0), Spending(*BOTH, 130), Lease(RUN, "", 40, -40)])
    assert reborn.standings() == (Standing(RUN, 100, 130, 0, 0),)
