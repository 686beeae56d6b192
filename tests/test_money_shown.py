"""Money as people see it: in `status`, in `why`, in the live view, in `plan check` and its estimate."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from engine import forecast, live, planning, status
from engine.core.budget import RUN, Standing, of_role
from engine.core.faults import PlanError
from engine.core.lines import write_lease
from engine.core.types import Lease
from engine.plan import Plan, from_data
from engine.runtime.journal import Lock
from engine.runtime.pulse import LanePulse, Pulse, RunState
from engine.why import story
from tests import runs

PRICE = {"tokens_in": 2.5, "tokens_cached": 1.25, "tokens_out": 10}
LANE = tomllib.loads(runs.PLAN)["lanes"]["main"]
REPLY = 325_000
"""Nano-units of each of the nine replies."""


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with prices and a budget; before a kill it had drawn a hundredth of a dollar."""
    budget = {"usd": 5.0, "roles": {"answer": 1.0}}
    folder = runs.make(tmp_path_factory.mktemp("runs") / "run", lanes={"main": LANE | {"price": PRICE}}, budget=budget)
    with runs.segment(folder).open("ab") as file:
        file.write(write_lease(Lease(measure=RUN, lane="", amount=10_000_000, rest=0, t=runs.SENT)))
    return folder


# A run


def test_status_has_costs_by_lane_and_step_and_every_limit(paid: Path) -> None:
    """Sums are nano-units; what was drawn and never told of counts as spent, and as wasted."""
    figures = status.fold(paid)
    assert figures["lanes"]["main"]["cost"] == figures["money"]["spent"] == 9 * REPLY
    assert [step["cost"] for step in figures["steps"].values()] == [2 * REPLY, 4 * REPLY, 3 * REPLY]
    money = {limit["measure"]: limit for limit in figures["money"]["limits"]}
    assert figures["money"]["currency"] == "usd"
    assert money[RUN] == {
        "measure": RUN,
        "limit": 5_000_000_000,
        "spent": 10_000_000,
        "held": 0,
        "wasted": 10_000_000 - 9 * REPLY,
    }
    assert money[of_role("answer")]["spent"] == 3 * REPLY


def test_status_tells_money_in_words(paid: Path) -> None:
    """Spent, by lane, by step, of how much, and what kills have cost."""
    told = status.as_text(paid).splitlines()[-5:]
    assert told == [
        "  0.002925 usd spent by what is in the journal",
        "    by lane: main 0.002925 usd",
        "    by step: instruct 0.00065 usd, classify 0.0013 usd, instance 0.000975 usd",
        "  run: 0.01 usd of 5.00 usd spent, 0.007075 usd of it drawn before a kill and lost",
        "  role answer: 0.000975 usd of 1.00 usd spent",
    ]


def test_status_of_a_live_run_believes_its_pulse(paid: Path) -> None:
    """While a run goes on, what it has drawn is not lost: only the run itself knows what of it is spent."""
    standing = {"measure": RUN, "limit": 5_000_000_000, "spent": 9 * REPLY, "held": 7, "wasted": 0}
    (paid / "pulse.json").write_bytes(orjson.dumps({"state": "running", "reason": "", "budget": [standing]}))
    with Lock(paid):
        assert status.fold(paid)["money"]["limits"] == [standing]
        assert "0.000000007 usd held for calls in flight" in status.as_text(paid)
    (paid / "pulse.json").unlink()


def test_status_without_prices_says_nothing_of_money(finished: Path) -> None:
    """Nobody is shown sums of nothing."""
    assert status.fold(finished)["money"] == {"currency": None, "spent": 0, "limits": []}
    assert "spent" not in status.as_text(finished)


def test_story_has_its_cost(paid: Path, finished: Path) -> None:
    """Each answer tells what it cost, and so do attempts that were for nothing."""
    told = story(paid, "classify/2.0")
    assert "An earlier attempt cost 110 tokens, 0.000325 usd and settled nothing: malformed unclear." in told
    assert "\n\nCost: 0.000325 usd.\n\n" in told
    assert "Cost:" not in story(finished, "classify/2.0")


def pulse(*, currency: str = "usd", budget: tuple[Standing, ...] = ()) -> Pulse:
    counts = dict.fromkeys(("calls", "tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning"), 5)
    return Pulse(
        state=RunState.RUNNING,
        reason="",
        seconds=61.0,
        goal=10,
        kept=5,
        records=5,
        in_flight=1,
        lag=0.0,
        lanes=(LanePulse("main", "open", 1, None), LanePulse("new", "open", 0, None)),
        tally={"steps": {}, "lanes": {"main": {**counts, "cost": 1_234_560_000}}},
        currency=currency,
        budget=budget,
    )


@pytest.mark.parametrize(
    ("shown", "spent"),
    [
        (pulse(), "1.2346 usd"),
        (pulse(budget=(Standing(RUN, 20_000_000_000, 1_300_000_000, 0, 0),)), "1.3000 of 20.0000 usd"),
        (pulse(currency=""), ""),
    ],
)
def test_a_run_shows_its_spending(shown: Pulse, spent: str) -> None:
    """In the live view by lane and in all, in the plain line in all; not where nothing has a price."""
    out = io.StringIO()
    Console(file=out, width=120).print(live.panel(shown))
    told = out.getvalue()
    assert (f", {spent}" in told and f"spent {spent}" in live.line(shown)) if spent else "usd" not in told + live.line(shown)
    assert ("spent usd" in told and "1.2346\n" in told and "0.0000\n" in told) is bool(spent)


def test_the_end_of_a_budget_has_advice() -> None:
    """Whoever reads the last words knows what to do."""
    assert "raise the budget" in live.ADVICE[RunState.BUDGET]


# A plan


def plan(budget: dict[str, Any] | None = None, goal: int = 12, **lane: Any) -> Plan:
    data = tomllib.loads(runs.PLAN) | {"goal": goal, "lanes": {"main": LANE | {"price": PRICE} | lane}}
    return from_data(data | ({"budget": budget} if budget else {}))


def test_plan_check_tells_prices_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each lane's price comes from, with its day, and every limit."""
    monkeypatch.setenv("SEEDDRILL_TEST_KEY", "sk")
    told = planning.check(plan({"usd": 20, "roles": {"answer": 5.5}}, price_of="gpt-4o-mini", price=None), 0)
    assert "Price: list price of openai for gpt-4o-mini, as of 2025-07-04." in told
    assert told.endswith("Budget: 20.00 usd, role answer 5.50 usd.")


def test_a_guess_says_that_it_is_one() -> None:
    """Without a pilot the ranges are wide, the assumptions are told, and the quota that binds has its name."""
    told = forecast.text(plan({"usd": 0.001, "lanes": {"main": 1000}}, requests_per_minute=3), None).splitlines()
    assert told[0] == "Estimate of the whole run, 12 instructions, a guess:"
    rows = {line.split()[0]: line.split()[1:] for line in told[2:]}
    assert rows.keys() >= {"calls", "tokens", "money", "hours", "disk", "guess:"}
    low, high = map(int, rows["calls"])
    assert 25 <= low <= high <= 45
    assert rows["hours"][2:] == ["(bound", "by", "requests_per_minute", "of", "main)"]
    assert "    the budget, 0.0010 usd, is NOT enough" in told
    assert "    the budget of the lane main, 1,000.0000 usd, is enough" in told


def test_a_pilot_is_measured(paid: Path) -> None:
    """What a small run used is what a larger one of the same plan is taken to use; growth has a margin for duplicates."""
    told = forecast.text(plan(goal=300, tokens_per_minute=1000), paid).splitlines()
    assert told[0] == f"Estimate of the whole run, 300 instructions, from {paid}:"
    rows = {line.split()[0]: line.split() for line in told[2:]}
    low, high = (int(figure.replace(",", "")) for figure in rows["calls"][1:])
    assert 300 * 2.5 < low < high < 3000
    cost_low, cost_high = map(float, rows["money"][1:3])
    assert low * 0.000325 * 0.9 < cost_low < cost_high < high * 0.000325 * 1.1
    assert rows["hours"][3:] == ["(bound", "by", "tokens_per_minute", "of", "main)"]
    assert "guess" not in "\n".join(told)


def test_lanes_without_a_price_are_told() -> None:
    """A sum that leaves something out says so."""
    told = forecast.text(plan(price=None, model="m-1"), None)
    assert "without what main may cost: no price" in told
    assert "money" not in told


def test_a_pilot_of_another_recipe_measures_nothing(paid: Path, tmp_path: Path) -> None:
    """Nor does a run without answers, or a folder that is no run."""
    other = from_data({"recipe": "alpaca", "goal": 5, "lanes": {"main": LANE}})
    with pytest.raises(PlanError, match="another recipe than alpaca"):
        forecast.text(other, paid)
    with pytest.raises(PlanError, match="is not a run directory"):
        forecast.text(plan(), tmp_path)
    empty = runs.make(tmp_path / "empty")
    runs.segment(empty).write_bytes(runs.segment(empty).read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(PlanError, match="has no answers yet"):
        forecast.text(plan(), empty)


def test_every_recipe_can_be_guessed() -> None:
    """The stand-ins for items that nobody has made yet suit all steps of all recipes."""
    for recipe in ("self_instruct", "alpaca"):
        for style in ("chat", "completion"):
            made = from_data({"recipe": recipe, "goal": 100, "lanes": {"main": LANE | {"style": style}}})
            assert "a guess" in forecast.text(made, None)
