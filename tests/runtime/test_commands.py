"""Commands on the real loop in virtual time: they work at once, wrong ones change nothing, and waiting costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import anyio
import pytest
import structlog
from structlog.testing import CapturingLogger

from engine.core.faults import Fault, PlanError
from engine.core.http import HttpResponse
from engine.core.types import Quota
from engine.runtime.commands import QUOTAS, Commands
from engine.runtime.pulse import Pulse, RunState
from engine.runtime.scheduler import Patience, Scheduler
from tests import brain, virtual
from tests.drive import LANE, Drive
from tests.fakes import refused

OTHER = {**LANE, "provider": "openai", "style": "completion", "model": "other"}
TWO = {"main": {**OTHER, "model": "main"}, "other": OTHER}

Step = tuple[float, Callable[[Commands], Any]]


class Hands:
    """Calls functions with the commands of a run at moments of its life, and keeps what they say."""

    def __init__(self, drive: Drive, *steps: Step) -> None:
        self.said: list[Any] = []
        self.noted: list[int] = []
        self.note: Callable[[int], None] = self.noted.append
        self.log = CapturingLogger()
        self._drive = drive
        self._steps = steps
        drive.meanwhile = self._meet

    def _meet(self, scheduler: Scheduler) -> None:
        log = structlog.wrap_logger(self.log, wrapper_class=structlog.make_filtering_bound_logger("info"), processors=[_kept])
        commands = Commands(scheduler, self._drive.agenda, self._drive.accounts, self.note, log)
        for n, (moment, act) in enumerate(self._steps):  # timers of one moment would go off in any order
            asyncio.get_running_loop().call_later(moment + n * 1e-4, self._do, act, commands)

    def _do(self, act: Callable[[Commands], Any], commands: Commands) -> None:
        try:
            self.said.append(act(commands))
        except PlanError as error:
            self.said.append(error)


def _kept(logger: Any, method: str, event: Any) -> Any:
    return (), event


def pulse(commands: Commands) -> Pulse:
    return commands._run.pulse()


def between(drive: Drive, start: float, end: float) -> int:
    """Calls sent in this time."""
    return sum(start < t <= end for t in drive.wire.times)


def tune(*changes: str) -> Callable[[Commands], str]:
    return lambda commands: commands.tune(changes)


# Quotas


def test_higher_rate_is_used_at_once() -> None:
    """Six requests a minute become six hundred: the row moves on at once, though its next place was ten seconds away."""
    drive = Drive(goal=30, lanes={"main": {**LANE, "requests_per_minute": 6}})
    hands = Hands(drive, (61.0, tune("lanes.main.requests_per_minute=600")))
    assert drive.start().state is RunState.DONE
    assert between(drive, 0.0, 61.0) <= 7
    assert between(drive, 61.0, 71.0) >= 30
    assert hands.said[0].startswith("lanes.main.requests_per_minute: 6 -> 600\n")
    assert "put it into the plan" in hands.said[0]


def test_lower_rate_counts_what_was_sent_before_it() -> None:
    """Sixty requests a minute become ten: nothing is sent until the last minute holds fewer than ten, and then ten a minute."""
    drive = Drive(goal=60, lanes={"main": {**LANE, "requests_per_minute": 60}}, delay=lambda rng: 0.5)
    Hands(drive, (40.0, tune("lanes.main.requests_per_minute=10")))
    assert drive.start().state is RunState.DONE
    times = drive.wire.times
    assert between(drive, 0.0, 40.0) >= 35
    late = [t for t in times if t > 40.0]
    assert late[0] > 85
    assert max(sum(start - 60 < t <= start for t in times) for start in late) <= 10


def test_concurrency_follows() -> None:
    """Calls in flight rise with a higher limit, and `none` gives what a plan without a figure has."""
    drive = Drive(goal=200, lanes={"main": {**LANE, "concurrent": 2}}, delay=lambda rng: 2.0)
    hands = Hands(
        drive,
        (20.0, lambda commands: drive.wire.peak),
        (20.0, tune("lanes.main.concurrent=5")),
        (40.0, lambda commands: drive.wire.peak),
        (40.0, tune("lanes.main.concurrent=none")),
    )
    assert drive.start().state is RunState.DONE
    assert (hands.said[0], hands.said[2], drive.wire.peak) == (2, 5, 8)
    assert hands.said[3].startswith("lanes.main.concurrent: 5 -> none\n")


def test_quota_of_a_day_set_by_hand_is_leased_and_survives_a_resume() -> None:
    """A day's quota that the plan does not know holds at once; the journal's leases for it are read by a plan without it."""
    drive = Drive(goal=500)
    Hands(
        drive,
        (10.0, tune("lanes.main.requests_per_day=100")),
        (2000.0, lambda commands: commands.stop()),
    )
    assert drive.start().state is RunState.INTERRUPTED
    assert between(drive, 10.0, 2000.0) <= 100
    assert Drive(goal=60, disk=drive.disk).start().state is RunState.DONE


# The goal


def test_goal_is_raised_while_the_run_goes_on() -> None:
    """A run goes on to the new goal, and every item up to it gets its children."""
    drive = Drive(goal=20)
    hands = Hands(drive, (5.0, tune("goal=60")))
    end = drive.start()
    assert end.state is RunState.DONE
    assert end.goal == 60
    assert len([step for step, _ in drive.keys().elements() if step == "classify"]) == 60
    assert set(drive.keys().values()) == {1}
    assert hands.said[0].startswith("goal: 20 -> 60 (")
    assert hands.noted == [60]


def test_goal_that_cannot_be_noted_is_not_changed() -> None:
    """Exports would end elsewhere than the run: whoever tunes is told why, and the quotas named beside it stay as well."""

    def refuse(goal: int) -> None:
        raise PlanError("the disk is full")

    drive = Drive(goal=20)
    hands = Hands(drive, (1.0, tune("lanes.main.requests_per_minute=6", "goal=60")))
    hands.note = refuse
    assert drive.start().goal == 20
    assert str(hands.said[0]) == "the disk is full"
    assert drive.accounts[0].ledger.limits == {}


def test_goal_is_lowered_while_the_run_goes_on() -> None:
    """A goal below what is kept ends growth at once, proposals that wait for another try included."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        return refused(503, retry_after="600") if count in (0, 1) else brain.answer(body, count)

    drive = Drive(goal=5000, answer=answer)
    Hands(drive, (10.0, tune("goal=3")))
    end = drive.start()
    assert end.state is RunState.DONE
    assert end.seconds < 60
    assert Drive(goal=3, disk=drive.disk).start().kept == end.kept
    assert Drive(goal=80, disk=drive.disk).start().state is RunState.DONE


# Pauses


def test_paused_lane_takes_no_new_work_and_its_calls_finish() -> None:
    """While one of two lanes is paused, the other one has all the work; resumed, it takes work again."""
    drive = Drive(goal=100, lanes=TWO, delay=lambda rng: 1.0)
    models: list[tuple[float, str]] = []

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        models.append((anyio.current_time() - 1.0, body["model"]))
        return brain.answer(body, count)

    drive.answer = answer
    hands = Hands(
        drive,
        (5.5, lambda commands: commands.pause("other")),
        (9.0, pulse),
        (12.5, lambda commands: commands.resume("other")),
        (13.0, pulse),
    )
    assert drive.start().state is RunState.DONE
    assert not [t for t, model in models if model == "other" and 5.5 < t < 12.5]
    assert [t for t, model in models if model == "other" and 4.4 < t < 5.5], "calls in flight were answered"
    assert [t for t, model in models if model == "other" and 12.5 < t < 14.0]
    assert [t for t, model in models if model == "main" and 5.5 < t < 12.5]
    assert set(drive.keys().values()) == {1}
    assert "8 calls in flight on its account may finish" in hands.said[0]
    main, other = hands.said[1].lanes
    assert (main.state, main.held, other.state, other.held) == ("open", None, "paused", "by hand")
    assert hands.said[1].reason == ""
    assert hands.said[2] == "other takes work again."
    assert hands.said[3].lanes[1].state == "open"


def test_run_whose_lanes_are_all_paused_waits_and_says_so() -> None:
    """For a day nothing is sent and nothing ends; resumed, the run goes on as if nothing had been."""
    drive = Drive(goal=30)
    hands = Hands(
        drive,
        (5.0, lambda commands: commands.pause("main")),
        (80_000.0, pulse),
        (86_400.0, lambda commands: commands.resume("main")),
    )
    end = drive.start()
    assert end.state is RunState.DONE
    assert between(drive, 5.0, 86_400.0) == 0
    assert not [line for line in drive.settled() if "fault" in line]
    assert "The run waits: no lane is at work for answer, classify: main is paused by hand." in hands.said[0]
    waiting = hands.said[1]
    assert waiting.state is RunState.RUNNING
    assert waiting.reason.endswith("classify: main is paused by hand")
    assert end.reason == ""


def test_request_in_hand_goes_back_when_its_lane_is_paused() -> None:
    """A request that waits for room in a full minute is taken by the other lane once its own is paused."""
    drive = Drive(goal=10, lanes={"main": {**TWO["main"], "requests_per_minute": 1}, "other": OTHER})
    Hands(drive, (3.0, lambda commands: commands.pause("main")))
    end = drive.start()
    assert end.state is RunState.DONE
    assert end.seconds < 70


def test_stop_while_everything_is_paused() -> None:
    """A paused run can be stopped, and is not paused when it is resumed."""
    drive = Drive(goal=30)
    Hands(drive, (5.0, lambda commands: commands.pause("main")), (50.0, lambda commands: commands.stop()))
    end = drive.start()
    assert end.state is RunState.INTERRUPTED
    assert end.seconds < 51
    assert Drive(goal=30, disk=drive.disk).start().state is RunState.DONE


def test_lane_that_closes_while_another_is_paused_does_not_end_the_run() -> None:
    """With one lane refused for good and the other one paused by hand, the run waits for the hand."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(401) if body["model"] == "main" and anyio.current_time() > 10 else brain.answer(body, count)

    drive = Drive(goal=60, answer=answer, lanes=TWO)
    hands = Hands(
        drive,
        (2.0, lambda commands: commands.pause("other")),
        (50.0, pulse),
        (51.0, lambda commands: commands.pause("main")),
        (51.0, lambda commands: commands.resume("main")),
        (60.0, lambda commands: commands.resume("other")),
    )
    assert drive.start().state is RunState.DONE
    assert "other is paused by hand" in hands.said[1].reason
    assert "is closed (auth" in str(hands.said[2])
    assert "mend that, stop the run" in str(hands.said[3])


# Stopping


def test_stop_is_a_first_signal_and_never_a_second() -> None:
    """However often it is said, calls in flight may finish; a signal after it cancels them."""
    drive = Drive(goal=300, delay=lambda rng: 3.0)
    hands = Hands(drive, *((4.0, lambda commands: commands.stop()),) * 4)
    end = drive.start()
    assert end.state is RunState.INTERRUPTED
    assert "stopped by seeddrill stop" in end.reason
    assert drive.wire.answered == len(drive.wire.sent) == len(drive.settled())
    assert hands.said[1:] == ["The run is stopping already."] * 3
    drive = Drive(goal=300, delay=lambda rng: 1e6, patience=Patience(grace=1000.0))
    Hands(drive, (4.0, lambda commands: commands.stop()), (5.0, lambda commands: commands._run.interrupt("SIGTERM")))
    assert drive.start().seconds == pytest.approx(5.0, abs=0.1)


def test_nothing_is_changed_once_the_run_ends() -> None:
    """While the last calls finish, every command but stop says that the run is about to end."""
    drive = Drive(goal=300, delay=lambda rng: 5.0)
    changes: list[Step] = [
        (8.0, act)
        for act in (tune("goal=5"), tune("lanes.main.concurrent=1"), lambda c: c.pause("main"), lambda c: c.resume("main"))
    ]
    hands = Hands(drive, (7.0, lambda commands: commands.stop()), *changes)
    assert drive.start().state is RunState.INTERRUPTED
    assert all("about to end, and nothing was changed" in str(said) for said in hands.said[1:])
    assert drive.agenda.goal == 300


# What is wrong


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["lanes.man.concurrent=4"], ["no lane 'man'; there are main, other"]),
        (
            ["lanes.main.request_per_minute=4"],
            ["cannot be tuned", "did you mean 'requests_per_minute'?", "goal", "main, other", "tokens_per_minute"],
        ),
        (["lanes.main.counts=used"], ["'lanes.main.counts' cannot be tuned", "concurrent"]),
        (["lanes.main.model=gpt"], ["'lanes.main.model' cannot be tuned"]),
        (["lanes=4"], ["'lanes' cannot be tuned"]),
        (["lanes.concurrent=4"], ["'lanes.concurrent' cannot be tuned"]),
        (["seed=4"], ["'seed' cannot be tuned", "goal"]),
        (["=4"], ["'' cannot be tuned"]),
        (["lanes.main.concurrent"], ["tune takes key=value, not 'lanes.main.concurrent'"]),
        ([], ["nothing was said to tune", "main, other"]),
        (["lanes.main.concurrent=0"], ["lanes.main.concurrent cannot be '0'", "above zero", "'none' takes it away"]),
        (["lanes.main.tokens_per_minute=-5"], ["cannot be '-5'"]),
        (["lanes.main.tokens_per_minute=nan"], ["cannot be 'nan'"]),
        (["lanes.main.headroom=1"], ["cannot be '1'", "from 0 to below 1"]),
        (["lanes.main.headroom=none"], ["cannot be 'none'"]),
        (["lanes.main.tokens_per_minute=inf"], ["cannot be 'inf'"]),
        (["lanes.main.tokens_per_minute=many"], ["cannot be 'many'"]),
        (["lanes.main.tokens_per_minute="], ["cannot be ''"]),
        (["lanes.main.tokens_per_minute=" + "9" * 400], ["cannot be '999"]),
        (["lanes.main.concurrent=2.5"], ["cannot be '2.5'", "Expected `int"]),
        (["goal=0"], ["goal cannot be '0'"]),
        (["goal=1.5"], ["goal cannot be '1.5'"]),
        (["goal=none"], ["goal cannot be 'none'"]),
        (["lanes.main.requests_per_minute=3", "lanes.other.requests_per_minute=4", "goal=x"], ["goal cannot be 'x'"]),
    ],
)
def test_wrong_change_changes_nothing(changes: list[str], words: list[str]) -> None:
    """What is wrong is told with what there is, and of several changes none is made when one is wrong."""
    drive = Drive(goal=20, lanes=TWO)
    before: list[Any] = []
    hands = Hands(
        drive,
        (3.0, lambda commands: before.extend(account.ledger.quota for account in drive.accounts)),
        (3.0, tune(*changes)),
    )
    assert drive.start().state is RunState.DONE
    said = hands.said[1]
    assert isinstance(said, PlanError)
    for word in words:
        assert word in str(said)
    assert [account.ledger.quota for account in drive.accounts] == before
    assert drive.agenda.goal == 20


def test_lanes_of_one_account_are_tuned_together() -> None:
    """A figure for one lane of an account is one for all of them; two figures for it are refused."""
    drive = Drive(goal=30, lanes=TWO)

    def share(commands: Commands) -> None:
        first, second = drive.accounts
        first.lanes.append(second.lanes[0])
        commands._lanes["other"] = (first, second.lanes[0])

    hands = Hands(
        drive,
        (2.0, share),
        (2.0, tune("lanes.main.concurrent=3", "lanes.other.concurrent=4")),
        (2.0, tune("lanes.main.concurrent=3", "lanes.other.concurrent=3", "lanes.other.requests_per_second=50")),
    )
    assert drive.start().state is RunState.DONE
    assert "another lane of its account was told otherwise" in str(hands.said[1])
    assert hands.said[2].splitlines()[:2] == [
        "lanes.main.concurrent: 8 -> 3 (one account: main, other)",
        "lanes.main.requests_per_second: none -> 50 (one account: main, other)",
    ]
    assert all(lane.plan.quota.concurrent == 3 for lane in drive.accounts[0].lanes)


@pytest.mark.parametrize(
    "order",
    [
        None,
        4,
        "stop",
        [],
        {},
        {"do": "fly"},
        {"do": "tune"},
        {"do": "tune", "changes": "goal=4"},
        {"do": "tune", "changes": [4]},
        {"do": "pause"},
        {"do": "resume", "lane": 4},
    ],
)
def test_order_that_is_none(order: Any) -> None:
    """Whatever comes in place of an order is answered with the orders there are, and the run goes on."""
    drive = Drive(goal=10)
    hands = Hands(drive, (2.0, lambda commands: commands.obey(order)))
    assert drive.start().state is RunState.DONE
    assert "no such command; there are tune" in str(hands.said[0])


def test_orders_are_logged() -> None:
    """Every order is in the run's log with what was said to it, refused ones too."""
    drive = Drive(goal=30)
    hands = Hands(
        drive,
        (2.0, lambda commands: commands.obey({"do": "pause", "lane": "main"})),
        (3.0, lambda commands: commands.obey({"do": "pause", "lane": "main"})),
        (4.0, lambda commands: commands.obey({"do": "resume", "lane": "man"})),
        (5.0, lambda commands: commands.obey({"do": "resume", "lane": "main"})),
        (6.0, lambda commands: commands.obey({"do": "resume", "lane": "main"})),
        (7.0, lambda commands: commands.obey({"do": "tune", "changes": ["goal=20"]})),
        (8.0, lambda commands: commands.obey({"do": "stop"})),
    )
    drive.start()
    logged = [call.kwargs for call in hands.log.calls]
    assert [entry["event"] for entry in logged] == ["command", "command", "command_refused", *["command"] * 4]
    assert [entry.get("said", entry.get("reason")) for entry in logged] == [str(said) for said in hands.said]
    assert logged[1]["said"] == "main is paused by hand already."
    assert "no lane 'man'; there are main" in logged[2]["reason"]
    assert logged[4]["said"] == "main is not paused by hand; nothing was changed."


def test_quotas_that_can_be_tuned_are_all_that_are_numbers() -> None:
    """A quota that is added can be tuned without a word here; how a vendor counts cannot."""
    assert set(QUOTAS) == {field.name for field in fields(Quota)} - {"counts"}


# Waiting costs nothing


def turns_while(drive: Drive, *steps: Step) -> float:
    """Turns of the loop a second between 100 and 400 seconds of a run that is then stopped."""

    def turns(commands: Commands) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual.VirtualLoop)
        return loop.turns

    hands = Hands(drive, *steps, (100.0, turns), (400.0, turns), (400.0, lambda commands: commands.stop()))
    assert drive.start().state is RunState.INTERRUPTED
    before, after = [said for said in hands.said if isinstance(said, int)]
    return (after - before) / 300


def test_paused_run_does_nothing_but_beat() -> None:
    """With every lane paused, of many accounts, the loop wakes once a second and for nothing else."""
    lanes = {f"lane{n}": {**OTHER, "model": str(n), "requests_per_minute": 600} for n in range(20)}
    pauses: list[Step] = [(5.0, lambda commands, name=name: commands.pause(name)) for name in lanes]  # type: ignore[misc]
    assert turns_while(Drive(goal=5000, lanes=lanes), *pauses) <= 2.5


def test_two_thousand_calls_that_wait_do_nothing_but_wait() -> None:
    """While a provider lets 2,000 calls wait for an answer, the loop wakes once a second and for nothing else."""
    drive = Drive(goal=50_000, lanes={"main": {**LANE, "concurrent": 2000}}, delay=lambda rng: 1e6, patience=Patience(grace=0.0))
    assert turns_while(drive) <= 2.5
    assert len(drive.wire.sent) == 2000


def test_two_thousand_requests_that_wait_for_a_quota_do_not_poll() -> None:
    """2,000 retries in hand and a quota of one a minute: the loop wakes for the beat and for what the quota lets through."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(503, retry_after="60")

    drive = Drive(goal=50_000, answer=answer, lanes={"main": {**LANE, "concurrent": 2000}}, delay=lambda rng: 1.0)
    assert turns_while(drive, (30.0, tune("lanes.main.requests_per_minute=1"))) <= 3.0
    assert len(drive.wire.sent) >= 2000
