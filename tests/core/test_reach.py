"""Reach: how long an address that never took a connection is tried, and that one which did is never given up."""

from __future__ import annotations

from engine.core.reach import TRYING, Reach


def test_an_address_that_never_answers_is_given_up_after_a_minute() -> None:
    """Counted from the first failure, whenever that is; until then it is tried."""
    reach = Reach()
    assert reach.failed(5000.0) is None
    assert reach.failed(5000.0 + TRYING - 0.1) is None
    assert reach.failed(5000.0 + TRYING) == "3 attempts in 60 s, and no connection"
    assert reach.failed(9000.0) == "4 attempts in 4000 s, and no connection"


def test_one_answer_is_enough_for_ever() -> None:
    """An address that took a connection is right: what fails later is an outage, however long."""
    reach = Reach()
    assert reach.failed(0.0) is None
    reach.stood()
    assert reach.failed(1.0) is None
    assert reach.failed(100_000.0) is None
