"""Retry: one decision for each kind of fault, and what a server's hint is worth."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.faults import Fault, FaultKind
from engine.core.retry import LONGEST, SMALLEST, Anew, Decision, Elsewhere, GiveUp, Smaller, Wait, decide

quick = settings(max_examples=40, deadline=None, derandomize=True)

TRANSIENT = (FaultKind.RATE, FaultKind.BURST, FaultKind.OVERLOAD, FaultKind.NETWORK)
LASTING = {
    FaultKind.QUOTA: Elsewhere(),
    FaultKind.AUTH: Elsewhere(),
    FaultKind.TOO_BIG: Smaller(0.8),
    FaultKind.MALFORMED: Anew(),
    FaultKind.REFUSED: GiveUp("refused"),
    FaultKind.BAD: GiveUp("bad"),
}


def decided(fault: Fault, **changes: Any) -> Decision:
    """The decision on a first failure with a minute of patience, apart from `changes`."""
    first: dict[str, Any] = {"attempts": 0, "waited": 0.0, "patience": 60.0, "scale": 1.0, "rng": Random(1)}
    return decide(fault, **(first | changes))


def test_every_kind_of_fault_has_its_decision() -> None:
    """Kinds that clear by themselves are waited for; the others have one answer each, however long the request has waited."""
    assert {*TRANSIENT, *LASTING} == set(FaultKind)
    assert all(isinstance(decided(Fault(kind)), Wait) for kind in TRANSIENT)
    for kind, decision in LASTING.items():
        assert decided(Fault(kind)) == decided(Fault(kind, retry_after=5.0), attempts=99, waited=1e6) == decision


@quick
@given(st.sampled_from(TRANSIENT), st.integers(0, 10_000), st.integers(0, 99))
def test_without_a_hint_waits_grow_up_to_a_minute(kind: FaultKind, attempts: int, seed: int) -> None:
    """The wait is drawn between 0 and 2^attempts seconds, 60 at the most."""
    decision = decided(Fault(kind), attempts=attempts, rng=Random(seed))
    assert isinstance(decision, Wait)
    assert 0 <= decision.seconds <= min(LONGEST, 2.0 ** min(attempts, 10))


def test_waits_use_their_whole_range() -> None:
    """Clients that failed together do not come back together."""
    waits = [decided(Fault(FaultKind.OVERLOAD), attempts=9, rng=Random(seed)) for seed in range(200)]
    drawn = [wait.seconds for wait in waits if isinstance(wait, Wait)]
    assert min(drawn) < 0.1 * LONGEST
    assert max(drawn) > 0.9 * LONGEST


@quick
@given(st.sampled_from(TRANSIENT), st.floats(0, 86_400), st.integers(0, 99))
def test_a_hint_is_never_undercut(kind: FaultKind, seconds: float, seed: int) -> None:
    """The wait is what the server asked for and a little more, whatever the number of attempts."""
    decision = decided(Fault(kind, retry_after=seconds), attempts=50, rng=Random(seed))
    assert isinstance(decision, Wait)
    assert seconds <= decision.seconds <= 1.1 * seconds + 0.5


@pytest.mark.parametrize("kind", TRANSIENT)
def test_patience_ends(kind: FaultKind) -> None:
    """A deadline ends the waiting, not a count; the reason says what it was and how long it lasted."""
    assert isinstance(decided(Fault(kind), attempts=1000, waited=60.0), Wait)
    assert decided(Fault(kind, retry_after=1.0), waited=61.0) == GiveUp(f"{kind} for 61 s")


def test_a_request_that_is_too_big_shrinks_to_a_fifth() -> None:
    """Each time a fifth less, until so little is left that an answer would be no use."""
    scales = [1.0]
    while isinstance(decision := decided(Fault(FaultKind.TOO_BIG), scale=scales[-1]), Smaller):
        scales.append(decision.scale)
    assert scales == pytest.approx([0.8**n for n in range(8)])
    assert scales[-1] >= SMALLEST
    assert decision == GiveUp("too_big")


def test_equal_randomness_decides_equally() -> None:
    """Nothing but the arguments enters a decision."""
    assert decided(Fault(FaultKind.RATE), attempts=5) == decided(Fault(FaultKind.RATE), attempts=5)
