"""What a run may do later: ask again what failed, go on with a higher goal, be trimmed to a lower one, move to a new machine."""

from __future__ import annotations

import shutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import app, context, rundir
from engine.core.faults import Fault, FaultKind, PlanError
from engine.core.http import HttpResponse
from engine.export import Existing, export
from engine.plan import from_data
from engine.runtime.disk import Directory
from engine.runtime.pulse import RunState
from engine.status import fold
from engine.why import story
from tests import brain, runs
from tests.drive import LANE, Drive
from tests.tasks import seed, written


def refusing(step: str, share: int) -> Any:
    """A model that declines each `share`-th question of a step."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        if brain.step_of(body) == step and count % share == 0:
            return Fault(FaultKind.REFUSED, "HTTP 400 content_filter")
        return brain.answer(body, count)

    return answer


def test_what_failed_is_asked_again_when_told() -> None:
    """With `--retry-failed` every request that settled with a fault is asked once more; its new line takes the old one's place,
    the work behind it goes on, and a further retry asks nothing."""
    drive = Drive(goal=20, answer=refusing("classify", 3))
    first = drive.start()
    assert first.state is RunState.DONE
    failed = {(line["s"], line["i"]) for line in drive.settled() if "fault" in line}
    assert len(failed) > 3

    again = Drive(goal=20, disk=drive.disk, failures=app.Failures.RETRY)
    pulse = again.start()
    assert pulse.state is RunState.DONE
    assert Counter(brain.step_of(body) for body in again.wire.sent) == {"classify": len(failed), "instance": len(failed)}
    assert pulse.records > first.records
    settled = [line for line in again.settled() if "fault" not in line]
    assert {(line["s"], line["i"]) for line in settled if line.get("again")} == failed
    assert set(Counter((line["s"], line["i"]) for line in settled).values()) == {1}
    assert pulse.tally["steps"]["classify"] == {"settled": 20, "kept": 20, "dropped": {}, "faults": {}, "cost": 0}

    third = Drive(goal=20, disk=drive.disk, failures=app.Failures.RETRY)
    assert third.start().state is RunState.DONE
    assert third.wire.sent == []


def test_what_failed_stays_failed_until_told() -> None:
    """Without the option a resumed run leaves faults alone; what fails again may be retried again."""
    drive = Drive(goal=10, answer=refusing("instance", 2))
    drive.start()
    silent = Drive(goal=10, disk=drive.disk)
    assert silent.start().state is RunState.DONE
    assert silent.wire.sent == []
    for _ in range(2):
        drive = Drive(goal=10, disk=drive.disk, answer=refusing("instance", 1), failures=app.Failures.RETRY)
        assert drive.start().state is RunState.DONE
        assert len(drive.wire.sent) > 3
    last = Drive(goal=10, disk=drive.disk, failures=app.Failures.RETRY)
    assert last.start().tally["steps"]["instance"]["faults"] == {}


def test_retry_with_no_lane_left_ends() -> None:
    """Retried requests count as work that needs a lane: when the only one closes, the run says so and does not wait for ever."""
    drive = Drive(goal=10, answer=refusing("instance", 2))
    drive.start()
    dead = Drive(
        goal=10, disk=drive.disk, failures=app.Failures.RETRY, answer=lambda body, count: Fault(FaultKind.AUTH, "HTTP 401")
    )
    assert dead.start().state is RunState.NO_LANE


def test_failed_growth_is_not_asked_again_beyond_the_goal() -> None:
    """A proposal that failed is not missed where the goal is reached, and asked again where the goal is higher."""
    drive = Drive(goal=12, answer=refusing("instruct", 2), lanes={"main": {**LANE, "concurrent": 2}})
    drive.start()
    failed = sum("fault" in line for line in drive.settled())
    assert failed
    done = Drive(goal=12, disk=drive.disk, failures=app.Failures.RETRY)
    done.start()
    assert done.wire.sent == []
    more = Drive(goal=60, disk=drive.disk, failures=app.Failures.RETRY)
    assert more.start().state is RunState.DONE
    assert sum(bool(line.get("again")) for line in more.settled()) == failed


def test_finished_run_goes_on_with_a_higher_goal() -> None:
    """Raised, the goal makes a finished run ask for what is missing, and for nothing that it has."""
    drive = Drive(goal=6)
    drive.start()
    before = drive.keys()
    more = Drive(goal=25, disk=drive.disk)
    pulse = more.start()
    assert pulse.state is RunState.DONE
    assert pulse.kept >= 25
    assert set(more.keys().values()) == {1}
    assert len(more.wire.sent) == len(more.settled()) - sum(before.values())


def replanned(run: Path, **changes: Any) -> None:
    """Resume with a changed plan, as `seeddrill run --set` does before it asks anything."""
    loaded = context.load(from_data(tomllib.loads(runs.PLAN) | changes), kept=run)
    rundir.prepare(loaded, Directory(run), str(run))


def test_export_is_trimmed_to_a_lower_goal(run: Path, tmp_path: Path) -> None:
    """After the goal was lowered, exports hold the records of the first instructions only; raised again, they are all there."""
    counts = []
    for goal in (1, 2, 3):
        replanned(run, goal=goal)
        counts.append(export(run, tmp_path / "out.json", "alpaca", Existing.REPLACE).records)
        assert {record.item["instruction"] for record in rundir.records(run)} <= {
            record.item["instruction"] for record in rundir.records(run)
        }
    assert counts == [2, 3, 3]
    assert fold(run)["goal"] == 3


def test_moved_run_goes_on_without_the_files_it_was_made_from(tmp_path: Path) -> None:
    """On another machine the run directory alone is enough: seeds, files to avoid and templates are read from its own copies; a
    changed file of the same name is still refused."""
    seeds = written(tmp_path, seed(0), seed(1), seed(2))
    avoid = tmp_path / "avoid.txt"
    avoid.write_text("Name all rivers of Styria.\n")
    templates = tmp_path / "mine"
    templates.mkdir()
    (templates / "propose.chat.txt").write_text("You invent tasks.\n---\nGo on:\n{tasks}\n")
    mine = {"seeds": str(seeds), "options": {"avoid": [str(avoid)], "templates": str(templates)}}
    plan = from_data(tomllib.loads(runs.PLAN) | mine)
    run = tmp_path / "run"
    run.mkdir()
    rundir.prepare(context.load(plan), Directory(run), str(run))
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, moved)
    seeds.unlink(), avoid.unlink(), shutil.rmtree(templates)
    with pytest.raises(PlanError, match="cannot be read"):
        context.load(plan)
    loaded = context.load(plan, kept=moved)
    rundir.prepare(loaded, Directory(moved), str(moved))
    assert len(loaded.context.seeds) == 3
    assert loaded.context.avoid[0][1] == "Name all rivers of Styria."
    seeds.write_text(written(tmp_path, seed(0)).read_text())
    with pytest.raises(Exception, match="belongs to another plan"):
        rundir.prepare(context.load(plan, kept=moved), Directory(moved), str(moved))


def test_lock_of_another_machine_is_nobody_here(run: Path) -> None:
    """A copied lock file names a process of the machine it came from, not one of this one."""
    (run / "lock").write_text("1 another-machine\n")
    assert rundir.holder(run) is None


def test_why_tells_the_last_answer_of_a_retried_request(run: Path) -> None:
    """The story of a request that failed, and was asked again, is that of its answer."""
    assert "No answer: refused" in story(run, "instruct/1")
    loaded = rundir.reopen(run)
    disk = Directory(run)
    from engine.runtime.journal import Journal

    journal = Journal(disk, app.header(loaded), str(run))
    agenda = app.replayed(loaded, journal, run)
    agenda.aim(50)
    agenda.retry_failed(0.0)
    runs.settle(loaded, agenda, journal, {("instruct", 1, 0): "1. Say why bells ring at noon in old towns."}, 1)
    disk.close()
    assert "Say why bells ring at noon" in story(run, "instruct/1")


def test_plan_keeps_its_shape_when_changed() -> None:
    """`changed` gives back the plan it was given, where nothing is changed, quotas of lanes included."""
    from engine.plan import changed

    plan = from_data(tomllib.loads(runs.PLAN) | {"goal": 7, "options": {"topic": "bees"}})
    assert changed(plan, []) == plan
    assert changed(plan, ["lanes.main.requests_per_minute=5", "goal=9"]).lanes["main"].quota.requests_per_minute == 5
    assert msgspec.to_builtins(changed(plan, ["options.rouge_max=0.6"]).options) == {"topic": "bees", "rouge_max": 0.6}
