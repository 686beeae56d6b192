"""A bucket's refill is found beside others who take from it, and what they ask for is told."""

from __future__ import annotations

from random import Random

import pytest

from engine.core.fits import fits
from engine.core.laws import Law
from providers.simulator.quota import SECOND, Bucket
from tests.core.test_fits import pressed


@pytest.mark.parametrize(("seed", "limit", "burst"), [(3, 300, 120), (4, 353, 36), (5, 900, 100)])
@pytest.mark.parametrize("share", [0.0, 0.15])
def test_refill_is_found_whatever_others_take(seed: int, limit: int, burst: int, share: float) -> None:
    """Within a part in forty, not less by what others got; without others none are made up, and what they ask for is not
    thought to be far more than it is."""
    rows = pressed(Bucket(limit, 60 * SECOND, burst), Random(seed), limit / 60, 12_000 / limit, others=share * limit / 60)
    (found,) = fits(rows, [Law.BUCKET])
    assert found.rate * 60 == pytest.approx(limit, rel=0.025)
    assert (0.7 if share else 0.95) * burst < found.size < 1.05 * burst  # others have drunk of it before it was pressed
    assert found.others == 0 if not share else found.others * 60 < 2.5 * share * limit
