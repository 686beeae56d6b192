"""Probing: the program of a quota test: a look at the headers, and what is pressed after it.

Pure. A passive test only looks; everything else causes refusals on purpose, and is asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from engine.core.at_once import AT_ONCE, at_once
from engine.core.caps import Purse
from engine.core.declared import declared, reserves
from engine.core.estimates import Measure, claimed
from engine.core.laws import MINUTE
from engine.core.limits import Dimension
from engine.core.pressing import AFTER, MOST, RISE, heavy, requests
from engine.core.prober import Record
from engine.core.shapes import SMALL, Form, Shape
from engine.core.subject import HEAVY, UNKNOWN, Findings, Subject
from engine.core.trials import Pause, Singles, Trial
from engine.core.types import Quota

LOOKS = 4
"""Calls of a passive test, which may ask once more for a balance."""
GAP = 2.5
"""Seconds between two looks: long enough to see a reset move."""
_RESERVE = 1000
"""Tokens of an answer that a look asks for to see whether they count."""


class What(StrEnum):
    """What an active test looks for."""

    RPM = "rpm"
    TPM = "tpm"
    BURST = "burst"
    WINDOW = "window"
    CONCURRENCY = "concurrency"


_REQUESTS = frozenset({What.RPM, What.BURST, What.WINDOW})


@dataclass(slots=True)
class Probing:
    """A test that is to be run. `units` is what a heavy call is heavy in: tokens, or characters."""

    what: frozenset[What]
    """Empty: a passive test."""
    plan: Quota
    purse: Purse
    units: Measure = Measure.TOKENS
    findings: Findings = field(default_factory=Findings)

    def program(self, record: Record) -> Iterator[Trial]:
        """The trials, one after the other, each with what those before it have found."""
        subject = Subject(record, self.plan, self.purse, self.findings, self.units)
        yield from _look(subject)
        if What.CONCURRENCY in self.what:
            yield from at_once(subject)
        in_time = True
        if self.what & _REQUESTS:
            yield Pause("windows empty", MINUTE, SMALL)
            in_time = yield from requests(subject)
        if What.TPM in self.what and not in_time:
            self.findings.remarks.append(f"the limit of {self.units} was not tried: its refusals could be those of requests")
        elif What.TPM in self.what:
            yield Pause("windows empty", MINUTE, SMALL)
            yield from heavy(subject)


def _look(subject: Subject) -> Iterator[Trial]:
    """What headers say, and whether it is to be believed."""
    record, findings = subject.record, subject.findings
    large = Shape(Form.RESERVED, subject.affordable(_RESERVE)) if subject.units is Measure.TOKENS else SMALL
    yield Singles("a look at the headers", (SMALL, SMALL, large, SMALL), GAP)
    found = {dimension: declared(record.shots, dimension) for dimension in Dimension}
    findings.claims = {dimension: one for dimension, one in found.items() if one is not None}
    if not findings.claims and any(shot.accepted for shot in record.shots):
        findings.remarks.append(_untold(record))
    for dimension, claim in findings.claims.items():
        findings.estimates[Measure(dimension.value)] = claimed(claim, Measure(dimension.value))
        if not claim.moves:
            findings.remarks.append(
                f"headers tell a limit of {claim.limit:,} {dimension}, but what they say is left does not fall with our calls: "
                "they are not believed"
            )
        if claim.others:
            findings.remarks.append(f"others use this account: headers count {claim.others:,.0f} {dimension} not ours")
    counts = reserves(record.shots)
    record.weights.counts = None if counts is None else "reserved" if counts else "used"


def _untold(record: Record) -> str:
    """What headers say that name no limit."""
    last = {one.dimension: one.remaining for shot in record.shots for one in shot.readings if one.remaining is not None}
    left = " and ".join(f"{remaining:,} {dimension}" for dimension, remaining in last.items())
    told = f"headers tell that {left} are left, and" if left else "headers tell"
    return f"{told} no limit: only an active test can find one"


# What is said before it


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a test as it is announced: what it sends at the most, and for how long."""

    title: str
    shape: Shape
    calls: int
    seconds: float
    presses: bool = True
    """Whether it causes refusals."""


def stages(what: frozenset[What], units: Measure) -> list[Stage]:
    """The parts of a test, in order."""
    found = [Stage("headers", SMALL, LOOKS, 4 * GAP, presses=False)]
    if What.CONCURRENCY in what:
        found.append(Stage("calls at once", SMALL, 8 * AT_ONCE, 30.0))
    press = RISE + sum(AFTER) + MINUTE
    if what & _REQUESTS:
        found.append(Stage("requests a minute", SMALL, int(MOST * press), press))
        found.append(Stage("what a plan is given", SMALL, int(MOST * MINUTE), MINUTE, presses=False))
    if What.TPM in what and units is Measure.TOKENS:
        found.append(Stage("tokens a minute, reserved", Shape(Form.RESERVED, UNKNOWN), int(HEAVY * press), press))
    if What.TPM in what:
        found.append(Stage(f"{units} a minute, sent", Shape(Form.PROMPT, UNKNOWN), int(HEAVY * press), press))
    return found


def refused_seconds(what: frozenset[What], units: Measure) -> float:
    """Seconds in which others of the account may be refused, at the most."""
    return sum(stage.seconds for stage in stages(what, units) if stage.presses)
