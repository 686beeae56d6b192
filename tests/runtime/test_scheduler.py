"""The real loop in virtual time: how runs end, what faults do, and that nothing that was answered is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from engine.core.faults import DiskError, Fault, FaultKind, PlanError
from engine.core.filters import of_user
from engine.core.http import HttpResponse
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Patience, Scheduler
from tests import brain, virtual
from tests.drive import LANE, Drive
from tests.fakes import Crash, FakeDisk, answered, refused


def after(seconds: float, act: Callable[[Scheduler], Any]) -> Callable[[Scheduler], None]:
    """A disturbance: calls `act(scheduler)` once the run is `seconds` old."""
    return lambda scheduler: asyncio.get_running_loop().call_later(seconds, act, scheduler) and None


def test_run_reaches_its_goal_and_settles_everything_once() -> None:
    """A run ends with its goal kept, every request settled exactly once, and every line durable."""
    drive = Drive(goal=20)
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.kept >= 20
    assert pulse.in_flight == 0
    keys = drive.keys()
    assert set(keys.values()) == {1}
    assert sum(step == "classify" for step, _ in keys) == sum(step == "instance" for step, _ in keys) == 20
    assert pulse.records == sum(len(line["kept"]) for line in drive.settled() if line["s"] == "instance") >= 10
    assert drive.disk.synced == drive.disk.files


def test_finished_run_asks_nothing_more() -> None:
    """Started again, a finished run ends at once without a call."""
    drive = Drive()
    drive.start()
    before = dict(drive.disk.files)
    assert drive.start().state is RunState.DONE
    assert drive.wire.sent == []
    assert drive.disk.files == before


def test_steps_stream_into_each_other() -> None:
    """Items are classified while instructions are still being proposed: there is no barrier between steps."""
    drive = Drive(goal=60)
    drive.start()
    steps = [brain.step_of(body) for body in drive.wire.sent]
    assert steps.index("instance") < len(steps) - 1 - steps[::-1].index("instruct")


def test_concurrency_stays_within_the_quota() -> None:
    """An account never has more calls in flight than it may, and does use what it may."""
    drive = Drive(goal=30, lanes={"main": {**LANE, "concurrent": 3}})
    drive.start()
    assert drive.wire.peak == 3


def test_requests_stay_within_the_minute() -> None:
    """With a quota a minute, no sixty seconds ever see more requests, from the first one on."""
    drive = Drive(goal=30, lanes={"main": {**LANE, "concurrent": 50, "requests_per_minute": 20}})
    drive.start()
    times = drive.wire.times
    assert len(times) > 40
    assert max(sum(start <= t < start + 60 for t in times) for start in times) <= 20


def test_crash_at_every_disk_operation_loses_nothing_durable() -> None:
    """Killed at each single write or sync and resumed: what was synced survives, nothing settles twice, the goal is reached."""
    crash_at, crashed = 0, True
    while crashed:
        drive = Drive(goal=8, lanes={"main": {**LANE, "concurrent": 3}})
        drive.disk.crash_at, drive.disk.rng = crash_at, Random(crash_at)
        try:
            drive.start()
            crashed = False
        except Crash:
            durable = drive.disk.synced
            answered_before = drive.wire.answered if hasattr(drive, "wire") else 0
            files = drive.disk.survivors()
            assert all(files[name].startswith(data) for name, data in durable.items())
            drive = Drive(goal=8, lanes={"main": {**LANE, "concurrent": 3}}, disk=FakeDisk(files))
            kept_lines = sum(data.count(b"\n") for data in files.values())
            assert drive.start().state is RunState.DONE
            assert answered_before - max(0, kept_lines - 1) <= 3 + 8, "more was lost than calls in flight and one group"
        assert set(drive.keys().values()) == {1}
        assert sum(len(line["kept"]) for line in drive.settled() if line["s"] == "instruct") >= 8
        crash_at += 1
    assert crash_at > 20, "the run was too short to prove anything"


def test_disk_that_forgets_nothing_synced_can_lose_the_rest() -> None:
    """The fake disk does forget: without syncs a crash would take answers with it, so the test above can fail."""
    disk = FakeDisk()
    disk.append("00000.jsonl", b"line\n")
    disk.sync("00000.jsonl")
    assert {"00000.jsonl" in disk.survivors() for _ in range(20)} == {True, False}, "a name is not safe yet"
    disk.sync_names()
    disk.append("00000.jsonl", b"more\n")
    assert {disk.survivors()["00000.jsonl"] == b"line\nmore\n" for _ in range(40)} == {True, False}, "contents are not safe yet"
    disk.sync("00000.jsonl")
    assert all(disk.survivors() == {"00000.jsonl": b"line\nmore\n"} for _ in range(20))


def test_first_signal_lets_calls_finish() -> None:
    """A signal stops asking; calls in flight finish and are written; the same command goes on later."""
    drive = Drive(goal=30, meanwhile=after(4.0, lambda scheduler: scheduler.interrupt("SIGINT")))
    pulse = drive.start()
    assert pulse.state is RunState.INTERRUPTED
    assert "SIGINT" in pulse.reason
    assert drive.wire.answered == len(drive.wire.sent) == len(drive.settled())
    resumed = Drive(goal=30, disk=drive.disk)
    assert resumed.start().state is RunState.DONE
    assert set(resumed.keys().values()) == {1}


def test_grace_is_bounded() -> None:
    """A call that does not come back within the grace is cut off, and booked as possibly paid."""
    drive = Drive(
        goal=30,
        delay=lambda rng: 1e6,
        patience=Patience(grace=5.0),
        meanwhile=after(4.0, lambda scheduler: scheduler.interrupt("SIGTERM")),
    )
    pulse = drive.start()
    assert pulse.state is RunState.INTERRUPTED
    assert pulse.seconds == pytest.approx(9.0, abs=0.1)
    assert drive.settled() == []
    assert len(drive.paid()) == len(drive.wire.sent) > 0
    assert all(line["usage"]["estimated"] for line in drive.paid())


def test_second_signal_cancels_the_calls_and_keeps_the_answers() -> None:
    """The second signal cuts calls off at once; every answer that had arrived is written."""

    def twice(scheduler: Scheduler) -> None:
        scheduler.interrupt("SIGINT")
        scheduler.interrupt("SIGINT")

    drive = Drive(goal=30, meanwhile=after(5.0, twice))
    pulse = drive.start()
    assert pulse.state is RunState.INTERRUPTED
    assert pulse.seconds == pytest.approx(5.0, abs=0.1)
    assert 0 < drive.wire.answered == len(drive.settled())
    assert Drive(goal=30, disk=drive.disk).start().state is RunState.DONE


def test_bug_in_a_call_keeps_finished_answers() -> None:
    """An unexpected exception ends the run with itself, after every answer that had arrived is written."""

    def broken(body: dict[str, Any], count: int) -> HttpResponse:
        if count == 20:
            raise ZeroDivisionError("a bug")
        return brain.answer(body, count)

    drive = Drive(goal=30, answer=broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        drive.start()
    assert 10 < drive.wire.answered == len(drive.settled())
    assert Drive(goal=30, disk=drive.disk).start().state is RunState.DONE


def test_cancellation_from_outside_keeps_finished_answers() -> None:
    """A caller that cancels `run` gets its cancellation, after every answer that had arrived is written."""
    drive = Drive(goal=500)
    real = Scheduler.run

    async def cancelled(scheduler: Scheduler) -> Any:
        with anyio.move_on_after(20):
            await real(scheduler)
        return scheduler.pulse()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scheduler, "run", cancelled)
        drive.start()
    assert 20 < drive.wire.answered == len(drive.settled())


def test_full_disk_ends_the_run_with_everything_before_it_valid() -> None:
    """ENOSPC ends the run with exit code 7; the lines before it are whole, and with room the run goes on."""
    drive = Drive(goal=30)
    drive.disk.room = 30_000
    with pytest.raises(DiskError, match="No space left") as caught:
        drive.start()
    assert caught.value.exit_code == 7
    drive.disk.room = None
    resumed = Drive(goal=30, disk=drive.disk)
    assert resumed.start().state is RunState.DONE
    assert set(resumed.keys().values()) == {1}


def test_model_that_repeats_itself_stalls_the_run() -> None:
    """When the first 30 replies keep nothing, the run stops paying, says why, and can be resumed."""
    drive = Drive(goal=30, answer=lambda body, count: answered(" Tell me a story about a dog.\n10. Tell me a story about a dog."))
    pulse = drive.start()
    assert pulse.state is RunState.STALLED
    assert pulse.kept == 1
    assert 200 <= len(drive.settled()) <= 220
    drive = Drive(goal=30, answer=lambda body, count: answered(" no\n10. no"))
    assert drive.start().state is RunState.STALLED
    assert 30 <= len(drive.settled()) <= 38
    resumed = Drive(goal=30, disk=drive.disk)
    assert resumed.start().state is RunState.DONE


def test_refused_key_ends_the_run_without_a_lane() -> None:
    """AUTH closes the lane; with none left the run ends resumable, nothing settled as failed."""
    drive = Drive(answer=lambda body, count: refused(401, "invalid_api_key"))
    pulse = drive.start()
    assert pulse.state is RunState.NO_LANE
    assert "main" in pulse.reason and "401" in pulse.reason
    assert drive.settled() == []
    assert Drive(disk=drive.disk).start().state is RunState.DONE


def test_work_of_a_closed_lane_flows_to_the_others() -> None:
    """A lane that loses its credit is closed; the other one finishes the run."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        if body["model"] == "poor" and count > 10:
            return refused(429, "insufficient_quota")
        return brain.answer(body, count)

    lanes = {
        "poor": {**LANE, "provider": "openai", "model": "poor", "style": "completion"},
        "rich": {**LANE, "provider": "openai", "model": "rich", "style": "completion"},
    }
    drive = Drive(goal=30, answer=answer, lanes=lanes)
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert [lane.state for lane in pulse.lanes] == ["closed", "open"]
    assert set(drive.keys().values()) == {1}
    assert {line["lane"] for line in drive.settled()} == {"poor", "rich"}


def test_rate_refusals_pause_the_account_as_long_as_told() -> None:
    """After a 429 with a hint, nothing more is sent before the hint is over."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(429, "rate_limit_exceeded", retry_after="30") if count == 5 else brain.answer(body, count)

    drive = Drive(goal=10, answer=answer)
    assert drive.start().state is RunState.DONE
    gaps = sorted(b - a for a, b in zip(drive.wire.times, drive.wire.times[1:], strict=False))
    assert gaps[-1] >= 26.5, "calls sent before the refusal came back may still be on their way"


def test_outage_of_an_hour_loses_nothing() -> None:
    """While a provider is down its requests wait, probed now and then, and none is given up."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if 60 < anyio.current_time() < 3660:
            return Fault(FaultKind.NETWORK, "cannot connect", reached=False)
        return brain.answer(body, count)

    drive = Drive(goal=200, answer=answer)
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.seconds > 3660
    assert not any("fault" in line for line in drive.settled())
    during = [t for t in drive.wire.times if 120 < t < 3660]
    assert len(during) <= 70, "one probe a minute at the most"


def test_poisoned_request_is_given_up_while_others_succeed() -> None:
    """One request that always fails is settled as failed once its patience is over; the run goes on and ends."""
    poison: list[str] = []

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        prompt = brain.prompt_of(body)
        if brain.step_of(body) == "classify" and not poison:
            poison.append(prompt)
        return refused(500) if prompt in poison else brain.answer(body, count)

    drive = Drive(goal=12, answer=answer, patience=Patience(request=300.0))
    assert drive.start().state is RunState.DONE
    failed = [line for line in drive.settled() if "fault" in line]
    assert [line["fault"]["kind"] for line in failed] == ["overload"]
    assert failed[0]["kept"] == []


def test_too_big_requests_ask_for_less() -> None:
    """A request that the server finds too big is sent again with fewer tokens to answer, and succeeds."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        if body["max_tokens"] > 700:
            return refused(400, "context_length_exceeded")
        return brain.answer(body, count)

    drive = Drive(goal=6, answer=answer)
    assert drive.start().state is RunState.DONE
    asked = sorted({body["max_tokens"] for body in drive.wire.sent if brain.step_of(body) == "instruct"}, reverse=True)
    assert asked == [1024, 819, 655]


def test_unclear_answers_are_paid_for_and_asked_again() -> None:
    """A classification that is neither yes nor no is asked again, warmer, and dropped as unclear after three tries."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return answered(" Maybe") if brain.step_of(body) == "classify" else brain.answer(body, count)

    drive = Drive(goal=4, answer=answer)
    assert drive.start().state is RunState.DONE
    classified = [line for line in drive.settled() if line["s"] == "classify"]
    assert len(classified) == 4
    assert all(line["try"] == 2 and line["dropped"] == [[0, {}, "unclear"]] for line in classified)
    assert all(line["replies"][0]["text"] == " Maybe" for line in classified)
    assert [line["paid"] for line in drive.paid()] == ["malformed unclear"] * 8
    warmths = {body["temperature"] for body in drive.wire.sent if brain.step_of(body) == "classify"}
    assert warmths == {0.0, 0.7}


GARBLED = HttpResponse(200, {}, b'{"choices": [{"te<html>')


def test_garbled_answers_cost_no_question() -> None:
    """A body that is no answer is paid for and drawn anew, of the step that grows too, though that takes every text as it is."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return GARBLED if count % 3 == 0 else brain.answer(body, count)

    drive = Drive(goal=8, answer=answer)
    assert drive.start().state is RunState.DONE
    assert not [line for line in drive.settled() if "fault" in line]
    assert {line["paid"] for line in drive.paid()} == {"malformed answer"}
    assert {(line["s"], line["i"]) for line in drive.paid()} <= {
        (line["s"], line["i"]) for line in drive.settled() if line["try"]
    }
    assert "instruct" in {line["s"] for line in drive.paid()}


def test_server_that_garbles_everything_is_not_paid_for_ever() -> None:
    """After three bodies that are no answer a question has failed, and so has the run once it keeps nothing."""
    drive = Drive(goal=8, answer=lambda body, count: GARBLED)
    assert drive.start().state is RunState.STALLED
    assert {line["fault"]["kind"] for line in drive.settled()} == {"malformed"}
    paid = Counter((line["s"], line["i"]) for line in drive.paid())
    assert {paid[line["s"], line["i"]] for line in drive.settled()} == {3}
    assert max(paid.values()) == 3


def test_tries_survive_a_restart() -> None:
    """How often an answer could not be read is remembered, so a crash does not pay for the same try again."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return answered(" Maybe") if brain.step_of(body) == "classify" else brain.answer(body, count)

    stop = after(1.5, lambda scheduler: scheduler.interrupt("SIGINT"))
    drive = Drive(goal=4, answer=answer, delay=lambda rng: 1.0, meanwhile=stop)
    assert drive.start().state is RunState.INTERRUPTED
    assert 0 < len(drive.paid()) < 8
    resumed = Drive(goal=4, answer=answer, disk=drive.disk)
    assert resumed.start().state is RunState.DONE
    assert len(resumed.paid()) == 8


def test_slow_disk_holds_back_new_calls() -> None:
    """When writing takes long, answers pile up to a bound and no further: calls keep their slots until they are settled."""

    async def slow(function: Any, data: Any, /) -> Any:
        if isinstance(data, bytes):  # on a busy machine answers are judged by it too
            await anyio.sleep(500)
        return function(data)

    most = 0

    def watch(scheduler: Scheduler) -> None:
        scheduler._done._bound = scheduler._out._bound = 4

    drive = Drive(goal=60, worker=slow, meanwhile=watch)
    real = drive.answer

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        nonlocal most
        written = len(drive.settled())
        most = max(most, count + 1 - written)
        return real(body, count)

    drive.answer = answer
    assert drive.start().state is RunState.DONE
    assert most <= 4 + 4 + 4 + 8 + 1, "done, one group being written, out, calls in flight, and one in the settler's hand"


def test_goal_raised_later_goes_on() -> None:
    """A finished run with a higher goal asks for the rest, and items beyond the old goal get their children now."""
    drive = Drive(goal=5)
    assert 5 < drive.start().kept < 30
    raised = Drive(goal=30, disk=drive.disk)
    pulse = raised.start()
    assert pulse.state is RunState.DONE
    assert pulse.kept >= 30
    assert len([step for step, _ in raised.keys().elements() if step == "classify"]) == 30
    assert set(raised.keys().values()) == {1}


def test_goal_lowered_later_is_already_reached() -> None:
    """A lower goal asks nothing more, and the journal with its later items is still read."""
    drive = Drive(goal=15)
    drive.start()
    lowered = Drive(goal=5, disk=drive.disk)
    assert lowered.start().state is RunState.DONE
    assert lowered.wire.sent == []


def test_prompts_do_not_depend_on_what_runs_first() -> None:
    """The first prompt of an index is the same whatever the concurrency, while the pool is empty: randomness is keyed."""
    prompts = []
    for concurrent in (1, 8):
        drive = Drive(goal=1, lanes={"main": {**LANE, "concurrent": concurrent}})
        drive.start()
        prompts.append(brain.prompt_of(drive.wire.sent[0]))
    assert prompts[0] == prompts[1]


def test_what_resembles_a_file_to_avoid_is_dropped_with_its_line(tmp_path: Path) -> None:
    """Texts of `options.avoid` are in the index before the first call, and a verdict names file and line."""
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text('{"question": "Name three rivers in Asia and their lengths."}\n{"question": "Who wrote Faust?"}\n')

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        if brain.step_of(body) == "instruct" and count == 0:
            return answered(" Name three rivers in Asia, and their lengths.\n10. Tell me who it was that wrote Faust.")
        return brain.answer(body, count)

    drive = Drive(goal=4, answer=answer, options={"avoid": [str(benchmark)]}, lanes={"main": {**LANE, "concurrent": 1}})
    assert drive.start().state is RunState.DONE
    first = drive.settled()[0]
    assert [item["instruction"] for item in first["kept"]] == ["Tell me who it was that wrote Faust."]
    assert [reason for _, _, reason in first["dropped"]] == [f"avoided {benchmark}:1 (1.0)"]


def test_slow_judging_leaves_the_loop() -> None:
    """While judging an answer takes longer than the loop can spare, it goes through the worker; then it comes back."""
    worked: list[str] = []

    async def worker(function: Any, argument: Any, /) -> Any:
        worked.append(function.__name__)
        return await virtual.inline(function, argument)

    def slow(scheduler: Scheduler) -> None:
        scheduler._settling._judging.took = 100.0

    drive = Drive(goal=20, worker=worker, meanwhile=slow)
    assert drive.start().state is RunState.DONE
    assert set(drive.keys().values()) == {1}
    assert 10 < worked.count("_timed") <= len(drive.settled())


OTHER = {**LANE, "provider": "openai", "style": "completion", "model": "other"}


def test_request_held_for_a_lane_that_closes_goes_to_another() -> None:
    """A pump that waits for room with a request in hand hands it over when its lane closes, and wakes the others."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(401) if body["model"] == "slow" else brain.answer(body, count)

    slow = {**OTHER, "model": "slow", "requests_per_minute": 6}
    drive = Drive(goal=10, answer=answer, lanes={"slow": slow, "other": OTHER})
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.seconds < 120


def test_nothing_is_sent_during_a_pause_that_began_while_waiting() -> None:
    """A request that waits for its place in the row is not sent into the pause that a refusal has begun meanwhile."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(429, "rate_limit_exceeded", retry_after="300") if count == 3 else brain.answer(body, count)

    drive = Drive(goal=8, answer=answer, lanes={"main": {**LANE, "requests_per_minute": 20}})
    assert drive.start().state is RunState.DONE
    gaps = [b - a for a, b in zip(drive.wire.times, drive.wire.times[1:], strict=False)]
    heard = drive.wire.times[3] + 3.0
    assert max(gaps) > 290
    assert not [t for t in drive.wire.times if heard < t < heard + 290]


def test_one_burst_of_refusals_is_one_episode() -> None:
    """Eight calls refused together without a hint pause the account for a second, not for the maximum."""
    drive = Drive(
        goal=30, answer=lambda body, count: refused(429) if count < 6 else brain.answer(body, count), delay=lambda rng: 1.0
    )
    assert drive.start().state is RunState.DONE
    assert drive.wire.times[6] < 5.0


def test_growth_that_is_not_needed_any_more_is_not_waited_for() -> None:
    """A proposal that failed and would be due in ten minutes is forgotten when the others reach the goal."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(503, retry_after="600") if count == 0 else brain.answer(body, count)

    drive = Drive(goal=12, answer=answer)
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.seconds < 60
    assert Drive(goal=40, disk=drive.disk).start().state is RunState.DONE


def test_lane_that_nobody_needs_any_more_may_close() -> None:
    """With the goal reached, the proposing lane's end does not end the run: what is left is for the other lane."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        if body["model"] == "ideas":
            return refused(402) if count > 2 else brain.answer(body, count)
        return brain.answer(body, count)

    ideas = {**OTHER, "model": "ideas", "role": "propose"}
    rest = {**OTHER, "role": ["classify", "answer"]}
    drive = Drive(goal=6, answer=answer, lanes={"ideas": ideas, "rest": rest})
    pulse = drive.start()
    assert pulse.state is RunState.DONE
    assert pulse.records > 3


def test_signal_bounds_a_drain_of_the_runs_own_making() -> None:
    """A run that drains because no lane is left still stops within the grace when a signal comes."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse:
        return refused(401) if body["model"] == "other" else brain.answer(body, count)

    drive = Drive(
        goal=30,
        answer=answer,
        lanes={"main": {**LANE, "role": ["classify", "answer"]}, "other": {**OTHER, "role": "propose"}},
        patience=Patience(grace=5.0),
        delay=lambda rng: 1.0,
        meanwhile=after(20.0, lambda scheduler: scheduler.interrupt("SIGTERM")),
    )
    pulse = drive.start()
    assert pulse.state is RunState.NO_LANE
    assert pulse.seconds < 30


def test_mistake_in_a_users_filter_loses_no_other_answer() -> None:
    """A filter that fails ends the run as the user's to mend; every other answer that had arrived is written."""
    calls = 0

    def moody(item: dict[str, Any]) -> str | None:
        nonlocal calls
        calls += 1
        return item["nope"] if calls == 20 else None

    def spoil(scheduler: Scheduler) -> None:
        context = scheduler._settler.context
        scheduler._settler.context = replace(context, filters=(*context.filters, of_user("my:moody", moody)))

    drive = Drive(goal=30, meanwhile=spoil)
    with pytest.raises(PlanError, match="the filter my:moody failed on"):
        drive.start()
    assert drive.wire.answered - 1 == len(drive.settled()) > 2
    assert Drive(goal=30, disk=drive.disk).start().state is RunState.DONE
