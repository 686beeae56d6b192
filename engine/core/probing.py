"""Probing: the trials by which a quota test finds an account's limits, and what they come to in the end.

Pure. Passive looks read headers; everything else causes refusals on purpose, and is asked for by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from engine.core.caps import Purse
from engine.core.declared import Declared, declared, reserves
from engine.core.estimates import Basis, Estimate, Measure, attempts, bound, claimed, estimate, weigh
from engine.core.fits import MINUTE, Law
from engine.core.limits import Dimension
from engine.core.prober import Record
from engine.core.shapes import SMALL, Form, Shape
from engine.core.trials import Burst, Flood, Pace, Pause, Schedule, Singles, Trial, grouped, spacing
from engine.core.types import Quota

LOOKS = 4
"""Calls of a passive test, which may ask once more for a balance."""
GAP = 2.5
"""Seconds between two looks: long enough to see a reset move."""
MOST = 100.0
"""Calls a second that are sent at the most."""
AT_ONCE = 128
"""Calls in flight that are tried at the most."""
RISE = 40.0
"""Seconds in which a flood that starts from nothing finds a limit, if there is one below `MOST`."""
AFTER = (30.0, 50.0, 65.0)
"""Seconds that a limit is pressed for: a bucket shows itself in the first part; windows of a minute need to turn."""
WIDE = 0.04
"""Width of an interval, as a share, that needs no more pressing."""
SHARE = 0.9
"""Of the lower bound of what was measured: what a plan is given."""
FEW, LESS = 0.01, 0.85
"""Share of refusals at that rate that is no sign of anything; and what is tried of it where there are more."""
_RESERVE = 1000
"""Tokens of an answer that a look asks for to see whether they count."""
_PARTS = 100
"""Calls that drain a limit of tokens: each is a hundredth of it."""
_HEAVY_MOST = 20.0
"""Heavy calls a second that are sent at the most."""
_TOKENS_UNKNOWN = 2000
_LARGEST = 8000
"""Tokens that a call asks for where nothing is known of the limit, and at the most."""


class What(StrEnum):
    """What an active test looks for."""

    RPM = "rpm"
    TPM = "tpm"
    BURST = "burst"
    WINDOW = "window"
    CONCURRENCY = "concurrency"


@dataclass(slots=True)
class Recovery:
    """How an account comes back after it was drained, and whether the hint told."""

    hint: float | None
    seconds: float | None
    """From the last refusal of the flood to the first call that passed; `None`: none did."""

    @property
    def honest(self) -> bool | None:
        """Whether waiting as long as was hinted is enough; `None` where nothing was hinted, or nothing passed."""
        if self.hint is None or self.seconds is None:
            return None
        return self.seconds <= self.hint + 1.0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A minute at a steady rate, and the share of it that was refused."""

    per_minute: float
    refused: float


@dataclass(slots=True)
class Findings:
    """What a test has found."""

    claims: Mapping[Dimension, Declared] = field(default_factory=dict)
    estimates: dict[Measure, Estimate] = field(default_factory=dict)
    recovery: Recovery | None = None
    confirmed: Confirmed | None = None
    remarks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Probing:
    """The program of a test. `units` is what a heavy call is heavy in: tokens, or characters."""

    what: frozenset[What]
    """Empty: a passive test."""
    plan: Quota
    purse: Purse
    units: Measure = Measure.TOKENS
    findings: Findings = field(default_factory=Findings)

    def program(self, record: Record) -> Iterator[Trial]:
        yield from self._look(record)
        if What.CONCURRENCY in self.what:
            yield from self._at_once(record)
        if self.what & {What.RPM, What.BURST, What.WINDOW}:
            yield Pause("windows empty", MINUTE, SMALL)
            yield from self._requests(record)
        if What.TPM in self.what:
            yield Pause("windows empty", MINUTE, SMALL)
            yield from self._heavy(record)

    # Headers

    def _look(self, record: Record) -> Iterator[Trial]:
        heavy = Shape(Form.RESERVED, self._affordable(_RESERVE, record)) if self.units is Measure.TOKENS else SMALL
        yield Singles("a look at the headers", (SMALL, SMALL, heavy, SMALL), GAP)
        found = {dimension: declared(record.shots, dimension) for dimension in Dimension}
        self.findings.claims = {dimension: one for dimension, one in found.items() if one is not None}
        for dimension, claim in self.findings.claims.items():
            measure = Measure(dimension.value)
            self.findings.estimates.setdefault(measure, claimed(claim, measure))
            if not claim.moves:
                self.findings.remarks.append(
                    f"headers tell a limit of {claim.limit:,} {dimension}, but what they say is left does not fall with our "
                    "calls: they are not believed"
                )
            if claim.others:
                self.findings.remarks.append(f"others use this account: headers count {claim.others:,.0f} {dimension} not ours")
        counts = reserves(record.shots)
        record.weights.counts = None if counts is None else "reserved" if counts else "used"

    def _guess(self, measure: Measure, record: Record) -> float | None:
        """The limit a minute, as headers or the plan say it."""
        claim = self._claim(measure)
        told = claim.per_minute if claim is not None and claim.moves else None
        return told or getattr(self.plan, f"{measure}_per_minute", None)

    def _claim(self, measure: Measure) -> Declared | None:
        return self.findings.claims.get(Dimension(measure.value)) if measure is not Measure.CONCURRENT else None

    # Calls at once

    def _at_once(self, record: Record) -> Iterator[Trial]:
        """Twice as many at once each time, until some are refused; then the same again and again, as one batch ends, to tell
        calls in flight from calls a minute; then long calls that overlap."""
        count, first = 2, len(record.trials) + 1
        while count <= AT_ONCE:
            yield Burst(f"{count} calls at once", SMALL, count)
            if record.last.refused or record.last.cut:
                break
            count *= 2
        if not record.last.refused:
            self._keep(self._bound_at_once(record.last.accepted))
            return
        passed = max(1, record.last.accepted)
        for _ in range(3):
            yield Burst(f"{2 * passed} calls at once, again", SMALL, 2 * passed)
            if record.last.accepted < 0.7 * passed:
                break
        else:
            yield from self._overlapping(passed, record)
        numbers = frozenset(range(first, len(record.trials) + 1))
        found = estimate(attempts(record.shots, numbers, Measure.REQUESTS, record.weights), Measure.REQUESTS)
        if found is None or found.law is not Law.CONCURRENT:
            self._keep(self._bound_at_once(passed))
            return
        whole = [ran.accepted for ran in record.trials[first - 1 :] if ran.refused and ran.interval == math.inf]
        most = max(whole)  # of a batch that leaves at once exactly as many pass as may be in flight
        self._keep(replace(found, limit=most, low=min(found.low, *whole), high=max(found.high, most)))

    def _overlapping(self, passed: int, record: Record) -> Iterator[Trial]:
        """Long calls, twice as many as may be in flight."""
        shape = Shape(Form.LONG, self._affordable(128, record, calls=8 * passed)) if self.units is Measure.TOKENS else SMALL
        yield Burst(f"{passed} long calls at once", shape, passed)
        times = sorted(shot.seconds for shot in record.last.shots if shot.accepted)
        if not times:
            return
        usual = times[len(times) // 2]
        rate = min(MOST, max(2.0, 2 * passed / usual))
        span = min(max(3.0, 4 * usual), 400 / rate)
        yield Schedule("calls that overlap", shape, _steady(rate, span), spacing(rate))

    def _bound_at_once(self, passed: int) -> Estimate:
        return Estimate(
            measure=Measure.CONCURRENT, basis=Basis.BOUND, limit=passed, low=passed, high=float("inf"), accepted=passed
        )

    # Requests

    def _requests(self, record: Record) -> Iterator[Trial]:
        numbers: list[int] = []
        rate = self._guess(Measure.REQUESTS, record)
        guess = rate / MINUTE if rate else None
        if guess is not None and guess > MOST:
            self.findings.remarks.append(f"{rate:,.0f} requests a minute are more than is sent here: not measured")
            return
        most = MOST
        for after in AFTER:
            pace = Pace(guess=guess, most=most, after=after, patience=RISE, calls=self._share(0.4), inside=self._inside())
            yield Flood("more requests than pass", SMALL, pace)
            if record.last.void:
                most /= 2
                continue
            numbers.append(record.last.number)
            if not record.last.refused:
                break
            found = self._estimated(record, numbers, Measure.REQUESTS)
            if found is None or record.last.cut:
                break
            if (found.law is not None and found.width <= WIDE) or found.measure is Measure.CONCURRENT:
                break
            guess = min(MOST, found.limit / MINUTE)
        yield from self._concluded(record, numbers, Measure.REQUESTS)

    def _concluded(self, record: Record, numbers: list[int], measure: Measure) -> Iterator[Trial]:
        """How it recovers, and what all of it comes to."""
        if not numbers:
            return
        if record.last.refused and not record.last.cut:
            last = max((shot for shot in record.last.shots if shot.refused), key=lambda shot: shot.ended)
            shape = SMALL if measure is Measure.REQUESTS else last.shape
            gap = min(5.0, max(0.5, (last.hint or 1.0) / 6))
            yield Singles("until one passes again", [shape] * 60, gap, enough=lambda shot: shot.accepted)
            passed = [shot.sent for shot in record.last.shots if shot.accepted]
            self.findings.recovery = self.findings.recovery or Recovery(last.hint, passed[0] - last.sent if passed else None)
            numbers.append(record.last.number)
        found = self._estimated(record, numbers, measure)
        self._keep(found or bound(record.of(*numbers), measure, record.weights))
        if found is not None and found.measure is Measure.REQUESTS:
            yield from self._confirmed(record)

    def _confirmed(self, record: Record) -> Iterator[Trial]:
        """A minute at the rate that a plan will be given: nothing should be refused. Where it is, less is tried."""
        for _ in range(3):
            found = self.findings.estimates[Measure.REQUESTS]
            rate = min(MOST, SHARE * found.low / MINUTE)
            yield Pause("windows empty", MINUTE, SMALL)
            title = f"{SHARE:.0%} of the lower bound: {rate * MINUTE:,.0f} a minute"
            yield Schedule(title, SMALL, _steady(rate, MINUTE), spacing(rate), self._inside())
            if record.last.cut or record.last.void or not record.last.accepted:
                return
            refused = record.last.refused / len(record.last.shots)
            self.findings.confirmed = Confirmed(rate * MINUTE, refused)
            if refused <= FEW:
                return
            self.findings.estimates[Measure.REQUESTS] = replace(found, low=LESS * found.low)
            self.findings.remarks.append(
                f"{refused:.0%} of {rate * MINUTE:,.0f} requests a minute were refused, though they should have passed: others use "
                "the account, or a limit of its own is in the way"
            )

    def _estimated(self, record: Record, numbers: Sequence[int], measure: Measure) -> Estimate | None:
        given = attempts(record.shots, frozenset(numbers), measure, record.weights)
        return estimate(given, measure, self._claim(measure))

    # Tokens, or characters

    def _heavy(self, record: Record) -> Iterator[Trial]:
        """First calls that ask for long answers, which cost little; where those do not count, long prompts."""
        guess = self._guess(self.units, record)
        reserving = self.units is Measure.TOKENS and record.weights.counts != "used"
        forms = [Form.RESERVED, Form.PROMPT] if reserving else [Form.PROMPT]
        for form in forms:
            numbers: list[int] = []
            if self.units is Measure.TOKENS:
                record.weights.counts = "reserved" if form is Form.RESERVED else "used"
            yield from self._drained(record, form, guess, numbers)
            if any(record.trials[number - 1].refused for number in numbers):
                yield from self._concluded(record, numbers, self.units)
                self._untangle(record)
                return
            if form is not forms[-1]:
                yield Pause("windows empty", MINUTE, SMALL)
        record.weights.counts = None
        if self.units not in self.findings.estimates:
            self._keep(bound(record.of(*numbers), self.units, record.weights))

    def _drained(self, record: Record, form: Form, guess: float | None, numbers: list[int]) -> Iterator[Trial]:
        """Floods of heavy calls; the numbers of those that count are left in `numbers`."""
        size = self._size(guess, record, form)
        rough = guess is None
        for after in (10.0, *AFTER) if rough else AFTER:
            shape = Shape(form, size)
            pace = Pace(
                guess=guess / MINUTE / size if guess else None,
                most=self._fastest(),
                after=after,
                patience=RISE,
                calls=min(self._share(0.4), self._calls(shape, record)),
                inside=self._inside(),
            )
            yield Flood(f"calls with {size:,} {self.units} of {form}", shape, pace)
            if record.last.unfit and size > 64:
                size //= 4
                continue
            numbers.append(record.last.number)
            if not record.last.refused or record.last.cut:
                return
            found = self._estimated(record, numbers, self.units)
            if found is None or (not rough and found.law is not None and found.width <= WIDE):
                return
            guess = found.limit
            if rough:
                size, rough = self._size(guess, record, form), False

    def _size(self, guess: float | None, record: Record, form: Form) -> int:
        """Units of one heavy call: a hundredth of the limit, larger where requests are few, smaller where money is little."""
        size = _TOKENS_UNKNOWN if guess is None else guess / _PARTS
        requests = self.findings.estimates.get(Measure.REQUESTS)
        if guess is not None and requests is not None:
            size = max(size, 4 * guess / (0.8 * requests.low) if requests.low else size)
        return self._affordable(int(min(_LARGEST, max(16, size))), record)

    def _affordable(self, size: int, record: Record, calls: int = 40) -> int:
        """Tokens of one call so that so many of them, at their worst, have room under the caps."""
        prices = self.purse.prices
        money, tokens, _ = self.purse.room()
        dearest = max(prices.tokens_in or 0, prices.tokens_out or 0, prices.characters or 0) if prices is not None else 0
        if money is not None and dearest:
            size = min(size, int(money / calls / dearest * 1_000_000))
        if tokens is not None:
            size = min(size, tokens // calls)
        return max(1, size)

    def _calls(self, shape: Shape, record: Record) -> int:
        """Calls of a shape that the money left pays for, if each is billed for its prompt."""
        prices, (money, tokens, _) = self.purse.prices, self.purse.room()
        each = shape.size if shape.form is Form.PROMPT else 40
        dearest = max(prices.tokens_in or 0, prices.characters or 0) if prices is not None else 0
        counts = [10**6]
        if money is not None and dearest:
            counts.append(int(0.9 * money * 1_000_000 / dearest / each))
        if tokens is not None:
            counts.append(int(0.9 * tokens / each))
        return max(1, min(counts))

    def _fastest(self) -> float:
        """Heavy calls a second that stay well below the limit of requests."""
        requests = self.findings.estimates.get(Measure.REQUESTS)
        return min(_HEAVY_MOST, 0.8 * requests.low / MINUTE) if requests is not None and requests.low else _HEAVY_MOST

    def _inside(self) -> int | None:
        """Calls in flight that stay below the limit of calls at once."""
        found = self.findings.estimates.get(Measure.CONCURRENT)
        return max(1, int(0.75 * found.low)) if found is not None and found.basis is Basis.MEASURED else None

    def _share(self, share: float) -> int:
        """Calls of what the caps leave."""
        left = self.purse.room()[2]
        return 10**6 if left is None else max(1, int(share * left))

    def _untangle(self, record: Record) -> None:
        """A limit of requests that is the one of tokens, seen through small calls, is none."""
        requests, heavy = self.findings.estimates.get(Measure.REQUESTS), self.findings.estimates.get(self.units)
        if requests is None or heavy is None or requests.basis is not Basis.MEASURED or requests.claim is not None:
            return
        small = [weigh(shot, self.units, record.weights) for shot in record.shots if shot.shape == SMALL]
        through = requests.limit * (sum(small) / len(small) if small else 0.0)
        if abs(through - heavy.limit) <= 0.12 * heavy.limit:
            self.findings.estimates[Measure.REQUESTS] = replace(
                requests, basis=Basis.BOUND, high=float("inf"), law=None, contenders=(), burst=None
            )
            self.findings.remarks.append("small calls were refused for their tokens: no limit of requests was seen")

    def _keep(self, found: Estimate | None) -> None:
        """A measured figure takes the place of a claim; a bound does not, unless it contradicts it."""
        if found is None:
            return
        before = self.findings.estimates.get(found.measure)
        if found.basis is Basis.BOUND and before is not None and before.limit >= found.limit:
            return
        self.findings.estimates[found.measure] = found
        if found.irregular or found.others:
            told = f", about {found.others:,.0f} a minute" if found.others else ""
            self.findings.remarks.append(f"others seem to use this account's {found.measure}{told}: the interval is wider for it")


def _steady(rate: float, seconds: float) -> Iterator[float]:
    count = 0
    while (t := grouped(count, rate)) < seconds:
        yield t
        count += 1


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
    press = sum(AFTER) + RISE + MINUTE
    if what & {What.RPM, What.BURST, What.WINDOW}:
        found.append(Stage("requests a minute", SMALL, int(MOST * press), press))
    if What.TPM in what and units is Measure.TOKENS:
        found.append(Stage("tokens a minute, reserved", Shape(Form.RESERVED, _TOKENS_UNKNOWN), int(_HEAVY_MOST * press), press))
    if What.TPM in what:
        found.append(Stage(f"{units} a minute, sent", Shape(Form.PROMPT, _TOKENS_UNKNOWN), int(_HEAVY_MOST * press), press))
    return found


def refused_seconds(what: frozenset[What], units: Measure) -> float:
    """Seconds in which others of the account may be refused, at the most."""
    return sum(stage.seconds for stage in stages(what, units) if stage.presses)
