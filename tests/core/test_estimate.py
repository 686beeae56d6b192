"""Estimates: the arithmetic, on figures that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.estimate import NONE, LaneFacts, Profile, Range, Sample, Whole, estimate
from engine.core.money import Prices
from engine.core.types import Quota

PRICES = Prices(currency="usd", tokens_in=1_000_000_000, tokens_out=4_000_000_000)
"""A thousand nano-units a token of a prompt, four thousand a token of an answer."""


def exactly(value: float) -> Range:
    return Range(value, value)


def profile(step: str = "grow", source: str | None = None, **changes: Any) -> Profile:
    made: dict[str, Any] = {
        "step": step,
        "role": step,
        "source": source,
        "kept": exactly(4),
        "calls": exactly(1),
        "usage": {"tokens_in": exactly(100), "tokens_out": exactly(50)},
        "seconds": exactly(2),
        "bytes": exactly(1000),
    }
    return Profile(**(made | changes))


def lane(name: str = "fast", *, roles: tuple[str, ...] = ("grow", "answer"), **changes: Any) -> LaneFacts:
    made: dict[str, Any] = {"account": name, "quota": Quota(requests_per_minute=10), "prices": PRICES}
    return LaneFacts(name=name, roles=frozenset(roles), **(made | changes))


def test_growth_needs_the_fewer_requests_the_more_it_keeps() -> None:
    """Low is what the best yield needs, high what the worst one needs, in whole requests."""
    found = estimate(Whole(10), [profile(kept=Range(2, 4))], [lane()])
    assert found.calls == Range(3, 5)
    assert found.tokens_in == Range(300, 500)
    assert found.disk == Range(3000, 5000)


def test_every_kept_item_is_asked_about_once() -> None:
    """Later steps have as many requests as their source keeps items, the growing step's up to the goal."""
    steps = [
        profile(),
        profile("judge", "grow", kept=Range(0.5, 1.0), role="answer"),
        profile("answer", "judge", calls=exactly(2)),
    ]
    found = estimate(Whole(8), steps, [lane()])
    assert found.calls == Range(2 + 8 + 2 * 4, 2 + 8 + 2 * 8)


def test_money_is_what_the_tokens_cost() -> None:
    """Each role's cost at its lane's prices; lanes without prices have none."""
    steps = [profile(), profile("answer", "grow")]
    found = estimate(Whole(8), steps, [lane("a", roles=("grow",)), lane("b", roles=("answer",), prices=None)])
    assert found.money == {("a", "grow"): exactly(2 * (100_000 + 200_000)), ("a", "answer"): NONE}
    assert (found.cost, found.cost_of_lane("a"), found.cost_of_lane("b")) == (exactly(600_000), exactly(600_000), NONE)
    assert found.cost_of_role("grow") == exactly(600_000)


@pytest.mark.parametrize(
    ("quota", "hours", "bound"),
    [
        (Quota(requests_per_minute=10), 100 / 10 / 60, "requests_per_minute of fast"),
        (Quota(requests_per_minute=10, tokens_per_minute=300), 100 * 150 / 300 / 60, "tokens_per_minute of fast"),
        (Quota(requests_per_day=10), 240, "requests_per_day of fast"),
        (Quota(tokens_per_minute=1e9, concurrent=2), 100 * 2 / 2 / 3600, "concurrent of fast"),
    ],
)
def test_hours_are_those_of_the_binding_quota(quota: Quota, hours: float, bound: str) -> None:
    """The limit that takes longest is named."""
    found = estimate(Whole(400), [profile()], [lane(quota=quota)])
    assert found.hours == pytest.approx((hours, hours))
    assert found.bound == bound


def test_without_a_quota_nobody_knows_the_hours() -> None:
    """What nothing bounds has no time."""
    assert estimate(Whole(400), [profile()], [lane(quota=Quota())]).hours is None


def test_lanes_share_a_role_by_their_speed() -> None:
    """A lane of three times the quota does three quarters of the work, and both end at once."""
    lanes = [lane("slow"), lane("fast", quota=Quota(requests_per_minute=30))]
    found = estimate(Whole(400), [profile()], lanes)
    assert found.cost_of_lane("fast").low == 3 * found.cost_of_lane("slow").low == 75 * 300_000
    assert found.hours == pytest.approx((100 / 40 / 60, 100 / 40 / 60))


def test_lanes_of_one_account_share_its_quota() -> None:
    """Two lanes of an account are no faster than one."""
    lanes = [lane("a", account="team", roles=("grow",)), lane("b", account="team", roles=("answer",))]
    found = estimate(Whole(40), [profile(), profile("answer", "grow")], lanes)
    assert found.hours == pytest.approx((50 / 10 / 60, 50 / 10 / 60))
    assert found.bound == "requests_per_minute of team"


def test_a_mean_is_never_known_to_the_last_digit() -> None:
    """Two standard errors about the mean, at least one part in twenty; nothing below zero."""
    sample = Sample()
    assert sample.range() == NONE
    for value in (10, 10, 10, 10):
        sample.add(value)
    assert sample.range() == pytest.approx((9.5, 10.5))
    wild = Sample()
    for value in (0, 8):
        wild.add(value)
    assert wild.range() == pytest.approx((0, 12))
