"""Routing in whole runs, played by the simulator in virtual time: who gets new work, retries, and what a closed lane leaves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from engine.runtime.pulse import EXIT_CODES, RunState
from tests.simulated import Lived, Simulation
from tests.test_storms import QUICK, account, came, instructions, lane, nothing_lost, questions, stop_after

CHEAP, DEAR = {"tokens_in": 0.1, "tokens_out": 0.4}, {"tokens_in": 2.0, "tokens_out": 8.0}
FAST = 1200
"""Requests a minute with which a lane can do all the work by itself: about a dozen calls a second come to it, seven at once."""


def priced(per_minute: dict[str, int], **more: dict[str, Any]) -> dict[str, Any]:
    """Lanes of accounts of these names and quotas: `cheap` and `also` cost little, the others much."""
    return {
        name: lane(name, quota, price=CHEAP if name in ("cheap", "also") else DEAR, **more.get(name, {}))
        for name, quota in per_minute.items()
    }


def fed(goal: int, lanes: dict[str, Any]) -> dict[str, Any]:
    """A plan in which these lanes do the work that one of another role makes, once a second."""
    every = {name: {**one, "role": ["classify", "answer"]} for name, one in lanes.items()}
    return instructions(goal, {**every, "feed": lane("feed", 60, role="propose", price=CHEAP)})


FEED = account("feed", 60)


def calls(lived: Lived) -> dict[str, int]:
    return {name: book["calls"] for name, book in lived.books.items()}


@pytest.mark.parametrize("order", [("cheap", "dear"), ("dear", "cheap")])
def test_cheaper_lane_gets_all_of_the_work_that_it_can_do(order: tuple[str, str]) -> None:
    """Whichever stands first in the plan, the dearer lane is asked nothing while the cheaper one has room."""
    script = FEED + account("cheap", FAST) + account("dear", FAST)
    sim = Simulation(script, fed(150, priced(dict.fromkeys(order, FAST))))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert calls(lived)["cheap"] >= 300
    assert calls(lived)["dear"] == 0


def test_dearer_lane_gets_what_the_cheaper_one_has_no_room_for() -> None:
    """With more work than one can do both are used in full: the cheaper lane loses nothing of its quota to the other."""
    script = account("cheap", 300) + account("dear", 300)
    sim = Simulation(script, questions(10**6, priced({"dear": 300, "cheap": 300})))
    sim.live(stop_after(300))
    admitted = came(sim, 0, 300)
    assert admitted["cheap"] >= 0.97 * 5 * 300
    assert admitted["dear"] >= 0.97 * 5 * 300


def test_heavier_lane_goes_before_one_of_the_same_price() -> None:
    """Weight decides between lanes that cost the same, and never against a cheaper one."""
    script = FEED + account("cheap", FAST) + account("also", FAST) + account("dear", FAST)
    lanes = priced({"cheap": FAST, "also": FAST, "dear": FAST}, also={"weight": 3.0}, dear={"weight": 9.0})
    sim = Simulation(script, fed(100, lanes))
    lived = sim.live()
    nothing_lost(sim, lived)
    made = calls(lived)
    assert made["also"] >= 200
    assert made["cheap"] == made["dear"] == 0


def test_retries_go_elsewhere() -> None:
    """What fails at the cheaper lane is asked again of the dearer one, which gets nothing else."""
    script = FEED + account("cheap", FAST, QUICK + "errors = { 500 = 0.2 }") + account("dear", FAST)
    sim = Simulation(script, fed(150, priced({"cheap": FAST, "dear": FAST})))
    lived = sim.live()
    nothing_lost(sim, lived)
    failed = {seen.asked for seen in sim.seen if seen.account == "cheap" and seen.kind is not None}
    asked = [seen.asked for seen in sim.seen if seen.account == "dear"]
    assert len(failed) > 40
    assert len(asked) >= 0.5 * len(failed)
    assert failed.issuperset(asked)


def test_work_of_a_lane_that_closes_flows_on() -> None:
    """The cheaper lane's credit ends in the midst of it: within the calls in flight the other has all of the work."""
    script = FEED + account("cheap", FAST, QUICK + "credit_ends = 15") + account("dear", FAST)
    sim = Simulation(script, fed(200, priced({"cheap": FAST, "dear": FAST})))
    lived = sim.live()
    nothing_lost(sim, lived)
    before, after = came(sim, 0, 15), came(sim, 15, 1e9)
    assert before["cheap"] > 100
    assert after["dear"] > 100
    assert before["dear"] == after["cheap"] == 0


def test_with_no_lane_left_the_run_ends_and_goes_on_later() -> None:
    """Both lose their credit: exit code 4, nothing failed, and the same directory goes on with a lane that works."""
    script = (
        account("cheap", 300, QUICK + "credit_ends = 8") + account("dear", 300, QUICK + "credit_ends = 20") + account("new", 600)
    )
    sim = Simulation(script, instructions(300, priced({"cheap": 300, "dear": 300})))
    lived = sim.live()
    assert EXIT_CODES[lived.pulse.state] == 4
    assert "quota" in lived.pulse.reason
    assert 20 < sim.began < 60
    lines = Counter((line["s"], line["i"]) for line in sim.settled())
    assert not [line for line in sim.settled() if "fault" in line]
    assert lived.pulse.kept > 0
    sim.plan = instructions(300, priced({"new": 600}))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert lived.pulse.state is RunState.DONE
    assert lines.keys() <= {(line["s"], line["i"]) for line in sim.settled()}
