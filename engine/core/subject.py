"""Subject: the account under test, with all that is known of it so far: headers, caps, what happened, what that comes to.

Pure; every kind of trial reads it, and adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.core.caps import Purse
from engine.core.declared import Declared
from engine.core.estimates import Basis, Estimate, Measure, attempts, estimate
from engine.core.laws import MINUTE
from engine.core.limits import Dimension
from engine.core.prober import Record
from engine.core.shapes import Form, Shape
from engine.core.types import Quota

HEAVY = 20.0
"""Heavy calls a second that are sent at the most."""
LARGEST = 8000
"""Units of a heavy call, at the most."""
UNKNOWN = 2000
"""Where nothing is known of the limit."""
PARTS = 100
"""Heavy calls that drain a limit: each is a hundredth of it."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How an account comes back after it was drained, and whether the hint told."""

    hint: float | None
    seconds: float | None
    """From the last refusal of the flood to the first call that passed; `None`: none did."""
    apart: float = 0.0
    """Seconds between two calls that tried: it may have been open for so long."""

    @property
    def honest(self) -> bool | None:
        """Whether waiting as long as was hinted is enough; `None` where nothing was hinted, or nothing passed."""
        if self.hint is None or self.seconds is None:
            return None
        return self.seconds <= self.hint + self.apart + 1.0


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

    def keep(self, found: Estimate | None) -> None:
        """A measured figure takes the place of a claim; a bound does not, unless it contradicts it."""
        if found is None:
            return
        before = self.estimates.get(found.measure)
        if found.basis is Basis.BOUND and before is not None and before.limit >= found.low:
            return
        self.estimates[found.measure] = found
        if found.refusals:
            self.remarks.append(
                f"refused calls count against the limit of {found.measure} as well: wait, do not ask again at once"
            )
        if found.irregular or found.others:
            told = f", about {found.others:,.0f} a minute" if found.others else ""
            self.remarks.append(f"others seem to use this account's {found.measure}{told}: the interval is wider for it")


@dataclass(slots=True)
class Subject:
    """One account. `units` is what a heavy call is heavy in: tokens, or characters."""

    record: Record
    plan: Quota
    purse: Purse
    findings: Findings
    units: Measure = Measure.TOKENS

    def claim(self, measure: Measure) -> Declared | None:
        """What headers declare of it."""
        return self.findings.claims.get(Dimension(measure.value)) if measure is not Measure.CONCURRENT else None

    def guess(self, measure: Measure) -> float | None:
        """The limit a minute, as headers that move, or else the plan, say it."""
        claim = self.claim(measure)
        told = claim.per_minute if claim is not None and claim.moves else None
        return told or getattr(self.plan, f"{measure}_per_minute", None)

    def estimated(self, numbers: Sequence[int], measure: Measure) -> Estimate | None:
        """What some trials say of a limit."""
        given = attempts(self.record.shots, frozenset(numbers), measure, self.record.weights)
        return estimate(given, measure, self.claim(measure))

    # How much may be sent

    def share(self, share: float) -> int:
        """Calls of what the caps leave."""
        left = self.purse.room()[2]
        return 10**6 if left is None else max(1, int(share * left))

    def inside(self) -> int | None:
        """Calls in flight that stay below the limit of calls at once."""
        found = self.findings.estimates.get(Measure.CONCURRENT)
        return max(1, int(0.75 * found.low)) if found is not None and found.basis is Basis.MEASURED else None

    def fastest(self) -> float:
        """Heavy calls a second that stay well below the limit of requests."""
        requests = self.findings.estimates.get(Measure.REQUESTS)
        return min(HEAVY, 0.8 * requests.low / MINUTE) if requests is not None and requests.low else HEAVY

    def size(self, guess: float | None) -> int:
        """Units of one heavy call: a hundredth of the limit, larger where requests are few, smaller where money is little."""
        size = float(UNKNOWN) if guess is None else guess / PARTS
        requests = self.findings.estimates.get(Measure.REQUESTS)
        if guess is not None and requests is not None and requests.low:
            size = max(size, 5 * guess / requests.low)
        return self.affordable(int(min(LARGEST, max(16, size))))

    def affordable(self, size: int, calls: int = 40) -> int:
        """Units of one call so that so many of them, at their worst, have room under the caps."""
        money, tokens, _ = self.purse.room()
        prices = self.purse.prices
        dearest = max(prices.tokens_in or 0, prices.tokens_out or 0, prices.characters or 0) if prices is not None else 0
        if money is not None and dearest:
            size = min(size, int(money / calls / dearest * 1_000_000))
        if tokens is not None:
            size = min(size, tokens // calls)
        return max(1, size)

    def calls(self, shape: Shape) -> int:
        """Calls of a shape that the caps still pay for, if each is billed for its prompt."""
        money, tokens, _ = self.purse.room()
        prices = self.purse.prices
        each = shape.size if shape.form is Form.PROMPT else 40
        dearest = max(prices.tokens_in or 0, prices.characters or 0) if prices is not None else 0
        counts = [10**6]
        if money is not None and dearest:
            counts.append(int(0.9 * money * 1_000_000 / dearest / each))
        if tokens is not None:
            counts.append(int(0.9 * tokens / each))
        return max(1, min(counts))
