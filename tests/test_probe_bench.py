"""The bench of load tests, a few of its accounts: limits found in virtual time, from nothing but what came back."""

from __future__ import annotations

import pytest

from bench.probe import Truth, judged, probed, truths
from engine.core.caps import Caps
from engine.core.probing import What

CAPS = Caps(spend=100_000_000, requests=5000, seconds=20 * 60)
CASES = ("bucket requests headers=none", "sliding requests headers=wrong", "concurrent requests headers=wrong")


@pytest.mark.parametrize("name", CASES)
def test_an_account_is_found(name: str) -> None:
    """Within 5%, by its law or none, below every cap."""
    truth = next(truth for truth in truths(5) if truth.name == name)
    what = frozenset({What.CONCURRENCY}) if truth.kind == "concurrent" else frozenset({What.RPM})
    row = judged(truth, probed(truth, 5, CAPS, what), CAPS)
    assert (row["right"], row["kind"], row["over"]) == (True, True, False), row


def test_small_calls_leave_enough_for_heavy_ones() -> None:
    """Where small calls meet the limit of tokens first, there are requests left to measure it with heavy ones, and a header that
    tells a tenth of it is not believed."""
    truth = Truth("bucket", "tokens", 20_000, "wrong", burst=4_000)
    caps = Caps(spend=500_000_000, requests=4000, seconds=20 * 60)
    row = judged(truth, probed(truth, 1, caps), caps)
    assert (row["right"], row["covered"], row["kind"], row["over"]) == (True, True, True, False), row
