"""A bucket's refill is found beside others who take from it, and what they ask for is told."""

from __future__ import annotations

from random import Random

import pytest

from engine.core.fits import fits
from engine.core.laws import Law
from providers.simulator.quota import SECOND, Bucket
from tests.core.test_fits import pressed


@pytest.mark.parametrize(("seed", "limit", "burst"), [(3, 300, 120), (4, 353, 36), (5, 1700, 900)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_refill_is_found_whatever_others_take(seed: int, limit: int, burst: int, share: float) -> None:
    """Within a part in a hundred, not less by what others got; without others none are made up."""
    rows = pressed(Bucket(limit, 60 * SECOND, burst), Random(seed), limit / 60, others=share * limit / 60)
    (found,) = fits(rows, [Law.BUCKET])
    assert found.rate * 60 == pytest.approx(limit, rel=0.015)
    assert found.size == pytest.approx(burst, rel=0.1)
    assert found.others == 0 if not share else 0.25 * share * limit < found.others * 60 < 2.5 * share * limit
