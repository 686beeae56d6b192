"""Policy: what each kind of fault means for its request, its account and its lane, in one table, from answers as they come."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

import providers
from engine.core import retry
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpResponse
from engine.core.limits import readings
from engine.core.quota import Ledger
from engine.core.retry import Anew, Decision, Elsewhere, GiveUp, Smaller, Wait
from engine.core.settler import PARK_AFTER, PATIENT
from engine.core.types import Chat, Decoding, LanePlan, Message, Quota, Usage
from engine.core.window import PACE
from engine.runtime.account import Account, Attempted
from engine.runtime.keys import Key
from engine.runtime.lane import Lane
from tests.providers.openai_faults import EXCHANGES, Exchange

CALL = Chat((Message("user", "Name a river."),), Decoding(max_tokens=50))
NOW = 100.0
MINUTE = 600
"""Requests a minute, by the plan."""
SENT = 400
"""Of which so many were sent and answered in the last forty seconds."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a kind means. Whatever is not named stays as it was."""

    request: type[Decision]
    pauses: bool = False
    """The account waits, by the hint and a little more, or by itself without one."""
    lowers: bool = False
    """It is believed to accept no more than it did, unless the server tells what is left."""
    eases: bool = False
    """It is used at half its pace for a while."""
    sick: bool = False
    """Five in a row keep all calls away."""
    closes: frozenset[str] = frozenset()
    """Lanes of the account that take no more work: `one` made the call, `two` did not."""


POLICIES = {
    FaultKind.RATE: Policy(Wait, pauses=True, lowers=True),
    FaultKind.BURST: Policy(Wait, pauses=True, eases=True),
    FaultKind.OVERLOAD: Policy(Wait, sick=True),
    FaultKind.NETWORK: Policy(Wait, sick=True),
    FaultKind.QUOTA: Policy(Elsewhere, closes=frozenset({"one", "two"})),
    FaultKind.AUTH: Policy(Elsewhere, closes=frozenset({"one"})),
    FaultKind.TOO_BIG: Policy(Smaller),
    FaultKind.MALFORMED: Policy(Anew),
    FaultKind.REFUSED: Policy(GiveUp),
    FaultKind.BAD: Policy(GiveUp),
}

every = pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange.name for exchange in EXCHANGES])


def attempted(exchange: Exchange) -> Attempted:
    """What an attempt brings that is answered like this."""
    response = HttpResponse(exchange.status, exchange.headers, exchange.body.encode())
    (outcome,) = providers.find(exchange.provider).decode((CALL,), response)
    return Attempted(outcome, readings(response.headers, None))


def busy() -> Account:
    """An account of two lanes in the middle of a minute that went well."""
    plan = LanePlan(provider="openai", model="m")
    lanes = [
        Lane(name, plan, providers.find("openai"), frozenset({"propose"}), "chat", key=Key(None, "sk-a-key-of-nobody"))
        for name in ("one", "two")
    ]
    account = Account("account", lanes, Ledger(Quota(requests_per_minute=MINUTE, concurrent=1000)), None)
    for n in range(SENT):
        t = NOW - 40 + n / 10
        account.ledger.settle(account.ledger.charge(Usage(), t), Usage(), t)
    return account


def after(*outcomes: Attempted) -> Account:
    """The account when calls of its first lane have ended like this, one after the other."""
    account = busy()
    for outcome in outcomes:
        ticket = account.ledger.charge(Usage(), NOW)
        account.learn(account.lanes[0], outcome, ticket, NOW)
        account.ledger.release(ticket, NOW)
    return account


def believing(account: Account) -> Account:
    """The account with its declared quota again, whatever it has learnt of it."""
    account.ledger.retune(account.ledger.quota)
    return account


def pace(account: Account) -> float:
    """Seconds between two calls, once it waits for nothing else."""
    waits = []
    now = NOW + account.opening(NOW)
    for _ in range(5):
        account.ledger.release(account.ledger.charge(Usage(), now), now)
        waits.append(account.ledger.wait(Usage(), now))
    return waits[-1] - waits[-2]


def parks(fault: Fault) -> bool:
    return fault.kind in PATIENT and fault.retry_after is not None and fault.retry_after > PARK_AFTER


def outcome(exchange: Exchange) -> tuple[Fault, Policy]:
    fault = attempted(exchange).outcome
    assert isinstance(fault, Fault)
    return fault, POLICIES[fault.kind]


def test_every_kind_has_a_policy() -> None:
    """The table is whole."""
    assert set(POLICIES) == set(FaultKind)


@every
def test_request(exchange: Exchange) -> None:
    """It waits by the hint and never less, is asked elsewhere, for less, or anew, or is given up."""
    fault, policy = outcome(exchange)
    for seed in range(20):
        decision = retry.decide(fault, attempts=2, waited=0.0, patience=600.0, scale=1.0, rng=Random(seed))
        assert type(decision) is policy.request
        if isinstance(decision, Wait) and fault.retry_after is not None:
            assert fault.retry_after < decision.seconds <= 1.1 * fault.retry_after + 0.5
        elif isinstance(decision, Wait):
            assert 0 < decision.seconds <= 4


@every
def test_account_waits_as_long_as_it_is_told(exchange: Exchange) -> None:
    """A passed limit pauses the account, by the hint and up to a tenth more; a hint that is very long parks it instead. Nothing
    else holds up the account's next call."""
    fault, policy = outcome(exchange)
    account = believing(after(Attempted(fault, ())))
    waits = account.opening(NOW)
    if parks(fault):
        assert account.notice(NOW) is not None
        assert waits == fault.retry_after
        return
    assert account.notice(NOW) is None
    if policy.pauses:
        least = 1.0 if fault.retry_after is None else fault.retry_after
        assert least < waits <= 1.1 * least + 0.1
    else:
        assert waits == 0.0


@every
def test_quota_is_doubted_only_where_a_rate_was_refused(exchange: Exchange) -> None:
    """Refused, the account is believed to take what it took, or what its server says; no other fault touches that, and nobody is
    believed to allow more than the plan says."""
    fault, policy = outcome(exchange)
    told = attempted(exchange).readings
    limits = [reading.limit for reading in told if reading.dimension == "requests" and reading.limit]
    blind, seeing = after(Attempted(fault, ())), after(Attempted(fault, told))
    taken = SENT if policy.lowers and not parks(fault) else MINUTE
    assert blind.ledger.limits["requests_per_minute"] == pytest.approx(taken, abs=2)
    if any(reading.remaining is not None for reading in told):
        taken = MINUTE
    assert seeing.ledger.limits["requests_per_minute"] == pytest.approx(min([taken, *limits]), abs=2)


@every
def test_ramp_is_slowed_only_where_it_was_too_steep(exchange: Exchange) -> None:
    """After a BURST calls go out at half the pace, which comes back within a minute; after anything else as before."""
    fault, policy = outcome(exchange)
    usual, account = pace(busy()), believing(after(Attempted(fault, ())))
    assert usual == pytest.approx(60 / MINUTE / PACE)
    waited = account.opening(NOW)
    slower = 1 / (0.5 + waited / 120) if policy.eases else 1.0
    assert pace(account) == pytest.approx(slower * usual, rel=0.01)


@every
def test_breaker_counts_what_the_provider_failed_at(exchange: Exchange) -> None:
    """Five failures of the provider's own keep calls away for a second; what is about the account or the request never does."""
    fault, policy = outcome(exchange)
    account = after(*[Attempted(fault, ())] * 5)
    assert account.breaker.closed is not policy.sick
    if policy.sick:
        assert account.opening(NOW) == 1.0
        assert account.ledger.limits == busy().ledger.limits


@every
def test_lanes_close_where_waiting_seconds_is_no_use(exchange: Exchange) -> None:
    """No credit closes all lanes of the account, a wrong key or model its own, and both say why."""
    fault, policy = outcome(exchange)
    account = after(attempted(exchange))
    assert {lane.name for lane in account.lanes if lane.closed is not None} == policy.closes
    assert all(lane.closed == str(fault) for lane in account.lanes if lane.name in policy.closes)
