"""What to do with a fault: wait, ask elsewhere, ask for less, ask anew, or give up.

Pure. One layer owns retries: nothing below the scheduler retries by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from engine.core.faults import Fault, FaultKind

LONGEST = 60.0
"""Longest wait in seconds between two tries where the provider gives no hint."""
SMALLEST = 0.2
"""A request that is too big asks for ever fewer tokens, down to this share of what its step wants."""
SMALLER = 0.8


@dataclass(frozen=True, slots=True)
class Wait:
    """Send the same calls again in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """This lane is closed; another lane may take the request at once."""


@dataclass(frozen=True, slots=True)
class Smaller:
    """Send again with `max_tokens` at `scale` of the step's own."""

    scale: float


@dataclass(frozen=True, slots=True)
class Anew:
    """The answer could not be read: draw another one."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Settle the request with its fault."""

    reason: str


Decision: TypeAlias = Wait | Elsewhere | Smaller | Anew | GiveUp


def decide(fault: Fault, *, attempts: int, waited: float, patience: float, scale: float, rng: Random) -> Decision:
    """The decision on a request that failed `attempts` times before and has `waited` seconds in all.

    Waits that clear by themselves are bounded by a deadline, `patience` seconds, not by a count: three tries of four seconds
    never outlive a minute's window. A server's hint is followed, with jitter on top only; without one the wait is drawn from
    (0, min(60, 2^attempts)), "full jitter" (Brooker 2015, AWS Architecture Blog).
    """
    match fault.kind:
        case FaultKind.RATE | FaultKind.BURST | FaultKind.OVERLOAD | FaultKind.NETWORK:
            if waited > patience:
                return GiveUp(f"{fault.kind} for {waited:.0f} s")
            if fault.retry_after is not None:
                return Wait(fault.retry_after + rng.uniform(0, 0.1 * fault.retry_after + 0.5))
            return Wait(rng.uniform(0.0, min(LONGEST, 2.0 ** min(attempts, 6))))
        case FaultKind.QUOTA | FaultKind.AUTH:
            return Elsewhere()
        case FaultKind.TOO_BIG:
            return Smaller(scale * SMALLER) if scale * SMALLER >= SMALLEST else GiveUp("too_big")
        case FaultKind.MALFORMED:
            return Anew()
        case FaultKind.REFUSED | FaultKind.BAD:
            return GiveUp(str(fault.kind))
