"""Pressing: the trials that send more than a limit lets through, of small calls or of heavy ones, and tell how it refills.

Pure; part of the program of an active test.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from engine.core.estimates import Basis, Measure, bound, weigh
from engine.core.laws import MINUTE
from engine.core.shapes import SMALL, Form, Shape
from engine.core.subject import Confirmed, Recovery, Subject
from engine.core.trials import Flood, Pace, Pause, Schedule, Singles, Trial, grouped, spacing

MOST = 100.0
"""Calls a second that are sent at the most."""
RISE = 40.0
"""Seconds in which a flood that starts from nothing finds a limit, if there is one below `MOST`."""
AFTER = (30.0, 50.0, 65.0)
"""Seconds that a limit is pressed for: a bucket shows itself in the first part; windows of a minute need to turn."""
WIDE = 0.04
"""Width of an interval, as a share, that needs no more pressing."""
SHARE = 0.9
"""Of the lower bound of what was measured: what a plan is given."""
REST = 0.7
"""Of the requests that the caps leave, what that minute may take: heavy calls come after it."""
FEW, LESS = 0.01, 0.85
"""Share of refusals at that rate that is no sign of anything; and what is tried of it where there are more."""
_ROUGH = 10.0
"""Seconds that a limit of unknown size is pressed for, to learn how large heavy calls should be."""
_LEAST = 64
_SINGLES = 60


def requests(subject: Subject) -> Generator[Trial, None, bool]:
    """Small calls; whether our own calls were in time."""
    record, numbers = subject.record, list[int]()
    rate = subject.guess(Measure.REQUESTS)
    guess = rate / MINUTE if rate else None
    if rate is not None and rate / MINUTE > MOST:
        subject.findings.remarks.append(f"{rate:,.0f} requests a minute are more than is sent here: not measured")
        return True
    most = MOST
    for after in AFTER:
        pace = Pace(guess=guess, most=most, after=after, patience=RISE, calls=subject.share(0.4), inside=subject.inside())
        yield Flood("more requests than pass", SMALL, pace)
        if record.last.void:
            most = max(0.5 / record.last.interval, 2 * (guess or 0.0))
            continue
        numbers.append(record.last.number)
        found = subject.estimated(numbers, Measure.REQUESTS) if record.last.refused and not record.last.cut else None
        if found is None or found.measure is Measure.CONCURRENT or (found.law is not None and found.width <= WIDE):
            break
        guess = min(MOST, found.limit / MINUTE)
    yield from _concluded(subject, numbers, Measure.REQUESTS)
    if not numbers:
        _unmeasured(subject, Measure.REQUESTS)
        return False
    yield from _confirmed(subject)
    return True


def heavy(subject: Subject) -> Iterator[Trial]:
    """First calls that ask for long answers, which cost little; where those do not count, long prompts."""
    weights, units, known = subject.record.weights, subject.units, subject.record.weights.counts
    forms = [Form.RESERVED, Form.PROMPT] if units is Measure.TOKENS and weights.counts != "used" else [Form.PROMPT]
    numbers: list[int] = []
    for form in forms:
        weights.counts = _counted(form, known, numbers) if units is Measure.TOKENS else known
        numbers.clear()
        yield from _drained(subject, form, numbers)
        if any(subject.record.trials[number - 1].refused for number in numbers):
            yield from _concluded(subject, numbers, units)
            _untangle(subject)
            return
        if form is not forms[-1]:
            yield Pause("windows empty", MINUTE, SMALL)
    weights.counts = known
    if not numbers:
        _unmeasured(subject, units)
    subject.findings.keep(bound(subject.record.shots, units, weights))


def _counted(form: Form, known: str | None, before: Sequence[int]) -> str | None:
    """How answers count while calls of a form are refused; `before` are trials of long answers that were not refused."""
    if form is Form.RESERVED:
        return "reserved"
    return "used" if before else known


def _unmeasured(subject: Subject, measure: Measure) -> None:
    subject.findings.remarks.append(f"the limit of {measure} was not measured: our own calls were late in every trial")


def _drained(subject: Subject, form: Form, numbers: list[int]) -> Iterator[Trial]:
    """Floods of heavy calls; the numbers of those that count are left in `numbers`."""
    record, guess = subject.record, subject.guess(subject.units)
    size, rough = subject.size(guess), guess is None
    for after in (_ROUGH, *AFTER) if rough else AFTER:
        shape = Shape(form, size)
        pace = Pace(
            guess=guess / MINUTE / size if guess else None,
            most=subject.fastest(),
            after=after,
            patience=RISE,
            calls=min(subject.share(0.4), subject.calls(shape)),
            inside=subject.inside(),
        )
        yield Flood(f"calls with {size:,} {subject.units} of {form}", shape, pace)
        if record.last.unfit and size > _LEAST:
            size //= 4
            continue
        if record.last.void:
            continue
        numbers.append(record.last.number)
        found = subject.estimated(numbers, subject.units) if record.last.refused and not record.last.cut else None
        if found is None or (not rough and found.law is not None and found.width <= WIDE):
            return
        guess = found.limit
        if rough:
            size, rough = subject.size(guess), False


def _concluded(subject: Subject, numbers: list[int], measure: Measure) -> Iterator[Trial]:
    """How it recovers, and what all of it comes to."""
    record, findings = subject.record, subject.findings
    if not numbers:
        return
    if record.last.refused and not record.last.cut:
        last = max((shot for shot in record.last.shots if shot.refused), key=lambda shot: shot.ended)
        gap = min(5.0, max(0.5, (last.hint or 1.0) / 6))
        yield Singles("until one passes again", [last.shape] * _SINGLES, gap, enough=lambda shot: shot.accepted)
        passed = [shot.sent for shot in record.last.shots if shot.accepted]
        recovery = Recovery(last.hint, passed[0] - last.sent if passed else None, gap)
        findings.recovery = findings.recovery or recovery
        numbers.append(record.last.number)
    found = subject.estimated(numbers, measure)
    findings.keep(found or bound(record.of(*numbers), measure, record.weights))


def _confirmed(subject: Subject) -> Iterator[Trial]:
    """A minute at the rate that a plan will be given: nothing should be refused. Where it is, less is tried."""
    record, findings = subject.record, subject.findings
    for _ in range(3):
        found = findings.estimates.get(Measure.REQUESTS)
        if found is None or found.basis not in (Basis.MEASURED, Basis.DECLARED) or not found.refused or not found.low:
            return
        rate = min(MOST, SHARE * found.low / MINUTE)
        if rate * MINUTE > subject.share(REST):
            findings.remarks.append("what a plan is given was not tried for a minute: the cap leaves too few requests for it")
            return
        yield Pause("windows empty", MINUTE, SMALL)
        title = f"{SHARE:.0%} of the lower bound: {rate * MINUTE:,.0f} a minute"
        yield Schedule(title, SMALL, steady(rate, MINUTE), spacing(rate), subject.inside())
        if record.last.cut or record.last.void or not record.last.shots:
            return
        refused = record.last.refused / len(record.last.shots)
        findings.confirmed = Confirmed(rate * MINUTE, refused)
        if refused <= FEW:
            return
        findings.estimates[Measure.REQUESTS] = replace(found, low=LESS * found.low)
        findings.remarks.append(
            f"{refused:.0%} of {rate * MINUTE:,.0f} requests a minute were refused, though they should have passed: others use "
            "the account, or another limit is in the way"
        )


def _untangle(subject: Subject) -> None:
    """A limit of requests that is the one of tokens, seen through small calls, is none."""
    estimates, record = subject.findings.estimates, subject.record
    requests, heavy = estimates.get(Measure.REQUESTS), estimates.get(subject.units)
    if requests is None or heavy is None or requests.basis is not Basis.MEASURED or requests.claim is not None:
        return
    small = [weigh(shot, subject.units, record.weights) for shot in record.shots if shot.shape == SMALL]
    through = requests.limit * (sum(small) / len(small) if small else 0.0)
    if abs(through - heavy.limit) <= 0.12 * heavy.limit:
        estimates[Measure.REQUESTS] = replace(
            requests, basis=Basis.BOUND, high=math.inf, law=None, contenders=(), burst=None, others=0.0, irregular=False
        )
        subject.findings.remarks.append("small calls were refused for their tokens: no limit of requests was seen")


def steady(rate: float, seconds: float) -> Iterator[float]:
    """Seconds from the start at which calls are due."""
    count = 0
    while (t := grouped(count, rate)) < seconds:
        yield t
        count += 1
