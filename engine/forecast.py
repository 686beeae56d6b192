"""`seeddrill plan check --estimate`: what a whole run may take, from what a pilot run measured, or guessed. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine import app, context, funds, rundir
from engine.core import recipe as acts
from engine.core.estimate import TOKENS, WORN, Estimate, LaneFacts, Profile, Range, Sample, Whole, estimate
from engine.core.faults import PlanError
from engine.core.money import brief
from engine.core.recipe import GROW, Step
from engine.core.till import Money
from engine.core.types import Line, Paid, Request, Settled, Usage
from engine.plan import Plan
from engine.rehearsal import Rehearsal, rehearse
from engine.runtime.account import declared
from engine.runtime.lane import Lane
from engine.runtime.segments import FOLDER

GUESS = """\
guess: no run was measured. Growth keeps 0.3 to 0.9 of what a prompt asks for; an answer has 0.1 to all of its max_tokens and
comes at 20 to 100 tokens a second; up to one call in ten is for nothing. Better: run a small goal first, then add --from DIR"""
MEANT = f"""\
means of the pilot, give or take two standard errors, and at least 5%. Where the goal is more than twice what the pilot kept,
growth may need {WORN:g} times as many requests, because more and more is a duplicate"""
YIELD, ANSWERED, NOTHING_LOST = Range(0.3, 0.9), Range(0.1, 1.0), Range(1.0, 1.1)
"""Guessed: of what a growth prompt asks for, of `max_tokens`, and calls a request."""
PROMPT = Range(0.7, 1.1)
"""Of the tokens that a prompt is estimated at, which is on the high side."""


@dataclass(slots=True)
class Measured:
    """What a pilot's journal says of one step."""

    kept: Sample = field(default_factory=Sample)
    usage: dict[str, Sample] = field(default_factory=lambda: {name: Sample() for name in TOKENS})
    seconds: Sample = field(default_factory=Sample)
    calls: int = 0
    wasted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKENS, 0))
    """Used by attempts that settled nothing."""

    def add(self, line: Settled | Paid) -> None:
        if isinstance(line, Paid):
            self.calls += line.usage.requests
            for name in TOKENS:
                self.wasted[name] += getattr(line.usage, name)
            return
        self.kept.add(len(line.kept))
        fresh = line.replies[line.before :]
        self.calls += len(fresh)
        for name in TOKENS:
            self.usage[name].add(sum(getattr(reply.usage, name) for reply in fresh))
        for reply in fresh:
            self.seconds.add(reply.seconds)

    def profile(self, step: Step, size: float, worn: float) -> Profile:
        count, kept = self.kept.count, self.kept.range()
        more = {name: wasted / count for name, wasted in self.wasted.items()}
        return Profile(
            step=step.name,
            role=step.role,
            source=step.source if isinstance(step.source, str) else None,
            kept=Range(kept.low / worn, kept.high) if step.source is GROW else Range(kept.low, kept.high),
            calls=Range(self.calls / count, self.calls / count),
            usage={
                name: Range((found := sample.range()).low + more[name], found.high + more[name])
                for name, sample in self.usage.items()
            },
            seconds=self.seconds.range(),
            bytes=Range(size, size),
        )


def text(plan: Plan, pilot: Path | None) -> str:
    """The estimate in words. Raises `PlanError` where the pilot is no run of this recipe, or has measured nothing."""
    loaded = context.load(plan)
    lanes = app.lanes(loaded)
    money = funds.money(loaded, lanes)
    rehearsal = rehearse(loaded)
    guesses = {step.name: _guess(loaded, step, lanes, rehearsal) for step in loaded.recipe.steps}
    measured = _measured(loaded, pilot) if pilot is not None else {}
    profiles = [measured.get(name, guess) for name, guess in guesses.items()]
    homes = app.homes(plan)
    facts = [
        LaneFacts(
            name=lane.name,
            account=homes[lane.name],
            roles=lane.roles,
            quota=declared(lane.plan.quota),
            prices=money.prices.get(lane.name),
        )
        for lane in lanes
    ]
    whole = _whole(loaded)
    found = estimate(whole, profiles, facts)
    left = [name for name in guesses if name not in measured]
    notes = [GUESS] if pilot is None else [MEANT]
    if pilot is not None and left:
        notes.append(f"guess for {', '.join(left)}, of which the pilot says nothing")
    return "\n".join([*_table(plan, whole, found, money, pilot), *(f"  {line}" for note in notes for line in note.splitlines())])


def _measured(loaded: context.Loaded, pilot: Path) -> dict[str, Profile]:
    if rundir.reopen(pilot).recipe.name != loaded.recipe.name:
        raise PlanError(f"{pilot} is a run of another recipe than {loaded.recipe.name}: estimate from a run of this one")
    steps = {step.name: Measured() for step in loaded.recipe.steps}
    count = _fold(steps, rundir.journal(pilot))
    if not count:
        raise PlanError(f"{pilot} has no answers yet: run a small goal there first, or leave --from out for a guess")
    size = sum(file.stat().st_size for file in (pilot / FOLDER).iterdir()) / count
    kept = steps[loaded.recipe.source_step.name].kept.total
    worn = WORN if (loaded.plan.goal or 0) > 2 * kept else 1.0
    return {
        step.name: steps[step.name].profile(step, size, worn)
        for step in loaded.recipe.steps
        if steps[step.name].kept.total  # a step that has kept nothing tells nothing of what comes after it
    }


def _fold(steps: Mapping[str, Measured], lines: Iterable[Line]) -> int:
    """Take every line in; returns how many requests were answered."""
    count = 0
    for line in lines:
        if isinstance(line, Paid) or (isinstance(line, Settled) and line.fault is None):
            steps[line.step].add(line)
            count += isinstance(line, Settled)
    return count


def _guess(loaded: context.Loaded, step: Step, lanes: list[Lane], rehearsal: Rehearsal) -> Profile:
    """From the step's prompts, as they would be for examples, and the longest answers that it lets the model give."""
    lane = next((lane for lane in lanes if step.role in lane.roles), None)
    if lane is None:
        raise PlanError(f"no lane serves the role {step.role!r}: add it to the role of a lane, or leave role out there")
    share = 1.0 if isinstance(step.source, str) else rehearsal.share  # of what it asks about, or turns away
    weights: list[Usage] = []
    thought = 0
    for item in (examples := rehearsal.items[step.name]):
        request = acts.draw(step, Request(step=step.name, index=0, item=item), loaded.context, ())
        calls = acts.compose(step, request, loaded.context, lane.style).calls
        weights += [lane.provider.weigh(call) for call in calls]
        thought += sum(lane.weigh(call).tokens_out for call in calls)
    each, most = share / max(1, len(examples)), sum(usage.tokens_out for usage in weights)
    out, reasoning = (Range(ANSWERED.low * tokens * each, ANSWERED.high * tokens * each) for tokens in (most, thought - most))
    calls_each = len(weights) * each
    return Profile(
        step=step.name,
        role=step.role,
        source=step.source if isinstance(step.source, str) else None,
        kept=YIELD.times(_asked_for(loaded)) if step.source is GROW else Range(0.9 * share, share),
        calls=NOTHING_LOST.times(Range(calls_each, calls_each)),
        usage={**_guessed(weights, each, out), "tokens_reasoning": NOTHING_LOST.times(reasoning)},
        seconds=Range(0.5 + (out.low + reasoning.low) / 100, 2 + (out.high + reasoning.high) / 20),
        bytes=Range(500 + 6 * out.low, 900 + 10 * out.high),
    )


def _whole(loaded: context.Loaded) -> Whole:
    """How far the run goes. Counts the documents, where no sample says how many they are."""
    if loaded.source is None:
        return Whole(loaded.plan.goal)
    size = getattr(loaded.context.options, "sample", None)
    return Whole(loaded.plan.goal, size if size is not None else loaded.source.count())


def _guessed(weights: list[Usage], each: float, out: Range) -> dict[str, Range]:
    prompt, characters = (sum(getattr(usage, name) for usage in weights) * each for name in ("prompt", "characters"))
    usage = {"tokens_in": PROMPT.times(Range(prompt, prompt)), "tokens_out": out, "characters": Range(characters, characters)}
    return {name: NOTHING_LOST.times(range) for name, range in usage.items()}


def _asked_for(loaded: context.Loaded) -> Range:
    """Items that one growth prompt asks for."""
    new = float(getattr(loaded.context.options, "new", 4))
    return Range(new, new)


def _worded(whole: Whole) -> str:
    if whole.documents is None:
        return f"{whole.goal:,} instructions"
    return f"{'' if whole.goal is None else f'{whole.goal:,} records of '}{whole.documents:,} documents"


def _table(plan: Plan, whole: Whole, found: Estimate, money: Money, pilot: Path | None) -> list[str]:
    basis = f"from {pilot}" if pilot is not None else "a guess"
    rows = [f"Estimate of the whole run, {_worded(whole)}, {basis}:", f"  {'':<12}{'low':>14}{'high':>14}"]
    rows += [
        _row("calls", found.calls),
        _row("tokens in", found.tokens_in),
        _row("tokens out", found.tokens_out),
        *([_row("characters", found.characters)] if found.characters.high else []),
    ]
    if money.counted:
        rows.append(f"  {'money':<12}{_sum(found.cost.low):>14}{_sum(found.cost.high):>14} {money.currency}")
        rows += _limits(found, money)
    unknown = [name for name in plan.lanes if name not in money.prices]
    if unknown:
        rows.append(f"  without what {', '.join(unknown)} may cost: {money.remarks[unknown[0]]}")
    if found.hours is not None:
        rows.append(f"  {'hours':<12}{found.hours.low:>14,.2f}{found.hours.high:>14,.2f}  (bound by {found.bound})")
    megabytes = Range(found.disk.low / 1e6, found.disk.high / 1e6)
    rows.append(f"  {'disk':<12}{megabytes.low:>14,.1f}{megabytes.high:>14,.1f} MB")
    return rows


def _sum(nano: float) -> str:
    return brief(round(nano), "").rstrip()


def _row(name: str, range: Range) -> str:
    return f"  {name:<12}{round(range.low):>14,}{round(range.high):>14,}"


def _limits(found: Estimate, money: Money) -> list[str]:
    """Whether each limit is enough."""
    limits = money.limits
    judged = [("budget", found.cost, limits.run)]
    judged += [(f"budget of the role {name}", found.cost_of_role(name), limit) for name, limit in limits.roles.items()]
    judged += [(f"budget of the lane {name}", found.cost_of_lane(name), limit) for name, limit in limits.lanes.items()]
    rows: list[str] = []
    for whose, cost, limit in judged:
        if limit is not None:
            verdict = "enough" if cost.high <= limit else "perhaps not enough" if cost.low <= limit else "NOT enough"
            rows.append(f"    the {whose}, {brief(limit, money.currency)}, is {verdict}")
    return rows
