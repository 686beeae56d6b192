"""Calls at once: the trials that tell how many calls an account lets be in flight.

Pure; part of the program of an active test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from engine.core.estimates import Basis, Estimate, Measure
from engine.core.laws import Law
from engine.core.pressing import MOST, steady
from engine.core.shapes import SMALL, Form, Shape
from engine.core.subject import Subject
from engine.core.trials import Burst, Schedule, Trial, spacing

AT_ONCE = 128
"""Calls in flight that are tried at the most."""
LONG = 128
"""Tokens of an answer that keeps a call in flight."""
_OVERLAPPING = 400
"""Calls that overlap, at the most."""


def at_once(subject: Subject) -> Iterator[Trial]:
    """Twice as many at once each time, until some are refused; then the same again and again, as one batch ends, to tell calls in
    flight from calls a minute; then long calls that overlap."""
    record, count, first = subject.record, 2, len(subject.record.trials)
    while count <= AT_ONCE:
        yield Burst(f"{count} calls at once", SMALL, count)
        if record.last.refused or record.last.cut:
            break
        count *= 2
    passed = max(1, record.last.accepted)
    if not record.last.refused:
        subject.findings.keep(_bound(passed))
        return
    for _ in range(3):
        yield Burst(f"{2 * passed} calls at once, again", SMALL, 2 * passed)
        if record.last.accepted < 0.7 * passed:
            break
    else:
        yield from _overlapping(subject, passed)
    trials = record.trials[first:]
    found = subject.estimated([ran.number for ran in trials], Measure.REQUESTS)
    if found is None or found.law is not Law.CONCURRENT:
        subject.findings.keep(_bound(passed))
        return
    whole = [ran.accepted for ran in trials if ran.refused and ran.interval == math.inf]
    most = max(whole)  # of a batch that leaves at once exactly as many pass as may be in flight
    subject.findings.keep(replace(found, limit=most, low=min(found.low, *whole), high=max(found.high, most)))


def _overlapping(subject: Subject, passed: int) -> Iterator[Trial]:
    """Long calls, twice as many as may be in flight."""
    tokens = subject.units is Measure.TOKENS
    shape = Shape(Form.LONG, subject.affordable(LONG, calls=8 * passed)) if tokens else SMALL
    yield Burst(f"{passed} long calls at once", shape, passed)
    times = sorted(shot.seconds for shot in subject.record.last.shots if shot.accepted)
    if not times:
        return
    usual = times[len(times) // 2]
    rate = min(MOST, max(2.0, 2 * passed / usual))
    seconds = min(max(3.0, 4 * usual), _OVERLAPPING / rate)
    yield Schedule("calls that overlap", shape, steady(rate, seconds), spacing(rate))


def _bound(passed: int) -> Estimate:
    return Estimate(measure=Measure.CONCURRENT, basis=Basis.BOUND, limit=passed, low=passed, high=math.inf, accepted=passed)
