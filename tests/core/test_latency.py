"""Times count from when a call was due, and goodput is what keeps within the objective."""

from __future__ import annotations

import pytest

from engine.core.faults import FaultKind
from engine.core.latency import NoObjective, Objective, objective, spread, times
from engine.core.shapes import SMALL
from engine.core.trials import Shot
from engine.core.types import Usage


def shot(
    number: int, intended: float, sent: float, ended: float, *, first: float | None = None, fault: FaultKind | None = None
) -> Shot:
    usage = None if fault else Usage(requests=1, tokens_in=10, tokens_out=11)
    return Shot(
        number=number, trial=1, shape=SMALL, intended=intended, sent=sent, ended=ended, first=first, fault=fault, usage=usage
    )


def test_objectives_are_read_with_their_units() -> None:
    """Seconds, thousandths and minutes, in any order."""
    assert objective("ttft=2s,total=20s") == Objective(ttft=2.0, total=20.0)
    assert objective(" total=1m , per_token=50ms") == Objective(total=60.0, per_token=0.05)


@pytest.mark.parametrize("text", ["ttft", "ttft=0", "ttft=-1s", "ttft=soon", "speed=2s", "total=inf", "total=nan"])
def test_what_is_no_objective_is_refused(text: str) -> None:
    """A time that means nothing would make every call good, or none."""
    with pytest.raises(NoObjective):
        objective(text)


def test_a_late_call_is_slow_for_whoever_waits() -> None:
    """Sent two seconds late and answered in one, a call took three from when it was due: it misses an objective of two."""
    shots = [shot(0, 0.0, 0.0, 1.0), shot(1, 1.0, 3.0, 4.0), shot(2, 2.0, 2.0, 2.5, fault=FaultKind.RATE)]
    found = times(shots, (), Objective(total=2.0))
    assert found.from_due is not None
    assert found.from_sent is not None
    assert (found.from_due.most, found.from_sent.most) == (3.0, 1.0)
    assert found.late is not None
    assert found.late.most == 2.0
    assert (found.sent, found.good, found.span) == (3, 1, 4.0)
    assert found.goodput == 0.25
    assert found.outcomes == {"answered": 2, "rate": 1}


def test_first_tokens_of_streams_and_of_others() -> None:
    """A stream has its first token when it comes, an answer in one piece when it is whole; both from when the call was due."""
    early, late = shot(0, 0.0, 0.0, 3.0, first=0.5), shot(1, 1.0, 2.0, 5.0, first=0.5)
    assert times([early, late], [early, late], Objective(ttft=1.0)).good == 1
    assert times([early, late], (), Objective(ttft=1.0)).good == 0
    assert times([early], [early], Objective(per_token=0.24)).good == 0
    assert times([early], [early], Objective(per_token=0.26)).good == 1


def test_percentiles_are_of_what_there_was() -> None:
    """Each is one of the times, the smallest that so many percent do not exceed."""
    found = spread([n / 100 for n in range(1, 101)])
    assert found is not None
    assert dict(found.percentiles) == {50.0: 0.5, 90.0: 0.9, 95.0: 0.95, 99.0: 0.99, 99.9: 1.0}
    assert spread([]) is None
