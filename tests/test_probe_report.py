"""What a load test has found, as it is told: the block for a plan, Azure's words, void trials, the page."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from typing import Any

import pytest

from engine import probe_page
from engine.core.caps import Caps, Purse
from engine.core.estimates import Basis, Estimate, Measure
from engine.core.latency import times
from engine.core.laws import Law
from engine.core.money import NANO, fine
from engine.core.prober import Ran, Record
from engine.core.shapes import SMALL
from engine.core.subject import Confirmed, Findings, Recovery
from engine.core.trials import Shot
from engine.core.types import LanePlan, Usage
from engine.curves import Axes, Series, chart, rounds
from engine.plan import from_data
from engine.probe_report import Report, as_data, as_text, block, notes
from tests.probing import PRICES

REQUESTS = Estimate(
    measure=Measure.REQUESTS, basis=Basis.MEASURED, limit=360, low=350, high=370, law=Law.FIXED, window=10.0, refused=400
)
TOKENS = Estimate(
    measure=Measure.TOKENS, basis=Basis.DECLARED, limit=60_000, low=59_000, high=60_000, law=Law.BUCKET, burst=20_000
)
AT_ONCE = Estimate(measure=Measure.CONCURRENT, basis=Basis.BOUND, limit=128, low=128, high=math.inf)


def shots(late: float = 0.0) -> list[Shot]:
    usage = Usage(requests=1, tokens_in=12, tokens_out=1)
    return [
        Shot(number=n, trial=1, shape=SMALL, intended=n / 10, sent=n / 10 + late, ended=n / 10 + 0.5, usage=usage, first=0.4)
        for n in range(40)
    ]


def report(*found: Estimate, plan: LanePlan | None = None, late: float = 0.0, **more: Any) -> Report:
    record = Record(shots=shots(late), trials=[Ran(1, "more requests than pass", 0.0, 0.1, 4.5, shots(late))])
    record.weights.counts = "reserved"
    return Report(
        verb="probe",
        lane="fast",
        plan=plan or LanePlan(provider="openai", model="m", key="env:K"),
        started=1_767_225_600.0,
        reason="all trials are done",
        interrupted=False,
        record=record,
        purse=Purse(Caps(spend=NANO // 2), PRICES),
        times=times(record.shots, (), None),
        findings=Findings(estimates={one.measure: one for one in found}, **more),
    )


def test_block_is_a_lane_at_ninety_percent_of_the_lower_bounds() -> None:
    """Measured and declared limits become keys that a plan takes, bounds become remarks."""
    text = block(report(REQUESTS, TOKENS, AT_ONCE))
    made = from_data({"recipe": "self_instruct", "goal": 5, **tomllib.loads(text)}).lanes["fast"]
    assert (made.quota.requests_per_minute, made.quota.tokens_per_minute) == (315, 53_100)
    assert (made.quota.slice, made.quota.counts, made.quota.concurrent) == (10.0, "reserved", None)
    assert "# concurrent: nothing was refused, up to 128" in text


def test_an_interval_too_wide_makes_no_line_of_a_plan() -> None:
    """A limit of one call a minute, because nothing better is known, would stop a run."""
    text = block(report(replace(REQUESTS, low=0.0, high=900.0)))
    assert "requests_per_minute =" not in text
    assert "# requests_per_minute: between 0 and 900, which is too wide to plan with" in text


def test_azure_is_told_in_the_words_of_its_portal() -> None:
    """TPM in thousands, the RPM that follow, the slice that is checked, and which of both binds."""
    told = "\n".join(notes(report(REQUESTS, TOKENS, plan=LanePlan(provider="azure_openai", model="m"))))
    assert "Tokens per Minute Rate Limit 60.0 thousand; at its usual 6 requests per thousand tokens that is 360 RPM" in told
    assert "Requests are checked in slices of 10 s: 60 in each." in told
    assert "Calls below 167 tokens (as reserved) are bound by RPM, larger ones by TPM." in told
    assert "portal" not in "\n".join(notes(report(REQUESTS, TOKENS)))
    passed = replace(TOKENS, basis=Basis.BOUND, high=math.inf)
    assert "portal" not in "\n".join(notes(report(REQUESTS, passed, plan=LanePlan(provider="azure_openai", model="m"))))


def test_void_trials_are_told_once() -> None:
    """Of several void trials of one title the worst lateness."""
    one = report(REQUESTS, late=0.08)
    one.record.trials.append(replace(one.record.trials[0], number=2))
    void = [line for line in notes(one) if line.startswith("Void")]
    assert len(void) == 1
    assert "Void: more requests than pass (2 trials). One call in a hundred was sent 80 ms late or more" in void[0]


def test_hints_are_judged() -> None:
    """Whether waiting as long as was hinted is enough."""
    assert "the hint said 1.0 s, which is not enough" in as_text(report(REQUESTS, recovery=Recovery(1.0, 9.0)))
    assert "the hint said 9.0 s, which is enough" in as_text(report(REQUESTS, recovery=Recovery(9.0, 8.0)))
    assert "no hint was given" in as_text(report(REQUESTS, recovery=Recovery(None, 8.0)))


def test_data_has_no_number_that_json_has_not() -> None:
    """Bounds without an end are null."""
    data = as_data(report(AT_ONCE, confirmed=Confirmed(315.0, 0.0)))
    assert data["limits"][0]["high"] is None
    assert data["confirmed"] == {"per_minute": 315.0, "refused": 0.0}


def test_page_shows_limits_plots_and_the_block() -> None:
    """One file that asks for nothing, with what the table says."""
    page = probe_page.page(report(REQUESTS, TOKENS))
    assert page.count("<svg") == 2
    assert "src=" not in page
    assert "http" not in page
    assert "fixed over 10 s" in page
    assert "requests_per_minute = 315" in page


@pytest.mark.parametrize(
    ("amount", "said"),
    [(3900, "0.0000039 usd"), (123_456, "0.00012 usd"), (0, "0.00 usd"), (500_000_000, "0.50 usd"), (12_345_678, "0.0123 usd")],
)
def test_small_sums_keep_two_digits(amount: int, said: str) -> None:
    """A call that costs a millionth is not said to cost nothing."""
    assert fine(amount, "usd") == said


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, 2.12, 17.0, 99.0, 68_000.0])
@pytest.mark.parametrize("most", [5, 8])
def test_axes_have_round_figures(value: float, most: int) -> None:
    """From 0 past the highest point, in equal steps of 1, 2 or 5."""
    ticks = rounds(value, most)
    step = ticks[1]
    assert (ticks[0], len(ticks) <= most + 1, ticks[-1] >= value) == (0.0, True, True)
    assert ticks[-2] < max(value, 1e-9)
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9)) in (1, 2, 5)


def test_chart_of_nothing_is_a_sentence() -> None:
    """No points, no axes."""
    assert chart([Series("none", [(math.nan, 1.0)], "a")], Axes("x", "y")) == "<p class=legend>Nothing to draw.</p>"
